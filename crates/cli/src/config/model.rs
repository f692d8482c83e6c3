//! `keybound.toml` as it is written: every section, key, default and
//! description. The JSON Schema of `keybound config schema`, the valid keys of
//! an error message and `docs/reference/config.md` are all made from these
//! types.
//!
//! What is *not* decided here: whether the values fit together; that is
//! [`super::validate`].

mod authorization;
mod choices;
mod client;
mod control;
mod delegation;
mod front;
mod introspection;
mod workloads;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::authorization::AuthorizationSection;
pub(crate) use self::choices::{
    CertificateBindingName, CertificateProfileName, ClientAuth, ClientBinding,
    ClientCertificatesName, EnforcementMode, Grant, IdentityName, IssuerReplay, OptionalClaim,
    ProofAlg, RegistrationModeName, ReplayModeName, RouteBinding, RouteReplay, SignalDelivery,
    SigningAlg, StatusListName, TokenAlg,
};
pub(crate) use self::client::ClientSection;
pub(crate) use self::control::{ControlSection, ManagementSection};
pub(crate) use self::delegation::DelegationSection;
pub(crate) use self::front::{CertificateHeaderSection, TlsSection};
pub(crate) use self::introspection::{AnswerFormName, IntrospectionMode, IntrospectionSection};
pub(crate) use self::workloads::{TrustDomainSection, WorkloadProfileName, WorkloadSection};

/// The whole file. `keybound serve` starts whichever of the sections `issuer`,
/// `gateway` and `control` it has.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileConfig {
    /// Where the issuer and control keep their state. Needed by both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreSection>,
    /// The authorization server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerSection>,
    /// The enforcement point in front of HTTP APIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewaySection>,
    /// The control plane: locks, revocation, events, signals to gateways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlSection>,
    /// Health and metrics, on a listener of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub management: Option<ManagementSection>,
}

/// The store of issuer and control.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreSection {
    /// `sqlite:` and the path of the database file.
    pub url: String,
    /// File with the key that encrypts signing keys at rest: 32 bytes as
    /// base64url, mode 0600. The variable
    /// `KEYBOUND_STORE__KEY_ENCRYPTION_KEY` may hold the key instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_encryption_key_file: Option<String>,
}

/// The authorization server.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssuerSection {
    /// The issuer identifier: the `iss` of tokens and the base of every
    /// endpoint.
    pub url: String,
    /// Base of the endpoints that clients use with their certificate
    /// (`mtls_endpoint_aliases`), served by `issuer.tls`. Without it, `issuer.url`
    /// itself is where certificates are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtls_url: Option<String>,
    /// Address to listen on without TLS, on loopback; `none` where `issuer.tls`
    /// is the only way in.
    #[serde(default = "issuer_listen")]
    pub listen: String,
    /// Lets `listen` be an address off loopback, where whoever is on the way
    /// reads requests and answers.
    #[serde(default)]
    pub unsafe_plain_off_loopback: bool,
    /// A listener with TLS. By default on `127.0.0.1:9443`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSection>,
    /// Client certificates that a TLS terminator in front hands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_header: Option<CertificateHeaderSection>,
    /// Where proof and assertion identifiers are remembered.
    #[serde(default)]
    pub replay: IssuerReplay,
    /// Access tokens.
    #[serde(default)]
    pub tokens: TokensSection,
    /// Which proofs are accepted at the token endpoint.
    #[serde(default)]
    pub proof: ProofSection,
    /// Whether proofs of every client need a nonce of the issuer.
    #[serde(default)]
    pub nonce: bool,
    /// File with the secret nonces are made with: 32 bytes as base64url, mode
    /// 0600. Without it a secret is made at start, and a nonce of the time
    /// before costs its client one more round trip; nodes of one issuer share the
    /// file. Further lines are secrets whose nonces are taken too; the file is
    /// read again within seconds when it changes. The variable
    /// `KEYBOUND_ISSUER__NONCE_SECRET` may hold it instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce_secret_file: Option<String>,
    /// When signing keys change.
    #[serde(default)]
    pub rotation: RotationSection,
    /// The authorization endpoint, for clients that act for people. Without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<AuthorizationSection>,
    /// Who may register clients.
    #[serde(default)]
    pub registration: RegistrationSection,
    /// Browser origins that may read answers of the endpoints for clients.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cors_origins: Vec<String>,
    /// Resource servers that tokens may be made for. The resources of
    /// `gateway` and `control` in the same file are known without being listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<ResourceSection>,
    /// Clients that are not registered at run time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client: Vec<ClientSection>,
    /// Resource servers that may exchange the tokens that come to them (RFC 8693) without a proof
    /// of the tokens' holders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegation: Vec<DelegationSection>,
}

/// Access tokens.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokensSection {
    /// Lifetime of an access token: `30s` to `1h`.
    pub access_ttl: String,
    /// Algorithm of the token signature.
    pub signing_alg: SigningAlg,
    /// How long a grant can be refreshed: `1m` to `365d`.
    pub refresh_ttl: String,
    /// How long a used refresh token is taken once more from the same key, as long as nobody has
    /// used its successor, because the answer was lost: `0s` to `10m`.
    pub refresh_overlap: String,
    /// Whether each refresh token is used once, for the next. Without, one is good until its
    /// grant ends, for the key it is bound to.
    pub refresh_rotation: bool,
}

/// Which proofs are accepted, and how old they may be.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProofSection {
    /// How far back the `iat` of a proof may lie: `1s` to `300s`.
    pub past: String,
    /// How far ahead the `iat` of a proof may lie: `0s` to `300s`.
    pub ahead: String,
    /// Proof algorithms.
    pub algorithms: Vec<ProofAlg>,
}

/// When signing keys change.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RotationSection {
    /// Age at which a signing key is replaced: `1h` or more.
    pub every: String,
    /// How long a new key is published before it signs, and an old one after
    /// its last token: `5m` or more, less than `every`.
    pub overlap: String,
}

/// Who may register clients (RFC 7591).
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RegistrationSection {
    /// `open`: anyone who reaches the endpoint; `token`: holders of the initial
    /// access token; `closed`: nobody.
    pub mode: RegistrationModeName,
    /// File with the initial access token of mode `token`, mode 0600. The
    /// variable `KEYBOUND_ISSUER__REGISTRATION__TOKEN` may hold it instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// Scopes a registered client may ask for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Resources a registered client may ask tokens for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// PEM file with the authorities that may vouch for clients that register with
    /// `tls_client_auth`. Without it none can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<String>,
    /// Most clients that may be registered at once.
    pub max_clients: u32,
}

/// A resource server that tokens may be made for.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourceSection {
    /// The resource indicator (RFC 8707): the `aud` of its tokens.
    pub url: String,
    /// Scopes that mean something there.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// The enforcement point in front of HTTP APIs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewaySection {
    /// Public origin: the base of every `htu`.
    pub url: String,
    /// Address to listen on without TLS, on loopback; `none` where `gateway.tls`
    /// is the only way in.
    #[serde(default = "gateway_listen")]
    pub listen: String,
    /// Lets `listen` be an address off loopback, where whoever is on the way
    /// reads tokens, requests and answers.
    #[serde(default)]
    pub unsafe_plain_off_loopback: bool,
    /// A listener with TLS. By default on `127.0.0.1:9444`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSection>,
    /// Client certificates that a TLS terminator in front hands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_header: Option<CertificateHeaderSection>,
    /// The audience of tokens for this gateway. By default `url` and `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Where proof identifiers are remembered: `memory`, for one gateway, or the
    /// store that all gateways of this audience share: `redis://HOST:PORT`,
    /// `rediss://…` with TLS, `redis-cluster://HOST:PORT,HOST:PORT`,
    /// `postgres://USER@HOST/DATABASE`. Options follow a `?`:
    /// `password_file=PATH`, `ca_file=PATH`, `log=unlogged`, and others that
    /// docs/operations/replay-stores.md names.
    #[serde(default = "gateway_replay")]
    pub replay: String,
    /// How long a shared replay log may take to answer: `1s` to `10s`. Then 503.
    #[serde(default = "replay_timeout")]
    pub replay_timeout: String,
    /// What a restart means for proofs made before it. `strict`: none of them
    /// is accepted again; `best-effort`: one may be, within the proof window.
    #[serde(default)]
    pub replay_mode: ReplayModeName,
    /// Most proofs remembered at once, over all keys.
    #[serde(default = "replay_capacity")]
    pub replay_capacity: u32,
    /// Most proofs of one key remembered at once.
    #[serde(default = "replay_per_key")]
    pub replay_per_key: u32,
    /// File with the secret nonces are made with: 32 bytes as base64url, mode
    /// 0600. Without it a secret is made at start, and a nonce of the time
    /// before costs its client one more round trip; gateways that share a replay
    /// log must share the file. Further lines are secrets whose nonces are taken
    /// too; the file is read again within seconds when it changes. The variable
    /// `KEYBOUND_GATEWAY__NONCE_SECRET` may hold it instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce_secret_file: Option<String>,
    /// Directory for the revocation view, its cursor and the event spool; made
    /// with mode 0700 when missing.
    #[serde(default = "gateway_state_dir")]
    pub state_dir: String,
    /// Largest request body that is forwarded, in bytes.
    #[serde(default = "max_body_bytes")]
    pub max_body_bytes: u32,
    /// How long an upstream may take to begin its answer: `1s` to `1h`. Then
    /// 504.
    #[serde(default = "upstream_timeout")]
    pub upstream_timeout: String,
    /// Browser origins whose pages may call through the gateway and read its
    /// answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cors_origins: Vec<String>,
    /// Key that signs `Keybound-Assertion`: `file:` and a path. By default one is
    /// made at the first start and kept in `state_dir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion_key: Option<String>,
    /// Which proofs are accepted.
    #[serde(default)]
    pub proof: ProofSection,
    /// Where revocations come from and events go to. Without it the gateway
    /// cannot learn of a lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<GatewayControlSection>,
    /// Issuers whose tokens are accepted.
    #[serde(default)]
    pub issuer: Vec<GatewayIssuerSection>,
    /// Trust domains whose workloads are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trust_domain: Vec<TrustDomainSection>,
    /// What is taken of workloads' proofs.
    #[serde(default)]
    pub workload: WorkloadSection,
    /// What is behind the gateway. The longest matching path wins.
    #[serde(default)]
    pub route: Vec<RouteSection>,
}

/// Revocations in, events out.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayControlSection {
    /// Origin of the control plane.
    pub url: String,
    /// How revocations reach the gateway.
    #[serde(default)]
    pub signals: SignalDelivery,
    /// The gateway's own client at the issuer.
    pub client_id: String,
    /// The gateway's own key: `file:` and a path; authenticates the client and
    /// binds its tokens.
    pub key: String,
    /// Issuer of the gateway's own token. By default the `url` of the section
    /// `issuer`, or of the only `gateway.issuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// How long tokens are accepted after the last word from control; then 503
    /// until it is heard from again.
    #[serde(default = "revocation_max_age")]
    pub max_age: String,
}

/// An issuer whose tokens are accepted.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayIssuerSection {
    /// The issuer identifier, compared exactly with `iss`.
    pub url: String,
    /// Signature algorithms accepted from it.
    #[serde(default = "token_algorithms")]
    pub algorithms: Vec<TokenAlg>,
    /// How its tokens may be bound, among what a route takes. By default every
    /// one of the route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub binding_methods: Vec<RouteBinding>,
    /// The `aud` of its tokens, where it is not the gateway's `resource`. Routes
    /// with a `resource` of their own want that one all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Where its key set is, when its metadata shall not decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// File with its public keys as a JWK set, for an issuer that is not asked
    /// for them. Read at start only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<String>,
    /// Origins other than its own that its `jwks_uri` may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jwks_origins: Vec<String>,
    /// What this issuer leaves out of its tokens or answers, although the
    /// standards ask for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_lack: Vec<OptionalClaim>,
    /// The claim that holds the scopes: one text, or a list of names.
    #[serde(default = "scope_claim")]
    pub scope_claim: String,
    /// Whether its status lists say if a token still counts.
    #[serde(default)]
    pub status_list: StatusListName,
    /// Origins other than its own that its status lists may be fetched from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status_list_origins: Vec<String>,
    /// How it is asked about tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection: Option<IntrospectionSection>,
}

/// What is behind one path.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteSection {
    /// Path prefix, matched by whole segments.
    pub path: String,
    /// Origin that requests are forwarded to.
    pub upstream: String,
    /// `require`: a bound token and a good proof; `off`: forwards without
    /// reading credentials.
    pub enforcement: EnforcementMode,
    /// How tokens may be bound.
    #[serde(default = "route_binding_methods")]
    pub binding_methods: Vec<RouteBinding>,
    /// Workloads that may present themselves here, without an access token: whole
    /// identifiers, or one followed by `/*` for everything beneath.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
    /// The audience of tokens for this route. By default that of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Issuers whose tokens are taken here, by their `url`. By default every
    /// one of the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<String>,
    /// Scopes needed, by method. A method that is not listed is refused with
    /// 405; `HEAD` counts as `GET`. Without this every method is let through and
    /// no scope is needed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scopes: BTreeMap<String, Vec<String>>,
    /// Whether proofs need a nonce of the gateway.
    #[serde(default)]
    pub nonce: bool,
    /// `consume`: a good proof is used up here; `check-only`: a second gate
    /// behind this one uses it up, so token and proof are forwarded to it.
    #[serde(default)]
    pub replay: RouteReplay,
    /// How the upstream learns who calls.
    #[serde(default)]
    pub identity: IdentityName,
    /// Origins of agents that come without a token and are let through when
    /// their HTTP message signature verifies (Web Bot Auth), for example
    /// `https://agent.example`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// Whether the proof of a request with a body has to cover the body: an HTTP
    /// signature by `content-digest`, a DPoP proof by the claim
    /// `content_digest`. Workload proof tokens cover none, so a request with one
    /// has no body here. A token bound to the client certificate alone needs
    /// nothing: TLS covers what the connection carries.
    #[serde(default)]
    pub cover_content: bool,
    /// Largest request body that is held until the digest a proof covers is
    /// checked, in bytes. Then 413.
    #[serde(default = "max_signed_body_bytes")]
    pub max_signed_body_bytes: u32,
}

impl Default for TokensSection {
    fn default() -> Self {
        Self {
            access_ttl: "5m".to_owned(),
            signing_alg: SigningAlg::default(),
            refresh_ttl: "30d".to_owned(),
            refresh_overlap: "60s".to_owned(),
            refresh_rotation: true,
        }
    }
}

impl Default for ProofSection {
    fn default() -> Self {
        Self {
            past: "60s".to_owned(),
            ahead: "10s".to_owned(),
            algorithms: vec![ProofAlg::Es256, ProofAlg::EdDsa],
        }
    }
}

impl Default for RotationSection {
    fn default() -> Self {
        Self {
            every: "30d".to_owned(),
            overlap: "1d".to_owned(),
        }
    }
}

impl Default for RegistrationSection {
    fn default() -> Self {
        Self {
            mode: RegistrationModeName::default(),
            token_file: None,
            scopes: Vec::new(),
            resources: Vec::new(),
            client_ca: None,
            max_clients: 10_000,
        }
    }
}

fn issuer_listen() -> String {
    "127.0.0.1:9400".to_owned()
}

fn gateway_listen() -> String {
    "127.0.0.1:9401".to_owned()
}

fn gateway_state_dir() -> String {
    "/var/lib/keybound/gateway".to_owned()
}

fn upstream_timeout() -> String {
    "60s".to_owned()
}

const fn max_signed_body_bytes() -> u32 {
    1024 * 1024
}

const fn max_body_bytes() -> u32 {
    16 * 1024 * 1024
}

fn revocation_max_age() -> String {
    "60s".to_owned()
}

fn route_binding_methods() -> Vec<RouteBinding> {
    vec![RouteBinding::Dpop]
}

fn scope_claim() -> String {
    "scope".to_owned()
}

fn token_algorithms() -> Vec<TokenAlg> {
    vec![ProofAlg::Es256, ProofAlg::EdDsa]
}

fn gateway_replay() -> String {
    "memory".to_owned()
}

fn replay_timeout() -> String {
    "1s".to_owned()
}

const fn replay_capacity() -> u32 {
    1_000_000
}

const fn replay_per_key() -> u32 {
    50_000
}
