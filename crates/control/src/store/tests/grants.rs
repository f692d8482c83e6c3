//! Kept documents, grants and refresh tokens.

use keybound_proto::cause::Cause;
use keybound_proto::token::TokenHash;

use super::super::grants::{GrantRecord, GrantUse, NewRefreshToken, RefreshState};
use super::super::issuance::{Issuance, IssuanceOutcome, Lineage, SpendOutcome};
use super::super::kept::{KeptChange, KeptKind, KeptRef, MAX_OF_A_KIND};
use super::super::withhold::RevokeOutcome;
use super::*;

const GRANT: &str = "grt_1";

fn grant(ends: u64) -> GrantRecord {
    GrantRecord {
        grant_id: GRANT.to_owned(),
        issuer: ISSUER.to_owned(),
        client_id: "app".to_owned(),
        identity: "person".to_owned(),
        document: "{}".to_owned(),
        created_at: at(NOW),
        expires_at: at(ends),
    }
}

fn refresh_hash(number: u64) -> TokenHash {
    TokenHash::of(format!("kbr_{number}").as_bytes())
}

fn new_refresh(number: u64) -> (String, NewRefreshToken) {
    let token = NewRefreshToken {
        hash: refresh_hash(number),
        jkt: Some(jkt(1)),
    };
    (GRANT.to_owned(), token)
}

/// The token with this number, whose grant begins with it.
fn first(number: u64, ends: u64) -> Issuance {
    Issuance {
        lineage: Lineage {
            ancestors: vec![GRANT.to_owned()],
            grant: Some(grant(ends)),
            refresh: Some(new_refresh(number)),
            ..Lineage::default()
        },
        ..issuance(number)
    }
}

/// The token with this number, for the refresh token `presented` in this state.
fn refreshed(number: u64, presented: u64, state: RefreshState) -> Issuance {
    Issuance {
        lineage: Lineage {
            ancestors: vec![GRANT.to_owned()],
            grant_use: Some(GrantUse::Refresh {
                presented: refresh_hash(presented),
                state,
            }),
            refresh: Some(new_refresh(number)),
            ..Lineage::default()
        },
        ..issuance(number)
    }
}

async fn recorded(store: &Store, issuance: Issuance) -> bool {
    let outcome = store.record_issuance(issuance).await.unwrap();
    assert!(
        matches!(
            outcome,
            IssuanceOutcome::Recorded(_) | IssuanceOutcome::GrantUsed
        ),
        "{outcome:?}"
    );
    matches!(outcome, IssuanceOutcome::Recorded(_))
}

async fn state(store: &Store, number: u64) -> Option<RefreshState> {
    let found = store.refresh_token(refresh_hash(number), at(NOW)).await;
    found.unwrap().map(|token| token.state)
}

#[tokio::test]
async fn sc_140_of_two_uses_of_one_refresh_token_one_wins() {
    let (store, _) = memory();
    assert!(recorded(&store, first(1, NOW + 1000)).await);
    assert_eq!(state(&store, 1).await, Some(RefreshState::Unused));
    assert!(recorded(&store, refreshed(2, 1, RefreshState::Unused)).await);
    assert!(!recorded(&store, refreshed(3, 1, RefreshState::Unused)).await);
    assert_eq!(state(&store, 3).await, None, "nothing of the loser is left");
    assert_eq!(store.token_by_hash(hash(3)).await.unwrap(), None);
    let used = RefreshState::Used { at: at(NOW) };
    assert_eq!(state(&store, 1).await, Some(used));
}

#[tokio::test]
async fn a_lost_answer_replaces_the_successor_nobody_used() {
    let (store, _) = memory();
    let used = RefreshState::Used { at: at(NOW) };
    recorded(&store, first(1, NOW + 1000)).await;
    recorded(&store, refreshed(2, 1, RefreshState::Unused)).await;
    assert!(recorded(&store, refreshed(3, 1, used)).await);
    assert_eq!(state(&store, 2).await, None);
    assert_eq!(state(&store, 1).await, Some(used));
    assert!(recorded(&store, refreshed(4, 3, RefreshState::Unused)).await);
    assert_eq!(state(&store, 1).await, Some(RefreshState::Past));
    assert!(!recorded(&store, refreshed(5, 1, used)).await);
}

#[tokio::test]
async fn a_refresh_token_that_stays_has_to_be_unused() {
    let (store, _) = memory();
    recorded(&store, first(1, NOW + 1000)).await;
    let repeated = |number| Issuance {
        lineage: Lineage {
            grant_use: Some(GrantUse::Repeated {
                presented: refresh_hash(1),
            }),
            ..Lineage::default()
        },
        ..issuance(number)
    };
    assert!(recorded(&store, repeated(2)).await);
    assert!(recorded(&store, repeated(3)).await);
    recorded(&store, refreshed(4, 1, RefreshState::Unused)).await;
    assert!(!recorded(&store, repeated(5)).await);
}

#[tokio::test]
async fn a_revoked_grant_gives_no_token_and_is_signalled_once() {
    let (store, _) = memory();
    recorded(&store, first(1, NOW + 1000)).await;
    let revoke = async || {
        store
            .revoke_grant(grant(NOW + 1000), "app", None)
            .await
            .unwrap()
    };
    assert!(matches!(revoke().await, RevokeOutcome::Revoked(_)));
    assert!(matches!(revoke().await, RevokeOutcome::AlreadyRevoked(_)));
    let refused = refreshed(2, 1, RefreshState::Unused);
    let outcome = store.record_issuance(refused).await.unwrap();
    assert!(
        matches!(outcome, IssuanceOutcome::Locked(Cause::TokenRevoked)),
        "{outcome:?}"
    );
    assert_eq!(state(&store, 1).await, Some(RefreshState::Unused));
    let record = store.token_by_hash(hash(1)).await.unwrap().unwrap();
    assert_eq!(record.ancestors, [GRANT]);
    assert_eq!(store.locked_record(&record), Some(Cause::TokenRevoked));
}

#[tokio::test]
async fn what_ended_is_forgotten_and_nothing_else() {
    let (store, clock) = memory();
    recorded(&store, first(1, NOW + 1000)).await;
    let kept = |secret| KeptRef::of(KeptKind::Code, secret);
    let keep = async |secret, ends| {
        store
            .keep(kept(secret), "{}".to_owned(), at(ends))
            .await
            .unwrap();
    };
    keep("short", NOW + 60).await;
    keep("long", NOW + 5000).await;
    clock.set(NOW + 1000);
    store.maintain();
    // Gates whose clocks are behind may still meet the grant's tokens.
    assert!(store.grant(GRANT).await.unwrap().is_some());
    let found = store.refresh_token(refresh_hash(1), at(NOW + 1000)).await;
    assert_eq!(found.unwrap(), None, "but it is of no use any more");
    clock.set(NOW + 1000 + 601);
    store.maintain();
    assert_eq!(store.grant(GRANT).await.unwrap(), None);
    assert_eq!(store.kept(kept("short"), at(NOW)).await.unwrap(), None);
    assert!(store.kept(kept("long"), at(NOW)).await.unwrap().is_some());
}

#[tokio::test]
async fn of_two_changes_that_judged_the_same_document_one_wins() {
    let (store, _) = memory();
    let name = KeptRef::of(KeptKind::Code, "secret");
    store
        .keep(name, "new".to_owned(), at(NOW + 60))
        .await
        .unwrap();
    let other_kind = KeptRef::of(KeptKind::DeviceCode, "secret");
    assert_eq!(store.kept(other_kind, at(NOW)).await.unwrap(), None);
    let judged = store.kept(name, at(NOW)).await.unwrap().unwrap();
    let change = |document: &str| KeptChange {
        kept: name,
        version: judged.version,
        document: document.to_owned(),
    };
    assert!(store.change_kept(change("used")).await.unwrap());
    assert!(!store.change_kept(change("used again")).await.unwrap());
    let after = store.kept(name, at(NOW)).await.unwrap().unwrap();
    assert_eq!(after.document, "used");
    assert_eq!(store.kept(name, at(NOW + 60)).await.unwrap(), None);
    let huge = "x".repeat(64 * 1024 + 1);
    assert!(store.keep(name, huge, at(NOW + 60)).await.is_err());
}

#[tokio::test]
async fn strangers_cannot_fill_the_disk_with_requests() {
    let (store, clock) = memory();
    for number in 0..MAX_OF_A_KIND {
        let name = KeptRef::of(KeptKind::Authorization, &number.to_string());
        store.keep(name, String::new(), at(NOW + 60)).await.unwrap();
    }
    let one_more = KeptRef::of(KeptKind::Authorization, "one more");
    assert!(
        store
            .keep(one_more, String::new(), at(NOW + 60))
            .await
            .is_err()
    );
    let other_kind = KeptRef::of(KeptKind::Code, "code");
    store
        .keep(other_kind, String::new(), at(NOW + 60))
        .await
        .unwrap();
    clock.set(NOW + 61);
    store.maintain();
    store
        .keep(one_more, String::new(), at(NOW + 120))
        .await
        .unwrap();
}

#[tokio::test]
async fn one_time_values_are_spent_all_or_none_with_what_is_kept() {
    let (store, _) = memory();
    let name = KeptRef::of(KeptKind::AuthorizationRequest, "uri");
    let kept = || Some((name, "{}".to_owned(), at(NOW + 60)));
    assert_eq!(
        store.spend(vec![once(7)], None).await.unwrap(),
        SpendOutcome::Spent
    );
    let outcome = store.spend(vec![once(8), once(7)], kept()).await.unwrap();
    assert_eq!(outcome, SpendOutcome::Replayed(1));
    assert_eq!(store.kept(name, at(NOW)).await.unwrap(), None);
    let outcome = store.spend(vec![once(8), once(9)], kept()).await.unwrap();
    assert_eq!(outcome, SpendOutcome::Spent);
    assert!(store.kept(name, at(NOW)).await.unwrap().is_some());
}

#[tokio::test]
async fn sc_141_a_used_refresh_token_stays_used_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store.db"));
    recorded(&store, first(1, NOW + 1000)).await;
    recorded(&store, refreshed(2, 1, RefreshState::Unused)).await;
    drop(store);
    let store = open(&directory.path().join("store.db"));
    let used = RefreshState::Used { at: at(NOW) };
    assert_eq!(state(&store, 1).await, Some(used));
    assert!(!recorded(&store, refreshed(3, 1, RefreshState::Unused)).await);
}
