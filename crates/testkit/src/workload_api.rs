//! A small SPIFFE Workload API on a UNIX socket: gRPC over HTTP/2 as the document has
//! it, with messages a test chooses.
//!
//! It asks for the security metadata like the real one, keeps its streams open, and
//! answers methods nobody set with `Unimplemented`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keybound_proto::workload::api::{SECURITY_HEADER, frame};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a method answers.
#[derive(Clone, Debug)]
pub enum ApiAnswer {
    /// One message on a stream that stays open.
    Message(Vec<u8>),
    /// A gRPC status and no message.
    Status(u32),
    /// Nothing, ever.
    Silence,
}

/// The server. Ends when it is dropped.
#[derive(Debug)]
pub struct FakeWorkloadApi {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    accepting: AbortHandle,
}

#[derive(Debug, Default)]
struct State {
    answers: HashMap<String, ApiAnswer>,
    calls: Vec<(String, Bytes)>,
}

impl FakeWorkloadApi {
    /// Listens on `workload.sock` in this folder.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let socket = folder.join("workload.sock");
        let listener = UnixListener::bind(&socket).expect("a socket in a fresh folder");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            socket,
            state,
            accepting: accepting.abort_handle(),
        }
    }

    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sets what a method answers from now on.
    pub fn answer(&self, method: &str, answer: ApiAnswer) {
        let mut state = self.state.lock().expect("no test panics holding it");
        state.answers.insert(method.to_owned(), answer);
    }

    /// Every call so far: method and request message.
    #[must_use]
    pub fn calls(&self) -> Vec<(String, Bytes)> {
        let state = self.state.lock().expect("no test panics holding it");
        state.calls.clone()
    }
}

impl Drop for FakeWorkloadApi {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: UnixStream, state: Arc<Mutex<State>>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(request, &state).await) }
    });
    // A client that hangs up in the middle of a stream is the usual end.
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, state: &Mutex<State>) -> Response<Body> {
    let method = request.uri().path().to_owned();
    let (name, value) = SECURITY_HEADER;
    let metadata = request.headers().get(name).map(HeaderValue::as_bytes);
    let is_grpc = request.headers().get(http::header::CONTENT_TYPE)
        == Some(&HeaderValue::from_static("application/grpc"));
    if metadata != Some(value.as_bytes()) || !is_grpc {
        // InvalidArgument.
        return status_only(3);
    }
    let Ok(body) = request.into_body().collect().await else {
        return status_only(3);
    };
    let message = body.to_bytes().slice(5..);
    let answer = {
        let mut state = state.lock().expect("no test panics holding it");
        state.calls.push((method.clone(), message));
        state.answers.get(&method).cloned()
    };
    match answer {
        Some(ApiAnswer::Message(message)) => stream(&message),
        Some(ApiAnswer::Status(status)) => status_only(status),
        Some(ApiAnswer::Silence) => std::future::pending().await,
        // Unimplemented.
        None => status_only(12),
    }
}

fn head() -> http::response::Builder {
    Response::builder().header(http::header::CONTENT_TYPE, "application/grpc")
}

fn status_only(status: u32) -> Response<Body> {
    head()
        .header("grpc-status", status)
        .body(Full::new(Bytes::new()).boxed_unsync())
        .expect("a response of constants")
}

/// The message, then nothing until the client leaves; trailers end the stream then.
fn stream(message: &[u8]) -> Response<Body> {
    let (sender, receiver) = mpsc::channel::<Frame<Bytes>>(2);
    let bytes = Bytes::from(frame(message));
    tokio::spawn(async move {
        if sender.send(Frame::data(bytes)).await.is_ok() {
            sender.closed().await;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            // The client is gone.
            let _ = sender.send(Frame::trailers(trailers)).await;
        }
    });
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let frame = receiver.recv().await?;
        Some((Ok::<_, Infallible>(frame), receiver))
    });
    head()
        .body(StreamBody::new(frames).boxed_unsync())
        .expect("a response of constants")
}
