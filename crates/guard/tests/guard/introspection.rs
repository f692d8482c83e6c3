//! Asking an issuer about opaque tokens: what is asked how often, what is kept
//! how long, and what a bad endpoint can do (nothing but refuse).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use keybound_custody::SoftwareKey;
use keybound_guard::introspection::{
    IntrospectionClient, IntrospectionConfig, IntrospectionCredential,
};
use keybound_guard::{Guard, GuardConfig, IssuerConfig, Route};
use keybound_proto::cause::Cause;
use keybound_proto::jose::{Algorithm, Signer as _};
use keybound_proto::signal::{SignalEvent, Subject};
use keybound_proto::time::ManualClock;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::support::{MemorySink, NOW, Proof, RESOURCE, check, gauge, key, until};

const SECRET: &str = "correct horse:battery";

/// An issuer of opaque tokens.
#[derive(Clone)]
pub(crate) struct Opaque {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    tokens: Mutex<HashMap<String, Value>>,
    questions: Mutex<Vec<(HeaderMap, String)>>,
    endpoint: Mutex<Option<String>>,
    status: Mutex<Option<u16>>,
    metadata: AtomicUsize,
    hangs: AtomicBool,
}

impl Opaque {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let opaque = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            shared: Arc::default(),
        };
        let app = Router::new().fallback(serve).with_state(opaque.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        opaque
    }

    /// Answers for this token from now on.
    pub(crate) fn issue(&self, token: &str, holder: &SoftwareKey) -> Value {
        let answer = json!({
            "active": true, "iss": self.url, "sub": "agent-7", "client_id": "client-1", "aud": RESOURCE,
            "exp": NOW + 300, "scope": "approvals:read", "token_type": "DPoP", "jti": token,
            "cnf": {"jkt": holder.public_key().thumbprint().to_string()},
        });
        self.say(token, answer.clone());
        answer
    }

    pub(crate) fn say(&self, token: &str, answer: Value) {
        self.shared.tokens.lock().insert(token.to_owned(), answer);
    }

    fn fail(&self, status: Option<u16>) {
        *self.shared.status.lock() = status;
    }

    /// Questions about this token so far.
    pub(crate) fn asked(&self, token: &str) -> usize {
        let name = format!("token={token}&");
        let questions = self.shared.questions.lock();
        questions
            .iter()
            .filter(|(_, form)| form.starts_with(&name))
            .count()
    }

    pub(crate) fn questions(&self) -> usize {
        self.shared.questions.lock().len()
    }

    pub(crate) fn config(&self, change: impl FnOnce(&mut IntrospectionConfig)) -> IssuerConfig {
        let mut introspection = IntrospectionConfig::new(IntrospectionClient {
            id: "gateway-1".to_owned(),
            credential: IntrospectionCredential::SecretBasic(SECRET.to_owned().into()),
        });
        change(&mut introspection);
        let mut issuer = IssuerConfig::new(HttpUrl::parse(&self.url).unwrap());
        issuer.introspection = Some(introspection);
        issuer
    }
}

async fn serve(
    State(issuer): State<Opaque>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let shared = &issuer.shared;
    let json = |value: Value| {
        Response::builder()
            .header("content-type", "application/json; charset=utf-8")
            .body(Body::from(value.to_string()))
            .unwrap()
    };
    if uri
        .path()
        .starts_with("/.well-known/oauth-authorization-server")
    {
        shared.metadata.fetch_add(1, Ordering::SeqCst);
        let own = format!("{}/introspect", issuer.url);
        let endpoint = shared.endpoint.lock().clone().unwrap_or(own);
        return json(json!({
            "issuer": issuer.url, "introspection_endpoint": endpoint, "jwks_uri": format!("{}/jwks", issuer.url),
        }));
    }
    if uri.path() == "/jwks" {
        return json(json!({"keys": []}));
    }
    let form = String::from_utf8(body.to_vec()).unwrap();
    let token = form
        .split('&')
        .next()
        .unwrap()
        .trim_start_matches("token=")
        .to_owned();
    shared.questions.lock().push((headers, form));
    if shared.hangs.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    if let Some(status) = *shared.status.lock() {
        return Response::builder()
            .status(status)
            .body(Body::empty())
            .unwrap();
    }
    let known = shared.tokens.lock().get(&token).cloned();
    json(known.unwrap_or_else(|| json!({"active": false})))
}

pub(crate) struct World {
    pub(crate) guard: Guard,
    pub(crate) clock: ManualClock,
    pub(crate) holder: Arc<SoftwareKey>,
    pub(crate) sink: MemorySink,
    pub(crate) route: Route,
}

impl World {
    pub(crate) fn new(issuers: Vec<IssuerConfig>) -> Self {
        let clock = ManualClock::at(NOW);
        let sink = MemorySink::default();
        let mut config = GuardConfig::new("gateway-1", issuers, [7; 32]);
        config.replay.first_run = true;
        let guard = Guard::new(config, Arc::new(clock.clone()), Arc::new(sink.clone())).unwrap();
        Self {
            guard,
            clock,
            holder: key(Algorithm::EdDsa),
            sink,
            route: Route::new("approvals", RESOURCE),
        }
    }

    /// The cause with which this token is refused, if it is.
    pub(crate) async fn send(&self, token: &str) -> Option<Cause> {
        self.send_on(&self.route, token).await
    }

    pub(crate) async fn send_on(&self, route: &Route, token: &str) -> Option<Cause> {
        use keybound_proto::time::Clock as _;
        let mut proof = Proof::at(token, self.clock.now().as_secs());
        proof.key = Arc::clone(&self.holder);
        let proof = proof.sign();
        let outcome = check(&self.guard, route, format!("DPoP {token}"), Some(&proof)).await;
        outcome.err().map(|rejection| rejection.cause())
    }
}

async fn world() -> (Opaque, World) {
    world_with(|_| ()).await
}

async fn world_with(change: impl FnOnce(&mut IntrospectionConfig)) -> (Opaque, World) {
    let issuer = Opaque::start().await;
    let world = World::new(vec![issuer.config(change)]);
    issuer.issue("good", &world.holder);
    (issuer, world)
}

#[tokio::test]
async fn sc_212_an_active_answer_ends_with_its_time_and_with_the_token() {
    let (issuer, world) = world().await;
    assert_eq!(world.send("good").await, None);
    issuer.say("good", json!({"active": false}));
    world.clock.advance_secs(29);
    assert_eq!(world.send("good").await, None);
    assert_eq!(issuer.asked("good"), 1);
    world.clock.advance_secs(1);
    assert_eq!(world.send("good").await, Some(Cause::TokenInactive));
    // An answer never outlives the token it is about.
    let mut short = issuer.issue("short", &world.holder);
    short["exp"] = json!(NOW + 30 + 5);
    issuer.say("short", short);
    assert_eq!(world.send("short").await, None);
    world.clock.advance_secs(5);
    assert_eq!(world.send("short").await, Some(Cause::TokenExpired));
}

#[tokio::test]
async fn sc_212_signals_clear_answers_at_once() {
    let (issuer, world) = world().await;
    let jkt = world.holder.public_key().thumbprint();
    let subjects = [
        Subject::TokenHash(TokenHash::of(b"good")),
        Subject::Key(jkt),
        Subject::Identity {
            issuer: issuer.url.clone(),
            subject: "agent-7".to_owned(),
        },
    ];
    for subject in subjects {
        assert_eq!(world.send("good").await, None);
        let before = issuer.asked("good");
        let view = world.guard.revocations();
        view.apply(&subject, SignalEvent::Locked, None);
        let cause = world.send("good").await;
        assert!(
            matches!(
                cause,
                Some(Cause::TokenRevoked | Cause::KeyLocked | Cause::IdentityLocked)
            ),
            "{cause:?}"
        );
        assert_eq!(issuer.asked("good"), before + 1, "{subject:?}");
        view.apply(&subject, SignalEvent::Released, None);
    }
    // A refusal does not outlive the release of a lock either.
    issuer.say("good", json!({"active": false}));
    world.clock.advance_secs(30);
    assert_eq!(world.send("good").await, Some(Cause::TokenInactive));
    issuer.issue("good", &world.holder);
    assert_eq!(world.send("good").await, Some(Cause::TokenInactive));
    let released = Subject::Key(jkt);
    world
        .guard
        .revocations()
        .apply(&released, SignalEvent::Released, None);
    assert_eq!(world.send("good").await, None);
}

#[tokio::test]
async fn sc_211_an_answer_for_one_resource_says_nothing_about_another() {
    let (issuer, world) = world().await;
    assert_eq!(world.send("good").await, None);
    let other = Route::new("reports", "https://reports.example.com/");
    assert_eq!(
        world.send_on(&other, "good").await,
        Some(Cause::TokenAudienceMismatch)
    );
    assert_eq!(issuer.asked("good"), 2);
    assert_eq!(world.send("good").await, None);
    assert_eq!(issuer.asked("good"), 2);
}

#[tokio::test]
async fn refusals_are_remembered_for_seconds() {
    let (issuer, world) = world().await;
    for _ in 0..3 {
        assert_eq!(world.send("made-up").await, Some(Cause::TokenInactive));
    }
    assert_eq!(issuer.asked("made-up"), 1);
    issuer.issue("made-up", &world.holder);
    world.clock.advance_secs(5);
    assert_eq!(world.send("made-up").await, None);
}

#[tokio::test]
async fn a_hundred_requests_with_one_token_are_one_question() {
    let (issuer, world) = world().await;
    let world = Arc::new(world);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.send("good").await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), None);
    }
    assert_eq!(issuer.asked("good"), 1);
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_answers_unknown() {
    let (issuer, world) = world().await;
    assert_eq!(world.send("good").await, None);
    world.clock.set(NOW - 100);
    // The replay log is careful as well; the token was asked about before.
    assert_eq!(world.send("good").await, Some(Cause::ReplayEpoch));
    assert_eq!(issuer.asked("good"), 2);
}

#[tokio::test]
async fn a_down_endpoint_refuses_and_is_found_again() {
    let (issuer, world) = world().await;
    for status in [500, 503, 404, 302, 201, 401, 403] {
        issuer.fail(Some(status));
        let cause = world.send("good").await;
        assert_eq!(cause, Some(Cause::IntrospectionUnavailable), "{status}");
    }
    let asked = issuer.asked("good");
    issuer.fail(None);
    assert_eq!(
        world.send("good").await,
        None,
        "nothing of a failure is remembered"
    );
    assert_eq!(issuer.asked("good"), asked + 1);
}

/// F-17: an endpoint that takes questions and never answers.
#[tokio::test]
async fn f_17_an_endpoint_that_hangs_costs_bounded_time_and_holds_up_nobody_else() {
    let (issuer, world) = world().await;
    assert_eq!(world.send("good").await, None);
    issuer.shared.hangs.store(true, Ordering::SeqCst);
    // From here on only the time limits move the clock.
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    let unknown = world.send("unknown");
    tokio::pin!(unknown);
    tokio::select! {
        biased;
        answer = &mut unknown => panic!("answered at once: {answer:?}"),
        known = world.send("good") => assert_eq!(known, None, "an answer that is known serves on"),
    }
    assert_eq!(unknown.await, Some(Cause::IntrospectionUnavailable));
    assert!(begin.elapsed().as_secs() <= 6, "{:?}", begin.elapsed());
    tokio::time::resume();
    issuer.shared.hangs.store(false, Ordering::SeqCst);
    issuer.issue("late", &world.holder);
    world.clock.advance_secs(2);
    assert_eq!(world.send("late").await, None, "found again");
}

#[tokio::test]
async fn an_unreachable_endpoint_is_tried_once_a_second() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (issuer, world) = world_with(|config| {
        config.endpoint = Some(HttpUrl::parse(&format!("{nobody}/introspect")).unwrap());
    })
    .await;
    for _ in 0..5 {
        assert_eq!(
            world.send("good").await,
            Some(Cause::IntrospectionUnavailable)
        );
    }
    assert_eq!(
        gauge(&world.guard, "keybound_introspection_requests_total"),
        1
    );
    world.clock.advance_millis(1000);
    assert_eq!(
        world.send("good").await,
        Some(Cause::IntrospectionUnavailable)
    );
    assert_eq!(
        gauge(&world.guard, "keybound_introspection_requests_total"),
        2
    );
    assert_eq!(issuer.questions(), 0);
}

#[tokio::test]
async fn sc_236_an_endpoint_elsewhere_is_not_found_by_discovery() {
    let (issuer, world) = world().await;
    let elsewhere = Opaque::start().await;
    *issuer.shared.endpoint.lock() = Some(format!("{}/introspect", elsewhere.url));
    assert_eq!(
        world.send("good").await,
        Some(Cause::IntrospectionUnavailable)
    );
    assert_eq!(elsewhere.questions(), 0, "a token went to another server");
}

#[tokio::test]
async fn readiness_tells_the_state_of_the_endpoint() {
    let (issuer, world) = world().await;
    let ready = || {
        let checks = world.guard.readiness();
        let check = checks
            .iter()
            .find(|check| check.name.starts_with("introspection"));
        check.unwrap().ok
    };
    assert!(!ready(), "not asked yet");
    world.guard.maintain().await;
    assert!(ready());
    issuer.fail(Some(401));
    assert_eq!(
        world.send("good").await,
        Some(Cause::IntrospectionUnavailable)
    );
    assert!(!ready(), "the credentials are refused");
    world.guard.maintain().await;
    assert!(!ready());
    issuer.fail(None);
    world.guard.maintain().await;
    assert!(ready());
    // One odd answer is the token's, not the endpoint's: a caller cannot take the node down.
    let mut odd = issuer.issue("odd", &world.holder);
    odd["cnf"] = json!({});
    issuer.say("odd", odd);
    assert_eq!(world.send("odd").await, Some(Cause::IntrospectionInvalid));
    assert!(ready());
    let questions = issuer.questions();
    world.guard.maintain().await;
    world.guard.maintain().await;
    assert_eq!(issuer.questions(), questions + 1, "asked once to be sure");
    assert!(ready());
}

/// An issuer that is asked about everything, and answers in JSON, has no keys to wait for.
#[tokio::test]
async fn readiness_waits_for_keys_only_where_something_is_verified_with_them() {
    for (jwts, wanted) in [(true, false), (false, true)] {
        let (_issuer, world) = world_with(|config| config.jwts = jwts).await;
        let checks = world.guard.readiness();
        let waits = checks.iter().any(|check| check.name.starts_with("keys"));
        assert_eq!(waits, wanted, "asked about JWTs: {jwts}");
    }
}

#[tokio::test]
async fn credentials_go_where_they_should_and_the_token_nowhere_else() {
    let (issuer, world) = world().await;
    assert_eq!(world.send("good").await, None);
    let (headers, form) = issuer.shared.questions.lock()[0].clone();
    // `gateway-1` and the form-encoded secret (RFC 6749 section 2.3.1).
    let basic = "Basic Z2F0ZXdheS0xOmNvcnJlY3QraG9yc2UlM0FiYXR0ZXJ5";
    assert_eq!(headers["authorization"], basic);
    assert_eq!(form, "token=good&token_type_hint=access_token");
    world.send("made-up-secret").await;
    world.guard.report_refusals();
    let told = format!(
        "{:?} {:?} {}",
        world.sink.take(),
        world.guard,
        world.guard.render_metrics()
    );
    for secret in ["made-up-secret", SECRET, "battery"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[tokio::test]
async fn a_key_authenticates_with_a_fresh_assertion_each_time() {
    let signer = key(Algorithm::Es256);
    let (issuer, world) = world_with(|config| {
        config.client.credential = IntrospectionCredential::PrivateKeyJwt {
            key: signer.clone(),
            kid: Some("kid-1".to_owned()),
        };
    })
    .await;
    assert_eq!(world.send("good").await, None);
    assert_eq!(world.send("made-up").await, Some(Cause::TokenInactive));
    let questions = issuer.shared.questions.lock().clone();
    let assertion = |form: &str| {
        let field = form
            .split('&')
            .find_map(|field| field.strip_prefix("client_assertion="));
        field.unwrap().to_owned()
    };
    let (first, second) = (assertion(&questions[0].1), assertion(&questions[1].1));
    assert_ne!(first, second);
    assert!(questions[0].0.get("authorization").is_none());
    let jws = keybound_proto::jose::Jws::parse(first.as_bytes(), 4096).unwrap();
    assert!(jws.verify(Algorithm::Es256, signer.public_key()).is_ok());
    assert_eq!(
        jws.claims().unwrap().string("aud").unwrap(),
        Some(issuer.url.as_str())
    );
}

#[tokio::test]
async fn the_handle_in_events_is_not_the_token() {
    let (_, world) = world().await;
    let thief = key(Algorithm::EdDsa);
    let mut proof = Proof::at("good", NOW);
    proof.key = thief;
    let proof = proof.sign();
    let outcome = check(&world.guard, &world.route, "DPoP good", Some(&proof)).await;
    assert_eq!(outcome.unwrap_err().cause(), Cause::TokenKeyMismatch);
    let events = world.sink.take();
    let text = serde_json::to_string(&events[0]).unwrap();
    assert!(text.contains("\"tok_"), "{text}");
    assert!(!text.contains("\"good\""), "{text}");
}

#[tokio::test]
async fn nothing_is_left_behind_by_senders_who_hang_up() {
    let (issuer, world) = world().await;
    let world = Arc::new(world);
    for number in 0..50 {
        let world = Arc::clone(&world);
        let task = tokio::spawn(async move { world.send(&format!("gone-{number}")).await });
        tokio::task::yield_now().await;
        task.abort();
    }
    until(|| gauge(&world.guard, "keybound_introspection_under_way") == 0).await;
    assert_eq!(world.send("good").await, None);
    assert!(issuer.questions() <= 52);
}
