//! 1L: client authentication at the token endpoint.

use keybound_testkit::{Agent, AssertionDraft, FormRequest, World};
use serde_json::{Value, json};

use crate::expect::{refused_at_issuer, served};

/// A token request with this assertion in place of the good one.
async fn with_assertion(world: &World, assertion: &AssertionDraft) -> keybound_testkit::Answer {
    let proof = world.token_proof().sign(&world.agent.proof_key);
    let form = world.token_form_with(&assertion.sign(&world.agent.client_key));
    form.header("dpop", proof)
        .send(&world.issuer, "/token")
        .await
}

#[tokio::test]
async fn sc_300_and_302_assertions_that_are_not_for_us_or_not_now() {
    let world = World::start().await;
    let now = world.now().as_secs();
    let issuer = world.issuer.clone();
    let cases: Vec<(&str, &str, &str, Value)> = vec![
        ("sc_300_array", "assertion.audience", "aud", json!([issuer])),
        (
            "sc_300_endpoint",
            "assertion.audience",
            "aud",
            json!(format!("{issuer}/token")),
        ),
        (
            "sc_302_wrong_audience",
            "assertion.audience",
            "aud",
            json!("https://other.example"),
        ),
        (
            "sc_302_no_audience",
            "assertion.audience",
            "aud",
            Value::Null,
        ),
        (
            "sc_302_expired",
            "assertion.expired",
            "exp",
            json!(now - 300),
        ),
        ("sc_302_no_expiry", "assertion.claim", "exp", Value::Null),
        ("sc_302_no_subject", "assertion.claim", "sub", Value::Null),
        ("sc_302_no_jti", "assertion.claim", "jti", Value::Null),
        (
            "sc_302_nbf_ahead",
            "assertion.not_yet_valid",
            "nbf",
            json!(now + 61),
        ),
        (
            "sc_302_iat_ahead",
            "assertion.not_yet_valid",
            "iat",
            json!(now + 61),
        ),
        (
            "sc_302_lives_long",
            "assertion.expired",
            "exp",
            json!(now + 86_400),
        ),
    ];
    for (id, cause, claim, value) in cases {
        let draft = world.assertion().claim(claim, value);
        refused_at_issuer(
            id,
            &with_assertion(&world, &draft).await,
            401,
            "invalid_client",
            cause,
        );
    }
    for alg in ["RS256", "HS256", "none"] {
        let draft = world.assertion().member("alg", alg);
        let answer = with_assertion(&world, &draft).await;
        refused_at_issuer(alg, &answer, 401, "invalid_client", "assertion.malformed");
    }
    assert_eq!(world.issued_tokens().await, 0);
    let skewed = world
        .assertion()
        .claim("nbf", now + 8)
        .claim("iat", now + 8);
    served("sc_302_8_ahead", &with_assertion(&world, &skewed).await);
}

#[tokio::test]
async fn sc_302_signed_by_somebody_else() {
    let world = World::start().await;
    let thief = Agent::new("thief");
    let form = world.token_form_with(&world.assertion().sign(&thief.client_key));
    let proof = world.token_proof().sign(&world.agent.proof_key);
    let answer = form
        .header("dpop", proof)
        .send(&world.issuer, "/token")
        .await;
    refused_at_issuer(
        "sc_302",
        &answer,
        401,
        "invalid_client",
        "assertion.signature",
    );
}

#[tokio::test]
async fn sc_301_and_305_an_assertion_is_taken_once_until_it_expires() {
    let world = World::start().await;
    let now = world.now().as_secs();
    let draft = world.assertion().claim("exp", now + 300);
    served("first", &with_assertion(&world, &draft).await);
    for seconds in [0, 1, 60, 120, 118] {
        world.clock.advance_secs(seconds);
        let answer = with_assertion(&world, &draft).await;
        refused_at_issuer(
            "sc_301",
            &answer,
            401,
            "invalid_client",
            "assertion.replayed",
        );
    }
    world.clock.advance_secs(1);
    let answer = with_assertion(&world, &draft).await;
    refused_at_issuer(
        "sc_305",
        &answer,
        401,
        "invalid_client",
        "assertion.expired",
    );
}

#[tokio::test]
async fn sc_303_missing_double_or_misplaced_authentication() {
    let world = World::start().await;
    let proof = || world.token_proof().sign(&world.agent.proof_key);
    let bare = || FormRequest::default().parameter("grant_type", "client_credentials");
    let answer = bare()
        .header("dpop", proof())
        .send(&world.issuer, "/token")
        .await;
    refused_at_issuer(
        "none",
        &answer,
        401,
        "invalid_client",
        "client.authentication.absent",
    );
    let double = world
        .token_form()
        .header("authorization", "Basic YWdlbnQ6eA==")
        .header("dpop", proof());
    let answer = double.send(&world.issuer, "/token").await;
    refused_at_issuer(
        "two",
        &answer,
        400,
        "invalid_request",
        "client.authentication.multiple",
    );
    let other = bare()
        .header("authorization", "Basic YWdlbnQ6eA==")
        .header("dpop", proof());
    let answer = other.send(&world.issuer, "/token").await;
    refused_at_issuer(
        "method",
        &answer,
        401,
        "invalid_client",
        "client.authentication.method",
    );
    let unknown = bare()
        .header("authorization", "Basic bm9ib2R5Ong=")
        .header("dpop", proof());
    let answer = unknown.send(&world.issuer, "/token").await;
    refused_at_issuer("unknown", &answer, 401, "invalid_client", "client.unknown");
    let in_query = world.token_form().header("dpop", proof());
    let answer = in_query.send(&world.issuer, "/token?client_secret=x").await;
    assert_eq!(answer.status, 400, "a secret in the query: {answer:?}");
}

#[tokio::test]
async fn sc_314_a_wrong_secret_and_a_right_one() {
    let world = World::start().await;
    let bare = || FormRequest::default().parameter("grant_type", "client_credentials");
    let proof = || world.token_proof().sign(&world.agent.proof_key);
    for secret in [
        "x",
        "",
        &world.secret_client.1[1..],
        &format!("{}x", world.secret_client.1),
    ] {
        let form = bare()
            .header("authorization", world.basic(&world.secret_client.0, secret))
            .header("dpop", proof());
        let answer = form.send(&world.issuer, "/token").await;
        refused_at_issuer(
            "sc_314",
            &answer,
            401,
            "invalid_client",
            "client.secret_mismatch",
        );
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic")
        );
    }
    let basic = world.basic(&world.secret_client.0, &world.secret_client.1);
    served(
        "right",
        &bare()
            .header("authorization", basic)
            .header("dpop", proof())
            .send(&world.issuer, "/token")
            .await,
    );
}
