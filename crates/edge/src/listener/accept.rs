//! The accept loop: limits, exhaustion of file descriptors, drain.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::connection::{Connection, TOO_MANY};
use super::{Bound, Shared};
use crate::body::{BoxError, RequestBody};
use crate::framing::ConnectionState;
use crate::shutdown::{Drained, Shutdown};

/// Pause after an accept that failed for lack of resources.
const BACKOFF: Duration = Duration::from_millis(50);

/// The bounds on a service that a listener serves, as one name.
///
/// Implemented for every suitable `tower` service, [`axum::Router`] included.
pub trait Serve<B>:
    Service<
        Request<RequestBody>,
        Response = Response<B>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl<S, B> Serve<B> for S where
    S: Service<
            Request<RequestBody>,
            Response = Response<B>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static
{
}

impl Bound {
    /// Accepts and serves until the shutdown begins, then drains: no new connections, requests
    /// in flight may finish until the deadline, what is left is closed.
    pub async fn serve<S, B>(self, service: S, mut shutdown: Shutdown) -> Drained
    where
        S: Serve<B>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (socket, shared) = self.into_parts();
        let mut accepting = Accepting {
            shared: Arc::new(shared),
            tasks: JoinSet::new(),
            states: HashMap::new(),
            reserve: reserve(),
            is_exhausted: false,
            is_crowded: false,
        };
        let deadline = loop {
            tokio::select! {
                biased;
                deadline = shutdown.begun() => break deadline,
                Some(ended) = accepting.tasks.join_next_with_id() => accepting.forget(&ended),
                accepted = socket.accept() => match accepted {
                    Ok((stream, peer)) => accepting.start(stream, peer, &service),
                    Err(error) => accepting.recover(&socket, &error).await,
                },
            }
        };
        drop(socket);
        accepting.drain(deadline).await
    }
}

/// The connections of one listener.
struct Accepting {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    states: HashMap<Id, Arc<ConnectionState>>,
    /// A file descriptor kept back so that, when none is left, connections can still be
    /// accepted in order to be refused.
    reserve: Option<File>,
    is_exhausted: bool,
    is_crowded: bool,
}

impl Accepting {
    fn start<S, B>(&mut self, stream: TcpStream, peer: SocketAddr, service: &S)
    where
        S: Serve<B>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.is_exhausted = false;
        if self.states.len() >= self.shared.limits.connections {
            if !std::mem::replace(&mut self.is_crowded, true) {
                let listener = self.shared.kind.name();
                tracing::warn!(listener, "too many connections; further ones are refused");
            }
            self.turn_away(&stream);
            return;
        }
        self.is_crowded = false;
        // A failure only costs latency.
        let _ = stream.set_nodelay(true);
        let state = Arc::new(ConnectionState::default());
        let connection = Connection {
            service: service.clone(),
            shared: Arc::clone(&self.shared),
            state: Arc::clone(&state),
            peer,
            session: None,
        };
        let task = self.tasks.spawn(connection.run(stream));
        self.states.insert(task.id(), state);
    }

    fn forget(&mut self, ended: &Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.states.remove(&id);
    }

    /// Keeps the loop from spinning when accepting fails for lack of descriptors or memory.
    /// A connection that its peer gave up before it was accepted needs no pause.
    async fn recover(&mut self, socket: &TcpListener, error: &io::Error) {
        if is_of_one_connection(error) {
            return;
        }
        if !self.is_exhausted {
            self.is_exhausted = true;
            let listener = self.shared.kind.name();
            tracing::error!(listener, %error, "cannot accept connections; raise the limit of open files");
        }
        if self.reserve.take().is_some() {
            if let Ok(Ok((stream, _))) = tokio::time::timeout(BACKOFF, socket.accept()).await {
                self.turn_away(&stream);
            }
            self.reserve = reserve();
        }
        tokio::time::sleep(BACKOFF).await;
    }

    /// Tells a connection that is one too many, as far as its send buffer takes it, and closes
    /// it. Over TLS there are no words before the handshake.
    fn turn_away(&self, stream: &TcpStream) {
        if self.shared.tls.is_none() {
            let _ = stream.try_write(TOO_MANY);
        }
    }

    async fn drain(mut self, deadline: Instant) -> Drained {
        for state in self.states.values() {
            state.drain();
        }
        while let Ok(Some(ended)) = timeout_at(deadline, self.tasks.join_next_with_id()).await {
            self.forget(&ended);
        }
        let connections = self.states.values().filter(|state| state.is_busy()).count();
        self.tasks.shutdown().await;
        if connections == 0 {
            Drained::Clean
        } else {
            Drained::Cut { connections }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}
