//! When the store, the disk or the clock fails: closed, said so, and well again
//! without a restart.

use std::path::Path;
use std::sync::Arc;

use keybound_control::{Store, StoreOptions};
use keybound_custody::SoftwareKey;
use keybound_issuer::{Issuer, IssuerStartError};
use keybound_proto::jose::Algorithm;
use keybound_proto::time::ManualClock;
use rusqlite::Connection;

use crate::world::{self, ASSERTION_TYPE, NOW, World, basic, full};

fn open(path: &Path, clock: &ManualClock) -> Store {
    let options = StoreOptions {
        kek: Some([3; 32].into()),
        node: "control".to_owned(),
        clock: Arc::new(clock.clone()),
    };
    Store::open(path, options).unwrap()
}

async fn on_disk(path: &Path) -> World {
    let clock = ManualClock::at(NOW);
    World::on(
        open(path, &clock),
        clock,
        SoftwareKey::generate(Algorithm::Es256).unwrap(),
        full,
    )
    .await
}

/// Takes a table away from under the store, or gives it back.
fn rename(path: &Path, from: &str, to: &str) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}"))
        .unwrap();
}

#[tokio::test]
async fn f_03_no_record_no_token_and_recovery_without_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keybound.db");
    let world = on_disk(&path).await;
    rename(&path, "tokens", "gone");
    let (assertion, proof) = (world.assertion(), world.proof());
    let reply = world.token(&assertion, Some(&proof)).await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.headers["retry-after"], "1");
    reply.cause("store.unavailable");
    assert_eq!(reply.json()["error"], "temporarily_unavailable");
    rename(&path, "gone", "tokens");
    // Nothing was spent by the attempt that failed.
    assert_eq!(world.token(&assertion, Some(&proof)).await.status, 200);
}

#[tokio::test]
async fn sc_215_a_revocation_that_is_not_stored_is_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keybound.db");
    let world = on_disk(&path).await;
    let token = world.bound_token().await;
    let form = async || {
        let assertion = world.assertion();
        let form = [
            ("token", token.as_str()),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &assertion),
        ];
        world.post("/revoke", &form, &[]).await
    };
    for table in ["signals", "withheld", "tokens", "events", "assertion_uses"] {
        rename(&path, table, "gone");
        let reply = form().await;
        assert_eq!(reply.status, 503, "{table}");
        assert_eq!(reply.headers["retry-after"], "1");
        reply.cause("store.unavailable");
        rename(&path, "gone", table);
    }
    assert_eq!(form().await.status, 200);
    let authorization = basic("auditor", "secret-of-auditor");
    let reply = world
        .post(
            "/introspect",
            &[("token", &token)],
            &[("authorization", &authorization)],
        )
        .await;
    assert_eq!(reply.json()["active"], false);
}

#[tokio::test]
async fn introspection_and_registration_fail_closed_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keybound.db");
    let world = on_disk(&path).await;
    let token = world.bound_token().await;
    rename(&path, "tokens", "gone");
    let authorization = basic("auditor", "secret-of-auditor");
    let headers = [("authorization", authorization.as_str())];
    world
        .post("/introspect", &[("token", &token)], &headers)
        .await
        .cause("store.unavailable");
    rename(&path, "gone", "tokens");
    rename(&path, "clients", "gone");
    world
        .post_json("/register", "{}".to_owned(), &[])
        .await
        .cause("store.unavailable");
    // A client that cannot be looked up is not an unknown client.
    let unknown = [("authorization", basic("client-x", "s"))];
    let unknown = unknown
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let reply = world
        .post("/token", &[("grant_type", "client_credentials")], &unknown)
        .await;
    assert_eq!(reply.status, 503);
}

#[tokio::test]
async fn f_01_what_a_client_heard_of_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keybound.db");
    let world = on_disk(&path).await;
    let (assertion, proof) = (world.assertion(), world.proof());
    let reply = world.token(&assertion, Some(&proof)).await.json();
    let token = reply["access_token"].as_str().unwrap().to_owned();
    let World {
        clock,
        client_key,
        key,
        ..
    } = world;
    drop((world.store, world.issuer, world.router));

    let mut again = World::on(open(&path, &clock), clock, client_key, full).await;
    again.key = key;
    let authorization = basic("auditor", "secret-of-auditor");
    let answer = again
        .post(
            "/introspect",
            &[("token", &token)],
            &[("authorization", &authorization)],
        )
        .await;
    assert_eq!(answer.json()["active"], true);
    // SC-090: neither proof nor assertion comes back to life.
    again
        .token(&assertion, Some(&again.proof()))
        .await
        .cause("assertion.replayed");
    again
        .token(&again.assertion(), Some(&proof))
        .await
        .cause("dpop.replayed");
}

#[tokio::test]
async fn f_08_a_clock_behind_its_records_issues_nothing() {
    let world = World::with(full).await;
    world.clock.advance_secs(3600);
    world.bound_token().await;
    world.clock.set(NOW + 3599);
    let reply = world.token(&world.assertion(), Some(&world.proof())).await;
    assert_eq!(reply.status, 503);
    reply.cause("issuer.clock");
    world
        .post_json("/register", "{}".to_owned(), &[])
        .await
        .cause("issuer.clock");
    let unready: Vec<_> = world
        .issuer
        .readiness()
        .await
        .into_iter()
        .filter(|check| !check.ok)
        .collect();
    assert_eq!(unready.len(), 1);
    assert_eq!(unready[0].name, "issuer.clock");
    world.clock.set(NOW + 3600);
    world.bound_token().await;
}

#[tokio::test]
async fn f_08_a_restart_does_not_forget_how_late_it_was() {
    let world = World::with(full).await;
    world.clock.advance_secs(3600);
    world.bound_token().await;
    world.clock.set(NOW + 60);
    let again = World::on(
        world.store.clone(),
        world.clock.clone(),
        SoftwareKey::generate(Algorithm::Es256).unwrap(),
        full,
    )
    .await;
    let reply = again.token(&again.assertion(), Some(&again.proof())).await;
    reply.cause("issuer.clock");
}

#[tokio::test]
async fn f_15_without_a_key_encryption_key_the_issuer_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(NOW);
    let options = StoreOptions {
        kek: None,
        node: "control".to_owned(),
        clock: Arc::new(clock.clone()),
    };
    let store = Store::open(&directory.path().join("keybound.db"), options).unwrap();
    let key = SoftwareKey::generate(Algorithm::Es256).unwrap();
    let error = Issuer::start(world::config(&key), store, Arc::new(clock))
        .await
        .unwrap_err();
    assert!(matches!(error, IssuerStartError::Store(_)), "{error}");
}
