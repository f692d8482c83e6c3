//! A world for one guard: an issuer that can be made to misbehave, a holder's
//! key, and a clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use keybound_custody::SoftwareKey;
pub(crate) use keybound_guard::Route;
use keybound_guard::{EventSink, Guard, GuardConfig, IssuerConfig, ReplayConfig, ReplayMode};
use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::dpop::{self, ProofRequest};
use keybound_proto::event::Event;
use keybound_proto::jose::{Algorithm, Signer, SigningInput};
use keybound_proto::time::{Clock as _, ManualClock, UnixTime};
use keybound_proto::token::TokenHash;
use keybound_proto::uri::{HttpUrl, Htu};
use keybound_proto::verify::{HeaderField, Message, Presented, Verified};
use parking_lot::Mutex;
use serde_json::{Value, json};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const RESOURCE: &str = "https://api.example.com/";
pub(crate) const TARGET: &str = "https://api.example.com/approvals";

/// A sink that remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemorySink(Arc<Mutex<Vec<Event>>>);

impl EventSink for MemorySink {
    fn record(&self, event: Event) {
        self.0.lock().push(event);
    }
}

impl MemorySink {
    /// Everything since the last call.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock())
    }
}

/// How the issuer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// 500 to everything.
    Broken,
    /// A web page instead of JSON.
    Html,
    /// Metadata in the OpenID Connect place only.
    OidcOnly,
    /// A key set of one megabyte.
    Oversize,
    /// A redirect to the real key set.
    Redirect,
    /// As it should.
    Well,
    /// Metadata that names another issuer.
    WrongIssuer,
}

pub(crate) struct Issuer {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    url: String,
    path: String,
    manner: Mutex<Manner>,
    keys: Mutex<Vec<(String, Arc<SoftwareKey>)>>,
    jwks_uri: Mutex<Option<String>>,
    hits: Mutex<HashMap<String, usize>>,
    fetches: AtomicUsize,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        Self::start_at("").await
    }

    /// An issuer whose identifier has this path.
    pub(crate) async fn start_at(path: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            url: format!("{origin}{path}"),
            path: path.to_owned(),
            manner: Mutex::new(Manner::Well),
            keys: Mutex::new(vec![("k1".into(), key(Algorithm::EdDsa))]),
            jwks_uri: Mutex::new(None),
            hits: Mutex::default(),
            fetches: AtomicUsize::new(0),
        });
        let app = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            url: shared.url.clone(),
            shared,
        }
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.shared.manner.lock() = manner;
    }

    pub(crate) fn publish(&self, keys: Vec<(String, Arc<SoftwareKey>)>) {
        *self.shared.keys.lock() = keys;
    }

    pub(crate) fn keys(&self) -> Vec<(String, Arc<SoftwareKey>)> {
        self.shared.keys.lock().clone()
    }

    pub(crate) fn announce_jwks_uri(&self, url: &str) {
        *self.shared.jwks_uri.lock() = Some(url.to_owned());
    }

    /// How often anybody asked for the key set.
    pub(crate) fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }

    /// How often this path was asked for.
    pub(crate) fn hits(&self, path: &str) -> usize {
        self.shared.hits.lock().get(path).copied().unwrap_or(0)
    }

    pub(crate) fn config(&self) -> IssuerConfig {
        IssuerConfig::new(HttpUrl::parse(&self.url).unwrap())
    }

    pub(crate) fn claims(&self, holder: &SoftwareKey) -> Value {
        static TOKENS: AtomicU64 = AtomicU64::new(0);
        json!({
            "iss": self.url, "sub": "agent-7", "client_id": "client-1", "aud": RESOURCE,
            "iat": NOW - 30, "exp": NOW + 300, "scope": "approvals:read approvals:write",
            "jti": format!("tok_{}", TOKENS.fetch_add(1, Ordering::Relaxed)),
            "cnf": {"jkt": holder.public_key().thumbprint().to_string()},
        })
    }

    pub(crate) fn token(&self, holder: &SoftwareKey) -> String {
        self.sign(&self.claims(holder))
    }

    /// A token with these claims, signed by the first key.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let (kid, key) = self.keys().swap_remove(0);
        let header = json!({"typ": "at+jwt", "alg": key.algorithm().name(), "kid": kid});
        sign(&header, claims, &key)
    }
}

async fn serve(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let path = uri.path().to_owned();
    *shared.hits.lock().entry(path.clone()).or_default() += 1;
    let manner = shared.manner.lock().clone();
    let oauth = format!("/.well-known/oauth-authorization-server{}", shared.path);
    let oidc = format!("{}/.well-known/openid-configuration", shared.path);
    if manner == Manner::Broken {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if path == oidc || (path == oauth && manner != Manner::OidcOnly) {
        let issuer = match manner {
            Manner::WrongIssuer => format!("{}/", shared.url),
            _ => shared.url.clone(),
        };
        let jwks_uri = shared.jwks_uri.lock().clone();
        let jwks_uri = jwks_uri.unwrap_or_else(|| format!("{}/jwks", shared.url));
        return json_response(&json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string());
    }
    if path == format!("{}/jwks", shared.path) {
        shared.fetches.fetch_add(1, Ordering::SeqCst);
        return key_set(&shared, &manner);
    }
    if path == "/real-jwks" {
        return key_set(&shared, &Manner::Well);
    }
    StatusCode::NOT_FOUND.into_response()
}

fn key_set(shared: &Shared, manner: &Manner) -> Response {
    let keys = shared.keys.lock().clone();
    let jwks: Vec<_> = keys
        .iter()
        .map(|(kid, key)| key.public_key().to_jwk_with(kid, key.algorithm()))
        .collect();
    let document = format!(r#"{{"keys":[{}]}}"#, jwks.join(","));
    match manner {
        Manner::Redirect => (StatusCode::FOUND, [(header::LOCATION, "/real-jwks")]).into_response(),
        Manner::Html => json_response("<!doctype html><title>Sign in</title>"),
        Manner::Oversize => json_response(&document.replacen(
            '{',
            &format!("{{\"pad\":\"{}\",", "x".repeat(1 << 20)),
            1,
        )),
        Manner::Broken | Manner::OidcOnly | Manner::Well | Manner::WrongIssuer => {
            json_response(&document)
        }
    }
}

fn json_response(text: &str) -> Response {
    let body = Bytes::copy_from_slice(text.as_bytes());
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

pub(crate) fn key(algorithm: Algorithm) -> Arc<SoftwareKey> {
    Arc::new(SoftwareKey::generate(algorithm).unwrap())
}

pub(crate) fn sign(header: &Value, claims: &Value, key: &SoftwareKey) -> String {
    let input = SigningInput::new(&header.to_string(), &claims.to_string());
    input.sign(key).unwrap()
}

/// A guard, its issuer, a holder, and everything that can be moved or watched.
pub(crate) struct World {
    pub(crate) guard: Guard,
    pub(crate) issuer: Issuer,
    pub(crate) holder: Arc<SoftwareKey>,
    pub(crate) clock: ManualClock,
    pub(crate) sink: MemorySink,
    pub(crate) route: Route,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Issuer::start().await, |_| ())
    }

    pub(crate) fn with(issuer: Issuer, change: impl FnOnce(&mut GuardConfig)) -> Self {
        let clock = ManualClock::at(NOW);
        let sink = MemorySink::default();
        let guard = guard(&issuer, &clock, &sink, change);
        Self {
            guard,
            issuer,
            holder: key(Algorithm::EdDsa),
            clock,
            sink,
            route: Route::new("approvals", RESOURCE),
        }
    }

    pub(crate) fn token(&self) -> String {
        self.issuer.token(&self.holder)
    }

    /// A fresh proof of the holder for the token and the usual request.
    pub(crate) fn proof(&self, token: &str) -> String {
        self.proof_with(token, |_| ())
    }

    pub(crate) fn proof_with(&self, token: &str, change: impl FnOnce(&mut Proof<'_>)) -> String {
        let mut proof = Proof::new(token, self.clock.now());
        proof.key = Arc::clone(&self.holder);
        change(&mut proof);
        proof.sign()
    }

    pub(crate) async fn send(&self, token: &str, proof: &str) -> Result<Verified, Rejection> {
        check(
            &self.guard,
            &self.route,
            &format!("DPoP {token}"),
            Some(proof),
        )
        .await
    }

    /// The cause of a refusal; panics if the request was accepted.
    pub(crate) async fn refused(&self, token: &str, proof: &str) -> Cause {
        self.send(token, proof)
            .await
            .expect_err("must be refused")
            .cause()
    }

    pub(crate) async fn accept(&self, token: &str) {
        let proof = self.proof(token);
        self.send(token, &proof).await.unwrap();
    }

    pub(crate) fn replay_entries(&self) -> usize {
        usize::try_from(gauge(&self.guard, "keybound_replay_store_entries")).unwrap()
    }
}

/// The value of a metric without labels.
pub(crate) fn gauge(guard: &Guard, name: &str) -> u64 {
    let text = guard.render_metrics();
    let prefix = format!("{name} ");
    let line = text.lines().find(|line| line.starts_with(&prefix));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// Waits until it holds, for at most ten seconds.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    let polled = async {
        while !holds() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    let patience = std::time::Duration::from_secs(10);
    tokio::time::timeout(patience, polled).await.unwrap();
}

/// A guard for one issuer, on its first run.
pub(crate) fn guard(
    issuer: &Issuer,
    clock: &ManualClock,
    sink: &MemorySink,
    change: impl FnOnce(&mut GuardConfig),
) -> Guard {
    let mut config = GuardConfig::new("gateway-1", vec![issuer.config()], [7; 32]);
    config.replay = ReplayConfig {
        mode: ReplayMode::Strict,
        capacity: 100_000,
        per_sender: 100_000,
        first_run: true,
    };
    change(&mut config);
    Guard::new(config, Arc::new(clock.clone()), Arc::new(sink.clone())).unwrap()
}

pub(crate) async fn check(
    guard: &Guard,
    route: &Route,
    authorization: impl AsRef<str>,
    proof: Option<&str>,
) -> Result<Verified, Rejection> {
    let target = Htu::parse(TARGET).unwrap();
    let presented = presented(&target, authorization.as_ref(), proof);
    guard.check(&presented, route).await
}

/// The usual request with these credentials.
pub(crate) fn presented<'a>(
    target: &'a Htu,
    authorization: &'a str,
    proof: Option<&'a str>,
) -> Presented<'a> {
    Presented {
        method: "GET",
        target,
        authorization: HeaderField::One(authorization.as_bytes()),
        proof: proof.map_or(HeaderField::Absent, |proof| {
            HeaderField::One(proof.as_bytes())
        }),
        message: Message::default(),
    }
}

/// What goes into a proof.
pub(crate) struct Proof<'a> {
    pub(crate) key: Arc<SoftwareKey>,
    pub(crate) method: &'a str,
    pub(crate) htu: &'a str,
    pub(crate) iat: UnixTime,
    pub(crate) jti: String,
    pub(crate) ath: TokenHash,
    pub(crate) nonce: Option<String>,
    pub(crate) content_digest: Option<String>,
}

impl Proof<'_> {
    fn new(token: &str, now: UnixTime) -> Self {
        static PROOFS: AtomicU64 = AtomicU64::new(0);
        let number = PROOFS.fetch_add(1, Ordering::Relaxed);
        Self {
            key: key(Algorithm::EdDsa),
            method: "GET",
            htu: TARGET,
            iat: now,
            jti: format!("proof-{number}"),
            ath: TokenHash::of(token.as_bytes()),
            nonce: None,
            content_digest: None,
        }
    }

    /// A good proof for this token at this second, by a key of its own.
    pub(crate) fn at(token: &str, seconds: u64) -> Proof<'static> {
        Proof::new(token, UnixTime::from_secs(seconds))
    }

    pub(crate) fn sign(self) -> String {
        let request = ProofRequest {
            method: self.method,
            htu: self.htu,
            iat: self.iat,
            jti: &self.jti,
            ath: Some(&self.ath),
            nonce: self.nonce.as_deref(),
            content_digest: self.content_digest.as_deref(),
        };
        let algorithm = self.key.algorithm();
        let input = dpop::signing_input(&request, self.key.public_key(), algorithm);
        input.sign(&*self.key).unwrap()
    }
}
