//! The way out: one request at a time over HTTP/1.1, exactly as drafted.
//!
//! No redirect is followed, nothing is sent again, no proxy and no cookie is
//! used, and nothing is added but `Host`, `User-Agent` and the body's length.
//! A connection is kept for the next request to the same place where the
//! server allows it. Over TLS the server's certificate is verified like a
//! browser does, or against the given authority.
//!
//! This module does not judge answers; `crate::answer` does.

mod fault;
mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keybound_proto::uri::{HttpUrl, Scheme};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

pub use self::fault::CertificateFault;
use crate::draft::Sealed;
use crate::options::Options;

pub(crate) use self::tls::Shown;
pub use self::tls::{ClientIdentity, TlsOptions};

/// Longer bodies are cut off, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The name does not resolve.
    #[error("`{0}` does not resolve: {1}")]
    Name(String, String),
    /// Nobody takes the connection.
    #[error("no connection to {0}: {1}")]
    Connect(String, String),
    /// TLS failed, for example over an expired certificate.
    #[error("TLS with {0} failed: {1}")]
    Tls(String, String),
    /// The connection broke before the answer was complete.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The server had closed the connection that was kept for the request; whether it read the
    /// request is not known.
    #[error("the server closed the connection that was kept for the request")]
    Closed,
    /// The server's certificate is not to be trusted.
    #[error("TLS with {0} failed: {1}")]
    Certificate(String, CertificateFault),
    /// The server does not speak TLS.
    #[error("{0} does not speak TLS")]
    NoTls(String),
    /// The answer did not come in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The request could not be written down.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) elapsed: Duration,
}

/// The way out.
pub(crate) struct Transport {
    tls: Arc<ClientConfig>,
    timeout: Duration,
    connect_to: Option<SocketAddr>,
    kept: Mutex<Option<Kept>>,
    resumed: AtomicBool,
    /// The server closes connections without saying so, so none is kept any more.
    closes: AtomicBool,
}

/// A connection that may take another request.
struct Kept {
    place: String,
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Transport {
    /// A way out with these limits.
    ///
    /// # Errors
    /// What is wrong with the certificates, in words.
    pub(crate) fn new(options: &Options) -> Result<Self, String> {
        if let Some(identity) = &options.tls.identity {
            tls::check(identity)?;
        }
        let shown = Shown::new(options.tls.identity.as_deref())?;
        let mut config = tls::config(&options.tls, &shown, None)?;
        if options.tls.identity.is_some() {
            // A server may lose the certificate in a resumed session; that is for a case of its own
            // to find, not for good requests to stumble over.
            config.resumption = Resumption::disabled();
        }
        Ok(Self::with(options, config))
    }

    /// The same, showing this as client, with one version of TLS only.
    ///
    /// # Errors
    /// What is wrong with the certificates, in words.
    pub(crate) fn showing(
        options: &Options,
        shown: &Arc<Shown>,
        version: Option<&'static SupportedProtocolVersion>,
    ) -> Result<Self, String> {
        let config = tls::config(&options.tls, shown, version)?;
        Ok(Self::with(options, config))
    }

    fn with(options: &Options, config: ClientConfig) -> Self {
        Self {
            tls: Arc::new(config),
            timeout: options.timeout,
            connect_to: options.connect_to,
            kept: Mutex::new(None),
            resumed: AtomicBool::new(false),
            closes: AtomicBool::new(false),
        }
    }

    /// Ends the kept connection: the next request begins a new one, and resumes the TLS session
    /// where the server allows it.
    pub(crate) async fn hang_up(&self) {
        *self.kept.lock().await = None;
    }

    /// Whether the newest connection resumed a TLS session.
    pub(crate) fn resumed(&self) -> bool {
        self.resumed.load(Ordering::Relaxed)
    }

    /// One exchange over HTTP/1.1.
    pub(crate) async fn send(&self, sealed: &Sealed) -> Result<Answer, NoAnswer> {
        let place = place(sealed);
        let started = tokio::time::Instant::now();
        let mut kept = self.kept.lock().await.take();
        if kept.as_ref().is_some_and(|kept| kept.place != place) {
            kept = None;
        }
        let limited = tokio::time::timeout(self.timeout, async {
            if let Some(mut kept) = kept
                && kept.sender.ready().await.is_ok()
            {
                match self.exchange(&mut kept.sender, sealed).await {
                    Ok(answer) => return Ok((answer, kept)),
                    // A server may close an idle connection at any moment; the request that met
                    // the close was not read, and a fresh connection takes it.
                    Err(Interrupted::Unsent) => {}
                    // It may have read this one, and must not get the same proof again.
                    Err(Interrupted::Failed(_)) => {
                        self.closes.store(true, Ordering::Relaxed);
                        return Err(NoAnswer::Closed);
                    }
                }
            }
            let mut sender = self.connect(sealed).await?;
            match self.exchange(&mut sender, sealed).await {
                Ok(answer) => Ok((answer, Kept { place, sender })),
                Err(Interrupted::Unsent) => Err(NoAnswer::Broken("closed at once".to_owned())),
                Err(Interrupted::Failed(reason)) => Err(NoAnswer::Broken(reason)),
            }
        });
        let (mut answer, kept) = limited
            .await
            .map_err(|_| NoAnswer::TimedOut(self.timeout))??;
        answer.elapsed = started.elapsed();
        if !self.closes.load(Ordering::Relaxed) {
            *self.kept.lock().await = Some(kept);
        }
        Ok(answer)
    }

    /// One exchange over HTTP/1.1 on a connection of its own.
    pub(crate) async fn send_alone(&self, sealed: &Sealed) -> Result<Answer, NoAnswer> {
        let started = tokio::time::Instant::now();
        let limited = tokio::time::timeout(self.timeout, async {
            let mut sender = self.connect(sealed).await?;
            match self.exchange(&mut sender, sealed).await {
                Ok(answer) => Ok(answer),
                Err(Interrupted::Unsent) => Err(NoAnswer::Broken("closed at once".to_owned())),
                Err(Interrupted::Failed(reason)) => Err(NoAnswer::Broken(reason)),
            }
        });
        let mut answer = limited
            .await
            .map_err(|_| NoAnswer::TimedOut(self.timeout))??;
        answer.elapsed = started.elapsed();
        Ok(answer)
    }

    /// One exchange over HTTP/2: by ALPN over TLS, with prior knowledge otherwise.
    pub(crate) async fn send_http2(&self, sealed: &Sealed) -> Result<Answer, NoAnswer> {
        let started = tokio::time::Instant::now();
        let limited = tokio::time::timeout(self.timeout, async {
            let io = self.open(sealed, b"h2").await?;
            let (mut sender, connection) =
                http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io)
                    .await
                    .map_err(|error| NoAnswer::Broken(words(&error)))?;
            tokio::spawn(connection);
            let mut request = request(sealed, Version::HTTP_2)?;
            let absolute = format!("{}{}", sealed.url.origin_as_given(), sealed.target);
            *request.uri_mut() = absolute
                .parse()
                .map_err(|_| NoAnswer::Unsendable("the target is no URI".to_owned()))?;
            request.headers_mut().remove(http::header::HOST);
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| NoAnswer::Broken(words(&error)))?;
            whole(response).await.map_err(NoAnswer::Broken)
        });
        let mut answer = limited
            .await
            .map_err(|_| NoAnswer::TimedOut(self.timeout))??;
        answer.elapsed = started.elapsed();
        Ok(answer)
    }

    async fn connect(&self, sealed: &Sealed) -> Result<http1::SendRequest<Full<Bytes>>, NoAnswer> {
        let io = self.open(sealed, b"http/1.1").await?;
        let (sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .handshake(io)
            .await
            .map_err(|error| NoAnswer::Broken(words(&error)))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn open(&self, sealed: &Sealed, protocol: &[u8]) -> Result<TokioIo<Stream>, NoAnswer> {
        let origin = sealed.url.origin();
        let authority = format!("{}:{}", origin.host(), origin.port());
        let refused =
            |error: std::io::Error| NoAnswer::Connect(authority.clone(), error.to_string());
        let addresses = match sealed.address.or(self.connect_to) {
            Some(address) => vec![address],
            None => resolve(&sealed.url).await?,
        };
        let stream = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        if origin.scheme() == Scheme::Http {
            return Ok(TokioIo::new(Stream::Plain(stream)));
        }
        let failed = |error: String| NoAnswer::Tls(authority.clone(), error);
        let host = origin.host().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|error| failed(error.to_string()))?;
        let mut config = self.tls.as_ref().clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(|error| fault::of(&error, authority.clone()))?;
        let kind = stream.get_ref().1.handshake_kind();
        let resumed = kind == Some(HandshakeKind::Resumed);
        self.resumed.store(resumed, Ordering::Relaxed);
        Ok(TokioIo::new(Stream::Tls(Box::new(stream))))
    }

    async fn exchange(
        &self,
        sender: &mut http1::SendRequest<Full<Bytes>>,
        sealed: &Sealed,
    ) -> Result<Answer, Interrupted> {
        let request = request(sealed, Version::HTTP_11)
            .map_err(|error| Interrupted::Failed(error.to_string()))?;
        match sender.send_request(request).await {
            Ok(response) => whole(response).await.map_err(Interrupted::Failed),
            Err(error) if error.is_canceled() => Err(Interrupted::Unsent),
            Err(error) => Err(Interrupted::Failed(words(&error))),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// Why an exchange on an open connection failed.
enum Interrupted {
    /// The connection was closed before the request left.
    Unsent,
    /// Anything else.
    Failed(String),
}

/// Every address of the URL's host.
pub(crate) async fn resolve(url: &HttpUrl) -> Result<Vec<SocketAddr>, NoAnswer> {
    let origin = url.origin();
    let host = origin.host().trim_matches(['[', ']']);
    let unknown = |reason: String| NoAnswer::Name(host.to_owned(), reason);
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, origin.port()))
        .await
        .map_err(|error| unknown(error.to_string()))?
        .collect();
    if found.is_empty() {
        return Err(unknown("it has no address".to_owned()));
    }
    Ok(found)
}

fn place(sealed: &Sealed) -> String {
    let origin = sealed.url.origin();
    format!("{origin} {:?}", sealed.address)
}

fn request(sealed: &Sealed, version: Version) -> Result<Request<Full<Bytes>>, NoAnswer> {
    let unsendable = |what: &str| NoAnswer::Unsendable(what.to_owned());
    let mut request = Request::new(Full::new(sealed.body.clone()));
    *request.method_mut() = sealed.method.clone();
    *request.version_mut() = version;
    *request.uri_mut() = sealed
        .target
        .parse()
        .map_err(|_| unsendable("the target is no URI"))?;
    let headers = request.headers_mut();
    for (name, value) in &sealed.headers {
        headers.append(name, value.clone());
    }
    if !headers.contains_key(http::header::HOST) {
        let host = HeaderValue::from_str(sealed.url.origin().authority())
            .map_err(|_| unsendable("the host is not printable"))?;
        headers.insert(http::header::HOST, host);
    }
    let agent = concat!("keybound-probe/", env!("CARGO_PKG_VERSION"));
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static(agent));
    Ok(request)
}

async fn whole(response: http::Response<hyper::body::Incoming>) -> Result<Answer, String> {
    let (parts, body) = response.into_parts();
    let kind = parts.headers.get(http::header::CONTENT_TYPE);
    let stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let body = beginning(body, stream).await?;
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
        elapsed: Duration::ZERO,
    })
}

/// The beginning of a body, which is all that is needed to judge an answer: one that never ends
/// must not fill the memory.
///
/// Of a stream of events it is what comes until the first event with data ends: the server may
/// keep the stream open for more.
async fn beginning(mut body: hyper::body::Incoming, stream: bool) -> Result<Bytes, String> {
    let mut begun = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the body broke off: {}", words(&error)))?;
        if let Some(data) = frame.data_ref() {
            begun.extend_from_slice(data);
        }
        if begun.len() >= MAX_BODY {
            begun.truncate(MAX_BODY);
            break;
        }
        if stream && has_event(&begun) {
            break;
        }
    }
    Ok(begun.freeze())
}

/// Whether an event with data is complete: an empty line after a line `data: …`.
fn has_event(text: &[u8]) -> bool {
    let mut data = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let ended = line.ends_with(b"\n");
        match line.trim_ascii() {
            b"" if ended && data => return true,
            b"" => data = false,
            line => {
                data |= line
                    .strip_prefix(b"data:")
                    .is_some_and(|rest| !rest.trim_ascii().is_empty())
            }
        }
    }
    false
}

fn words(error: &hyper::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// A connection, with or without TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

mod stream {
    //! Reading and writing either kind of connection.

    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::Stream;

    impl AsyncRead for Stream {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
                Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            }
        }
    }

    impl AsyncWrite for Stream {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            match self.get_mut() {
                Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
                Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            }
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
                Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.get_mut() {
                Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
                Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::has_event;

    #[test]
    fn a_stream_is_read_until_an_event_with_data_ends() {
        assert!(!has_event(b""));
        assert!(!has_event(b"id: 1\ndata:\n\n"), "no data yet");
        assert!(!has_event(b"data: {}\n"), "the event may go on");
        assert!(has_event(b"data: {}\n\n"));
        assert!(has_event(
            b"id: 1\r\ndata:\r\n\r\nevent: message\r\ndata: {}\r\n\r\n"
        ));
    }
}
