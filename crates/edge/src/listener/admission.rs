//! What is checked on every request before any service sees it.

use std::borrow::Cow;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method, Request, Version};
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::uri::Origin;

use crate::framing::Violation;

/// Which hosts and web origins a listener serves.
#[derive(Debug)]
pub(super) struct Admission {
    authorities: Vec<String>,
    web_origins: Vec<String>,
}

impl Admission {
    pub(super) fn new(origins: &[Origin], web_origins: &[Origin]) -> Self {
        let with_port = |origin: &Origin| format!("{}:{}", origin.host(), origin.port());
        let mut authorities: Vec<String> = origins
            .iter()
            .flat_map(|origin| [origin.authority().to_owned(), with_port(origin)])
            .collect();
        authorities.dedup();
        let web_origins = origins
            .iter()
            .chain(web_origins)
            .map(|origin| origin.as_str().to_owned())
            .collect();
        Self {
            authorities,
            web_origins,
        }
    }

    /// Admits a request, with the host it names, or says why not.
    pub(super) fn admit<'r, B>(&self, request: &'r Request<B>) -> Result<Cow<'r, str>, Rejection> {
        check_reserved_method(request.method())?;
        if request.version() == Version::HTTP_2 {
            check_http2(request)?;
        }
        let authority = self.check_host(request)?;
        self.check_web_origin(request.headers())?;
        Ok(String::from_utf8_lossy(without_port(authority)))
    }

    /// The one authority a request names, in its target, its `Host` or both, must be ours.
    fn check_host<'r, B>(&self, request: &'r Request<B>) -> Result<&'r [u8], Rejection> {
        let mut hosts = request.headers().get_all(HOST).iter();
        let host = hosts.next().map(http::HeaderValue::as_bytes);
        if hosts.next().is_some() {
            return Err(Violation::HostRepeated.rejection());
        }
        let in_target = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let named = match (in_target, host) {
            (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => {
                return Err(Rejection::new(Cause::HostMisdirected).got("two different hosts"));
            }
            (Some(named), _) | (None, Some(named)) => named,
            (None, None) => return Err(Violation::HostMissing.rejection()),
        };
        if self
            .authorities
            .iter()
            .any(|ours| named.eq_ignore_ascii_case(ours.as_bytes()))
        {
            return Ok(named);
        }
        let shown = String::from_utf8_lossy(named);
        Err(Rejection::new(Cause::HostMisdirected)
            .expected(self.authorities.join(" or "))
            .got(shown))
    }

    /// A page of another origin in a browser on this machine is not let in, whatever it sends.
    fn check_web_origin(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        for origin in headers.get_all(ORIGIN) {
            if !self
                .web_origins
                .iter()
                .any(|ours| origin.as_bytes() == ours.as_bytes())
            {
                let shown = String::from_utf8_lossy(origin.as_bytes()).into_owned();
                return Err(Rejection::new(Cause::OriginForeign).got(shown));
            }
        }
        Ok(())
    }
}

/// The host of an authority that is one of ours.
fn without_port(authority: &[u8]) -> &[u8] {
    let is_port = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    match authority.iter().rposition(|byte| *byte == b':') {
        Some(colon) if is_port(authority.get(colon + 1..).unwrap_or_default()) => {
            authority.get(..colon).unwrap_or_default()
        }
        _ => authority,
    }
}

/// A method that starts with `!` is the framing layer's marker; from an HTTP/2 client it is
/// merely a method nobody has.
fn check_reserved_method(method: &Method) -> Result<(), Rejection> {
    match method.as_str().strip_prefix('!') {
        None => Ok(()),
        Some(id) => Err(Violation::from_id(id)
            .unwrap_or(Violation::Method)
            .rejection()),
    }
}

/// The rules of the framing layer that HTTP/2 does not have by itself.
fn check_http2<B>(request: &Request<B>) -> Result<(), Rejection> {
    if request.method() == Method::CONNECT {
        return Err(Violation::MethodConnect.rejection());
    }
    if request
        .headers()
        .keys()
        .any(|name| name.as_str().contains('_'))
    {
        return Err(Violation::FieldNameUnderscore.rejection());
    }
    if request.headers().contains_key(http::header::UPGRADE) {
        return Err(Violation::Upgrade.rejection());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        let origin = |text| Origin::parse(text).expect("origin");
        Admission::new(
            &[
                origin("https://api.example.com"),
                origin("http://127.0.0.1:9401"),
            ],
            &[origin("https://app.example.com")],
        )
    }

    fn refusal(target: &str, fields: &[(&str, &str)], version: Version) -> Option<Cause> {
        let mut request = Request::builder().uri(target).version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("request");
        admission()
            .admit(&request)
            .err()
            .map(|rejection| rejection.cause())
    }

    #[test]
    fn foreign_hosts_are_misdirected() {
        let foreign = Some(Cause::HostMisdirected);
        for host in [
            "evil.example",
            "localhost:9401",
            "127.0.0.1",
            "127.0.0.1:94010",
            "api.example.com.",
        ] {
            assert_eq!(
                refusal("/", &[("host", host)], Version::HTTP_11),
                foreign,
                "{host}"
            );
            let absolute = format!("http://{host}/");
            assert_eq!(
                refusal(&absolute, &[("host", host)], Version::HTTP_11),
                foreign,
                "{host}"
            );
            assert_eq!(refusal(&absolute, &[], Version::HTTP_2), foreign, "{host}");
        }
        let mismatch = refusal(
            "http://127.0.0.1:9401/",
            &[("host", "api.example.com")],
            Version::HTTP_11,
        );
        assert_eq!(mismatch, foreign);
        assert_eq!(refusal("/", &[], Version::HTTP_10), Some(Cause::Framing));
        let twice = [("host", "api.example.com"), ("host", "api.example.com")];
        assert_eq!(refusal("/", &twice, Version::HTTP_2), Some(Cause::Framing));
    }

    #[test]
    fn foreign_web_origins_are_refused() {
        for origin in [
            "https://evil.example",
            "null",
            "https://app.example.com.evil.example",
            "http://app.example.com",
            "",
        ] {
            let fields = [("host", "api.example.com"), ("origin", origin)];
            assert_eq!(
                refusal("/", &fields, Version::HTTP_11),
                Some(Cause::OriginForeign),
                "{origin}"
            );
        }
        let both = [
            ("host", "api.example.com"),
            ("origin", "https://app.example.com"),
            ("origin", "https://evil.example"),
        ];
        assert_eq!(
            refusal("/", &both, Version::HTTP_11),
            Some(Cause::OriginForeign)
        );
    }

    #[test]
    fn http2_gets_the_rules_that_framing_enforces_for_http1() {
        let target = "https://api.example.com/";
        assert_eq!(
            refusal(target, &[("a_b", "c")], Version::HTTP_2),
            Some(Cause::Framing)
        );
        assert_eq!(
            refusal(target, &[("upgrade", "h2c")], Version::HTTP_2),
            Some(Cause::UpgradeRefused)
        );
        let connect = Request::builder()
            .method("CONNECT")
            .uri(target)
            .version(Version::HTTP_2)
            .body(());
        let refused = admission()
            .admit(&connect.expect("request"))
            .expect_err("refused");
        assert_eq!(refused.cause(), Cause::MethodNotAllowed);
    }

    #[test]
    fn configured_hosts_and_origins_are_admitted() {
        for host in ["api.example.com", "API.example.com:443", "127.0.0.1:9401"] {
            assert_eq!(
                refusal("/", &[("host", host)], Version::HTTP_11),
                None,
                "{host}"
            );
        }
        for origin in [
            "https://app.example.com",
            "https://api.example.com",
            "http://127.0.0.1:9401",
        ] {
            let fields = [("host", "api.example.com"), ("origin", origin)];
            assert_eq!(refusal("/", &fields, Version::HTTP_11), None, "{origin}");
        }
        assert_eq!(
            refusal("https://api.example.com/", &[], Version::HTTP_2),
            None
        );
    }
}
