//! What every listener does, whatever it serves.

use std::net::SocketAddr;

use keybound_edge::Shutdown;
use keybound_edge::listener::{BindError, Listener, ListenerConfig, ListenerKind};
use keybound_proto::uri::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{PATIENCE, answers, ask, send};
use super::world::World;

fn config(addr: &str) -> ListenerConfig {
    ListenerConfig::new(
        addr.parse().expect("address"),
        ListenerKind::Gateway,
        Vec::new(),
    )
}

#[tokio::test]
async fn addresses_off_loopback_are_refused() {
    for addr in [
        "0.0.0.0:0",
        "[::]:0",
        "192.0.2.1:9401",
        "[::ffff:192.0.2.1]:9401",
    ] {
        let error = Listener::bind(config(addr)).await.expect_err("refused");
        assert!(matches!(error, BindError::NotLoopback { .. }), "{addr}");
        assert!(error.to_string().contains("loopback"), "{error}");
    }
    for addr in ["127.0.0.1:0", "127.9.8.7:0"] {
        Listener::bind(config(addr)).await.expect("loopback");
    }
}

#[tokio::test]
async fn an_occupied_port_is_named_with_the_way_out() {
    let first = Listener::bind(config("127.0.0.1:0")).await.expect("bind");
    let addr = first.local_addr();
    let error = Listener::bind(config(&addr.to_string()))
        .await
        .expect_err("occupied");
    let text = error.to_string();
    assert!(matches!(error, BindError::InUse { .. }), "{text}");
    for part in [
        &*addr.to_string(),
        "gateway",
        "`listen` in `[gateway]`",
        "`--port-base`",
    ] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_hosts_are_misdirected() {
    let world = World::start().await;
    let port = world.addr.port();
    for host in [
        "evil.example",
        &format!("localhost:{port}"),
        "127.0.0.1",
        &format!("evil.example:{port}"),
    ] {
        let answers = send(
            world.addr,
            format!("GET /open HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert_eq!(
            (answers[0].status, answers[0].member("cause").as_str()),
            (421, "http.host_misdirected"),
            "{host}"
        );
    }
    let ours = world.host();
    for (target, host) in [
        ("http://evil.example/open", ours.as_str()),
        ("http://evil.example/open", "evil.example"),
    ] {
        let answers = send(
            world.addr,
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert_eq!(answers[0].status, 421, "{target} {host}");
    }
    assert!(world.upstream.requests().is_empty());
    let absolute =
        format!("GET http://{ours}/open/x?y HTTP/1.1\r\nHost: {ours}\r\nConnection: close\r\n\r\n");
    assert_eq!(send(world.addr, absolute).await[0].status, 200);
    assert_eq!(world.upstream.last().line(), "GET /open/x?y HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_10_one_connection_too_many_is_told_and_the_others_are_served() {
    let world = World::start_with(|setup| setup.listener.limits.connections = 3).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(world.addr).await.expect("connect");
        stream
            .write_all(world.request("GET", "/open", &[]).as_bytes())
            .await
            .expect("write");
        let mut part = [0; 1024];
        assert!(stream.read(&mut part).await.expect("read") > 0);
        held.push(stream);
    }
    let mut extra = TcpStream::connect(world.addr).await.expect("connect");
    let mut received = Vec::new();
    let _ = timeout(PATIENCE, extra.read_to_end(&mut received))
        .await
        .expect("closed");
    let refused = answers(&received).remove(0);
    assert_eq!(refused.status, 503);
    assert_eq!(refused.field("retry-after").as_deref(), Some("1"));
    for stream in &mut held {
        stream
            .write_all(world.request("GET", "/open", &[]).as_bytes())
            .await
            .expect("write");
        let mut part = [0; 1024];
        assert!(
            stream.read(&mut part).await.expect("read") > 0,
            "still served"
        );
    }
    drop(held);
    let served = async {
        loop {
            let request = world.request("GET", "/open", &[("Connection", "close")]);
            if send(world.addr, request)
                .await
                .first()
                .is_some_and(|answer| answer.status == 200)
            {
                return;
            }
        }
    };
    timeout(PATIENCE, served).await.expect("room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_finds_request_id_and_peer() {
    use axum::extract::{ConnectInfo, Request};
    let bound = Listener::bind(config("127.0.0.1:0")).await.expect("bind");
    let addr = bound.local_addr();
    let bound = bound.with_origin(Origin::parse(&format!("http://{addr}")).expect("origin"));
    let show = axum::routing::get(
        |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| async move {
            let id = request
                .headers()
                .get("x-request-id")
                .expect("an id")
                .to_str()
                .expect("text")
                .to_owned();
            format!("{id} {}", peer.ip())
        },
    );
    let (trigger, shutdown) = Shutdown::new();
    tokio::spawn(bound.serve(axum::Router::new().route("/", show), shutdown));
    let answer = ask(
        addr,
        format!("GET / HTTP/1.1\r\nHost: {addr}\r\nX-Request-Id: mine\r\n\r\n"),
    )
    .await;
    let id = answer.field("x-request-id").expect("an id");
    assert_eq!(answer.text(), format!("{id} 127.0.0.1"));
    assert_eq!(id.len(), 28);
    drop(trigger);
}

/// F-10: no file descriptor left. The server runs in a process of its own, which is allowed few.
#[tokio::test(flavor = "multi_thread")]
async fn f_10_without_file_descriptors_connections_are_refused_cleanly_and_it_recovers() {
    let mut server = Limited::start().await;
    let addr = server.addr;
    let mut held = Vec::new();
    for _ in 0..120 {
        held.push(TcpStream::connect(addr).await.expect("the queue takes it"));
    }
    // Many more than the server has descriptors for; each is served or ended, none hangs.
    let (mut served, mut ended) = (0, 0);
    for mut stream in held {
        let request = format!("GET / HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        let mut received = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut received))
            .await
            .expect("served or ended");
        if received.starts_with(b"HTTP/1.1 200") {
            served += 1;
        } else {
            ended += 1;
        }
    }
    assert!(served > 0 && ended > 0, "{served} served, {ended} ended");
    let after = ask(addr, format!("GET / HTTP/1.1\r\nHost: {addr}\r\n\r\n")).await;
    assert_eq!(after.status, 200, "and it goes on");
    server.process.kill().await.expect("killed");
}

/// A server in another process with 60 file descriptors.
struct Limited {
    process: tokio::process::Child,
    addr: SocketAddr,
}

impl Limited {
    async fn start() -> Self {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let program = std::env::current_exe().expect("this test's program");
        let script =
            "ulimit -n 60 && exec \"$0\" --ignored --exact --nocapture listener::limited_server";
        let mut process = tokio::process::Command::new("sh")
            .args(["-c", script])
            .arg(program)
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("sh");
        let mut lines = BufReader::new(process.stdout.take().expect("output")).lines();
        let find = async {
            while let Some(line) = lines.next_line().await.expect("line") {
                if let Some(addr) = line.split("listening on ").nth(1) {
                    return addr.parse().expect("address");
                }
            }
            panic!("the server did not start");
        };
        let addr = timeout(PATIENCE, find).await.expect("started");
        Self { process, addr }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the server of another test, which starts and ends it"]
async fn limited_server() {
    let bound = Listener::bind(config("127.0.0.1:0")).await.expect("bind");
    let addr = bound.local_addr();
    let bound = bound.with_origin(Origin::parse(&format!("http://{addr}")).expect("origin"));
    use std::io::Write as _;
    let mut output = std::io::stdout();
    writeln!(output, "listening on {addr}").expect("told");
    output.flush().expect("flushed");
    let (_trigger, shutdown) = Shutdown::new();
    let hello = axum::routing::get(|| std::future::ready("hello"));
    bound
        .serve(axum::Router::new().route("/", hello), shutdown)
        .await;
}
