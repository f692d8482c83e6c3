//! Vectors about the proof: form, key, target, freshness, binding.

use keybound_proto::dpop::NonceRole;
use keybound_proto::signature::{DigestAlgorithm, content_digest};
use serde_json::{Value, json};

use crate::make::{
    NONCE_SECRET, NOW, Who, jwk, jws, jws_of, nonce, proof_claims, proof_header, proof_vector,
    request, token, with,
};

fn good() -> String {
    jws(
        &proof_header(Who::Agent),
        &proof_claims(&token()),
        Who::Agent,
    )
}

fn header(id: &str, comment: &str, expect: &str, change: &Value) -> Value {
    let proof = jws(
        &with(proof_header(Who::Agent), change),
        &proof_claims(&token()),
        Who::Agent,
    );
    let flag = if expect == "ok" { "positive" } else { "form" };
    proof_vector(id, flag, comment, expect, &proof)
}

fn claims(id: &str, flag: &str, comment: &str, expect: &str, change: &Value) -> Value {
    let proof = jws(
        &proof_header(Who::Agent),
        &with(proof_claims(&token()), change),
        Who::Agent,
    );
    let flag = if expect == "ok" { "positive" } else { flag };
    proof_vector(id, flag, comment, expect, &proof)
}

fn text(id: &str, comment: &str, expect: &str, proof: &str) -> Value {
    proof_vector(id, "form", comment, expect, proof)
}

/// SC-001 to SC-009, SC-018, SC-019, SC-028 to SC-036.
pub(crate) fn form() -> Value {
    let good = good();
    let authorization = format!("DPoP {}", token());
    let (head, rest) = good.split_once('.').expect("three segments");
    let (_, signature) = rest.split_once('.').expect("three segments");
    let duplicate_claim = {
        let claims = proof_claims(&token())
            .to_string()
            .replacen('{', "{\"htm\":\"GET\",", 1);
        jws_of(&proof_header(Who::Agent).to_string(), &claims, Who::Agent)
    };
    let escaped_duplicate = {
        let claims = proof_claims(&token())
            .to_string()
            .replacen('{', "{\"\\u0068tm\":\"GET\",", 1);
        jws_of(&proof_header(Who::Agent).to_string(), &claims, Who::Agent)
    };
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(2000), "]".repeat(2000));
    json!({"name": "proof form", "section": "RFC 9449 section 4.3 (1) to (5)", "vectors": [
        proof_vector("form-ok", "positive", "a plain good request", "ok", &good),
        header("form-ok-extra", "unknown header members are ignored (SC-016, SC-038)", "ok",
            &json!({"kid": "x", "jku": "https://evil.example/jwks", "unknown": 1})),
        request("form-absent", "binding", "token without a proof (SC-001)", "dpop.absent",
            &[("Authorization", &authorization)]),
        request("form-two", "form", "two proofs in two fields (SC-002)", "dpop.multiple",
            &[("Authorization", &authorization), ("DPoP", &good), ("DPoP", &good)]),
        request("form-joined", "form", "two proofs joined by a comma (SC-003)", "dpop.multiple",
            &[("Authorization", &authorization), ("DPoP", &format!("{good}, {good}"))]),
        text("form-one-segment", "not a JWT (SC-006)", "dpop.malformed", "x"),
        text("form-four-segments", "four segments (SC-006)", "dpop.malformed", &format!("{good}.x")),
        text("form-jws-json", "JWS in JSON form (SC-006)", "dpop.malformed", "{\"payload\":\"\"}"),
        text("form-padding", "base64url with padding (SC-028)", "dpop.malformed",
            &format!("{head}=.{rest}")),
        text("form-trailing-bits", "non-zero unused bits in the signature (SC-028)", "dpop.malformed",
            &last_character_changed(&good)),
        text("form-standard-alphabet", "characters of the other alphabet (SC-028)", "dpop.malformed",
            &format!("{head}.+/+/.{signature}")),
        text("form-duplicate", "a member twice (SC-030)", "dpop.malformed", &duplicate_claim),
        text("form-duplicate-escaped", "a member twice, once escaped (SC-030)", "dpop.malformed",
            &escaped_duplicate),
        text("form-deep", "2,000 levels deep (SC-032)", "dpop.malformed",
            &jws_of(&proof_header(Who::Agent).to_string(), &deep, Who::Agent)),
        text("form-size", "more than 8 KiB (SC-036)", "dpop.size", &"a".repeat(8193)),
        header("form-typ-absent", "no typ (SC-007)", "dpop.typ", &json!({"typ": null})),
        header("form-typ-jwt", "typ of another JWT (SC-007)", "dpop.typ", &json!({"typ": "JWT"})),
        header("form-typ-token", "an access token's typ (SC-007)", "dpop.typ", &json!({"typ": "at+jwt"})),
        header("form-typ-longer", "typ with a tail (SC-007)", "dpop.typ", &json!({"typ": "dpop+jwt+x"})),
        header("form-alg-absent", "no alg (SC-009)", "dpop.alg.unacceptable", &json!({"alg": null})),
        header("form-alg-none", "alg none (SC-009)", "dpop.alg.unacceptable", &json!({"alg": "none"})),
        header("form-alg-none-case", "alg nOnE (SC-009)", "dpop.alg.unacceptable", &json!({"alg": "nOnE"})),
        header("form-alg-hmac", "a MAC (SC-010)", "dpop.alg.unacceptable", &json!({"alg": "HS256"})),
        header("form-alg-outside", "RS256 outside the profile (SC-013)", "dpop.alg.unacceptable",
            &json!({"alg": "RS256"})),
        header("form-crit", "an unknown critical extension (SC-018)", "dpop.critical",
            &json!({"crit": ["exp"], "exp": 1})),
        header("form-crit-empty", "empty crit (SC-018)", "dpop.critical", &json!({"crit": []})),
        header("form-b64", "unencoded payload (SC-019)", "dpop.critical", &json!({"b64": false})),
    ]})
}

/// SC-010 to SC-022, SC-040.
pub(crate) fn key() -> Value {
    let agent = jwk(Who::Agent);
    let private = with(
        agent.clone(),
        &json!({"d": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}),
    );
    let off_curve = json!({"kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1"});
    let flipped = good().replacen(".ey", ".fy", 1);
    json!({"name": "proof key and signature", "section": "RFC 9449 section 4.3 (6) and (7)", "vectors": [
        header("key-absent", "no jwk (SC-015)", "dpop.jwk.absent", &json!({"jwk": null})),
        header("key-string", "jwk as a string (SC-015)", "dpop.malformed", &json!({"jwk": "x"})),
        header("key-empty", "empty jwk (SC-015)", "dpop.jwk.invalid", &json!({"jwk": {}})),
        header("key-private", "private member d (SC-014)", "dpop.jwk.private", &json!({"jwk": private})),
        header("key-symmetric", "a symmetric key (SC-010)", "dpop.jwk.private",
            &json!({"jwk": {"kty": "oct", "k": "AAAA"}})),
        header("key-off-curve", "a point off the curve (SC-020)", "dpop.jwk.invalid",
            &json!({"alg": "ES256", "jwk": off_curve})),
        header("key-small-order", "an Ed25519 point of small order (SC-026)", "dpop.jwk.invalid",
            &json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}})),
        header("key-alg", "ES256 with an Ed25519 key (SC-012)", "dpop.jwk.alg_mismatch",
            &json!({"alg": "ES256"})),
        header("key-extra-members", "extra members of the jwk are ignored (SC-016)", "ok",
            &json!({"jwk": with(agent, &json!({"kid": "x", "ext": true, "use": "sig"}))})),
        proof_vector("signature-other-key", "form", "signed by another key than the one in jwk (SC-040)",
            "dpop.signature.invalid", &jws(&proof_header(Who::Agent), &proof_claims(&token()), Who::Thief)),
        proof_vector("signature-payload", "form", "a bit of the payload flipped (SC-040)", "dpop.malformed", &flipped),
    ]})
}

/// SC-050 to SC-061.
pub(crate) fn target() -> Value {
    let htu = |id: &str, comment: &str, expect: &str, htu: Value| {
        claims(id, "target", comment, expect, &json!({"htu": htu}))
    };
    json!({"name": "proof target", "section": "RFC 9449 section 4.3 (8) and (9)", "vectors": [
        claims("htm-other", "target", "made for POST (SC-050)", "dpop.htm.mismatch", &json!({"htm": "POST"})),
        claims("htm-lower", "target", "lower case method (SC-050)", "dpop.htm.mismatch", &json!({"htm": "get"})),
        claims("htm-absent", "form", "no htm", "dpop.htm.invalid", &json!({"htm": null})),
        claims("htm-number", "form", "htm as a number", "dpop.htm.invalid", &json!({"htm": 1})),
        htu("htu-path", "another path (SC-053)", "dpop.htu.mismatch", json!("https://api.example.com/reports")),
        htu("htu-host", "another host (SC-053)", "dpop.htu.mismatch", json!("https://evil.example/approvals")),
        htu("htu-scheme", "another scheme (SC-053)", "dpop.htu.mismatch", json!("http://api.example.com/approvals")),
        htu("htu-port", "another port (SC-053)", "dpop.htu.mismatch", json!("https://api.example.com:444/approvals")),
        htu("htu-slash", "a trailing slash (SC-056)", "dpop.htu.mismatch", json!("https://api.example.com/approvals/")),
        htu("htu-path-case", "path in another case (SC-058)", "dpop.htu.mismatch", json!("https://api.example.com/APPROVALS")),
        htu("htu-double-slash", "an empty segment (SC-058)", "dpop.htu.mismatch", json!("https://api.example.com//approvals")),
        htu("htu-encoded-slash", "an encoded slash is no slash (SC-057)", "dpop.htu.mismatch", json!("https://api.example.com/%2Fapprovals")),
        htu("htu-relative", "a path only (SC-060)", "dpop.htu.invalid", json!("/approvals")),
        htu("htu-number", "htu as a number (SC-061)", "dpop.htu.invalid", json!(1)),
        htu("htu-empty", "empty (SC-061)", "dpop.htu.invalid", json!("")),
        htu("htu-absent", "no htu (SC-061)", "dpop.htu.invalid", Value::Null),
        htu("htu-query", "query and fragment are ignored (SC-054)", "ok", json!("https://api.example.com/approvals?a=b#c")),
        htu("htu-case", "scheme and host in upper case (SC-055)", "ok", json!("HTTPS://API.EXAMPLE.COM/approvals")),
        htu("htu-default-port", "the default port (SC-055)", "ok", json!("https://api.example.com:443/approvals")),
        htu("htu-unreserved", "an escaped unreserved character (SC-057)", "ok", json!("https://api.example.com/%61pprovals")),
        htu("htu-dots", "dot segments are removed (SC-058)", "ok", json!("https://api.example.com/x/../approvals")),
    ]})
}

/// SC-068 to SC-071, SC-096, SC-097.
pub(crate) fn freshness() -> Value {
    let iat = |id: &str, comment: &str, expect: &str, iat: Value| {
        claims(id, "freshness", comment, expect, &json!({"iat": iat}))
    };
    let nonce_claim = |id: &str, comment: &str, expect: &str, value: Value| {
        claims(id, "freshness", comment, expect, &json!({"nonce": value}))
    };
    let demanding = |mut vector: Value| {
        vector["nonce_required"] = true.into();
        vector
    };
    let ours = |made| json!(nonce(NonceRole::ResourceServer, &NONCE_SECRET, made));
    json!({"name": "proof freshness", "section": "RFC 9449 section 4.3 (10) and (11)", "vectors": [
        claims("jti-absent", "form", "no jti (SC-068)", "dpop.jti.invalid", &json!({"jti": null})),
        claims("jti-empty", "form", "empty jti (SC-068)", "dpop.jti.invalid", &json!({"jti": ""})),
        claims("jti-number", "form", "jti as a number (SC-068)", "dpop.jti.invalid", &json!({"jti": 7})),
        claims("jti-longest", "form", "jti of 256 bytes (SC-068)", "ok", &json!({"jti": "j".repeat(256)})),
        claims("jti-long", "form", "jti of 257 bytes (SC-068)", "dpop.jti.invalid", &json!({"jti": "j".repeat(257)})),
        iat("iat-absent", "no iat (SC-069)", "dpop.iat.invalid", Value::Null),
        iat("iat-string", "iat as a string (SC-069)", "dpop.iat.invalid", json!(NOW.to_string())),
        iat("iat-float", "a fraction of a second (SC-069)", "dpop.iat.invalid", json!(1_800_000_000.5)),
        iat("iat-negative", "before 1970 (SC-034)", "dpop.iat.invalid", json!(-1)),
        iat("iat-milliseconds", "milliseconds (SC-069)", "dpop.iat.future", json!(NOW * 1000)),
        iat("iat-hour-past", "an hour old (SC-069)", "dpop.iat.past", json!(NOW - 3600)),
        iat("iat-hour-future", "an hour ahead (SC-069)", "dpop.iat.future", json!(NOW + 3600)),
        iat("iat-61-past", "one second past the window", "dpop.iat.past", json!(NOW - 61)),
        iat("iat-11-future", "one second beyond the window", "dpop.iat.future", json!(NOW + 11)),
        iat("iat-60-past", "the oldest second of the window", "ok", json!(NOW - 60)),
        iat("iat-10-future", "the latest second of the window (SC-070)", "ok", json!(NOW + 10)),
        demanding(claims("nonce-absent", "freshness", "a required nonce is missing (SC-096)", "dpop.nonce.absent", &json!({}))),
        nonce_claim("nonce-number", "nonce as a number (SC-097)", "dpop.nonce.invalid", json!(1)),
        nonce_claim("nonce-unknown", "a presented nonce is checked though none is required (SC-097)",
            "dpop.nonce.stale", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        nonce_claim("nonce-expired", "301 seconds old (SC-097)", "dpop.nonce.stale", ours(NOW - 301)),
        nonce_claim("nonce-of-issuer", "made by the authorization server (SC-097)", "dpop.nonce.stale",
            json!(nonce(NonceRole::AuthorizationServer, &NONCE_SECRET, NOW))),
        nonce_claim("nonce-of-stranger", "made with another secret (SC-100)", "dpop.nonce.stale",
            json!(nonce(NonceRole::ResourceServer, &[8; 32], NOW))),
        demanding(nonce_claim("nonce-good", "a good nonce where one is required", "ok", ours(NOW - 300))),
    ]})
}

/// SC-001, SC-065, SC-066, SC-110 to SC-116.
pub(crate) fn binding() -> Value {
    let token = token();
    let thief = jws(&proof_header(Who::Thief), &proof_claims(&token), Who::Thief);
    let good = good();
    let mut other_token = token.clone();
    other_token.push('x');
    json!({"name": "binding", "section": "RFC 9449 sections 4.3 (12) and 7", "vectors": [
        request("no-credentials", "form", "nothing at all", "authorization.absent", &[]),
        request("other-scheme", "form", "Basic carries no access token", "authorization.absent",
            &[("Authorization", "Basic eDp5")]),
        request("two-authorizations", "form", "two Authorization fields (SC-113)", "authorization.multiple",
            &[("Authorization", &format!("Bearer {token}")), ("Authorization", &format!("DPoP {token}")), ("DPoP", &good)]),
        request("malformed-authorization", "form", "two words after the scheme", "authorization.malformed",
            &[("Authorization", "DPoP a b"), ("DPoP", &good)]),
        request("bearer-downgrade", "binding", "a bound token as Bearer (SC-110)", "token.scheme.downgrade",
            &[("Authorization", &format!("Bearer {token}"))]),
        request("bearer-with-proof", "binding", "a bound token as Bearer beside a good proof (SC-110)",
            "token.scheme.downgrade", &[("Authorization", &format!("Bearer {token}")), ("DPoP", &good)]),
        request("other-key", "binding", "a proof by another key, with the right ath (SC-111)", "token.key_mismatch",
            &[("Authorization", &format!("DPoP {token}")), ("DPoP", &thief)]),
        request("scheme-case", "positive", "scheme in mixed case, several spaces (SC-116)", "ok",
            &[("Authorization", &format!("dPoP   {token}")), ("DPoP", &good)]),
        claims("ath-absent", "binding", "no ath (SC-065)", "dpop.ath.absent", &json!({"ath": null})),
        claims("ath-other", "binding", "made for another token (SC-066)", "dpop.ath.mismatch",
            &json!({"ath": proof_claims(&other_token)["ath"]})),
        claims("ath-hex", "binding", "ath in hex (SC-066)", "dpop.ath.mismatch",
            &json!({"ath": keybound_proto::token::TokenHash::of(token.as_bytes()).to_hex()})),
        claims("ath-number", "binding", "ath as a number (SC-066)", "dpop.ath.mismatch", &json!({"ath": 1})),
    ]})
}

/// The same signature in another spelling: the last character carries two unused bits.
/// On a route that wants content covered.
pub(crate) fn content() -> Value {
    const BODY: &str = "{\"id\":\"1\",\"decision\":\"approve\"}";
    let digest = content_digest(DigestAlgorithm::Sha256, BODY.as_bytes());
    let other = content_digest(DigestAlgorithm::Sha256, b"{\"id\":\"2\"}");
    let vector = |id: &str, comment: &str, expect: &str, claim: Value, body: Option<&str>| {
        let change = json!({"content_digest": claim});
        let mut vector = claims(id, "binding", comment, expect, &change);
        vector["cover_content"] = true.into();
        if let Some(body) = body {
            vector["request"]["body"] = body.into();
        }
        vector
    };
    let body = Some(BODY);
    let ignored = {
        let change = json!({"content_digest": 7});
        claims(
            "content-not-asked",
            "positive",
            "a claim nobody asked for",
            "ok",
            &change,
        )
    };
    json!({"name": "content of the request", "section": "RFC 9530 section 2, Keybound cover_content", "vectors": [
        vector("content-uncovered", "content, and a proof that does not cover it", "digest.absent", json!(null), body),
        vector("content-other", "other content than the proof covers", "digest.mismatch", json!(other), body),
        vector("content-number", "a number for a digest", "digest.malformed", json!(7), body),
        vector("content-text", "a text that is no dictionary", "digest.malformed", json!("="), body),
        vector("content-bare", "a digest without its algorithm", "digest.malformed", json!("sha-256"), body),
        vector("content-weak", "an algorithm that holds against nobody", "digest.alg", json!("md5=:AAAAAAAAAAAAAAAAAAAAAA==:"), body),
        vector("content-covered", "the digest of the content", "ok", json!(digest), body),
        vector("content-none", "no content, and nothing that covers it", "ok", json!(null), None),
        ignored,
    ]})
}

fn last_character_changed(jws: &str) -> String {
    let mut text = jws.to_owned();
    let last = text.pop().expect("not empty");
    text.push(match last {
        'A' => 'B',
        'Q' => 'R',
        'g' => 'h',
        _ => 'x',
    });
    text
}
