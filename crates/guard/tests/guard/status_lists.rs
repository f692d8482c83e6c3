//! Status lists at a guard: what is fetched when, and how long it is believed.
//! `vectors/status_lists.json` with the addresses of this test.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use keybound_custody::SoftwareKey;
use keybound_guard::IssuerConfig;
use keybound_guard::keys::KeySet;
use keybound_guard::status::{StatusConfig, StatusRule};
use keybound_proto::cause::Cause;
use keybound_proto::jose::{Algorithm, Signer as _};
use keybound_proto::uri::HttpUrl;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::introspection::World;
use crate::support::{NOW, RESOURCE, key, sign};

/// An issuer with one status list.
#[derive(Clone)]
struct Lists {
    url: String,
    key: Arc<SoftwareKey>,
    answer: Arc<Mutex<(u16, String, String)>>,
    fetches: Arc<AtomicUsize>,
}

async fn serve(State(lists): State<Lists>) -> Response<Body> {
    lists.fetches.fetch_add(1, Ordering::SeqCst);
    let (status, kind, body) = lists.answer.lock().clone();
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap()
}

impl Lists {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lists = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            key: key(Algorithm::EdDsa),
            answer: Arc::default(),
            fetches: Arc::default(),
        };
        let app = Router::new().fallback(serve).with_state(lists.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        lists
    }

    fn uri(&self) -> String {
        format!("{}/status/1", self.url)
    }

    fn publish(&self, list: &str) {
        *self.answer.lock() = (
            200,
            "application/statuslist+jwt".to_owned(),
            list.to_owned(),
        );
    }

    /// The draft's list at two bits: 1, 2, 0, 3 and so on.
    fn list(&self) -> Value {
        json!({"sub": self.uri(), "iat": NOW, "exp": NOW + 600, "ttl": 60,
            "status_list": {"bits": 2, "lst": "eNo76fITAAPfAgc"}})
    }

    fn sign_list(&self, claims: &Value) -> String {
        let header = json!({"typ": "statuslist+jwt", "alg": "EdDSA", "kid": "k1"});
        sign(&header, claims, &self.key)
    }

    fn config(&self, rule: StatusRule) -> IssuerConfig {
        let mut issuer = IssuerConfig::new(HttpUrl::parse(&self.url).unwrap());
        let jwk = self.key.public_key().to_jwk_with("k1", Algorithm::EdDsa);
        let document = format!(r#"{{"keys":[{jwk}]}}"#);
        issuer.jwks = Some(KeySet::parse(document.as_bytes()).unwrap());
        issuer.status = StatusConfig {
            rule,
            origins: Vec::new(),
        };
        issuer
    }

    fn token(&self, world: &World, status: &Value) -> String {
        let mut claims = json!({
            "iss": self.url, "sub": "agent-7", "client_id": "client-1", "aud": RESOURCE, "iat": NOW,
            "exp": NOW + 3000, "jti": "tok_1",
            "cnf": {"jkt": world.holder.public_key().thumbprint().to_string()},
        });
        if !status.is_null() {
            claims["status"] = status.clone();
        }
        let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "k1"});
        sign(&header, &claims, &self.key)
    }

    fn at(&self, index: u64) -> Value {
        json!({"status_list": {"idx": index, "uri": self.uri()}})
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

/// Signed anew by this test's issuer, because its address is part of what is signed; a list by a
/// stranger stays one.
fn here(lists: &Lists, vector: &Value, stranger: &SoftwareKey) -> String {
    let parts: Vec<_> = vector["list"].as_str().unwrap().split('.').collect();
    let decode = |part: &str| -> Value {
        let bytes = keybound_proto::base64url::decode(part.as_bytes()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let mut header = decode(parts[0]);
    header["kid"] = json!("k1");
    let mut claims = decode(parts[1]);
    if claims["sub"] == "https://auth.example.com/status/1" {
        claims["sub"] = json!(lists.uri());
    }
    let signer = if vector["id"] == "status-stranger" {
        stranger
    } else {
        &lists.key
    };
    sign(&header, &claims, signer)
}

#[tokio::test]
async fn sc_221_every_vector_goes_as_written() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/status_lists.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert!(vectors.len() >= 20, "only {}", vectors.len());
    for vector in vectors {
        let lists = Lists::start().await;
        let rule = match vector["rule"].as_str().unwrap() {
            "require" => StatusRule::Require,
            _ => StatusRule::Check,
        };
        let world = World::new(vec![lists.config(rule)]);
        let stranger = key(Algorithm::EdDsa);
        *lists.answer.lock() = (
            u16::try_from(vector["http_status"].as_u64().unwrap()).unwrap(),
            vector["content_type"].as_str().unwrap().to_owned(),
            here(&lists, vector, &stranger),
        );
        let mut status = vector["status"].clone();
        if status["status_list"]["uri"] == "https://auth.example.com/status/1" {
            status["status_list"]["uri"] = json!(lists.uri());
        }
        let got = world.send(&lists.token(&world, &status)).await;
        let got = got.map_or("ok", Cause::id);
        assert_eq!(got, vector["expect"].as_str().unwrap(), "{}", vector["id"]);
    }
}

#[tokio::test]
async fn a_list_serves_for_its_ttl_and_a_change_counts_then() {
    let lists = Lists::start().await;
    let world = World::new(vec![lists.config(StatusRule::Check)]);
    lists.publish(&lists.sign_list(&lists.list()));
    let token = lists.token(&world, &lists.at(2));
    for _ in 0..5 {
        assert_eq!(world.send(&token).await, None);
    }
    assert_eq!(lists.fetches(), 1);
    // Place 2 is revoked now: all bits set.
    let mut revoked = lists.list();
    revoked["iat"] = json!(NOW + 50);
    revoked["status_list"] = json!({"bits": 1, "lst": "eNr7DwABAAEA"});
    world.clock.advance_secs(59);
    assert_eq!(world.send(&token).await, None);
    lists.publish(&lists.sign_list(&revoked));
    world.clock.advance_secs(1);
    let cause = world.send(&token).await;
    assert_eq!(cause, Some(Cause::TokenStatusInvalid));
    assert_eq!(lists.fetches(), 2);
}

#[tokio::test]
async fn without_a_list_in_time_tokens_are_refused_and_come_back() {
    let lists = Lists::start().await;
    let world = World::new(vec![lists.config(StatusRule::Check)]);
    lists.publish(&lists.sign_list(&lists.list()));
    let token = lists.token(&world, &lists.at(2));
    assert_eq!(world.send(&token).await, None);
    *lists.answer.lock() = (500, String::new(), String::new());
    world.clock.advance_secs(60);
    for _ in 0..5 {
        let cause = world.send(&token).await;
        assert_eq!(cause, Some(Cause::StatusListUnavailable));
    }
    assert_eq!(lists.fetches(), 2, "not again for five seconds");
    lists.publish(&lists.sign_list(&lists.list()));
    world.clock.advance_secs(5);
    assert_eq!(world.send(&token).await, None);
}

#[tokio::test]
async fn only_holders_cause_a_fetch() {
    let lists = Lists::start().await;
    let mut world = World::new(vec![lists.config(StatusRule::Require)]);
    lists.publish(&lists.sign_list(&lists.list()));
    let token = lists.token(&world, &lists.at(2));
    let owner = std::mem::replace(&mut world.holder, key(Algorithm::EdDsa));
    assert_eq!(world.send(&token).await, Some(Cause::TokenKeyMismatch));
    assert_eq!(lists.fetches(), 0);
    world.holder = owner;
    assert_eq!(world.send(&token).await, None);
}

#[tokio::test]
async fn a_hundred_requests_fetch_a_list_once() {
    let lists = Lists::start().await;
    let world = Arc::new(World::new(vec![lists.config(StatusRule::Check)]));
    lists.publish(&lists.sign_list(&lists.list()));
    let token = lists.token(&world, &lists.at(2));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (world, token) = (Arc::clone(&world), token.clone());
            tokio::spawn(async move { world.send(&token).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), None);
    }
    assert_eq!(lists.fetches(), 1);
}
