//! MCP servers behind the gateway, behind the guard, and behind nothing.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::Frame;
use keybound_guard::keys::IssuerConfig;
use keybound_guard::layer::GuardLayer;
use keybound_guard::{Guard, GuardConfig, NullSink, Route};
use keybound_holder::Secret;
use keybound_probe::{
    BoundToken, Credentials, McpServer, Options, ProbeError, Report, ResourceServer, Silent,
    TokenIssuer, Verdict,
};
use keybound_proto::jose::Signer;
use keybound_proto::uri::{HttpUrl, Origin};
use keybound_testkit::{Act, Hostile, Turn, World, WorldOptions, answer as answered};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How a server answers what.
#[derive(Clone, Copy)]
struct Manner {
    /// The handshake it knows.
    method: &'static str,
    /// In a stream of events that stays open.
    stream: bool,
}

const DISCOVER: Manner = Manner {
    method: "server/discover",
    stream: false,
};

/// A small MCP server: knows one handshake, and answers everything else with a JSON-RPC error.
async fn answer(manner: Manner, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let accepts = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let both = accepts.is_some_and(|accept| {
        accept.contains("application/json") && accept.contains("text/event-stream")
    });
    if !both {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    }
    let named = headers
        .get("mcp-method")
        .and_then(|method| method.to_str().ok());
    let stateless = named == request["method"].as_str();
    let known = request["method"] == manner.method && (manner.method == "initialize" || stateless);
    let answer = if known {
        json!({"jsonrpc": "2.0", "id": request["id"], "result": {"capabilities": {}}})
    } else {
        let error = json!({"code": -32601, "message": "method not found"});
        json!({"jsonrpc": "2.0", "id": request["id"], "error": error})
    };
    if !manner.stream {
        return axum::Json(answer).into_response();
    }
    let events = format!("id: 1\ndata:\n\nevent: message\ndata: {answer}\n\n");
    (
        [(header::CONTENT_TYPE, "text/event-stream")],
        Body::new(Open(Some(Bytes::from(events)))),
    )
        .into_response()
}

/// A body that says this and stays open.
struct Open(Option<Bytes>);

impl hyper::body::Body for Open {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let said = self.0.take();
        said.map_or(Poll::Pending, |said| {
            Poll::Ready(Some(Ok(Frame::data(said))))
        })
    }
}

/// A running server and its endpoint.
struct Running {
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a server; `guarded` makes the guard's configuration, if there is a guard.
async fn start(world: &World, manner: Manner, guarded: Option<fn(&mut GuardConfig)>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let url = format!("{origin}/mcp");
    let mut app = Router::new().route(
        "/mcp",
        post(move |headers: HeaderMap, body: Bytes| answer(manner, headers, body)),
    );
    if let Some(change) = guarded {
        let issuer = HttpUrl::parse(&world.issuer).expect("a URL");
        let mut config = GuardConfig::new("mcp", vec![IssuerConfig::new(issuer)], [3; 32]);
        config.replay.first_run = true;
        change(&mut config);
        let clock = Arc::new(world.clock.clone());
        let guard = Guard::new(config, clock, Arc::new(NullSink)).expect("a guard");
        let public = Origin::parse(&origin).expect("an origin");
        app = app.layer(GuardLayer::new(guard, public, Route::new("mcp", &url)));
    }
    let document = json!({"resource": url, "authorization_servers": [world.issuer],
        "dpop_bound_access_tokens_required": true});
    let document = document.to_string();
    app = app.route(
        "/.well-known/oauth-protected-resource/mcp",
        get(move || std::future::ready(document.clone())),
    );
    let task = tokio::spawn(async move {
        // Ends when the task is aborted.
        let _ = axum::serve(listener, app).await;
    });
    Running { url, task }
}

/// The server as a target, with a token for it.
async fn target(world: &World, running: &Running) -> McpServer {
    let key: Arc<dyn Signer> = Arc::<_>::clone(&world.agent.proof_key) as _;
    let claims = json!({"iss": world.issuer, "sub": "agent", "client_id": "agent",
        "aud": running.url, "jti": "mcp-1",
        "cnf": {"jkt": key.public_key().thumbprint().to_string()}});
    let token = Secret::new(world.token_signed_now(&claims));
    let mut credentials = Credentials::new(BoundToken { token, key });
    let trusted = world.probed().await.credentials.issuer;
    credentials.issuer = Some(TokenIssuer {
        scope: String::new(),
        audience: running.url.clone(),
        ..trusted.expect("the world's issuer")
    });
    let url = HttpUrl::parse(&running.url).expect("a URL");
    McpServer {
        server: ResourceServer::new(url, credentials),
    }
}

async fn probe(world: &World, target: &McpServer) -> Result<Report, ProbeError> {
    let options = Options {
        rate: 0.0,
        ..Options::default()
    };
    target.probe(&options, &world.timing(), &Silent).await
}

fn ids(report: &Report, verdict: Verdict) -> BTreeSet<&str> {
    let of = report.findings.iter();
    of.filter(|finding| finding.verdict == verdict)
        .map(|finding| finding.id.as_str())
        .collect()
}

fn at(report: &Report, id: &str) -> (Verdict, String) {
    let finding = report.findings.iter().find(|finding| finding.id == id);
    let finding = finding.unwrap_or_else(|| panic!("no finding {id}"));
    (finding.verdict, finding.reason.clone())
}

/// What a strict server and issuer enforce under the ids of the profile.
const ENFORCED: [&str; 7] = [
    "sep-1932-as-metadata-alg-values",
    "sep-1932-as-no-none-alg",
    "sep-1932-asymmetric-alg-only",
    "sep-1932-server-audience-validation",
    "sep-1932-server-iat-window",
    "sep-1932-server-reject-401",
    "sep-1932-server-validate-proof",
];

fn of_profile<'a>(ids: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let ids = ids.iter().copied();
    ids.filter(|id| id.starts_with("sep-1932-")).collect()
}

#[tokio::test]
async fn a_strict_gateway_yields_nothing() {
    for route_nonce in [false, true] {
        let world = World::with(WorldOptions {
            route_nonce,
            ..WorldOptions::default()
        })
        .await;
        let mut server = world.probed().await;
        server.canary = Some("\"approvals\"".to_owned());
        if let Some(issuer) = &mut server.credentials.issuer {
            "approvals:write".clone_into(&mut issuer.scope);
        }
        let report = probe(&world, &McpServer { server }).await;
        let report = report.expect("a report");
        assert_eq!(ids(&report, Verdict::NotEnforced), BTreeSet::new());
        assert_eq!(ids(&report, Verdict::Inconclusive), BTreeSet::new());
        let enforced = ids(&report, Verdict::Enforced);
        let mut expected = BTreeSet::from(ENFORCED);
        if route_nonce {
            expected.insert("sep-1932-server-nonce");
        }
        assert_eq!(of_profile(&enforced), Vec::from_iter(expected));
        assert_eq!(report.grade, 'A');
    }
}

/// An issuer whose metadata lists algorithms that prove nothing.
async fn lax_issuer() -> Hostile {
    Hostile::alone(|turn: Turn| {
        let mut lines = turn.request.lines();
        let host = lines.find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("host: ")
                .map(str::to_owned)
        });
        let origin = format!("http://{}", host.expect("a host"));
        let document = json!({"issuer": origin, "token_endpoint": format!("{origin}/token"),
            "dpop_signing_alg_values_supported": ["ES256", "none", "HS256"]});
        Act::Answer(answered("200 OK", "", &document.to_string()))
    })
    .await
}

#[tokio::test]
async fn other_refusals_and_a_lax_issuer_are_found() {
    let world = World::start().await;
    let running = start(&world, DISCOVER, Some(|_| {})).await;
    let issuer = lax_issuer().await;
    let named = json!({"authorization_servers": [issuer.origin()]}).to_string();
    let origin = running.url.trim_end_matches("/mcp");
    let changed = Hostile::before(origin, move |turn: Turn| {
        if turn
            .request
            .contains("/.well-known/oauth-protected-resource")
        {
            return Act::Answer(answered("200 OK", "", &named));
        }
        if turn.answer.starts_with(b"HTTP/1.1 401") {
            return Act::Answer(answered("400 Bad Request", "", ""));
        }
        turn.pass()
    })
    .await;
    let options = Options {
        rate: 0.0,
        connect_to: Some(changed.address),
        ..Options::default()
    };
    let target = target(&world, &running).await;
    let report = target.probe(&options, &world.timing(), &Silent).await;
    let report = report.expect("a report");
    assert_eq!(
        of_profile(&ids(&report, Verdict::NotEnforced)),
        ["sep-1932-as-no-none-alg", "sep-1932-server-reject-401"]
    );
    let (_, reason) = at(&report, "sep-1932-as-no-none-alg");
    assert!(reason.contains("none HS256"), "{reason}");
    assert_eq!(issuer.requests(), 1, "one fetch, without looking elsewhere");
}

#[tokio::test]
async fn a_server_behind_the_guard_fulfils_the_profile_with_either_handshake() {
    let world = World::start().await;
    let manners = [
        DISCOVER,
        Manner {
            method: "initialize",
            stream: false,
        },
        Manner {
            method: "initialize",
            stream: true,
        },
    ];
    for manner in manners {
        let running = start(&world, manner, Some(|_| {})).await;
        let report = probe(&world, &target(&world, &running).await)
            .await
            .expect("a report");
        assert_eq!(
            of_profile(&ids(&report, Verdict::NotEnforced)),
            Vec::<&str>::new(),
            "{:#?}",
            report.findings
        );
        assert_eq!(of_profile(&ids(&report, Verdict::Enforced)), ENFORCED);
        let (_, reason) = at(&report, "sep-1932-server-validate-proof");
        assert!(reason.contains("RS-03"), "{reason}");
        let (_, reason) = at(&report, "sep-1932-server-iat-window");
        assert!(reason.contains("up to 60 s old"), "{reason}");
    }
}

#[tokio::test]
async fn a_server_behind_nothing_is_found() {
    let world = World::start().await;
    let running = start(&world, DISCOVER, None).await;
    let report = probe(&world, &target(&world, &running).await)
        .await
        .expect("a report");
    assert_eq!(
        of_profile(&ids(&report, Verdict::NotEnforced)),
        [
            "sep-1932-asymmetric-alg-only",
            "sep-1932-server-audience-validation",
            "sep-1932-server-iat-window",
            "sep-1932-server-validate-proof",
        ]
    );
    assert_eq!(report.grade, 'F');
    // What was never refused has no refusal to look at.
    assert_eq!(
        at(&report, "sep-1932-server-reject-401").0,
        Verdict::Inconclusive
    );
}

#[tokio::test]
async fn a_window_beyond_five_minutes_is_found() {
    let world = World::start().await;
    let wide = |config: &mut GuardConfig| config.profile.window.past = 400;
    let running = start(&world, DISCOVER, Some(wide)).await;
    let report = probe(&world, &target(&world, &running).await)
        .await
        .expect("a report");
    let (verdict, reason) = at(&report, "sep-1932-server-iat-window");
    assert_eq!(verdict, Verdict::NotEnforced);
    assert!(reason.contains("up to 400 s old"), "{reason}");
    let found = ids(&report, Verdict::NotEnforced);
    assert_eq!(of_profile(&found), ["sep-1932-server-iat-window"]);
}

#[tokio::test]
async fn a_server_that_knows_no_handshake_is_not_judged() {
    let world = World::start().await;
    let other = Manner {
        method: "something/else",
        stream: false,
    };
    let running = start(&world, other, None).await;
    let report = probe(&world, &target(&world, &running).await)
        .await
        .expect("a report");
    assert_eq!(ids(&report, Verdict::Enforced), BTreeSet::new());
    assert_eq!(ids(&report, Verdict::NotEnforced), BTreeSet::new());
    assert_eq!(report.grade, '?');
    assert!(report.requests < 10, "{} requests", report.requests);
    let (_, reason) = at(&report, "RS-01.without-proof");
    assert!(reason.contains("lacks the text `\"result\"`"), "{reason}");
}
