//! The authorization server's metadata (RFC 8414; the same document answers as
//! OpenID Connect discovery) and where it is served.
//!
//! Only what exists is listed. Two members are there because OpenID Connect
//! discovery demands them, although no ID token is issued:
//! `subject_types_supported`, and `id_token_signing_alg_values_supported`,
//! which common verifiers read as "what this issuer signs with".
//! `response_types_supported` is empty for the same reason: RFC 8414 section 2
//! requires the member, and there is no authorization endpoint.

use keybound_proto::jose::{Algorithm, AlgorithmSet};
use keybound_proto::uri::HttpUrl;
use serde::Serialize;

use super::scope::Scopes;
use crate::config::CertificatesConfig;

/// Where each endpoint is: the paths to route, below the issuer's own path.
pub mod path {
    /// Signing keys.
    pub const JWKS: &str = "/jwks";
    /// Token endpoint.
    pub const TOKEN: &str = "/token";
    /// Introspection (RFC 7662).
    pub const INTROSPECT: &str = "/introspect";
    /// Revocation (RFC 7009).
    pub const REVOKE: &str = "/revoke";
    /// Dynamic registration (RFC 7591).
    pub const REGISTER: &str = "/register";
}

/// What the document depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Issuer identifier.
    pub issuer: &'a HttpUrl,
    /// What access tokens are signed with.
    pub signing_algorithm: Algorithm,
    /// What proofs may be signed with.
    pub proof_algorithms: AlgorithmSet,
    /// What client assertions may be signed with.
    pub assertion_algorithms: AlgorithmSet,
    /// Every scope of every resource.
    pub scopes: &'a Scopes,
    /// Whether anybody can register, with or without an initial access token.
    pub registration: bool,
    /// Client certificates, where a listener asks for them.
    pub certificates: Option<&'a CertificatesConfig>,
}

/// The document, in the order in which it is sent.
#[derive(Debug, Serialize)]
struct Document<'a> {
    issuer: &'a str,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    introspection_endpoint: String,
    revocation_endpoint: String,
    grant_types_supported: [&'static str; 1],
    response_types_supported: [&'static str; 0],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    token_endpoint_auth_methods_supported: &'static [&'static str],
    token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    introspection_endpoint_auth_methods_supported: &'static [&'static str],
    introspection_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    revocation_endpoint_auth_methods_supported: &'static [&'static str],
    revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    dpop_signing_alg_values_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_endpoint_aliases: Option<Aliases>,
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
}

/// Where a client goes with its certificate (RFC 8705 section 5): the endpoints that
/// authenticate clients.
#[derive(Debug, Serialize)]
struct Aliases {
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
}

impl Aliases {
    fn at(base: &HttpUrl) -> Self {
        Self {
            token_endpoint: endpoint(base, path::TOKEN),
            introspection_endpoint: endpoint(base, path::INTROSPECT),
            revocation_endpoint: endpoint(base, path::REVOKE),
        }
    }
}

/// The methods all three client-facing endpoints take.
const METHODS: [&str; 2] = ["private_key_jwt", "client_secret_basic"];

/// The same, where a listener asks for certificates.
const METHODS_WITH_CERTIFICATES: [&str; 4] = [
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "client_secret_basic",
];

/// Writes the document.
#[must_use]
pub fn document(facts: &Facts<'_>) -> String {
    let issuer = facts.issuer.to_string();
    let endpoint = |path: &str| endpoint(facts.issuer, path);
    let assertion = names(facts.assertion_algorithms);
    let methods: &[&str] = match facts.certificates {
        Some(_) => &METHODS_WITH_CERTIFICATES,
        None => &METHODS,
    };
    let alias = facts
        .certificates
        .and_then(|certificates| certificates.alias.as_ref());
    let document = Document {
        token_endpoint: endpoint(path::TOKEN),
        jwks_uri: endpoint(path::JWKS),
        registration_endpoint: facts.registration.then(|| endpoint(path::REGISTER)),
        introspection_endpoint: endpoint(path::INTROSPECT),
        revocation_endpoint: endpoint(path::REVOKE),
        grant_types_supported: ["client_credentials"],
        response_types_supported: [],
        scopes_supported: facts.scopes.iter().collect(),
        token_endpoint_auth_methods_supported: methods,
        token_endpoint_auth_signing_alg_values_supported: assertion.clone(),
        introspection_endpoint_auth_methods_supported: methods,
        introspection_endpoint_auth_signing_alg_values_supported: assertion.clone(),
        revocation_endpoint_auth_methods_supported: methods,
        revocation_endpoint_auth_signing_alg_values_supported: assertion,
        dpop_signing_alg_values_supported: names(facts.proof_algorithms),
        tls_client_certificate_bound_access_tokens: facts.certificates.is_some(),
        mtls_endpoint_aliases: alias.map(Aliases::at),
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: [facts.signing_algorithm.name()],
        issuer: &issuer,
    };
    serde_json::to_string(&document).unwrap_or_default()
}

/// The URL of one endpoint.
#[must_use]
pub fn endpoint(issuer: &HttpUrl, path: &str) -> String {
    format!("{}{path}", issuer.to_string().trim_end_matches('/'))
}

/// The paths the document is served at, from the root of the host.
///
/// RFC 8414 section 3.1 inserts the well-known part before the issuer's path,
/// OpenID Connect discovery appends it; clients mix the two, so an issuer with
/// a path serves all four.
#[must_use]
pub fn locations(issuer: &HttpUrl) -> Vec<String> {
    let base = base_path(issuer);
    let mut locations = Vec::with_capacity(4);
    for document in ["oauth-authorization-server", "openid-configuration"] {
        locations.push(format!("/.well-known/{document}{base}"));
        if !base.is_empty() {
            locations.push(format!("{base}/.well-known/{document}"));
        }
    }
    locations
}

/// The issuer's own path without a trailing slash; empty at the root.
#[must_use]
pub fn base_path(issuer: &HttpUrl) -> &str {
    issuer.path().trim_end_matches('/')
}

fn names(algorithms: AlgorithmSet) -> Vec<&'static str> {
    algorithms.iter().map(Algorithm::name).collect()
}
