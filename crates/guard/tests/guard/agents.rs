//! Agents that come without a token, and what their origins answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use keybound_custody::SoftwareKey;
use keybound_guard::agents::AgentDirectories;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::signature::agent::{
    AGENT_TAG, DIRECTORY_PATH, DIRECTORY_TAG, MAX_DIRECTORY_BYTES, VerifiedAgent,
};
use keybound_proto::signature::{
    Component, DigestAlgorithm, SignatureInput, SignatureParameters, SignedRequest, SignedResponse,
    content_digest,
};
use keybound_proto::time::{ManualClock, UnixTime};
use keybound_proto::uri::Origin;
use parking_lot::Mutex;

const NOW: u64 = 1_800_000_000;

/// How the agent's origin behaves.
#[derive(Clone)]
enum Manner {
    Broken,
    Huge,
    Redirects,
    Serves(Vec<Arc<SoftwareKey>>),
    Unsigned(Arc<SoftwareKey>),
}

struct Inner {
    origin: Mutex<Option<Origin>>,
    manner: Mutex<Manner>,
    hits: AtomicUsize,
}

/// An agent's origin on loopback, and a server that wants to know its agents.
struct World {
    inner: Arc<Inner>,
    origin: Origin,
    clock: ManualClock,
    directories: AgentDirectories,
}

fn key() -> Arc<SoftwareKey> {
    Arc::new(SoftwareKey::generate(Algorithm::EdDsa).expect("a key"))
}

impl World {
    async fn start(manner: Manner) -> Self {
        let inner = Arc::new(Inner {
            origin: Mutex::default(),
            manner: Mutex::new(manner),
            hits: AtomicUsize::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let origin = Origin::parse(&format!("http://{address}")).expect("an origin");
        *inner.origin.lock() = Some(origin.clone());
        let router = Router::new()
            .route(DIRECTORY_PATH, axum::routing::get(answer))
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let clock = ManualClock::at(NOW);
        let directories = AgentDirectories::new(Arc::new(clock.clone())).expect("a client");
        Self {
            inner,
            origin,
            clock,
            directories,
        }
    }

    fn behave(&self, manner: Manner) {
        *self.inner.manner.lock() = manner;
    }

    fn hits(&self) -> usize {
        self.inner.hits.load(Ordering::SeqCst)
    }

    /// A request signed with `key`, checked.
    async fn check(&self, key: &SoftwareKey) -> Result<VerifiedAgent, &'static str> {
        let welcome = [self.origin.clone()];
        self.check_for(key, &welcome).await
    }

    async fn check_for(
        &self,
        key: &SoftwareKey,
        welcome: &[Origin],
    ) -> Result<VerifiedAgent, &'static str> {
        let api = Origin::parse("https://api.example.com").expect("an origin");
        let agent = format!("me=\"{}\"", self.origin);
        let now = keybound_proto::time::Clock::now(&self.clock);
        let keyid = key.public_key().thumbprint().to_string();
        let parameters = SignatureParameters {
            created: Some(now),
            expires: Some(now.plus(60)),
            keyid: Some(&keyid),
            tag: Some(AGENT_TAG),
            ..SignatureParameters::default()
        };
        let covered = [
            Component::new("@authority").expect("a component"),
            Component::member("signature-agent", "me").expect("a component"),
        ];
        let unsigned: &[(&str, &[u8])] = &[("signature-agent", agent.as_bytes())];
        let input = SignatureInput::new(request(&api, &unsigned), &covered, parameters);
        let signed = input.expect("a base").sign("sig1", key).expect("signed");
        let fields: &[(&str, &[u8])] = &[
            ("signature-agent", agent.as_bytes()),
            ("signature-input", signed.signature_input.as_bytes()),
            ("signature", signed.signature.as_bytes()),
        ];
        self.directories
            .verify(request(&api, &fields), welcome)
            .await
            .map_err(|rejection| rejection.cause().id())
    }
}

fn request<'a>(origin: &'a Origin, fields: &'a &'a [(&'a str, &'a [u8])]) -> SignedRequest<'a> {
    SignedRequest {
        method: "GET",
        origin,
        request_target: "/things",
        fields,
        trailers: None,
    }
}

async fn answer(State(inner): State<Arc<Inner>>) -> impl IntoResponse {
    inner.hits.fetch_add(1, Ordering::SeqCst);
    let manner = inner.manner.lock().clone();
    let origin = inner.origin.lock().clone().expect("an origin");
    match manner {
        Manner::Broken => (
            StatusCode::INTERNAL_SERVER_ERROR,
            HeaderMap::new(),
            String::new(),
        ),
        Manner::Huge => {
            let text = "x".repeat(MAX_DIRECTORY_BYTES + 1);
            (StatusCode::OK, HeaderMap::new(), text)
        }
        Manner::Redirects => {
            let mut headers = HeaderMap::new();
            headers.insert("location", "https://127.0.0.1:1/".parse().expect("a value"));
            (StatusCode::FOUND, headers, String::new())
        }
        Manner::Serves(keys) => directory(&origin, &keys, &keys),
        Manner::Unsigned(key) => directory(&origin, &[key], &[]),
    }
}

fn directory(
    origin: &Origin,
    keys: &[Arc<SoftwareKey>],
    signers: &[Arc<SoftwareKey>],
) -> (StatusCode, HeaderMap, String) {
    let jwks: Vec<_> = keys.iter().map(|key| key.public_key().to_jwk()).collect();
    let content = format!("{{\"keys\":[{}]}}", jwks.join(","));
    let digest = content_digest(DigestAlgorithm::Sha256, content.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert("content-digest", digest.parse().expect("a value"));
    for (index, signer) in signers.iter().enumerate() {
        let fields: &[(&str, &[u8])] = &[("content-digest", digest.as_bytes())];
        let response = SignedResponse {
            status: 200,
            fields: &fields,
            trailers: None,
            request: Some(request(origin, &EMPTY)),
        };
        let keyid = signer.public_key().thumbprint().to_string();
        let parameters = SignatureParameters {
            created: Some(UnixTime::from_secs(NOW)),
            expires: Some(UnixTime::from_secs(NOW + 100_000)),
            keyid: Some(&keyid),
            tag: Some(DIRECTORY_TAG),
            ..SignatureParameters::default()
        };
        let covered = [
            Component::of_request("@authority").expect("a component"),
            Component::new("content-digest").expect("a component"),
        ];
        let input = SignatureInput::new(response, &covered, parameters).expect("a base");
        let signed = input.sign(&format!("k{index}"), &**signer).expect("signed");
        headers.append(
            "signature-input",
            signed.signature_input.parse().expect("a value"),
        );
        headers.append("signature", signed.signature.parse().expect("a value"));
    }
    (StatusCode::OK, headers, content)
}

static EMPTY: &[(&str, &[u8])] = &[];

#[tokio::test]
async fn nobody_is_asked_about_an_agent_that_is_not_welcome() {
    let agent = key();
    let world = World::start(Manner::Serves(vec![Arc::clone(&agent)])).await;
    let other = [Origin::parse("https://other.example").expect("an origin")];
    for welcome in [&[][..], &other] {
        let refused = world.check_for(&agent, welcome).await;
        assert_eq!(refused.err(), Some("httpsig.key_unknown"));
    }
    assert_eq!(world.hits(), 0);
}

#[tokio::test]
async fn an_origin_without_a_usable_directory_is_asked_once_in_a_while() {
    let agent = key();
    let world = World::start(Manner::Broken).await;
    let manners = [
        Manner::Broken,
        Manner::Huge,
        Manner::Redirects,
        Manner::Unsigned(Arc::clone(&agent)),
        Manner::Serves(Vec::new()),
    ];
    for (index, manner) in manners.into_iter().enumerate() {
        world.behave(manner);
        for _ in 0..20 {
            assert_eq!(world.check(&agent).await.err(), Some("keys.unavailable"));
        }
        assert_eq!(world.hits(), index + 1);
        world.clock.advance_secs(30);
    }
}

#[tokio::test]
async fn a_key_that_is_not_there_is_looked_for_again_after_a_while() {
    let (old, new) = (key(), key());
    let world = World::start(Manner::Serves(vec![Arc::clone(&old)])).await;
    for _ in 0..20 {
        assert_eq!(world.check(&new).await.err(), Some("httpsig.key_unknown"));
    }
    assert_eq!(world.hits(), 1);
    world.behave(Manner::Serves(vec![Arc::clone(&new)]));
    world.clock.advance_secs(30);
    assert!(
        world.check(&old).await.is_ok(),
        "the directory is fresh and has this key"
    );
    assert!(world.check(&new).await.is_ok());
    assert_eq!(world.hits(), 2);
    assert_eq!(
        world.check(&old).await.err(),
        Some("httpsig.key_unknown"),
        "withdrawn"
    );
}

#[tokio::test]
async fn a_directory_outlives_an_outage_of_an_hour_and_no_longer() {
    let agent = key();
    let world = World::start(Manner::Serves(vec![Arc::clone(&agent)])).await;
    let verified = world.check(&agent).await.expect("verified");
    assert_eq!(verified.agent(), &world.origin);
    assert_eq!(verified.jkt(), agent.public_key().thumbprint());
    world.behave(Manner::Broken);
    world.clock.advance_secs(299);
    assert!(world.check(&agent).await.is_ok());
    assert_eq!(world.hits(), 1, "still fresh");
    world.clock.advance_secs(1);
    assert!(world.check(&agent).await.is_ok());
    assert_eq!(world.hits(), 2, "no longer");
    world.clock.advance_secs(3_299);
    assert!(world.check(&agent).await.is_ok());
    assert_eq!(world.hits(), 3);
    world.clock.advance_secs(1);
    assert_eq!(world.check(&agent).await.err(), Some("keys.unavailable"));
}

#[tokio::test]
async fn many_requests_at_once_are_one_fetch() {
    let agent = key();
    let world = World::start(Manner::Serves(vec![Arc::clone(&agent)])).await;
    let requests = (0..50).map(|_| world.check(&agent));
    let results = futures_util::future::join_all(requests).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(world.hits(), 1);
}
