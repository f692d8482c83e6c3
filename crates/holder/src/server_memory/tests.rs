//! What is kept of an answer and what is not.

use http::HeaderValue;

use super::*;

const AS: NonceRole = NonceRole::AuthorizationServer;
const RS: NonceRole = NonceRole::ResourceServer;
/// Sun, 06 Nov 1994 08:49:37 GMT
const THEN: u64 = 784_111_777_000;

fn origin(host: &str) -> Origin {
    Origin::parse(&format!("https://{host}")).expect("an origin")
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

fn at(millis: u64) -> Span {
    Span {
        sent: millis,
        received: millis,
    }
}

#[test]
fn malformed_and_repeated_nonces_are_not_kept() {
    let memory = ServerMemory::default();
    let host = origin("a.example");
    let long = "n".repeat(MAX_NONCE_BYTES + 1);
    for fields in [
        vec![("dpop-nonce", "")],
        vec![("dpop-nonce", "a b")],
        vec![("dpop-nonce", "a\"b")],
        vec![("dpop-nonce", "a\\b")],
        vec![("dpop-nonce", long.as_str())],
        vec![("dpop-nonce", "a"), ("dpop-nonce", "b")],
    ] {
        assert_eq!(memory.learn(&host, RS, &headers(&fields), at(0)), None);
    }
    assert_eq!(memory.nonce(&host, RS), None);
}

#[test]
fn nonces_are_kept_per_origin_and_role() {
    let memory = ServerMemory::default();
    let (a, b) = (origin("a.example"), origin("b.example"));
    memory.learn(&a, RS, &headers(&[("dpop-nonce", "one")]), at(0));
    memory.learn(&a, AS, &headers(&[("dpop-nonce", "two")]), at(0));
    memory.learn(&a, RS, &headers(&[("dpop-nonce", "three")]), at(0));
    memory.learn(&a, RS, &headers(&[]), at(0));
    assert_eq!(memory.nonce(&a, RS).as_deref(), Some("three"));
    assert_eq!(memory.nonce(&a, AS).as_deref(), Some("two"));
    assert_eq!(memory.nonce(&b, RS), None);
}

#[test]
fn the_server_longest_unheard_is_forgotten() {
    let memory = ServerMemory::default();
    let host = |i: usize| origin(&format!("h{i}.example"));
    for i in 0..=MAX_SERVERS {
        memory.learn(&host(i), RS, &headers(&[("dpop-nonce", "n")]), at(0));
        memory.learn(&host(0), RS, &headers(&[("dpop-nonce", "m")]), at(0));
    }
    assert_eq!(memory.table.lock().servers.len(), MAX_SERVERS);
    assert_eq!(memory.nonce(&host(1), RS), None);
    assert_eq!(memory.nonce(&host(0), RS).as_deref(), Some("m"));
}

#[test]
fn skew_is_bounded_and_negligible_skew_ignored() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let learned = |span: Span, fields: &[(&'static str, &str)]| {
        let memory = ServerMemory::default();
        memory.learn(&origin("a.example"), AS, &headers(fields), span);
        memory.skew(&origin("a.example"))
    };
    let day = 86_400_000;
    for (millis, skew) in [
        (THEN, 0),
        (THEN + 999, 0),
        (THEN - 2000, 0),
        (THEN - 3000, 3),
        (THEN + 2999, -3),
        (THEN + 60_000, -60),
        (THEN - 90_000, 90),
        (THEN + day, -86_400),
        (THEN + day + 1000, 0),
        (THEN - day - 1000, 0),
    ] {
        assert_eq!(learned(at(millis), &[("date", date)]), skew, "{millis}");
    }
    let slow = Span {
        sent: THEN - 10_000,
        received: THEN + 10_000,
    };
    assert_eq!(learned(slow, &[("date", date)]), 0);
    // The answer to a long poll is dated at its end.
    let long_poll = Span {
        sent: THEN - 20_000,
        received: THEN + 600,
    };
    assert_eq!(learned(long_poll, &[("date", date)]), 0);
    let cached = [("date", date), ("age", "60")];
    assert_eq!(learned(at(THEN + 60_000), &cached), 0);
    assert_eq!(learned(at(THEN + 60_000), &[("date", "yesterday")]), 0);
}

#[test]
fn server_time_follows_the_skew_of_that_server_only() {
    let memory = ServerMemory::default();
    let date = headers(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    memory.learn(&origin("a.example"), RS, &date, at(THEN + 100_000));
    let now = UnixTime::from_secs(1000);
    let time = |host| memory.server_time(&origin(host), now).as_secs();
    assert_eq!((time("a.example"), time("b.example")), (900, 1000));
}
