//! The holder: one token for one client and key, and requests signed with
//! it (RFC 9449 section 7). Each attempt carries a fresh proof; there is one
//! retry for a nonce challenge and one for a token refused as invalid, and
//! no other. It does not interpret answers beyond that: a refusal is handed
//! to the caller as the server gave it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use keybound_proto::dpop::NonceRole;
use keybound_proto::jose::{Jkt, Signer};
use keybound_proto::signature::profile::HTTPSIG_SCHEME;
use keybound_proto::signature::{DigestAlgorithm, content_digest};
use keybound_proto::time::Clock;
use keybound_proto::uri::{HttpUrl, Origin};
use parking_lot::Mutex;

use crate::acquire::{Acquirer, ClientAuthentication, DPOP, sensitive};
use crate::challenge;
use crate::discovery::{self, AuthorizationServer};
use crate::error::HolderError;
use crate::flight::Tokens;
use crate::http_client::{HttpClient, Outgoing, Timeouts, check_confidential};
use crate::message::{self, Presentation};
use crate::proof::{self, ProofFacts};
use crate::request_signature::TokenRequestProof;
use crate::server_memory::ServerMemory;
use crate::token::BoundToken;

/// The largest body accepted from a resource server, in bytes: 16 MiB.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// What a holder needs to know.
#[derive(Clone, Debug)]
pub struct HolderConfig {
    /// The issuer identifier, spelled as its metadata spells it.
    pub issuer: HttpUrl,
    /// The client's identifier at the issuer.
    pub client_id: String,
    /// How the client authenticates.
    pub authentication: ClientAuthentication,
    /// The key tokens are bound to. It may be the authentication key, but a
    /// key of its own can be replaced without a new registration.
    pub proof_key: Arc<dyn Signer>,
    /// The resource the token is for (RFC 8707).
    pub resource: Option<String>,
    /// Scopes to ask for, separated by spaces.
    pub scope: Option<String>,
    /// Time limits of each exchange.
    pub timeouts: Timeouts,
}

/// Gets tokens and sends requests. Cheap to clone; clones share tokens,
/// nonces and connections. Its methods need a running tokio runtime.
#[derive(Clone)]
pub struct Holder {
    pub(crate) inner: Arc<Inner>,
    presentation: Presentation,
}

pub(crate) struct Inner {
    pub(crate) acquirer: Arc<Acquirer>,
    tokens: Tokens,
}

/// One request to a protected resource. The body is whole, so that it can be
/// sent again after a nonce challenge.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to: https, or http on this machine.
    pub url: HttpUrl,
    /// Further fields; `Authorization` and `DPoP` are the holder's.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A resource server's answer, whatever its status.
#[derive(Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The fields of the request it answers, as they were sent.
    pub sent: HeaderMap,
    /// How many times the request was sent, 1 to 3.
    pub attempts: u8,
}

/// The two fields that make a request an authorized one, good for one
/// request within about a minute.
#[derive(Clone)]
pub struct SignedHeaders {
    /// The value of `Authorization`: `DPoP` and the token.
    pub authorization: String,
    /// The value of `DPoP`: the proof.
    pub dpop: String,
}

impl Holder {
    /// A holder that has contacted nobody yet.
    ///
    /// # Errors
    /// [`HolderError::IssuerUnusable`] for an issuer in clear text elsewhere
    /// than on this machine; [`HolderError::Backend`] when TLS cannot be set up.
    pub fn new(config: HolderConfig, clock: Arc<dyn Clock>) -> Result<Self, HolderError> {
        Self::requesting(TokenRequestProof::Dpop, config, clock)
    }

    /// The same, with this proof in token requests. Tokens that were asked for with a signature
    /// are presented with signatures.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn requesting(
        request_proof: TokenRequestProof,
        config: HolderConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HolderError> {
        let presentation = match &request_proof {
            TokenRequestProof::Dpop => Presentation::default(),
            TokenRequestProof::Signature { .. } => Presentation::HttpSignature,
        };
        discovery::issuer_places(&config.issuer)?;
        let acquirer = Arc::new(Acquirer {
            issuer: config.issuer,
            client_id: config.client_id,
            authentication: config.authentication,
            proof_key: config.proof_key,
            request_proof,
            resource: config.resource,
            scope: config.scope,
            http: HttpClient::new(config.timeouts)?,
            clock,
            servers: ServerMemory::default(),
            metadata: Mutex::new(None),
        });
        let tokens = Tokens::new(Arc::clone(&acquirer));
        Ok(Self {
            inner: Arc::new(Inner { acquirer, tokens }),
            presentation,
        })
    }

    /// The same holder, with its tokens and connections, presenting tokens in this way.
    #[must_use]
    pub fn presenting(&self, presentation: Presentation) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            presentation,
        }
    }

    /// A valid token: the one at hand, or a new one. However many callers
    /// wait, the issuer gets one request. A token near its end is renewed in
    /// the background and handed out meanwhile, also when the issuer is down.
    ///
    /// # Errors
    /// [`HolderError`] for its cause. After a failure the same error is given
    /// without asking the issuer until a growing, jittered pause is over.
    pub async fn token(&self) -> Result<BoundToken, HolderError> {
        self.inner.tokens.token().await
    }

    /// Sends a request with a token and a fresh proof.
    ///
    /// # Errors
    /// Every failure to get an answer; refusals by the resource server are
    /// answers. Redirects are errors ([`HolderError::Redirected`]).
    pub async fn send(&self, request: Request) -> Result<Response, HolderError> {
        self.send_with(request, None).await
    }

    /// Like [`send`](Self::send) with a time limit of its own per attempt,
    /// for answers that are meant to take long (long polling).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_within(
        &self,
        request: Request,
        limit: Duration,
    ) -> Result<Response, HolderError> {
        self.send_with(request, Some(limit)).await
    }

    /// The fields for a request that somebody else sends.
    ///
    /// # Errors
    /// As [`token`](Self::token); also [`HolderError::InsecureUrl`].
    pub async fn sign(&self, method: &Method, url: &HttpUrl) -> Result<SignedHeaders, HolderError> {
        check_confidential(url)?;
        let token = self.token().await?;
        let nonce = self.nonce(url);
        self.signed((method, url), &token, nonce.as_deref(), None)
    }

    /// The issuer's metadata, looked up unless it is known.
    ///
    /// # Errors
    /// As [`discovery::authorization_server`].
    pub async fn authorization_server(&self) -> Result<Arc<AuthorizationServer>, HolderError> {
        self.inner.acquirer.server().await
    }

    /// Seconds by which a server's clock is ahead of this machine's, as far
    /// as its answers have told; 0 for differences of up to two seconds.
    pub fn clock_skew(&self, server: &Origin) -> i64 {
        self.inner.acquirer.servers.skew(server)
    }

    /// The thumbprint of the key tokens are bound to.
    pub fn jkt(&self) -> Jkt {
        self.inner.acquirer.proof_key.public_key().thumbprint()
    }

    async fn send_with(
        &self,
        request: Request,
        limit: Option<Duration>,
    ) -> Result<Response, HolderError> {
        check_request(&request, self.presentation)?;
        let mut token = self.token().await?;
        let mut nonce = self.nonce(&request.url);
        let (mut may_answer_nonce, mut may_replace_token) = (true, true);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (response, offered) = self
                .attempt(&request, &token, nonce.as_deref(), limit)
                .await?;
            let response = Response {
                attempts,
                ..response
            };
            match challenge_of(&response) {
                Challenge::Nonce if may_answer_nonce && offered.is_some() && offered != nonce => {
                    may_answer_nonce = false;
                    nonce = offered;
                }
                Challenge::InvalidToken if may_replace_token => {
                    may_replace_token = false;
                    match self.replacement(&token).await {
                        Some(new) => token = new,
                        None => return Ok(response),
                    }
                    nonce = offered.or(nonce);
                }
                _ => return Ok(response),
            }
        }
    }

    /// Another token than the one just refused. Failing to get one leaves the
    /// caller with the resource server's own answer.
    async fn replacement(&self, refused: &BoundToken) -> Option<BoundToken> {
        if !self.inner.tokens.drop_refused(refused.hash()) {
            return None;
        }
        let new = self.token().await.ok()?;
        (new.hash() != refused.hash()).then_some(new)
    }

    async fn attempt(
        &self,
        request: &Request,
        token: &BoundToken,
        nonce: Option<&str>,
        timeout: Option<Duration>,
    ) -> Result<(Response, Option<String>), HolderError> {
        let headers = self.authorized(request, token, nonce)?;
        let acquirer = &self.inner.acquirer;
        let sent = acquirer.clock.now_millis();
        let outgoing = Outgoing {
            method: request.method.clone(),
            url: &request.url,
            headers: headers.clone(),
            body: request.body.clone(),
            max_body: MAX_RESPONSE_BYTES,
            timeout,
        };
        let answer = acquirer.http.exchange(outgoing).await?;
        let role = NonceRole::ResourceServer;
        let offered = acquirer.learn(&request.url, role, &answer.headers, sent);
        let response = Response {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
            sent: headers,
            attempts: 0,
        };
        Ok((response, offered))
    }

    /// The fields for a request that somebody else sends, in the way this holder presents
    /// tokens: all of the request's own and those that authorize it.
    ///
    /// # Errors
    /// As [`sign`](Self::sign); also [`HolderError::ReservedHeader`].
    pub async fn sign_message(&self, request: &Request) -> Result<HeaderMap, HolderError> {
        check_request(request, self.presentation)?;
        let token = self.token().await?;
        let nonce = self.nonce(&request.url);
        self.authorized(request, &token, nonce.as_deref())
    }

    fn authorized(
        &self,
        request: &Request,
        token: &BoundToken,
        nonce: Option<&str>,
    ) -> Result<HeaderMap, HolderError> {
        if self.presentation == Presentation::HttpSignature {
            let acquirer = &self.inner.acquirer;
            let now = acquirer.clock.now();
            let now = acquirer.servers.server_time(request.url.origin(), now);
            return message::sign_request(request, token, &*acquirer.proof_key, now);
        }
        let covers = self.presentation == Presentation::DpopWithContent && !request.body.is_empty();
        let digest = covers.then(|| content_digest(DigestAlgorithm::Sha256, &request.body));
        let line = (&request.method, &request.url);
        let signed = self.signed(line, token, nonce, digest.as_deref())?;
        let mut headers = request.headers.clone();
        headers.insert(AUTHORIZATION, sensitive(&signed.authorization)?);
        headers.insert(DPOP, sensitive(&signed.dpop)?);
        Ok(headers)
    }

    fn nonce(&self, url: &HttpUrl) -> Option<String> {
        let servers = &self.inner.acquirer.servers;
        servers.nonce(url.origin(), NonceRole::ResourceServer)
    }

    fn signed(
        &self,
        (method, url): (&Method, &HttpUrl),
        token: &BoundToken,
        nonce: Option<&str>,
        content_digest: Option<&str>,
    ) -> Result<SignedHeaders, HolderError> {
        let acquirer = &self.inner.acquirer;
        let now = acquirer.clock.now();
        let facts = ProofFacts {
            method,
            url,
            iat: acquirer.servers.server_time(url.origin(), now),
            token: Some(token.hash()),
            nonce,
            content_digest,
        };
        Ok(SignedHeaders {
            authorization: format!("DPoP {}", token.expose()),
            dpop: proof::prove(&*acquirer.proof_key, &facts)?,
        })
    }
}

enum Challenge {
    InvalidToken,
    Nonce,
    None,
}

fn challenge_of(response: &Response) -> Challenge {
    if response.status != StatusCode::UNAUTHORIZED {
        return Challenge::None;
    }
    let error = ["DPoP", HTTPSIG_SCHEME]
        .into_iter()
        .find_map(|scheme| challenge::parameter(&response.headers, scheme, "error"));
    match error.as_deref() {
        Some("use_dpop_nonce") => Challenge::Nonce,
        Some("invalid_token") => Challenge::InvalidToken,
        _ => Challenge::None,
    }
}

fn check_request(request: &Request, presentation: Presentation) -> Result<(), HolderError> {
    check_confidential(&request.url)?;
    for (field, name) in [(AUTHORIZATION, "Authorization"), (DPOP, "DPoP")] {
        if request.headers.contains_key(field) {
            return Err(HolderError::ReservedHeader { name });
        }
    }
    for (field, name) in message::RESERVED {
        let signs = presentation == Presentation::HttpSignature;
        if signs && request.headers.contains_key(field) {
            return Err(HolderError::ReservedHeader { name });
        }
    }
    Ok(())
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holder")
            .field("issuer", &self.inner.acquirer.issuer)
            .field("client_id", &self.inner.acquirer.client_id)
            .field("jkt", &self.jkt())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url.without_query())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SignedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedHeaders(..)")
    }
}
