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
    let (sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("handshake");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

fn request(world: &World, method: &str, path: &str, fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", world.url));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from_static(b"hi"))).expect("request")
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.expect("body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_254_where_it_is_off_the_preface_is_refused() {
    let world = World::start_with(|setup| setup.listener.http2 = false).await;
    let answers = send(world.addr, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].status, answers[0].member("got").as_str()), (400, "framing.version"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_268_every_stream_is_checked_for_itself() {
    let world = World::start().await;
    let mut sender = connect(&world).await;
    let token = world.token();
    let scheme = format!("DPoP {token}");
    let proof = world.proof("POST", "/approvals", &token);
    let fields = [("authorization", scheme.as_str()), ("dpop", &proof)];
    let first = sender.send_request(request(&world, "POST", "/approvals", &fields)).await.expect("answer");
    assert_eq!(first.status(), 200);
    assert_eq!(text(first).await, "POST /approvals HTTP/1.1\nhi");
    for (fields, cause) in [(&fields[..], "dpop.replayed"), (&[], "authorization.absent")] {
        let refused = sender.send_request(request(&world, "POST", "/approvals", fields)).await.expect("answer");
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
        let answer = sender.send_request(request(&world, method, path, fields)).await.expect("answer");
        assert_eq!(answer.status(), status, "{method} {path} {fields:?}");
    }
    let mut sender = connect(&world).await;
    let foreign = Request::get("http://evil.example/open").body(Full::new(Bytes::new())).expect("request");
    assert_eq!(sender.send_request(foreign).await.expect("answer").status(), 421);
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_share_a_connection() {
    let world = World::start().await;
    let sender = connect(&world).await;
    let asked = (0..50).map(|number| {
        let mut sender = sender.clone();
        let request = request(&world, "POST", &format!("/open/{number}"), &[("x-forwarded-for", "203.0.113.7")]);
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
    assert!(world.upstream.requests().iter().all(|seen| seen.field("x-forwarded-for").as_deref() == Some("127.0.0.1")));
}
