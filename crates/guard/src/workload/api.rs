//! A client of the SPIFFE Workload API: gRPC over a UNIX socket, for the first message
//! of a stream.
//!
//! The socket's path is configuration; the server knows its caller by the socket, so
//! nothing secret is sent. A stream is ended after its first message and opened again
//! when the next is wanted: what it brings changes rarely, and a fetch that ends cannot
//! hang. Messages are read by [`keybound_proto::workload::api`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use keybound_proto::workload::api::{self, ApiError, Frames};

/// Time to connect and to hear the first message.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The Workload API behind one socket.
#[derive(Clone, Debug)]
pub struct WorkloadApi {
    socket: PathBuf,
}

/// Why the Workload API gave no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadApiError {
    /// The message could not be read.
    #[error("{0}")]
    Message(#[from] ApiError),
    /// The stream ended without a message, or without what was asked for.
    #[error("it has nothing for this trust domain")]
    Missing,
    /// A gRPC status other than 0: 7 says that this process has no identity, 14 that the server
    /// is not ready.
    #[error("it answered with gRPC status {0}")]
    Status(u32),
    /// No answer in time.
    #[error("it did not answer within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
    /// No connection, or it broke.
    #[error("its socket cannot be reached")]
    Unreachable,
}

impl WorkloadApi {
    /// The API behind this socket.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Calls a method and gives the first message of its stream.
    ///
    /// # Errors
    ///
    /// [`WorkloadApiError`]
    pub async fn first_message(
        &self,
        method: &str,
        request: &[u8],
    ) -> Result<Vec<u8>, WorkloadApiError> {
        match tokio::time::timeout(TIMEOUT, self.call(method, request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(WorkloadApiError::TimedOut),
        }
    }

    async fn call(&self, method: &str, request: &[u8]) -> Result<Vec<u8>, WorkloadApiError> {
        let unreachable = |_| WorkloadApiError::Unreachable;
        let (name, value) = api::SECURITY_HEADER;
        let mut response = self
            .client()?
            .post(format!("http://localhost{method}"))
            .header(http::header::CONTENT_TYPE, "application/grpc")
            .header(http::header::TE, "trailers")
            .header(name, value)
            .body(api::frame(request))
            .send()
            .await
            .map_err(unreachable)?;
        if response.status() != http::StatusCode::OK {
            return Err(WorkloadApiError::Unreachable);
        }
        check_status(response.headers())?;
        let mut frames = Frames::default();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            frames.push(&chunk)?;
            if let Some(message) = frames.next_message()? {
                return Ok(message.to_vec());
            }
        }
        Err(WorkloadApiError::Missing)
    }

    #[cfg(unix)]
    fn client(&self) -> Result<reqwest::Client, WorkloadApiError> {
        // No certificate is ever looked at: there is no TLS on this socket.
        reqwest::Client::builder()
            .unix_socket(self.socket.clone())
            .http2_prior_knowledge()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .map_err(|_| WorkloadApiError::Unreachable)
    }

    #[cfg(not(unix))]
    fn client(&self) -> Result<reqwest::Client, WorkloadApiError> {
        Err(WorkloadApiError::Unreachable)
    }
}

/// A call that fails before its first message carries the status in its only header block.
fn check_status(headers: &http::HeaderMap) -> Result<(), WorkloadApiError> {
    let Some(status) = headers.get("grpc-status") else {
        return Ok(());
    };
    match status.to_str().ok().and_then(|text| text.parse().ok()) {
        Some(0) => Ok(()),
        Some(status) => Err(WorkloadApiError::Status(status)),
        None => Err(WorkloadApiError::Unreachable),
    }
}
