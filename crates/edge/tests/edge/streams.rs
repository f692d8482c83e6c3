//! SC-255: answers that are still running when their permission ends.

use std::time::Duration;

use keybound_proto::jose::Signer;
use keybound_proto::signal::{SignalEvent, Subject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{Answer, PATIENCE, answers};
use super::world::World;

/// Opens a request and reads until the text has come.
async fn open(world: &World, request: String, text: &str) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(world.addr).await.expect("connect");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut received = Vec::new();
    read_until(&mut stream, &mut received, text).await;
    (stream, received)
}

async fn read_until(stream: &mut TcpStream, received: &mut Vec<u8>, text: &str) {
    while !received
        .windows(text.len())
        .any(|part| part == text.as_bytes())
    {
        let count = timeout(PATIENCE, stream.read_buf(received))
            .await
            .expect("in time");
        assert!(
            count.expect("read") > 0,
            "ended: {}",
            String::from_utf8_lossy(received)
        );
    }
}

/// Reads to the end of the connection.
async fn rest(mut stream: TcpStream, mut received: Vec<u8>) -> Answer {
    let reading = stream.read_to_end(&mut received);
    // A reset is an end, too.
    let _ = timeout(PATIENCE, reading).await.expect("the stream is cut");
    answers(&received).remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_255_a_lock_cuts_the_open_streams_of_its_key_and_no_others() {
    let world = World::start().await;
    let (bound, received) = open(&world, world.signed("GET", "/approvals/stream"), "first").await;
    let open_request = world.request("GET", "/open/stream", &[]);
    let (mut unbound, mut unbound_received) = open(&world, open_request, "first").await;
    let jkt = world.holder.public_key().thumbprint();
    world
        .guard
        .revocations()
        .apply(&Subject::Key(jkt), SignalEvent::Locked, None);
    let answer = rest(bound, received).await;
    assert_eq!(answer.body, b"first");
    assert!(!answer.is_complete, "cut, not ended");
    world.upstream.release();
    read_until(&mut unbound, &mut unbound_received, "more").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_255_a_stream_that_has_not_sent_anything_is_cut_too() {
    let world = World::start().await;
    let request = world.signed("GET", "/approvals/head-only");
    let (stream, received) = open(&world, request, "\r\n\r\n").await;
    let jkt = world.holder.public_key().thumbprint();
    let revocations = world.guard.revocations();
    revocations.apply(&Subject::Key(jkt), SignalEvent::Locked, None);
    let answer = rest(stream, received).await;
    assert_eq!((answer.body.len(), answer.is_complete), (0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_255_a_lock_of_somebody_else_cuts_nothing() {
    let world = World::start().await;
    let (mut stream, mut received) =
        open(&world, world.signed("GET", "/approvals/stream"), "first").await;
    let other = Subject::Identity {
        issuer: "https://other.example".into(),
        subject: "agent-7".into(),
    };
    world
        .guard
        .revocations()
        .apply(&other, SignalEvent::Locked, None);
    world.upstream.release();
    read_until(&mut stream, &mut received, "more").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_255_a_stream_ends_with_its_token() {
    let world = World::start().await;
    let token = world.token_for(&format!("{}/", world.url), 1);
    let proof = world.proof("GET", "/approvals/stream", &token);
    let scheme = format!("DPoP {token}");
    let request = world.request(
        "GET",
        "/approvals/stream",
        &[("Authorization", &scheme), ("DPoP", &proof)],
    );
    let (stream, received) = open(&world, request, "first").await;
    world.clock.advance_secs(2);
    let answer = rest(stream, received).await;
    assert_eq!(
        (answer.body.as_slice(), answer.is_complete),
        (&b"first"[..], false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_255_a_lock_while_the_upstream_thinks_refuses_the_answer() {
    let world = World::start().await;
    let request = world.signed("GET", "/approvals/slow");
    let waiting = tokio::spawn(super::client::ask(world.addr, request));
    while world.upstream.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let jkt = world.holder.public_key().thumbprint();
    world
        .guard
        .revocations()
        .apply(&Subject::Key(jkt), SignalEvent::Locked, None);
    world.upstream.release();
    let answer = waiting.await.expect("client");
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (401, "key.locked")
    );
    let events = world.sink.take();
    let recorded: Vec<_> = events.iter().map(|event| event.cause.as_deref()).collect();
    assert_eq!(recorded, [Some("key.locked")]);
    assert_eq!(events[0].jkt, Some(jkt.to_string()));
    assert_eq!(events[0].path.as_deref(), Some("/approvals/slow"));
    assert_eq!(events[0].request_id, Some(answer.member("request_id")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_exchange_with_the_upstream() {
    let world = World::start().await;
    let (stream, _) = open(&world, world.request("GET", "/open/stream", &[]), "first").await;
    drop(stream);
    // The upstream's writes fail once the gateway has closed; until then they are taken.
    let gone = async {
        loop {
            world.upstream.release();
            tokio::time::sleep(Duration::from_millis(5)).await;
            if world.upstream.watchers() == 0 {
                return;
            }
        }
    };
    timeout(PATIENCE, gone)
        .await
        .expect("the upstream connection is closed");
}
