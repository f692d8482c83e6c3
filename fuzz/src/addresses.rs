//! Addresses: what they are compared by must not change when it is written and read again.

use keybound_proto::uri::{HttpUrl, Htu, Origin, UriError, request_target as target};

/// The `htu` claim, and the same text as a request target.
pub(crate) fn htu(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let origin = Origin::parse("https://api.example.com").expect("a valid origin");
    if let Ok(htu) = Htu::for_request(&origin, text) {
        check_canonical(&htu);
        assert!(htu.as_str().starts_with("https://api.example.com/"));
    }
    let Ok(htu) = Htu::parse(text) else {
        return false;
    };
    check_canonical(&htu);
    assert_eq!(htu.is_named_by(text), Ok(true));
    true
}

fn check_canonical(htu: &Htu) {
    let text = htu.as_str();
    let again = Htu::parse(text).expect("a canonical target is readable");
    assert_eq!(
        again.as_str(),
        text,
        "writing and reading changes the target"
    );
    assert!(!text.contains(['?', '#', '\\', ' ']));
    assert!(htu.path().starts_with('/'));
    let dots = |segment: &str| matches!(segment, "." | "..");
    assert!(!htu.path().split('/').any(dots), "a dot segment is left");
}

/// An absolute URL keeps its text.
pub(crate) fn http_url(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(url) = HttpUrl::parse(text) else {
        return false;
    };
    assert_eq!(url.as_str(), text);
    assert!(text.starts_with(url.without_query()));
    assert!(url.without_query().ends_with(url.path()));
    let htu = Htu::parse(text).expect("a URL is a target");
    assert!(htu.as_str().starts_with(url.origin().as_str()));
    true
}

/// An origin is written in one way.
pub(crate) fn origin(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(origin) = Origin::parse(text) else {
        return false;
    };
    let again = Origin::parse(origin.as_str()).expect("a canonical origin is readable");
    assert_eq!(again, origin);
    assert_eq!(again.as_str(), origin.as_str());
    assert!(!origin.host().is_empty());
    true
}

/// A target that is let through means the same path to everybody.
pub(crate) fn request_target(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(path) = target::check(text) else {
        return false;
    };
    assert!(text.starts_with(path) && path.starts_with('/'));
    assert!(text.is_ascii());
    let mut decoded = path.to_owned();
    // Twice, since some servers do.
    for _ in 0..2 {
        for (escape, byte) in [("%2e", "."), ("%2E", ".")] {
            decoded = decoded.replace(escape, byte);
        }
    }
    let dots = |segment: &str| matches!(segment, "." | "..");
    assert!(
        !decoded.split('/').any(dots),
        "a dot segment is let through"
    );
    for forbidden in [
        "\\", "%2f", "%2F", "%5c", "%5C", "#", " ", "%00", "%0a", "%0A", "%0d", "%0D",
    ] {
        assert!(!path.contains(forbidden), "{forbidden:?} is let through");
    }
    let origin = Origin::parse("https://api.example.com").expect("a valid origin");
    match Htu::for_request(&origin, text) {
        Ok(htu) => assert!(htu.path().starts_with('/')),
        // The path alone fits where origin and path together do not.
        Err(error) => assert_eq!(error, UriError::TooLong, "an unambiguous target has an htu"),
    }
    true
}
