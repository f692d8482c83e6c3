//! Connections to one upstream: plain HTTP/1.1 (RFC 9112), kept and reused.
//!
//! A connection goes back to the pool only after a complete exchange, and comes out of it
//! only when the library reports it idle, open and with nothing unread, so that an answer
//! never reaches another request. Nothing is ever sent twice: when a pooled connection turns
//! out to be closed before the first byte of a request was written, that request, which the
//! library hands back unsent, goes over a new one; every other failure is the caller's answer.
//!
//! Not here: TLS, HTTP/2 to upstreams, health checks, balancing.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use keybound_proto::uri::Origin;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::config::UpstreamTimeouts;
use super::headers::authority_value;
use super::metered::{Metered, Progress};
use crate::body::{RequestBodyError, find_source};

/// Most idle connections kept for one upstream.
const MAX_IDLE: usize = 256;
/// Largest answer head in bytes.
const MAX_HEAD: usize = 128 * 1024;

/// One upstream and its idle connections.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) authority: HeaderValue,
    address: String,
    timeouts: UpstreamTimeouts,
    idle: Mutex<VecDeque<Idle>>,
    is_failing: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// One connection. Dropped, it closes at once, whatever it was in the middle of.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Metered>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The connection an answer comes on. Give it back when the answer is complete; dropped, the
/// connection closes.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Connection,
    request_body: Option<Arc<Progress>>,
    upstream: Arc<Upstream>,
}

/// Why there is no answer to forward.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    #[error("the upstream did not accept a connection in time")]
    ConnectTimeout,
    #[error("no connection to the upstream")]
    Connect(#[source] io::Error),
    #[error("the upstream did not begin an answer in time")]
    HeadTimeout,
    #[error("the exchange with the upstream failed")]
    Exchange(#[source] hyper::Error),
    #[error("the upstream switched protocols without being asked")]
    UnaskedUpgrade,
    #[error("the request body broke off")]
    RequestBody(#[source] RequestBodyError),
}

impl Upstream {
    pub(super) fn new(origin: &Origin, timeouts: UpstreamTimeouts) -> Self {
        let host = origin.host().trim_start_matches('[').trim_end_matches(']');
        let address = if host.contains(':') {
            format!("[{host}]:{}", origin.port())
        } else {
            format!("{host}:{}", origin.port())
        };
        Self {
            authority: authority_value(origin),
            address,
            timeouts,
            idle: Mutex::new(VecDeque::new()),
            is_failing: AtomicBool::new(false),
        }
    }

    pub(super) const fn timeouts(&self) -> &UpstreamTimeouts {
        &self.timeouts
    }

    /// Sends one request and waits for the head of its answer.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Request<Metered>,
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        let outcome = self.exchange(request).await;
        self.log_change(outcome.as_ref().err());
        outcome
    }

    /// Says in the log when the upstream begins and when it ceases to fail; not every time,
    /// because whoever can send requests could fill the log.
    fn log_change(&self, error: Option<&UpstreamError>) {
        let error = error.filter(|error| !matches!(error, UpstreamError::RequestBody(_)));
        let has_failed = error.is_some();
        if self.is_failing.load(Ordering::Relaxed) == has_failed {
            return;
        }
        self.is_failing.store(has_failed, Ordering::Relaxed);
        match error {
            Some(error) => {
                let source = std::error::Error::source(error).map(ToString::to_string);
                tracing::warn!(upstream = self.address, %error, source, "the upstream fails");
            }
            None => tracing::info!(upstream = self.address, "the upstream answers again"),
        }
    }

    async fn exchange(
        self: &Arc<Self>,
        mut request: Request<Metered>,
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        let progress = request.body().progress();
        loop {
            let pooled = self.take_idle();
            let is_pooled = pooled.is_some();
            let mut connection = match pooled {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            let answer = connection.sender.try_send_request(request);
            match self.await_head(answer, progress.as_deref()).await? {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(UpstreamError::UnaskedUpgrade);
                }
                Ok(response) => {
                    let upstream = Arc::clone(self);
                    return Ok((
                        response,
                        Lease {
                            connection,
                            request_body: progress,
                            upstream,
                        },
                    ));
                }
                Err(mut error) => match error.take_message().filter(|_| is_pooled) {
                    Some(unsent) => request = unsent,
                    None => return Err(exchange_error(error.into_error())),
                },
            }
        }
    }

    /// Waits for the head; the time begins anew while request body bytes are being taken.
    async fn await_head<T>(
        &self,
        answer: impl Future<Output = T>,
        progress: Option<&Progress>,
    ) -> Result<T, UpstreamError> {
        let mut answer = std::pin::pin!(answer);
        let mut seen = 0;
        loop {
            if let Ok(outcome) = timeout(self.timeouts.head, answer.as_mut()).await {
                return Ok(outcome);
            }
            let now = progress.map_or(0, Progress::frames);
            if now == seen {
                return Err(UpstreamError::HeadTimeout);
            }
            seen = now;
        }
    }

    async fn connect(&self) -> Result<Connection, UpstreamError> {
        let connecting = TcpStream::connect(self.address.as_str());
        let stream = timeout(self.timeouts.connect, connecting)
            .await
            .map_err(|_| UpstreamError::ConnectTimeout)?
            .map_err(UpstreamError::Connect)?;
        // A failure only costs latency.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::Exchange)?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(Connection {
            sender,
            task: task.abort_handle(),
        })
    }

    /// The most recently used connection that is ready; closed and stale ones are dropped.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        if idle.is_empty() {
            return None;
        }
        let now = Instant::now();
        let is_stale = |entry: &Idle| now.duration_since(entry.since) > self.timeouts.idle;
        while idle.front().is_some_and(is_stale) {
            idle.pop_front();
        }
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            let sender = &idle.get(at)?.connection.sender;
            let is_closed = sender.is_closed();
            if is_closed || sender.is_ready() {
                let entry = idle.remove(at)?;
                if !is_closed {
                    return Some(entry.connection);
                }
            }
            // Neither: its last exchange is not quite over yet.
        }
        None
    }
}

impl Lease {
    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Gives the connection back after a complete answer. One that the upstream closes, or whose
    /// request body was not taken to its end, is closed.
    pub(super) fn give_back(self) {
        let Self {
            connection,
            request_body,
            upstream,
        } = self;
        let is_sent = request_body.is_none_or(|body| body.has_ended());
        if !is_sent || connection.sender.is_closed() {
            return;
        }
        let mut idle = upstream.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push_back(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }
}

fn exchange_error(error: hyper::Error) -> UpstreamError {
    match find_source::<RequestBodyError>(&error) {
        Some(body) => UpstreamError::RequestBody(body.clone()),
        None => UpstreamError::Exchange(error),
    }
}
