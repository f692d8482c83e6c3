//! The values of keys that take one of a few names. What later releases bring
//! stands in `config::later`, not here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the issuer remembers proof identifiers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IssuerReplay {
    /// In the store, so that they survive a restart.
    #[default]
    Store,
}

/// What a route does with a good proof.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RouteReplay {
    /// Uses it up.
    #[default]
    Consume,
    /// Looks whether it was used, and leaves it to a second gate behind this
    /// one, which must use it up.
    CheckOnly,
}

/// What a restart means for proofs made before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReplayModeName {
    /// No proof made before the start is accepted again.
    #[default]
    Strict,
    /// A proof made before the start may be accepted once more.
    BestEffort,
}

/// Algorithm of token signatures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub(crate) enum SigningAlg {
    /// ECDSA with P-256 and SHA-256.
    #[default]
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// Algorithm of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub(crate) enum ProofAlg {
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA with P-384 and SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

/// Algorithm of an accepted token's signature.
pub(crate) type TokenAlg = ProofAlg;

/// Who may register clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RegistrationModeName {
    /// Anyone who reaches the endpoint.
    Open,
    /// Holders of the initial access token.
    Token,
    /// Nobody.
    #[default]
    Closed,
}

/// How a client authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::enum_variant_names,
    reason = "the registered names of the methods, as the file has them"
)]
pub(crate) enum ClientAuth {
    /// It does not: a public client, whose tokens are bound to its key all the same.
    None,
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt,
    /// A secret in the `Authorization` header (RFC 6749 section 2.3.1).
    ClientSecretBasic,
    /// The certificate of its connection, with one name, from an authority in `client_ca`
    /// (RFC 8705 section 2.1).
    TlsClientAuth,
    /// The certificate of its connection, registered in `jwks` itself or by its key (RFC 8705
    /// section 2.2).
    SelfSignedTlsClientAuth,
}

/// How a client binds its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientBinding {
    /// By a DPoP proof (RFC 9449).
    Dpop,
    /// By the certificate of its connection (RFC 8705).
    Mtls,
    /// By a signature over the token request (RFC 9421, draft-richer-oauth-httpsig).
    Httpsig,
}

/// Which certificates a certificate-bound token is good with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CertificateBindingName {
    /// The one it was issued for (RFC 8705 section 3). A renewed certificate needs a new token.
    #[default]
    Certificate,
    /// Every certificate of the same public key. Resource servers that know RFC 8705 only still
    /// ask for the one it was issued for.
    PublicKey,
    /// Every certificate that the trust domain issues to the same SPIFFE ID within
    /// `certificate_renewal_window`. Gateways verify it with the trust domain's bundle.
    SpiffeId,
}

/// Grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Grant {
    /// RFC 6749 section 4.1.
    AuthorizationCode,
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 6749 section 6.
    RefreshToken,
    /// RFC 8693.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
}

/// How a caller of a route may show possession.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RouteBinding {
    /// DPoP (RFC 9449).
    Dpop,
    /// The client certificate of the connection (RFC 8705), an X.509-SVID among them.
    Mtls,
    /// A signature over the request (RFC 9421).
    Httpsig,
    /// A workload identity token with a proof by its key (WIMSE).
    Wimse,
}

/// How revocations reach the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SignalDelivery {
    /// The gateway asks, with long-polling (RFC 8936).
    #[default]
    Poll,
}

/// Claims and header members an issuer may leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OptionalClaim {
    /// The token's identifier; the token is then known by its hash.
    Jti,
    /// The client.
    ClientId,
    /// The header's key identifier; the issuer must then have one key for the
    /// algorithm.
    Kid,
    /// The header's type: `JWT` or nothing instead of `at+jwt`.
    Typ,
    /// The audience, in answers of introspection.
    Aud,
    /// The end, in answers of introspection.
    Exp,
    /// The identity, in answers of introspection: it is then the client.
    Sub,
}

/// Whether an issuer's status lists are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StatusListName {
    /// They are not.
    #[default]
    Off,
    /// Where a token names a place in one.
    Check,
    /// Always: a token without a place in one is refused.
    Require,
}

/// What a route asks of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EnforcementMode {
    /// Forwards without reading credentials.
    Off,
    /// A bound token and a good proof.
    Require,
}

/// How the upstream learns who calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IdentityName {
    /// A signed `Keybound-Assertion`, reused for the token for at most 60 s.
    #[default]
    Assertion,
    /// A signed `Keybound-Assertion` of its own for every request.
    AssertionPerRequest,
    /// Plain headers, for an upstream that nobody else can reach.
    Headers,
    /// Nothing.
    None,
}

/// Whether clients of a TLS listener are asked for a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientCertificatesName {
    /// They are not asked.
    #[default]
    None,
    /// They are asked and may have none.
    Optional,
    /// The handshake fails without one.
    Required,
}

/// The form in which a TLS terminator hands certificates on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CertificateProfileName {
    /// AWS Application Load Balancer, mutual TLS passthrough.
    AwsAlbPassthrough,
    /// AWS Application Load Balancer, mutual TLS verify.
    AwsAlbVerify,
    /// AWS CloudFront: the hash alone.
    #[serde(rename = "aws-cloudfront")]
    AwsCloudFront,
    /// Caddy with RFC 9440 fields.
    Caddy,
    /// Cloudflare with RFC 9440 fields and its verdicts.
    Cloudflare,
    /// Envoy: the last element of `X-Forwarded-Client-Cert`.
    Envoy,
    /// HAProxy with RFC 9440 fields.
    #[serde(rename = "haproxy")]
    HaProxy,
    /// nginx or Apache httpd: `X-Ssl-Client-Escaped-Cert`, `X-Ssl-Client-Verify`.
    Nginx,
    /// `Client-Cert` and `Client-Cert-Chain`.
    Rfc9440,
    /// Traefik: `X-Forwarded-Tls-Client-Cert`.
    Traefik,
}
