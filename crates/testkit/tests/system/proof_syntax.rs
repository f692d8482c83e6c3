//! 1A: proof syntax and JOSE, at the gateway and at the token endpoint.

use keybound_proto::base64url;
use keybound_testkit::{ProofDraft, World, sign_with};
use serde_json::{Value, json};

use crate::expect::{refused_at_issuer, refused_at_resource, served};

/// A way to spoil a proof: id, cause expected, and how.
type Fault = (&'static str, &'static str, fn(ProofDraft) -> ProofDraft);

const FAULTS: &[Fault] = &[
    ("sc_007_typ_absent", "dpop.typ", |p| {
        p.member("typ", Value::Null)
    }),
    ("sc_007_typ_jwt", "dpop.typ", |p| p.member("typ", "JWT")),
    ("sc_007_typ_access_token", "dpop.typ", |p| {
        p.member("typ", "at+jwt")
    }),
    ("sc_007_typ_with_tail", "dpop.typ", |p| {
        p.member("typ", "dpop+jwt+x")
    }),
    ("sc_009_alg_absent", "dpop.alg.unacceptable", |p| {
        p.member("alg", Value::Null)
    }),
    ("sc_009_alg_none", "dpop.alg.unacceptable", |p| {
        p.member("alg", "none")
    }),
    ("sc_009_alg_none_mixed", "dpop.alg.unacceptable", |p| {
        p.member("alg", "nOnE")
    }),
    ("sc_009_alg_none_upper", "dpop.alg.unacceptable", |p| {
        p.member("alg", "NONE")
    }),
    ("sc_010_symmetric", "dpop.alg.unacceptable", |p| {
        p.member("alg", "HS256")
            .member("jwk", json!({"kty": "oct", "k": "AAAA"}))
    }),
    ("sc_010_symmetric_key", "dpop.jwk.private", |p| {
        p.member("jwk", json!({"kty": "oct", "k": "AAAA"}))
    }),
    ("sc_012_alg_unlike_key", "dpop.jwk.alg_mismatch", |p| {
        p.member("alg", "ES256")
    }),
    ("sc_013_outside_profile", "dpop.alg.unacceptable", |p| {
        p.member("alg", "RS256")
    }),
    ("sc_014_private_member", "dpop.jwk.private", |mut p| {
        p.header["jwk"]["d"] = json!("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE");
        p
    }),
    ("sc_015_jwk_absent", "dpop.jwk.absent", |p| {
        p.member("jwk", Value::Null)
    }),
    ("sc_015_jwk_array", "dpop.malformed", |p| {
        p.member("jwk", json!([]))
    }),
    ("sc_015_jwk_string", "dpop.malformed", |p| {
        p.member("jwk", "{}")
    }),
    ("sc_015_jwk_empty", "dpop.jwk.invalid", |p| {
        p.member("jwk", json!({}))
    }),
    ("sc_018_crit_unknown", "dpop.critical", |p| {
        p.member("crit", json!(["x"])).member("x", 1)
    }),
    ("sc_018_crit_empty", "dpop.critical", |p| {
        p.member("crit", json!([]))
    }),
    ("sc_018_crit_no_array", "dpop.critical", |p| {
        p.member("crit", "x")
    }),
    ("sc_019_b64_false", "dpop.critical", |p| {
        p.member("b64", false)
    }),
    ("sc_019_b64_with_crit", "dpop.critical", |p| {
        p.member("b64", false).member("crit", json!(["b64"]))
    }),
    ("sc_020_off_curve", "dpop.jwk.invalid", |p| {
        p.member("alg", "ES256").member(
            "jwk",
            json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1"}),
        )
    }),
    ("sc_022_rsa_1024", "dpop.alg.unacceptable", |p| {
        p.member("alg", "RS256")
    }),
    ("sc_026_small_order", "dpop.jwk.invalid", |p| {
        p.member("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}))
    }),
    ("sc_033_iat_string", "dpop.iat.invalid", |p| {
        p.claim("iat", "1800000000")
    }),
    ("sc_034_iat_float", "dpop.iat.invalid", |p| {
        p.claim("iat", 1.8e9 + 0.5)
    }),
    ("sc_034_iat_huge", "dpop.iat.future", |p| {
        p.claim("iat", u64::MAX)
    }),
    ("sc_034_iat_negative", "dpop.iat.invalid", |p| {
        p.claim("iat", -1)
    }),
    ("sc_068_jti_absent", "dpop.jti.invalid", |p| {
        p.claim("jti", Value::Null)
    }),
    ("sc_068_jti_empty", "dpop.jti.invalid", |p| {
        p.claim("jti", "")
    }),
    ("sc_068_jti_number", "dpop.jti.invalid", |p| {
        p.claim("jti", 7)
    }),
    ("sc_068_jti_long", "dpop.jti.invalid", |p| {
        p.claim("jti", "j".repeat(257))
    }),
];

#[tokio::test]
async fn faults_of_header_and_claims_are_refused_at_both_servers() {
    let world = World::start().await;
    let token = world.token().await;
    for (id, cause, spoil) in FAULTS {
        let key = &world.agent.proof_key;
        let proof = spoil(world.proof("GET", "/approvals").ath(&token)).sign(key);
        let answer = world.get("/approvals", &token, &[&proof]).await;
        refused_at_resource(id, &answer, "invalid_dpop_proof", cause);
        let proof = spoil(world.token_proof()).sign(key);
        let answer = world
            .token_form()
            .header("dpop", proof)
            .send(&world.issuer, "/token")
            .await;
        refused_at_issuer(id, &answer, 400, "invalid_dpop_proof", cause);
    }
    assert_eq!(
        world.upstream.requests().len(),
        0,
        "a refused request reached the upstream"
    );
}

/// Ways to spoil the text of a good proof.
#[expect(clippy::too_many_lines, reason = "a table")]
fn spoilt_texts(good: &str) -> Vec<(&'static str, &'static str, String)> {
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let flip = |text: &str| {
        let mut bytes = base64url::decode(text.as_bytes()).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        base64url::encode(&bytes)
    };
    let doubled = |text: &str, member: &str| {
        let json = String::from_utf8(base64url::decode(text.as_bytes()).unwrap()).unwrap();
        base64url::encode(json.replacen('{', &format!("{{{member},"), 1).as_bytes())
    };
    vec![
        ("sc_006_one_segment", "dpop.malformed", "x".to_owned()),
        (
            "sc_006_two_segments",
            "dpop.malformed",
            format!("{header}.{payload}"),
        ),
        (
            "sc_006_four_segments",
            "dpop.malformed",
            format!("{good}.x"),
        ),
        (
            "sc_006_five_segments",
            "dpop.malformed",
            format!("{good}.x.y"),
        ),
        (
            "sc_006_json_form",
            "dpop.malformed",
            format!("{{\"payload\":\"{payload}\"}}"),
        ),
        (
            "sc_006_detached",
            "dpop.malformed",
            format!("{header}..{signature}"),
        ),
        (
            "sc_024_short_signature",
            "dpop.signature.invalid",
            format!("{header}.{payload}.{}", base64url::encode(&[1; 63])),
        ),
        (
            "sc_024_long_signature",
            "dpop.signature.invalid",
            format!("{header}.{payload}.{}", base64url::encode(&[1; 65])),
        ),
        (
            "sc_023_zero_signature",
            "dpop.signature.invalid",
            format!("{header}.{payload}.{}", base64url::encode(&[0; 64])),
        ),
        (
            "sc_028_padding",
            "dpop.malformed",
            format!("{header}=.{payload}.{signature}"),
        ),
        (
            "sc_028_alphabet",
            "dpop.malformed",
            format!("{header}.{payload}+.{signature}"),
        ),
        (
            "sc_029_question_mark",
            "dpop.malformed",
            format!("{header}?.{payload}.{signature}"),
        ),
        (
            "sc_030_header_member_twice",
            "dpop.malformed",
            format!(
                "{}.{payload}.{signature}",
                doubled(header, "\"typ\":\"dpop+jwt\"")
            ),
        ),
        (
            "sc_030_claim_twice",
            "dpop.malformed",
            format!(
                "{header}.{}.{signature}",
                doubled(payload, "\"htm\":\"GET\"")
            ),
        ),
        (
            "sc_030_claim_twice_escaped",
            "dpop.malformed",
            format!(
                "{header}.{}.{signature}",
                doubled(payload, "\"\\u0068tm\":\"GET\"")
            ),
        ),
        (
            "sc_032_deep",
            "dpop.malformed",
            format!(
                "{header}.{}.{signature}",
                base64url::encode(format!("{{\"a\":{}", "[".repeat(3000)).as_bytes())
            ),
        ),
        ("sc_036_size", "dpop.size", "a".repeat(8200)),
        ("sc_036_dots", "dpop.malformed", ".".repeat(8000)),
        (
            "sc_037_jwe",
            "dpop.malformed",
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA".to_owned(),
        ),
        (
            "sc_040_flipped_signature",
            "dpop.signature.invalid",
            format!("{header}.{payload}.{}", flip(signature)),
        ),
    ]
}

#[tokio::test]
async fn faults_of_the_text_are_refused_at_both_servers() {
    let world = World::start().await;
    let token = world.token().await;
    let good = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&world.agent.proof_key);
    for (id, cause, proof) in spoilt_texts(&good) {
        let answer = world.get("/approvals", &token, &[&proof]).await;
        refused_at_resource(id, &answer, "invalid_dpop_proof", cause);
    }
    let good = world.token_proof().sign(&world.agent.proof_key);
    for (id, cause, proof) in spoilt_texts(&good) {
        let answer = world
            .token_form()
            .header("dpop", proof)
            .send(&world.issuer, "/token")
            .await;
        refused_at_issuer(id, &answer, 400, "invalid_dpop_proof", cause);
    }
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn sc_001_a_token_without_a_proof() {
    let world = World::start().await;
    let token = world.token().await;
    let answer = world.get("/approvals", &token, &[]).await;
    refused_at_resource("sc_001", &answer, "invalid_dpop_proof", "dpop.absent");
}

#[tokio::test]
async fn sc_002_and_003_two_proofs() {
    let world = World::start().await;
    let token = world.token().await;
    let make = || {
        world
            .proof("GET", "/approvals")
            .ath(&token)
            .sign(&world.agent.proof_key)
    };
    let answer = world.get("/approvals", &token, &[&make(), &make()]).await;
    refused_at_resource("sc_002", &answer, "invalid_dpop_proof", "dpop.multiple");
    let joined = format!("{}, {}", make(), make());
    let answer = world.get("/approvals", &token, &[&joined]).await;
    refused_at_resource("sc_003", &answer, "invalid_dpop_proof", "dpop.multiple");
    let (one, two) = (world.token_proof(), world.token_proof());
    let key = &world.agent.proof_key;
    let form = world
        .token_form()
        .header("dpop", one.sign(key))
        .header("dpop", two.sign(key));
    let answer = form.send(&world.issuer, "/token").await;
    refused_at_issuer(
        "sc_002",
        &answer,
        400,
        "invalid_dpop_proof",
        "dpop.multiple",
    );
}

#[tokio::test]
async fn sc_040_signature_or_key_of_another_proof() {
    let world = World::start().await;
    let token = world.token().await;
    let thief = keybound_testkit::Agent::new("thief").proof_key;
    let draft = world.proof("GET", "/approvals").ath(&token);
    let answer = world
        .get(
            "/approvals",
            &token,
            &[&sign_with(&thief, &draft.header, &draft.claims)],
        )
        .await;
    refused_at_resource(
        "sc_040",
        &answer,
        "invalid_dpop_proof",
        "dpop.signature.invalid",
    );
}

#[tokio::test]
async fn sc_005_016_038_harmless_variations_are_served() {
    let world = World::start().await;
    let token = world.token().await;
    let key = &world.agent.proof_key;
    let authorization = format!("DPoP {token}");
    for name in ["DPoP", "DPOP", "dpop"] {
        let proof = world.proof("GET", "/approvals").ath(&token).sign(key);
        let headers = [("authorization", authorization.as_str()), (name, &proof)];
        served("sc_005", &world.send("GET", "/approvals", &headers).await);
    }
    let mut draft = world
        .proof("GET", "/approvals")
        .ath(&token)
        .member("kid", "k")
        .member("jku", format!("{}/jku", world.upstream.origin))
        .member("x5u", format!("{}/x5u", world.upstream.origin))
        .claim("unknown", json!({"a": [1, 2]}));
    draft.header["jwk"]["kid"] = json!("k");
    draft.header["jwk"]["ext"] = json!(true);
    served(
        "sc_016",
        &world.get("/approvals", &token, &[&draft.sign(key)]).await,
    );
    let fetched = world
        .upstream
        .requests()
        .iter()
        .any(|request| request.target.contains("jku") || request.target.contains("x5u"));
    assert!(!fetched, "sc_016: a URL of the proof's header was fetched");
}
