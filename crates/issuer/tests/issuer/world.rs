//! One issuer in a test: configuration, clients, their keys, and requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use keybound_control::Store;
use keybound_custody::{Signer, SoftwareKey};
use keybound_issuer::Issuer;
use keybound_issuer::config::{
    CertificateUse, ClientAuthentication, ClientConfig, ErrorDetail, Exemption, GrantType,
    IssuerConfig, NonceConfig, RefreshConfig, RegistrationConfig, RegistrationMode, ResourceConfig,
    Rotation, SecretDigest, Sight,
};
use keybound_proto::jose::{Algorithm, AlgorithmSet, SigningInput};
use keybound_proto::time::{Clock, ManualClock};
use keybound_proto::uri::HttpUrl;
use keybound_proto::verify::Profile;
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "http://127.0.0.1:9400";
pub(crate) const MAIN: &str = "http://127.0.0.1:9401/";
pub(crate) const REPORTS: &str = "http://127.0.0.1:9401/reports";
pub(crate) const SECRET: &str = "a-secret-of-the-basic-client";
pub(crate) const INITIAL: &str = "an-initial-access-token";
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Every header an answer of the issuer may have. One that is not here is a bug
/// of the issuer or a decision somebody has to write down.
const ALLOWED_HEADERS: [&str; 21] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "cache-control",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "dpop-nonce",
    "location",
    "pragma",
    "referrer-policy",
    "retry-after",
    "set-cookie",
    "vary",
    "www-authenticate",
    "x-content-type-options",
    "x-frame-options",
];

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: Store,
    pub(crate) issuer: Issuer,
    pub(crate) router: Router,
    /// Signs the assertions of `batch`.
    pub(crate) client_key: SoftwareKey,
    /// Signs proofs.
    pub(crate) key: SoftwareKey,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world whose configuration was changed before the start.
    pub(crate) async fn with(change: impl FnOnce(&mut IssuerConfig)) -> Self {
        let clock = ManualClock::at(NOW);
        let store = Store::in_memory(Arc::new(clock.clone())).unwrap();
        Self::on(
            store,
            clock,
            SoftwareKey::generate(Algorithm::Es256).unwrap(),
            change,
        )
        .await
    }

    /// A world on a store that exists.
    pub(crate) async fn on(
        store: Store,
        clock: ManualClock,
        client_key: SoftwareKey,
        change: impl FnOnce(&mut IssuerConfig),
    ) -> Self {
        let mut config = config(&client_key);
        change(&mut config);
        let issuer = Issuer::start(config, store.clone(), Arc::new(clock.clone()))
            .await
            .unwrap();
        Self {
            router: issuer.router(),
            key: SoftwareKey::generate(Algorithm::Es256).unwrap(),
            clock,
            store,
            issuer,
            client_key,
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now().as_secs()
    }

    /// Sends a request and checks what every answer must be.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for name in parts.headers.keys() {
            assert!(
                ALLOWED_HEADERS.contains(&name.as_str()),
                "unexpected header {name}"
            );
            assert_eq!(
                parts.headers.get_all(name).iter().count(),
                1,
                "{name} more than once"
            );
        }
        assert_eq!(
            parts.headers["access-control-expose-headers"],
            "DPoP-Nonce, WWW-Authenticate"
        );
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// `POST` of a form.
    pub(crate) async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Reply {
        self.post_raw(path, encode(form), headers).await
    }

    pub(crate) async fn post_raw(
        &self,
        path: &str,
        body: String,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request =
            Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn post_json(
        &self,
        path: &str,
        body: String,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut request = Request::post(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    /// A token request of `batch` with this assertion and, maybe, proof.
    pub(crate) async fn token(&self, assertion: &str, proof: Option<&str>) -> Reply {
        let form = token_form(assertion);
        let proof: Vec<_> = proof.map(|proof| ("dpop", proof)).into_iter().collect();
        self.post("/token", &form, &proof).await
    }

    /// A token request of the client with a secret.
    pub(crate) async fn token_basic(&self, form: &[(&str, &str)], proof: &str) -> Reply {
        let authorization = basic("basic", SECRET);
        let mut all = vec![("grant_type", "client_credentials")];
        all.extend_from_slice(form);
        self.post(
            "/token",
            &all,
            &[("authorization", &authorization), ("dpop", proof)],
        )
        .await
    }

    /// A token of `batch`, bound to the world's key.
    pub(crate) async fn bound_token(&self) -> String {
        let reply = self.token(&self.assertion(), Some(&self.proof())).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// A good proof for the token endpoint.
    pub(crate) fn proof(&self) -> String {
        self.proof_with(|_| {})
    }

    /// A proof whose claims were changed.
    pub(crate) fn proof_with(&self, change: impl FnOnce(&mut Value)) -> String {
        proof(&self.key, "/token", self.now(), change)
    }

    /// A good assertion of `batch`.
    pub(crate) fn assertion(&self) -> String {
        self.assertion_with(|_| {})
    }

    /// An assertion of `batch` whose claims were changed.
    pub(crate) fn assertion_with(&self, change: impl FnOnce(&mut Value)) -> String {
        assertion(&self.client_key, "batch", self.now(), change)
    }

    /// How many events of a kind there are.
    pub(crate) async fn events(&self, kind: &str) -> Vec<Value> {
        let all = self
            .store
            .events(0, 1000, Default::default())
            .await
            .unwrap();
        all.into_iter()
            .map(|(_, event)| serde_json::from_str(&event.to_json_line()).unwrap())
            .filter(|event: &Value| event["kind"] == kind)
            .collect()
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// Asserts a refusal of a client-facing endpoint: status, standard error,
    /// not cacheable, nothing but fixed texts.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, error: &str) {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), body["error"].as_str()),
            (status, Some(error)),
            "{}",
            self.text
        );
        assert_eq!(self.headers["cache-control"], "no-store");
        assert_eq!(self.headers["content-type"], "application/json");
        let members: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["error", "error_description", "request_id"]);
        let description = body["error_description"].as_str().unwrap();
        assert!(!description.contains(['\r', '\n', '"', '\\']));
        assert!(body.get("access_token").is_none());
    }

    /// Asserts the cause beside the standard error, for worlds with full detail.
    #[track_caller]
    pub(crate) fn cause(&self, cause: &str) {
        assert_eq!(self.json()["cause"].as_str(), Some(cause), "{}", self.text);
        assert_eq!(self.headers["cache-control"], "no-store");
        assert!(self.json().get("access_token").is_none());
    }
}

pub(crate) fn config(client_key: &SoftwareKey) -> IssuerConfig {
    let texts = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    IssuerConfig {
        url: HttpUrl::parse(ISSUER).unwrap(),
        node: "issuer-1".to_owned(),
        access_ttl: 300,
        refresh: RefreshConfig::default(),
        authorization: None,
        signing_algorithm: Algorithm::Es256,
        rotation: Rotation {
            every: 30 * 86_400,
            overlap: 86_400,
        },
        clients: clients(client_key),
        resources: vec![
            ResourceConfig {
                identifier: MAIN.to_owned(),
                scopes: texts(&["approvals:read", "approvals:write"]),
            },
            ResourceConfig {
                identifier: REPORTS.to_owned(),
                scopes: texts(&["reports:read"]),
            },
        ],
        delegations: Vec::new(),
        registration: RegistrationConfig {
            mode: RegistrationMode::Open,
            resources: texts(&[MAIN, REPORTS]),
            scopes: texts(&["approvals:read", "approvals:write", "reports:read"]),
            client_anchors: None,
            max_clients: 8,
        },
        certificates: None,
        profile: Profile::default(),
        assertion_algorithms: IssuerConfig::DEFAULT_ASSERTION_ALGORITHMS,
        nonce: NonceConfig {
            secret: [7; 32].into(),
            also: Vec::new(),
            lifetime: 300,
            required: false,
        },
        error_detail: ErrorDetail::Minimal,
        cors_origins: texts(&["http://app.example"]),
    }
}

fn clients(key: &SoftwareKey) -> Vec<ClientConfig> {
    let jwks = format!("{{\"keys\":[{}]}}", key.public_key().to_jwk());
    let secret =
        |text: &str| ClientAuthentication::ClientSecretBasic(SecretDigest::of(text.as_bytes()));
    let plain = ClientConfig {
        id: "batch".to_owned(),
        identity: Some("payments-batch".to_owned()),
        authentication: ClientAuthentication::PrivateKeyJwt { jwks },
        grants: vec![GrantType::ClientCredentials],
        scopes: vec!["approvals:read".to_owned(), "approvals:write".to_owned()],
        resources: vec![MAIN.to_owned()],
        unconstrained: None,
        certificate: CertificateUse::default(),
        signing: keybound_issuer::config::RequestSigningConfig::Refused,
        nonce: false,
        sight: Sight::Own,
        redirect_uris: Vec::new(),
        pushed_only: false,
        may_act: None,
    };
    let of = |id: &str, text: &str| ClientConfig {
        id: id.to_owned(),
        identity: None,
        authentication: secret(text),
        ..plain.clone()
    };
    vec![
        ClientConfig {
            scopes: vec!["approvals:read".to_owned(), "reports:read".to_owned()],
            resources: vec![MAIN.to_owned(), REPORTS.to_owned()],
            ..of("basic", SECRET)
        },
        ClientConfig {
            grants: Vec::new(),
            sight: Sight::Audiences(vec![MAIN.to_owned()]),
            ..of("main-api", "secret-of-main")
        },
        ClientConfig {
            grants: Vec::new(),
            sight: Sight::Audiences(vec![REPORTS.to_owned()]),
            ..of("reports-api", "secret-of-reports")
        },
        ClientConfig {
            sight: Sight::Everything,
            ..of("auditor", "secret-of-auditor")
        },
        ClientConfig {
            nonce: true,
            ..of("noncer", "secret-of-noncer")
        },
        ClientConfig {
            unconstrained: Some(Exemption {
                reason: "cannot sign until spring".to_owned(),
            }),
            ..of("exempt", "secret-of-exempt")
        },
        plain,
    ]
}

pub(crate) fn token_form(assertion: &str) -> [(&str, &str); 3] {
    [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ]
}

/// A proof for an endpoint of the issuer.
pub(crate) fn proof(
    key: &SoftwareKey,
    path: &str,
    now: u64,
    change: impl FnOnce(&mut Value),
) -> String {
    let jwk: Value = serde_json::from_str(&key.public_key().to_jwk()).unwrap();
    let header = json!({"typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": jwk});
    let mut claims =
        json!({"jti": unique(), "htm": "POST", "htu": format!("{ISSUER}{path}"), "iat": now});
    change(&mut claims);
    sign(key, &header, &claims)
}

pub(crate) fn assertion(
    key: &SoftwareKey,
    client: &str,
    now: u64,
    change: impl FnOnce(&mut Value),
) -> String {
    let header = json!({"typ": "JWT", "alg": key.algorithm().name()});
    let mut claims = json!({
        "iss": client, "sub": client, "aud": ISSUER, "jti": unique(), "iat": now, "exp": now + 60,
    });
    change(&mut claims);
    sign(key, &header, &claims)
}

pub(crate) fn sign(key: &SoftwareKey, header: &Value, claims: &Value) -> String {
    SigningInput::new(&header.to_string(), &claims.to_string())
        .sign(key)
        .unwrap()
}

/// A value that never repeats in this process.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("unique-{:020}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn basic(id: &str, secret: &str) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    format!("Basic {encoded}")
}

pub(crate) fn encode(form: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect()
    };
    let pairs: Vec<_> = form
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    pairs.join("&")
}

/// The claims of a token, unverified.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

pub(crate) fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&keybound_proto::base64url::decode(part.as_bytes()).unwrap()).unwrap()
}

/// Full detail, so that a test can name the cause.
pub(crate) fn full(config: &mut IssuerConfig) {
    config.error_detail = ErrorDetail::Full;
}

/// Algorithms for a world that also takes RSA.
pub(crate) const WITH_RS256: AlgorithmSet = AlgorithmSet::ALL;
