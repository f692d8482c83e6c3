//! SC-250 to SC-254: no input makes two requests of one at the upstream.

use proptest::prelude::*;

use super::client::{ask, send, send_in_parts};
use super::world::World;

/// Heads after the request line, each a way to make parsers disagree, and a body in which a
/// second request hides. `{}` is the host.
const SMUGGLING: &[(&str, &str)] = &[
    (
        "CL.TE",
        "Host: {}\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    ),
    (
        "TE.CL",
        "Host: {}\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5e\r\n",
    ),
    (
        "TE.TE",
        "Host: {}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE list",
        "Host: {}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE case and space",
        "Host: {}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE tab",
        "Host: {}\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE vertical tab",
        "Host: {}\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE folded",
        "Host: {}\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE quoted",
        "Host: {}\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE unknown",
        "Host: {}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE identity",
        "Host: {}\r\nTransfer-Encoding: identity\r\n\r\n",
    ),
    ("TE empty", "Host: {}\r\nTransfer-Encoding:\r\n\r\n"),
    (
        "TE underscore",
        "Host: {}\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "CL twice",
        "Host: {}\r\nContent-Length: 3\r\nContent-Length: 0\r\n\r\nabc",
    ),
    (
        "CL twice equal",
        "Host: {}\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    ),
    ("CL list", "Host: {}\r\nContent-Length: 3, 3\r\n\r\nabc"),
    (
        "CL plus",
        "Host: {}\r\nContent-Length: +10\r\n\r\nabcdefghij",
    ),
    ("CL minus", "Host: {}\r\nContent-Length: -1\r\n\r\n"),
    (
        "CL separator",
        "Host: {}\r\nContent-Length: 1_0\r\n\r\nabcdefghij",
    ),
    (
        "CL hexadecimal",
        "Host: {}\r\nContent-Length: 0x10\r\n\r\nabcdefghij",
    ),
    (
        "CL octal",
        "Host: {}\r\nContent-Length: 010\r\n\r\nabcdefgh",
    ),
    (
        "CL overflow",
        "Host: {}\r\nContent-Length: 18446744073709551616\r\n\r\n",
    ),
    ("CL empty", "Host: {}\r\nContent-Length:\r\n\r\n"),
    (
        "CL space before colon",
        "Host: {}\r\nContent-Length : 3\r\n\r\nabc",
    ),
    ("CL folded", "Host: {}\r\nContent-Length:\r\n 3\r\n\r\nabc"),
    ("CL NUL", "Host: {}\r\nContent-Length: 3\0\r\n\r\nabc"),
    (
        "bare LF in the head",
        "Host: {}\nContent-Length: 3\r\n\r\nabc",
    ),
    ("bare LF at the end", "Host: {}\r\nContent-Length: 3\n\nabc"),
    (
        "bare CR in a value",
        "Host: {}\r\nX: a\rContent-Length: 3\r\n\r\nabc",
    ),
    (
        "CR LF mix",
        "Host: {}\r\nX: a\r\r\nContent-Length: 3\r\n\r\nabc",
    ),
    (
        "folded field",
        "Host: {}\r\nX: a\r\n Content-Length: 3\r\n\r\n",
    ),
    ("NUL in a name", "Host: {}\r\nX\0: a\r\n\r\n"),
    ("space in a name", "Host: {}\r\nX Y: a\r\n\r\n"),
    ("colon first", "Host: {}\r\n: a\r\n\r\n"),
    ("no colon", "Host: {}\r\nX\r\n\r\n"),
    ("no host", "X: {}\r\n\r\n"),
    ("two hosts", "Host: {}\r\nHost: evil.example\r\n\r\n"),
    ("two equal hosts", "Host: {}\r\nHost: {}\r\n\r\n"),
    ("host list", "Host: {}, evil.example\r\n\r\n"),
    (
        "chunk extension",
        "Host: {}\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunk bare LF",
        "Host: {}\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    ),
    (
        "chunk extension with LF",
        "Host: {}\r\nTransfer-Encoding: chunked\r\n\r\n3;\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunk size prefix",
        "Host: {}\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunk size sign",
        "Host: {}\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunk size space",
        "Host: {}\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunk size overflow",
        "Host: {}\r\nTransfer-Encoding: chunked\r\n\r\n100000003\r\nabc\r\n0\r\n\r\n",
    ),
    (
        "chunk overrun",
        "Host: {}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
    ),
    (
        "trailer",
        "Host: {}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nDPoP: evil\r\n\r\n",
    ),
    (
        "upgrade to h2c",
        "Host: {}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    ),
    (
        "upgrade to websocket",
        "Host: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    (
        "connection names credentials",
        "Host: {}\r\nConnection: close, DPoP\r\n\r\n",
    ),
    (
        "expectation",
        "Host: {}\r\nExpect: 100-continue, x\r\nContent-Length: 3\r\n\r\nabc",
    ),
];

/// Request lines, each refused.
const REQUEST_LINES: &[&str] = &[
    "POST  /open/x HTTP/1.1",
    "POST /open/x  HTTP/1.1",
    "POST\t/open/x HTTP/1.1",
    "POST /open/x HTTP/1.1 ",
    "POST /open/x HTTP/1.1\0",
    "POST /open/x HTTP/1.2",
    "POST /open/x HTTP/2.0",
    "POST /open/x http/1.1",
    "POST /open/x",
    "POST /open/x y HTTP/1.1",
    " POST /open/x HTTP/1.1",
    "POST /open/x#fragment HTTP/1.1",
    "POST open/x HTTP/1.1",
    "POST /open/\u{e4} HTTP/1.1",
    "P(ST /open/x HTTP/1.1",
    "!framing.target /open/x HTTP/1.1",
    "CONNECT /open/x HTTP/1.1",
];

fn smuggled(host: &str) -> String {
    format!("GET /open/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn assert_nothing_smuggled(world: &World, name: &str) {
    for request in world.upstream.requests() {
        assert!(!request.line().contains("smuggled"), "{name}: {request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_250_ambiguous_heads_and_bodies_get_400_and_reach_no_upstream() {
    let world = World::start().await;
    let host = world.host();
    for (name, head) in SMUGGLING {
        let request = format!(
            "POST /open/x HTTP/1.1\r\n{}{}",
            head.replace("{}", &host),
            smuggled(&host)
        );
        let answers = send(world.addr, &request).await;
        assert_eq!(answers.len(), 1, "{name}: {answers:?}");
        assert_eq!(answers[0].status, 400, "{name}");
        assert!(answers[0].is_complete, "{name}");
        let whole = world.upstream.requests();
        assert!(whole.is_empty(), "{name}: {whole:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_250_ambiguous_request_lines_get_400_and_reach_no_upstream() {
    let world = World::start().await;
    let host = world.host();
    for line in REQUEST_LINES {
        let request = format!("{line}\r\nHost: {host}\r\n\r\n{}", smuggled(&host));
        let answers = send(world.addr, &request).await;
        let status = answers[0].status;
        let expected = if line.starts_with("CONNECT") {
            405
        } else {
            400
        };
        assert_eq!(status, expected, "{line}");
        assert_eq!(answers.len(), 1, "{line}: {answers:?}");
        assert!(world.upstream.requests().is_empty(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_250_bodies_that_upstreams_ignore_are_refused() {
    let world = World::start().await;
    let host = world.host();
    let hidden = smuggled(&host);
    for method in ["GET", "HEAD", "OPTIONS"] {
        for framed in [
            format!("Content-Length: {}\r\n\r\n{hidden}", hidden.len()),
            format!(
                "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
                hidden.len()
            ),
        ] {
            let request = format!("{method} /open/x HTTP/1.1\r\nHost: {host}\r\n{framed}");
            let answers = send(world.addr, &request).await;
            assert_eq!(answers[0].status, 400, "{request}");
            assert!(world.upstream.requests().is_empty(), "{request}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_250_delivery_in_single_bytes_changes_nothing() {
    let world = World::start().await;
    let host = world.host();
    for (name, head) in SMUGGLING {
        let request = format!(
            "POST /open/x HTTP/1.1\r\n{}{}",
            head.replace("{}", &host),
            smuggled(&host)
        );
        let bytes: Vec<&[u8]> = request.as_bytes().chunks(1).collect();
        let answers = send_in_parts(world.addr, &bytes).await;
        assert_eq!(answers.len(), 1, "{name}: {answers:?}");
        assert_eq!(answers[0].status, 400, "{name}");
        assert_nothing_smuggled(&world, name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_250_the_refusal_comes_after_the_answers_to_earlier_requests() {
    let world = World::start().await;
    let host = world.host();
    let good = format!("POST /open/good HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi");
    for (name, head) in SMUGGLING
        .iter()
        .filter(|(_, head)| !head.contains("chunked\r\n\r\n"))
    {
        let bad = format!("POST /open/x HTTP/1.1\r\n{}", head.replace("{}", &host));
        let answers = send(world.addr, format!("{good}{good}{bad}{}", smuggled(&host))).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 200, 400], "{name}");
        assert_nothing_smuggled(&world, name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_250_a_refusal_names_the_broken_rule() {
    let world = World::start().await;
    let request = format!("GET /open HTTP/1.1\nHost: {}\r\n\r\n", world.host());
    let answers = send(world.addr, request).await;
    assert_eq!(answers[0].member("cause"), "http.framing");
    assert_eq!(answers[0].member("got"), "framing.bare_line_feed");
    assert_eq!(answers[0].member("error"), "invalid_request");
    assert!(
        answers[0]
            .field("x-request-id")
            .expect("an id")
            .starts_with("req_")
    );
    assert_eq!(answers[0].field("connection").as_deref(), Some("close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_252_http10_without_a_length_is_refused() {
    let world = World::start().await;
    let host = world.host();
    for head in [
        format!("POST /open/x HTTP/1.0\r\nHost: {host}\r\n\r\nuntil the end"),
        format!(
            "POST /open/x HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
    ] {
        let answers = send(world.addr, &head).await;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].status, 400, "{head}");
    }
    assert!(world.upstream.requests().is_empty());
    let answers = send(
        world.addr,
        format!("GET /open/x HTTP/1.0\r\nHost: {host}\r\n\r\n"),
    )
    .await;
    assert_eq!(answers[0].status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_253_an_early_answer_does_not_let_the_body_become_a_request() {
    let world = World::start().await;
    let host = world.host();
    let hidden = smuggled(&host);
    // Refused by the guard without its body being read; the body looks like a request.
    let unsigned = format!(
        "POST /approvals HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{hidden}",
        hidden.len()
    );
    // Larger than is accepted; refused at once.
    let large = format!(
        "POST /small HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{hidden}",
        hidden.len()
    );
    let slow = format!(
        "POST /approvals HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n\r\n{hidden}"
    );
    for (request, status) in [(&unsigned, 401), (&large, 413), (&slow, 401)] {
        let closing = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let answers = send(world.addr, closing).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(answers[0].status, status);
        assert!(answers[0].is_complete);
    }
    assert!(world.upstream.requests().is_empty());
    // Where the connection goes on, it goes on with the next request and not with the body.
    let next = format!("GET /open/next HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answers = send(world.addr, format!("{unsigned}{next}")).await;
    assert_eq!(answers[0].status, 401);
    assert_nothing_smuggled(&world, "401");
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_254_h2c_by_upgrade_is_refused() {
    let world = World::start().await;
    let request = world.request(
        "GET",
        "/open",
        &[
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABk"),
        ],
    );
    let answers = send(world.addr, request).await;
    assert_eq!(answers[0].status, 400);
    assert_eq!(answers[0].member("cause"), "http.upgrade_refused");
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let world = World::start().await;
    let host = world.host();
    let mut text = String::new();
    for number in 0..20 {
        let body = "x".repeat(number * 400);
        let close = if number == 19 {
            "Connection: close\r\n"
        } else {
            ""
        };
        text.push_str(&format!(
            "POST /open/{number} HTTP/1.1\r\nHost: {host}\r\n{close}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    }
    let answers = send(world.addr, text).await;
    assert_eq!(answers.len(), 20);
    for (number, answer) in answers.iter().enumerate() {
        let start = format!("POST /open/{number} HTTP/1.1\n");
        assert!(answer.text().starts_with(&start), "{number}");
        assert_eq!(answer.body.len(), start.len() + number * 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_both_framings_arrive_whole() {
    let world = World::start().await;
    let host = world.host();
    let body = "0123456789abcdef\r\n\r\n".repeat(20_000);
    let by_length = format!(
        "POST /open/l HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut by_chunks =
        format!("POST /open/c HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
    for part in body.as_bytes().chunks(7777) {
        by_chunks.push_str(&format!(
            "{:X}\r\n{}\r\n",
            part.len(),
            String::from_utf8_lossy(part)
        ));
    }
    by_chunks.push_str("0\r\n\r\n");
    for request in [by_length, by_chunks] {
        let answer = ask(world.addr, request).await;
        assert_eq!(answer.status, 200);
        assert!(world.upstream.last().body == body.as_bytes());
    }
}

/// How many requests a parser that prefers one framing over the other sees in the bytes.
fn count_requests(mut bytes: &[u8], prefers_length: bool) -> usize {
    let mut count = 0;
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        count += 1;
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        bytes = &bytes[end + 4..];
        let length = head.split("content-length:").nth(1).and_then(|rest| {
            rest.trim_start()
                .split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse::<usize>()
                .ok()
        });
        let is_chunked = head.contains("transfer-encoding:");
        match (length, is_chunked) {
            (Some(length), false) => bytes = bytes.get(length..).unwrap_or_default(),
            (Some(length), true) if prefers_length => {
                bytes = bytes.get(length..).unwrap_or_default()
            }
            (_, true) => {
                let end = bytes.windows(5).position(|five| five == b"0\r\n\r\n");
                bytes = end.and_then(|end| bytes.get(end + 5..)).unwrap_or_default();
            }
            (None, false) => {}
        }
    }
    count
}

/// One edit of a valid byte sequence.
#[derive(Debug, Clone)]
enum Edit {
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index),
    Swap(prop::sample::Index, u8),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let pieces = prop_oneof![
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\t".to_vec()),
        Just(b"\0".to_vec()),
        Just(b",".to_vec()),
        Just(b"+".to_vec()),
        Just(b"0".to_vec()),
        Just(b"Content-Length: 5\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 1..3),
    ];
    let edit = prop_oneof![
        (any::<prop::sample::Index>(), pieces).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        any::<prop::sample::Index>().prop_map(Edit::Remove),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Swap(at, byte)),
    ];
    prop::collection::vec(edit, 0..4)
}

fn apply(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        match edit {
            Edit::Insert(at, piece) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, piece.iter().copied());
            }
            Edit::Remove(at) if !bytes.is_empty() => drop(bytes.remove(at.index(bytes.len()))),
            Edit::Swap(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Edit::Remove(_) | Edit::Swap(..) => {}
        }
    }
    bytes
}

/// Valid requests, edited at random: every request at the upstream has an answer at the client,
/// in number, and all ways to read what the upstream got agree.
#[test]
fn sc_250_no_edit_of_valid_requests_makes_two_of_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    let limits = |setup: &mut super::world::Setup| {
        let framing = &mut setup.listener.limits.framing;
        // Incomplete messages end quickly.
        framing.head_time = std::time::Duration::from_millis(30);
        framing.body_pause = std::time::Duration::from_millis(30);
        framing.idle = std::time::Duration::from_millis(30);
        framing.linger = std::time::Duration::from_millis(30);
    };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let sequence = prop::collection::vec(0_usize..4, 1..4);
    let outcome = runner.run(&(sequence, edits(), 1_usize..64), |(sequence, edits, size)| {
        runtime.block_on(async {
            let world = World::start_with(limits).await;
            let host = world.host();
            let valid = [
                format!("GET /open/a HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                format!("POST /open/b HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello"),
                format!("POST /open/c HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
                format!("GET /open/d HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n"),
            ];
            let whole: String = sequence.iter().map(|index| valid[*index].as_str()).collect();
            let bytes = apply(whole.into_bytes(), &edits);
            let parts: Vec<&[u8]> = bytes.chunks(size).collect();
            let answers = send_in_parts(world.addr, &parts).await;
            let answered = answers.iter().filter(|answer| answer.status == 200).count();
            let requests = world.upstream.requests();
            prop_assert_eq!(requests.len(), answered, "{:?} {:?}", &requests, &answers);
            for raw in world.upstream.raw() {
                let seen = [count_requests(&raw, true), count_requests(&raw, false)];
                prop_assert_eq!(seen[0], seen[1]);
            }
            prop_assert!(requests.len() <= sequence.len() + edits.len());
            Ok(())
        })
    });
    outcome.expect("no disagreement");
}
