//! F-10, F-13, F-18: slow and greedy clients, upstreams that misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use super::client::{ask, send};
use super::world::{Setup, World};

fn impatient(setup: &mut Setup) {
    setup.timeouts.head = Duration::from_millis(150);
    setup.timeouts.pause = Duration::from_millis(150);
    setup.timeouts.connect = Duration::from_millis(500);
}

#[tokio::test(flavor = "multi_thread")]
async fn f_18_upstreams_that_do_not_answer_properly_become_502_and_504() {
    let world = World::start_with(impatient).await;
    for (path, status, cause) in [
        ("/open/hang", 504, "upstream.timeout"),
        ("/open/reset", 502, "upstream.unreachable"),
        ("/open/switch", 502, "upstream.unreachable"),
        ("/open/garbage", 502, "upstream.unreachable"),
    ] {
        let before = world.upstream.requests().len();
        let answer = ask(world.addr, world.request("GET", path, &[])).await;
        assert_eq!(
            (answer.status, answer.member("cause").as_str()),
            (status, cause),
            "{path}"
        );
        assert_eq!(
            world.upstream.requests().len(),
            before + 1,
            "{path}: sent once, never again"
        );
    }
    // Connections that misbehaved are gone, the gateway is not.
    assert_eq!(
        ask(world.addr, world.request("GET", "/open/x", &[]))
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f_18_an_upstream_that_is_not_there_is_502() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let addr: SocketAddr = nowhere.local_addr().expect("address");
    drop(nowhere);
    let world = World::start_with(|setup| setup.upstream = Some(addr)).await;
    let answer = ask(world.addr, world.request("GET", "/open", &[])).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (502, "upstream.unreachable")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f_18_an_answer_that_breaks_off_is_visibly_incomplete() {
    let world = World::start_with(impatient).await;
    for path in ["/open/cut", "/open/hang-in-body"] {
        let answers = send(world.addr, world.request("GET", path, &[])).await;
        assert_eq!(answers[0].status, 200, "{path}");
        assert_eq!(answers[0].body, b"first", "{path}");
        assert!(!answers[0].is_complete, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f_18_a_second_answer_reaches_nobody() {
    let world = World::start().await;
    for _ in 0..20 {
        let answer = ask(world.addr, world.request("GET", "/open/twice", &[])).await;
        assert_eq!(answer.body, b"one");
        let next = ask(world.addr, world.request("GET", "/open/next", &[])).await;
        assert_eq!(next.status, 200);
        assert!(next.text().starts_with("GET /open/next"), "{}", next.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f_18_an_early_answer_of_the_upstream_reaches_the_client() {
    let world = World::start().await;
    let request = format!(
        "POST /open/early HTTP/1.1\r\nHost: {}\r\nContent-Length: 900000\r\n\r\nonly the beginning",
        world.host()
    );
    let answers = send(world.addr, request).await;
    assert_eq!(answers.len(), 1);
    assert_eq!(
        (answers[0].status, answers[0].text().as_str()),
        (200, "early")
    );
    // That exchange is not complete, so its connection serves nobody else.
    ask(world.addr, world.request("GET", "/open/x", &[])).await;
    let requests = world.upstream.requests();
    assert_ne!(requests[0].connection, requests[1].connection);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_connections_are_reused() {
    let world = World::start().await;
    for _ in 0..5 {
        ask(world.addr, world.request("GET", "/open/x", &[])).await;
    }
    let requests = world.upstream.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.connection == requests[0].connection)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f_13_large_requests_are_refused_without_being_buffered() {
    let world = World::start().await;
    let host = world.host();
    let long = "a".repeat(60_000);
    for (request, status) in [
        (
            format!("GET /open/{long} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            414,
        ),
        (
            format!("GET /open HTTP/1.1\r\nHost: {host}\r\nX: {long}\r\n\r\n"),
            431,
        ),
        (
            format!(
                "GET /open HTTP/1.1\r\nHost: {host}\r\n{}\r\n",
                "X: y\r\n".repeat(100_000)
            ),
            431,
        ),
        (
            format!(
                "GET /open/{} HTTP/1.1\r\nHost: {host}\r\n\r\n",
                "a".repeat(3000)
            ),
            414,
        ),
    ] {
        let answers = send(
            world.addr,
            request.replacen("\r\n", "\r\nConnection: close\r\n", 1),
        )
        .await;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].status, status);
    }
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn f_13_large_bodies_get_413_whether_announced_or_not() {
    let world = World::start().await;
    let host = world.host();
    let announced = format!("POST /small HTTP/1.1\r\nHost: {host}\r\nContent-Length: 17\r\n\r\n");
    let answers = send(world.addr, &announced).await;
    assert_eq!(
        (answers[0].status, answers[0].member("cause").as_str()),
        (413, "http.body_too_large")
    );
    let chunked = format!(
        "POST /small HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n"
    );
    let answers = send(world.addr, &chunked).await;
    assert_eq!(answers[0].status, 413);
    let over_the_listener =
        format!("POST /open HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999\r\n\r\n");
    let answers = send(world.addr, &over_the_listener).await;
    assert_eq!(answers[0].status, 413);
    assert!(world.upstream.requests().is_empty());
    let fits = format!(
        "POST /small HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 16\r\n\r\n0123456789abcdef"
    );
    assert_eq!(send(world.addr, &fits).await[0].status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn f_10_slow_clients_get_408_or_are_closed() {
    let world = World::start_with(|setup| {
        let framing = &mut setup.listener.limits.framing;
        framing.head_time = Duration::from_millis(50);
        framing.body_pause = Duration::from_millis(50);
        framing.idle = Duration::from_millis(50);
        framing.linger = Duration::from_millis(50);
    })
    .await;
    let host = world.host();
    let head = send(
        world.addr,
        format!("GET /open HTTP/1.1\r\nHost: {host}\r\nX: "),
    )
    .await;
    assert_eq!(
        (head[0].status, head[0].member("got").as_str()),
        (408, "framing.head_timeout")
    );
    let body = send(
        world.addr,
        format!("POST /open HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\nhalf"),
    )
    .await;
    assert_eq!(
        (body[0].status, body[0].member("got").as_str()),
        (408, "framing.body_timeout")
    );
    assert!(
        send(world.addr, "").await.is_empty(),
        "idle connections are closed in silence"
    );
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn f_10_an_answer_that_takes_long_is_not_an_idle_connection() {
    let world = World::start_with(|setup| {
        setup.listener.limits.framing.idle = Duration::from_millis(20);
    })
    .await;
    let request = world.request("GET", "/open/slow", &[("Connection", "close")]);
    let waiting = tokio::spawn(send(world.addr, request));
    while world.upstream.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    // Several idle times pass before the upstream answers.
    let _ = tokio::time::timeout(Duration::from_millis(150), std::future::pending::<()>()).await;
    world.upstream.release();
    let answers = waiting.await.expect("client");
    assert_eq!(
        (answers[0].status, answers[0].text().as_str()),
        (200, "slow")
    );
}
