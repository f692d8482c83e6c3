//! Signing keys: published before use, rotated with overlap, removed late.

use keybound_issuer::config::Rotation;
use keybound_proto::jose::{Algorithm, Jws, PublicKey};
use serde_json::Value;

use crate::world::{self, NOW, World};

const EVERY: u64 = 10_000;
const OVERLAP: u64 = 1_000;

async fn rotating() -> World {
    World::with(|config| {
        config.rotation = Rotation {
            every: EVERY,
            overlap: OVERLAP,
        }
    })
    .await
}

async fn published(world: &World) -> Vec<String> {
    let jwks = world.get("/jwks").await.json();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn verifies(token: &str, jwks: &Value) -> bool {
    let kid = world::part(token, 0)["kid"].clone();
    let Some(key) = jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == kid)
    else {
        return false;
    };
    let key = PublicKey::from_jwk(key.to_string().as_bytes()).unwrap();
    let jws = Jws::parse(token.as_bytes(), 8192).unwrap();
    jws.verify(key.default_algorithm(), &key).is_ok()
}

#[tokio::test]
async fn f_16_a_verifier_with_an_old_key_set_never_meets_an_unknown_key() {
    let world = rotating().await;
    // A verifier that fetches the keys as rarely as it may.
    let mut cached = world.get("/jwks").await.json();
    let mut fetched_at = NOW;
    let mut kids = std::collections::BTreeSet::new();
    for _ in 0..400 {
        world.clock.advance_secs(100);
        world.issuer.rotate_if_due().await.unwrap();
        if world.now() - fetched_at >= keybound_issuer::JWKS_MAX_AGE {
            cached = world.get("/jwks").await.json();
            fetched_at = world.now();
        }
        let token = world.bound_token().await;
        assert!(verifies(&token, &cached), "at {}", world.now() - NOW);
        kids.insert(world::part(&token, 0)["kid"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        kids.len(),
        5,
        "40,000 s at 10,000 s a key, and the second 40,000"
    );
}

#[tokio::test]
async fn a_successor_is_listed_before_it_signs_and_the_old_key_until_its_last_token_is_dead() {
    let world = rotating().await;
    let first = published(&world).await;
    assert_eq!(first.len(), 1);

    world.clock.set(NOW + EVERY - OVERLAP - 1);
    assert_eq!(world.issuer.rotate_if_due().await.unwrap().created, None);
    world.clock.set(NOW + EVERY - OVERLAP);
    let second = world.issuer.rotate_if_due().await.unwrap().created.unwrap();
    assert_eq!(published(&world).await, [first[0].clone(), second.clone()]);
    let kid = async || world::part(&world.bound_token().await, 0)["kid"].clone();
    assert_eq!(kid().await, *first[0]);

    world.clock.set(NOW + EVERY - 1);
    assert_eq!(kid().await, *first[0]);
    let last = world.bound_token().await;
    world.clock.set(NOW + EVERY);
    assert_eq!(kid().await, *second);

    // The last token of the first key lives for 300 s more.
    world.clock.set(NOW + EVERY + 299);
    world.issuer.rotate_if_due().await.unwrap();
    assert!(verifies(&last, &world.get("/jwks").await.json()));
    world.clock.set(NOW + EVERY + 600);
    assert_eq!(world.issuer.rotate_if_due().await.unwrap().removed, 1);
    assert_eq!(published(&world).await, [second]);
}

#[tokio::test]
async fn f_15_no_token_is_signed_with_a_key_that_has_retired() {
    let world = rotating().await;
    world.clock.set(NOW + EVERY);
    let reply = world.token(&world.assertion(), Some(&world.proof())).await;
    reply.refused(503, "temporarily_unavailable");
    assert_eq!(reply.headers["retry-after"], "1");
    let unready: Vec<_> = world
        .issuer
        .readiness()
        .await
        .into_iter()
        .filter(|check| !check.ok)
        .collect();
    assert_eq!(unready.len(), 1);
    assert_eq!(unready[0].name, "issuer.signing_key");

    world.issuer.rotate_if_due().await.unwrap();
    assert!(world.issuer.readiness().await.iter().all(|check| check.ok));
    world.bound_token().await;
}

#[tokio::test]
async fn keys_survive_a_restart_and_a_new_algorithm_is_published_first() {
    let world = rotating().await;
    let before = published(&world).await;
    let key = || world::config(&world.client_key).clients;
    let again = World::on(
        world.store.clone(),
        world.clock.clone(),
        keybound_custody::SoftwareKey::generate(Algorithm::Es256).unwrap(),
        |config| {
            config.clients = key();
            config.rotation = Rotation {
                every: EVERY,
                overlap: OVERLAP,
            };
        },
    )
    .await;
    assert_eq!(published(&again).await, before);

    let eddsa = World::on(
        world.store.clone(),
        world.clock.clone(),
        keybound_custody::SoftwareKey::generate(Algorithm::Es256).unwrap(),
        |config| {
            config.rotation = Rotation {
                every: EVERY,
                overlap: OVERLAP,
            };
            config.signing_algorithm = Algorithm::EdDsa;
        },
    )
    .await;
    assert_eq!(published(&eddsa).await.len(), 2);
    let alg = async || world::part(&eddsa.bound_token().await, 0)["alg"].clone();
    assert_eq!(alg().await, "ES256");
    eddsa.clock.advance_secs(OVERLAP);
    assert_eq!(alg().await, "EdDSA");
}

#[tokio::test]
async fn the_key_set_holds_public_members_only() {
    let world = World::new().await;
    let jwks = world.get("/jwks").await;
    let jwks = jwks.json();
    let key = jwks["keys"][0].as_object().unwrap();
    let names: Vec<&String> = key.keys().collect();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert!(key["kid"].as_str().unwrap().starts_with("kb-"));
}
