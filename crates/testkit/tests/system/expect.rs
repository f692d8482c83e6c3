//! The two forms refusals take on the wire, checked whole.

use keybound_testkit::Answer;

/// RFC 9449 section 7.1: 401, a DPoP challenge with `error` and `algs`, the same error in the body.
#[track_caller]
pub(crate) fn refused_at_resource(id: &str, answer: &Answer, error: &str, cause: &str) {
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    assert_eq!(answer.cause(), cause, "{id}: {answer:?}");
    assert_eq!(answer.status, 401, "{id}: {answer:?}");
    assert!(
        challenge.starts_with(&format!("DPoP error=\"{error}\"")),
        "{id}: {challenge}"
    );
    assert!(
        challenge.contains("algs=\"ES256 EdDSA\""),
        "{id}: {challenge}"
    );
    assert_eq!(answer.json()["error"], error, "{id}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{id}");
    assert!(answer.header("x-request-id").is_some(), "{id}");
}

/// RFC 6749 section 5.2, RFC 9449 section 5: a JSON error that nobody may cache.
#[track_caller]
pub(crate) fn refused_at_issuer(id: &str, answer: &Answer, status: u16, error: &str, cause: &str) {
    assert_eq!(answer.cause(), cause, "{id}: {answer:?}");
    assert_eq!(answer.status, status, "{id}: {answer:?}");
    assert_eq!(answer.json()["error"], error, "{id}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{id}");
    let description = answer.json()["error_description"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        !description.contains(['\r', '\n', '"', '\t']),
        "{id}: {description}"
    );
}

/// Served, and the upstream saw it.
#[track_caller]
pub(crate) fn served(id: &str, answer: &Answer) {
    assert_eq!(answer.status, 200, "{id}: {answer:?}");
}
