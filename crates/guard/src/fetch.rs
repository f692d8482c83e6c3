//! The one way this crate speaks to other servers: GET a small document, POST
//! one form.
//!
//! Two seconds to connect, five in all, at most 512 KiB (or less, as the caller
//! says), no redirects (a
//! redirect is an answer of somebody who was not configured), no proxy from the
//! environment, and plain `http` to loopback hosts only. Hosts of configured
//! issuers are allowed wherever they are; nothing here follows a URL that a
//! token or request names.
//!
//! Does not cache, retry or parse; see [`crate::keys`] and
//! [`crate::introspection`].

use std::time::Duration;

use http::header::ACCEPT;
use keybound_proto::uri::HttpUrl;

use crate::keys::document::metadata_urls;

/// The largest document that is read, bytes.
pub const MAX_DOCUMENT_BYTES: usize = 512 * 1024;

/// Time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for the whole exchange, the body included.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for JSON documents. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: reqwest::Client,
}

/// Why there is no document. Names hosts and states, never a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Plain `http` beyond loopback.
    #[error("refused to fetch over plain http from `{0}`; use https")]
    Cleartext(String),
    /// The server redirected; redirects are not followed.
    #[error(
        "the server answered with a redirect ({0}), which is not followed; configure the final URL"
    )]
    Redirected(u16),
    /// Another status than 200.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// It took too long.
    #[error("no complete answer within {} seconds", TOTAL_TIMEOUT.as_secs())]
    TimedOut,
    /// The document is larger than the limit.
    #[error("the document is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// No connection, or it broke.
    #[error("the server cannot be reached")]
    Unreachable,
}

/// The HTTP client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client")]
pub struct FetcherError(#[source] reqwest::Error);

impl Fetcher {
    /// A client with the limits above.
    ///
    /// # Errors
    ///
    /// [`FetcherError`] when the TLS library cannot be set up. A machine without
    /// any trusted certificates is no error: `https` then fails when it is used,
    /// and loopback issuers work.
    pub fn new() -> Result<Self, FetcherError> {
        let client = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build())
            .map_err(FetcherError)?;
        Ok(Self { client })
    }

    /// Fetches the document at `url`.
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub async fn get(&self, url: &HttpUrl) -> Result<Vec<u8>, FetchError> {
        let (_, document) = self.get_with_fields(url, MAX_DOCUMENT_BYTES).await?;
        Ok(document)
    }

    /// Fetches the document at `url`, at most `limit` bytes of it, with the fields that came
    /// with it: they may be signed.
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub async fn get_with_fields(
        &self,
        url: &HttpUrl,
        limit: usize,
    ) -> Result<(http::HeaderMap, Vec<u8>), FetchError> {
        let accept = "application/json, application/jwk-set+json, application/http-message-signatures-directory+json";
        let request = self.client.get(url.as_str()).header(ACCEPT, accept);
        let document = send(url, request, limit.min(MAX_DOCUMENT_BYTES)).await?;
        Ok((document.fields, document.body))
    }

    /// Fetches the issuer's metadata from the first of its well-known places
    /// that has any (RFC 8414 section 3.1, OpenID Connect Discovery).
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub(crate) async fn metadata(&self, issuer: &HttpUrl) -> Result<Vec<u8>, FetchError> {
        let mut failure = FetchError::Status(404);
        for url in metadata_urls(issuer) {
            match self.get(&url).await {
                // Only "not here" makes the other place worth asking.
                Err(FetchError::Status(status @ (404 | 405 | 410))) => {
                    failure = FetchError::Status(status);
                }
                outcome => return outcome,
            }
        }
        Err(failure)
    }

    /// Sends a form, authenticated with HTTP Basic where a name and a password
    /// are given, and reads at most `limit` bytes of the answer.
    pub(crate) async fn post_form(
        &self,
        url: &HttpUrl,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
        (accept, limit): (&str, usize),
    ) -> Result<Document, FetchError> {
        let request = self.client.post(url.as_str()).header(ACCEPT, accept);
        let request = match basic {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        };
        send(url, request.form(form), limit).await
    }

    /// Fetches a document of one media type and at most `limit` bytes.
    pub(crate) async fn get_typed(
        &self,
        url: &HttpUrl,
        (accept, limit): (&str, usize),
    ) -> Result<Document, FetchError> {
        let request = self.client.get(url.as_str()).header(ACCEPT, accept);
        send(url, request, limit).await
    }
}

/// What a server answered with status 200.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) fields: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Document {
    /// `Content-Type` without parameters, in lower case.
    pub(crate) fn media_type(&self) -> String {
        let field = self
            .fields
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let bare = field.split(';').next().unwrap_or_default();
        bare.trim().to_ascii_lowercase()
    }
}

async fn send(
    url: &HttpUrl,
    request: reqwest::RequestBuilder,
    limit: usize,
) -> Result<Document, FetchError> {
    if !url.origin().is_confidential() {
        return Err(FetchError::Cleartext(url.origin().to_string()));
    }
    let mut response = request.send().await.map_err(|error| failure(&error))?;
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirected(status.as_u16()));
    }
    if status != http::StatusCode::OK {
        return Err(FetchError::Status(status.as_u16()));
    }
    let fields = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(FetchError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Document { fields, body })
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .user_agent(concat!("keybound-guard/", env!("CARGO_PKG_VERSION")))
}

fn failure(error: &reqwest::Error) -> FetchError {
    // Also logs nothing: the error's text may hold the URL's query.
    if error.is_timeout() {
        FetchError::TimedOut
    } else {
        FetchError::Unreachable
    }
}
