//! What is known of a request before anything in it is believed, and reading
//! its body within limits.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderName, Request, header};
use keybound_proto::cause::Cause;

use super::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken, in bytes.
const MAX_REQUEST_ID: usize = 64;

/// The id under which logs and events know a request.
#[derive(Clone, Debug)]
pub(super) struct Call(String);

impl Call {
    /// The listener's id where there is one of harmless form, else a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let given = headers
            .get(REQUEST_ID)
            .and_then(|id| id.to_str().ok())
            .filter(|id| is_harmless(id));
        Self(given.map_or_else(random_id, str::to_owned))
    }

    pub(super) fn request_id(&self) -> &str {
        &self.0
    }
}

/// Reads a JSON body of at most `limit` bytes.
pub(super) async fn json_body(request: Request<Body>, limit: usize) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::invalid(
            "send one `Content-Type: application/json`",
        ));
    }
    to_bytes(request.into_body(), limit)
        .await
        .map_err(|_| Problem::of(Cause::BodyTooLarge))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = only.to_str().unwrap_or_default().split(';').next();
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn is_harmless(id: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn random_id() -> String {
    let mut random = [0; 16];
    // Without random numbers the id is all zeros: it names nothing, and nothing depends on it.
    let _ = aws_lc_rs::rand::fill(&mut random);
    format!("req_{:032x}", u128::from_be_bytes(random))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn strange_request_ids_are_replaced() {
        let long = "x".repeat(65);
        for strange in ["", "a b", "a\"b", long.as_str()] {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(strange).unwrap());
            assert!(Call::of(&headers).request_id().starts_with("req_"));
        }
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("req-1"));
        assert_eq!(Call::of(&headers).request_id(), "req-1");
    }
}
