//! F-19: a gateway that is asked to stop.

use std::time::Duration;

use keybound_edge::Drained;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{PATIENCE, send};
use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn f_19_the_deadline_cuts_what_does_not_end() {
    let world = World::start().await;
    let mut stream = TcpStream::connect(world.addr).await.expect("connect");
    stream
        .write_all(world.request("GET", "/open/hang", &[]).as_bytes())
        .await
        .expect("write");
    while world.upstream.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        world.drain(Duration::from_millis(50)).await,
        Drained::Cut { connections: 1 }
    );
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("closed");
    assert!(rest.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn f_19_requests_in_flight_finish_and_new_connections_are_not_taken() {
    let world = World::start().await;
    let addr = world.addr;
    let upstream = world.upstream.clone();
    let waiting = tokio::spawn(send(addr, world.request("GET", "/open/slow", &[])));
    while upstream.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let idle = TcpStream::connect(addr).await.expect("connect");
    world.begin_drain(PATIENCE);
    let draining = tokio::spawn(world.drain(PATIENCE));
    // The listener is gone at once.
    let refused = async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused)
        .await
        .expect("no new connections");
    upstream.release();
    let answers = waiting.await.expect("client");
    assert_eq!(
        (answers[0].status, answers[0].text().as_str()),
        (200, "slow")
    );
    assert_eq!(draining.await.expect("drained"), Drained::Clean);
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn f_19_idle_connections_do_not_hold_up_a_drain() {
    let world = World::start().await;
    let mut kept = Vec::new();
    for is_used in [false, true] {
        let mut stream = TcpStream::connect(world.addr).await.expect("connect");
        if is_used {
            stream
                .write_all(world.request("GET", "/open", &[]).as_bytes())
                .await
                .expect("write");
            let mut part = [0; 1024];
            assert!(stream.read(&mut part).await.expect("read") > 0);
        }
        kept.push(stream);
    }
    let drained = timeout(PATIENCE, world.drain(PATIENCE * 10))
        .await
        .expect("at once");
    assert_eq!(drained, Drained::Clean);
}
