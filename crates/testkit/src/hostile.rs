//! A server that behaves badly, alone or in front of a good one.
//!
//! [`Hostile`] reads whole requests and does with each what the test's closure
//! says: answer, answer slowly, say nothing, hang up. In front of another
//! server the closure sees that server's answer and may pass it on. It speaks
//! HTTP/1.1 and closes on anything else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::lenient::{PREFACE, Side, message};

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Sends these bytes and goes on.
    Answer(Vec<u8>),
    /// Sends these bytes after a while.
    Late(Duration, Vec<u8>),
    /// Sends these bytes and nothing more, and keeps the connection.
    Hang(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends these bytes and then zeros for ever.
    Endless(Vec<u8>),
}

/// One request as the closure sees it.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The request, head and body.
    pub request: String,
    /// Requests so far, this one included.
    pub number: u32,
    /// If the server behind serves this request: how many it served so far, this one included.
    pub good: Option<u32>,
    /// The answer of the server behind; empty where there is none.
    pub answer: Vec<u8>,
}

impl Turn {
    /// Whether the request has this header field.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        let field = format!("\r\n{field}:");
        self.request.to_ascii_lowercase().contains(&field)
    }

    /// Passes the other server's answer on.
    #[must_use]
    pub fn pass(self) -> Act {
        Act::Answer(self.answer)
    }
}

/// An answer with these header lines and this body.
#[must_use]
pub fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The bad server.
#[derive(Debug)]
pub struct Hostile {
    /// Where to connect.
    pub address: SocketAddr,
    connections: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Temper = dyn Fn(Turn) -> Act + Send + Sync;

/// What every connection shares.
struct Shared {
    backend: Option<SocketAddr>,
    temper: Box<Temper>,
    requests: Arc<AtomicU32>,
    good: AtomicU32,
}

impl Hostile {
    /// A server of its own.
    pub async fn alone(temper: impl Fn(Turn) -> Act + Send + Sync + 'static) -> Self {
        Self::start(None, Box::new(temper)).await
    }

    /// In front of the server at `origin`.
    pub async fn before(
        origin: &str,
        temper: impl Fn(Turn) -> Act + Send + Sync + 'static,
    ) -> Self {
        let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
        let backend = authority.parse().expect("an address and a port");
        Self::start(Some(backend), Box::new(temper)).await
    }

    async fn start(backend: Option<SocketAddr>, temper: Box<Temper>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (connections, requests) = (Arc::<AtomicU32>::default(), Arc::default());
        let shared = Arc::new(Shared {
            backend,
            temper,
            requests: Arc::clone(&requests),
            good: AtomicU32::new(0),
        });
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&shared);
                // A broken connection is the client's to notice.
                tokio::spawn(async move { shared.serve(client).await.ok() });
            }
        });
        Self {
            address,
            connections,
            requests,
            task,
        }
    }

    /// Its origin, without TLS.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests it has read.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Connections it has taken.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut pending = Vec::new();
        while let Some(request) = message(&mut client, &mut pending, Side::Request).await? {
            if request.starts_with(PREFACE) {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
            let answer = self.behind(&request).await?;
            let good = answer
                .starts_with(b"HTTP/1.1 2")
                .then(|| self.good.fetch_add(1, Ordering::SeqCst) + 1);
            let turn = Turn {
                request: text,
                number,
                good,
                answer,
            };
            if !act(&mut client, (self.temper)(turn)).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What the server behind answers.
    async fn behind(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let Some(backend) = self.backend else {
            return Ok(Vec::new());
        };
        let mut server = TcpStream::connect(backend).await?;
        server.write_all(request).await?;
        let side = if request.starts_with(b"HEAD ") {
            Side::AnswerWithoutBody
        } else {
            Side::Answer
        };
        let answer = message(&mut server, &mut Vec::new(), side).await?;
        Ok(answer.unwrap_or_default())
    }
}

/// Does it; whether the connection goes on.
async fn act(client: &mut (impl AsyncRead + AsyncWrite + Unpin), act: Act) -> io::Result<bool> {
    match act {
        Act::Answer(bytes) => client.write_all(&bytes).await?,
        Act::Late(pause, bytes) => {
            tokio::time::sleep(pause).await;
            client.write_all(&bytes).await?;
        }
        Act::Hang(bytes) => {
            client.write_all(&bytes).await?;
            client.flush().await?;
            std::future::pending::<()>().await;
        }
        Act::Close(bytes) => {
            client.write_all(&bytes).await?;
            return Ok(false);
        }
        Act::Endless(bytes) => {
            client.write_all(&bytes).await?;
            loop {
                client.write_all(&[b'0'; 16 * 1024]).await?;
            }
        }
    }
    client.flush().await?;
    Ok(true)
}
