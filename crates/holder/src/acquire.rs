//! One request for a token: `client_credentials` (RFC 6749 section 4.4), or the exchange of a token
//! (RFC 8693), with client authentication and a DPoP proof (RFC 9449 section 5), or a signature over
//! the whole request. One attempt, or two when the server asks for its nonce; each has a proof and
//! an assertion of its own. There is no other grant and no weaker authentication to fall back to.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keybound_proto::dpop::NonceRole;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::token::assertion::{self, AssertionRequest};
use keybound_proto::uri::HttpUrl;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::discovery::{self, AuthorizationServer};
use crate::error::HolderError;
use crate::exchange::Exchange;
use crate::http_client::{HttpClient, Incoming, Outgoing};
use crate::proof::{self, ProofFacts};
use crate::request_signature::{self, TokenRequestProof};
use crate::secret::Secret;
use crate::server_memory::{ServerMemory, Span};
use crate::token::{Asked, BoundToken, Judgement, judge};

/// Larger answers of a token endpoint are refused, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Seconds a client assertion is good for.
const ASSERTION_LIFETIME: u64 = 60;
/// Seconds an issuer's metadata is used before it is looked up again.
const METADATA_LIFETIME: u64 = 3600;

/// How the client authenticates at the token endpoint.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// `private_key_jwt` (RFC 7523) without a `kid`, for clients with one key.
    PrivateKeyJwt(Arc<dyn Signer>),
    /// `private_key_jwt` with the `kid` the key was registered under.
    PrivateKeyJwtWithKid {
        /// The client's key.
        key: Arc<dyn Signer>,
        /// Its identifier at the issuer.
        kid: String,
    },
    /// `client_secret_basic` (RFC 6749 section 2.3.1).
    ClientSecretBasic(Secret),
}

/// What every token request of one holder shares.
#[derive(Debug)]
pub(crate) struct Acquirer {
    pub(crate) issuer: HttpUrl,
    pub(crate) client_id: String,
    pub(crate) authentication: ClientAuthentication,
    pub(crate) proof_key: Arc<dyn Signer>,
    pub(crate) request_proof: TokenRequestProof,
    pub(crate) resource: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) http: HttpClient,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) servers: ServerMemory,
    pub(crate) metadata: Mutex<Option<KnownServer>>,
}

/// Metadata and when it was fetched.
#[derive(Clone, Debug)]
pub(crate) struct KnownServer {
    server: Arc<AuthorizationServer>,
    fetched_at: UnixTime,
}

/// What a token request is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask<'a> {
    /// A token of the client's own.
    Own,
    /// A token for another one (RFC 8693).
    Exchange(&'a Exchange<'a>),
}

impl Acquirer {
    /// Gets a new bound token.
    pub(crate) async fn acquire(&self) -> Result<BoundToken, HolderError> {
        self.get(Ask::Own).await
    }

    /// Gets a bound token for what is asked.
    pub(crate) async fn get(&self, ask: Ask<'_>) -> Result<BoundToken, HolderError> {
        let server = self.server().await?;
        let result = self.request_token(&server, ask).await;
        if result.is_err() {
            // The endpoint may have moved: the next attempt looks again.
            *self.metadata.lock() = None;
        }
        result
    }

    /// The issuer's metadata, looked up when it is unknown or old.
    pub(crate) async fn server(&self) -> Result<Arc<AuthorizationServer>, HolderError> {
        let now = self.clock.now();
        let known = self.metadata.lock().clone();
        if let Some(known) = known
            && now.seconds_since(known.fetched_at) < METADATA_LIFETIME
        {
            return Ok(known.server);
        }
        let sent = self.clock.now_millis();
        let document = discovery::issuer_document(&self.http, &self.issuer).await?;
        self.learn(
            &self.issuer,
            NonceRole::AuthorizationServer,
            document.headers(),
            sent,
        );
        let server = discovery::read_authorization_server(&document, &self.issuer)?;
        self.check_algorithm(&server)?;
        let server = Arc::new(server);
        *self.metadata.lock() = Some(KnownServer {
            server: Arc::clone(&server),
            fetched_at: now,
        });
        Ok(server)
    }

    /// Keeps what an answer's header fields teach; returns its nonce.
    pub(crate) fn learn(
        &self,
        url: &HttpUrl,
        role: NonceRole,
        headers: &HeaderMap,
        sent: u64,
    ) -> Option<String> {
        let received = self.clock.now_millis();
        let span = Span { sent, received };
        self.servers.learn(url.origin(), role, headers, span)
    }

    fn check_algorithm(&self, server: &AuthorizationServer) -> Result<(), HolderError> {
        let algorithm = self.proof_key.algorithm();
        let Some(supported) = &server.dpop_signing_alg_values_supported else {
            return Ok(());
        };
        let names_ours = |name: &String| Algorithm::from_name(name) == Some(algorithm);
        if supported.iter().any(names_ours) {
            return Ok(());
        }
        Err(HolderError::AlgorithmUnsupported {
            algorithm: algorithm.name(),
            supported: supported.join(" "),
        })
    }

    async fn request_token(
        &self,
        server: &AuthorizationServer,
        ask: Ask<'_>,
    ) -> Result<BoundToken, HolderError> {
        let endpoint = &server.token_endpoint;
        let role = NonceRole::AuthorizationServer;
        let used = self.servers.nonce(endpoint.origin(), role);
        let (judgement, offered) = self.attempt(ask, endpoint, used.as_deref()).await?;
        let first_challenge = match judgement {
            Judgement::Token(token) => return Ok(token),
            Judgement::WantsNonce => offered,
        };
        // One retry, and only for a nonce that was not refused already.
        let nonce_loop = || HolderError::NonceLoop {
            url: endpoint.without_query().to_owned(),
        };
        let nonce = first_challenge
            .filter(|offered| used.as_ref() != Some(offered))
            .ok_or_else(nonce_loop)?;
        match self.attempt(ask, endpoint, Some(&nonce)).await? {
            (Judgement::Token(token), _) => Ok(token),
            (Judgement::WantsNonce, _) => Err(nonce_loop()),
        }
    }

    /// One exchange with a proof and an assertion of its own. Also returns
    /// the nonce the answer carried.
    async fn attempt(
        &self,
        ask: Ask<'_>,
        endpoint: &HttpUrl,
        nonce: Option<&str>,
    ) -> Result<(Judgement, Option<String>), HolderError> {
        let asked = Asked {
            endpoint,
            jkt: self.proof_key.public_key().thumbprint(),
            token_type: self.request_proof.token_type(),
            at: self.clock.now(),
        };
        let outgoing = self.outgoing(ask, endpoint, nonce)?;
        let sent = self.clock.now_millis();
        let answer: Incoming = self.http.exchange(outgoing).await?;
        let role = NonceRole::AuthorizationServer;
        let offered = self.learn(endpoint, role, &answer.headers, sent);
        Ok((judge(&asked, &answer)?, offered))
    }

    fn outgoing<'a>(
        &self,
        ask: Ask<'_>,
        endpoint: &'a HttpUrl,
        nonce: Option<&str>,
    ) -> Result<Outgoing<'a>, HolderError> {
        let now = self
            .servers
            .server_time(endpoint.origin(), self.clock.now());
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));

        let mut form = Form::new();
        let own = match ask {
            Ask::Own => {
                form.push("grant_type", "client_credentials");
                None
            }
            Ask::Exchange(exchange) => {
                for (name, value) in exchange.parameters() {
                    form.push(name, value);
                }
                exchange.own_token()
            }
        };
        self.authenticate(now, &mut form, &mut headers)?;
        for (name, value) in [("resource", &self.resource), ("scope", &self.scope)] {
            if let Some(value) = value {
                form.push(name, value);
            }
        }
        let body = form.into_body();
        match &self.request_proof {
            TokenRequestProof::Dpop => {
                let facts = ProofFacts {
                    method: &Method::POST,
                    url: endpoint,
                    iat: now,
                    token: own.as_ref(),
                    nonce,
                    content_digest: None,
                };
                let proof = proof::prove(&*self.proof_key, &facts)?;
                headers.insert(DPOP, sensitive(&proof)?);
            }
            TokenRequestProof::Signature { keyid } => {
                let key = (&*self.proof_key, keyid.as_deref());
                request_signature::sign(&mut headers, (endpoint, &body), key, now)?;
            }
        }
        Ok(Outgoing {
            method: Method::POST,
            url: endpoint,
            headers,
            body,
            max_body: MAX_ANSWER_BYTES,
            timeout: None,
        })
    }

    fn authenticate(
        &self,
        now: UnixTime,
        form: &mut Form,
        headers: &mut HeaderMap,
    ) -> Result<(), HolderError> {
        let (key, kid) = match &self.authentication {
            ClientAuthentication::PrivateKeyJwt(key) => (key, None),
            ClientAuthentication::PrivateKeyJwtWithKid { key, kid } => (key, Some(kid.as_str())),
            ClientAuthentication::ClientSecretBasic(secret) => {
                headers.insert(AUTHORIZATION, basic(&self.client_id, secret)?);
                return Ok(());
            }
        };
        let request = AssertionRequest {
            client_id: &self.client_id,
            // The issuer identifier alone: an endpoint as audience could be
            // one that another server chose.
            issuer: self.issuer.as_str(),
            jti: &proof::random_id()?,
            issued_at: now,
            expires_at: now.plus(ASSERTION_LIFETIME),
            kid,
        };
        let assertion = assertion::signing_input(&request, key.algorithm())
            .sign(&**key)
            .map_err(|source| HolderError::Signing { source })?;
        form.push("client_assertion_type", ASSERTION_TYPE);
        form.push("client_assertion", &assertion);
        Ok(())
    }
}

/// A header value that the HTTP library must not print.
pub(crate) fn sensitive(text: &str) -> Result<HeaderValue, HolderError> {
    // Only our own encodings come here; a failure means a broken backend.
    let mut value = HeaderValue::from_str(text).map_err(|_| HolderError::Backend)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The field a proof travels in.
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Identifier and secret are form-encoded before they are joined, so that a
/// colon in either stays unambiguous (RFC 6749 section 2.3.1).
fn basic(client_id: &str, secret: &Secret) -> Result<HeaderValue, HolderError> {
    let mut pair = Zeroizing::new(String::new());
    form_encode(client_id, &mut pair);
    pair.push(':');
    form_encode(secret.expose(), &mut pair);
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    sensitive(&value)
}

/// A form body (RFC 6749 appendix B).
struct Form(String);

impl Form {
    fn new() -> Self {
        Self(String::new())
    }

    fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        form_encode(name, &mut self.0);
        self.0.push('=');
        form_encode(value, &mut self.0);
    }

    fn into_body(self) -> bytes::Bytes {
        self.0.into()
    }
}

fn form_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_unambiguously() {
        let mut form = Form::new();
        form.push("scope", "a b&c=d");
        form.push("x", "\u{e9}+%~*-._");
        assert_eq!(form.0, "scope=a+b%26c%3Dd&x=%C3%A9%2B%25%7E*-._");
    }

    #[test]
    fn basic_credentials_keep_colons_apart_and_are_not_shown() {
        let secret = Secret::new("s:e c");
        let value = basic("a:b", &secret).expect("a value");
        // "a%3Ab:s%3Ae+c"
        assert_eq!(value.as_bytes(), b"Basic YSUzQWI6cyUzQWUrYw==");
        assert_eq!(format!("{value:?} {secret:?}"), "Sensitive Secret(..)");
    }
}
