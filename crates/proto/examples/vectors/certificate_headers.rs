//! Vectors about certificates that a TLS terminator hands on in header fields (RFC 9440 and the
//! forms of products).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::certificates::{certificate_of, in_the_past};
use crate::make::NOW;

pub(crate) fn file() -> Value {
    let vectors = [standard(), pem_forms(), envoy(), clouds()].concat();
    json!({
        "about": "Header fields of a TLS terminator, each line a name and a value, as a server reads them that was told the `profile` and \
                  lists the terminator. `unverified`: it takes certificates whose chain the terminator did not verify. `expect` is `ok` or \
                  a cause id; then `certificate` is `absent`, `whole` or `hash`, and `x5t#S256` what is confirmed.",
        "vectors": vectors,
    })
}

const INVALID: &str = "certificate_header.invalid";
const UNTRUSTED: &str = "certificate.untrusted";

fn vector(id: &str, comment: &str, profile: &str, fields: &[(&str, &str)]) -> Value {
    json!({"id": id, "comment": comment, "profile": profile, "fields": fields, "now": NOW})
}

fn refused(id: &str, comment: &str, profile: &str, fields: &[(&str, &str)], cause: &str) -> Value {
    let mut vector = vector(id, comment, profile, fields);
    vector["expect"] = cause.into();
    vector
}

fn found(id: &str, comment: &str, profile: &str, fields: &[(&str, &str)], kind: &str) -> Value {
    let mut vector = vector(id, comment, profile, fields);
    vector["expect"] = "ok".into();
    vector["certificate"] = kind.into();
    if kind != "absent" {
        vector["x5t#S256"] = certificate_of("batch").1.into();
    }
    vector
}

fn unverified(mut vector: Value) -> Value {
    vector["unverified"] = true.into();
    vector
}

fn sf(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

/// Every byte escaped that nginx escapes.
fn escaped_pem(der: &[u8]) -> String {
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    let mut escaped = String::new();
    for byte in pem.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn hex(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let mut text = String::new();
    for byte in digest.as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[expect(clippy::too_many_lines, reason = "a table of vectors")]
fn standard() -> Vec<Value> {
    let leaf = certificate_of("batch").0;
    let other = certificate_of("other").0;
    let (cert, chain) = (sf(&leaf), format!("{0},  {0}", sf(&other)));
    let unquoted = STANDARD.encode(&leaf);
    let past = sf(&in_the_past());
    let nothing = ":{http.request.tls.client.certificate_der_base64}:";
    vec![
        found("rfc9440-absent", "no field", "rfc9440", &[], "absent"),
        found(
            "rfc9440",
            "RFC 9440 section 2.2",
            "rfc9440",
            &[("client-cert", &cert)],
            "whole",
        ),
        found(
            "rfc9440-chain",
            "with a chain of two, on one line",
            "rfc9440",
            &[("client-cert", &cert), ("client-cert-chain", &chain)],
            "whole",
        ),
        refused(
            "rfc9440-no-colons",
            "base64 without the colons",
            "rfc9440",
            &[("client-cert", &unquoted)],
            INVALID,
        ),
        refused(
            "rfc9440-empty",
            "an empty sequence",
            "rfc9440",
            &[("client-cert", "::")],
            INVALID,
        ),
        refused(
            "rfc9440-blank",
            "an empty field",
            "rfc9440",
            &[("client-cert", "")],
            INVALID,
        ),
        refused(
            "rfc9440-garbage",
            "not DER (SC-161)",
            "rfc9440",
            &[("client-cert", ":ZXZpbA==:")],
            INVALID,
        ),
        refused(
            "rfc9440-twice",
            "two lines: whose is which",
            "rfc9440",
            &[("client-cert", &cert), ("client-cert", &sf(&other))],
            INVALID,
        ),
        refused(
            "rfc9440-list",
            "a list where one member belongs",
            "rfc9440",
            &[("client-cert", &format!("{cert}, {}", sf(&other)))],
            INVALID,
        ),
        refused(
            "rfc9440-chain-alone",
            "a chain without its leaf (SC-164)",
            "rfc9440",
            &[("client-cert-chain", &cert)],
            INVALID,
        ),
        refused(
            "rfc9440-expired",
            "a certificate of the past",
            "rfc9440",
            &[("client-cert", &past)],
            "certificate.expired",
        ),
        refused(
            "rfc9440-placeholder",
            "Caddy's word for nothing, from somebody else",
            "rfc9440",
            &[("client-cert", nothing)],
            INVALID,
        ),
        found(
            "caddy-placeholder",
            "Caddy's word for nothing",
            "caddy",
            &[("client-cert", nothing)],
            "absent",
        ),
        refused(
            "caddy-placeholder-almost",
            "only exactly that word",
            "caddy",
            &[("client-cert", ":{http.request.tls.client.certificate_pem}:")],
            INVALID,
        ),
        found(
            "caddy",
            "as the standard form",
            "caddy",
            &[("client-cert", &cert)],
            "whole",
        ),
        found(
            "haproxy",
            "as the standard form",
            "haproxy",
            &[("client-cert", &cert)],
            "whole",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of vectors")]
fn pem_forms() -> Vec<Value> {
    let leaf = certificate_of("batch").0;
    let escaped = escaped_pem(&leaf);
    let base64 = STANDARD.encode(&leaf);
    let two = format!("{base64},{}", STANDARD.encode(certificate_of("other").0));
    let nginx = |verify: &'static str| {
        [
            ("x-ssl-client-verify", verify),
            ("x-ssl-client-escaped-cert", escaped.as_str()),
        ]
    };
    vec![
        found("nginx", "verified", "nginx", &nginx("SUCCESS"), "whole"),
        found(
            "nginx-none",
            "no certificate",
            "nginx",
            &[("x-ssl-client-verify", "NONE")],
            "absent",
        ),
        refused(
            "nginx-failed",
            "a chain that nginx could not verify",
            "nginx",
            &nginx("FAILED:self-signed certificate"),
            UNTRUSTED,
        ),
        unverified(found(
            "nginx-failed-unverified",
            "possession is enough here",
            "nginx",
            &nginx("FAILED:self-signed certificate"),
            "whole",
        )),
        refused(
            "nginx-contradiction",
            "a certificate, and word that there is none",
            "nginx",
            &nginx("NONE"),
            INVALID,
        ),
        refused(
            "nginx-verify-missing",
            "nobody says whether it was verified",
            "nginx",
            &[("x-ssl-client-escaped-cert", &escaped)],
            INVALID,
        ),
        refused(
            "nginx-certificate-missing",
            "verified, but what",
            "nginx",
            &[("x-ssl-client-verify", "SUCCESS")],
            INVALID,
        ),
        refused(
            "nginx-cut-escape",
            "an escape without its digits",
            "nginx",
            &[
                ("x-ssl-client-verify", "SUCCESS"),
                ("x-ssl-client-escaped-cert", &format!("{escaped}%0")),
            ],
            INVALID,
        ),
        refused(
            "nginx-verdict-unknown",
            "a verdict nobody gives",
            "nginx",
            &nginx("success"),
            INVALID,
        ),
        found(
            "traefik",
            "base64 of the leaf",
            "traefik",
            &[("x-forwarded-tls-client-cert", &base64)],
            "whole",
        ),
        found(
            "traefik-chain",
            "leaf and chain",
            "traefik",
            &[("x-forwarded-tls-client-cert", &two)],
            "whole",
        ),
        found(
            "traefik-escaped",
            "as older releases send it",
            "traefik",
            &[(
                "x-forwarded-tls-client-cert",
                &base64
                    .replace('+', "%2B")
                    .replace('/', "%2F")
                    .replace('=', "%3D"),
            )],
            "whole",
        ),
        refused(
            "traefik-empty",
            "an empty field",
            "traefik",
            &[("x-forwarded-tls-client-cert", "")],
            INVALID,
        ),
        refused(
            "traefik-pem",
            "another product's form",
            "traefik",
            &[("x-forwarded-tls-client-cert", &escaped)],
            INVALID,
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of vectors")]
fn envoy() -> Vec<Value> {
    let leaf = certificate_of("batch").0;
    let other = certificate_of("other").0;
    let (cert, hash) = (escaped_pem(&leaf), hex(&leaf));
    let (theirs, their_hash) = (escaped_pem(&other), hex(&other));
    let xfcc = |value: &str| {
        value
            .replace("CERT", &cert)
            .replace("HASH", &hash)
            .replace("THEIRS", &theirs)
            .replace("THEIR#", &their_hash)
    };
    let accepted = |id: &str, comment: &str, value: &str, kind: &str| {
        found(
            id,
            comment,
            "envoy",
            &[("x-forwarded-client-cert", &xfcc(value))],
            kind,
        )
    };
    let invalid = |id: &str, comment: &str, value: &str| {
        refused(
            id,
            comment,
            "envoy",
            &[("x-forwarded-client-cert", &xfcc(value))],
            INVALID,
        )
    };
    vec![
        accepted(
            "envoy",
            "hash and certificate",
            r#"By=spiffe://a/b;Hash=HASH;Cert="CERT";URI=spiffe://a/c"#,
            "whole",
        ),
        accepted(
            "envoy-hash",
            "the hash alone",
            r#"Hash=HASH;Subject="CN=a\",b;c""#,
            "hash",
        ),
        accepted(
            "envoy-chain",
            "the chain, leaf first",
            r#"Hash=HASH;Chain="CERTTHEIRS""#,
            "whole",
        ),
        accepted(
            "envoy-last",
            "the nearest hop speaks last",
            r#"Hash=THEIR#;Cert="THEIRS",Hash=HASH;Cert="CERT""#,
            "whole",
        ),
        accepted(
            "envoy-quoted-comma",
            "separators in quotes separate nothing",
            r#"Subject="CN=x,Hash=1;",hash=HASH"#,
            "hash",
        ),
        invalid(
            "envoy-other-hash",
            "hash and certificate of two clients",
            r#"Hash=THEIR#;Cert="CERT""#,
        ),
        invalid(
            "envoy-other-chain",
            "a chain of somebody else's",
            r#"Cert="CERT";Chain="THEIRS""#,
        ),
        invalid("envoy-twice", "two hashes", "Hash=HASH;Hash=HASH"),
        invalid(
            "envoy-names-only",
            "names, which prove nothing",
            r#"By=spiffe://a/b;Subject="CN=a";URI=spiffe://a/c"#,
        ),
        invalid(
            "envoy-open-quote",
            "a quote that never ends",
            r#"Hash=HASH;Cert="CERT"#,
        ),
        invalid(
            "envoy-short-hash",
            "a hash of another length",
            "Hash=abcdef",
        ),
        invalid("envoy-empty", "an empty field", ""),
        invalid(
            "envoy-trailing-comma",
            "the nearest hop said nothing",
            "Hash=HASH,",
        ),
        invalid(
            "envoy-unknown-key",
            "a key nobody has defined",
            "Hash=HASH;Leaf=1",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of vectors")]
fn clouds() -> Vec<Value> {
    let leaf = certificate_of("batch").0;
    let (cert, escaped, hash) = (sf(&leaf), escaped_pem(&leaf), hex(&leaf));
    // The balancer leaves these three alone.
    let escaped = escaped
        .replace("%2B", "+")
        .replace("%3D", "=")
        .replace("%2F", "/");
    let cloudflare = |verified: &'static str, revoked: &'static str| {
        [
            ("client-cert", cert.as_str()),
            ("cf-cert-verified", verified),
            ("cf-cert-revoked", revoked),
        ]
    };
    vec![
        found(
            "aws-alb-verify",
            "the leaf",
            "aws-alb-verify",
            &[("x-amzn-mtls-clientcert-leaf", &escaped)],
            "whole",
        ),
        found(
            "aws-alb-verify-other-field",
            "the other mode's field says nothing",
            "aws-alb-verify",
            &[("x-amzn-mtls-clientcert", &escaped)],
            "absent",
        ),
        refused(
            "aws-alb-passthrough",
            "nobody looked at the chain",
            "aws-alb-passthrough",
            &[("x-amzn-mtls-clientcert", &escaped)],
            UNTRUSTED,
        ),
        unverified(found(
            "aws-alb-passthrough-unverified",
            "possession is enough here",
            "aws-alb-passthrough",
            &[("x-amzn-mtls-clientcert", &escaped)],
            "whole",
        )),
        found(
            "aws-cloudfront",
            "the hash alone",
            "aws-cloudfront",
            &[
                ("cloudfront-viewer-cert-present", "1"),
                ("cloudfront-viewer-cert-sha256", &hash),
            ],
            "hash",
        ),
        found(
            "aws-cloudfront-absent",
            "no certificate",
            "aws-cloudfront",
            &[("cloudfront-viewer-cert-present", "0")],
            "absent",
        ),
        refused(
            "aws-cloudfront-contradiction",
            "a hash of nothing",
            "aws-cloudfront",
            &[
                ("cloudfront-viewer-cert-present", "0"),
                ("cloudfront-viewer-cert-sha256", &hash),
            ],
            INVALID,
        ),
        refused(
            "aws-cloudfront-short",
            "not a SHA-256",
            "aws-cloudfront",
            &[
                ("cloudfront-viewer-cert-present", "1"),
                ("cloudfront-viewer-cert-sha256", "00"),
            ],
            INVALID,
        ),
        found(
            "cloudflare",
            "verified",
            "cloudflare",
            &cloudflare("true", "false"),
            "whole",
        ),
        found(
            "cloudflare-absent",
            "no certificate",
            "cloudflare",
            &[("cf-cert-verified", "false")],
            "absent",
        ),
        refused(
            "cloudflare-not-verified",
            "sent all the same",
            "cloudflare",
            &cloudflare("false", "false"),
            UNTRUSTED,
        ),
        unverified(found(
            "cloudflare-unverified",
            "possession is enough here",
            "cloudflare",
            &cloudflare("false", "false"),
            "whole",
        )),
        unverified(refused(
            "cloudflare-revoked",
            "revoked is revoked",
            "cloudflare",
            &cloudflare("true", "true"),
            UNTRUSTED,
        )),
        refused(
            "cloudflare-verdict-missing",
            "nobody says whether it was verified",
            "cloudflare",
            &[("client-cert", &cert)],
            INVALID,
        ),
    ]
}
