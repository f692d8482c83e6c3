//! What anybody may read: how to follow signals (SSF section 7), the keys that
//! sign them (RFC 7517), and where tokens for this API come from (RFC 9728).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::signals::POLL_METHOD;
use super::{Control, GATEWAY_SCOPE, READ_SCOPE, RESPOND_SCOPE, json as respond};

pub(super) async fn ssf(State(control): State<Arc<Control>>) -> Response<Body> {
    cacheable(&json!({
        "spec_version": "1_0",
        "issuer": control.config.url.as_str(),
        "jwks_uri": control.url("/jwks"),
        "delivery_methods_supported": [POLL_METHOD],
        "configuration_endpoint": control.url("/ssf/streams"),
        "default_subjects": "ALL",
        "authorization_schemes": [{ "spec_urn": "urn:ietf:rfc:9449" }],
    }))
}

pub(super) async fn jwks(State(control): State<Arc<Control>>) -> Response<Body> {
    let keys: Vec<_> = control.config.signer.jwks().collect();
    let mut response = Response::new(Body::from(format!(r#"{{"keys":[{}]}}"#, keys.join(","))));
    make_cacheable(&mut response, "application/jwk-set+json");
    response
}

pub(super) async fn resource(State(control): State<Arc<Control>>) -> Response<Body> {
    cacheable(&json!({
        "resource": control.config.resource,
        "authorization_servers": control.config.authorization_servers,
        "scopes_supported": [GATEWAY_SCOPE, READ_SCOPE, RESPOND_SCOPE],
        "bearer_methods_supported": ["header"],
        "dpop_bound_access_tokens_required": true,
        "resource_name": "Keybound control plane",
    }))
}

fn cacheable(value: &Value) -> Response<Body> {
    let mut response = respond(StatusCode::OK, value);
    make_cacheable(&mut response, "application/json");
    response
}

fn make_cacheable(response: &mut Response<Body>, content_type: &'static str) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=60"),
    );
}
