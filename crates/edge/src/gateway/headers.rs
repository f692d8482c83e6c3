//! Which fields cross the gateway, in both directions.
//!
//! Towards the upstream go the client's end-to-end fields, minus its credentials and minus
//! everything that the gateway itself says: identity, forwarding, method overrides
//! (RFC 9110 section 7.6.1; SECURITY: a field the gateway sets must never have two authors).
//! Back go the upstream's end-to-end fields.

use std::net::SocketAddr;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use keybound_proto::uri::Origin;

use crate::forwarded_certificate::is_certificate_field;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Removes what a client must not say to the upstream.
pub(super) fn strip_request(
    headers: &mut HeaderMap,
    keeps_credentials: bool,
    identity_fields: &[HeaderName],
) {
    strip_listed_by_connection(headers);
    let is_credential = |name: &str| {
        matches!(
            name,
            "authorization" | "dpop" | "workload-identity-token" | "workload-proof-token"
        )
    };
    let mut stripped: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        let text = name.as_str();
        let goes = is_for_one_hop(text)
            || is_the_gateways(text)
            || is_certificate_field(text)
            || (is_credential(text) && !keeps_credentials)
            || identity_fields.contains(name);
        if goes {
            stripped.push(name.clone());
        }
    }
    for name in stripped {
        headers.remove(name);
    }
}

/// Says who forwards for whom. Call after [`strip_request`].
pub(super) fn set_forwarding(
    headers: &mut HeaderMap,
    public: &PublicOrigin,
    upstream_authority: &HeaderValue,
    peer: Option<SocketAddr>,
) {
    headers.insert(HOST, upstream_authority.clone());
    headers.insert(X_FORWARDED_HOST, public.host.clone());
    headers.insert(X_FORWARDED_PROTO, public.scheme.clone());
    let address = peer.map(|peer| peer.ip().to_canonical().to_string());
    if let Some(value) = address.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(X_FORWARDED_FOR, value);
    }
}

/// Removes what an upstream said to the gateway alone. `Content-Length` stays: it was the
/// library's to check, and answers to `HEAD` need it.
pub(super) fn strip_response(headers: &mut HeaderMap) {
    strip_listed_by_connection(headers);
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
}

/// The gateway's public origin as field values.
#[derive(Debug)]
pub(super) struct PublicOrigin {
    host: HeaderValue,
    scheme: HeaderValue,
}

impl PublicOrigin {
    pub(super) fn new(origin: &Origin) -> Self {
        Self {
            host: authority_value(origin),
            scheme: HeaderValue::from_static(origin.scheme().name()),
        }
    }
}

/// An origin's authority as a field value. Authorities are ASCII by construction.
pub(super) fn authority_value(origin: &Origin) -> HeaderValue {
    HeaderValue::try_from(origin.authority())
        .unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}

/// Names of fields that concern one connection (RFC 9110 section 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn is_for_one_hop(name: &str) -> bool {
    // The body is framed anew, and `Expect` was answered by this hop.
    HOP_BY_HOP.contains(&name)
        || matches!(
            name,
            "content-length" | "expect" | "host" | "http2-settings"
        )
}

/// Fields about identity, forwarding and overrides: from a client they are claims, and the
/// gateway's own come after.
fn is_the_gateways(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'x') => {
            name.starts_with("x-forwarded-")
                || matches!(
                    name,
                    "x-forwarded"
                        | "x-real-ip"
                        | "x-client-ip"
                        | "x-original-host"
                        | "x-original-method"
                        | "x-original-uri"
                        | "x-original-url"
                        | "x-rewrite-url"
                        | "x-http-method"
                        | "x-http-method-override"
                        | "x-method-override"
                )
        }
        Some(b'k') => name.starts_with("keybound-"),
        Some(b'f') => name == "forwarded",
        _ => false,
    }
}

/// Removes fields that `Connection` lists. The framing layer has refused lists that name
/// end-to-end fields in requests; in answers those few are protected here.
fn strip_listed_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(CONNECTION) {
        return;
    }
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| *name != CONTENT_LENGTH && *name != HOST)
        .collect();
    for name in listed {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        fields.iter().map(pair).collect()
    }

    #[test]
    fn sc_261_sc_051_sc_062_what_the_gateway_says_has_one_author() {
        let names = [
            "authorization",
            "client-cert",
            "connection",
            "content-length",
            "dpop",
            "expect",
            "forwarded",
            "host",
            "keep-alive",
            "keybound-assertion",
            "keybound-anything",
            "proxy-authorization",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "workload-identity-token",
            "workload-proof-token",
            "x-agent-subject",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-uri",
            "x-http-method",
            "x-http-method-override",
            "x-listed",
            "x-method-override",
            "x-original-url",
            "x-real-ip",
        ];
        let mut headers: HeaderMap = names
            .iter()
            .map(|name| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static("evil"),
                )
            })
            .collect();
        headers.insert("connection", HeaderValue::from_static("close, X-Listed"));
        headers.append("keybound-assertion", HeaderValue::from_static("evil too"));
        strip_request(
            &mut headers,
            false,
            &[HeaderName::from_static("x-agent-subject")],
        );
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    fn end_to_end_fields_cross() {
        let fields = [
            ("accept", "a"),
            ("content-type", "b"),
            ("cookie", "c"),
            ("traceparent", "d"),
            ("x-custom", "e"),
            ("keyboundless", "f"),
        ];
        let mut headers = map(&fields);
        strip_request(&mut headers, false, &[]);
        assert_eq!(headers, map(&fields));
        let mut headers = map(&[("authorization", "x"), ("dpop", "y")]);
        strip_request(&mut headers, true, &[]);
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn answers_lose_what_was_for_one_hop() {
        let mut headers = map(&[
            ("connection", "x-hop, content-length"),
            ("x-hop", "a"),
            ("keep-alive", "b"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("etag", "c"),
        ]);
        strip_response(&mut headers);
        assert_eq!(headers, map(&[("content-length", "3"), ("etag", "c")]));
    }
}
