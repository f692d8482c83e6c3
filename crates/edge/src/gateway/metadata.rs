//! Documents the gateway itself serves, without credentials: protected resource metadata
//! (RFC 9728) and the key set of its assertions.
//!
//! `/.well-known/oauth-protected-resource` describes the resource at the root; a resource
//! with a path has its document where RFC 9728 section 3.1 puts it, the well-known part before
//! the path. `/.well-known/keybound-jwks` holds the public keys (RFC 7517) that verify
//! `Keybound-Assertion`.

use std::collections::BTreeMap;

use bytes::Bytes;
use keybound_proto::jose::{AlgorithmSet, Signer};
use keybound_proto::uri::HttpUrl;
use serde::Serialize;

use super::config::{Enforcement, GatewayConfig, RouteConfig};

/// Where metadata documents begin (RFC 9728 section 3).
const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";
/// Where the key set of the gateway's assertions is.
pub(super) const ASSERTION_KEYS: &str = "/.well-known/keybound-jwks";

/// Documents by exact path.
#[derive(Debug)]
pub(super) struct Documents {
    by_path: BTreeMap<String, Bytes>,
}

#[derive(Serialize)]
struct ProtectedResource<'a> {
    resource: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
    dpop_signing_alg_values_supported: Vec<&'static str>,
    dpop_bound_access_tokens_required: bool,
}

impl Documents {
    pub(super) fn new(config: &GatewayConfig) -> Self {
        let mut by_path = BTreeMap::new();
        for route in config.routes.iter().filter(|route| is_enforced(route)) {
            if let Some(path) = metadata_path(&config.url, &route.check.audience) {
                by_path
                    .entry(path)
                    .or_insert_with(|| describe(&route.check.audience, config));
            }
        }
        if let Some(key) = &config.assertion_key {
            by_path.insert(ASSERTION_KEYS.to_owned(), key_set(key.as_ref()));
        }
        Self { by_path }
    }

    /// The document at a path. Only paths under `/.well-known/` are looked up.
    pub(super) fn find(&self, path: &str) -> Option<&Bytes> {
        if path.starts_with("/.well-known/") {
            self.by_path.get(path)
        } else {
            None
        }
    }
}

/// The URL of a resource's metadata, for the challenge (RFC 9728 section 5.1).
pub(super) fn metadata_url(config: &GatewayConfig, route: &RouteConfig) -> Option<String> {
    let path = metadata_path(&config.url, &route.check.audience)?;
    Some(format!("{}{path}", config.url))
}

/// The name of the gateway's assertion key.
pub(super) fn assertion_kid(key: &dyn Signer) -> String {
    format!("kb-{}", key.public_key().thumbprint())
}

/// RFC 9728 section 3.1; `None` for a resource that is not under the gateway's own origin, whose
/// document is for whoever serves that origin.
fn metadata_path(origin: &keybound_proto::uri::Origin, resource: &str) -> Option<String> {
    let url = HttpUrl::parse(resource).ok()?;
    if url.origin() != origin || url.query().is_some() {
        return None;
    }
    let path = if url.path() == "/" { "" } else { url.path() };
    Some(format!("{PROTECTED_RESOURCE}{path}"))
}

fn describe(resource: &str, config: &GatewayConfig) -> Bytes {
    let mut scopes: Vec<&str> = config
        .routes
        .iter()
        .filter(|route| is_enforced(route) && route.check.audience == resource)
        .flat_map(|route| {
            let scopes = &route.check.scopes;
            scopes
                .methods()
                .filter_map(|method| scopes.required(method).ok())
                .flatten()
        })
        .map(String::as_str)
        .collect();
    scopes.sort_unstable();
    scopes.dedup();
    let document = ProtectedResource {
        resource,
        authorization_servers: config.issuers.iter().map(HttpUrl::as_str).collect(),
        scopes_supported: scopes,
        bearer_methods_supported: ["header"],
        dpop_signing_alg_values_supported: algorithm_names(config.proof_algorithms),
        dpop_bound_access_tokens_required: true,
    };
    // Strings, lists and booleans always serialize.
    Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
}

fn algorithm_names(algorithms: AlgorithmSet) -> Vec<&'static str> {
    algorithms
        .iter()
        .map(keybound_proto::jose::Algorithm::name)
        .collect()
}

fn key_set(key: &dyn Signer) -> Bytes {
    let jwk = key
        .public_key()
        .to_jwk_with(&assertion_kid(key), key.algorithm());
    Bytes::from(format!("{{\"keys\":[{jwk}]}}"))
}

fn is_enforced(route: &RouteConfig) -> bool {
    route.enforcement == Enforcement::Require
}
