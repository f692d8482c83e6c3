//! The HTTP surface with real tokens and proofs, against a store in memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use keybound_guard::{Guard, GuardConfig, IssuerConfig, ReplayConfig, ReplayMode};
use keybound_proto::dpop::{self, ProofRequest};
use keybound_proto::jose::{Algorithm, Curve, Jkt, PublicKey, SigningInput};
use keybound_proto::time::{Clock as _, ManualClock};
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;
use keybound_proto::wire::ErrorDetail;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{ControlConfig, Endpoint, GATEWAY_SCOPE, READ_SCOPE, RESPOND_SCOPE, router};
use crate::set_signer::SetSigner;
use crate::store::Store;

mod access;
mod events;
mod locks;
mod signals;

const NOW: u64 = 1_700_000_000;
const URL: &str = "http://127.0.0.1:9402";
const ALL_SCOPES: &str = "keybound:gateway keybound:read keybound:respond";

/// Control plane, its store and clock, and an issuer whose tokens it takes.
struct World {
    router: Router,
    store: Store,
    clock: ManualClock,
    issuer: Issuer,
    counter: AtomicU64,
}

struct Issuer {
    url: String,
    key: Key,
}

/// A P-256 key pair.
struct Key {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

/// What a token says where tests differ.
#[derive(Clone, Copy)]
struct Claims<'a> {
    subject: &'a str,
    audience: &'a str,
    scope: &'a str,
    bound_to: Option<Jkt>,
}

/// An operator or gateway: a key and a token bound to it.
struct Party {
    key: Key,
    token: String,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::at(NOW);
        let store = Store::in_memory(Arc::new(clock.clone())).unwrap();
        let issuer = Issuer::start().await;
        let mut guard = GuardConfig::new(
            "control",
            vec![IssuerConfig::new(HttpUrl::parse(&issuer.url).unwrap())],
            [3; 32],
        );
        guard.replay = ReplayConfig {
            mode: ReplayMode::Strict,
            capacity: 1000,
            per_sender: 500,
            first_run: true,
        };
        let sink = Arc::new(store.clone());
        let guard = Guard::new(guard, Arc::new(clock.clone()), sink).unwrap();
        guard.maintain().await;
        let signer = SetSigner::from_store(&store, clock.now()).await.unwrap();
        let config = ControlConfig {
            url: HttpUrl::parse(URL).unwrap(),
            resource: format!("{URL}/"),
            token_issuer: issuer.url.clone(),
            authorization_servers: vec![issuer.url.clone()],
            guard,
            signer,
            error_detail: ErrorDetail::Full,
        };
        Self {
            router: router(config, store.clone(), Arc::new(clock.clone())),
            store,
            clock,
            issuer,
            counter: AtomicU64::new(0),
        }
    }

    /// Somebody with a key of their own and a good token.
    fn party(&self, subject: &str, scope: &str) -> Party {
        let key = Key::generate();
        let token = self.token(Claims {
            subject,
            audience: &format!("{URL}/"),
            scope,
            bound_to: Some(key.public.thumbprint()),
        });
        Party { key, token }
    }

    fn token(&self, claims: Claims<'_>) -> String {
        let mut payload = json!({
            "iss": self.issuer.url,
            "sub": claims.subject,
            "client_id": claims.subject,
            "aud": claims.audience,
            "scope": claims.scope,
            "jti": format!("tok_{}", self.next()),
            "iat": self.clock.now().as_secs(),
            "exp": self.clock.now().as_secs() + 300,
        });
        if let Some(jkt) = claims.bound_to {
            payload["cnf"] = json!({ "jkt": jkt.to_string() });
        }
        let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": "kb-test" });
        self.issuer.key.sign(&header, &payload)
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// A request without credentials.
    fn request(&self, method: &Method, target: &str, body: Option<&Value>) -> Request<Body> {
        let request = Request::builder().method(method).uri(target);
        match body {
            None => request.body(Body::empty()).unwrap(),
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string()))
                .unwrap(),
        }
    }

    /// A request with a fresh proof.
    fn signed(
        &self,
        party: &Party,
        method: &Method,
        target: &str,
        body: Option<&Value>,
    ) -> Request<Body> {
        let mut request = self.request(method, target, body);
        let path = target.split('?').next().unwrap();
        let proof = party.proof(self, method.as_str(), &format!("{URL}{path}"));
        let headers = request.headers_mut();
        headers.insert(
            "authorization",
            format!("DPoP {}", party.token).parse().unwrap(),
        );
        headers.insert("dpop", proof.parse().unwrap());
        request
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    async fn get(&self, party: &Party, target: &str) -> Answer {
        self.send(self.signed(party, &Method::GET, target, None))
            .await
    }

    async fn post(&self, party: &Party, target: &str, body: &Value) -> Answer {
        self.send(self.signed(party, &Method::POST, target, Some(body)))
            .await
    }

    async fn delete(&self, party: &Party, target: &str) -> Answer {
        self.send(self.signed(party, &Method::DELETE, target, None))
            .await
    }
}

impl Answer {
    fn cause(&self) -> &str {
        self.body["cause"].as_str().unwrap_or("none")
    }

    #[track_caller]
    fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

impl Party {
    fn proof(&self, world: &World, method: &str, htu: &str) -> String {
        let hash = TokenHash::of(self.token.as_bytes());
        let jti = format!("proof-{}", world.next());
        let request = ProofRequest {
            method,
            htu,
            iat: world.clock.now(),
            jti: &jti,
            ath: Some(&hash),
            nonce: None,
            content_digest: None,
        };
        let input = dpop::signing_input(&request, &self.key.public, Algorithm::Es256);
        self.key.attach(input)
    }
}

impl Key {
    fn generate() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
        let public = PublicKey::from_ec_point(Curve::P256, pair.public_key().as_ref()).unwrap();
        Self { pair, public }
    }

    fn sign(&self, header: &Value, payload: &Value) -> String {
        self.attach(SigningInput::new(&header.to_string(), &payload.to_string()))
    }

    fn attach(&self, input: SigningInput) -> String {
        let signature = self.pair.sign(&SystemRandom::new(), input.bytes()).unwrap();
        input.attach(signature.as_ref())
    }
}

impl Issuer {
    /// Serves metadata and keys on a port of its own.
    async fn start() -> Self {
        let key = Key::generate();
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let metadata = json!({ "issuer": url, "jwks_uri": format!("{url}/jwks") }).to_string();
        let jwks = format!(
            r#"{{"keys":[{}]}}"#,
            key.public.to_jwk_with("kb-test", Algorithm::Es256)
        );
        let document = |text: String| {
            axum::routing::get(async || ([("content-type", "application/json")], text))
        };
        let service = Router::new()
            .route(
                "/.well-known/oauth-authorization-server",
                document(metadata),
            )
            .route("/jwks", document(jwks));
        tokio::spawn(async { axum::serve(listener, service).await });
        Self { url, key }
    }
}
