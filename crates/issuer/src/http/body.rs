//! Reading request bodies: media type, size, and no parameters in the URL.
//!
//! Credentials in a query string end up in logs of every machine on the way, so
//! a query is refused whole, before anything in it is looked at (RFC 6749
//! section 2.3.1, RFC 9700 section 4.3.2).

use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;

/// The largest form, in bytes: an assertion, a token and some parameters.
pub(super) const MAX_FORM_BYTES: usize = 64 * 1024;

/// The media type a body has to have.
#[derive(Clone, Copy, Debug)]
pub(super) enum MediaType {
    Form,
    Json,
}

impl MediaType {
    const fn name(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }
}

/// The limit every route has, as a layer; [`read`] turns it into a refusal.
pub(super) fn limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(MAX_FORM_BYTES)
}

/// Reads the body of a request without a query and with the right media type.
pub(super) async fn read(request: Request, expected: MediaType) -> Result<Bytes, Rejection> {
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        return Err(Rejection::new(Cause::ParameterInvalid)
            .expected("parameters in the body")
            .got("a query string"));
    }
    check_media_type(request.headers(), expected)?;
    Bytes::from_request(request, &())
        .await
        .map_err(|rejection| {
            if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
                Cause::BodyTooLarge.into()
            } else {
                Rejection::new(Cause::ParameterInvalid).expected("a complete body")
            }
        })
}

fn check_media_type(headers: &HeaderMap, expected: MediaType) -> Result<(), Rejection> {
    let mut fields = headers.get_all(header::CONTENT_TYPE).iter();
    let essence = match (fields.next(), fields.next()) {
        (Some(field), None) => field
            .to_str()
            .ok()
            .and_then(|text| text.split(';').next())
            .map(str::trim),
        _ => None,
    };
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case(expected.name())) {
        return Ok(());
    }
    Err(Rejection::new(Cause::ParameterInvalid)
        .expected(format!("one Content-Type {}", expected.name())))
}
