//! What the issuer is told at start. The command line parses files and the
//! environment into these types; nothing here reads either.
//!
//! Secrets among them (initial access token, client secrets) are SHA-256
//! digests already, and the nonce secret does not show in `Debug`.

use std::fmt;
use std::sync::Arc;

use keybound_proto::certificate::{ClientName, TrustAnchors};
use keybound_proto::jose::{Algorithm, AlgorithmSet};
use keybound_proto::uri::HttpUrl;
use keybound_proto::verify::Profile;
use zeroize::Zeroizing;

pub use crate::flow::client::{CertificateUse, Exemption, GrantType, Sight};
pub use crate::flow::rotation::Rotation;
pub use crate::flow::secret::SecretDigest;
pub use keybound_proto::token::CertificateRenewal;
pub use keybound_proto::wire::ErrorDetail;

/// Everything an issuer needs to know.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// Issuer identifier and base of every endpoint, exactly as clients and
    /// tokens say it. Also the only source of every `htu`.
    pub url: HttpUrl,
    /// The name events carry for this process, for example `issuer-1`.
    pub node: String,
    /// How long an access token lives, in seconds.
    pub access_ttl: u64,
    /// Refresh tokens.
    pub refresh: RefreshConfig,
    /// The authorization endpoint; `None` where nobody authorizes clients.
    pub authorization: Option<AuthorizationConfig>,
    /// What access tokens are signed with: ES256 or EdDSA.
    pub signing_algorithm: Algorithm,
    /// How often signing keys change.
    pub rotation: Rotation,
    /// Clients known from the configuration.
    pub clients: Vec<ClientConfig>,
    /// The resources tokens are minted for, and their scopes.
    pub resources: Vec<ResourceConfig>,
    /// Who may act for whom without the holder's proof.
    pub delegations: Vec<DelegationConfig>,
    /// Dynamic registration.
    pub registration: RegistrationConfig,
    /// Client certificates; `None` where no listener asks for one.
    pub certificates: Option<CertificatesConfig>,
    /// Which proofs are acceptable: algorithms, window, sizes.
    pub profile: Profile,
    /// Which algorithms client assertions may have.
    pub assertion_algorithms: AlgorithmSet,
    /// Server nonces.
    pub nonce: NonceConfig,
    /// How much a refusal tells the caller.
    pub error_detail: ErrorDetail,
    /// Browser origins that may read answers of the client-facing endpoints
    /// (`scheme://host[:port]`). Metadata and keys are readable by all.
    pub cors_origins: Vec<String>,
}

impl IssuerConfig {
    /// What client assertions may be signed with unless the configuration says
    /// otherwise. RS256 is not among them.
    pub const DEFAULT_ASSERTION_ALGORITHMS: AlgorithmSet =
        AlgorithmSet::of(&[Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256]);
}

/// Refresh tokens (RFC 6749 section 6). A client has them if it may use the grant.
#[derive(Clone, Copy, Debug)]
pub struct RefreshConfig {
    /// How long a grant lives, in seconds, however often it is refreshed.
    pub ttl: u64,
    /// How long, in seconds, a used refresh token is taken once more from the same key, as long
    /// as nobody used its successor: the answer was lost.
    pub overlap: u64,
    /// Whether each refresh token is used once, for the next (RFC 9700 section 4.14.2). Without,
    /// one stays until its grant ends (FAPI 2.0 section 5.3.2.1).
    pub rotates: bool,
}

impl Default for RefreshConfig {
    fn default() -> Self {
        Self {
            ttl: 30 * 86_400,
            overlap: 60,
            rotates: true,
        }
    }
}

/// The authorization endpoint (RFC 6749 section 3.1) and what is pushed to it (RFC 9126).
#[derive(Clone, Debug)]
pub struct AuthorizationConfig {
    /// How long a code is good for, in seconds; at most 60 (FAPI 2.0 section 5.3.2.1).
    pub code_ttl: u64,
    /// How long a pushed request is good for, in seconds; below 600 (FAPI 2.0 section 5.3.2.2).
    pub request_ttl: u64,
    /// Whether every client has to push its requests.
    pub pushed_only: bool,
    /// Who decides.
    pub approval: Approval,
}

/// Who decides about authorization requests.
#[derive(Clone, Debug)]
pub enum Approval {
    /// Nobody: each is allowed at once, in the name of this identity. For development, and for
    /// tests that have no browser.
    Automatic {
        /// `sub` of the tokens.
        identity: String,
    },
    /// A person who is logged in, on a page of the issuer.
    Person,
}

/// Client certificates (RFC 8705).
#[derive(Clone, Debug, Default)]
pub struct CertificatesConfig {
    /// Base of the endpoints a client connects to with its certificate
    /// (`mtls_endpoint_aliases`), served by
    /// [`Issuer::alias_router`](crate::Issuer::alias_router). `None` where the issuer's own URL
    /// asks for certificates.
    pub alias: Option<HttpUrl>,
}

/// One resource.
#[derive(Clone, Debug)]
pub struct ResourceConfig {
    /// The audience, compared exactly: an absolute URI without fragment.
    pub identifier: String,
    /// The scopes that mean something there.
    pub scopes: Vec<String>,
}

/// One client of the configuration.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `client_id`.
    pub id: String,
    /// The identity its tokens are about (`sub`); the id where absent.
    pub identity: Option<String>,
    /// How it authenticates.
    pub authentication: ClientAuthentication,
    /// The grants it may use; none for a client that only introspects.
    pub grants: Vec<GrantType>,
    /// What it may ask for at most.
    pub scopes: Vec<String>,
    /// The resources it may have tokens for.
    pub resources: Vec<String>,
    /// Whether it may go without proof of a key. `None` for every client that
    /// is bound, which is what clients are.
    pub unconstrained: Option<Exemption>,
    /// What a certificate means for its tokens.
    pub certificate: CertificateUse,
    /// How it may sign its token requests.
    pub signing: RequestSigningConfig,
    /// Whether its proofs need a server nonce, beside what
    /// [`NonceConfig::required`] says.
    pub nonce: bool,
    /// Whose tokens it may introspect.
    pub sight: Sight,
    /// Where answers of the authorization endpoint may go.
    pub redirect_uris: Vec<String>,
    /// Whether it has to push its authorization requests.
    pub pushed_only: bool,
    /// The identity that may become the actor of its tokens by exchanging them, and no other
    /// (`may_act`, RFC 8693 section 4.4).
    pub may_act: Option<String>,
}

/// A rule under which a resource server exchanges tokens that came to it, without a proof of
/// their holders (RFC 8693).
#[derive(Clone, Debug)]
pub struct DelegationConfig {
    /// Its name, which every token that comes of it is recorded with.
    pub name: String,
    /// The identity whose tokens these are; `*` for any.
    pub subject: String,
    /// The client that exchanges them.
    pub actor: String,
    /// The resources that the client serves: only tokens for one of them are exchanged.
    pub serves: Vec<String>,
    /// Resources that the new token may be for, beside those of the subject token that the client
    /// may have tokens for.
    pub resources: Vec<String>,
    /// The scopes the new token may have at most.
    pub scopes: Vec<String>,
}

/// How a configured client may sign its token requests (draft-richer-oauth-httpsig-03).
#[derive(Clone, Debug, Default)]
pub enum RequestSigningConfig {
    /// Not at all.
    #[default]
    Refused,
    /// It may.
    Taken {
        /// The text of a JWK Set of the only keys, each with a `kid`; none where the request brings
        /// the key.
        jwks: Option<String>,
        /// Whether another proof of possession is as good.
        optional: bool,
    },
}

/// How a configured client authenticates.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// `client_secret_basic`; only the digest is known.
    ClientSecretBasic(SecretDigest),
    /// `none`: a public client. Its tokens are bound all the same.
    Public,
    /// `private_key_jwt`, with the text of the client's JWK Set.
    PrivateKeyJwt {
        /// A JWK Set (RFC 7517 section 5) of public keys.
        jwks: String,
    },
    /// `self_signed_tls_client_auth`, with the text of the client's JWK Set.
    SelfSignedTlsClientAuth {
        /// A JWK Set of public keys, with `x5c` where a certificate itself is registered.
        jwks: String,
    },
    /// `tls_client_auth`: one name, and who may vouch for it.
    TlsClientAuth {
        /// The name.
        name: ClientName,
        /// The authorities.
        anchors: Arc<TrustAnchors>,
    },
}

/// Who may register.
#[derive(Clone, Debug, Default)]
pub enum RegistrationMode {
    /// Nobody.
    #[default]
    Closed,
    /// Anybody who reaches the endpoint.
    Open,
    /// Whoever has the initial access token with this digest.
    Token(SecretDigest),
}

/// Dynamic registration.
#[derive(Clone, Debug, Default)]
pub struct RegistrationConfig {
    /// Who may register.
    pub mode: RegistrationMode,
    /// The resources a registered client may have tokens for.
    pub resources: Vec<String>,
    /// The scopes it gets, or a subset of them.
    pub scopes: Vec<String>,
    /// The authorities that may vouch for clients registered with `tls_client_auth`; without
    /// them there are none.
    pub client_anchors: Option<Arc<TrustAnchors>>,
    /// How many registered clients there may be; further ones are refused, so
    /// that an open endpoint cannot fill the disk.
    pub max_clients: u64,
}

/// Server nonces for proofs (RFC 9449 section 8).
#[derive(Clone)]
pub struct NonceConfig {
    /// The secret all nodes of one issuer share.
    pub secret: Zeroizing<[u8; 32]>,
    /// Further secrets whose nonces are taken, while nodes go from one secret to another.
    pub also: Vec<Zeroizing<[u8; 32]>>,
    /// How long a nonce is accepted, in seconds.
    pub lifetime: u64,
    /// Whether every client needs one.
    pub required: bool,
}

impl fmt::Debug for NonceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceConfig")
            .field("lifetime", &self.lifetime)
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}
