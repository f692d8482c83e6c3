//! 1C: replay and nonces.

use std::collections::BTreeSet;

use keybound_testkit::{Agent, World, WorldOptions};
use serde_json::json;

use crate::expect::{refused_at_issuer, refused_at_resource, served};

#[tokio::test]
async fn sc_080_the_same_proof_twice() {
    let world = World::start().await;
    let token = world.token().await;
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&world.agent.proof_key);
    served("sc_080", &world.get("/approvals", &token, &[&proof]).await);
    for _ in 0..3 {
        let answer = world.get("/approvals", &token, &[&proof]).await;
        refused_at_resource("sc_080", &answer, "invalid_dpop_proof", "dpop.replayed");
    }
    assert_eq!(world.upstream.requests().len(), 1);
}

#[tokio::test]
async fn sc_080_the_same_proof_twice_at_the_issuer() {
    let world = World::start().await;
    let proof = world.token_proof().sign(&world.agent.proof_key);
    let answer = world
        .token_form()
        .header("dpop", proof.clone())
        .send(&world.issuer, "/token")
        .await;
    served("sc_080", &answer);
    let answer = world
        .token_form()
        .header("dpop", proof)
        .send(&world.issuer, "/token")
        .await;
    refused_at_issuer(
        "sc_080",
        &answer,
        400,
        "invalid_dpop_proof",
        "dpop.replayed",
    );
}

#[tokio::test]
async fn sc_081_and_082_the_same_jti_in_another_dress() {
    let world = World::start().await;
    let token = world.token().await;
    let key = &world.agent.proof_key;
    let draft = world.proof("GET", "/approvals").ath(&token);
    served(
        "sc_081",
        &world.get("/approvals", &token, &[&draft.sign(key)]).await,
    );
    let now = world.now().as_secs();
    let dresses = [
        draft.clone().claim("iat", now - 5),
        draft.clone().claim("iat", now + 5),
        draft
            .clone()
            .claim("htu", format!("{}/approvals?x=1", world.gateway)),
        draft.clone().claim(
            "htu",
            format!("{}/approvals", world.gateway).replace("http:", "HTTP:"),
        ),
        draft.clone().claim("extra", 1),
        draft.member("kid", "other"),
    ];
    for dress in dresses {
        let answer = world.get("/approvals", &token, &[&dress.sign(key)]).await;
        refused_at_resource("sc_081", &answer, "invalid_dpop_proof", "dpop.replayed");
    }
}

#[tokio::test]
async fn sc_081_a_malleated_signature_is_a_replay() {
    let world = World::with(WorldOptions {
        proof_algorithm: keybound_proto::jose::Algorithm::Es256,
        ..WorldOptions::default()
    })
    .await;
    let token = world.token().await;
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&world.agent.proof_key);
    served("sc_081", &world.get("/approvals", &token, &[&proof]).await);
    let twin = malleated(&proof);
    assert_ne!(twin, proof);
    let answer = world.get("/approvals", &token, &[&twin]).await;
    refused_at_resource("sc_081", &answer, "invalid_dpop_proof", "dpop.replayed");
}

/// The other valid signature of the same message: s becomes n - s.
fn malleated(proof: &str) -> String {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    ];
    let (input, signature) = proof.rsplit_once('.').unwrap();
    let mut bytes = keybound_proto::base64url::decode(signature.as_bytes()).unwrap();
    let mut borrow = 0_i32;
    for index in (0..32).rev() {
        let difference = i32::from(ORDER[index]) - i32::from(bytes[32 + index]) - borrow;
        borrow = i32::from(difference < 0);
        bytes[32 + index] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{input}.{}", keybound_proto::base64url::encode(&bytes))
}

#[tokio::test]
async fn sc_083_the_jti_of_another_key_is_free() {
    let world = World::start().await;
    let other = Agent::new("other");
    let (mine, theirs) = (world.token().await, world.token_for(&other).await);
    let proof = world
        .proof("GET", "/approvals")
        .ath(&mine)
        .claim("jti", "shared")
        .sign(&world.agent.proof_key);
    served("sc_083", &world.get("/approvals", &mine, &[&proof]).await);
    let proof = world
        .proof_of(&other, "GET", "/approvals")
        .ath(&theirs)
        .claim("jti", "shared")
        .sign(&other.proof_key);
    served("sc_083", &world.get("/approvals", &theirs, &[&proof]).await);
}

#[tokio::test]
async fn sc_085_a_failed_request_burns_no_jti() {
    let world = World::start().await;
    let token = world.token().await;
    let key = &world.agent.proof_key;
    let draft = || {
        world
            .proof("GET", "/approvals")
            .ath(&token)
            .claim("jti", "precious")
    };
    let thief = Agent::new("thief").proof_key;
    let failures = [
        ("bad_signature", draft().sign(&thief), token.clone()),
        (
            "bad_ath",
            draft()
                .claim("ath", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo")
                .sign(key),
            token.clone(),
        ),
        ("unknown_token", draft().sign(key), forged(&token)),
        (
            "wrong_target",
            draft()
                .claim("htu", format!("{}/reports", world.gateway))
                .sign(key),
            token.clone(),
        ),
    ];
    for (id, proof, token) in failures {
        let answer = world.get("/approvals", &token, &[&proof]).await;
        assert_eq!(answer.status, 401, "{id}");
        assert_eq!(world.replay_entries(), 0, "{id} wrote to the replay log");
    }
    served(
        "sc_085",
        &world.get("/approvals", &token, &[&draft().sign(key)]).await,
    );
    assert_eq!(world.replay_entries(), 1);
}

/// The same token with its last signature byte changed.
fn forged(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = keybound_proto::base64url::decode(signature.as_bytes()).unwrap();
    bytes[10] ^= 1;
    format!("{input}.{}", keybound_proto::base64url::encode(&bytes))
}

#[tokio::test]
async fn sc_086_refused_at_every_second_until_it_is_too_old() {
    let world = World::start().await;
    let token = world.token().await;
    let start = world.now().as_secs();
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .claim("iat", start + 10)
        .sign(&world.agent.proof_key);
    served("sc_086", &world.get("/approvals", &token, &[&proof]).await);
    for second in 1..=70 {
        world.clock.advance_secs(1);
        let answer = world.get("/approvals", &token, &[&proof]).await;
        refused_at_resource(
            &format!("second {second}"),
            &answer,
            "invalid_dpop_proof",
            "dpop.replayed",
        );
    }
    world.clock.advance_secs(1);
    let answer = world.get("/approvals", &token, &[&proof]).await;
    refused_at_resource(
        "after the window",
        &answer,
        "invalid_dpop_proof",
        "dpop.iat.past",
    );
}

#[tokio::test]
async fn sc_087_a_full_log_refuses_and_forgets_nothing() {
    let world = World::with(WorldOptions {
        replay_capacity: 64,
        replay_per_sender: 32,
        ..WorldOptions::default()
    })
    .await;
    let (flooder, honest) = (Agent::new("other"), &world.agent);
    let (flood_token, token) = (world.token_for(&flooder).await, world.token().await);
    let first = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&honest.proof_key);
    served(
        "before the flood",
        &world.get("/approvals", &token, &[&first]).await,
    );
    let mut statuses = BTreeSet::new();
    for _ in 0..100 {
        let proof = world
            .proof_of(&flooder, "GET", "/approvals")
            .ath(&flood_token)
            .sign(&flooder.proof_key);
        let answer = world.get("/approvals", &flood_token, &[&proof]).await;
        statuses.insert((answer.status.as_u16(), answer.cause()));
    }
    assert!(
        statuses.contains(&(429, "replay.flood".to_owned())),
        "{statuses:?}"
    );
    let other = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&honest.proof_key);
    served(
        "the others are served",
        &world.get("/approvals", &token, &[&other]).await,
    );
    let answer = world.get("/approvals", &token, &[&first]).await;
    refused_at_resource("sc_087", &answer, "invalid_dpop_proof", "dpop.replayed");
}

#[tokio::test]
async fn sc_087_full_for_everybody_is_503_with_retry_after() {
    let world = World::with(WorldOptions {
        replay_capacity: 8,
        replay_per_sender: 8,
        ..WorldOptions::default()
    })
    .await;
    let mut answers = Vec::new();
    for sender in [
        world.agent.clone(),
        Agent::new("other"),
        Agent::new("exempt"),
    ] {
        let token = world.token_for(&sender).await;
        for _ in 0..10 {
            let proof = world
                .proof_of(&sender, "GET", "/approvals")
                .ath(&token)
                .sign(&sender.proof_key);
            answers.push(world.get("/approvals", &token, &[&proof]).await);
        }
    }
    let full = answers
        .iter()
        .find(|answer| answer.cause() == "replay.full")
        .expect("a full log");
    assert_eq!(full.status, 503);
    assert!(full.header("retry-after").is_some());
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((1..=8).contains(&served), "{served} served with room for 8");
}

#[tokio::test]
async fn sc_088_one_proof_sent_at_once_over_many_connections() {
    let world = World::start().await;
    let token = world.token().await;
    for senders in [2, 5, 20, 60] {
        let proof = world
            .proof("GET", "/approvals")
            .ath(&token)
            .sign(&world.agent.proof_key);
        let sends = (0..senders).map(|_| world.get_owned("/approvals", &token, &proof));
        let answers = futures_join(sends).await;
        let accepted = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(accepted, 1, "{senders} senders");
    }
}

async fn futures_join<F>(sends: impl Iterator<Item = F>) -> Vec<keybound_testkit::Answer>
where
    F: Future<Output = keybound_testkit::Answer> + Send + 'static,
{
    let tasks: Vec<_> = sends.map(tokio::spawn).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn sc_090_a_restart_inside_the_window() {
    let mut world = World::start().await;
    let token = world.token().await;
    let key = world.agent.proof_key.clone();
    let proof = world.proof("GET", "/approvals").ath(&token).sign(&key);
    served("before", &world.get("/approvals", &token, &[&proof]).await);
    world.restart_gateway().await;
    let answer = world.get("/approvals", &token, &[&proof]).await;
    refused_at_resource("sc_090", &answer, "use_dpop_nonce", "replay.epoch");
    let nonce = answer
        .header("dpop-nonce")
        .expect("a nonce to answer with")
        .to_owned();
    let fresh = world
        .proof("GET", "/approvals")
        .ath(&token)
        .claim("nonce", nonce)
        .sign(&key);
    served(
        "with the nonce of this run",
        &world.get("/approvals", &token, &[&fresh]).await,
    );
    let answer = world.get("/approvals", &token, &[&fresh]).await;
    refused_at_resource("once", &answer, "invalid_dpop_proof", "dpop.replayed");
    world.clock.advance_secs(30);
    let later = world.proof("GET", "/approvals").ath(&token).sign(&key);
    served(
        "after the epoch no nonce is needed",
        &world.get("/approvals", &token, &[&later]).await,
    );
}

#[tokio::test]
async fn sc_096_to_100_a_route_that_requires_nonces() {
    let world = World::with(WorldOptions {
        route_nonce: true,
        ..WorldOptions::default()
    })
    .await;
    let token = world.token().await;
    let key = &world.agent.proof_key;
    let draft = || world.proof("GET", "/approvals").ath(&token);
    let answer = world.get("/approvals", &token, &[&draft().sign(key)]).await;
    refused_at_resource("sc_096", &answer, "use_dpop_nonce", "dpop.nonce.absent");
    assert_eq!(
        answer.headers.get_all("dpop-nonce").iter().count(),
        1,
        "exactly one nonce"
    );
    let nonce = answer.header("dpop-nonce").unwrap().to_owned();
    for (id, value, error, cause) in [
        (
            "sc_097_unknown",
            json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            "use_dpop_nonce",
            "dpop.nonce.stale",
        ),
        (
            "sc_097_garbled",
            json!(format!("{nonce}x")),
            "use_dpop_nonce",
            "dpop.nonce.stale",
        ),
        (
            "sc_097_number",
            json!(1),
            "invalid_dpop_proof",
            "dpop.nonce.invalid",
        ),
    ] {
        let answer = world
            .get(
                "/approvals",
                &token,
                &[&draft().claim("nonce", value).sign(key)],
            )
            .await;
        refused_at_resource(id, &answer, error, cause);
    }
    served(
        "good",
        &world
            .get(
                "/approvals",
                &token,
                &[&draft().claim("nonce", nonce.clone()).sign(key)],
            )
            .await,
    );
    let answer = world.get("/approvals", &token, &[&draft().sign(key)]).await;
    refused_at_resource(
        "sc_098_downgrade",
        &answer,
        "use_dpop_nonce",
        "dpop.nonce.absent",
    );
    world.clock.advance_secs(3600);
    let token = world.token().await;
    let expired = world
        .proof("GET", "/approvals")
        .ath(&token)
        .claim("nonce", nonce);
    let answer = world.get("/approvals", &token, &[&expired.sign(key)]).await;
    refused_at_resource(
        "sc_097_expired",
        &answer,
        "use_dpop_nonce",
        "dpop.nonce.stale",
    );
}

#[tokio::test]
async fn sc_096_at_the_issuer_and_the_spaces_are_separate() {
    let world = World::with(WorldOptions {
        issuer_nonce: true,
        route_nonce: true,
        ..WorldOptions::default()
    })
    .await;
    let key = &world.agent.proof_key;
    let answer = world
        .token_form()
        .header("dpop", world.token_proof().sign(key))
        .send(&world.issuer, "/token")
        .await;
    refused_at_issuer(
        "sc_096",
        &answer,
        400,
        "use_dpop_nonce",
        "dpop.nonce.absent",
    );
    let of_issuer = answer.header("dpop-nonce").unwrap().to_owned();
    let proof = world
        .token_proof()
        .claim("nonce", of_issuer.clone())
        .sign(key);
    let answer = world
        .token_form()
        .header("dpop", proof)
        .send(&world.issuer, "/token")
        .await;
    served("with the nonce", &answer);
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .claim("nonce", of_issuer)
        .sign(key);
    let answer = world.get("/approvals", &token, &[&proof]).await;
    refused_at_resource(
        "sc_097_of_the_issuer",
        &answer,
        "use_dpop_nonce",
        "dpop.nonce.stale",
    );
}

#[tokio::test]
async fn a_presented_nonce_is_checked_where_none_is_required() {
    let world = World::start().await;
    let token = world.token().await;
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .claim("nonce", "made-up")
        .sign(&world.agent.proof_key);
    let answer = world.get("/approvals", &token, &[&proof]).await;
    refused_at_resource("presented", &answer, "use_dpop_nonce", "dpop.nonce.stale");
    let good = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&world.agent.proof_key);
    let answer = world.get("/approvals", &token, &[&good]).await;
    served("none", &answer);
    assert!(
        answer.header("dpop-nonce").is_none(),
        "offered only where required"
    );
}

#[tokio::test]
async fn sc_102_proofs_made_in_advance() {
    let world = World::start().await;
    let token = world.token().await;
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .claim("iat", world.now().as_secs() + 200);
    let answer = world
        .get("/approvals", &token, &[&proof.sign(&world.agent.proof_key)])
        .await;
    refused_at_resource("sc_102", &answer, "invalid_dpop_proof", "dpop.iat.future");
}
