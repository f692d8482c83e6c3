//! One connection: protocol, HTTP library, admission and the service.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{HeaderMap, HeaderName, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use keybound_proto::rejection::Rejection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower_service::Service;

use super::tls::Session;
use super::{PeerAddress, RequestId, Shared};
use crate::body::{AnswerBody, BoxError, RequestBody};
use crate::forwarded_certificate::{self, ForwardedCertificate};
use crate::framing::{ConnectionState, Framed, FramingLimits, Protocol};
use crate::refusal;

/// The header that carries the request id to services and back to clients.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything one connection needs beside its socket.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) service: S,
    pub(super) shared: Arc<Shared>,
    pub(super) state: Arc<ConnectionState>,
    pub(super) peer: SocketAddr,
    /// The TLS handshake, once there was one.
    pub(super) session: Option<Session>,
}

impl<S, B> Connection<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Serves the connection to its end.
    pub(super) async fn run(mut self, stream: TcpStream) {
        let Some(tls) = &self.shared.tls else {
            let framing = Arc::clone(&self.shared.framing);
            return self.speak(stream, framing).await;
        };
        let limit = self.shared.limits.handshake;
        let Some((stream, session)) = tls.accept(stream, &self.state, limit).await else {
            return;
        };
        // ALPN decides; a preface without it is no request (RFC 9113 section 3.3).
        let framing = if session.speaks_http2() {
            Arc::clone(&self.shared.framing_http2)
        } else {
            Arc::clone(&self.shared.framing)
        };
        self.session = Some(session);
        self.speak(stream, framing).await;
    }

    async fn speak<I>(self, stream: I, framing: Arc<FramingLimits>)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let state = Arc::clone(&self.state);
        let mut io = Framed::new(stream, framing, Arc::clone(&state));
        let Ok(protocol) = io.detect().await else {
            return;
        };
        let agreed_on_http2 = self.session.as_ref().is_some_and(Session::speaks_http2);
        if agreed_on_http2 && protocol == Protocol::Http1 {
            tracing::debug!("the client agreed on HTTP/2 and speaks something else");
            return;
        }
        let streams = self.shared.limits.http2_streams;
        let head_bytes = self.shared.framing.head_bytes;
        let fields = self.shared.framing.fields;
        let service = service_fn(move |request| self.handle(request));
        let io = TokioIo::new(io);
        let outcome = match protocol {
            Protocol::Http1 => {
                let mut builder = hyper::server::conn::http1::Builder::new();
                // The framing layer has refused larger heads and slower clients already.
                builder
                    .max_headers(fields)
                    .max_buf_size(head_bytes * 2)
                    .header_read_timeout(None);
                drive(
                    builder.serve_connection(io, service),
                    &state,
                    |connection| {
                        connection.graceful_shutdown();
                    },
                )
                .await
            }
            Protocol::Http2 => {
                let builder = http2_builder(streams, head_bytes);
                drive(
                    builder.serve_connection(io, service),
                    &state,
                    |connection| {
                        connection.graceful_shutdown();
                    },
                )
                .await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "connection ended");
        }
    }

    /// One request: admission, the service, the marks on the answer.
    fn handle(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<AnswerBody<B>>, Infallible>> + Send + use<S, B> {
        let in_flight = self.state.enter();
        let id = self.shared.request_ids.next();
        let version = request.version();
        let admitted = self.admit(request, &id);
        let is_over = self.state.is_draining();
        let shared = Arc::clone(&self.shared);
        let mut service = self.service.clone();
        async move {
            let mut response = match admitted {
                Ok(request) => {
                    let Ok(()) = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
                    let Ok(response) = service.call(request).await;
                    response.map(AnswerBody::service)
                }
                Err(rejection) => shared.refuse(&rejection, &id, is_over, version),
            };
            response.headers_mut().insert(REQUEST_ID, id.0);
            Ok(response.map(|body| body.counted(in_flight)))
        }
    }

    fn admit(
        &self,
        mut request: Request<Incoming>,
        id: &RequestId,
    ) -> Result<Request<RequestBody>, Rejection> {
        let host = self.shared.admission.admit(&request)?;
        if let Some(session) = &self.session {
            session.check_host(&host)?;
            // SECURITY: a connection may outlive its certificate; this one ends with it.
            session
                .check_certificate()
                .inspect_err(|_| self.state.drain())?;
        }
        let limit = self.shared.limits.body_bytes;
        let forwarded = self.forwarded_certificate(request.headers_mut())?;
        let mut request = request.map(|body| RequestBody::new(body, limit));
        request
            .body()
            .check_declared_size()
            .map_err(|error| error.rejection())?;
        request.headers_mut().insert(REQUEST_ID, id.0.clone());
        let extensions = request.extensions_mut();
        extensions.insert(id.clone());
        extensions.insert(PeerAddress(self.peer));
        extensions.insert(axum::extract::ConnectInfo(self.peer));
        if let Some(session) = &self.session {
            extensions.insert(session.peer().clone());
        }
        // SECURITY: a terminator's own certificate is never its clients'.
        match forwarded {
            Some(ForwardedCertificate::Whole(certificate)) => {
                extensions.insert(certificate);
            }
            Some(ForwardedCertificate::Thumbprint(thumbprint)) => {
                extensions.insert(thumbprint);
            }
            Some(ForwardedCertificate::Absent) => {}
            None => {
                let own = self
                    .session
                    .as_ref()
                    .and_then(|one| one.peer().certificate());
                if let Some(certificate) = own {
                    extensions.insert(certificate.clone());
                }
            }
        }
        Ok(request)
    }

    /// Takes the certificate fields out of a request: no service sees any.
    fn forwarded_certificate(
        &self,
        headers: &mut HeaderMap,
    ) -> Result<Option<ForwardedCertificate>, Rejection> {
        match &self.shared.certificate_headers {
            Some(policy) => policy.take(headers, self.peer),
            None => {
                forwarded_certificate::strip(headers);
                Ok(None)
            }
        }
    }
}

impl Shared {
    fn refuse<B>(
        &self,
        rejection: &Rejection,
        id: &RequestId,
        is_over: bool,
        version: Version,
    ) -> Response<AnswerBody<B>> {
        tracing::debug!(
            listener = self.kind.name(),
            request_id = id.as_str(),
            cause = rejection.cause().id(),
            "{rejection}"
        );
        let mut response = refusal::plain(rejection, id.as_str(), self.error_detail, self.role());
        if is_over && version < Version::HTTP_2 {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(AnswerBody::refusal)
    }
}

/// Limits against floods: few streams, small header lists, a budget for resets.
fn http2_builder(
    streams: u32,
    head_bytes: usize,
) -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(std::time::Duration::from_secs(30))
        .keep_alive_timeout(std::time::Duration::from_secs(10));
    builder
}

/// Polls a connection to its end and tells it once to drain when the listener does.
async fn drive<C, E>(
    connection: C,
    state: &ConnectionState,
    drain: impl Fn(Pin<&mut C>),
) -> Result<(), E>
where
    C: Future<Output = Result<(), E>>,
{
    let mut connection = std::pin::pin!(connection);
    let mut is_told = false;
    std::future::poll_fn(|cx| {
        state.register(cx.waker());
        if !is_told && state.is_draining() {
            is_told = true;
            drain(connection.as_mut());
        }
        connection.as_mut().poll(cx)
    })
    .await
}

/// What is written to a connection that is one too many.
pub(super) const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n";
