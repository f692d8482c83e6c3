//! A client of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CertificateBindingName, ClientAuth, ClientBinding, Grant};

/// A client that is not registered at run time.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientSection {
    /// The `client_id`.
    pub id: String,
    /// How the client authenticates.
    pub auth: ClientAuth,
    /// File with the client's public keys as a JWK set, for `private_key_jwt` and
    /// `self_signed_tls_client_auth`; with the latter, `x5c` of a key registers that certificate
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// File with the client's secret, mode 0600, for `client_secret_basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
    /// PEM file with the few authorities that may vouch for this client, for `tls_client_auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<String>,
    /// PEM files with revocation lists of these authorities. With any, a certificate whose status
    /// no current list tells is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_crl: Vec<String>,
    /// The subject of the client's certificate, as RFC 4514 text such as
    /// `CN=batch,O=Example`. Exactly one of the five `tls_client_auth_…` keys is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// A host name among the certificate's alternative names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// A URI among the certificate's alternative names, such as a SPIFFE ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// An IP address among the certificate's alternative names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// A mail address among the certificate's alternative names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// Whether every token is bound to the certificate of the connection, and none is issued
    /// without one. Beside `binding_methods = ["dpop"]` tokens are bound to both.
    #[serde(default)]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// Which certificates such tokens are good with.
    #[serde(default)]
    pub certificate_binding: CertificateBindingName,
    /// How long after a token its client's certificate may be issued anew and stand in for the
    /// first, with `certificate_binding = "spiffe_id"`: `1s` to `1h`. By default `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_renewal_window: Option<String>,
    /// Where answers of the authorization endpoint may go: https, or http on the loopback host,
    /// whose port may then be any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// Whether the client has to push its authorization requests (RFC 9126).
    #[serde(default)]
    pub require_pushed_authorization_requests: bool,
    /// File with the keys, each with a `kid`, that token requests are signed with, as a JWK set; for
    /// `binding_methods` with `httpsig`. Without it the request brings the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub httpsig_jwks: Option<String>,
    /// Grants the client may use.
    #[serde(default = "client_grants")]
    pub grants: Vec<Grant>,
    /// Scopes the client may ask for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The identity that may become the actor of this client's tokens by exchanging them, and no
    /// other (`may_act`, RFC 8693 section 4.4). Without it, whoever the holder lends its token to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_act: Option<String>,
    /// Resources the client may ask tokens for.
    #[serde(default)]
    pub resources: Vec<String>,
    /// How the client's tokens are bound; with both, by a proof if it sends one, else by its
    /// certificate. With `httpsig` it may sign its token requests; beside others that is one more way.
    /// By default `["mtls"]` with `tls_client_certificate_bound_access_tokens = true`,
    /// else `["dpop"]`. Empty only with `unconstrained = true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding_methods: Option<Vec<ClientBinding>>,
    /// Lets this client have tokens that are bound to no key, which whoever
    /// copies them can use. Each one is recorded with `unconstrained_reason`.
    #[serde(default)]
    pub unconstrained: bool,
    /// Why this client may have unbound tokens; needed with
    /// `unconstrained = true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconstrained_reason: Option<String>,
    /// The `sub` of the client's tokens. By default its `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Whether the client's proofs need a nonce of the issuer.
    #[serde(default)]
    pub nonce: bool,
    /// Audiences whose tokens the client may introspect, beside its own; `"*"`
    /// is all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introspects: Vec<String>,
}

fn client_grants() -> Vec<Grant> {
    vec![Grant::ClientCredentials]
}
