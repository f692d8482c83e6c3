//! Vectors about the access token: form, claims, confirmation.

use serde_json::{Value, json};

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
    json!({"name": "confirmation", "section": "RFC 7800 section 3.1", "vectors": [
        cnf("cnf-absent", "an unbound token with scheme DPoP (SC-112)", "token.unbound", Value::Null),
        request("cnf-absent-bearer", "token", "an unbound token as Bearer", "token.unbound",
            &[("Authorization", &format!("Bearer {unbound}"))]),
        cnf("cnf-empty", "names no method", "token.cnf.invalid", json!({})),
        cnf("cnf-unknown", "names only a method nobody registered", "token.cnf.invalid", json!({"other": "x"})),
        cnf("cnf-string", "not an object", "token.cnf.invalid", json!("x")),
        cnf("cnf-jkt-number", "jkt as a number", "token.cnf.invalid", json!({"jkt": 1})),
        cnf("cnf-jkt-padded", "jkt with padding", "token.cnf.invalid", json!({"jkt": format!("{jkt}=")})),
        cnf("cnf-certificate", "bound to a certificate as well (SC-118)", "token.cnf.unsupported",
            json!({"jkt": jkt, "x5t#S256": "x"})),
        cnf("cnf-jwk", "bound by jwk", "token.cnf.unsupported", json!({"jwk": {}})),
        cnf("cnf-extra", "an unregistered member beside jkt is ignored (SC-118)", "ok", json!({"jkt": jkt, "x": 1})),
        token_vector("cnf-good", "positive", "bound to the key of the proof", "ok", &token()),
    ]})
}
