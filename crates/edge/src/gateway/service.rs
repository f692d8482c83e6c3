//! One request through the gateway: what is checked, in which order, and the answer when
//! something fails.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Body as _;
use keybound_guard::{Checked, Content, Fields, RequestFacts};
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::signature::agent::VerifiedAgent;
use keybound_proto::signature::{ExpectedDigest, SignedRequest};
use keybound_proto::uri::{Htu, request_target};
use keybound_proto::verify::{HeaderField, Message, Permitted, Presented, RouteOff};
use keybound_proto::wire::Role;
use tower_service::Service;

use super::cors::Cors;
use super::forward::Passage;
use super::routes::NoRoute;
use super::stream::GatewayBody;
use super::{Enforcement, Inner, Route};
use crate::body::RequestBody;
use crate::listener::{PeerAddress, RequestId};
use crate::refusal::{self, DPOP_NONCE};

/// The gateway as a `tower` service, for [`crate::listener::Bound::serve`].
#[derive(Clone)]
pub struct GatewayService {
    inner: Arc<Inner>,
}

impl GatewayService {
    pub(super) const fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

impl Service<Request<RequestBody>> for GatewayService {
    type Response = Response<GatewayBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { Ok(inner.serve(request).await) })
    }
}

/// What is known of a request beside itself.
pub(super) struct Facts {
    request_id: Option<RequestId>,
    pub(super) peer: Option<SocketAddr>,
}

impl Facts {
    fn of<B>(request: &Request<B>) -> Self {
        let extensions = request.extensions();
        Self {
            request_id: extensions.get::<RequestId>().cloned(),
            peer: extensions.get::<PeerAddress>().map(|peer| peer.0),
        }
    }

    pub(super) fn request_id(&self) -> &str {
        self.request_id.as_ref().map_or("", RequestId::as_str)
    }
}

impl Inner {
    async fn serve(&self, request: Request<RequestBody>) -> Response<GatewayBody> {
        let facts = Facts::of(&request);
        let origin = self
            .cors
            .as_ref()
            .and_then(|cors| cors.origin(request.headers()));
        let mut response = match self.own_answer(&request) {
            Some(response) => response.map(GatewayBody::own),
            None => self.route_and_forward(request, &facts).await,
        };
        if let Some(origin) = origin {
            Cors::expose(&origin, response.headers_mut());
        }
        response
    }

    /// What the gateway answers itself, without credentials: documents and preflights.
    fn own_answer(&self, request: &Request<RequestBody>) -> Option<Response<Bytes>> {
        let document = self.documents.find(request.uri().path());
        if let Some(document) = document.filter(|_| is_reading(request.method())) {
            return Some(document_answer(document.clone()));
        }
        self.cors
            .as_ref()?
            .preflight(request.method(), request.headers())
    }

    async fn route_and_forward(
        &self,
        request: Request<RequestBody>,
        facts: &Facts,
    ) -> Response<GatewayBody> {
        let route = match self.route(&request) {
            Ok(route) => route,
            Err(rejection) => return self.refuse(&rejection, facts),
        };
        match self.enforce_and_forward(request, route, facts).await {
            Ok(response) => {
                route.counters.forwarded.fetch_add(1, Ordering::Relaxed);
                response
            }
            Err(rejection) => self.refuse_on(route, &rejection, facts),
        }
    }

    /// The route of a request whose target has one meaning.
    fn route(&self, request: &Request<RequestBody>) -> Result<&Route, Rejection> {
        // `TRACE` would echo what the gateway adds (RFC 9110 section 9.3.8).
        if request.method() == Method::TRACE {
            return Err(Rejection::new(Cause::MethodNotAllowed).got("TRACE"));
        }
        let target = target_of(request.uri());
        let path = request_target::check(target).map_err(|reason| {
            let cause = match reason {
                request_target::AmbiguousTarget::TooLong => Cause::TargetTooLong,
                _ => Cause::TargetAmbiguous,
            };
            Rejection::new(cause).got(reason.to_string())
        })?;
        let found = if path.contains('%') {
            // `/%61` and `/a` are one resource (RFC 3986 section 6.2.2.2).
            let canonical = self.htu(target)?;
            self.routes.find(canonical.path())
        } else {
            self.routes.find(path)
        };
        found.map_err(|none| match none {
            NoRoute::Unknown => Rejection::new(Cause::RouteUnknown),
            NoRoute::Ambiguous => Rejection::new(Cause::TargetAmbiguous)
                .got("a spelling that an upstream may take for another route"),
        })
    }

    async fn enforce_and_forward(
        &self,
        mut request: Request<RequestBody>,
        route: &Route,
        facts: &Facts,
    ) -> Result<Response<GatewayBody>, Rejection> {
        if has_no_body(request.method()) {
            request
                .body_mut()
                .expect_empty()
                .await
                .map_err(|error| error.rejection())?;
        }
        if let Some(limit) = route.body_bytes {
            request.body_mut().restrict(limit);
            request
                .body()
                .check_declared_size()
                .map_err(|error| error.rejection())?;
        }
        let target = match route.enforcement {
            Enforcement::Off => None,
            Enforcement::Require => Some(self.htu(target_of(request.uri()))?),
        };
        // Before the check, so that no revocation falls between it and the answer.
        let changes = target
            .as_ref()
            .map(|_| self.guard.revocations().subscribe());
        let permitted = match &target {
            None => Permitted::Unchecked(RouteOff::operator_decision()),
            Some(target) => match self.agent(&request, route).await {
                Some(agent) => Permitted::Agent(Box::new(agent?)),
                None => {
                    let (head, mut body) = request.into_parts();
                    let checked = self.check(&head, &mut body, (target, route), facts).await;
                    request = Request::from_parts(head, body);
                    checked?
                }
            },
        };
        if let Permitted::Agent(agent) = &permitted {
            let body = request.body_mut();
            match agent.content_digest() {
                Some(expected) => {
                    let limit = route.signed_body_bytes;
                    body.check_content(expected, limit).await?;
                }
                None if route.check.cover_content && !body.is_end_stream() => {
                    return Err(Rejection::new(Cause::DigestAbsent));
                }
                None => {}
            }
        }
        let passage = Passage {
            route,
            facts,
            target: target.as_ref(),
            changes,
        };
        let mut response = self.forward(permitted, passage, request).await?;
        if route.enforcement == Enforcement::Require {
            self.offer_nonce(route, response.headers_mut());
        }
        Ok(response)
    }

    /// The agent that signed a request without a token, on routes that welcome agents. `None`
    /// where that is not what the request is: then it is checked like any other.
    async fn agent(
        &self,
        request: &Request<RequestBody>,
        route: &Route,
    ) -> Option<Result<VerifiedAgent, Rejection>> {
        let directories = self.agents.as_ref()?;
        if route.agents.is_empty() || request.headers().contains_key(AUTHORIZATION) {
            return None;
        }
        let signed = SignedRequest {
            method: request.method().as_str(),
            origin: &self.url,
            request_target: target_of(request.uri()),
            fields: &Fields(request.headers()),
            trailers: None,
        };
        let verified = directories.verify(signed, &route.agents).await;
        if matches!(&verified, Err(rejection) if rejection.cause() == Cause::HttpsigAbsent) {
            return None;
        }
        Some(verified)
    }

    /// The one way to a [`Permitted::Bound`].
    async fn check(
        &self,
        head: &Parts,
        body: &mut RequestBody,
        (target, route): (&Htu, &Route),
        facts: &Facts,
    ) -> Result<Permitted, Rejection> {
        let field = |name: &str| {
            HeaderField::of(head.headers.get_all(name).iter().map(HeaderValue::as_bytes))
        };
        let presented = Presented {
            method: head.method.as_str(),
            target,
            authorization: field("authorization"),
            proof: field("dpop"),
            message: Message {
                certificate: head.extensions.get(),
                certificate_hash: head.extensions.get().copied(),
                origin: Some(&self.url),
                request_target: target_of(&head.uri),
                fields: &Fields(&head.headers),
                has_content: !body.is_end_stream(),
            },
        };
        let limit = route.signed_body_bytes;
        let mut content = SignedContent { body, limit };
        let peer = facts.peer.map(|peer| peer.to_string());
        let recorded = RequestFacts {
            request_id: Some(facts.request_id()),
            peer: peer.as_deref(),
        };
        self.guard
            .check_with_content(&presented, &route.check, &recorded, &mut content)
            .await
            .map(Permitted::Bound)
    }

    fn htu(&self, target: &str) -> Result<Htu, Rejection> {
        Htu::for_request(&self.url, target)
            .map_err(|error| Rejection::new(error.target_cause()).got(error.to_string()))
    }

    fn offer_nonce(&self, route: &Route, headers: &mut HeaderMap) {
        // An upstream's own nonce would be taken for the gateway's.
        headers.remove(DPOP_NONCE);
        let nonce = self.guard.nonce_for_success(&route.check);
        if let Some(value) = nonce.and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
            headers.insert(DPOP_NONCE, value);
        }
    }

    fn refuse(&self, rejection: &Rejection, facts: &Facts) -> Response<GatewayBody> {
        tracing::debug!(
            request_id = facts.request_id(),
            cause = rejection.cause().id(),
            "{rejection}"
        );
        refusal::plain(
            rejection,
            facts.request_id(),
            self.error_detail,
            Role::ResourceServer,
        )
        .map(GatewayBody::own)
    }

    fn refuse_on(
        &self,
        route: &Route,
        rejection: &Rejection,
        facts: &Facts,
    ) -> Response<GatewayBody> {
        let cause = rejection.cause();
        let is_upstream = matches!(cause, Cause::UpstreamTimeout | Cause::UpstreamUnreachable);
        let counter = if is_upstream {
            &route.counters.failed
        } else {
            &route.counters.refused
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(
            route = route.check.name,
            request_id = facts.request_id(),
            cause = cause.id(),
            "{rejection}"
        );
        let answer = self
            .guard
            .answer(rejection, &route.check, facts.request_id());
        let mut response = refusal::response(answer);
        if cause == Cause::MethodNotAllowed {
            let methods: Vec<_> = route.check.scopes.methods().collect();
            if let Ok(value) = HeaderValue::try_from(methods.join(", ")) {
                response.headers_mut().insert(ALLOW, value);
            }
        }
        debug_assert!(
            response.status() != http::StatusCode::UNAUTHORIZED
                || response.headers().contains_key(WWW_AUTHENTICATE)
        );
        response.map(GatewayBody::own)
    }
}

/// The request target as received, without scheme and authority.
pub(super) fn target_of(uri: &Uri) -> &str {
    uri.path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str)
}

/// A request's body, for proofs that cover its digest.
struct SignedContent<'a> {
    body: &'a mut RequestBody,
    /// The most bytes that are held until the digest is checked.
    limit: u64,
}

impl Content for SignedContent<'_> {
    fn check<'a>(&'a mut self, expected: &'a ExpectedDigest) -> Checked<'a> {
        Box::pin(self.body.check_content(expected, self.limit))
    }
}

/// Methods whose body has no meaning. An upstream that ignores it would read it as the next
/// request, so none is forwarded (RFC 9110 section 9.3.1).
fn has_no_body(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn document_answer(document: Bytes) -> Response<Bytes> {
    let mut response = Response::new(document);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response
}

impl fmt::Debug for GatewayService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayService")
            .field("url", &self.inner.url)
            .finish_non_exhaustive()
    }
}
