//! Issuer's key set, guard, gateway, listener and upstream, connected by loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keybound_custody::SoftwareKey;
use keybound_edge::gateway::{
    CorsConfig, Enforcement, Gateway, GatewayConfig, IdentityForm, RouteConfig, UpstreamTimeouts,
};
use keybound_edge::listener::{Listener, ListenerConfig, ListenerKind};
use keybound_edge::{Drained, Shutdown, ShutdownTrigger};
use keybound_guard::workload::{BundleSource, TrustDomainConfig};
use keybound_guard::{
    Guard, GuardConfig, IssuerConfig, MemorySink, MethodScopes, NonceRule, Route,
};
use keybound_proto::dpop::{ProofRequest, signing_input};
use keybound_proto::jose::{Algorithm, AlgorithmSet, Signer, SigningInput};
use keybound_proto::time::{Clock, ManualClock};
use keybound_proto::token::TokenHash;
use keybound_proto::uri::{HttpUrl, Origin};
use keybound_proto::wire::ErrorDetail;
use keybound_proto::workload::{IdentityRule, TrustDomain, WorkloadProfile, WorkloadTokenRules};
use tokio::task::JoinHandle;

use super::upstream::Upstream;

/// When everything happens.
pub(crate) const NOW: u64 = 1_700_000_000;
/// The web origin that CORS is configured for.
pub(crate) const PAGE: &str = "https://app.example.com";

/// What a test may change before the world starts.
pub(crate) struct Setup {
    pub(crate) listener: ListenerConfig,
    pub(crate) timeouts: UpstreamTimeouts,
    pub(crate) cors: bool,
    /// Where the gateway forwards; the recording upstream if `None`.
    pub(crate) upstream: Option<SocketAddr>,
    /// Agents that are welcome on `/agents` without a token.
    pub(crate) agents: Vec<Origin>,
}

/// The world.
pub(crate) struct World {
    pub(crate) addr: SocketAddr,
    pub(crate) url: String,
    pub(crate) upstream: Upstream,
    pub(crate) guard: Guard,
    pub(crate) gateway: Gateway,
    pub(crate) gateway_key: Arc<dyn Signer>,
    pub(crate) clock: ManualClock,
    pub(crate) sink: MemorySink,
    pub(crate) holder: SoftwareKey,
    issuer: SoftwareKey,
    issuer_url: String,
    proofs: AtomicU64,
    trigger: ShutdownTrigger,
    serving: JoinHandle<Drained>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Setup)) -> Self {
        let upstream = Upstream::start().await;
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut setup = Setup {
            listener: ListenerConfig::new(loopback, ListenerKind::Gateway, Vec::new()),
            timeouts: UpstreamTimeouts::default(),
            cors: false,
            upstream: None,
            agents: Vec::new(),
        };
        setup.listener.error_detail = ErrorDetail::Full;
        change(&mut setup);
        let clock = ManualClock::at(NOW);
        let sink = MemorySink::default();
        let issuer = SoftwareKey::generate(Algorithm::Es256).expect("key");
        let issuer_url = serve_keys(&issuer).await;
        let guard = guard(&issuer_url, &clock, &sink);
        guard.maintain().await;
        let gateway_key: Arc<dyn Signer> =
            Arc::new(SoftwareKey::generate(Algorithm::EdDsa).expect("key"));
        let page = Origin::parse(PAGE).expect("origin");
        if setup.cors {
            setup.listener.web_origins.push(page.clone());
        }
        let bound = Listener::bind(setup.listener.clone()).await.expect("bind");
        let addr = bound.local_addr();
        let url = format!("http://{addr}");
        let origin = Origin::parse(&url).expect("origin");
        let forward_to = setup.upstream.unwrap_or(upstream.addr);
        let config = GatewayConfig {
            url: origin.clone(),
            issuers: vec![HttpUrl::parse(&issuer_url).expect("url")],
            proof_algorithms: AlgorithmSet::PROOF_DEFAULT,
            routes: routes(
                &url,
                &Origin::parse(&format!("http://{forward_to}")).expect("origin"),
                setup.agents,
            ),
            assertion_key: Some(Arc::clone(&gateway_key)),
            cors: setup.cors.then(|| CorsConfig {
                origins: vec![page],
                request_fields: Vec::new(),
                max_age: Duration::from_secs(600),
            }),
            identity_fields: vec![http::HeaderName::from_static("x-agent-subject")],
            timeouts: setup.timeouts,
            error_detail: ErrorDetail::Full,
        };
        let gateway =
            Gateway::new(config, guard.clone(), Arc::new(clock.clone())).expect("gateway");
        let (trigger, shutdown) = Shutdown::new();
        let serving = tokio::spawn(bound.with_origin(origin).serve(gateway.service(), shutdown));
        Self {
            addr,
            url,
            upstream,
            guard,
            gateway,
            gateway_key,
            clock,
            sink,
            holder: SoftwareKey::generate(Algorithm::Es256).expect("key"),
            issuer,
            issuer_url,
            proofs: AtomicU64::new(0),
            trigger,
            serving,
        }
    }

    /// Drains the listener; says how it ended.
    pub(crate) async fn drain(self, patience: Duration) -> Drained {
        self.trigger.drain(patience);
        self.serving.await.expect("listener ends")
    }

    pub(crate) fn begin_drain(&self, patience: Duration) {
        self.trigger.drain(patience);
    }

    pub(crate) fn host(&self) -> String {
        self.addr.to_string()
    }

    /// A token bound to the holder, for the gateway's main resource, good for 300 s.
    pub(crate) fn token(&self) -> String {
        self.token_for(&format!("{}/", self.url), 300)
    }

    pub(crate) fn token_for(&self, audience: &str, seconds: u64) -> String {
        let jkt = self.holder.public_key().thumbprint().to_string();
        self.token_bound(audience, seconds, serde_json::json!({"jkt": jkt}))
    }

    /// As [`World::token_for`], with what the token is bound to.
    pub(crate) fn token_bound(
        &self,
        audience: &str,
        seconds: u64,
        cnf: serde_json::Value,
    ) -> String {
        let header = serde_json::json!({"typ": "at+jwt", "alg": "ES256", "kid": "kb-test"});
        let number = self.proofs.fetch_add(1, Ordering::Relaxed);
        let claims = serde_json::json!({
            "iss": self.issuer_url,
            "sub": "agent-7",
            "client_id": "client-7",
            "aud": audience,
            "scope": "approvals:read approvals:write",
            "jti": format!("tok_{number}"),
            "iat": self.clock.now().as_secs(),
            "exp": self.clock.now().as_secs() + seconds,
            "cnf": cnf,
        });
        let input = SigningInput::new(&header.to_string(), &claims.to_string());
        input.sign(&self.issuer).expect("signed")
    }

    /// An identity token for the workload with this key, by the trust domain whose keys are the
    /// issuer's.
    pub(crate) fn identity_token(&self, subject: &str, key: &SoftwareKey) -> String {
        let mut jwk: serde_json::Value =
            serde_json::from_str(&key.public_key().to_jwk()).expect("JSON");
        jwk["alg"] = key.algorithm().name().into();
        let header = serde_json::json!({"typ": "wit+jwt", "alg": "ES256", "kid": "kb-test"});
        let claims = serde_json::json!({
            "sub": subject,
            "exp": self.clock.now().as_secs() + 600,
            "cnf": {"jwk": jwk},
        });
        let input = SigningInput::new(&header.to_string(), &claims.to_string());
        input.sign(&self.issuer).expect("signed")
    }

    /// A number that was not used before.
    pub(crate) fn number(&self) -> u64 {
        self.proofs.fetch_add(1, Ordering::Relaxed)
    }

    /// A fresh proof by the holder for a path of the gateway.
    pub(crate) fn proof(&self, method: &str, path: &str, token: &str) -> String {
        self.proof_with(
            &self.holder,
            method,
            &format!("{}{path}", self.url),
            token,
            None,
        )
    }

    pub(crate) fn proof_with(
        &self,
        key: &SoftwareKey,
        method: &str,
        htu: &str,
        token: &str,
        nonce: Option<&str>,
    ) -> String {
        self.prove(key, (method, htu, token), nonce, None)
    }

    /// A fresh proof by the holder of a `POST` that covers its content by this digest.
    pub(crate) fn proof_covering(&self, path: &str, token: &str, digest: Option<&str>) -> String {
        let htu = format!("{}{path}", self.url);
        self.prove(&self.holder, ("POST", &htu, token), None, digest)
    }

    fn prove(
        &self,
        key: &SoftwareKey,
        (method, htu, token): (&str, &str, &str),
        nonce: Option<&str>,
        content_digest: Option<&str>,
    ) -> String {
        let jti = format!("proof-{}", self.proofs.fetch_add(1, Ordering::Relaxed));
        let request = ProofRequest {
            method,
            htu,
            iat: self.clock.now(),
            jti: &jti,
            ath: Some(&TokenHash::of(token.as_bytes())),
            nonce,
            content_digest,
        };
        let input = signing_input(&request, key.public_key(), key.algorithm());
        input.sign(key).expect("signed")
    }

    /// A request with a fresh token and proof.
    pub(crate) fn signed(&self, method: &str, path: &str) -> String {
        let token = self.token();
        let proof = self.proof(method, path, &token);
        self.request(
            method,
            path,
            &[
                ("Authorization", &format!("DPoP {token}")),
                ("DPoP", &proof),
            ],
        )
    }

    /// A request with these fields and no body.
    pub(crate) fn request(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> String {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.addr);
        for (name, value) in fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text
    }
}

fn guard(issuer_url: &str, clock: &ManualClock, sink: &MemorySink) -> Guard {
    let mut issuer = IssuerConfig::new(HttpUrl::parse(issuer_url).expect("url"));
    issuer.jwks_uri = Some(HttpUrl::parse(&format!("{issuer_url}/jwks")).expect("url"));
    let mut config = GuardConfig::new("gateway-1", vec![issuer], [7; 32]);
    config.replay.first_run = true;
    let domain = TrustDomain::parse("wimse://example.com").expect("trust domain");
    config.trust_domains = vec![TrustDomainConfig::new(
        WorkloadTokenRules::new(domain, WorkloadProfile::Wimse),
        BundleSource::Endpoint(HttpUrl::parse(&format!("{issuer_url}/jwks")).expect("url")),
    )];
    Guard::new(config, Arc::new(clock.clone()), Arc::new(sink.clone())).expect("guard")
}

fn routes(url: &str, upstream: &Origin, welcome: Vec<Origin>) -> Vec<RouteConfig> {
    let root = format!("{url}/");
    let route = |name: &str, audience: &str| {
        let mut check = Route::new(name, audience);
        check.error_detail = ErrorDetail::Full;
        RouteConfig::new(format!("/{name}"), upstream.clone(), check)
    };
    let mut open = route("open", &root);
    open.enforcement = Enforcement::Off;
    let mut small = route("small", &root);
    small.enforcement = Enforcement::Off;
    small.body_bytes = Some(16);
    let mut approvals = route("approvals", &root);
    approvals.check.scopes = MethodScopes::default()
        .with("GET", ["approvals:read"])
        .with("POST", ["approvals:write"])
        .with("DELETE", ["approvals:delete"]);
    let reports = route("reports", &format!("{url}/reports"));
    let mut nonce = route("nonce", &root);
    nonce.check.nonce = NonceRule::Everybody;
    let mut plain = route("plain", &root);
    plain.identity = IdentityForm::Headers;
    let mut silent = route("silent", &root);
    silent.identity = IdentityForm::None;
    let mut each = route("each", &root);
    each.identity = IdentityForm::AssertionPerRequest;
    let mut keep = route("keep", &root);
    keep.forward_credentials = true;
    let mut mesh = route("mesh", &root);
    mesh.check.identities =
        vec![IdentityRule::parse("wimse://example.com/ns/prod/*").expect("rule")];
    let mut agents = route("agents", &root);
    agents.agents.clone_from(&welcome);
    agents.signed_body_bytes = 64;
    let mut covered = route("covered", &root);
    covered.agents = welcome;
    covered.check.cover_content = true;
    vec![
        open, small, approvals, reports, nonce, plain, silent, each, keep, mesh, agents, covered,
    ]
}

/// Publishes the issuer's key; gives the issuer's URL.
async fn serve_keys(key: &SoftwareKey) -> String {
    let jwk = key.public_key().to_jwk_with("kb-test", key.algorithm());
    let document = format!("{{\"keys\":[{jwk}]}}");
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ListenerConfig::new(addr, ListenerKind::Issuer, Vec::new());
    let bound = Listener::bind(config).await.expect("bind");
    let url = format!("http://{}", bound.local_addr());
    let bound = bound.with_origin(Origin::parse(&url).expect("origin"));
    let keys = axum::routing::get(move || std::future::ready(document.clone()));
    let router = axum::Router::new().route("/jwks", keys);
    let (trigger, shutdown) = Shutdown::new();
    tokio::spawn(async move {
        // The trigger lives as long as the listener, so that nothing pulls it.
        let _trigger = trigger;
        bound.serve(router, shutdown).await
    });
    url
}
