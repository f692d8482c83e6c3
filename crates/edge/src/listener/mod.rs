//! Listening sockets for every role: framing, admission, limits and drain around any
//! `tower` service, an [`axum::Router`] included.
//!
//! A listener accepts HTTP/1.1 through [`crate::framing`] and, where switched on, HTTP/2: by
//! ALPN over TLS, by prior knowledge without (RFC 9113 section 3.3). What is checked, and in
//! which order, is the same for every listener and protocol. Without TLS (see [`tls`]) it binds
//! loopback addresses only, unless it is told otherwise by a name that says so. A request for a host that is not configured gets 421 (RFC 9110 section 15.5.20); a
//! web page of a foreign origin gets 403, so that a browser on the same machine is no way in
//! (DNS rebinding, loopback cross-site requests).
//!
//! What a service finds on each request: the extensions [`RequestId`], [`PeerAddress`] and
//! axum's `ConnectInfo<SocketAddr>`; over TLS [`tls::TlsPeer`]; where the client has a
//! certificate, by its handshake or by the word of a terminator
//! ([`forwarded_certificate`](crate::forwarded_certificate)), a
//! [`PeerCertificate`](keybound_proto::certificate::PeerCertificate) or, where no more is known,
//! a [`CertificateThumbprint`](keybound_proto::certificate::CertificateThumbprint); and the header `x-request-id`, which replaces whatever
//! the client sent. The answer carries the same `x-request-id`.
//!
//! Not here: process signals, and anything about tokens.

mod accept;
mod admission;
mod connection;
pub mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keybound_proto::uri::Origin;
use keybound_proto::wire::{ErrorDetail, Role};
use tokio::net::TcpListener;

pub use self::accept::Serve;
use self::admission::Admission;
use self::tls::Tls;
use crate::forwarded_certificate::CertificateHeaders;
use crate::framing::FramingLimits;

/// Which part of the product listens. Names the listener in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerKind {
    /// The control plane.
    Control,
    /// The demonstration's upstream.
    DemoUpstream,
    /// The gateway.
    Gateway,
    /// The authorization server.
    Issuer,
    /// Health and metrics.
    Management,
}

impl ListenerKind {
    /// The name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::DemoUpstream => "demo upstream",
            Self::Gateway => "gateway",
            Self::Issuer => "issuer",
            Self::Management => "management",
        }
    }

    /// How an operator chooses another address.
    const fn how_to_choose(self) -> &'static str {
        match self {
            Self::Control => "`listen` in `[control]`, or `--port-base` for `keybound dev`",
            Self::DemoUpstream => "`--port-base`",
            Self::Gateway => "`listen` in `[gateway]`, or `--port-base` for `keybound dev`",
            Self::Issuer => "`listen` in `[issuer]`, or `--port-base` for `keybound dev`",
            Self::Management => "`listen` in `[management]`, or `--port-base` for `keybound dev`",
        }
    }
}

/// How much a listener takes.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Connections at a time; one more is answered 503 and closed.
    pub connections: usize,
    /// Largest request body in bytes; a service may allow less.
    pub body_bytes: u64,
    /// Concurrent streams of one HTTP/2 connection.
    pub http2_streams: u32,
    /// Bounds and timers of HTTP/1 framing. `framing.http2` is overruled by the listener's.
    pub framing: FramingLimits,
    /// How long a TLS handshake may take from the first byte of the connection to its last.
    pub handshake: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            body_bytes: 1024 * 1024,
            http2_streams: 100,
            framing: FramingLimits::default(),
            handshake: Duration::from_secs(10),
        }
    }
}

/// What a listener is told.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Where to listen. Without TLS a loopback address; port 0 picks a free one.
    pub addr: SocketAddr,
    /// TLS; `None` listens without.
    pub tls: Option<Tls>,
    /// Whose certificate fields are believed, and in which form; `None` believes nobody.
    pub certificate_headers: Option<CertificateHeaders>,
    /// Lets a listener without TLS bind an address off loopback, where tokens and proofs travel
    /// readable.
    pub unsafe_plain_off_loopback: bool,
    /// Who listens.
    pub kind: ListenerKind,
    /// Public origins: the only hosts served, and the only web origins let in.
    pub origins: Vec<Origin>,
    /// Further web origins whose pages may send requests (for CORS).
    pub web_origins: Vec<Origin>,
    /// Whether HTTP/2 by prior knowledge is served without TLS; with TLS,
    /// [`TlsConfig::http2`](tls::TlsConfig::http2) says.
    pub http2: bool,
    /// How much refusals explain to the caller.
    pub error_detail: ErrorDetail,
    /// How much is taken.
    pub limits: ListenerLimits,
}

impl ListenerConfig {
    /// A listener with the default limits, HTTP/2 on, for one origin.
    #[must_use]
    pub fn new(addr: SocketAddr, kind: ListenerKind, origins: Vec<Origin>) -> Self {
        Self {
            addr,
            tls: None,
            certificate_headers: None,
            unsafe_plain_off_loopback: false,
            kind,
            origins,
            web_origins: Vec::new(),
            http2: true,
            error_detail: ErrorDetail::Minimal,
            limits: ListenerLimits::default(),
        }
    }
}

/// Why a listener could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there already.
    #[error(
        "the {} cannot listen on `{addr}`: the port is in use; stop the other program or choose another address with {}",
        kind.name(), kind.how_to_choose()
    )]
    InUse {
        /// The address wanted.
        addr: SocketAddr,
        /// Who wanted it.
        kind: ListenerKind,
    },
    /// The address is not on loopback.
    #[error(
        "the {} will not listen on `{addr}`: without TLS only loopback addresses are served; use `127.0.0.1:{}`, or serve TLS there (`[gateway.tls]`, `[issuer.tls]`)",
        kind.name(), addr.port()
    )]
    NotLoopback {
        /// The address wanted.
        addr: SocketAddr,
        /// Who wanted it.
        kind: ListenerKind,
    },
    /// The operating system refused for another reason.
    #[error("the {} cannot listen on `{addr}`; choose another address with {}", kind.name(), kind.how_to_choose())]
    System {
        /// The address wanted.
        addr: SocketAddr,
        /// Who wanted it.
        kind: ListenerKind,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes listeners.
#[derive(Debug)]
pub struct Listener;

impl Listener {
    /// Binds the socket. Nothing is accepted before [`Bound::serve`]; connections that arrive
    /// earlier wait in the system's queue.
    ///
    /// # Errors
    ///
    /// [`BindError`], which names the address and how to choose another.
    pub async fn bind(config: ListenerConfig) -> Result<Bound, BindError> {
        let (addr, kind) = (config.addr, config.kind);
        let is_private = addr.ip().to_canonical().is_loopback() || config.tls.is_some();
        if !is_private && !config.unsafe_plain_off_loopback {
            return Err(BindError::NotLoopback { addr, kind });
        }
        let socket = TcpListener::bind(addr)
            .await
            .map_err(|source| match source.kind() {
                io::ErrorKind::AddrInUse => BindError::InUse { addr, kind },
                _ => BindError::System { addr, kind, source },
            })?;
        let local_addr =
            socket
                .local_addr()
                .map_err(|source| BindError::System { addr, kind, source })?;
        Ok(Bound {
            socket,
            local_addr,
            config,
        })
    }
}

/// A bound socket that does not serve yet.
#[derive(Debug)]
pub struct Bound {
    socket: TcpListener,
    local_addr: SocketAddr,
    config: ListenerConfig,
}

impl Bound {
    /// The address, with the port the system chose for port 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves one more origin. For ports that are only known once bound.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.config.origins.push(origin);
        self
    }

    fn into_parts(self) -> (TcpListener, Shared) {
        let Self { socket, config, .. } = self;
        let mut framing = config.limits.framing.clone();
        framing.http2 = config.http2 && config.tls.is_none();
        let mut framing_http2 = framing.clone();
        framing_http2.http2 = true;
        let shared = Shared {
            admission: Admission::new(&config.origins, &config.web_origins),
            request_ids: RequestIds::new(),
            error_detail: config.error_detail,
            kind: config.kind,
            framing: Arc::new(framing),
            framing_http2: Arc::new(framing_http2),
            tls: config.tls,
            certificate_headers: config.certificate_headers,
            limits: config.limits,
        };
        (socket, shared)
    }
}

/// The id under which logs, events and the answer know a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(http::HeaderValue);

impl RequestId {
    /// The id: `req_` and 24 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("req_unknown")
    }
}

/// The other end of the TCP connection a request came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// What the connections of one listener share.
#[derive(Debug)]
struct Shared {
    admission: Admission,
    request_ids: RequestIds,
    error_detail: ErrorDetail,
    kind: ListenerKind,
    framing: Arc<FramingLimits>,
    /// The same for TLS connections that agreed on HTTP/2.
    framing_http2: Arc<FramingLimits>,
    tls: Option<Tls>,
    certificate_headers: Option<CertificateHeaders>,
    limits: ListenerLimits,
}

impl Shared {
    /// Whose words refusals speak.
    fn role(&self) -> Role {
        match self.kind {
            ListenerKind::Issuer => Role::AuthorizationServer,
            ListenerKind::Control
            | ListenerKind::DemoUpstream
            | ListenerKind::Gateway
            | ListenerKind::Management => Role::ResourceServer,
        }
    }
}

/// Makes request ids: a random number per listener and a count.
#[derive(Debug)]
struct RequestIds {
    random: u64,
    count: std::sync::atomic::AtomicU32,
}

impl RequestIds {
    fn new() -> Self {
        let mut random = [0; 8];
        // Request ids only have to differ; without random numbers they differ less.
        let _ = aws_lc_rs::rand::fill(&mut random);
        Self {
            random: u64::from_ne_bytes(random),
            count: std::sync::atomic::AtomicU32::new(0),
        }
    }

    fn next(&self) -> RequestId {
        use std::io::Write as _;
        let count = self
            .count
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut text = Vec::with_capacity(28);
        // Writing to a vector cannot fail.
        let _ = write!(text, "req_{:016x}{count:08x}", self.random);
        let value = http::HeaderValue::from_maybe_shared(bytes::Bytes::from(text));
        RequestId(value.unwrap_or_else(|_| http::HeaderValue::from_static("req_unknown")))
    }
}
