//! Vectors about the access token: form, claims, confirmation.

use keybound_proto::base64url;
use keybound_proto::certificate::{CertificateThumbprint, PeerCertificate};
use keybound_proto::token::RENEWAL;
use serde_json::{Value, json};

use crate::certificates;
use crate::make::{
    NOW, Who, jws, jws_of, request, token, token_claims, token_header, token_vector, with,
};

fn header(id: &str, comment: &str, expect: &str, change: &Value) -> Value {
    let token = jws(&with(token_header(), change), &token_claims(), Who::Issuer);
    let flag = if expect == "ok" { "positive" } else { "token" };
    token_vector(id, flag, comment, expect, &token)
}

fn claims(id: &str, comment: &str, expect: &str, change: &Value) -> Value {
    let token = jws(&token_header(), &with(token_claims(), change), Who::Issuer);
    let flag = if expect == "ok" { "positive" } else { "token" };
    token_vector(id, flag, comment, expect, &token)
}

/// SC-230 to SC-240, SC-018, SC-028.
pub(crate) fn form() -> Value {
    let duplicate = jws_of(
        &token_header().to_string(),
        &token_claims()
            .to_string()
            .replacen('{', "{\"sub\":\"admin\",", 1),
        Who::Issuer,
    );
    let long = format!("DPoP {}", "a".repeat(8193));
    json!({"name": "token form", "section": "RFC 9068 section 4", "vectors": [
        token_vector("token-not-jwt", "token", "one segment", "token.malformed", "abcdef"),
        token_vector("token-duplicate", "token", "a claim twice (SC-030)", "token.malformed", &duplicate),
        request("token-size", "token", "more than 8 KiB", "token.size", &[("Authorization", &long), ("DPoP", "x")]),
        header("token-typ-jwt", "an ID token's typ (SC-240)", "token.typ", &json!({"typ": "JWT"})),
        header("token-typ-proof", "a proof as a token (SC-240)", "token.typ", &json!({"typ": "dpop+jwt"})),
        header("token-typ-absent", "no typ (SC-240)", "token.typ", &json!({"typ": null})),
        header("token-typ-other-kind", "another media type", "token.typ", &json!({"typ": "text/at+jwt"})),
        header("token-typ-long", "the media type in full", "ok", &json!({"typ": "application/at+jwt"})),
        header("token-alg-none", "alg none", "token.alg.unacceptable", &json!({"alg": "none"})),
        header("token-alg-outside", "an algorithm the issuer does not use", "token.alg.unacceptable", &json!({"alg": "ES384"})),
        header("token-crit", "a critical extension (SC-018)", "token.critical", &json!({"crit": ["x"], "x": 1})),
        header("token-kid-unknown", "a kid the issuer does not publish (SC-232)", "token.key_unknown",
            &json!({"kid": "../../etc/passwd"})),
        header("token-kid-absent", "no kid", "token.claim.invalid", &json!({"kid": null})),
        header("token-own-jwk", "a jwk in the token's header is never used (SC-230)", "token.signature.invalid",
            &json!({"jwk": crate::make::jwk(Who::Thief)})).signed_by_thief(),
        token_vector("token-forged", "token", "signed by a stranger", "token.signature.invalid",
            &jws(&token_header(), &token_claims(), Who::Stranger)),
    ]})
}

/// Replaces the token of a vector by one the thief signed, header `jwk` and all.
trait SignedByThief {
    fn signed_by_thief(self) -> Value;
}

impl SignedByThief for Value {
    fn signed_by_thief(self) -> Value {
        let own = with(
            token_header(),
            &json!({"jwk": crate::make::jwk(Who::Thief)}),
        );
        let token = jws(&own, &token_claims(), Who::Thief);
        token_vector(
            self["id"].as_str().unwrap_or_default(),
            "token",
            self["comment"].as_str().unwrap_or_default(),
            self["expect"].as_str().unwrap_or_default(),
            &token,
        )
    }
}

/// RFC 9068 section 2.2; SC-033, SC-034, SC-202.
#[expect(clippy::too_many_lines, reason = "a table")]
fn claims_group() -> Vec<Value> {
    let mut vectors = vec![
        claims(
            "claim-issuer",
            "another issuer",
            "token.issuer.unknown",
            &json!({"iss": "https://other.example"}),
        ),
        claims(
            "claim-audience",
            "another resource",
            "token.audience.mismatch",
            &json!({"aud": "https://other.example/"}),
        ),
        claims(
            "claim-audience-prefix",
            "a prefix is no match (SC-202)",
            "token.audience.mismatch",
            &json!({"aud": "https://api.example.com"}),
        ),
        claims(
            "claim-audience-list",
            "one of several audiences",
            "ok",
            &json!({"aud": ["https://other.example/", "https://api.example.com/"]}),
        ),
        claims(
            "claim-expired",
            "expired this very second",
            "token.expired",
            &json!({"exp": NOW}),
        ),
        claims(
            "claim-exp-zero",
            "exp 0 (SC-034)",
            "token.expired",
            &json!({"exp": 0}),
        ),
        claims(
            "claim-exp-negative",
            "exp before 1970 (SC-034)",
            "token.claim.invalid",
            &json!({"exp": -1}),
        ),
        claims(
            "claim-exp-milliseconds",
            "exp in milliseconds (SC-034)",
            "token.claim.invalid",
            &json!({"exp": NOW * 1000}),
        ),
        claims(
            "claim-exp-huge",
            "exp of 2^63 (SC-034)",
            "token.claim.invalid",
            &json!({"exp": 1_u64 << 63}),
        ),
        claims(
            "claim-exp-string",
            "exp as a string (SC-033)",
            "token.claim.invalid",
            &json!({"exp": "1900000000"}),
        ),
        claims(
            "claim-nbf-string",
            "nbf as a string (SC-033)",
            "token.claim.invalid",
            &json!({"nbf": "9999"}),
        ),
        claims(
            "claim-nbf-future",
            "nbf beyond the skew",
            "token.not_yet_valid",
            &json!({"nbf": NOW + 11}),
        ),
        claims(
            "claim-iat-future",
            "iat beyond the skew",
            "token.not_yet_valid",
            &json!({"iat": NOW + 11}),
        ),
        claims(
            "claim-iat-skew",
            "iat within the skew",
            "ok",
            &json!({"iat": NOW + 10}),
        ),
        claims(
            "claim-nbf-skew",
            "nbf within the skew",
            "ok",
            &json!({"nbf": NOW + 10}),
        ),
        claims(
            "claim-scope",
            "lacks the scope",
            "scope.insufficient",
            &json!({"scope": "approvals:reader"}),
        ),
        claims(
            "claim-scope-number",
            "scope as a number",
            "token.claim.invalid",
            &json!({"scope": 1}),
        ),
        claims(
            "claim-scope-more",
            "more scopes than needed",
            "ok",
            &json!({"scope": "x approvals:read y"}),
        ),
    ];
    for name in ["iss", "sub", "client_id", "aud", "jti", "iat", "exp"] {
        vectors.push(claims(
            &format!("claim-{}-absent", name.replace('_', "-")),
            &format!("no {name}"),
            "token.claim.invalid",
            &json!({name: null}),
        ));
    }
    vectors
}

pub(crate) fn claim_rules() -> Value {
    json!({"name": "token claims", "section": "RFC 9068 sections 2.2 and 4", "vectors": claims_group()})
}

/// The thumbprint of the certificate in RFC 8705 Appendix A.
const X5T: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

/// RFC 7800 section 3.1; SC-112, SC-118.
pub(crate) fn confirmation() -> Value {
    let jkt = crate::make::jkt(Who::Agent);
    let cnf = |id: &str, comment: &str, expect: &str, cnf: Value| {
        claims(id, comment, expect, &json!({"cnf": cnf}))
    };
    let unbound = jws(
        &token_header(),
        &with(token_claims(), &json!({"cnf": null})),
        Who::Issuer,
    );
    let by_certificate = jws(
        &token_header(),
        &with(token_claims(), &json!({"cnf": {"x5t#S256": X5T}})),
        Who::Issuer,
    );
    json!({"name": "confirmation", "section": "RFC 7800 section 3.1", "vectors": [
        cnf("cnf-absent", "an unbound token with scheme DPoP (SC-112)", "token.unbound", Value::Null),
        request("cnf-absent-bearer", "token", "an unbound token as Bearer", "token.unbound",
            &[("Authorization", &format!("Bearer {unbound}"))]),
        cnf("cnf-empty", "names no method", "token.cnf.invalid", json!({})),
        cnf("cnf-unknown", "names only a method nobody registered", "token.cnf.invalid", json!({"other": "x"})),
        cnf("cnf-string", "not an object", "token.cnf.invalid", json!("x")),
        cnf("cnf-jkt-number", "jkt as a number", "token.cnf.invalid", json!({"jkt": 1})),
        cnf("cnf-jkt-padded", "jkt with padding", "token.cnf.invalid", json!({"jkt": format!("{jkt}=")})),
        cnf("cnf-certificate-malformed", "x5t#S256 that is no thumbprint", "token.cnf.invalid",
            json!({"jkt": jkt, "x5t#S256": "x"})),
        cnf("cnf-certificate", "bound to a certificate as well, and the connection has none (SC-118)",
            "certificate.absent", json!({"jkt": jkt, "x5t#S256": X5T})),
        cnf("cnf-certificate-proof", "bound to a certificate alone, presented with a proof", "token.method.mismatch",
            json!({"x5t#S256": X5T})),
        request("cnf-certificate-bearer", "binding", "bound to a certificate, and the connection has none (SC-160)",
            "certificate.absent", &[("Authorization", &format!("Bearer {by_certificate}"))]),
        cnf("cnf-two-keys", "jkt beside jwk: cnf names one key", "token.cnf.invalid",
            json!({"jkt": jkt, "jwk": crate::make::jwk(Who::Agent)})),
        cnf("cnf-jwk", "a jwk that is no key", "token.cnf.invalid", json!({"jwk": {}})),
        cnf("cnf-jwk-proof", "bound by jwk, presented with a proof", "token.method.mismatch",
            json!({"jwk": crate::make::jwk(Who::Agent)})),
        cnf("cnf-unsupported", "names a registered method nobody checks here", "token.cnf.unsupported",
            json!({"jkt": jkt, "jku": "https://auth.example.com/jwks"})),
        with(token_vector("method-refused", "binding", "the route takes certificates only", "token.method.refused", &token()),
            &json!({"binding_methods": ["mtls"]})),
        cnf("cnf-extra", "an unregistered member beside jkt is ignored (SC-118)", "ok", json!({"jkt": jkt, "x": 1})),
        token_vector("cnf-good", "positive", "bound to the key of the proof", "ok", &token()),
    ]})
}

/// RFC 8705 section 3; SC-160. `certificate` is the one of the TLS connection, in base64url of DER;
/// `certificate_hash` is all that a terminator in front says of it, in base64url.
pub(crate) fn certificates() -> Value {
    let own = certificates::der(&certificates::named("batch"));
    let other = certificates::der(&certificates::named("other"));
    let thumbprint = |der: &[u8]| CertificateThumbprint::of(der).to_string();
    let bound = |cnf: Value| {
        jws(
            &token_header(),
            &with(token_claims(), &json!({"cnf": cnf})),
            Who::Issuer,
        )
    };
    let over =
        |vector: Value, der: &[u8]| with(vector, &json!({"certificate": base64url::encode(der)}));
    let bearer = |id: &str, flag: &str, comment: &str, expect: &str, token: &str| {
        request(
            id,
            flag,
            comment,
            expect,
            &[("Authorization", &format!("Bearer {token}"))],
        )
    };
    let by_own = bound(json!({"x5t#S256": thumbprint(&own)}));
    let by_both = bound(json!({"jkt": crate::make::jkt(Who::Agent), "x5t#S256": thumbprint(&own)}));
    let by_old = bound(json!({"x5t#S256": X5T}));
    let spki = PeerCertificate::from_der(&own, Vec::new())
        .expect("a certificate of our own")
        .spki_thumbprint()
        .to_string();
    let hashed =
        |vector: Value, der: &[u8]| with(vector, &json!({"certificate_hash": thumbprint(der)}));
    let renewable = |spki: &str| bound(json!({"x5t#S256": X5T, RENEWAL: {"spki": spki}}));
    json!({"name": "certificates", "section": "RFC 8705 section 3", "vectors": [
        over(bearer("certificate-other", "binding", "another certificate (SC-160)", "certificate.mismatch", &by_own), &other),
        over(bearer("certificate-renewed", "binding", "a renewed certificate of the same key, strict rule (SC-176)",
            "certificate.mismatch", &by_old), &own),
        over(bearer("certificate-renewal-key", "binding", "a renewed certificate of another key", "certificate.mismatch",
            &renewable(X5T)), &own),
        over(token_vector("certificate-both-other", "binding", "good proof, another certificate (SC-118)",
            "certificate.mismatch", &by_both), &other),
        over(bearer("certificate-both-no-proof", "binding", "good certificate, no proof (SC-118)",
            "token.scheme.downgrade", &by_both), &own),
        over(bearer("certificate-unbound", "token", "a certificate beside a token that is not bound", "token.unbound",
            &bound(Value::Null)), &own),
        over(bearer("certificate-no-help", "binding", "a certificate beside a token bound to a key",
            "token.scheme.downgrade", &token()), &own),
        hashed(bearer("certificate-hash-other", "binding", "the hash of another certificate", "certificate.mismatch", &by_own), &other),
        hashed(bearer("certificate-hash-renewed", "binding", "a hash does not tell whose key it is of", "certificate.mismatch",
            &renewable(&spki)), &own),
        hashed(bearer("certificate-hash-both", "binding", "the right hash, no proof", "token.scheme.downgrade", &by_both), &own),
        over(hashed(bearer("certificate-hash-beside", "binding", "a certificate counts, not a hash beside it",
            "certificate.mismatch", &by_own), &own), &other),
        hashed(bearer("certificate-hash-good", "positive", "the hash of the token's certificate", "ok", &by_own), &own),
        over(bearer("certificate-good", "positive", "the token's certificate", "ok", &by_own), &own),
        over(bearer("certificate-renewal-good", "positive", "a renewed certificate of the same key, where the token allows it",
            "ok", &renewable(&spki)), &own),
        over(token_vector("certificate-both-good", "positive", "proof and certificate", "ok", &by_both), &own),
    ]})
}
