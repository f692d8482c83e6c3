//! What is checked of requests over TLS is what is checked without it, in HTTP/1.1 and HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keybound_edge::Drained;
use keybound_edge::listener::tls::{ClientCertificates, ClientTrust};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::pki::{PKI, SOON_SECONDS};
use super::world::{Client, TlsWorld, thumbprint};
use crate::client::{PATIENCE, answers, send};
use crate::world::World;

fn optional() -> ClientCertificates {
    ClientCertificates::Optional(ClientTrust::Possession)
}

/// Sends bytes over TLS and reads what comes back until the connection ends.
async fn exchange(world: &TlsWorld, client: &Client, bytes: &[u8]) -> Vec<u8> {
    let mut stream = client.connect(world.addr).await.expect("connects");
    stream.write_all(bytes).await.expect("sends");
    let mut received = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut received))
        .await
        .expect("the server ends the connection");
    received
}

async fn http2(world: &TlsWorld, client: &Client) -> SendRequest<Empty<Bytes>> {
    let client = client.clone().offering(&["h2", "http/1.1"]);
    let stream = client.connect(world.addr).await.expect("connects");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).expect("request")
}

async fn asked(
    sender: &mut SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
) -> (StatusCode, String) {
    let answer = sender.send_request(request).await.expect("answer");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_167_a_host_other_than_the_name_of_the_handshake_is_misdirected() {
    let world = TlsWorld::start(optional()).await;
    let port = world.addr.port();
    let client = Client::anonymous();
    for host in ["other.localhost", "127.0.0.1", "evil.example"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
        let answer = answers(&exchange(&world, &client, request.as_bytes()).await).remove(0);
        assert_eq!(
            (answer.status, &*answer.member("cause")),
            (421, "http.host_misdirected")
        );
        let mut sender = http2(&world, &client).await;
        let (status, text) = asked(&mut sender, get(&format!("https://{host}:{port}/"))).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{text}");
    }
    for name in ["other.localhost", "localhost"] {
        let client = Client::anonymous().naming(name);
        let host = name.to_ascii_uppercase();
        let request = format!("GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
        let answer = answers(&exchange(&world, &client, request.as_bytes()).await).remove(0);
        assert_eq!(
            (answer.status, answer.text()),
            (200, format!("nobody at {name}"))
        );
        let mut sender = http2(&world, &client).await;
        let (status, _) = asked(&mut sender, get(&format!("https://{name}:{port}/"))).await;
        assert_eq!(status, StatusCode::OK);
    }
    // By address there is no name to differ from.
    let client = Client::anonymous().naming("127.0.0.1");
    let request = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let answer = answers(&exchange(&world, &client, request.as_bytes()).await).remove(0);
    assert_eq!(
        (answer.status, answer.text()),
        (200, "nobody at -".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_250_framing_is_as_strict_over_tls() {
    let plain = World::start().await;
    let world = TlsWorld::start(optional()).await;
    let port = world.addr.port();
    for request in [
        "GET / HTTP/1.1\nHost: @\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: @\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: @\r\nContent-Length: +1\r\n\r\na",
        "GET / HTTP/1.1\r\nHost: @\r\nX_Y: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: @\r\nConnection: Client-Cert\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: @\r\nConnection: DPoP\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: @\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "CONNECT @ HTTP/1.1\r\nHost: @\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let over_tls = request.replace('@', &format!("localhost:{port}"));
        let without = request.replace('@', &plain.host());
        let over_tls = answers(&exchange(&world, &Client::anonymous(), over_tls.as_bytes()).await);
        let without = send(plain.addr, without).await;
        assert_eq!(over_tls.len(), 1, "{request:?}");
        assert_eq!(
            (over_tls[0].status, over_tls[0].member("got")),
            (without[0].status, without[0].member("got")),
            "{request:?}"
        );
        assert!(over_tls[0].status >= 400, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_254_alpn_alone_decides_the_protocol() {
    let world = TlsWorld::start(optional()).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for client in [
        Client::anonymous(),
        Client::anonymous().offering(&["http/1.1"]),
    ] {
        let answer = answers(&exchange(&world, &client, preface).await).remove(0);
        assert_eq!(
            (answer.status, &*answer.member("got")),
            (400, "framing.version")
        );
    }
    let agreed = Client::anonymous().offering(&["h2"]);
    let received = exchange(&world, &agreed, world.get().as_bytes()).await;
    assert!(received.is_empty(), "{received:?}");
    let unknown = Client::anonymous().offering(&["spdy/3"]);
    unknown
        .connect(world.addr)
        .await
        .expect_err("nothing in common");
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_169_sc_171_http2_streams_are_judged_by_the_certificate_one_by_one() {
    let world = TlsWorld::start(ClientCertificates::Required(PKI.trust("first", &[]))).await;
    let url = format!("https://localhost:{}/", world.addr.port());
    let mut sender = http2(&world, &Client::with("first/short")).await;
    let (status, text) = asked(&mut sender, get(&url)).await;
    assert_eq!(
        (status, text),
        (
            StatusCode::OK,
            format!("{} at localhost", thumbprint("first/short"))
        )
    );
    world.clock.set(SOON_SECONDS + 1);
    let (status, text) = asked(&mut sender, get(&url)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(text.contains("certificate.expired"), "{text}");
    // The server says goodbye; whatever is sent then is not answered.
    timeout(PATIENCE, async {
        while !sender.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the connection ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_drags_on_is_cut() {
    let world = TlsWorld::start_with(PKI.config(optional()), |listener| {
        listener.limits.handshake = Duration::from_millis(50);
    })
    .await;
    for bytes in [
        &b""[..],
        b"\x16",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut stream = TcpStream::connect(world.addr).await.expect("connects");
        stream.write_all(bytes).await.expect("sends");
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
            .await
            .expect("the server ends the connection");
        assert!(rest.is_empty(), "{rest:?}");
    }
    world.counts((0, 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tls_gets_no_http() {
    let world = TlsWorld::start(optional()).await;
    let mut stream = TcpStream::connect(world.addr).await.expect("connects");
    stream
        .write_all(world.get().as_bytes())
        .await
        .expect("sends");
    let mut received = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut received))
        .await
        .expect("the server ends the connection");
    assert!(!received.starts_with(b"HTTP"), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_10_connections_are_counted_before_their_handshake() {
    let world = TlsWorld::start_with(PKI.config(optional()), |listener| {
        listener.limits.connections = 2;
    })
    .await;
    let silent = TcpStream::connect(world.addr).await.expect("connects");
    let _held = Client::anonymous()
        .connect(world.addr)
        .await
        .expect("connects");
    Client::anonymous()
        .connect(world.addr)
        .await
        .expect_err("one too many");
    drop(silent);
    timeout(PATIENCE, async {
        while Client::anonymous().connect(world.addr).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a place becomes free");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_19_a_drain_does_not_wait_for_handshakes() {
    let world = TlsWorld::start(optional()).await;
    let mut silent = TcpStream::connect(world.addr).await.expect("connects");
    // Accepted before the drain, as the listener takes connections in their order.
    drop(
        Client::anonymous()
            .connect(world.addr)
            .await
            .expect("connects"),
    );
    let drained = timeout(PATIENCE, world.drain(Duration::from_secs(3600)))
        .await
        .expect("ends");
    assert_eq!(drained, Drained::Clean);
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
}
