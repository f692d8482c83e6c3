//! Server nonces, and the restart of a strict replay log.

use keybound_guard::{Guard, NONCE_LIFETIME, NonceRule};
use keybound_proto::cause::Cause;
use keybound_proto::dpop::{NonceKey, NonceRole};
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

/// A client that keeps the newest nonce (RFC 9449 section 8.2).
struct Client {
    token: String,
    nonce: Option<String>,
    challenges: u32,
}

impl Client {
    fn new(world: &World) -> Self {
        let mut claims = world.issuer.claims(&world.holder);
        claims["exp"] = serde_json::json!(NOW + 90_000);
        Self {
            token: world.issuer.sign(&claims),
            nonce: None,
            challenges: 0,
        }
    }

    /// One request, repeated once where a nonce is asked for.
    async fn call(&mut self, world: &World, gate: &Guard) {
        let authorization = format!("DPoP {}", self.token);
        for _ in 0..2 {
            let nonce = self.nonce.take();
            let proof = world.proof_with(&self.token, |proof| proof.nonce = nonce);
            match check(gate, &world.route, &authorization, Some(&proof)).await {
                Ok(_) => {
                    self.nonce = gate.nonce_for_success(&world.route);
                    return;
                }
                Err(rejection) => {
                    self.challenges += 1;
                    self.nonce = Some(offered(gate, world, &rejection));
                }
            }
        }
        panic!("challenged twice for one request");
    }
}

/// SC-100: three gates behind a round robin, and a secret that is exchanged under them one gate at
/// a time.
#[tokio::test]
async fn sc_100_rotation_of_the_secret_challenges_nobody() {
    let mut world = World::with(Issuer::start().await, best_effort);
    world.route.nonce = NonceRule::Everybody;
    let gates: Vec<Guard> = (0..3)
        .map(|_| guard(&world.issuer, &world.clock, &world.sink, best_effort))
        .collect();
    let mut busy = Client::new(&world);
    let mut seldom = Client::new(&world);
    let mut turn = gates.iter().cycle();
    busy.call(&world, turn.next().unwrap()).await;
    seldom.call(&world, turn.next().unwrap()).await;
    assert_eq!(
        (busy.challenges, seldom.challenges),
        (1, 1),
        "the first time"
    );
    let (old, new) = ([7; 32], [8; 32]);
    let steps = [(old, vec![new]), (new, vec![old]), (new, Vec::new())];
    for (step, (current, also)) in steps.into_iter().enumerate() {
        if step == 2 {
            // The last nonces of the old secret end.
            for _ in 0..3 {
                world.clock.advance_secs(NONCE_LIFETIME / 3 - 1);
                busy.call(&world, turn.next().unwrap()).await;
            }
            seldom.call(&world, turn.next().unwrap()).await;
            world.clock.advance_secs(3);
        }
        for gate in &gates {
            gate.set_nonce_secrets(current, also.clone());
            for _ in 0..6 {
                busy.call(&world, turn.next().unwrap()).await;
            }
            world.clock.advance_secs(1);
        }
        seldom.call(&world, turn.next().unwrap()).await;
    }
    assert_eq!(busy.challenges, 1, "never again");
    assert_eq!(seldom.challenges, 1, "never again");
    // What the old secret made means nothing now.
    let old = guard(&world.issuer, &world.clock, &world.sink, best_effort);
    let nonce = old.nonce_for_success(&world.route);
    let proof = world.proof_with(&busy.token, |proof| proof.nonce = nonce);
    let authorization = format!("DPoP {}", busy.token);
    let refused = check(&gates[0], &world.route, &authorization, Some(&proof)).await;
    assert_eq!(refused.unwrap_err().cause(), Cause::DpopNonceStale);
}

fn best_effort(config: &mut keybound_guard::GuardConfig) {
    config.replay.mode = keybound_guard::ReplayMode::BestEffort;
}

/// SC-097: a nonce of an issuer, made with the very secret, is none of a gateway.
#[tokio::test]
async fn sc_097_nonces_of_the_issuer_are_foreign() {
    let world = World::with(Issuer::start().await, best_effort);
    let token = world.token();
    let issuer = NonceKey::new(&[7; 32], NonceRole::AuthorizationServer, 0, NONCE_LIFETIME);
    let gateway = NonceKey::new(&[7; 32], NonceRole::ResourceServer, 0, NONCE_LIFETIME);
    let now = UnixTime::from_secs(NOW);
    let with = |nonce: String| world.proof_with(&token, |proof| proof.nonce = Some(nonce));
    let foreign = with(issuer.issue(now));
    assert_eq!(world.refused(&token, &foreign).await, Cause::DpopNonceStale);
    // The same, made for a resource server, is taken: it was the role that differed.
    assert!(world.send(&token, &with(gateway.issue(now))).await.is_ok());
}

#[tokio::test]
async fn a_nonce_of_a_secret_that_was_taken_away_is_stale() {
    let mut world = World::start().await;
    world.route.nonce = NonceRule::Everybody;
    let token = world.token();
    let nonce = world.guard.nonce_for_success(&world.route).unwrap();
    let with = |nonce: &str| world.proof_with(&token, |proof| proof.nonce = Some(nonce.into()));
    world.guard.set_nonce_secrets([8; 32], Vec::new());
    let refused = world.refused(&token, &with(&nonce)).await;
    assert_eq!(refused, Cause::DpopNonceStale);
    world.guard.set_nonce_secrets([8; 32], vec![[7; 32]]);
    world.send(&token, &with(&nonce)).await.unwrap();
    let newer = world.guard.nonce_for_success(&world.route).unwrap();
    world.guard.set_nonce_secrets([8; 32], Vec::new());
    world.send(&token, &with(&newer)).await.unwrap();
}
