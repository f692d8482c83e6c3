//! The authorization server's metadata (RFC 8414; the same document answers as
//! OpenID Connect discovery) and where it is served.
//!
//! Only what exists is listed. Two members are there because OpenID Connect
//! discovery demands them, although no ID token is issued:
//! `subject_types_supported`, and `id_token_signing_alg_values_supported`,
//! which common verifiers read as "what this issuer signs with".
//! `response_types_supported` is empty where there is no authorization endpoint: RFC 8414
//! section 2 requires the member.

use keybound_proto::jose::{Algorithm, AlgorithmSet};
use keybound_proto::uri::HttpUrl;
use serde::Serialize;

use super::client::GrantType;
use super::scope::Scopes;
use crate::config::{AuthorizationConfig, CertificatesConfig};

/// Where each endpoint is: the paths to route, below the issuer's own path.
pub mod path {
    /// Signing keys.
    pub const JWKS: &str = "/jwks";
    /// Token endpoint.
    pub const TOKEN: &str = "/token";
    /// Authorization (RFC 6749 section 3.1).
    pub const AUTHORIZE: &str = "/authorize";
    /// Where a person decides.
    pub const CONSENT: &str = "/consent";
    /// Where a person logs in.
    pub const LOG_IN: &str = "/login";
    /// Where a person logs out.
    pub const LOG_OUT: &str = "/logout";
    /// Pushed authorization requests (RFC 9126).
    pub const PUSHED: &str = "/par";
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
    /// The authorization endpoint, where there is one.
    pub authorization: Option<&'a AuthorizationConfig>,
    /// Whether clients may be public.
    pub public_clients: bool,
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
    grant_types_supported: Vec<&'static str>,
    response_types_supported: &'static [&'static str],
    #[serde(flatten)]
    authorization: Option<Authorization>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    introspection_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    dpop_signing_alg_values_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_endpoint_aliases: Option<Aliases>,
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
}

/// What an issuer with an authorization endpoint adds.
#[derive(Debug, Serialize)]
struct Authorization {
    authorization_endpoint: String,
    pushed_authorization_request_endpoint: String,
    require_pushed_authorization_requests: bool,
    response_modes_supported: [&'static str; 1],
    code_challenge_methods_supported: [&'static str; 1],
    authorization_response_iss_parameter_supported: bool,
}

/// Where a client goes with its certificate (RFC 8705 section 5): the endpoints that
/// authenticate clients.
#[derive(Debug, Serialize)]
struct Aliases {
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed_authorization_request_endpoint: Option<String>,
}

impl Aliases {
    fn at(base: &HttpUrl, authorization: bool) -> Self {
        Self {
            pushed_authorization_request_endpoint: authorization
                .then(|| endpoint(base, path::PUSHED)),
            token_endpoint: endpoint(base, path::TOKEN),
            introspection_endpoint: endpoint(base, path::INTROSPECT),
            revocation_endpoint: endpoint(base, path::REVOKE),
        }
    }
}

/// The methods of client authentication, in the order in which they are recommended.
fn methods(facts: &Facts<'_>) -> Vec<&'static str> {
    let mut methods = vec!["private_key_jwt"];
    if facts.certificates.is_some() {
        methods.extend(["tls_client_auth", "self_signed_tls_client_auth"]);
    }
    methods.push("client_secret_basic");
    methods
}

/// Those of the endpoints where a client may also be public: for tokens, and for revoking its own.
fn token_methods(facts: &Facts<'_>) -> Vec<&'static str> {
    let mut methods = methods(facts);
    if facts.public_clients {
        methods.push("none");
    }
    methods
}

fn grants(facts: &Facts<'_>) -> Vec<&'static str> {
    GrantType::ALL
        .into_iter()
        .filter(|grant| grant.is_offered(facts.authorization.is_some()))
        .map(GrantType::name)
        .collect()
}

/// Writes the document.
#[must_use]
pub fn document(facts: &Facts<'_>) -> String {
    let issuer = facts.issuer.to_string();
    let endpoint = |path: &str| endpoint(facts.issuer, path);
    let assertion = names(facts.assertion_algorithms);
    let alias = facts
        .certificates
        .and_then(|certificates| certificates.alias.as_ref());
    let document = Document {
        token_endpoint: endpoint(path::TOKEN),
        jwks_uri: endpoint(path::JWKS),
        registration_endpoint: facts.registration.then(|| endpoint(path::REGISTER)),
        introspection_endpoint: endpoint(path::INTROSPECT),
        revocation_endpoint: endpoint(path::REVOKE),
        grant_types_supported: grants(facts),
        response_types_supported: if facts.authorization.is_some() {
            &["code"]
        } else {
            &[]
        },
        authorization: facts.authorization.map(|config| Authorization {
            authorization_endpoint: endpoint(path::AUTHORIZE),
            pushed_authorization_request_endpoint: endpoint(path::PUSHED),
            require_pushed_authorization_requests: config.pushed_only,
            response_modes_supported: ["query"],
            code_challenge_methods_supported: ["S256"],
            authorization_response_iss_parameter_supported: true,
        }),
        scopes_supported: facts.scopes.iter().collect(),
        token_endpoint_auth_methods_supported: token_methods(facts),
        token_endpoint_auth_signing_alg_values_supported: assertion.clone(),
        introspection_endpoint_auth_methods_supported: methods(facts),
        introspection_endpoint_auth_signing_alg_values_supported: assertion.clone(),
        revocation_endpoint_auth_methods_supported: token_methods(facts),
        revocation_endpoint_auth_signing_alg_values_supported: assertion,
        dpop_signing_alg_values_supported: names(facts.proof_algorithms),
        tls_client_certificate_bound_access_tokens: facts.certificates.is_some(),
        mtls_endpoint_aliases: alias.map(|base| Aliases::at(base, facts.authorization.is_some())),
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
