//! Revocation and locks reach the gateway; theft shows in the events.

use std::time::Duration;

use keybound_testkit::{Agent, World};
use serde_json::{Value, json};

use crate::expect::{refused_at_resource, served};

async fn use_token(world: &World, token: &str) -> keybound_testkit::Answer {
    let proof = world
        .proof("GET", "/approvals")
        .ath(token)
        .sign(&world.agent.proof_key);
    world.get("/approvals", token, &[&proof]).await
}

/// Repeats the request until the gateway refuses it, for at most ten seconds of real time.
async fn until_refused(world: &World, token: &str) -> keybound_testkit::Answer {
    let attempts = async {
        loop {
            let answer = use_token(world, token).await;
            if answer.status != 200 {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), attempts)
        .await
        .expect("the lock reaches the gateway")
}

#[tokio::test]
async fn a_revoked_token_is_refused_even_to_its_owner() {
    let world = World::start().await;
    let token = world.token().await;
    served("before", &use_token(&world, &token).await);
    let id = world.token_id(&token);
    let answer = world
        .admin("POST", "/v1/tokens/revoke", &json!({"token_id": id}))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    refused_at_resource(
        "revoked",
        &until_refused(&world, &token).await,
        "invalid_token",
        "token.revoked",
    );
    let fresh = world.token().await;
    served(
        "a new token of the same identity",
        &use_token(&world, &fresh).await,
    );
}

#[tokio::test]
async fn locks_of_key_and_identity_refuse_and_release() {
    let world = World::start().await;
    for (kind, value, cause) in [
        ("key", world.agent.jkt(), "key.locked"),
        ("identity", "agent".to_owned(), "identity.locked"),
    ] {
        let token = world.token().await;
        served("before", &use_token(&world, &token).await);
        let answer = world
            .admin(
                "POST",
                "/v1/locks",
                &json!({"kind": kind, "value": value, "reason": "test"}),
            )
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        refused_at_resource(
            kind,
            &until_refused(&world, &token).await,
            "invalid_token",
            cause,
        );
        let proof = world.token_proof().sign(&world.agent.proof_key);
        let answer = world
            .token_form()
            .header("dpop", proof)
            .send(&world.issuer, "/token")
            .await;
        assert_ne!(answer.status, 200, "a locked {kind} got a token");
        let answer = world
            .admin("DELETE", &format!("/v1/locks/{kind}/{value}"), &Value::Null)
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let served_again = async {
            while use_token(&world, &token).await.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), served_again)
            .await
            .expect("the release reaches the gateway");
    }
}

#[tokio::test]
async fn sc_218_the_client_s_own_revocation_reaches_the_gateway_too() {
    let world = World::start().await;
    let token = world.token().await;
    served("before", &use_token(&world, &token).await);
    let form = world.authenticated_form().parameter("token", token.clone());
    assert_eq!(form.send(&world.issuer, "/revoke").await.status, 200);
    refused_at_resource(
        "sc_218",
        &until_refused(&world, &token).await,
        "invalid_token",
        "token.revoked",
    );
    let form = world.authenticated_form().parameter("token", token);
    let answer = form.send(&world.issuer, "/introspect").await;
    assert_eq!(answer.json(), json!({"active": false}));
}

#[tokio::test]
async fn sc_216_a_client_cannot_revoke_another_s_token() {
    let world = World::start().await;
    let other = Agent::new("other");
    let token = world.token_for(&other).await;
    let form = world.authenticated_form().parameter("token", token.clone());
    form.send(&world.issuer, "/revoke").await;
    let proof = world
        .proof_of(&other, "GET", "/approvals")
        .ath(&token)
        .sign(&other.proof_key);
    served("sc_216", &world.get("/approvals", &token, &[&proof]).await);
    let form = world.authenticated_form().parameter("token", "unknown");
    assert_eq!(
        form.send(&world.issuer, "/revoke").await.status,
        200,
        "unknown tokens are 200"
    );
}

#[tokio::test]
async fn sc_210_and_213_introspection_keeps_cnf_and_its_secrets() {
    let world = World::start().await;
    let token = world.token().await;
    let form = world.authenticated_form().parameter("token", token.clone());
    let answer = form.send(&world.issuer, "/introspect").await.json();
    assert_eq!(answer["active"], true);
    assert_eq!(answer["token_type"], "DPoP");
    assert_eq!(answer["cnf"]["jkt"], world.agent.jkt());
    let nobody = keybound_testkit::FormRequest::default().parameter("token", token.clone());
    assert_eq!(nobody.send(&world.issuer, "/introspect").await.status, 401);
    let other = Agent::new("other");
    let form = world
        .authenticated_form_of(&other)
        .parameter("token", token);
    assert_eq!(
        form.send(&world.issuer, "/introspect").await.json(),
        json!({"active": false})
    );
}

#[tokio::test]
async fn the_thief_s_attempts_stand_in_the_event_log() {
    let world = World::start().await;
    let token = world.token().await;
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&world.agent.proof_key);
    served("owner", &world.get("/approvals", &token, &[&proof]).await);
    world.get("/approvals", &token, &[&proof]).await;
    let bearer = format!("Bearer {token}");
    world
        .send("GET", "/approvals", &[("authorization", &bearer)])
        .await;
    let id = world.token_id(&token);
    let wanted = ["jti_reuse", "bearer_downgrade"];
    let seen = async {
        loop {
            let events = world.all_events().await;
            let of_token: Vec<Value> = events
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .filter(|event| {
                    event["token_id"] == id.as_str() && event["kind"] == "request_refused"
                })
                .collect();
            let signals: Vec<_> = of_token
                .iter()
                .filter_map(|event| event["signal"].as_str())
                .collect();
            if wanted.iter().all(|signal| signals.contains(signal)) {
                return of_token;
            }
            tokio::task::yield_now().await;
        }
    };
    let events = tokio::time::timeout(Duration::from_secs(20), seen)
        .await
        .expect("events arrive");
    assert!(
        events
            .iter()
            .all(|event| event["jkt"].is_string() || event["token_sha256"].is_string())
    );
}
