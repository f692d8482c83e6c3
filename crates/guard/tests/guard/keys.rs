//! Where issuers' keys come from, and where they must not.

use std::sync::Arc;

use keybound_proto::cause::Cause;
use keybound_proto::jose::Algorithm;
use keybound_proto::token::Leniency;
use keybound_proto::uri::{HttpUrl, Origin};
use serde_json::json;

use crate::support::{Issuer, Manner, NOW, World, key, sign};

/// A token that names this key of the issuer, signed by nobody it knows.
fn token_with_kid(world: &World, kid: &str) -> String {
    let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid});
    sign(
        &header,
        &world.issuer.claims(&world.holder),
        &key(Algorithm::EdDsa),
    )
}

async fn flood(world: &Arc<World>, requests: usize) -> Vec<Cause> {
    let tasks = (0..requests).map(|number| {
        let world = Arc::clone(world);
        tokio::spawn(async move {
            let token = token_with_kid(&world, &format!("../{number}"));
            world.refused(&token, &world.proof(&token)).await
        })
    });
    let mut causes = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        causes.push(task.await.unwrap());
    }
    causes
}

#[tokio::test]
async fn sc_235_flood_of_unknown_kids_is_one_fetch() {
    let world = Arc::new(World::start().await);
    let causes = flood(&world, 200).await;
    assert!(
        causes.iter().all(|cause| *cause == Cause::TokenKeyUnknown),
        "{causes:?}"
    );
    assert_eq!(world.issuer.fetches(), 1);
    world.accept(&world.token()).await;
    // The cache is kept, and after the cooldown there is one fetch more.
    world.clock.advance_secs(30);
    flood(&world, 200).await;
    assert_eq!(world.issuer.fetches(), 2);
    world.accept(&world.token()).await;
}

#[tokio::test]
async fn sc_235_also_when_the_set_is_empty() {
    let world = Arc::new(World::start().await);
    world.issuer.publish(Vec::new());
    let causes = flood(&world, 200).await;
    assert!(
        causes.iter().all(|cause| *cause == Cause::TokenKeyUnknown),
        "{causes:?}"
    );
    assert_eq!(world.issuer.fetches(), 1);
}

#[tokio::test]
async fn sc_235_also_when_the_issuer_is_broken() {
    let world = Arc::new(World::start().await);
    world.issuer.behave(Manner::Broken);
    let causes = flood(&world, 200).await;
    assert!(
        causes.iter().all(|cause| *cause == Cause::KeysUnavailable),
        "{causes:?}"
    );
    assert_eq!(
        world.issuer.hits("/.well-known/oauth-authorization-server"),
        1
    );
    assert_eq!(world.issuer.hits("/.well-known/openid-configuration"), 0);
}

#[tokio::test]
async fn tokens_nobody_could_accept_cause_no_fetch() {
    let world = World::start().await;
    let es384 = key(Algorithm::Es384);
    let header = json!({"typ": "at+jwt", "alg": "ES384", "kid": "k9"});
    let token = sign(&header, &world.issuer.claims(&world.holder), &es384);
    assert_eq!(
        world.refused(&token, &world.proof(&token)).await,
        Cause::TokenAlgUnacceptable
    );
    let mut claims = world.issuer.claims(&world.holder);
    claims["iss"] = json!(format!("{}/", world.issuer.url));
    let token = world.issuer.sign(&claims);
    assert_eq!(
        world.refused(&token, &world.proof(&token)).await,
        Cause::TokenIssuerUnknown
    );
    let header = json!({"typ": "at+jwt", "alg": "EdDSA"});
    let token = sign(
        &header,
        &world.issuer.claims(&world.holder),
        &key(Algorithm::EdDsa),
    );
    assert_eq!(
        world.refused(&token, &world.proof(&token)).await,
        Cause::TokenClaimInvalid
    );
    assert_eq!(world.issuer.fetches(), 0);
}

#[tokio::test]
async fn f_17_documents_that_are_not_the_key_set_are_refused() {
    for manner in [
        Manner::Redirect,
        Manner::Oversize,
        Manner::Html,
        Manner::Broken,
        Manner::WrongIssuer,
    ] {
        let world = World::start().await;
        world.issuer.behave(manner.clone());
        let token = world.token();
        let rejection = world.send(&token, &world.proof(&token)).await.unwrap_err();
        assert_eq!(rejection.cause(), Cause::KeysUnavailable, "{manner:?}");
        assert_eq!(
            world.guard.answer(&rejection, &world.route, "r").status,
            503
        );
        assert_eq!(
            world.issuer.hits("/real-jwks"),
            0,
            "redirects are not followed"
        );
        let readiness = world.guard.readiness();
        assert!(
            readiness
                .iter()
                .any(|check| check.name.starts_with("keys ") && !check.ok)
        );
        // It recovers by itself, once the cooldown is over.
        world.issuer.behave(Manner::Well);
        assert_eq!(
            world.refused(&token, &world.proof(&token)).await,
            Cause::KeysUnavailable
        );
        world.clock.advance_secs(30);
        world.accept(&token).await;
    }
}

#[tokio::test(start_paused = true)]
async fn f_17_issuer_that_never_answers_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}/jwks", listener.local_addr().unwrap());
    let world = World::with(Issuer::start().await, |config| {
        for issuer in &mut config.issuers {
            issuer.jwks_uri = Some(HttpUrl::parse(&silent).unwrap());
        }
    });
    let token = world.token();
    let rejection = world.send(&token, &world.proof(&token)).await.unwrap_err();
    assert_eq!(rejection.cause(), Cause::KeysUnavailable);
    assert!(rejection.detail().got.unwrap().contains("within 5 seconds"));
}

#[tokio::test]
async fn sc_234_known_keys_serve_to_their_age_and_no_longer() {
    let world = World::with(Issuer::start().await, |config| {
        for issuer in &mut config.issuers {
            issuer.max_key_age = 1000;
        }
    });
    let mut claims = world.issuer.claims(&world.holder);
    claims["exp"] = json!(NOW + 10_000);
    let token = world.issuer.sign(&claims);
    world.accept(&token).await;
    world.issuer.behave(Manner::Broken);
    for age in [400, 700, 1000] {
        world.clock.set(NOW + age);
        world.accept(&token).await;
        let fresh = world.issuer.sign(&{
            let mut claims = claims.clone();
            claims["jti"] = json!(format!("tok_{age}"));
            claims
        });
        world.accept(&fresh).await;
    }
    world.clock.set(NOW + 1001);
    let rejection = world.send(&token, &world.proof(&token)).await.unwrap_err();
    assert_eq!(
        rejection.cause(),
        Cause::KeysUnavailable,
        "also for a token known before"
    );
    world.issuer.behave(Manner::Well);
    world.clock.set(NOW + 1040);
    world.accept(&token).await;
}

#[tokio::test]
async fn set_is_fetched_anew_when_it_is_due_and_not_before() {
    let world = World::start().await;
    let mut claims = world.issuer.claims(&world.holder);
    claims["exp"] = json!(NOW + 10_000);
    let token = world.issuer.sign(&claims);
    world.accept(&token).await;
    world.clock.set(NOW + 299);
    world.accept(&token).await;
    world.guard.maintain().await;
    assert_eq!(world.issuer.fetches(), 1);
    // Due now: the request is served at once, and its fetch goes on beside it.
    world.clock.set(NOW + 300);
    world.accept(&token).await;
    let fetched = async {
        while world.issuer.fetches() < 2 {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, fetched).await.unwrap();
}

#[tokio::test]
async fn set_from_the_future_serves_as_far_as_its_age_may_go() {
    let world = World::with(Issuer::start().await, |config| {
        for issuer in &mut config.issuers {
            issuer.max_key_age = 100;
        }
    });
    let mut claims = world.issuer.claims(&world.holder);
    claims["iat"] = json!(NOW - 500);
    let token = world.issuer.sign(&claims);
    world.accept(&token).await;
    world.issuer.behave(Manner::Broken);
    // The clock is set back by less than, exactly, and more than the age a set may have. The replay
    // log wants a nonce then, which is asked for last, so the keys were found.
    for back in [99, 100] {
        world.clock.set(NOW - back);
        let refused = world.refused(&token, &world.proof(&token)).await;
        assert_eq!(refused, Cause::ReplayEpoch);
    }
    world.clock.set(NOW - 101);
    let refused = world.refused(&token, &world.proof(&token)).await;
    assert_eq!(refused, Cause::KeysUnavailable);
}

#[tokio::test]
async fn f_16_rotation_with_overlap_refuses_nobody() {
    let world = World::start().await;
    world.accept(&world.token()).await;
    for round in 2..12 {
        let mut keys = world.issuer.keys();
        keys.truncate(1);
        // Published first, used later.
        let next = (format!("k{round}"), key(Algorithm::Es256));
        keys.push(next.clone());
        world.issuer.publish(keys.clone());
        let mut claims = world.issuer.claims(&world.holder);
        claims["iat"] = json!(NOW + 301 * (round - 2));
        claims["exp"] = json!(NOW + 301 * (round + 1));
        let before = world.issuer.sign(&claims);
        world.clock.advance_secs(301);
        world.guard.maintain().await;
        world.accept(&before).await;
        keys.swap(0, 1);
        world.issuer.publish(keys);
        claims["jti"] = json!(format!("tok_next_{round}"));
        let after = world.issuer.sign(&claims);
        world.accept(&after).await;
        world.accept(&before).await;
    }
}

#[tokio::test]
async fn withdrawn_key_takes_known_tokens_with_it() {
    let world = World::start().await;
    let mut claims = world.issuer.claims(&world.holder);
    claims["exp"] = json!(NOW + 10_000);
    let token = world.issuer.sign(&claims);
    world.accept(&token).await;
    // Another key under the same id is another key.
    world
        .issuer
        .publish(vec![("k1".into(), key(Algorithm::EdDsa))]);
    world.clock.advance_secs(300);
    world.guard.maintain().await;
    assert_eq!(
        world.refused(&token, &world.proof(&token)).await,
        Cause::TokenSignatureInvalid
    );
    world.issuer.publish(Vec::new());
    world.clock.advance_secs(300);
    world.guard.maintain().await;
    assert_eq!(
        world.refused(&token, &world.proof(&token)).await,
        Cause::TokenKeyUnknown
    );
}

#[tokio::test]
async fn both_well_known_forms_are_found_for_issuers_with_a_path() {
    for manner in [Manner::Well, Manner::OidcOnly] {
        let world = World::with(Issuer::start_at("/tenants/7").await, |_| ());
        world.issuer.behave(manner.clone());
        world.accept(&world.token()).await;
        assert_eq!(
            world
                .issuer
                .hits("/.well-known/oauth-authorization-server/tenants/7"),
            1
        );
        let appended = world
            .issuer
            .hits("/tenants/7/.well-known/openid-configuration");
        assert_eq!(appended, usize::from(manner == Manner::OidcOnly));
    }
}

#[tokio::test]
async fn sc_236_keys_at_an_origin_that_is_not_listed_are_not_fetched() {
    let elsewhere = Issuer::start().await;
    let elsewhere_origin = Origin::parse(&elsewhere.url).unwrap();
    for listed in [false, true] {
        let issuer = Issuer::start().await;
        elsewhere.publish(issuer.keys());
        issuer.announce_jwks_uri(&format!("{}/jwks", elsewhere.url));
        let world = World::with(issuer, |config| {
            for issuer in config.issuers.iter_mut().filter(|_| listed) {
                issuer.jwks_origins = vec![elsewhere_origin.clone()];
            }
        });
        let token = world.token();
        if listed {
            world.accept(&token).await;
        } else {
            assert_eq!(
                world.refused(&token, &world.proof(&token)).await,
                Cause::KeysUnavailable
            );
        }
        assert_eq!(elsewhere.fetches(), usize::from(listed));
    }
}

#[tokio::test]
async fn token_without_kid_needs_leniency_and_a_fitting_key() {
    let world = World::with(Issuer::start().await, |config| {
        for issuer in &mut config.issuers {
            issuer.lenient = Leniency {
                missing_kid: true,
                ..Leniency::default()
            };
        }
    });
    let (second, first) = (key(Algorithm::EdDsa), key(Algorithm::EdDsa));
    let keys = [("a", &first), ("b", &second), ("c", &key(Algorithm::Es256))];
    world.issuer.publish(
        keys.map(|(kid, key)| (kid.to_owned(), Arc::clone(key)))
            .to_vec(),
    );
    let header = json!({"typ": "at+jwt", "alg": "EdDSA"});
    let stranger = sign(
        &header,
        &world.issuer.claims(&world.holder),
        &key(Algorithm::EdDsa),
    );
    let cause = world.refused(&stranger, &world.proof(&stranger)).await;
    assert_eq!(cause, Cause::TokenSignatureInvalid);
    for signer in [first, second] {
        let token = sign(&header, &world.issuer.claims(&world.holder), &signer);
        world.accept(&token).await;
    }
}
