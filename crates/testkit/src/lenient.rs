//! A server without one of its checks.
//!
//! [`Lenient`] stands between a client and a server of a [`crate::World`] and
//! passes every byte on, both ways, except that refusals for one [`Cause`]
//! become successes: the answer to the last request that was served. So there
//! is one mutant of guard and issuer for every row of the check registry, and
//! none of them is written by hand.
//!
//! A server without its check of nonces would never ask for one, which is nobody's fault. So the first
//! demand for a nonce is passed on, and the mutant is a server that asks and does not insist.
//!
//! What this does not do: a mutant refuses nothing for what the missing check
//! would have let through to later checks. A request with one defect cannot
//! tell the difference.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use keybound_proto::Cause;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a client of HTTP/2 with prior knowledge sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI ";

/// The server, minus one check.
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
#[derive(Debug)]
struct Mutant {
    backend: SocketAddr,
    without: Option<Cause>,
    served: Mutex<Option<Vec<u8>>>,
    demanded: AtomicBool,
}

impl Lenient {
    /// Stands in front of `origin` without this check; with `None`, with all of them.
    pub async fn start(origin: &str, without: Option<Cause>) -> Self {
        let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
        let mutant = Arc::new(Mutant {
            backend: authority.parse().expect("an address and a port"),
            without,
            served: Mutex::new(None),
            demanded: AtomicBool::new(false),
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
        let mut server = TcpStream::connect(self.backend).await?;
        let mut pending = Vec::new();
        loop {
            let Some(request) = message(&mut client, &mut pending, Side::Request).await? else {
                return Ok(());
            };
            server.write_all(&request).await?;
            if request.starts_with(PREFACE) {
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
            client.write_all(&self.mutated(answer)).await?;
        }
    }

    fn mutated(&self, answer: Vec<u8>) -> Vec<u8> {
        let mut served = self.served.lock().expect("no test panicked here");
        if answer.starts_with(b"HTTP/1.1 2") {
            *served = Some(answer.clone());
            return answer;
        }
        let Some(cause) = self.without else {
            return answer;
        };
        let text = String::from_utf8_lossy(&answer);
        let names = |member: &str| text.contains(&format!("\"{member}\":\"{}\"", cause.id()));
        let first_demand =
            cause == Cause::DpopNonceAbsent && !self.demanded.swap(true, Ordering::Relaxed);
        if !names("cause") || first_demand {
            return answer;
        }
        let nothing = || b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
        served.clone().unwrap_or_else(nothing)
    }
}

/// How a message ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Answer,
    AnswerWithoutBody,
}

/// One whole message; nothing when the peer has closed. `pending` keeps what came after it.
async fn message(
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
