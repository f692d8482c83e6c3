//! Reading request bodies: media type, size, and no parameters in the URL.
//!
//! Credentials in a query string end up in logs of every machine on the way, so
//! a query is refused whole, before anything in it is looked at (RFC 6749
//! section 2.3.1, RFC 9700 section 4.3.2).

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;

/// The body an endpoint takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    media_type: &'static str,
    /// The largest body, in bytes.
    limit: usize,
}

/// A form: an assertion, a token and some parameters.
pub(super) const FORM: Expected = Expected {
    media_type: "application/x-www-form-urlencoded",
    limit: 64 * 1024,
};

/// A registration request.
pub(super) const REGISTRATION: Expected = Expected {
    media_type: "application/json",
    limit: crate::flow::registration::MAX_REQUEST_BYTES,
};

/// Reads the body of a request without a query and with the right media type.
pub(super) async fn read(
    parts: &Parts,
    body: Body,
    expected: Expected,
) -> Result<Bytes, Rejection> {
    if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Rejection::new(Cause::ParameterInvalid)
            .expected("parameters in the body")
            .got("a query string"));
    }
    check_media_type(&parts.headers, expected.media_type)?;
    let collected = Limited::new(body, expected.limit).collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                Rejection::new(Cause::BodyTooLarge)
                    .expected(format!("at most {} bytes", expected.limit))
            } else {
                Rejection::new(Cause::ParameterInvalid).expected("a complete body")
            }
        })
}

fn check_media_type(headers: &HeaderMap, expected: &str) -> Result<(), Rejection> {
    let mut fields = headers.get_all(header::CONTENT_TYPE).iter();
    let essence = match (fields.next(), fields.next()) {
        (Some(field), None) => field
            .to_str()
            .ok()
            .and_then(|text| text.split(';').next())
            .map(str::trim),
        _ => None,
    };
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case(expected)) {
        return Ok(());
    }
    Err(Rejection::new(Cause::ParameterInvalid).expected(format!("one Content-Type {expected}")))
}
