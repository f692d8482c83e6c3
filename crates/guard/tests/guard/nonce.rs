//! Server nonces, and the restart of a strict replay log.

use keybound_guard::{Guard, NonceRule};
use keybound_proto::cause::Cause;
use keybound_proto::time::UnixTime;

use crate::support::{Issuer, NOW, World, check, guard};

/// The nonce offered with the answer to a refusal.
fn offered(guard: &Guard, world: &World, rejection: &keybound_proto::Rejection) -> String {
    let answer = guard.answer(rejection, &world.route, "req_1");
    assert_eq!(answer.status, 401);
    assert!(answer.challenge.unwrap().contains("use_dpop_nonce"));
    answer.dpop_nonce.unwrap()
}

#[tokio::test]
async fn sc_096_required_nonce_is_demanded_then_taken() {
    let mut world = World::start().await;
    world.route.nonce = NonceRule::Everybody;
    let token = world.token();
    let rejection = world.send(&token, &world.proof(&token)).await.unwrap_err();
    assert_eq!(rejection.cause(), Cause::DpopNonceAbsent);
    let nonce = offered(&world.guard, &world, &rejection);
    assert!(world.guard.nonce_for_success(&world.route).is_some());
    let proof = world.proof_with(&token, |proof| proof.nonce = Some(nonce.clone()));
    assert!(world.send(&token, &proof).await.is_ok());
    // SC-098: having had one does not excuse the next proof.
    assert_eq!(
        world.refused(&token, &world.proof(&token)).await,
        Cause::DpopNonceAbsent
    );
    // SC-097: a presented nonce is checked, also where none is required.
    world.route.nonce = NonceRule::Nobody;
    let foreign = world.proof_with(&token, |proof| {
        proof.nonce = Some(nonce.chars().rev().collect())
    });
    assert_eq!(world.refused(&token, &foreign).await, Cause::DpopNonceStale);
    assert!(world.guard.nonce_for_success(&world.route).is_none());
}

#[tokio::test]
async fn nonce_can_be_demanded_of_single_clients() {
    let mut world = World::start().await;
    world.route.nonce = NonceRule::Clients(vec!["client-1".into()]);
    let token = world.token();
    let rejection = world.send(&token, &world.proof(&token)).await.unwrap_err();
    assert_eq!(rejection.cause(), Cause::DpopNonceAbsent);
    let nonce = offered(&world.guard, &world, &rejection);
    let proof = world.proof_with(&token, |proof| proof.nonce = Some(nonce));
    assert!(world.send(&token, &proof).await.is_ok());
    world.route.nonce = NonceRule::Clients(vec!["client-2".into()]);
    world.accept(&token).await;
}

#[tokio::test]
async fn sc_090_replay_after_a_restart_is_refused() {
    let world = World::start().await;
    let token = world.token();
    let authorization = format!("DPoP {token}");
    let captured = world.proof_with(&token, |proof| proof.iat = UnixTime::from_secs(NOW + 10));
    assert!(world.send(&token, &captured).await.is_ok());
    world.clock.advance_secs(1);
    let restarted = guard(&world.issuer, &world.clock, &world.sink, |config| {
        config.replay.first_run = false;
    });
    for _ in 0..3 {
        let again = check(&restarted, &world.route, &authorization, Some(&captured)).await;
        assert_eq!(again.unwrap_err().cause(), Cause::ReplayEpoch);
    }
    // A fresh proof cannot be told from a used one until it carries a nonce of this run.
    let fresh = world.proof(&token);
    let rejection = check(&restarted, &world.route, &authorization, Some(&fresh))
        .await
        .unwrap_err();
    assert_eq!(rejection.cause(), Cause::ReplayEpoch);
    let nonce = offered(&restarted, &world, &rejection);
    let vouched = world.proof_with(&token, |proof| proof.nonce = Some(nonce));
    assert!(
        check(&restarted, &world.route, &authorization, Some(&vouched))
            .await
            .is_ok()
    );
    let again = check(&restarted, &world.route, &authorization, Some(&vouched)).await;
    assert_eq!(again.unwrap_err().cause(), Cause::DpopReplayed);
    // A nonce of the run before is not one of this run.
    let old_nonce = {
        let mut strict = world.route.clone();
        strict.nonce = NonceRule::Everybody;
        world.guard.nonce_for_success(&strict).unwrap()
    };
    let old = world.proof_with(&token, |proof| proof.nonce = Some(old_nonce));
    let refused = check(&restarted, &world.route, &authorization, Some(&old)).await;
    assert_eq!(refused.unwrap_err().cause(), Cause::DpopNonceStale);
    // When every possible proof of the run before is too old, nobody needs a nonce.
    world.clock.advance_secs(90);
    let later = world.proof(&token);
    assert!(
        check(&restarted, &world.route, &authorization, Some(&later))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn f_08_clock_set_back_asks_for_nonces_and_recovers() {
    let world = World::with(Issuer::start().await, |_| ());
    let mut claims = world.issuer.claims(&world.holder);
    claims["exp"] = serde_json::json!(NOW + 90_000);
    let token = world.issuer.sign(&claims);
    let captured = world.proof(&token);
    assert!(world.send(&token, &captured).await.is_ok());
    world.clock.set(NOW + 3600);
    world.guard.maintain().await;
    world.accept(&token).await;
    world.clock.set(NOW + 1);
    assert_eq!(world.refused(&token, &captured).await, Cause::ReplayEpoch);
    let rejection = world.send(&token, &world.proof(&token)).await.unwrap_err();
    let nonce = offered(&world.guard, &world, &rejection);
    let proof = world.proof_with(&token, |proof| proof.nonce = Some(nonce));
    assert!(world.send(&token, &proof).await.is_ok());
    assert_eq!(world.refused(&token, &captured).await, Cause::ReplayEpoch);
    world.clock.set(NOW + 3601);
    world.accept(&token).await;
}

#[tokio::test]
async fn best_effort_nodes_take_each_others_nonces() {
    let world = World::with(Issuer::start().await, |config| {
        config.replay.mode = keybound_guard::ReplayMode::BestEffort;
    });
    let other = guard(&world.issuer, &world.clock, &world.sink, |config| {
        config.replay.mode = keybound_guard::ReplayMode::BestEffort;
    });
    let mut route = world.route.clone();
    route.nonce = NonceRule::Everybody;
    let nonce = world.guard.nonce_for_success(&route).unwrap();
    let token = world.issuer.token(&world.holder);
    let proof = world.proof_with(&token, |proof| proof.nonce = Some(nonce));
    assert!(
        check(&other, &route, format!("DPoP {token}"), Some(&proof))
            .await
            .is_ok()
    );
}
