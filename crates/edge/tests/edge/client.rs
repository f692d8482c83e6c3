//! A client that sends exactly the bytes it is given and reads what comes back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing in these tests takes as long, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its regular end.
    pub(crate) is_complete: bool,
}

impl Answer {
    /// The values of a field, joined.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A member of the JSON body.
    pub(crate) fn member(&self, name: &str) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).expect("json body");
        json[name].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends bytes and reads to the end of the connection.
pub(crate) async fn send(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<Answer> {
    send_in_parts(addr, &[bytes.as_ref()]).await
}

/// Sends parts one by one, each flushed, and reads to the end of the connection.
pub(crate) async fn send_in_parts(addr: SocketAddr, parts: &[&[u8]]) -> Vec<Answer> {
    let stream = TcpStream::connect(addr).await.expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    let (mut reading, mut writing) = stream.into_split();
    let mut received = Vec::new();
    let write = async {
        for part in parts {
            // The server may close before everything is sent; what it said counts.
            if writing.write_all(part).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        // Kept open: half a connection is a client that went away.
        writing
    };
    let read = async {
        let mut part = [0; 4096];
        while let Ok(count) = reading.read(&mut part).await {
            if count == 0 {
                break;
            }
            received.extend_from_slice(&part[..count]);
        }
    };
    let both = async { tokio::join!(write, read) };
    timeout(PATIENCE, both)
        .await
        .expect("the server ends the connection");
    answers(&received)
}

/// Sends one request that asks for the connection to close; gives the only answer.
pub(crate) async fn ask(addr: SocketAddr, request: impl AsRef<str>) -> Answer {
    let request = request.as_ref();
    let closing = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut answers = send(addr, closing).await;
    assert_eq!(answers.len(), 1, "{request} got {answers:?}");
    answers.remove(0)
}

/// Cuts received bytes into answers, interim ones left out.
pub(crate) fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end + 4..];
        let mut lines = head.split("\r\n");
        let status_line = lines.next().expect("status line");
        let status: u16 = status_line
            .split(' ')
            .nth(1)
            .expect("status")
            .parse()
            .expect("number");
        let fields = lines
            .map(|line| {
                let (name, value) = line.split_once(':').expect("field");
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        let mut answer = Answer {
            status,
            fields,
            body: Vec::new(),
            is_complete: true,
        };
        if status < 200 {
            continue;
        }
        bytes = take_body(&mut answer, bytes);
        answers.push(answer);
    }
    assert!(
        bytes.is_empty(),
        "left over: {:?}",
        String::from_utf8_lossy(bytes)
    );
    answers
}

fn take_body<'a>(answer: &mut Answer, bytes: &'a [u8]) -> &'a [u8] {
    if matches!(answer.status, 204 | 304) {
        return bytes;
    }
    if answer.field("transfer-encoding").is_some() {
        return take_chunks(answer, bytes);
    }
    let wanted = answer
        .field("content-length")
        .map(|text| text.parse::<usize>().expect("length"));
    let wanted = wanted.unwrap_or(bytes.len());
    let taken = wanted.min(bytes.len());
    answer.body = bytes[..taken].to_vec();
    answer.is_complete = taken == wanted;
    &bytes[taken..]
}

fn take_chunks<'a>(answer: &mut Answer, mut bytes: &'a [u8]) -> &'a [u8] {
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else {
            answer.is_complete = false;
            return &[];
        };
        let size = std::str::from_utf8(&bytes[..end]).expect("ascii");
        let size = usize::from_str_radix(size, 16).expect("hexadecimal");
        let rest = &bytes[end + 2..];
        if rest.len() < size + 2 {
            answer.is_complete = false;
            answer.body.extend_from_slice(rest);
            return &[];
        }
        answer.body.extend_from_slice(&rest[..size]);
        bytes = &rest[size + 2..];
        if size == 0 {
            return bytes;
        }
    }
}
