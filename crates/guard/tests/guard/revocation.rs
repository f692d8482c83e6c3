//! Revocation and locks as requests meet them.

use std::sync::Arc;

use keybound_guard::revocation::RevocationSnapshot;
use keybound_proto::cause::Cause;
use keybound_proto::certificate::CertificateThumbprint;
use keybound_proto::jose::{Algorithm, Jkt, Signer as _};
use keybound_proto::signal::{SignalEvent, Subject};
use keybound_proto::time::{Clock as _, UnixTime};
use keybound_proto::token::TokenHash;
use keybound_proto::verify::RevocationQuery;
use serde_json::json;

use crate::support::{Issuer, NOW, World, key};

fn subjects(world: &World, token: &str, token_id: &str) -> [(Subject, Cause); 4] {
    let issuer = world.issuer.url.clone();
    [
        (
            Subject::Token {
                issuer: issuer.clone(),
                token_id: token_id.into(),
            },
            Cause::TokenRevoked,
        ),
        (
            Subject::TokenHash(TokenHash::of(token.as_bytes())),
            Cause::TokenRevoked,
        ),
        (
            Subject::Key(world.holder.public_key().thumbprint()),
            Cause::KeyLocked,
        ),
        (
            Subject::Identity {
                issuer,
                subject: "agent-7".into(),
            },
            Cause::IdentityLocked,
        ),
    ]
}

fn token(world: &World) -> (String, String) {
    let claims = world.issuer.claims(&world.holder);
    let token_id = claims["jti"].as_str().unwrap().to_owned();
    (world.issuer.sign(&claims), token_id)
}

#[tokio::test]
async fn each_lock_refuses_and_each_release_serves_again() {
    let world = World::start().await;
    let (token, token_id) = token(&world);
    world.accept(&token).await;
    let watcher = world.guard.revocations().subscribe();
    for (subject, cause) in subjects(&world, &token, &token_id) {
        for _ in 0..2 {
            world
                .guard
                .revocations()
                .apply(&subject, SignalEvent::Locked, None);
        }
        assert_eq!(world.refused(&token, &world.proof(&token)).await, cause);
        assert_eq!(world.refused(&token, &world.proof(&token)).await, cause);
        world
            .guard
            .revocations()
            .apply(&subject, SignalEvent::Released, None);
        world.accept(&token).await;
    }
    assert_eq!(*watcher.borrow(), 8, "twice the same changes nothing");
    assert!(world.guard.revocations().is_empty());
}

#[tokio::test]
async fn sc_201_whoever_refuses_a_token_refuses_what_descends_from_it() {
    let world = World::start().await;
    let mut claims = world.issuer.claims(&world.holder);
    claims["urn:keybound:ancestors"] = json!(["grt_root", "tok_parent"]);
    let token = world.issuer.sign(&claims);
    world.accept(&token).await;
    let apply = |issuer: &str, token_id: &str, event| {
        let subject = Subject::Token {
            issuer: issuer.to_owned(),
            token_id: token_id.to_owned(),
        };
        world.guard.revocations().apply(&subject, event, None);
    };
    for ancestor in ["grt_root", "tok_parent"] {
        apply(&world.issuer.url, ancestor, SignalEvent::Locked);
        let cause = world.refused(&token, &world.proof(&token)).await;
        assert_eq!(cause, Cause::TokenRevoked, "{ancestor}");
        apply(&world.issuer.url, ancestor, SignalEvent::Released);
        world.accept(&token).await;
    }
    apply(
        "https://elsewhere.example.com",
        "grt_root",
        SignalEvent::Locked,
    );
    world.accept(&token).await;
}

#[tokio::test]
async fn lock_of_somebody_else_refuses_nobody() {
    let world = World::start().await;
    let (token, token_id) = token(&world);
    let elsewhere = String::from("https://elsewhere.example.com");
    for subject in [
        Subject::Token {
            issuer: elsewhere.clone(),
            token_id,
        },
        Subject::Identity {
            issuer: elsewhere,
            subject: "agent-7".into(),
        },
        Subject::TokenHash(TokenHash::of(b"another")),
    ] {
        world
            .guard
            .revocations()
            .apply(&subject, SignalEvent::Locked, None);
    }
    world.accept(&token).await;
}

#[tokio::test]
async fn refused_request_burns_no_proof() {
    let world = World::start().await;
    let (token, _) = token(&world);
    let subject = Subject::Key(world.holder.public_key().thumbprint());
    world
        .guard
        .revocations()
        .apply(&subject, SignalEvent::Locked, None);
    let proof = world.proof(&token);
    assert_eq!(world.refused(&token, &proof).await, Cause::KeyLocked);
    assert_eq!(world.replay_entries(), 0);
}

#[tokio::test]
async fn f_20_feed_that_is_not_heard_from_refuses_and_recovers() {
    let world = World::with(Issuer::start().await, |config| {
        config.revocation_max_age = Some(60);
    });
    let (token, _) = token(&world);
    let stale = |rejection: keybound_proto::Rejection| {
        assert_eq!(rejection.cause(), Cause::RevocationStale);
        assert_eq!(
            world.guard.answer(&rejection, &world.route, "r").status,
            503
        );
        assert!(
            world
                .guard
                .readiness()
                .iter()
                .any(|check| check.name == "revocations" && !check.ok)
        );
    };
    stale(world.send(&token, &world.proof(&token)).await.unwrap_err());
    world.guard.revocations().heard_from(world.clock.now());
    world.accept(&token).await;
    world.clock.advance_secs(60);
    world.accept(&token).await;
    world.clock.advance_secs(1);
    stale(world.send(&token, &world.proof(&token)).await.unwrap_err());
    world.guard.revocations().heard_from(world.clock.now());
    world.accept(&token).await;
}

#[tokio::test]
async fn stale_view_still_knows_what_is_revoked() {
    let world = World::with(Issuer::start().await, |config| {
        config.revocation_max_age = Some(60);
    });
    let (token, token_id) = token(&world);
    let (subject, cause) = subjects(&world, &token, &token_id)
        .into_iter()
        .next()
        .unwrap();
    world
        .guard
        .revocations()
        .apply(&subject, SignalEvent::Locked, None);
    assert_eq!(world.refused(&token, &world.proof(&token)).await, cause);
}

#[tokio::test]
async fn snapshot_carries_everything_over_a_restart() {
    let before = World::start().await;
    let (token, token_id) = token(&before);
    let end = Some(UnixTime::from_secs(NOW + 300));
    for (subject, _) in subjects(&before, &token, &token_id) {
        before
            .guard
            .revocations()
            .apply(&subject, SignalEvent::Locked, end);
    }
    let text = serde_json::to_string(&before.guard.revocations().snapshot()).unwrap();
    let snapshot: RevocationSnapshot = serde_json::from_str(&text).unwrap();
    for (index, (subject, cause)) in subjects(&before, &token, &token_id).into_iter().enumerate() {
        let after = crate::support::guard(&before.issuer, &before.clock, &before.sink, |_| ());
        after.revocations().restore(&snapshot).unwrap();
        assert_eq!(after.revocations().len(), 4);
        // Only this one subject remains.
        for (other, _) in subjects(&before, &token, &token_id) {
            if other != subject {
                after
                    .revocations()
                    .apply(&other, SignalEvent::Released, None);
            }
        }
        let proof = before.proof(&token);
        let sent =
            crate::support::check(&after, &before.route, format!("DPoP {token}"), Some(&proof));
        assert_eq!(sent.await.unwrap_err().cause(), cause, "{index}");
    }
    let garbled = text.replace("\"key\"", "\"kee\"");
    let snapshot: RevocationSnapshot = serde_json::from_str(&garbled).unwrap();
    assert!(before.guard.revocations().restore(&snapshot).is_err());
}

#[tokio::test]
async fn entries_are_forgotten_after_the_tokens_end() {
    let world = World::start().await;
    let end = Some(UnixTime::from_secs(NOW + 300));
    let subject = Subject::TokenHash(TokenHash::of(b"token"));
    world
        .guard
        .revocations()
        .apply(&subject, SignalEvent::Locked, end);
    world.clock.set(NOW + 360);
    assert_eq!(world.guard.revocations().snapshot().entries.len(), 1);
    world.clock.set(NOW + 361);
    assert_eq!(world.guard.revocations().snapshot().entries.len(), 0);
}

#[tokio::test]
async fn replaced_view_holds_the_new_subjects_only() {
    let world = World::start().await;
    let (token, token_id) = token(&world);
    let all = subjects(&world, &token, &token_id);
    world
        .guard
        .revocations()
        .apply(&all[0].0, SignalEvent::Locked, None);
    world
        .guard
        .revocations()
        .replace(&[(all[2].0.clone(), None)]);
    assert_eq!(world.refused(&token, &world.proof(&token)).await, all[2].1);
    world.guard.revocations().replace(&[]);
    world.accept(&token).await;
}

/// How many verified tokens the guard remembers.
fn known_tokens(world: &World) -> usize {
    let text = world.guard.render_metrics();
    let line = text
        .lines()
        .find(|line| line.starts_with("keybound_known_tokens "));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn locked_token_is_forgotten_and_others_stay_known() {
    for index in 0..4 {
        let world = World::start().await;
        let (token, token_id) = token(&world);
        let (subject, _) = subjects(&world, &token, &token_id)[index].clone();
        // Another token of the same issuer, of another identity and another key.
        let holder = key(Algorithm::EdDsa);
        let mut claims = world.issuer.claims(&holder);
        claims["sub"] = json!("agent-8");
        let other = world.issuer.sign(&claims);
        let proof = || world.proof_with(&other, |proof| proof.key = Arc::clone(&holder));
        world.accept(&token).await;
        world.send(&other, &proof()).await.unwrap();
        assert_eq!(known_tokens(&world), 2);
        let view = world.guard.revocations();
        assert!(view.is_empty());
        view.apply(&subject, SignalEvent::Locked, None);
        assert!(!view.is_empty());
        assert_eq!(known_tokens(&world), 1, "{index}");
        world.send(&other, &proof()).await.unwrap();
        assert_eq!(known_tokens(&world), 1, "{index}: the other one was known");
        view.apply(&subject, SignalEvent::Released, None);
        world.accept(&token).await;
        assert_eq!(known_tokens(&world), 2);
    }
}

#[tokio::test]
async fn key_is_locked_whether_it_was_proven_or_is_the_tokens() {
    let world = World::start().await;
    let token = world.token();
    let verified = world.send(&token, &world.proof(&token)).await.unwrap();
    let bound = verified.jkt().unwrap();
    let proven = key(Algorithm::EdDsa).public_key().thumbprint();
    let query = RevocationQuery {
        token: Arc::clone(verified.token()),
        jkt: Some(proven),
        certificate: Some(CertificateThumbprint::from_bytes([7; 32])),
    };
    let view = world.guard.revocations();
    assert_eq!(view.contains(&query), None);
    for jkt in [bound, proven, Jkt::from_bytes([7; 32])] {
        view.apply(&Subject::Key(jkt), SignalEvent::Locked, None);
        assert_eq!(view.contains(&query), Some(Cause::KeyLocked));
        view.apply(&Subject::Key(jkt), SignalEvent::Released, None);
    }
}

#[tokio::test]
async fn same_end_again_is_no_news_and_every_kind_ends() {
    let world = World::start().await;
    let (token, token_id) = token(&world);
    let view = world.guard.revocations();
    let watcher = view.subscribe();
    let end = Some(UnixTime::from_secs(NOW + 300));
    for (subject, _) in subjects(&world, &token, &token_id) {
        view.apply(&subject, SignalEvent::Locked, end);
        view.apply(&subject, SignalEvent::Locked, end);
    }
    assert_eq!(*watcher.borrow(), 4, "twice the same changes nothing");
    world.clock.set(NOW + 360);
    assert_eq!(view.snapshot().entries.len(), 4);
    world.clock.set(NOW + 361);
    assert_eq!(view.snapshot().entries.len(), 0);
}
