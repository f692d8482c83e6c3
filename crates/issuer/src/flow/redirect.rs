//! Redirect URIs: which a client may register, and which registered one a request names
//! (RFC 6749 section 3.1.2, RFC 9700 section 2.1, RFC 8252 section 7.3).
//!
//! Compared as exact strings, with one exception: where the registered URI is plain HTTP on the
//! loopback host, its port may be any, because a program on a person's machine takes whatever
//! port is free.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use keybound_proto::uri::{HttpUrl, Origin, Scheme};

/// The longest redirect URI, in bytes.
pub const MAX_REDIRECT_URI: usize = 2048;

/// Whether a client may register this URI: HTTPS, or plain HTTP on the loopback host; no
/// fragment, no user information.
#[must_use]
pub fn is_acceptable(uri: &str) -> bool {
    if uri.len() > MAX_REDIRECT_URI {
        return false;
    }
    HttpUrl::parse(uri)
        .is_ok_and(|url| url.origin().scheme() == Scheme::Https || is_loopback_host(url.origin()))
}

/// Whether `asked` is the registered URI.
#[must_use]
pub fn is_registered(asked: &str, registered: &[String]) -> bool {
    registered
        .iter()
        .any(|known| known == asked || differs_in_loopback_port(asked, known))
}

fn differs_in_loopback_port(asked: &str, known: &str) -> bool {
    let (Ok(asked_url), Ok(known_url)) = (HttpUrl::parse(asked), HttpUrl::parse(known)) else {
        return false;
    };
    let (asked_origin, known_origin) = (asked_url.origin(), known_url.origin());
    let rest = |text: &str, url: &HttpUrl| {
        let origin = url.origin_as_given().len();
        text.get(origin..).map(str::to_owned)
    };
    known_origin.scheme() == Scheme::Http
        && asked_origin.scheme() == Scheme::Http
        && is_loopback_host(known_origin)
        && asked_origin.host() == known_origin.host()
        && rest(asked, &asked_url) == rest(known, &known_url)
}

fn is_loopback_host(origin: &Origin) -> bool {
    let host = origin.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || matches!(
            address.parse(),
            Ok(IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST))
        )
}

#[cfg(test)]
mod tests {
    use super::{is_acceptable, is_registered};

    #[test]
    fn sc_147_dangerous_redirects_are_not_acceptable() {
        for uri in [
            "javascript:alert(1)",
            "http://client.example/cb",
            "http://127.0.0.2/cb",
            "https://user@client.example/cb",
            "https://client.example/cb#part",
            "//client.example/cb",
            "https:///cb",
            "",
        ] {
            assert!(!is_acceptable(uri), "{uri}");
        }
        for uri in [
            "https://client.example/cb",
            "https://client.example/cb?a=b",
            "http://127.0.0.1/cb",
            "http://[::1]:3000/cb",
            "http://localhost:3000/cb",
        ] {
            assert!(is_acceptable(uri), "{uri}");
        }
    }

    #[test]
    fn only_the_port_of_a_loopback_redirect_may_differ() {
        let registered = [
            "http://127.0.0.1/cb".to_owned(),
            "https://c.example/cb".to_owned(),
        ];
        for uri in [
            "http://127.0.0.1:3000/cb/",
            "http://127.0.0.1:3000/cb?x=1",
            "http://localhost:3000/cb",
            "https://127.0.0.1:3000/cb",
            "https://c.example:8443/cb",
            "https://c.example/CB",
            "https://c.example/cb/../cb",
            "https://c.example/cb?",
        ] {
            assert!(!is_registered(uri, &registered), "{uri}");
        }
        assert!(is_registered("http://127.0.0.1:3000/cb", &registered));
        assert!(is_registered("https://c.example/cb", &registered));
    }
}
