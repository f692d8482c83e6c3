//! HTTP to the byte: the exact target and header lines a test wants, and answers
//! whose header fields must be on a list.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Header fields an answer of Keybound may have. A field that is not here leaks by accident.
const ALLOWED_FIELDS: &[&str] = &[
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "dpop-nonce",
    "location",
    "pragma",
    "referrer-policy",
    "retry-after",
    "transfer-encoding",
    "vary",
    "www-authenticate",
    "x-content-type-options",
    "x-request-id",
    "x-upstream",
];

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The cause id, which servers of a [`crate::World`] tell because `error_detail` is full.
    #[must_use]
    pub fn cause(&self) -> String {
        let body = self.json();
        let cause = body["cause"].as_str().or_else(|| body["error"].as_str());
        cause.unwrap_or("ok").to_owned()
    }

    /// One header field as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A form POST, as token endpoints take it.
#[derive(Clone, Debug, Default)]
pub struct FormRequest {
    /// Parameters in order; names may repeat.
    pub parameters: Vec<(String, String)>,
    /// Further header lines.
    pub headers: Vec<(String, String)>,
}

impl FormRequest {
    /// Adds a parameter.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The parameters as a form, or as a query.
    #[must_use]
    pub fn encoded(&self) -> String {
        let pairs = self.parameters.iter();
        let pairs = pairs.map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Sends the form to a path of the server at `origin`.
    pub async fn send(&self, origin: &str, path: &str) -> Answer {
        let body = self.encoded();
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
        headers.extend(
            self.headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        send(origin, "POST", path, &headers, body.as_bytes()).await
    }
}

/// Sends one request on a connection of its own.
pub async fn send(
    origin: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let address: SocketAddr = authority.parse().expect("an origin of this machine");
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        head.push_str(&format!("host: {authority}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("connection: close\r\n\r\n");
    let mut connection = RawConnection::open(address).await;
    connection.write(head.as_bytes()).await;
    connection.write(body).await;
    let text = connection.read_to_end().await;
    let answer = parse(&text);
    for name in answer.headers.keys() {
        assert!(
            ALLOWED_FIELDS.contains(&name.as_str()),
            "the answer to {method} {target} has a header field nobody allowed: {name}"
        );
    }
    answer
}

/// A socket without any HTTP in between.
#[derive(Debug)]
pub struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self(stream)
    }

    /// Sends these bytes; a peer that has closed already is no fault.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// Everything until the peer closes.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        // A reset after the answer is an end like any other.
        let _ = self.0.read_to_end(&mut text).await;
        text
    }

    /// One whole answer, whether or not the peer closes after it.
    pub async fn read_answer(&mut self) -> Answer {
        let mut text = Vec::new();
        loop {
            let piece = self.read_some().await;
            let ended = piece.is_empty();
            text.extend(piece);
            let head = text.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(head) = head {
                let answer = parse(&text);
                let length = answer
                    .header("content-length")
                    .and_then(|length| length.parse::<usize>().ok());
                if ended || length.is_some_and(|length| text.len() >= head + 4 + length) {
                    return answer;
                }
            }
            assert!(!ended, "the connection closed without an answer");
        }
    }

    /// What arrives next; empty at the end.
    pub async fn read_some(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let length = self.0.read(&mut buffer).await.unwrap_or(0);
        buffer.truncate(length);
        buffer
    }
}

fn parse(text: &[u8]) -> Answer {
    let end = text
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no HTTP answer: {:?}", String::from_utf8_lossy(text)));
    let head = String::from_utf8_lossy(&text[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .expect("a status line");
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header line");
        headers.append(
            http::HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
            value.trim().parse().expect("a header value"),
        );
    }
    let rest = &text[end + 4..];
    let chunked = headers.get("transfer-encoding").is_some();
    Answer {
        status: status.parse().expect("a status code"),
        headers,
        body: if chunked {
            dechunk(rest)
        } else {
            Bytes::copy_from_slice(rest)
        },
    }
}

fn dechunk(mut text: &[u8]) -> Bytes {
    let mut body = Vec::new();
    while let Some(end) = text.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&text[..end])
            .ok()
            .and_then(|size| usize::from_str_radix(size, 16).ok())
            .expect("a chunk size");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&text[end + 2..end + 2 + size]);
        text = &text[end + 4 + size..];
    }
    body.into()
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
