//! The service behind the guard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::axum::body::HttpBody as Body;
use ::axum::extract::{ConnectInfo, OriginalUri};
use bytes::Bytes;
use http::{Extensions, Request, Response, header};
use http_body_util::{Either, Full};
use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use tower_service::Service;

use super::future::ResponseFuture;
use super::{Caller, Shared};
use crate::guard::{HttpRequest, RequestFacts};
use crate::respond;

/// A service that is called for checked requests only.
#[derive(Clone, Debug)]
pub struct GuardService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> GuardService<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, R> Service<Request<B>> for GuardService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    R: Send + 'static,
{
    type Response = Response<Either<R, Full<Bytes>>>;
    type Error = S::Error;
    type Future = ResponseFuture<R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone may not be ready; the one that was polled goes with the request.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let shared = Arc::clone(&self.shared);
        ResponseFuture::new(async move {
            let (mut parts, body) = request.into_parts();
            let has_script_origin = parts.headers.contains_key(header::ORIGIN);
            let mut response = match shared.check(&parts, !body.is_end_stream()).await {
                Ok(caller) => {
                    parts.extensions.insert(caller);
                    let request = Request::from_parts(parts, body);
                    let mut response = inner.call(request).await?.map(Either::Left);
                    let nonce = shared.guard.nonce_for_success(&shared.route);
                    respond::set(
                        response.headers_mut(),
                        respond::DPOP_NONCE,
                        nonce.as_deref(),
                    );
                    response
                }
                Err(refusal) => refusal.map(|body| Either::Right(Full::new(body))),
            };
            if has_script_origin {
                respond::expose_to_scripts(response.headers_mut());
            }
            Ok(response)
        })
    }
}

impl Shared {
    /// The caller, or the response that says no.
    async fn check(
        &self,
        parts: &http::request::Parts,
        has_content: bool,
    ) -> Result<Caller, Response<Bytes>> {
        let request_id = request_id();
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(address)| address.to_string());
        let request = HttpRequest {
            certificate: parts.extensions.get(),
            certificate_hash: parts.extensions.get().copied(),
            has_content,
            method: &parts.method,
            path_and_query: path_and_query(&parts.uri, &parts.extensions),
            headers: &parts.headers,
        };
        let facts = RequestFacts {
            request_id: Some(&request_id),
            peer: peer.as_deref(),
        };
        let checked = self
            .guard
            .check_http(&request, &self.origin, &self.route, &facts);
        match checked.await {
            Ok(verified) => Ok(Caller::new(verified)),
            Err(rejection) => Err(self.refuse(&rejection, &request_id)),
        }
    }

    fn refuse(&self, rejection: &Rejection, request_id: &str) -> Response<Bytes> {
        let answer = self.guard.answer(rejection, &self.route, request_id);
        let mut response = respond::response(&answer);
        let headers = response.headers_mut();
        respond::set(headers, respond::REQUEST_ID, Some(request_id));
        if rejection.cause() == Cause::MethodNotAllowed {
            let allowed: Vec<_> = self.route.scopes.methods().collect();
            respond::set(headers, header::ALLOW, Some(&allowed.join(", ")));
        }
        response
    }
}

/// What the client asked for: axum strips the prefix of nested routers from the
/// URI, and proofs name the whole.
fn path_and_query<'a>(uri: &'a http::Uri, extensions: &'a Extensions) -> &'a str {
    let original = extensions.get::<OriginalUri>().map(|OriginalUri(uri)| uri);
    let path_and_query = original.unwrap_or(uri).path_and_query();
    path_and_query.map_or("", http::uri::PathAndQuery::as_str)
}

/// `req_` and 32 hexadecimal digits; without randomness, no id that could mislead.
fn request_id() -> String {
    use std::fmt::Write as _;
    let mut id = String::from("req_");
    for byte in crate::guard::random::<16>().unwrap_or_default() {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}
