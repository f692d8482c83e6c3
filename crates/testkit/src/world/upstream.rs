//! An API that records what reaches it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The method.
    pub method: String,
    /// Path and query, verbatim.
    pub target: String,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A server that answers every request with 200 and keeps it.
#[derive(Debug)]
pub struct Upstream {
    /// Its origin.
    pub origin: String,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
    task: JoinHandle<()>,
}

impl Upstream {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let requests: Arc<Mutex<Vec<RecordedRequest>>> = Arc::default();
        let router = Router::new()
            .fallback(record)
            .with_state(Arc::clone(&requests));
        let task = tokio::spawn(async move {
            // Ends when the task is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Self {
            origin: format!("http://{address}"),
            requests,
            task,
        }
    }

    /// What reached it so far.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().expect("no handler panics").clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record(
    State(requests): State<Arc<Mutex<Vec<RecordedRequest>>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> &'static str {
    requests
        .lock()
        .expect("no handler panics")
        .push(RecordedRequest {
            method: method.to_string(),
            target: uri
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default(),
            headers,
            body,
        });
    "{\"approvals\":[]}"
}
