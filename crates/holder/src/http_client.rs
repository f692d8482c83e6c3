//! The one way out: HTTPS, or HTTP to this machine, without redirects,
//! automatic retries, proxies or compression, with time and size limits.
//! Nothing is sent again by the library, since every proof is good for one
//! request.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use keybound_proto::uri::HttpUrl;

use crate::error::{Failure, HolderError};

/// Time limits of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included. Default 5 s.
    pub connect: Duration,
    /// Until the whole answer is there, connecting included. Default 30 s.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
        }
    }
}

/// An HTTP client fit for credentials. Cheap to clone; clones share their
/// connections.
#[derive(Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// One request as it goes out.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a HttpUrl,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The largest body accepted in answer, in bytes.
    pub(crate) max_body: usize,
    /// Instead of the client's total time limit.
    pub(crate) timeout: Option<Duration>,
}

/// A whole answer that is no redirect.
pub(crate) struct Incoming {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl HttpClient {
    /// A client with these time limits.
    ///
    /// # Errors
    /// [`HolderError::Backend`] when TLS cannot be set up.
    pub fn new(timeouts: Timeouts) -> Result<Self, HolderError> {
        let inner = reqwest::Client::builder()
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("keybound-holder/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| HolderError::Backend)?;
        Ok(Self { inner })
    }

    /// One exchange. Every status is an answer, except redirects.
    pub(crate) async fn exchange(&self, outgoing: Outgoing<'_>) -> Result<Incoming, HolderError> {
        let shown = outgoing.url.without_query().to_owned();
        let unreachable = |error: reqwest::Error| HolderError::Unreachable {
            url: shown.clone(),
            source: failure(error),
        };
        let mut request = self
            .inner
            .request(outgoing.method, wire_url(outgoing.url)?)
            .headers(outgoing.headers)
            .body(outgoing.body);
        if let Some(timeout) = outgoing.timeout {
            request = request.timeout(timeout);
        }
        let mut response = request.send().await.map_err(unreachable)?;
        refuse_redirect(&shown, response.status(), response.headers())?;

        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > outgoing.max_body {
                return Err(HolderError::ResponseInvalid {
                    url: shown,
                    reason: format!("it is larger than {} bytes", outgoing.max_body),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Incoming {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
        })
    }
}

impl Incoming {
    /// 429 and 5xx as an error of their own.
    pub(crate) fn refuse_unavailable(&self, url: &HttpUrl) -> Result<(), HolderError> {
        if self.status != StatusCode::TOO_MANY_REQUESTS && !self.status.is_server_error() {
            return Ok(());
        }
        Err(HolderError::Unavailable {
            url: url.without_query().to_owned(),
            status: self.status.as_u16(),
            retry_after: retry_after(&self.headers),
        })
    }
}

/// Refuses to send credentials in clear over a network.
pub(crate) fn check_confidential(url: &HttpUrl) -> Result<(), HolderError> {
    if url.origin().is_confidential() {
        return Ok(());
    }
    Err(HolderError::InsecureUrl {
        url: url.without_query().to_owned(),
    })
}

/// `Retry-After` in its form of seconds (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The library's own URL type follows another standard, which repairs input.
/// A URL that comes out differently is refused: the proof names the URL as
/// written, and the server must see exactly that one.
fn wire_url(url: &HttpUrl) -> Result<reqwest::Url, HolderError> {
    let rewritten = || HolderError::UrlRewritten {
        url: url.without_query().to_owned(),
    };
    let wire = reqwest::Url::parse(url.as_str()).map_err(|_| rewritten())?;
    let path = if url.path().is_empty() {
        "/"
    } else {
        url.path()
    };
    let same = wire.path() == path
        && wire.host_str() == Some(url.origin().host())
        && wire.port_or_known_default() == Some(url.origin().port())
        && wire.scheme() == url.origin().scheme().name();
    if same { Ok(wire) } else { Err(rewritten()) }
}

fn refuse_redirect(url: &str, status: StatusCode, headers: &HeaderMap) -> Result<(), HolderError> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(());
    }
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    // Only the origin is shown; the rest may carry anything.
    let target = match location.map(HttpUrl::parse) {
        Some(Ok(target)) => format!("`{}`", target.origin()),
        Some(Err(_)) => "another path".to_owned(),
        None => "an unnamed place".to_owned(),
    };
    Err(HolderError::Redirected {
        url: url.to_owned(),
        target,
    })
}

/// The library's error without its URL, which may carry a query.
fn failure(error: reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Timeout;
    }
    let is_connect = error.is_connect();
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if is_connect {
        Failure::Connect(text)
    } else {
        Failure::Exchange(text)
    }
}
