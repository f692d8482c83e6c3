//! A refusal as an HTTP response: one form for tower, axum and the gateway.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use keybound_proto::wire::Answer;

/// `DPoP-Nonce` (RFC 9449 section 8).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The id under which logs and events know the request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The response for an answer: status, `WWW-Authenticate`, `DPoP-Nonce`,
/// `Retry-After`, `Cache-Control: no-store` and the JSON body.
#[must_use]
pub fn response(answer: &Answer) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(answer.body.as_bytes()));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(answer.content_type),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    set(
        headers,
        header::WWW_AUTHENTICATE,
        answer.challenge.as_deref(),
    );
    set(headers, DPOP_NONCE, answer.dpop_nonce.as_deref());
    let retry_after = answer.retry_after.map(|seconds| seconds.to_string());
    set(headers, header::RETRY_AFTER, retry_after.as_deref());
    response
}

/// Lets scripts of other origins read the challenge and the nonce (RFC 9449
/// section 7.1). Which origins may read anything at all is decided elsewhere.
pub fn expose_to_scripts(headers: &mut HeaderMap) {
    headers.append(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("WWW-Authenticate, DPoP-Nonce"),
    );
}

/// Sets a header to a text that consists of header characters; anything else is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}
