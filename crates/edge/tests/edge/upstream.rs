//! An upstream that writes down every byte it gets and answers as the path asks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One request as the upstream read it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Request line and fields.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Which connection it came on.
    pub(crate) connection: usize,
}

impl Received {
    pub(crate) fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .head
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// The recording upstream.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    requests: Arc<Mutex<Vec<Received>>>,
    /// Everything received, one entry per connection.
    raw: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Released by tests that hold an answer back.
    gate: watch::Sender<u32>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let upstream = Self {
            addr: socket.local_addr().expect("address"),
            requests: Arc::default(),
            raw: Arc::default(),
            gate: watch::Sender::new(0),
        };
        let serving = upstream.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let number = {
                    let mut raw = serving.raw.lock().expect("lock");
                    raw.push(Vec::new());
                    raw.len() - 1
                };
                tokio::spawn(serving.clone().serve(stream, number));
            }
        });
        upstream
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.requests.lock().expect("lock").clone()
    }

    pub(crate) fn last(&self) -> Received {
        self.requests().last().cloned().expect("a request")
    }

    pub(crate) fn raw(&self) -> Vec<Vec<u8>> {
        self.raw.lock().expect("lock").clone()
    }

    /// How many held answers are still being written.
    pub(crate) fn watchers(&self) -> usize {
        self.gate.receiver_count()
    }

    /// Lets held answers go on by one step.
    pub(crate) fn release(&self) {
        self.gate.send_modify(|step| *step += 1);
    }

    async fn serve(self, mut stream: TcpStream, number: usize) {
        let mut buffer = Vec::new();
        loop {
            while !buffer.windows(4).any(|four| four == b"\r\n\r\n") {
                if !self.read(&mut stream, number, &mut buffer).await {
                    return;
                }
            }
            let end = buffer
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
                .expect("an end");
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            buffer.drain(..end + 4);
            let mut received = Received {
                head,
                body: Vec::new(),
                connection: number,
            };
            let path = received
                .line()
                .split(' ')
                .nth(1)
                .unwrap_or_default()
                .to_owned();
            if path.ends_with("/early") {
                self.note(received);
                let _ = stream.write_all(&ok(b"early")).await;
                // The rest of the request is none of its business.
                return std::future::pending().await;
            }
            while !self.take_body(&mut received, &mut buffer) {
                if !self.read(&mut stream, number, &mut buffer).await {
                    return;
                }
            }
            self.note(received.clone());
            if !self.answer(&mut stream, &path, &received).await {
                return;
            }
        }
    }

    async fn read(&self, stream: &mut TcpStream, number: usize, buffer: &mut Vec<u8>) -> bool {
        let mut part = [0; 4096];
        let Ok(count) = stream.read(&mut part).await else {
            return false;
        };
        buffer.extend_from_slice(&part[..count]);
        self.raw.lock().expect("lock")[number].extend_from_slice(&part[..count]);
        count > 0
    }

    fn note(&self, received: Received) {
        self.requests.lock().expect("lock").push(received);
    }

    /// Takes the body when all of it is there.
    fn take_body(&self, received: &mut Received, buffer: &mut Vec<u8>) -> bool {
        if received.field("transfer-encoding").is_some() {
            let Some((body, used)) = unchunk(buffer) else {
                return false;
            };
            received.body = body;
            buffer.drain(..used);
            return true;
        }
        let length = received
            .field("content-length")
            .map_or(0, |text| text.parse().expect("number"));
        if buffer.len() < length {
            return false;
        }
        received.body = buffer.drain(..length).collect();
        true
    }

    /// Answers as the last segment of the path asks; false ends the connection.
    async fn answer(&self, stream: &mut TcpStream, path: &str, received: &Received) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        let written = match path.rsplit('/').next().unwrap_or_default() {
            "hang" => return std::future::pending().await,
            "hang-in-body" => {
                let _ = stream.write_all(chunked).await;
                return std::future::pending().await;
            }
            "head-only" => {
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let _ = stream.write_all(head).await;
                return std::future::pending().await;
            }
            "reset" => return false,
            "cut" => {
                let _ = stream.write_all(chunked).await;
                return false;
            }
            "twice" => {
                let answers = [ok(b"one"), ok(b"SECRET OF ANOTHER")].concat();
                stream.write_all(&answers).await
            }
            "switch" => {
                let switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
                let _ = stream.write_all(switch).await;
                return std::future::pending().await;
            }
            "garbage" => {
                let _ = stream.write_all(b"SMTP ready\r\n\r\n").await;
                return false;
            }
            "stream" => {
                let mut steps = self.gate.subscribe();
                steps.mark_unchanged();
                let mut written = stream.write_all(chunked).await;
                while written.is_ok() && steps.changed().await.is_ok() {
                    written = stream.write_all(b"4\r\nmore\r\n").await;
                }
                return false;
            }
            "slow" => {
                let mut steps = self.gate.subscribe();
                steps.mark_unchanged();
                let _ = steps.changed().await;
                stream.write_all(&ok(b"slow")).await
            }
            "fields" => {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x-hop\r\nx-hop: a\r\nkeep-alive: timeout=5\r\netag: \"1\"\r\nx-request-id: theirs\r\ndpop-nonce: theirs\r\n\r\nok";
                stream.write_all(answer).await
            }
            _ if received.line().starts_with("HEAD ") => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 77\r\n\r\n")
                    .await
            }
            _ => {
                let echo = [received.line().as_bytes(), b"\n", &received.body].concat();
                stream.write_all(&ok(&echo)).await
            }
        };
        written.is_ok()
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn unchunk(mut bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let whole = bytes.len();
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).expect("ascii");
        let size = usize::from_str_radix(size, 16).expect("a plain chunk size");
        let rest = bytes.get(end + 2..)?;
        body.extend_from_slice(rest.get(..size)?);
        bytes = rest.get(size + 2..)?;
        if size == 0 {
            return Some((body, whole - bytes.len()));
        }
    }
}
