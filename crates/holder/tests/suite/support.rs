//! A server whose every answer a test decides, and a holder to talk to it.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, Method, Request as HttpRequest, Response as HttpResponse, StatusCode, Uri};
use keybound_custody::SoftwareKey;
use keybound_holder::{ClientAuthentication, Holder, HolderConfig, Request, Timeouts};
use keybound_proto::jose::{Algorithm, Jkt, Jws, PublicKey, Signer};
use keybound_proto::json::Object;
use keybound_proto::time::ManualClock;
use keybound_proto::uri::HttpUrl;
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// 2027-01-15T08:00:00Z
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const NOW_AS_DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";

/// A request as a server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An answer as a test wants it.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            // The servers of a test share its clock unless it says otherwise.
            headers: vec![("date", NOW_AS_DATE.to_owned())],
            body: body.into(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn token(text: &str, seconds: u64) -> Self {
        Self::new(
            200,
            format!(
                r#"{{"access_token":"{text}","token_type":"DPoP","expires_in":{seconds},"scope":"a"}}"#
            ),
        )
    }

    pub(crate) fn oauth_error(status: u16, error: &str) -> Self {
        Self::new(status, format!(r#"{{"error":"{error}"}}"#))
    }

    /// A resource server's refusal.
    pub(crate) fn challenge(error: &str) -> Self {
        Self::new(401, "").with(
            "www-authenticate",
            format!(r#"Bearer, DPoP algs="ES256 EdDSA", error="{error}""#),
        )
    }
}

type Behaviour = Box<dyn FnMut(&Seen) -> Reply + Send>;

struct Inner {
    behaviour: Mutex<Behaviour>,
    seen: Mutex<Vec<Seen>>,
}

/// A server on a free port of loopback. It ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    inner: Arc<Inner>,
    pub(crate) url: String,
}

impl Server {
    /// A server that answers every request as `behaviour` says.
    pub(crate) async fn start(behaviour: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        let inner = Arc::new(Inner {
            behaviour: Mutex::new(Box::new(behaviour)),
            seen: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { inner, url }
    }

    /// An issuer: metadata at its well-known place, `token` for the rest.
    pub(crate) async fn issuer(token: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        let server = Self::start(|_| Reply::new(404, "")).await;
        server.behave(with_metadata(&server.url, token));
        server
    }

    pub(crate) fn behave(&self, behaviour: impl FnMut(&Seen) -> Reply + Send + 'static) {
        *self.inner.behaviour.lock() = Box::new(behaviour);
    }

    pub(crate) fn url(&self, path: &str) -> HttpUrl {
        HttpUrl::parse(&format!("{}{path}", self.url)).expect("a URL")
    }

    /// Every request so far, metadata look-ups left out.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = self.inner.seen.lock();
        let counts = |seen: &&Seen| !seen.uri.path().contains("/.well-known/");
        seen.iter().filter(counts).cloned().collect()
    }

    /// The paths of all requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        let seen = self.inner.seen.lock();
        seen.iter().map(|seen| seen.uri.path().to_owned()).collect()
    }
}

pub(crate) fn with_metadata(
    issuer: &str,
    mut rest: impl FnMut(&Seen) -> Reply + Send + 'static,
) -> impl FnMut(&Seen) -> Reply + Send + 'static {
    let metadata = format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}}"#);
    move |seen| match seen.uri.path() {
        "/.well-known/oauth-authorization-server" => Reply::new(200, metadata.clone()),
        _ => rest(seen),
    }
}

async fn answer(State(inner): State<Arc<Inner>>, request: HttpRequest<Body>) -> HttpResponse<Body> {
    let (parts, body) = request.into_parts();
    let seen = Seen {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body: to_bytes(body, 1 << 20).await.expect("a body"),
    };
    inner.seen.lock().push(seen.clone());
    let reply = (inner.behaviour.lock())(&seen);
    let mut response =
        HttpResponse::builder().status(StatusCode::from_u16(reply.status).expect("a status"));
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("a response")
}

/// A proof as a server reads it, its signature checked.
#[derive(Debug)]
pub(crate) struct SeenProof {
    pub(crate) jkt: Jkt,
    pub(crate) jti: String,
    pub(crate) htm: String,
    pub(crate) htu: String,
    pub(crate) iat: u64,
    pub(crate) ath: Option<String>,
    pub(crate) nonce: Option<String>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().expect("text");
        assert!(values.next().is_none(), "one `{name}`");
        Some(value)
    }

    pub(crate) fn proof(&self) -> SeenProof {
        let text = self.header("dpop").expect("a proof");
        let jws = Jws::parse(text.as_bytes(), 8192).expect("a JWS");
        let header = text.split('.').next().expect("a header");
        let header = keybound_proto::base64url::decode(header.as_bytes()).expect("base64url");
        let header = Object::parse(&header).expect("a header");
        assert_eq!(header.string("typ"), Ok(Some("dpop+jwt")));
        let key = header.object("jwk").expect("a key").expect("a key");
        let key = PublicKey::from_jwk_object(key).expect("a public key");
        let algorithm = header.string("alg").expect("text").expect("an algorithm");
        let algorithm = Algorithm::from_name(algorithm).expect("a known algorithm");
        assert!(jws.verify(algorithm, &key).is_ok(), "the signature");
        let claims = jws.claims().expect("claims");
        let string = |name| claims.string(name).expect("text").map(str::to_owned);
        SeenProof {
            jkt: key.thumbprint(),
            jti: string("jti").expect("jti"),
            htm: string("htm").expect("htm"),
            htu: string("htu").expect("htu"),
            iat: claims.unsigned("iat").expect("a number").expect("iat"),
            ath: string("ath"),
            nonce: string("nonce"),
        }
    }

    /// A parameter of a form body that needs no decoding.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        let body = std::str::from_utf8(&self.body).expect("text");
        body.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| value.to_owned())
        })
    }
}

/// A holder with keys and a clock of its own.
pub(crate) struct Party {
    pub(crate) holder: Holder,
    pub(crate) clock: ManualClock,
    pub(crate) client_key: Arc<SoftwareKey>,
}

pub(crate) fn config(issuer: &str, authentication: ClientAuthentication) -> HolderConfig {
    let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    HolderConfig {
        issuer: HttpUrl::parse(issuer).expect("an issuer"),
        client_id: "client".to_owned(),
        authentication,
        proof_key: Arc::new(key),
        resource: None,
        scope: None,
        timeouts: Timeouts::default(),
    }
}

pub(crate) fn party(issuer: &str) -> Party {
    let client_key = Arc::new(SoftwareKey::generate(Algorithm::EdDsa).expect("a key"));
    let signer: Arc<dyn Signer> = client_key.clone();
    let config = config(issuer, ClientAuthentication::PrivateKeyJwt(signer));
    let clock = ManualClock::at(NOW);
    Party {
        holder: Holder::new(config, Arc::new(clock.clone())).expect("a holder"),
        clock,
        client_key,
    }
}

pub(crate) fn get(url: HttpUrl) -> Request {
    Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    }
}
