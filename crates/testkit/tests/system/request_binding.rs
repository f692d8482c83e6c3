//! 1B: binding to the request.

use keybound_testkit::World;
use serde_json::{Value, json};

use crate::expect::{refused_at_issuer, refused_at_resource, served};

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn sc_050_to_061_what_fits_another_request_is_refused() {
    let world = World::start().await;
    let token = world.token().await;
    let origin = world.gateway.clone();
    let other = world.upstream.origin.clone();
    let cases: Vec<(&str, &str, &str, Value)> = vec![
        (
            "sc_050_other_method",
            "dpop.htm.mismatch",
            "htm",
            json!("PUT"),
        ),
        (
            "sc_050_lower_case",
            "dpop.htm.mismatch",
            "htm",
            json!("get"),
        ),
        ("sc_050_absent", "dpop.htm.invalid", "htm", Value::Null),
        (
            "sc_053_other_path",
            "dpop.htu.mismatch",
            "htu",
            json!(format!("{origin}/reports")),
        ),
        (
            "sc_053_other_port",
            "dpop.htu.mismatch",
            "htu",
            json!(format!("{other}/approvals")),
        ),
        (
            "sc_053_other_scheme",
            "dpop.htu.mismatch",
            "htu",
            json!(format!("{origin}/approvals").replace("http:", "https:")),
        ),
        (
            "sc_053_other_host",
            "dpop.htu.mismatch",
            "htu",
            json!("http://evil.example/approvals"),
        ),
        (
            "sc_056_trailing_slash",
            "dpop.htu.mismatch",
            "htu",
            json!(format!("{origin}/approvals/")),
        ),
        (
            "sc_057_encoded_slash",
            "dpop.htu.mismatch",
            "htu",
            json!(format!("{origin}/%2Fapprovals")),
        ),
        (
            "sc_058_empty_segment",
            "dpop.htu.mismatch",
            "htu",
            json!(format!("{origin}//approvals")),
        ),
        (
            "sc_058_path_case",
            "dpop.htu.mismatch",
            "htu",
            json!(format!("{origin}/APPROVALS")),
        ),
        (
            "sc_058_matrix",
            "dpop.htu.mismatch",
            "htu",
            json!(format!("{origin}/approvals;x=1")),
        ),
        (
            "sc_060_path_only",
            "dpop.htu.invalid",
            "htu",
            json!("/approvals"),
        ),
        ("sc_061_number", "dpop.htu.invalid", "htu", json!(7)),
        (
            "sc_061_array",
            "dpop.htu.invalid",
            "htu",
            json!([format!("{origin}/approvals")]),
        ),
        ("sc_061_object", "dpop.htu.invalid", "htu", json!({})),
        ("sc_061_empty", "dpop.htu.invalid", "htu", json!("")),
        ("sc_061_absent", "dpop.htu.invalid", "htu", Value::Null),
        ("sc_065_ath_absent", "dpop.ath.absent", "ath", Value::Null),
        (
            "sc_066_ath_padded",
            "dpop.ath.mismatch",
            "ath",
            json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo="),
        ),
        (
            "sc_066_ath_of_another",
            "dpop.ath.mismatch",
            "ath",
            json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"),
        ),
        ("sc_066_ath_number", "dpop.ath.mismatch", "ath", json!(1)),
    ];
    for (id, cause, claim, value) in cases {
        let proof = world
            .proof("GET", "/approvals")
            .ath(&token)
            .claim(claim, value.clone());
        let answer = world
            .get("/approvals", &token, &[&proof.sign(&world.agent.proof_key)])
            .await;
        refused_at_resource(id, &answer, "invalid_dpop_proof", cause);
        if claim == "ath" {
            continue;
        }
        // The same at the token endpoint, where GET is another method and /approvals another URL.
        let proof = world
            .token_proof()
            .claim(claim, value)
            .sign(&world.agent.proof_key);
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
async fn sc_066_ath_over_scheme_and_token_or_in_hex() {
    let world = World::start().await;
    let token = world.token().await;
    let over_both =
        keybound_proto::token::TokenHash::of(format!("DPoP {token}").as_bytes()).to_ath();
    let hex = keybound_proto::token::TokenHash::of(token.as_bytes()).to_hex();
    for ath in [over_both, hex] {
        let proof = world
            .proof("GET", "/approvals")
            .claim("ath", ath)
            .sign(&world.agent.proof_key);
        let answer = world.get("/approvals", &token, &[&proof]).await;
        refused_at_resource("sc_066", &answer, "invalid_dpop_proof", "dpop.ath.mismatch");
    }
}

#[tokio::test]
async fn sc_051_method_override_headers_do_not_reach_the_upstream() {
    let world = World::start().await;
    let token = world.token().await;
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&world.agent.proof_key);
    let authorization = format!("DPoP {token}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("dpop", &proof),
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-http-method", "DELETE"),
    ];
    served("sc_051", &world.send("GET", "/approvals", &headers).await);
    let request = world.upstream.requests().pop().unwrap();
    assert_eq!(request.method, "GET");
    assert!(
        !request
            .headers
            .keys()
            .any(|name| name.as_str().contains("method")),
        "{request:?}"
    );
}

#[tokio::test]
async fn sc_052_a_proof_for_get_does_not_serve_head_or_options() {
    let world = World::start().await;
    let token = world.token().await;
    for method in ["HEAD", "OPTIONS"] {
        let proof = world
            .proof("GET", "/approvals")
            .ath(&token)
            .sign(&world.agent.proof_key);
        let authorization = format!("DPoP {token}");
        let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
        let answer = world.send(method, "/approvals", &headers).await;
        assert_eq!(answer.status, 401, "{method}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("invalid_dpop_proof"),
            "{method}: {challenge}"
        );
    }
}

#[tokio::test]
async fn sc_054_to_058_equal_urls_are_served() {
    let world = World::start().await;
    let token = world.token().await;
    let origin = world.gateway.clone();
    let cases = [
        (
            "sc_054_query_and_fragment_in_htu",
            "/approvals",
            format!("{origin}/approvals?x=1#y"),
        ),
        (
            "sc_054_query_in_request",
            "/approvals?x=1",
            format!("{origin}/approvals"),
        ),
        (
            "sc_055_scheme_case",
            "/approvals",
            format!("{origin}/approvals").replace("http:", "HTTP:"),
        ),
        (
            "sc_057_unreserved",
            "/approvals",
            format!("{origin}/%61pprovals"),
        ),
        (
            "sc_058_dot_segments",
            "/approvals",
            format!("{origin}/x/../approvals"),
        ),
        (
            "sc_058_encoded_dots",
            "/approvals",
            format!("{origin}/x/%2e%2e/approvals"),
        ),
    ];
    for (id, target, htu) in cases {
        let proof = world
            .proof("GET", "/approvals")
            .ath(&token)
            .claim("htu", htu)
            .sign(&world.agent.proof_key);
        served(id, &world.get(target, &token, &[&proof]).await);
    }
}

#[tokio::test]
async fn sc_062_forwarding_headers_do_not_move_the_target() {
    let world = World::start().await;
    let token = world.token().await;
    let authorization = format!("DPoP {token}");
    let elsewhere = world
        .proof("GET", "/approvals")
        .ath(&token)
        .claim("htu", "https://evil.example/approvals");
    let proof = elsewhere.sign(&world.agent.proof_key);
    let headers = [
        ("authorization", authorization.as_str()),
        ("dpop", &proof),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("forwarded", "host=evil.example;proto=https"),
    ];
    let answer = world.send("GET", "/approvals", &headers).await;
    refused_at_resource("sc_062", &answer, "invalid_dpop_proof", "dpop.htu.mismatch");
    let headers = [
        ("authorization", authorization.as_str()),
        ("dpop", &proof),
        ("host", "evil.example"),
    ];
    let answer = world.send("GET", "/approvals", &headers).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause().as_str()),
        (421, "http.host_misdirected")
    );
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn sc_069_to_071_time() {
    let world = World::start().await;
    let token = world.token().await;
    let now = i64::try_from(world.now().as_secs()).unwrap();
    for (id, offset, cause) in [
        ("sc_069_hour_past", -3600, "dpop.iat.past"),
        ("sc_069_hour_future", 3600, "dpop.iat.future"),
        ("sc_071_over_60_ahead", 61, "dpop.iat.future"),
        ("window_past", -61, "dpop.iat.past"),
        ("window_ahead", 11, "dpop.iat.future"),
    ] {
        let proof = world
            .proof("GET", "/approvals")
            .ath(&token)
            .claim("iat", now + offset);
        let answer = world
            .get("/approvals", &token, &[&proof.sign(&world.agent.proof_key)])
            .await;
        refused_at_resource(id, &answer, "invalid_dpop_proof", cause);
        assert_eq!(answer.json()["clock_skew"], offset.to_string(), "{id}");
    }
    for (id, offset) in [
        ("sc_070_10_past", -10),
        ("sc_070_8_ahead", 8),
        ("sc_070_10_ahead", 10),
        ("edge", -60),
    ] {
        let proof = world
            .proof("GET", "/approvals")
            .ath(&token)
            .claim("iat", now + offset);
        served(
            id,
            &world
                .get("/approvals", &token, &[&proof.sign(&world.agent.proof_key)])
                .await,
        );
    }
}
