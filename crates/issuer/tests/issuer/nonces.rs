//! Server nonces at the token endpoint (RFC 9449 section 8).

use keybound_issuer::Issuer;
use keybound_proto::dpop::{NonceKey, NonceRole};
use keybound_proto::time::UnixTime;
use serde_json::json;
use std::sync::Arc;

use crate::world::{self, NOW, Reply, World, basic, full};

/// A token request of the client whose proofs need a nonce.
async fn ask(world: &World, proof: &str) -> Reply {
    let authorization = basic("noncer", "secret-of-noncer");
    let headers = [("authorization", authorization.as_str()), ("dpop", proof)];
    world
        .post("/token", &[("grant_type", "client_credentials")], &headers)
        .await
}

fn nonce_of(reply: &Reply) -> String {
    reply.headers["dpop-nonce"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn sc_096_a_missing_nonce_is_asked_for() {
    let world = World::new().await;
    let reply = ask(&world, &world.proof()).await;
    reply.refused(400, "use_dpop_nonce");
    // SC-099: NQCHAR only.
    let nonce = nonce_of(&reply);
    assert!(
        nonce
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    );
    let again = ask(
        &world,
        &world.proof_with(|claims| claims["nonce"] = json!(nonce)),
    )
    .await;
    assert_eq!(again.status, 200, "{}", again.text);
    // Offered on success too, where one is required.
    assert!(!nonce_of(&again).is_empty());
}

#[tokio::test]
async fn sc_096_a_challenge_spends_neither_assertion_nor_proof() {
    let world = World::with(|config| config.nonce.required = true).await;
    let assertion = world.assertion();
    let challenge = world.token(&assertion, Some(&world.proof())).await;
    challenge.refused(400, "use_dpop_nonce");
    let nonce = nonce_of(&challenge);
    let proof = world.proof_with(|claims| claims["nonce"] = json!(nonce));
    assert_eq!(world.token(&assertion, Some(&proof)).await.status, 200);
    // A challenge is conversation, not an incident.
    assert!(world.events("token_refused").await.is_empty());
}

#[tokio::test]
async fn sc_097_unknown_expired_and_foreign_nonces() {
    let world = World::with(full).await;
    let of = |secret: u8, role| NonceKey::new(&[secret; 32], role, 0, 300);
    let now = UnixTime::from_secs(NOW);
    let refused = [
        "made-up".to_owned(),
        String::new(),
        of(8, NonceRole::AuthorizationServer).issue(now),
        of(7, NonceRole::ResourceServer).issue(now),
        of(7, NonceRole::AuthorizationServer).issue(now.minus(301)),
        of(7, NonceRole::AuthorizationServer).issue(now.plus(11)),
    ];
    for nonce in refused {
        let reply = ask(
            &world,
            &world.proof_with(|claims| claims["nonce"] = json!(nonce)),
        )
        .await;
        assert_eq!(reply.status, 400, "{nonce}");
        assert_eq!(reply.json()["error"], "use_dpop_nonce", "{nonce}");
        reply.cause("dpop.nonce.stale");
        assert!(!nonce_of(&reply).is_empty());
    }
    for wrong in [json!(1), json!(["x"]), json!({})] {
        let reply = ask(&world, &world.proof_with(|claims| claims["nonce"] = wrong)).await;
        assert_eq!(reply.json()["error"], "invalid_dpop_proof");
    }
}

#[tokio::test]
async fn sc_097_a_presented_nonce_is_checked_where_none_is_required() {
    let world = World::with(full).await;
    let proof = world.proof_with(|claims| claims["nonce"] = json!("made-up"));
    let reply = world.token(&world.assertion(), Some(&proof)).await;
    reply.cause("dpop.nonce.stale");
    assert!(!nonce_of(&reply).is_empty());
}

#[tokio::test]
async fn sc_098_no_downgrade_after_a_nonce_was_given() {
    let world = World::new().await;
    for _ in 0..3 {
        ask(&world, &world.proof())
            .await
            .refused(400, "use_dpop_nonce");
    }
    let nonce = nonce_of(&ask(&world, &world.proof()).await);
    assert_eq!(
        ask(
            &world,
            &world.proof_with(|claims| claims["nonce"] = json!(nonce))
        )
        .await
        .status,
        200
    );
    ask(&world, &world.proof())
        .await
        .refused(400, "use_dpop_nonce");
}

#[tokio::test]
async fn sc_100_two_nodes_with_one_secret_take_each_others_nonces() {
    let (a, b) = (World::new().await, World::new().await);
    let nonce = nonce_of(&ask(&a, &a.proof()).await);
    let proof = b.proof_with(|claims| claims["nonce"] = json!(nonce));
    assert_eq!(ask(&b, &proof).await.status, 200);

    let stranger = World::with(|config| config.nonce.secret = [9; 32].into()).await;
    let proof = stranger.proof_with(|claims| claims["nonce"] = json!(nonce));
    ask(&stranger, &proof).await.refused(400, "use_dpop_nonce");
}

#[tokio::test]
async fn sc_100_a_restart_with_the_same_secret_keeps_nonces_good() {
    let world = World::new().await;
    let nonce = nonce_of(&ask(&world, &world.proof()).await);
    let config = world::config(&world.client_key);
    let issuer = Issuer::start(config, world.store.clone(), Arc::new(world.clock.clone()))
        .await
        .unwrap();
    let again = World {
        router: issuer.router(),
        issuer,
        ..world
    };
    let proof = again.proof_with(|claims| claims["nonce"] = json!(nonce));
    assert_eq!(ask(&again, &proof).await.status, 200);
}

/// A secret that is exchanged in three steps challenges nobody who keeps the newest nonce.
#[tokio::test]
async fn sc_100_rotation_of_the_secret_challenges_nobody() {
    let world = World::new().await;
    let mut nonce = nonce_of(&ask(&world, &world.proof()).await);
    let steps: [(u8, &[u8]); 4] = [(7, &[]), (7, &[8]), (8, &[7]), (8, &[])];
    for (current, also) in steps {
        let also: Vec<_> = also.iter().map(|secret| [*secret; 32].into()).collect();
        world.issuer.set_nonce_secrets(&[current; 32], &also);
        let with = |claims: &mut serde_json::Value| claims["nonce"] = json!(nonce);
        let reply = ask(&world, &world.proof_with(with)).await;
        assert_eq!(reply.status, 200, "{current}: {}", reply.text);
        nonce = nonce_of(&reply);
    }
    let old = NonceKey::new(&[7; 32], NonceRole::AuthorizationServer, 0, 300);
    let old = old.issue(UnixTime::from_secs(NOW));
    let stale = world.proof_with(|claims| claims["nonce"] = json!(old));
    ask(&world, &stale).await.refused(400, "use_dpop_nonce");
}
