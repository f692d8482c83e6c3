//! Starting and stopping the parts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use keybound_control::{ControlConfig, SetSigner, Store, StoreOptions};
use keybound_custody::SoftwareKey;
use keybound_edge::gateway::{Enforcement, Gateway, GatewayConfig, RouteConfig, UpstreamTimeouts};
use keybound_edge::listener::{Bound, Listener, ListenerConfig, ListenerKind};
use keybound_edge::signals::{FollowConfig, Follower, deliver_events};
use keybound_edge::spool::{Spool, SpoolConfig};
use keybound_edge::{Shutdown, ShutdownTrigger};
use keybound_guard::introspection::{
    IntrospectionClient, IntrospectionConfig, IntrospectionCredential,
};
use keybound_guard::keys::IssuerConfig as TrustedIssuer;
use keybound_guard::replay::{SharedPlace, StoreAddress};
use keybound_guard::{Guard, GuardConfig, MethodScopes, NonceRule, NullSink, Route};
use keybound_holder::{
    ClientAuthentication as HolderAuthentication, Holder, HolderConfig, Timeouts,
};
use keybound_issuer::Issuer;
use keybound_issuer::config::{
    Approval, AuthorizationConfig, CertificatesConfig, ClientAuthentication, ClientConfig,
    DelegationConfig, ErrorDetail, Exemption, GrantType, IssuerConfig, NonceConfig, RefreshConfig,
    RegistrationConfig, RegistrationMode, ResourceConfig, Rotation, SecretDigest, Sight,
};
use keybound_proto::jose::{Algorithm, AlgorithmSet, Signer};
use keybound_proto::time::{Clock, ManualClock};
use keybound_proto::token::artefact;
use keybound_proto::uri::{HttpUrl, Origin};
use keybound_proto::verify::Profile;
use serde_json::json;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{Agent, WorldOptions};

/// Sockets that are bound and do not serve yet.
pub(super) struct Places {
    pub(super) issuer: Bound,
    pub(super) gateway: Bound,
    pub(super) control: Bound,
}

impl Places {
    pub(super) async fn bind() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            issuer: bind(any, ListenerKind::Issuer).await,
            gateway: bind(any, ListenerKind::Gateway).await,
            control: bind(any, ListenerKind::Control).await,
        }
    }

    /// The origins of issuer, gateway and control plane.
    pub(super) fn origins(&self) -> (String, String, String) {
        let origin = |bound: &Bound| format!("http://{}", bound.local_addr());
        (
            origin(&self.issuer),
            origin(&self.gateway),
            origin(&self.control),
        )
    }
}

/// What every part needs to know of the others.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) issuer: &'a str,
    pub(super) gateway: &'a str,
    pub(super) control: &'a str,
    pub(super) options: &'a WorldOptions,
    pub(super) clock: &'a ManualClock,
    pub(super) store: &'a Store,
    pub(super) directory: &'a Path,
    pub(super) upstream: &'a str,
    pub(super) silent: &'a str,
}

impl Setting<'_> {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }
}

/// A part that serves until it is stopped or dropped.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) address: SocketAddr,
    trigger: Option<ShutdownTrigger>,
    tasks: Vec<JoinHandle<()>>,
}

impl Part {
    /// A part that serves nothing any more.
    pub(super) const fn dead(address: SocketAddr) -> Self {
        Self {
            address,
            trigger: None,
            tasks: Vec::new(),
        }
    }

    /// Stops it and waits until its port is free.
    pub(super) async fn stop(mut self) {
        if let Some(trigger) = self.trigger.take() {
            trigger.drain(Duration::from_millis(50));
        }
        for task in std::mem::take(&mut self.tasks) {
            // A task that was ended is as good as one that has finished.
            let _ = task.await;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

pub(super) fn open_store(directory: &Path, clock: &ManualClock) -> Store {
    let options = StoreOptions {
        kek: Some(Zeroizing::new([4; 32])),
        node: "control".to_owned(),
        clock: Arc::new(clock.clone()),
    };
    Store::open(&directory.join("keybound.db"), options).expect("a new store")
}

/// A socket whose connections are accepted by the system and never answered.
pub(super) fn silent_upstream() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, origin)
}

pub(super) fn client_secret() -> String {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).expect("the system has randomness");
    artefact::generate(artefact::Kind::ClientSecret, &random)
}

async fn bind(address: SocketAddr, kind: ListenerKind) -> Bound {
    let mut config = ListenerConfig::new(address, kind, Vec::new());
    config.error_detail = ErrorDetail::Full;
    config.limits.framing.body_pause = Duration::from_millis(300);
    let bound = Listener::bind(config).await.expect("a loopback port");
    let origin = format!("http://{}", bound.local_addr());
    bound.with_origin(Origin::parse(&origin).expect("an origin"))
}

/// Binds the gateway's port again after a stop.
pub(super) async fn bind_gateway(address: SocketAddr) -> Bound {
    bind(address, ListenerKind::Gateway).await
}

fn url(text: &str) -> HttpUrl {
    HttpUrl::parse(text).expect("a URL")
}

pub(super) async fn start_issuer(
    setting: &Setting<'_>,
    bound: Bound,
    secret_client: &(String, String),
    jwks_fetches: Arc<AtomicUsize>,
) -> Part {
    let config = issuer_config(setting, secret_client);
    let issuer = Issuer::start(config, setting.store.clone(), setting.clock())
        .await
        .expect("an issuer");
    let count = move |request: Request, next: Next| {
        if request.uri().path() == "/jwks" {
            jwks_fetches.fetch_add(1, Ordering::SeqCst);
        }
        next.run(request)
    };
    serve(bound, issuer.router().layer(from_fn(count)))
}

/// A client with a key of its own, for one resource.
fn client(id: &str, scopes: Vec<String>, resource: &str) -> ClientConfig {
    ClientConfig {
        id: id.to_owned(),
        identity: None,
        authentication: ClientAuthentication::PrivateKeyJwt {
            jwks: json!({"keys": [Agent::new(id).client_jwk()]}).to_string(),
        },
        grants: vec![GrantType::ClientCredentials, GrantType::TokenExchange],
        scopes,
        resources: vec![resource.to_owned()],
        unconstrained: None,
        certificate: keybound_issuer::config::CertificateUse::default(),
        signing: keybound_issuer::config::RequestSigningConfig::Refused,
        nonce: false,
        sight: Sight::Own,
        redirect_uris: Vec::new(),
        pushed_only: false,
        may_act: None,
    }
}

/// A public client that acts for a person.
fn app(id: &str, scopes: Vec<String>, resource: &str) -> ClientConfig {
    ClientConfig {
        authentication: ClientAuthentication::Public,
        grants: vec![
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::TokenExchange,
        ],
        redirect_uris: vec!["http://127.0.0.1/callback".to_owned()],
        ..client(id, scopes, resource)
    }
}

/// The nonces of the issuer.
fn nonces(required: bool) -> NonceConfig {
    NonceConfig {
        secret: Zeroizing::new([6; 32]),
        also: Vec::new(),
        lifetime: 300,
        required,
    }
}

/// The exempt client serves the API, and may exchange what comes to it.
fn acts_for_callers(api: &str) -> DelegationConfig {
    DelegationConfig {
        name: "calls on behalf of callers".to_owned(),
        subject: "*".to_owned(),
        actor: "exempt".to_owned(),
        serves: vec![api.to_owned()],
        resources: Vec::new(),
        scopes: vec!["approvals:read".to_owned(), "approvals:write".to_owned()],
    }
}

fn issuer_config(setting: &Setting<'_>, secret_client: &(String, String)) -> IssuerConfig {
    let api = format!("{}/", setting.gateway);
    let reports = format!("{}/reports", setting.gateway);
    let control = format!("{}/", setting.control);
    let scopes = || vec!["approvals:read".to_owned(), "approvals:write".to_owned()];
    let resource = |identifier: &str, scopes: &[&str]| ResourceConfig {
        identifier: identifier.to_owned(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
    };
    let admin = ["keybound:read", "keybound:respond", "keybound:gateway"];
    let resources = vec![
        resource(&api, &["approvals:read", "approvals:write"]),
        resource(&reports, &["reports:read"]),
        resource(&control, &admin),
    ];
    let operator = vec!["keybound:read".to_owned(), "keybound:respond".to_owned()];
    let mut with_secret = client(&secret_client.0, scopes(), &api);
    with_secret.authentication =
        ClientAuthentication::ClientSecretBasic(SecretDigest::of(secret_client.1.as_bytes()));
    let mut exempt = client("exempt", scopes(), &api);
    exempt.unconstrained = Some(Exemption {
        reason: "a test".to_owned(),
    });
    let mut no_grant = client("no-grant", scopes(), &api);
    no_grant.grants = Vec::new();
    let mut gateway = client("gateway-1", vec!["keybound:gateway".to_owned()], &control);
    gateway.sight = Sight::Audiences(vec![api.clone()]);
    let mut certificate_bound = client("certificate-bound", scopes(), &api);
    certificate_bound.certificate.required = true;
    let with_certificates = setting.options.certificates;
    IssuerConfig {
        url: url(setting.issuer),
        node: "issuer-1".to_owned(),
        access_ttl: 300,
        refresh: RefreshConfig::default(),
        authorization: Some(AuthorizationConfig {
            code_ttl: 60,
            request_ttl: 90,
            pushed_only: false,
            approval: Approval::Automatic {
                identity: "person".to_owned(),
            },
        }),
        signing_algorithm: Algorithm::EdDsa,
        rotation: Rotation {
            every: 86_400 * 30,
            overlap: 86_400,
        },
        clients: vec![
            client("agent", scopes(), &api),
            client("other", scopes(), &api),
            client("admin", operator, &control),
            gateway,
            with_secret,
            exempt,
            no_grant,
            app("app", scopes(), &api),
        ]
        .into_iter()
        .chain(with_certificates.then_some(certificate_bound))
        .collect(),
        resources,
        delegations: vec![acts_for_callers(&api)],
        registration: RegistrationConfig {
            mode: registration_mode(&setting.options.registration),
            resources: vec![api, reports],
            scopes: ["approvals:read", "approvals:write", "reports:read"]
                .map(str::to_owned)
                .to_vec(),
            client_anchors: None,
            max_clients: 100,
        },
        certificates: with_certificates.then(CertificatesConfig::default),
        profile: Profile::default(),
        assertion_algorithms: AlgorithmSet::of(&[Algorithm::Es256, Algorithm::EdDsa]),
        nonce: nonces(setting.options.issuer_nonce),
        error_detail: ErrorDetail::Full,
        cors_origins: Vec::new(),
    }
}

fn registration_mode(name: &str) -> RegistrationMode {
    match name {
        "open" => RegistrationMode::Open,
        "token" => RegistrationMode::Token(SecretDigest::of(b"initial")),
        _ => RegistrationMode::Closed,
    }
}

fn trusted_issuer(setting: &Setting<'_>) -> TrustedIssuer {
    let mut issuer = TrustedIssuer::new(url(setting.issuer));
    issuer.fetch_cooldown = 10;
    issuer
}

/// Every token is asked about, by the gateway's own client.
fn introspection() -> IntrospectionConfig {
    let gateway = Agent::new("gateway-1");
    let mut config = IntrospectionConfig::new(IntrospectionClient {
        id: gateway.id,
        credential: IntrospectionCredential::PrivateKeyJwt {
            key: gateway.client_key,
            kid: None,
        },
    });
    config.jwts = true;
    config
}

pub(super) async fn start_control(setting: &Setting<'_>, bound: Bound) -> Part {
    let mut guard = GuardConfig::new("control", vec![trusted_issuer(setting)], [7; 32]);
    guard.replay.first_run = true;
    let guard = Guard::new(guard, setting.clock(), Arc::new(NullSink)).expect("a guard");
    let config = ControlConfig {
        url: url(setting.control),
        resource: format!("{}/", setting.control),
        token_issuer: setting.issuer.to_owned(),
        authorization_servers: vec![setting.issuer.to_owned()],
        guard,
        signer: SetSigner::from_store(setting.store, setting.clock.now())
            .await
            .expect("a signing key"),
        error_detail: ErrorDetail::Full,
    };
    serve(
        bound,
        keybound_control::router(config, setting.store.clone(), setting.clock()),
    )
}

pub(super) fn start_gateway(setting: &Setting<'_>, bound: Bound, first_run: bool) -> (Part, Guard) {
    let (trigger, shutdown) = Shutdown::new();
    let address = bound.local_addr();
    let state = setting.directory.join("gateway-1");
    let spool = Spool::open(
        &SpoolConfig::new(state.join("spool"), "gateway-1"),
        setting.clock(),
    )
    .expect("a spool");
    let mut issuer = trusted_issuer(setting);
    issuer.introspection = setting.options.introspection.then(introspection);
    let mut config = GuardConfig::new("gateway-1", vec![issuer], [8; 32]);
    config.replay.capacity = setting.options.replay_capacity;
    config.replay.per_sender = setting.options.replay_per_sender;
    config.replay.first_run = first_run;
    config.shared_replay = setting
        .options
        .replay
        .as_deref()
        .map(|address| SharedPlace {
            address: StoreAddress::parse(address).expect("an address"),
            timeout: Duration::from_secs(1),
        });
    config.revocation_max_age = setting.options.revocation_max_age;
    let guard = Guard::new(config, setting.clock(), Arc::new(spool.clone())).expect("a guard");
    let gateway =
        Gateway::new(gateway_config(setting), guard.clone(), setting.clock()).expect("a gateway");
    let holder = gateway_holder(setting);
    let control = Origin::parse(setting.control).expect("an origin");
    let follow = FollowConfig::new(control, state, "gateway-1");
    let follower = Follower::open(
        follow,
        holder.clone(),
        guard.clone(),
        Arc::new(spool.clone()),
        setting.clock(),
    )
    .expect("a follower");
    let events_to = Origin::parse(setting.control).expect("an origin");
    let (serving, following, delivering) = (shutdown.clone(), shutdown.clone(), shutdown);
    let service = gateway.service();
    let tasks = vec![
        tokio::spawn(async move {
            bound.serve(service, serving).await;
        }),
        tokio::spawn(follower.run(following)),
        tokio::spawn(async move {
            deliver_events(&spool, &holder, &events_to, delivering).await;
        }),
    ];
    (
        Part {
            address,
            trigger: Some(trigger),
            tasks,
        },
        guard,
    )
}

fn gateway_config(setting: &Setting<'_>) -> GatewayConfig {
    let upstream = Origin::parse(setting.upstream).expect("an origin");
    let route = |path: &str, enforcement, resource: &str, scopes: &[(&str, &str)]| {
        let mut check = Route::new(path.trim_start_matches('/'), resource);
        check.scopes = scopes
            .iter()
            .fold(MethodScopes::default(), |all, (method, scope)| {
                all.with(method, [*scope])
            });
        check.error_detail = ErrorDetail::Full;
        if setting.options.route_nonce {
            check.nonce = NonceRule::Everybody;
        }
        RouteConfig {
            enforcement,
            ..RouteConfig::new(path, upstream.clone(), check)
        }
    };
    let (api, reports) = (
        format!("{}/", setting.gateway),
        format!("{}/reports", setting.gateway),
    );
    let mut small = route("/small", Enforcement::Require, &api, &[]);
    small.body_bytes = Some(16);
    let mut dead = route("/dead", Enforcement::Require, &api, &[]);
    dead.upstream = Origin::parse("http://127.0.0.1:1").expect("an origin");
    let mut hangs = route("/hangs", Enforcement::Require, &api, &[]);
    hangs.upstream = Origin::parse(setting.silent).expect("an origin");
    GatewayConfig {
        url: Origin::parse(setting.gateway).expect("an origin"),
        issuers: vec![url(setting.issuer)],
        proof_algorithms: AlgorithmSet::PROOF_DEFAULT,
        routes: vec![
            route(
                "/approvals",
                Enforcement::Require,
                &api,
                &[
                    ("GET", "approvals:read"),
                    ("POST", "approvals:write"),
                    ("OPTIONS", "approvals:read"),
                ],
            ),
            route("/strange", Enforcement::Require, &api, &[]),
            route(
                "/reports",
                Enforcement::Require,
                &reports,
                &[("GET", "reports:read")],
            ),
            route("/open", Enforcement::Off, &api, &[]),
            small,
            dead,
            hangs,
        ],
        assertion_key: Some(Arc::new(
            SoftwareKey::generate(Algorithm::EdDsa).expect("a key"),
        )),
        cors: None,
        identity_fields: Vec::new(),
        timeouts: UpstreamTimeouts {
            head: Duration::from_millis(500),
            ..UpstreamTimeouts::default()
        },
        error_detail: ErrorDetail::Full,
    }
}

fn gateway_holder(setting: &Setting<'_>) -> Holder {
    let gateway = Agent::new("gateway-1");
    let client_key: Arc<dyn Signer> = gateway.client_key;
    let config = HolderConfig {
        issuer: url(setting.issuer),
        client_id: gateway.id,
        authentication: HolderAuthentication::PrivateKeyJwt(client_key),
        proof_key: gateway.proof_key,
        resource: Some(format!("{}/", setting.control)),
        scope: None,
        timeouts: Timeouts::default(),
    };
    Holder::new(config, setting.clock()).expect("a holder")
}

fn serve(bound: Bound, router: axum::Router) -> Part {
    let (trigger, shutdown) = Shutdown::new();
    let address = bound.local_addr();
    let task = tokio::spawn(async move {
        bound.serve(router, shutdown).await;
    });
    Part {
        address,
        trigger: Some(trigger),
        tasks: vec![task],
    }
}
