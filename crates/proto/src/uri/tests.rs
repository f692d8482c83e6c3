//! The equivalence tests of the `htu` rows, refusals first, and properties
//! that hold for every text.

use proptest::prelude::*;

use super::request_target::{AmbiguousTarget, check};
use super::{HttpUrl, Htu, MAX_URL_BYTES, Origin, UriError};

fn htu(text: &str) -> Htu {
    Htu::parse(text).expect(text)
}

fn same(a: &str, b: &str) -> bool {
    htu(a) == htu(b)
}

#[test]
fn sc_053_another_host_scheme_port_or_path_differs() {
    let target = "https://api.example.com/token";
    for other in [
        "https://api.example.org/token",
        "https://api.example.com./token",
        "http://api.example.com/token",
        "https://api.example.com:8443/token",
        "https://api.example.com:80/token",
        "https://api.example.com/tokens",
        "https://api.example.com/",
    ] {
        assert!(!same(target, other), "{other}");
    }
}

#[test]
fn sc_054_query_and_fragment_are_ignored_on_both_sides() {
    assert!(same("https://h.example/t?a=b#c", "https://h.example/t"));
    assert!(same("https://h.example/t#/x?y", "https://h.example/t"));
    assert!(same("https://h.example?x", "https://h.example/"));
    let origin = Origin::parse("https://h.example").expect("origin");
    let request = Htu::for_request(&origin, "/t?a=b").expect("target");
    assert_eq!(request, htu("https://h.example/t"));
    assert_eq!(request.is_named_by("https://h.example/t?z#f"), Ok(true));
}

#[test]
fn sc_055_case_of_scheme_and_host_and_the_default_port_do_not_matter() {
    assert!(same("HTTPS://H.Example:443/t", "https://h.example/t"));
    assert!(same("http://h.example:/t", "http://h.example:80/t"));
    assert!(same("http://h.example:0080/t", "http://h.example/t"));
    assert!(same("http://[::1]/t", "http://[0:0:0:0:0:0:0:1]:80/t"));
    assert!(same("http://[2001:DB8::A]/t", "http://[2001:db8::a]/t"));
    assert!(same("https://%68.example/t", "https://h.example/t"));
}

#[test]
fn sc_056_a_trailing_slash_is_significant() {
    assert!(!same("https://h.example/x", "https://h.example/x/"));
    assert!(same("https://h.example", "https://h.example/"));
}

#[test]
fn sc_057_percent_escapes() {
    assert!(!same("https://h.example/a%2Fb", "https://h.example/a/b"));
    assert!(!same("https://h.example/a%3bb", "https://h.example/a;b"));
    assert!(!same(
        "https://h.example/%2574oken",
        "https://h.example/token"
    ));
    assert!(same("https://h.example/%74oken", "https://h.example/token"));
    assert!(same("https://h.example/a%2fb", "https://h.example/a%2Fb"));
    assert!(same("https://h.example/%7Ea", "https://h.example/~a"));
}

#[test]
fn sc_058_paths() {
    for (a, b) in [
        ("/token", "//token"),
        ("/token", "/TOKEN"),
        ("/token", "/token;v=1"),
        ("/a/..%2Ftoken", "/token"),
        ("/%252e%252e/token", "/token"),
    ] {
        let (a, b) = (
            format!("https://h.example{a}"),
            format!("https://h.example{b}"),
        );
        assert!(!same(&a, &b), "{a} {b}");
    }
    for (written, canonical) in [
        ("/a/../token", "/token"),
        ("/%2e%2E/token", "/token"),
        ("/a/.%2e/token", "/token"),
        ("/./a/./b", "/a/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/..", "/"),
        ("/../..", "/"),
        ("//..", "/"),
        ("/a//../b", "/a/b"),
        ("/..//x", "//x"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a..", "/a.."),
    ] {
        assert_eq!(
            htu(&format!("https://h.example{written}")).path(),
            canonical,
            "{written}"
        );
    }
}

#[test]
fn sc_060_what_is_not_an_absolute_http_url_is_refused() {
    let long = format!("https://h.example/{}", "a".repeat(MAX_URL_BYTES));
    let long_query = format!("https://h.example/?{}", "a".repeat(super::MAX_QUERY_BYTES));
    for (text, error) in [
        ("", UriError::Relative),
        ("/kas/v2/rewrap", UriError::Relative),
        ("//h.example/t", UriError::Relative),
        ("h.example/t", UriError::Relative),
        ("h.example:443/t", UriError::Relative),
        ("https:h.example", UriError::Relative),
        ("https:/h.example", UriError::Relative),
        (" https://h.example/", UriError::Relative),
        ("ftp://h.example/t", UriError::SchemeUnsupported),
        ("wss://h.example/t", UriError::SchemeUnsupported),
        ("https://", UriError::HostEmpty),
        ("https:///t", UriError::HostEmpty),
        ("https://:443/t", UriError::HostEmpty),
        ("https://user@h.example/t", UriError::HasUserinfo),
        ("https://user:pw@h.example/t", UriError::HasUserinfo),
        ("https://@h.example/t", UriError::HasUserinfo),
        ("https://h.example:x/t", UriError::PortMalformed),
        ("https://h.example:+1/t", UriError::PortMalformed),
        ("https://h.example:0/t", UriError::PortMalformed),
        ("https://h.example:65536/t", UriError::PortMalformed),
        ("https://h.example:1:2/t", UriError::PortMalformed),
        ("https://h..example/t", UriError::HostMalformed),
        ("https://h%2eexample%/t", UriError::BadPercentEncoding),
        ("https://h%2fexample/t", UriError::HostMalformed),
        ("https://h example/t", UriError::HostMalformed),
        ("https://h\\example/t", UriError::HostMalformed),
        ("https://\u{e9}.example/t", UriError::HostMalformed),
        ("https://0x7f.1/t", UriError::HostMalformed),
        ("https://2130706433/t", UriError::HostMalformed),
        ("https://127.0.0.1./t", UriError::HostMalformed),
        ("https://127.1/t", UriError::HostMalformed),
        ("https://[::1/t", UriError::HostMalformed),
        ("https://[::1]x/t", UriError::HostMalformed),
        ("https://::1/t", UriError::HostEmpty),
        ("https://[fe80::1%25eth0]/t", UriError::HostMalformed),
        ("https://[v1.x]/t", UriError::HostMalformed),
        ("https://h.example/%", UriError::BadPercentEncoding),
        ("https://h.example/%4", UriError::BadPercentEncoding),
        ("https://h.example/%zz", UriError::BadPercentEncoding),
        ("https://h.example/%+1", UriError::BadPercentEncoding),
        ("https://h.example/a b", UriError::ForbiddenByte),
        ("https://h.example/a\\b", UriError::ForbiddenByte),
        ("https://h.example/a\u{0}", UriError::ForbiddenByte),
        ("https://h.example/\u{e9}", UriError::ForbiddenByte),
        ("https://h.example/a\n", UriError::ForbiddenByte),
        ("https://h.example/?a\n", UriError::ForbiddenByte),
        ("https://h.example/#\u{e9}", UriError::ForbiddenByte),
        ("https://h.example/#a#b", UriError::ForbiddenByte),
        (&long, UriError::TooLong),
        (&long_query, UriError::TooLong),
    ] {
        assert_eq!(Htu::parse(text), Err(error), "{text}");
        assert!(HttpUrl::parse(text).is_err(), "{text}");
        assert!(Origin::parse(text).is_err(), "{text}");
    }
}

#[test]
fn sc_062_the_origin_decides_and_not_the_request() {
    let origin = Origin::parse("https://api.example.com").expect("origin");
    for target in ["http://evil.example/t", "evil.example/t", "*", ""] {
        // An absolute-form or authority-form target never replaces the
        // origin; at most the path is taken from what begins with a slash.
        let parsed = Htu::for_request(&origin, target);
        assert!(parsed.is_err() || target.is_empty(), "{target}");
    }
    let double = Htu::for_request(&origin, "//evil.example/t").expect("a path");
    assert_eq!(double.as_str(), "https://api.example.com//evil.example/t");
}

#[test]
fn sc_257_ambiguous_request_targets_are_refused() {
    for (target, error) in [
        ("", AmbiguousTarget::NotOriginForm),
        ("*", AmbiguousTarget::NotOriginForm),
        ("?x", AmbiguousTarget::NotOriginForm),
        ("http://h.example/a", AmbiguousTarget::NotOriginForm),
        ("/a/../b", AmbiguousTarget::DotSegment),
        ("/a/..", AmbiguousTarget::DotSegment),
        ("/.", AmbiguousTarget::DotSegment),
        ("/./a", AmbiguousTarget::DotSegment),
        ("/%2e/a", AmbiguousTarget::DotSegment),
        ("/%2E%2e/a", AmbiguousTarget::DotSegment),
        ("/a/.%2e", AmbiguousTarget::DotSegment),
        ("/a/..;/b", AmbiguousTarget::DotSegment),
        ("/a/..;x=y/b", AmbiguousTarget::DotSegment),
        ("/a/%2e%2e%3bx/b", AmbiguousTarget::DotSegment),
        ("/a%2fb", AmbiguousTarget::EncodedSlash),
        ("/a%2Fb", AmbiguousTarget::EncodedSlash),
        ("/a\\b", AmbiguousTarget::Backslash),
        ("/a%5cb", AmbiguousTarget::Backslash),
        ("/a#b", AmbiguousTarget::Fragment),
        ("/a?b#c", AmbiguousTarget::Fragment),
        ("/a b", AmbiguousTarget::ControlByte),
        ("/a\tb", AmbiguousTarget::ControlByte),
        ("/a?b\r\nx", AmbiguousTarget::ControlByte),
        ("/a%00b", AmbiguousTarget::ControlByte),
        ("/a%0d%0ab", AmbiguousTarget::ControlByte),
        ("/a%7fb", AmbiguousTarget::ControlByte),
        ("/\u{e9}", AmbiguousTarget::NonAscii),
        ("/a?\u{e9}", AmbiguousTarget::NonAscii),
        ("/a%", AmbiguousTarget::BadPercentEncoding),
        ("/a%2", AmbiguousTarget::BadPercentEncoding),
        ("/a%gg", AmbiguousTarget::BadPercentEncoding),
        ("/a{b}", AmbiguousTarget::ForbiddenByte),
        ("/a|b", AmbiguousTarget::ForbiddenByte),
    ] {
        assert_eq!(check(target), Err(error), "{target:?}");
    }
    for (target, path) in [
        ("/", "/"),
        ("/a//b/", "/a//b/"),
        ("/a;v=1/b?c=../d%2f%zz|{}", "/a;v=1/b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a..b", "/a..b"),
        ("/;x", "/;x"),
        ("/%41%c3%a9", "/%41%c3%a9"),
    ] {
        assert_eq!(check(target), Ok(path), "{target:?}");
    }
}

#[test]
fn origins() {
    for text in [
        "https://h.example/",
        "https://h.example?x",
        "https://h.example#",
        "null",
    ] {
        assert!(Origin::parse(text).is_err(), "{text}");
    }
    let origin = Origin::parse("http://[::0001]:9401").expect("origin");
    assert_eq!(origin.to_string(), "http://[::1]:9401");
    assert_eq!(origin.authority(), "[::1]:9401");
    assert_eq!((origin.host(), origin.port()), ("[::1]", 9401));
    for (text, loopback) in [
        ("http://localhost", true),
        ("http://LOCALHOST:9400", true),
        ("http://127.8.9.1", true),
        ("http://[::1]", true),
        ("http://localhost.", false),
        ("http://localhost.example", false),
        ("http://127.0.0.1.example", false),
        ("http://[::ffff:127.0.0.1]", false),
        ("http://0.0.0.0", false),
        ("http://10.0.0.1", false),
    ] {
        let origin = Origin::parse(text).expect(text);
        assert_eq!(origin.is_loopback(), loopback, "{text}");
        assert_eq!(origin.is_confidential(), loopback, "{text}");
    }
}

#[test]
fn http_urls_keep_their_text() {
    let text = "HTTP://LOCALHOST:80/a/../%7eb?q=1";
    let url = HttpUrl::parse(text).expect("url");
    assert_eq!(url.to_string(), text);
    assert_eq!(url.without_query(), "HTTP://LOCALHOST:80/a/../%7eb");
    assert_eq!(url.origin_as_given(), "HTTP://LOCALHOST:80");
    assert_eq!(url.path(), "/a/../%7eb");
    assert_eq!(url.query(), Some("q=1"));
    assert_eq!(url.origin().as_str(), "http://localhost");
    let bare = HttpUrl::parse("https://h.example?x").expect("url");
    assert_eq!((bare.path(), bare.query()), ("", Some("x")));
    assert_ne!(
        HttpUrl::parse("https://h.example"),
        HttpUrl::parse("https://H.example")
    );
    assert_eq!(
        HttpUrl::parse("https://h.example/#"),
        Err(UriError::HasFragment)
    );
}

/// Texts that are nearly URLs, so that the interesting branches are reached.
fn nearly_a_url() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("https://"),
        Just("HTTP://"),
        Just("h.example"),
        Just("[::1]"),
        Just("127.0.0.1"),
        Just(":443"),
        Just(":"),
        Just("/"),
        Just("//"),
        Just("."),
        Just(".."),
        Just("%2e"),
        Just("%2F"),
        Just("%2f"),
        Just("%74"),
        Just("%"),
        Just("@"),
        Just("?"),
        Just("#"),
        Just(";"),
        Just("\\"),
        Just("\u{e9}"),
        Just("\0"),
        Just("a"),
        Just("Z~"),
    ];
    let tail = proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat());
    prop_oneof![
        tail.clone(),
        tail.prop_map(|tail| format!("https://h.example/{tail}")),
        any::<String>(),
    ]
}

/// An independent, literal transcription of RFC 3986 section 5.2.4.
fn remove_dot_segments_by_the_letter(path: &str) -> String {
    let (mut input, mut output) = (path.to_owned(), String::new());
    while !input.is_empty() {
        if input.starts_with("/./") {
            input = input[2..].to_owned();
        } else if input == "/." {
            input = "/".to_owned();
        } else if input.starts_with("/../") || input == "/.." {
            input = if input == "/.." {
                "/".to_owned()
            } else {
                input[3..].to_owned()
            };
            output.truncate(output.rfind('/').unwrap_or(0));
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..end]);
            input = input[end..].to_owned();
        }
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics(text in nearly_a_url()) {
        let _ = (Htu::parse(&text), HttpUrl::parse(&text), Origin::parse(&text), check(&text));
    }

    #[test]
    fn normalisation_is_idempotent(text in nearly_a_url()) {
        if let Ok(once) = Htu::parse(&text) {
            prop_assert_eq!(Htu::parse(once.as_str()), Ok(once.clone()));
            prop_assert!(once.path().starts_with('/'));
            prop_assert_eq!(once.is_named_by(&text), Ok(true));
        }
    }

    #[test]
    fn equal_exactly_when_canonical_texts_are(a in nearly_a_url(), b in nearly_a_url()) {
        if let (Ok(a), Ok(b)) = (Htu::parse(&a), Htu::parse(&b)) {
            prop_assert_eq!(a == b, a.as_str() == b.as_str());
        }
    }

    #[test]
    fn dot_segments_vanish_as_the_rfc_writes_it(
        segments in proptest::collection::vec(prop_oneof![Just("."), Just(".."), Just(""), Just("a"), Just("...")], 1..10)
    ) {
        let path = format!("/{}", segments.join("/"));
        let htu = htu(&format!("https://h.example{path}"));
        prop_assert_eq!(htu.path(), remove_dot_segments_by_the_letter(&path));
    }

    #[test]
    fn a_request_and_its_own_url_agree(path in "(/[a-zA-Z0-9.;%~-]{0,6}){1,5}") {
        let origin = Origin::parse("https://h.example").expect("origin");
        let claim = format!("https://h.example{path}");
        prop_assert_eq!(Htu::for_request(&origin, &path), Htu::parse(&claim));
    }

    #[test]
    fn a_target_that_passes_has_no_dot_segment_left(text in nearly_a_url()) {
        let origin = Origin::parse("https://h.example").expect("origin");
        if let Ok(path) = check(&text) {
            let htu = Htu::for_request(&origin, path);
            let htu = htu.expect("a path that passes is a path");
            // Only letters of escapes may change; the segments stay.
            prop_assert_eq!(htu.path().split('/').count(), path.split('/').count());
        }
    }
}
