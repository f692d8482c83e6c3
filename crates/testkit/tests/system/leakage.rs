//! 1M: leakage and resource use.

use keybound_testkit::{Agent, FormRequest, World};

use crate::expect::{refused_at_issuer, served};

#[tokio::test]
async fn sc_310_no_sink_shows_a_secret() {
    let world = World::start().await;
    let token = world.token().await;
    let key = &world.agent.proof_key;
    let proof = world.proof("GET", "/approvals").ath(&token).sign(key);
    served("used", &world.get("/approvals", &token, &[&proof]).await);
    world.get("/approvals", &token, &[&proof]).await;
    let bearer = format!("Bearer {token}");
    world
        .send("GET", "/approvals", &[("authorization", &bearer)])
        .await;
    world
        .send("GET", &format!("/approvals?access_token={token}"), &[])
        .await;
    let thief = Agent::new("thief");
    let stolen = world
        .proof_of(&thief, "GET", "/approvals")
        .ath(&token)
        .sign(&thief.proof_key);
    world.get("/approvals", &token, &[&stolen]).await;
    let assertion = world.assertion().sign(&world.agent.client_key);
    let basic = world.basic(&world.secret_client.0, &world.secret_client.1);
    let form = FormRequest::default().parameter("grant_type", "client_credentials");
    form.header("authorization", basic.clone())
        .send(&world.issuer, "/token")
        .await;
    world
        .token_form_with(&assertion)
        .send(&world.issuer, "/token")
        .await;
    world
        .get("/approvals", "not-a-token-but-secret", &[&stolen])
        .await;
    let sinks = [
        ("logs", world.logs()),
        ("events", world.all_events().await),
        ("gateway metrics", world.metrics()),
        ("database", world.database_bytes()),
    ];
    let mut secrets = vec![
        token,
        proof,
        stolen,
        assertion,
        basic,
        world.secret_client.1.clone(),
    ];
    secrets.push("not-a-token-but-secret".to_owned());
    for (sink, text) in &sinks {
        assert!(
            !text.is_empty(),
            "{sink} is empty: the test looks at nothing"
        );
        for secret in &secrets {
            let tail = secret.rsplit('.').next().unwrap();
            assert!(!text.contains(tail), "{sink} shows a secret");
        }
    }
}

#[tokio::test]
async fn sc_312_metric_labels_are_bounded() {
    let world = World::start().await;
    let token = world.token().await;
    let mut sizes = Vec::new();
    for round in 0..3 {
        for number in 0..30 {
            world
                .send(
                    "GET",
                    &format!("/approvals/{round}/{number}?x={number}"),
                    &[],
                )
                .await;
            let proof = world
                .proof("GET", &format!("/strange/{round}/{number}"))
                .ath(&token)
                .sign(&world.agent.proof_key);
            world.get("/approvals", &token, &[&proof]).await;
        }
        sizes.push(world.metrics().lines().count());
    }
    assert_eq!(
        sizes[1], sizes[2],
        "metrics grow with what strangers send: {sizes:?}"
    );
}

#[tokio::test]
async fn sc_313_half_a_million_scopes() {
    let world = World::start().await;
    let scope = "a ".repeat(500_000);
    let proof = world.token_proof().sign(&world.agent.proof_key);
    let form = world
        .token_form()
        .parameter("scope", scope)
        .header("dpop", proof);
    let answer = form.send(&world.issuer, "/token").await;
    assert!(matches!(answer.status.as_u16(), 400 | 413), "{answer:?}");
    let proof = world.token_proof().sign(&world.agent.proof_key);
    let many = "approvals:read ".repeat(400);
    let form = world
        .token_form()
        .parameter("scope", many.trim())
        .header("dpop", proof);
    let answer = form.send(&world.issuer, "/token").await;
    refused_at_issuer("sc_313", &answer, 400, "invalid_scope", "scope.invalid");
}

#[tokio::test]
async fn oversized_heads_and_targets_are_refused() {
    let world = World::start().await;
    let long = "x".repeat(70_000);
    let answer = world.send("GET", "/approvals", &[("x-long", &long)]).await;
    assert_eq!(answer.status, 431, "{answer:?}");
    let answer = world
        .send("GET", &format!("/approvals?{}", "x".repeat(40_000)), &[])
        .await;
    assert!(matches!(answer.status.as_u16(), 414 | 431), "{answer:?}");
}
