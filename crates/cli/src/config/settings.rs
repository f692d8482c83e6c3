//! The configuration as valid values: what `serve` and `dev` start from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use keybound_edge::forwarded_certificate::CertificateHeaders;
use keybound_edge::listener::tls::Tls;
use keybound_guard::introspection::IntrospectionConfig;
use keybound_guard::keys::KeySet;
use keybound_guard::replay::SharedPlace;
use keybound_guard::status::StatusConfig;
use keybound_guard::workload::TrustDomainConfig;
use keybound_issuer::config::IssuerConfig;
use keybound_proto::binding::BindingMethods;
use keybound_proto::jose::{AlgorithmSet, Signer};
use keybound_proto::uri::{HttpUrl, Origin};
use keybound_proto::verify::{Profile, WorkloadPolicy};
use keybound_proto::workload::IdentityRule;

use super::model::{EnforcementMode, IdentityName, OptionalClaim, ReplayModeName, RouteReplay};
use super::secret::Secret32;

/// Everything that `serve` starts.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where issuer and control keep their state.
    pub(crate) store: Option<StoreSettings>,
    /// The authorization server.
    pub(crate) issuer: Option<IssuerSettings>,
    /// The enforcement point.
    pub(crate) gateway: Option<GatewaySettings>,
    /// The control plane.
    pub(crate) control: Option<ControlSettings>,
    /// Where health and metrics are served.
    pub(crate) management: Option<SocketAddr>,
}

/// The store. `Debug` does not show the key.
pub(crate) struct StoreSettings {
    /// The database file.
    pub(crate) path: PathBuf,
    /// Encrypts signing keys at rest.
    pub(crate) key_encryption_key: Secret32,
}

/// The authorization server.
#[derive(Debug)]
pub(crate) struct IssuerSettings {
    /// Where and how it listens.
    pub(crate) front: FrontSettings,
    /// What it is told.
    pub(crate) config: IssuerConfig,
    /// The file of the nonce secrets, which is read again when it changes.
    pub(crate) nonce_secret_file: Option<PathBuf>,
    /// Browser origins that are let in.
    pub(crate) cors_origins: Vec<Origin>,
}

/// The ways into issuer or gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct FrontSettings {
    /// Without TLS.
    pub(crate) plain: Option<SocketAddr>,
    /// Whether `plain` may be off loopback.
    pub(crate) unsafe_plain_off_loopback: bool,
    /// With TLS.
    pub(crate) tls: Option<TlsSettings>,
    /// Whose certificate fields are believed.
    pub(crate) certificate_headers: Option<CertificateHeaders>,
}

/// A listener with TLS.
#[derive(Debug, Clone)]
pub(crate) struct TlsSettings {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Its files, read.
    pub(crate) tls: Tls,
}

impl FrontSettings {
    /// One listener without TLS, on loopback.
    pub(crate) fn plain(listen: SocketAddr) -> Self {
        Self {
            plain: Some(listen),
            ..Self::default()
        }
    }
}

/// The control plane.
#[derive(Debug)]
pub(crate) struct ControlSettings {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Its public origin.
    pub(crate) url: Origin,
    /// Whose tokens its API accepts.
    pub(crate) issuer: HttpUrl,
}

/// The enforcement point. `Debug` does not show the nonce secret.
pub(crate) struct GatewaySettings {
    /// Public origin.
    pub(crate) url: Origin,
    /// Where and how it listens.
    pub(crate) front: FrontSettings,
    /// The audience of its tokens.
    pub(crate) resource: String,
    /// Where proofs are remembered that several gateways share; `None`: in memory.
    pub(crate) shared_replay: Option<SharedPlace>,
    /// What a restart means for proofs made before it.
    pub(crate) replay_mode: ReplayModeName,
    /// Most proofs remembered at once.
    pub(crate) replay_capacity: usize,
    /// Most proofs of one key remembered at once.
    pub(crate) replay_per_key: usize,
    /// What nonces are made with.
    pub(crate) nonce_secret: Secret32,
    /// Further secrets whose nonces are taken.
    pub(crate) nonce_also: Vec<Secret32>,
    /// The file that holds them, to be read again.
    pub(crate) nonce_secret_file: Option<PathBuf>,
    /// Where cursor, view and spool are kept.
    pub(crate) state_dir: PathBuf,
    /// Largest request body, in bytes.
    pub(crate) max_body_bytes: u64,
    /// How long an upstream may take to begin its answer, in seconds.
    pub(crate) upstream_timeout: u64,
    /// Browser origins that are let in.
    pub(crate) cors_origins: Vec<Origin>,
    /// Signs assertions; one of the gateway's own is made when absent.
    pub(crate) assertion_key: Option<Arc<dyn Signer>>,
    /// Which proofs are accepted.
    pub(crate) profile: Profile,
    /// Where revocations come from and events go to.
    pub(crate) control: Option<GatewayControlSettings>,
    /// Issuers whose tokens are accepted.
    pub(crate) issuers: Vec<GatewayIssuerSettings>,
    /// Trust domains whose workloads are known.
    pub(crate) trust_domains: Vec<TrustDomainConfig>,
    /// What is taken of workloads' proofs.
    pub(crate) workloads: WorkloadPolicy,
    /// What is behind the gateway.
    pub(crate) routes: Vec<RouteSettings>,
}

/// The gateway's connection to control.
#[derive(Debug, Clone)]
pub(crate) struct GatewayControlSettings {
    /// Origin of control.
    pub(crate) url: Origin,
    /// The gateway's client at the issuer.
    pub(crate) client_id: String,
    /// The gateway's key.
    pub(crate) key: Arc<dyn Signer>,
    /// Where the gateway gets its token.
    pub(crate) issuer: HttpUrl,
    /// How long a silent control is borne, in seconds.
    pub(crate) max_age: u64,
}

/// An issuer whose tokens are accepted.
#[derive(Debug)]
pub(crate) struct GatewayIssuerSettings {
    /// The issuer identifier.
    pub(crate) url: HttpUrl,
    /// Signature algorithms accepted from it.
    pub(crate) algorithms: AlgorithmSet,
    /// How its tokens may be bound, among what a route takes.
    pub(crate) binding_methods: BindingMethods,
    /// The audience of its tokens, where it is not the gateway's.
    pub(crate) audience: Option<String>,
    /// Its keys, where they are given.
    pub(crate) jwks: Option<KeySet>,
    /// The claim that holds the scopes.
    pub(crate) scope_claim: String,
    /// How its status lists are used.
    pub(crate) status: StatusConfig,
    /// How it is asked about tokens.
    pub(crate) introspection: Option<IntrospectionConfig>,
    /// Where its key set is, when metadata shall not decide.
    pub(crate) jwks_uri: Option<HttpUrl>,
    /// Origins its `jwks_uri` may have beside its own.
    pub(crate) jwks_origins: Vec<Origin>,
    /// What its tokens may lack.
    pub(crate) may_lack: Vec<OptionalClaim>,
}

/// What is behind one path.
#[derive(Debug)]
pub(crate) struct RouteSettings {
    /// Path prefix, matched by whole segments.
    pub(crate) path: String,
    /// Where requests are forwarded.
    pub(crate) upstream: Origin,
    /// What is asked of a request.
    pub(crate) enforcement: EnforcementMode,
    /// The audience of tokens.
    pub(crate) resource: String,
    /// Whether that is the route's own, so that no issuer's replaces it.
    pub(crate) own_resource: bool,
    /// Issuers taken; empty: every one.
    pub(crate) issuers: Vec<String>,
    /// How a caller may show possession.
    pub(crate) binding_methods: BindingMethods,
    /// Scopes needed, by method.
    pub(crate) scopes: BTreeMap<String, Vec<String>>,
    /// Whether proofs need a nonce.
    pub(crate) nonce: bool,
    /// Whether a good proof is used up here.
    pub(crate) replay: RouteReplay,
    /// How the upstream learns who calls.
    pub(crate) identity: IdentityName,
    /// Origins of agents that come without a token.
    pub(crate) agents: Vec<Origin>,
    /// Whether proofs have to cover the body.
    pub(crate) cover_content: bool,
    /// Largest request body held until its digest is checked, in bytes.
    pub(crate) max_signed_body_bytes: u64,
    /// Workloads that may present themselves.
    pub(crate) identities: Vec<IdentityRule>,
}

impl Settings {
    /// Every configured listener with the key that sets it.
    pub(crate) fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let front = |front: &FrontSettings, plain, tls| {
            let plain = front.plain.map(|listen| (plain, listen));
            [plain, front.tls.as_ref().map(|with| (tls, with.listen))]
        };
        let issuer = self
            .issuer
            .as_ref()
            .map(|issuer| front(&issuer.front, "issuer.listen", "issuer.tls.listen"));
        let gateway = self
            .gateway
            .as_ref()
            .map(|gateway| front(&gateway.front, "gateway.listen", "gateway.tls.listen"));
        let control = self
            .control
            .as_ref()
            .map(|control| ("control.listen", control.listen));
        let management = self.management.map(|listen| ("management.listen", listen));
        let fronts = [issuer, gateway].into_iter().flatten().flatten();
        fronts.chain([control, management]).flatten().collect()
    }
}

impl Settings {
    /// Every TLS listener, by the name of its section.
    pub(crate) fn tls(&self) -> Vec<(&'static str, Tls)> {
        let of = |front: &FrontSettings| front.tls.as_ref().map(|with| with.tls.clone());
        let issuer = self.issuer.as_ref().and_then(|issuer| of(&issuer.front));
        let gateway = self.gateway.as_ref().and_then(|gateway| of(&gateway.front));
        [("issuer", issuer), ("gateway", gateway)]
            .into_iter()
            .filter_map(|(name, tls)| Some((name, tls?)))
            .collect()
    }
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoreSettings")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GatewaySettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GatewaySettings")
            .field("url", &self.url)
            .field("front", &self.front)
            .field("resource", &self.resource)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}
