//! 1H: a gateway that asks our issuer about every token.

use keybound_testkit::{World, WorldOptions};

use crate::expect::{refused_at_resource, served};

/// A gateway that verifies nothing itself, as client `gateway-1` of the issuer.
async fn asking() -> World {
    World::with(WorldOptions {
        introspection: true,
        ..WorldOptions::default()
    })
    .await
}

async fn present(world: &World, token: &str) -> keybound_testkit::Answer {
    let proof = world
        .proof("GET", "/approvals")
        .ath(token)
        .sign(&world.agent.proof_key);
    world.get("/approvals", token, &[&proof]).await
}

#[tokio::test]
async fn sc_210_the_binding_survives_the_question() {
    let world = asking().await;
    let token = world.token().await;
    let thief = keybound_testkit::Agent::new("thief");
    let proof = world
        .proof_of(&thief, "GET", "/approvals")
        .ath(&token)
        .sign(&thief.proof_key);
    let stolen = world.get("/approvals", &token, &[&proof]).await;
    refused_at_resource("stolen", &stolen, "invalid_token", "token.key_mismatch");
    served("owner", &present(&world, &token).await);
}

#[tokio::test]
async fn sc_213_and_239_a_good_signature_is_not_enough() {
    let world = asking().await;
    let now = world.now().as_secs();
    // Signed with the issuer's own key, and never issued.
    let token = world.token_signed_now(&serde_json::json!({
        "iss": world.issuer, "sub": "agent", "client_id": "agent", "aud": format!("{}/", world.gateway),
        "scope": "approvals:read", "jti": "tok_unrecorded", "iat": now, "exp": now + 300,
        "cnf": {"jkt": world.agent.jkt()},
    }));
    let answer = present(&world, &token).await;
    refused_at_resource("never issued", &answer, "invalid_token", "token.inactive");
}

#[tokio::test]
async fn sc_212_a_revocation_counts_without_any_signal() {
    let mut world = asking().await;
    let token = world.token().await;
    served("fresh", &present(&world, &token).await);
    world.stop_control().await;
    let form = world.authenticated_form().parameter("token", token.clone());
    assert_eq!(form.send(&world.issuer, "/revoke").await.status, 200);
    served("the answer still counts", &present(&world, &token).await);
    world.clock.advance_secs(30);
    let answer = present(&world, &token).await;
    refused_at_resource("revoked", &answer, "invalid_token", "token.inactive");
}

#[tokio::test]
async fn sc_215_a_broken_store_is_no_answer() {
    let world = asking().await;
    let token = world.token().await;
    world.break_store();
    let answer = present(&world, &token).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause().as_str()),
        (503, "introspection.unavailable"),
        "{answer:?}"
    );
    assert!(answer.header("retry-after").is_some());
    world.mend_store();
    served("mended", &present(&world, &token).await);
}
