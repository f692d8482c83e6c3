//! The processes that are measured. Each prints its address, then serves until it is killed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use keybound_control::{Store, StoreOptions};
use keybound_custody::SoftwareKey;
use keybound_edge::Shutdown;
use keybound_edge::gateway::{
    Enforcement, Gateway, GatewayConfig, IdentityForm, RouteConfig, UpstreamTimeouts,
};
use keybound_edge::listener::tls::{ClientCertificates, ClientTrust, Tls, TlsConfig};
use keybound_edge::listener::{Bound, Listener, ListenerConfig, ListenerKind};
use keybound_guard::keys::IssuerConfig as TrustedIssuer;
use keybound_guard::{Guard, GuardConfig, NullSink, Route};
use keybound_issuer::Issuer;
use keybound_issuer::config::{
    ClientAuthentication, ClientConfig, ErrorDetail, GrantType, IssuerConfig, NonceConfig,
    RegistrationConfig, ResourceConfig, Rotation, Sight,
};
use keybound_proto::jose::{Algorithm, AlgorithmSet};
use keybound_proto::time::ManualClock;
use keybound_proto::uri::{HttpUrl, Origin};
use keybound_proto::verify::Profile;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::connections::{SERVER_CERTIFICATE, SERVER_KEY};

/// The moment all measured processes live in: requests are made beforehand and do not grow old.
pub(crate) const NOW: u64 = 1_800_000_000;
/// The public origin of the measured gateway.
pub(crate) const ORIGIN: &str = "http://127.0.0.1:1";
pub(crate) const ISSUER: &str = "http://127.0.0.1:2";
pub(crate) const RESOURCE: &str = "https://api.example.com/";

pub(crate) fn run(role: &str, arguments: &[String]) {
    let value = |name: &str| {
        let at = arguments
            .iter()
            .position(|argument| argument == name)
            .expect("an option");
        arguments[at + 1].clone()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        match role {
            "plain-proxy" => plain_proxy(value("--upstream")).await,
            "gateway" => {
                let places = (value("--upstream"), value("--issuer"));
                gateway(places, &value("--enforcement"), tls(arguments)).await;
            }
            "issuer" => issuer(&value("--jwks"), &value("--algorithm")).await,
            other => panic!("no role `{other}`"),
        }
    });
}

fn announce(address: SocketAddr) {
    println!("{address}");
    std::io::stdout().flush().expect("a pipe");
}

async fn bind(kind: ListenerKind, origin: &str, tls: Option<Tls>) -> Bound {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let origins = vec![Origin::parse(origin).expect("an origin")];
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut config = ListenerConfig::new(any, kind, origins);
    config.tls = tls;
    let bound = Listener::bind(config).await.expect("a loopback port");
    let own = format!("{scheme}://localhost:{}", bound.local_addr().port());
    bound.with_origin(Origin::parse(&own).expect("an origin"))
}

/// TLS as `--tls FOLDER` and `--client-certificates` ask for it.
fn tls(arguments: &[String]) -> Option<Tls> {
    let at = arguments.iter().position(|argument| argument == "--tls")?;
    let folder = Path::new(&arguments[at + 1]);
    let asks = arguments
        .iter()
        .any(|argument| argument == "--client-certificates");
    let config = TlsConfig {
        certificate: folder.join(SERVER_CERTIFICATE),
        key: folder.join(SERVER_KEY),
        clients: if asks {
            ClientCertificates::Required(ClientTrust::Possession)
        } else {
            ClientCertificates::None
        },
        http2: true,
    };
    Some(Tls::load(config, Arc::new(ManualClock::at(NOW))).expect("good files"))
}

async fn gateway((upstream, issuer): (String, String), enforcement: &str, tls: Option<Tls>) {
    let (upstream, issuer) = (upstream.as_str(), issuer.as_str());
    let clock = Arc::new(ManualClock::at(NOW));
    let trusted = TrustedIssuer::new(HttpUrl::parse(issuer).expect("a URL"));
    let mut guard = GuardConfig::new("bench", vec![trusted], [1; 32]);
    guard.replay.first_run = true;
    guard.replay.capacity = 4_000_000;
    guard.replay.per_sender = 2_000_000;
    let guard = Guard::new(guard, clock.clone(), Arc::new(NullSink)).expect("a guard");
    let route = RouteConfig {
        enforcement: if enforcement == "off" {
            Enforcement::Off
        } else {
            Enforcement::Require
        },
        identity: IdentityForm::Assertion,
        ..RouteConfig::new(
            "/approvals",
            Origin::parse(upstream).expect("an origin"),
            Route::new("bench", RESOURCE),
        )
    };
    let config = GatewayConfig {
        url: Origin::parse(ORIGIN).expect("an origin"),
        issuers: vec![HttpUrl::parse(issuer).expect("a URL")],
        proof_algorithms: AlgorithmSet::PROOF_DEFAULT,
        routes: vec![route],
        assertion_key: Some(Arc::new(
            SoftwareKey::generate(Algorithm::EdDsa).expect("a key"),
        )),
        cors: None,
        identity_fields: Vec::new(),
        timeouts: UpstreamTimeouts::default(),
        error_detail: ErrorDetail::Minimal,
    };
    let gateway = Gateway::new(config, guard, clock).expect("a gateway");
    let bound = bind(ListenerKind::Gateway, ORIGIN, tls).await;
    announce(bound.local_addr());
    let (_trigger, shutdown) = Shutdown::new();
    bound.serve(gateway.service(), shutdown).await;
}

async fn issuer(jwks: &str, algorithm: &str) {
    let clock = Arc::new(ManualClock::at(NOW));
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let options = StoreOptions {
        kek: Some(Zeroizing::new([4; 32])),
        node: "bench".to_owned(),
        clock: clock.clone(),
    };
    let store = Store::open(&directory.path().join("keybound.db"), options).expect("a new store");
    let config = IssuerConfig {
        url: HttpUrl::parse(ISSUER).expect("a URL"),
        node: "bench".to_owned(),
        refresh: keybound_issuer::config::RefreshConfig::default(),
        authorization: None,
        access_ttl: 300,
        signing_algorithm: Algorithm::from_name(algorithm).expect("an algorithm"),
        rotation: Rotation {
            every: 86_400 * 30,
            overlap: 86_400,
        },
        clients: vec![ClientConfig {
            id: "bench".to_owned(),
            identity: None,
            authentication: ClientAuthentication::PrivateKeyJwt {
                jwks: std::fs::read_to_string(jwks).expect("a readable file"),
            },
            grants: vec![GrantType::ClientCredentials],
            scopes: vec!["approvals:read".to_owned()],
            resources: vec![RESOURCE.to_owned()],
            unconstrained: None,
            certificate: keybound_issuer::config::CertificateUse::default(),
            signing: keybound_issuer::config::RequestSigningConfig::Refused,
            nonce: false,
            redirect_uris: Vec::new(),
            pushed_only: false,
            may_act: None,
            sight: Sight::Own,
        }],
        resources: vec![ResourceConfig {
            identifier: RESOURCE.to_owned(),
            scopes: vec!["approvals:read".to_owned()],
        }],
        delegations: Vec::new(),
        registration: RegistrationConfig::default(),
        certificates: None,
        profile: Profile::default(),
        assertion_algorithms: AlgorithmSet::of(&[Algorithm::Es256, Algorithm::EdDsa]),
        nonce: NonceConfig {
            secret: Zeroizing::new([6; 32]),
            also: Vec::new(),
            lifetime: 300,
            required: false,
        },
        error_detail: ErrorDetail::Minimal,
        cors_origins: Vec::new(),
    };
    let issuer = Issuer::start(config, store, clock)
        .await
        .expect("an issuer");
    let bound = bind(ListenerKind::Issuer, ISSUER, None).await;
    announce(bound.local_addr());
    let (_trigger, shutdown) = Shutdown::new();
    bound.serve(issuer.router(), shutdown).await;
}

/// The least a reverse proxy on hyper does: read a request, send it on over a pooled connection,
/// send the answer back.
async fn plain_proxy(upstream: String) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a loopback port");
    announce(listener.local_addr().expect("an address"));
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector);
    let upstream: Arc<str> = upstream.into();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a TCP socket");
        let (client, upstream) = (client.clone(), Arc::clone(&upstream));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let target = format!("{upstream}{}", request.uri().path());
            *request.uri_mut() = target.parse().expect("a URI");
            request.headers_mut().remove("host");
            let client = client.clone();
            async move {
                let answer: Result<Response<BoxBody<Bytes, hyper::Error>>, hyper::Error> =
                    match client.request(request).await {
                        Ok(answer) => Ok(answer.map(BodyExt::boxed)),
                        Err(_) => {
                            let empty = Full::new(Bytes::new())
                                .map_err(|never| match never {})
                                .boxed();
                            let mut answer = Response::new(empty);
                            *answer.status_mut() = hyper::StatusCode::BAD_GATEWAY;
                            Ok(answer)
                        }
                    };
                answer
            }
        });
        tokio::spawn(async move {
            // A client that goes away is no fault of the proxy.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
