//! How the follower speaks to control: public documents without credentials, everything else
//! with the gateway's own bound token.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use keybound_guard::fetch::{FetchError, Fetcher};
use keybound_holder::{Holder, HolderError, Request};
use keybound_proto::uri::{HttpUrl, Origin};

use crate::shutdown::Shutdown;
use crate::spool::{Delivery, Spool};

/// Speaks to control. Implemented for [`Holder`]; tests have one of their own.
pub trait ControlTransport: Send + Sync {
    /// Fetches a public JSON document.
    fn fetch(&self, url: &HttpUrl) -> impl Future<Output = Result<Vec<u8>, TransportError>> + Send;

    /// Posts JSON with a token and a fresh proof and waits at most `limit`; gives status and body.
    fn post(
        &self,
        url: &HttpUrl,
        body: Bytes,
        limit: Duration,
    ) -> impl Future<Output = Result<(u16, Bytes), TransportError>> + Send;
}

/// Why control could not be followed. Holds no credentials.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A public document cannot be had.
    #[error("cannot fetch `{url}`: {source}")]
    Fetch {
        /// The document.
        url: String,
        /// Why.
        source: FetchError,
    },
    /// The holder got no answer, or no token.
    #[error("{0}")]
    Holder(#[from] HolderError),
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client")]
    Setup,
    /// Control answered with this status.
    #[error("`{url}` answered with status {status}")]
    Status {
        /// The endpoint.
        url: String,
        /// The status.
        status: u16,
    },
    /// Control's answer makes no sense.
    #[error("`{url}` gave an unusable answer: {reason}")]
    Unusable {
        /// The endpoint or document.
        url: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The state could not be kept, so nothing was acknowledged.
    #[error("cannot keep the revocation view: {0}")]
    State(std::io::Error),
}

impl ControlTransport for Holder {
    async fn fetch(&self, url: &HttpUrl) -> Result<Vec<u8>, TransportError> {
        let fetcher = Fetcher::new().map_err(|_| TransportError::Setup)?;
        let failed = |source| TransportError::Fetch {
            url: url.to_string(),
            source,
        };
        fetcher.get(url).await.map_err(failed)
    }

    async fn post(
        &self,
        url: &HttpUrl,
        body: Bytes,
        limit: Duration,
    ) -> Result<(u16, Bytes), TransportError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = Request {
            method: Method::POST,
            url: url.clone(),
            headers,
            body,
        };
        let response = self.send_within(request, limit).await?;
        Ok((response.status.as_u16(), response.body))
    }
}

/// Delivers a spool's events to `POST /v1/events` of control until the shutdown begins. What
/// fails is logged and tried again.
pub async fn deliver_events(
    spool: &Spool,
    transport: &impl ControlTransport,
    control: &Origin,
    shutdown: Shutdown,
) {
    let Ok(url) = HttpUrl::parse(&format!("{control}/v1/events")) else {
        tracing::error!(%control, "not an origin that events can be sent to");
        return;
    };
    spool
        .deliver(|body| post_events(transport, &url, body), shutdown)
        .await;
}

async fn post_events(transport: &impl ControlTransport, url: &HttpUrl, body: Bytes) -> Delivery {
    match transport.post(url, body, Duration::from_secs(30)).await {
        Ok((200..=299, _)) => Delivery::Accepted,
        Ok((400 | 413 | 422, _)) => Delivery::Refused,
        Ok((status, _)) => {
            tracing::warn!(status, "control does not take events now");
            Delivery::Failed
        }
        Err(error) => {
            tracing::warn!(%error, "cannot deliver events to control");
            Delivery::Failed
        }
    }
}
