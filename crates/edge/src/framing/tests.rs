//! The byte layer over an in-memory pipe: refusals first, then what passes unchanged.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

use self::cases::{BAD_HEADS, GOOD};

mod cases;

/// What the library would read, and how reading ended.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The end of the stream after these bytes.
    End(Vec<u8>),
    /// The marker for this violation after these bytes, then silence.
    Refused(Vec<u8>, Violation),
    /// An I/O error carrying this violation after these bytes.
    Broken(Vec<u8>, Violation),
}

fn framed(limits: FramingLimits) -> (DuplexStream, Framed<DuplexStream>) {
    let (client, server) = duplex(1 << 20);
    let state = Arc::new(ConnectionState::default());
    (client, Framed::new(server, Arc::new(limits), state))
}

async fn read_to_end(mut layer: Framed<DuplexStream>) -> Seen {
    let mut seen = Vec::new();
    loop {
        // Silence after a marker lasts forever; the paused clock makes this instant.
        let mut part = [0; 7];
        match timeout(Duration::from_secs(3600), layer.read(&mut part)).await {
            Ok(Ok(0)) => return Seen::End(seen),
            Ok(Ok(count)) => seen.extend_from_slice(&part[..count]),
            Ok(Err(error)) => {
                let inner = error
                    .get_ref()
                    .and_then(|inner| inner.downcast_ref::<Violation>());
                return Seen::Broken(seen, *inner.expect("an error with its violation"));
            }
            Err(_) => return split_marker(seen),
        }
    }
}

fn split_marker(seen: Vec<u8>) -> Seen {
    let text = String::from_utf8_lossy(&seen).into_owned();
    let at = text.rfind('!').expect("a marker");
    let id = text[at + 1..].split(' ').next().expect("an id");
    let violation = Violation::from_id(id).expect("a known id");
    assert!(text.ends_with("connection: close\r\n\r\n"));
    Seen::Refused(text.as_bytes()[..at].to_vec(), violation)
}

async fn see(input: &[u8]) -> Seen {
    let (mut client, layer) = framed(FramingLimits::default());
    client.write_all(input).await.expect("room in the pipe");
    client.shutdown().await.expect("pipe open");
    read_to_end(layer).await
}

async fn see_in_parts(input: &[u8], size: usize) -> Seen {
    let (mut client, layer) = framed(FramingLimits::default());
    let reader = tokio::spawn(read_to_end(layer));
    for part in input.chunks(size) {
        // Fails once the reader is done, which a broken body makes it before the end.
        if client.write_all(part).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _ = client.shutdown().await;
    reader.await.expect("reader")
}

#[tokio::test(start_paused = true)]
async fn sc_250_bad_heads_are_refused() {
    for (head, violation) in BAD_HEADS {
        let expected = Seen::Refused(Vec::new(), *violation);
        assert_eq!(see(head.as_bytes()).await, expected, "{head:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn sc_250_delivery_byte_by_byte_changes_nothing() {
    for (head, violation) in BAD_HEADS {
        let expected = Seen::Refused(Vec::new(), *violation);
        assert_eq!(see_in_parts(head.as_bytes(), 1).await, expected, "{head:?}");
    }
    for message in GOOD {
        let expected = Seen::End(message.as_bytes().to_vec());
        assert_eq!(
            see_in_parts(message.as_bytes(), 1).await,
            expected,
            "{message:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn sc_250_a_bad_head_behind_good_ones_is_refused_in_its_place() {
    for (head, violation) in BAD_HEADS {
        for good in GOOD {
            let input = [good.as_bytes(), head.as_bytes()].concat();
            let expected = Seen::Refused(good.as_bytes().to_vec(), *violation);
            assert_eq!(see(&input).await, expected, "{head:?} after {good:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sc_250_a_bad_body_ends_the_connection_with_an_error() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, violation) in [
        ("5;x\r\nhello\r\n0\r\n\r\n", Violation::ChunkExtension),
        ("5\nhello\r\n0\r\n\r\n", Violation::BareLineFeed),
        ("5\r\nhello\r\n0\r\nX: y\r\n\r\n", Violation::Trailer),
        ("G\r\n", Violation::ChunkSize),
    ] {
        let input = format!("{head}{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let expected = Seen::Broken(head.as_bytes().to_vec(), violation);
        assert_eq!(see(input.as_bytes()).await, expected, "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn f_13_sizes_are_bounded() {
    let long = |count: usize| "a".repeat(count);
    let defaults = FramingLimits::default();
    for (head, violation) in [
        (
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(8 * 1024)),
            Violation::TargetTooLong,
        ),
        (
            format!("GET /{}", long(64 * 1024)),
            Violation::TargetTooLong,
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", long(64 * 1024)),
            Violation::HeadTooLarge,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
                long(defaults.head_bytes)
            ),
            Violation::HeadTooLarge,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X: y\r\n".repeat(100)
            ),
            Violation::FieldsTooMany,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X: y\r\n".repeat(100_000)
            ),
            Violation::FieldsTooMany,
        ),
    ] {
        let expected = Seen::Refused(Vec::new(), violation);
        assert_eq!(see(head.as_bytes()).await, expected, "{}", &head[..40]);
    }
}

#[tokio::test(start_paused = true)]
async fn f_10_slow_clients_meet_their_timers() {
    let (mut client, layer) = framed(FramingLimits::default());
    client
        .write_all(b"GET / HTTP/1.1\r\nHos")
        .await
        .expect("room");
    assert_eq!(
        read_to_end(layer).await,
        Seen::Refused(Vec::new(), Violation::HeadTimeout)
    );

    let (mut client, layer) = framed(FramingLimits::default());
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    client.write_all(head).await.expect("room");
    assert_eq!(
        read_to_end(layer).await,
        Seen::Broken(head.to_vec(), Violation::BodyTimeout)
    );

    let (_client, layer) = framed(FramingLimits::default());
    assert_eq!(read_to_end(layer).await, Seen::End(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn f_10_a_head_has_one_deadline_however_often_a_byte_comes() {
    let (mut client, layer) = framed(FramingLimits::default());
    let reader = tokio::spawn(read_to_end(layer));
    let started = tokio::time::Instant::now();
    for byte in b"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        // The write fails once the reader has gone.
        if client.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let seen = reader.await.expect("reader");
    assert_eq!(seen, Seen::Refused(Vec::new(), Violation::HeadTimeout));
    assert!(started.elapsed() >= FramingLimits::default().head_time);
}

#[tokio::test(start_paused = true)]
async fn f_10_a_client_that_takes_no_bytes_is_given_up() {
    let (_client, server) = duplex(64);
    let limits = FramingLimits::default();
    let pause = limits.write_pause;
    let state = Arc::new(ConnectionState::default());
    let mut layer = Framed::new(server, Arc::new(limits), state);
    let started = tokio::time::Instant::now();
    let error = layer.write_all(&[b'x'; 1000]).await.expect_err("given up");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(started.elapsed() >= pause);
}

#[tokio::test(start_paused = true)]
async fn well_framed_messages_pass_unchanged() {
    for message in GOOD {
        assert_eq!(
            see(message.as_bytes()).await,
            Seen::End(message.as_bytes().to_vec())
        );
    }
    let all = GOOD.concat().into_bytes();
    assert_eq!(see(&all).await, Seen::End(all.clone()));
}

#[tokio::test(start_paused = true)]
async fn a_long_body_passes_unchanged() {
    let body = vec![b'\n'; 300_000];
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let input = [head.as_bytes(), &body, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    assert_eq!(see(&input).await, Seen::End(input.clone()));
}

#[tokio::test(start_paused = true)]
async fn the_http2_preface_is_known_only_where_it_is_wanted() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let limits = FramingLimits {
        http2: true,
        ..FramingLimits::default()
    };
    for size in 1..=preface.len() {
        let (mut client, mut layer) = framed(limits.clone());
        for part in preface.chunks(size) {
            client.write_all(part).await.expect("room");
        }
        client.shutdown().await.expect("pipe open");
        assert_eq!(layer.detect().await.expect("bytes"), Protocol::Http2);
        assert_eq!(read_to_end(layer).await, Seen::End(preface.to_vec()));
    }
    let (mut client, mut layer) = framed(limits);
    client
        .write_all(b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("room");
    assert_eq!(layer.detect().await.expect("bytes"), Protocol::Http1);
    let (mut client, mut layer) = framed(FramingLimits::default());
    client.write_all(preface).await.expect("room");
    assert_eq!(layer.detect().await.expect("bytes"), Protocol::Http1);
}

#[test]
fn violation_ids_are_unique_and_fit_into_a_method() {
    let mut ids: Vec<_> = Violation::ALL
        .iter()
        .map(|violation| violation.id())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), Violation::ALL.len());
    for violation in Violation::ALL {
        assert_eq!(Violation::from_id(violation.id()), Some(*violation));
        let method = format!("!{}", violation.id());
        assert!(
            http::Method::from_bytes(method.as_bytes()).is_ok(),
            "{method}"
        );
    }
}

proptest! {
    /// Whatever arrives, in whatever pieces: what is handed on is a prefix of it, or of it and
    /// the marker, and the pieces do not change the outcome.
    #[test]
    fn nothing_is_made_up(
        input in proptest::collection::vec(
            prop_oneof![
                Just(b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec()),
                Just(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
                Just(b"Content-Length: 4\r\n".to_vec()),
                Just(b"\r\n".to_vec()),
                Just(b"2\r\nhi\r\n".to_vec()),
                Just(b"0\r\n\r\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..12),
            ],
            0..12,
        ),
        size in 1_usize..40,
    ) {
        let input = input.concat();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("runtime");
        let (whole, parts) =
            runtime.block_on(async { (see(&input).await, see_in_parts(&input, size).await) });
        let (Seen::End(seen) | Seen::Refused(seen, _) | Seen::Broken(seen, _)) = &whole;
        prop_assert!(input.starts_with(seen));
        match (&whole, &parts) {
            // Where a body breaks, the pieces decide how much of it had been handed on.
            (Seen::Broken(_, one), Seen::Broken(_, other)) => prop_assert_eq!(one, other),
            _ => prop_assert_eq!(&whole, &parts),
        }
    }
}
