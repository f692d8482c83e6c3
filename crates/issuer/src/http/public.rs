//! What anybody may read: metadata and signing keys. Cacheable, readable from
//! any web page, and the same for every caller.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;

use crate::keyring::JWKS_MAX_AGE;
use crate::state::Core;

/// The metadata document (RFC 8414 section 3.2).
pub(super) async fn metadata(State(core): State<Arc<Core>>) -> Response<Body> {
    document(core.metadata())
}

/// The JWK Set (RFC 7517 section 5) of every published signing key.
pub(super) async fn jwks(State(core): State<Arc<Core>>) -> Response<Body> {
    document(core.keys().jwks())
}

fn document(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    if let Ok(value) = HeaderValue::try_from(format!("public, max-age={JWKS_MAX_AGE}")) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    response
}
