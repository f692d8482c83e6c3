//! HTTP/2 by prior knowledge: the same checks, the same refusals.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::client::send;
use super::world::World;

async fn connect(world: &World) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(world.addr).await.expect("connect");
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

fn request(
    world: &World,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", world.url));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let body = if method == "POST" { &b"hi"[..] } else { b"" };
    request
        .body(Full::new(Bytes::from_static(body)))
        .expect("request")
}

async fn text(response: Response<Incoming>) -> String {
    let body = response
        .into_body()
        .collect()
        .await
        .expect("body")
        .to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_254_where_it_is_off_the_preface_is_refused() {
    let world = World::start_with(|setup| setup.listener.http2 = false).await;
    let answers = send(
        world.addr,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    )
    .await;
    assert_eq!(answers.len(), 1);
    assert_eq!(
        (answers[0].status, answers[0].member("got").as_str()),
        (400, "framing.version")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_268_every_stream_is_checked_for_itself() {
    let world = World::start().await;
    let mut sender = connect(&world).await;
    let token = world.token();
    let scheme = format!("DPoP {token}");
    let proof = world.proof("POST", "/approvals", &token);
    let fields = [("authorization", scheme.as_str()), ("dpop", &proof)];
    let first = sender
        .send_request(request(&world, "POST", "/approvals", &fields))
        .await
        .expect("answer");
    assert_eq!(first.status(), 200);
    assert_eq!(text(first).await, "POST /approvals HTTP/1.1\nhi");
    for (fields, cause) in [
        (&fields[..], "dpop.replayed"),
        (&[], "authorization.absent"),
    ] {
        let refused = sender
            .send_request(request(&world, "POST", "/approvals", fields))
            .await
            .expect("answer");
        assert_eq!(refused.status(), 401);
        assert!(text(refused).await.contains(cause));
    }
    assert_eq!(world.upstream.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_for_heads_hold_here_too() {
    let world = World::start().await;
    for (method, path, fields, status) in [
        ("!framing.target", "/open", &[][..], 400),
        ("GET", "/open", &[("content_length", "0")], 400),
        ("GET", "/open", &[("host", "evil.example")], 421),
        ("GET", "/open", &[("origin", "https://evil.example")], 403),
        ("GET", "//approvals", &[], 400),
        ("GET", "/unknown", &[], 404),
    ] {
        let mut sender = connect(&world).await;
        let answer = sender
            .send_request(request(&world, method, path, fields))
            .await
            .expect("answer");
        assert_eq!(answer.status(), status, "{method} {path} {fields:?}");
    }
    let mut sender = connect(&world).await;
    let foreign = Request::get("http://evil.example/open")
        .body(Full::new(Bytes::new()))
        .expect("request");
    assert_eq!(
        sender.send_request(foreign).await.expect("answer").status(),
        421
    );
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_share_a_connection() {
    let world = World::start().await;
    let sender = connect(&world).await;
    let asked = (0..50).map(|number| {
        let mut sender = sender.clone();
        let request = request(
            &world,
            "POST",
            &format!("/open/{number}"),
            &[("x-forwarded-for", "203.0.113.7")],
        );
        async move {
            let answer = sender.send_request(request).await.expect("answer");
            assert_eq!(answer.status(), 200);
            assert!(answer.headers().contains_key("x-request-id"));
            text(answer).await
        }
    });
    let answers = futures_util::future::join_all(asked).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, format!("POST /open/{number} HTTP/1.1\nhi"));
    }
    assert!(
        world
            .upstream
            .requests()
            .iter()
            .all(|seen| seen.field("x-forwarded-for").as_deref() == Some("127.0.0.1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_250_a_body_of_get_is_refused_and_an_empty_one_is_none() {
    let world = World::start().await;
    let mut sender = raw::connect(world.addr).await;
    // A head that announces a body, and a body of no bytes.
    sender
        .send(&raw::get(1, &world.host(), "/open/empty", false))
        .await;
    sender
        .send(&raw::frame(raw::DATA, raw::END_STREAM, 1, b""))
        .await;
    assert_eq!(sender.status(1).await, 200);
    assert_eq!(world.upstream.last().line(), "GET /open/empty HTTP/1.1");
    assert_eq!(world.upstream.last().field("transfer-encoding"), None);
    sender
        .send(&raw::get(3, &world.host(), "/open/full", false))
        .await;
    sender
        .send(&raw::frame(
            raw::DATA,
            raw::END_STREAM,
            3,
            b"GET /x HTTP/1.1\r\n\r\n",
        ))
        .await;
    assert_eq!(sender.status(3).await, 400);
    assert_eq!(world.upstream.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_270_f_14_floods_end_the_connection() {
    let world = World::start().await;
    let host = world.host();
    // Streams that are opened and reset at once.
    let mut resets = Vec::new();
    for number in 0..5_000_u32 {
        let stream = number * 2 + 1;
        resets.extend(raw::get(stream, &host, "/open/hang", true));
        resets.extend(raw::frame(raw::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // A head that never ends.
    let mut continuations = raw::frame(raw::HEADERS, 0, 1, &raw::head("GET", &host, "/open"));
    for _ in 0..5_000 {
        let field = [&[0, 1, b'x', 100][..], &[b'a'; 100]].concat();
        continuations.extend(raw::frame(raw::CONTINUATION, 0, 1, &field));
    }
    let large = raw::frame(raw::HEADERS, raw::END_HEADERS, 1, &vec![0; 64 * 1024 * 8]);
    for (name, flood) in [
        ("resets", resets),
        ("continuations", continuations),
        ("frame", large),
    ] {
        let sender = raw::connect(world.addr).await;
        assert!(sender.ends_by(&flood).await, "{name}");
    }
    // Settings that all want an answer are work, but no reason to fail.
    let mut sender = raw::connect(world.addr).await;
    sender
        .send(&raw::frame(raw::SETTINGS, 0, 0, b"").repeat(20_000))
        .await;
    sender.send(&raw::get(1, &host, "/open/x", true)).await;
    assert_eq!(sender.status(1).await, 200, "others are served");
}

/// HTTP/2 written by hand (RFC 9113 section 4.1, RFC 7541), for what no library would send.
mod raw {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::super::client::PATIENCE;

    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const CONTINUATION: u8 = 9;
    pub(super) const END_STREAM: u8 = 1;
    pub(super) const END_HEADERS: u8 = 4;

    pub(super) struct Sender {
        stream: TcpStream,
        received: Vec<u8>,
    }

    pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        [&head, payload].concat()
    }

    /// `:method`, `:scheme`, `:authority` and `:path` as literals without indexing.
    pub(super) fn head(method: &str, authority: &str, path: &str) -> Vec<u8> {
        let mut block = Vec::new();
        for (index, value) in [(2, method), (6, "http"), (1, authority), (4, path)] {
            block.push(index);
            block.push(u8::try_from(value.len()).expect("short"));
            block.extend_from_slice(value.as_bytes());
        }
        block
    }

    pub(super) fn get(stream: u32, authority: &str, path: &str, ends: bool) -> Vec<u8> {
        let flags = if ends {
            END_HEADERS | END_STREAM
        } else {
            END_HEADERS
        };
        frame(HEADERS, flags, stream, &head("GET", authority, path))
    }

    pub(super) async fn connect(addr: SocketAddr) -> Sender {
        let stream = TcpStream::connect(addr).await.expect("connect");
        let mut sender = Sender {
            stream,
            received: Vec::new(),
        };
        sender.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        sender.send(&frame(SETTINGS, 0, 0, b"")).await;
        sender
    }

    impl Sender {
        pub(super) async fn send(&mut self, bytes: &[u8]) {
            self.stream.write_all(bytes).await.expect("write");
        }

        /// The status of the answer on a stream.
        pub(super) async fn status(&mut self, stream: u32) -> u16 {
            loop {
                while let Some((kind, of, payload)) = self.next_frame() {
                    if kind == HEADERS && of == stream {
                        return status_of(&payload);
                    }
                }
                let reading = self.stream.read_buf(&mut self.received);
                let count = timeout(PATIENCE, reading)
                    .await
                    .expect("in time")
                    .expect("read");
                assert!(count > 0, "the connection ended");
            }
        }

        fn next_frame(&mut self) -> Option<(u8, u32, Vec<u8>)> {
            let head = self.received.get(..9)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, stream) = (
                head[3],
                u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            );
            let payload = self.received.get(9..9 + length)?.to_vec();
            self.received.drain(..9 + length);
            Some((kind, stream, payload))
        }

        /// Sends a flood without reading; whether the server ends the connection.
        pub(super) async fn ends_by(self, flood: &[u8]) -> bool {
            let (mut reading, mut writing) = self.stream.into_split();
            let writing = async move {
                // Fails, or stalls until the server gives up on it.
                let _ = writing.write_all(flood).await;
                writing
            };
            let reading = async move {
                let mut discarded = [0; 4096];
                while reading
                    .read(&mut discarded)
                    .await
                    .is_ok_and(|count| count > 0)
                {}
            };
            let both = async { tokio::join!(writing, reading) };
            timeout(PATIENCE, both).await.is_ok()
        }
    }

    /// `:status` at the start of an answer's head: indexed, or a literal with indexed name.
    fn status_of(block: &[u8]) -> u16 {
        match block {
            [0x88, ..] => 200,
            [0x8c, ..] => 400,
            [0x8d, ..] => 404,
            [0x8e, ..] => 500,
            _ => panic!("another status: {:x?}", &block[..block.len().min(8)]),
        }
    }
}
