//! From a refusal to an HTTP answer in the terms of the `http` crate.
//!
//! What the answer says is decided by [`keybound_proto::wire`] alone.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, Response, StatusCode};
use keybound_proto::binding::BindingMethods;
use keybound_proto::jose::AlgorithmSet;
use keybound_proto::rejection::Rejection;
use keybound_proto::wire::{self, Answer, AnswerContext, ErrorDetail, Role};

/// `DPoP-Nonce` (RFC 9449 section 8.1).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The answer to a refusal that says nothing about tokens.
pub(crate) fn plain(
    rejection: &Rejection,
    request_id: &str,
    detail: ErrorDetail,
    role: Role,
) -> Response<Bytes> {
    let context = AnswerContext {
        role,
        methods: BindingMethods::ALL,
        algorithms: AlgorithmSet::PROOF_DEFAULT,
        resource_metadata: None,
        scope: None,
        nonce: None,
        request_id,
        detail,
    };
    response(wire::answer(rejection, &context))
}

/// An answer as an HTTP response.
pub(crate) fn response(answer: Answer) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Values from proto are visible ASCII; one that is not would be left out, not sent.
    let mut set = |name: HeaderName, text: Option<String>| {
        if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(name, value);
        }
    };
    set(WWW_AUTHENTICATE, answer.challenge);
    set(DPOP_NONCE, answer.dpop_nonce);
    set(
        RETRY_AFTER,
        answer.retry_after.map(|seconds| seconds.to_string()),
    );
    response
}
