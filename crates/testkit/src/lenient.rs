//! A server with one fault.
//!
//! [`Lenient`] stands between a client and a server of a [`crate::World`] and
//! passes every byte on, both ways, but for what its fault changes.
//!
//! [`Lenient::start`] leaves out one check: refusals for one [`Cause`] become
//! successes, the answer to the last request that was served. So there is one
//! mutant of guard and issuer for every row of the check registry, and none of
//! them is written by hand. [`Lenient::with`] makes any other fault, one rule
//! for request and answer.
//!
//! A server without its check of nonces would never ask for one, which is nobody's fault. So the first
//! demand for a nonce is passed on, and the mutant is a server that asks and does not insist.
//!
//! What this does not do: a mutant refuses nothing for what the missing check
//! would have let through to later checks. A request with one defect cannot
//! tell the difference.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use keybound_proto::Cause;
use keybound_proto::base64url;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a client of HTTP/2 with prior knowledge sends first (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI ";

/// What a fault makes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Faulty {
    /// It passes.
    Unchanged,
    /// The request is served after all.
    Served,
    /// The request is refused after all: 401 with a `DPoP` challenge.
    Refused,
    /// Another answer, byte by byte; its length is made to fit.
    Other(String),
}

/// A fault: what it makes of an answer, given the request.
pub type Fault = dyn Fn(&Exchanged<'_>) -> Faulty + Send + Sync;

/// A request and the answer it got.
#[derive(Debug)]
pub struct Exchanged<'a> {
    /// The request, byte by byte.
    pub request: &'a str,
    /// The answer, byte by byte.
    pub answer: &'a str,
}

impl Exchanged<'_> {
    /// The first value of a header field of the request.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Header and claims of the proof, where it has both.
    #[must_use]
    pub fn proof(&self) -> Option<(Value, Value)> {
        let mut parts = self.header("dpop")?.split('.');
        let mut object = || {
            let bytes = base64url::decode(parts.next()?.as_bytes()).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        Some((object()?, object()?))
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> &str {
        self.answer.get(9..12).unwrap_or_default()
    }
}

/// The server with its fault.
#[derive(Debug)]
pub struct Lenient {
    /// Where to connect.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Lenient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What every connection of one mutant shares.
struct Mutant {
    backend: SocketAddr,
    /// What HTTP/2 reaches.
    backend_of_http2: SocketAddr,
    fault: Box<Fault>,
    served: Mutex<Option<Vec<u8>>>,
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutant").finish_non_exhaustive()
    }
}

impl Lenient {
    /// Stands in front of `origin` without this check; with `None`, with all of them.
    pub async fn start(origin: &str, without: Option<Cause>) -> Self {
        let demanded = AtomicBool::new(false);
        Self::with(origin, move |exchanged| {
            let Some(cause) = without else {
                return Faulty::Unchanged;
            };
            let named = format!("\"cause\":\"{}\"", cause.id());
            let refused = exchanged.answer.contains(&named);
            let first_demand = refused
                && cause == Cause::DpopNonceAbsent
                && !demanded.swap(true, Ordering::Relaxed);
            if refused && !first_demand {
                Faulty::Served
            } else {
                Faulty::Unchanged
            }
        })
        .await
    }

    /// Stands in front of `origin` with this fault.
    pub async fn with(
        origin: &str,
        fault: impl Fn(&Exchanged<'_>) -> Faulty + Send + Sync + 'static,
    ) -> Self {
        Self::with_http2_at(origin, origin, fault).await
    }

    /// The same, with HTTP/2 passed to another server.
    pub async fn with_http2_at(
        origin: &str,
        http2: &str,
        fault: impl Fn(&Exchanged<'_>) -> Faulty + Send + Sync + 'static,
    ) -> Self {
        let mutant = Arc::new(Mutant {
            backend: address_of(origin),
            backend_of_http2: address_of(http2),
            fault: Box::new(fault),
            served: Mutex::new(None),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mutant = Arc::clone(&mutant);
                // A broken connection is the client's to notice.
                tokio::spawn(async move { mutant.serve(client).await.ok() });
            }
        });
        Self { address, task }
    }
}

impl Mutant {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut pending = Vec::new();
        loop {
            let Some(request) = message(&mut client, &mut pending, Side::Request).await? else {
                return Ok(());
            };
            // The server may close after a refusal that the client never hears of.
            let is_http2 = request.starts_with(PREFACE);
            let backend = if is_http2 {
                self.backend_of_http2
            } else {
                self.backend
            };
            let mut server = TcpStream::connect(backend).await?;
            server.write_all(&request).await?;
            if is_http2 {
                tokio::io::copy_bidirectional(&mut client, &mut server).await?;
                return Ok(());
            }
            let side = if request.starts_with(b"HEAD ") {
                Side::AnswerWithoutBody
            } else {
                Side::Answer
            };
            let mut rest = Vec::new();
            let Some(answer) = message(&mut server, &mut rest, side).await? else {
                return Ok(());
            };
            client.write_all(&self.faulty(&request, answer)).await?;
        }
    }

    fn faulty(&self, request: &[u8], answer: Vec<u8>) -> Vec<u8> {
        const NOTHING: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        const REFUSED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\n\
            www-authenticate: DPoP error=\"invalid_dpop_proof\", algs=\"ES256 EdDSA\"\r\n\
            content-length: 0\r\n\r\n";
        let exchanged = Exchanged {
            request: &String::from_utf8_lossy(request),
            answer: &String::from_utf8_lossy(&answer),
        };
        match (self.fault)(&exchanged) {
            Faulty::Unchanged => {
                if exchanged.status().starts_with('2') {
                    let mut served = self.served.lock().expect("no test panicked here");
                    *served = Some(answer.clone());
                }
                answer
            }
            Faulty::Served if request.starts_with(b"HEAD ") => NOTHING.to_vec(),
            Faulty::Served => {
                let served = self.served.lock().expect("no test panicked here");
                served.clone().unwrap_or_else(|| NOTHING.to_vec())
            }
            Faulty::Refused => REFUSED.to_vec(),
            Faulty::Other(text) => with_length(&text).into_bytes(),
        }
    }
}

fn address_of(origin: &str) -> SocketAddr {
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    authority.parse().expect("an address and a port")
}

/// The answer with a `content-length` that fits its body.
fn with_length(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let mut lines: Vec<String> = head
        .split("\r\n")
        .filter(|line| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("content-length:") && !line.starts_with("transfer-encoding:")
        })
        .map(str::to_owned)
        .collect();
    lines.push(format!("content-length: {}", body.len()));
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

/// How a message ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Answer,
    AnswerWithoutBody,
}

/// One whole message; nothing when the peer has closed. `pending` keeps what came after it.
pub(crate) async fn message(
    stream: &mut TcpStream,
    pending: &mut Vec<u8>,
    side: Side,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        if pending.starts_with(PREFACE) {
            return Ok(Some(std::mem::take(pending)));
        }
        if let Some(length) = whole_length(pending, side) {
            let rest = pending.split_off(length);
            return Ok(Some(std::mem::replace(pending, rest)));
        }
        let mut buffer = [0; 16 * 1024];
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            // An answer without a length ends with the connection.
            let rest = std::mem::take(pending);
            return Ok((!rest.is_empty()).then_some(rest));
        }
        pending.extend_from_slice(&buffer[..read]);
    }
}

/// The length of the message at the beginning of `bytes`, once it is whole.
fn whole_length(bytes: &[u8], side: Side) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let bodiless = text.starts_with("http/1.1 1")
        || text.starts_with("http/1.1 204")
        || text.starts_with("http/1.1 304");
    if side == Side::AnswerWithoutBody || bodiless {
        return Some(head);
    }
    if text.contains("\r\ntransfer-encoding: chunked") {
        let end = bytes[head..]
            .windows(5)
            .position(|five| five == b"0\r\n\r\n")?;
        return Some(head + end + 5);
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map(|value| value.trim().parse::<usize>());
    match length {
        Some(length) => {
            let whole = head + length.ok()?;
            (bytes.len() >= whole).then_some(whole)
        }
        None if side == Side::Request => Some(head),
        None => None,
    }
}
