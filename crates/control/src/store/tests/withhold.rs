use keybound_proto::event::EventKind;
use keybound_proto::signal::SignalEvent;

use super::super::events::EventFilter;
use super::super::tokens::TokenRef;
use super::super::withhold::{LockOutcome, LockState, RevokeOutcome, UnlockOutcome};
use super::*;

/// Kinds of all events, and subjects and effects of all signals.
async fn traces(store: &Store) -> (Vec<EventKind>, Vec<(Subject, SignalEvent)>) {
    let events = store.events(0, 100, EventFilter::default()).await.unwrap();
    let signals = store
        .read(|connection| {
            let mut statement = connection
                .prepare("SELECT kind, issuer, value, effect FROM signals ORDER BY sequence")?;
            let rows = statement.query_map([], |row| {
                Ok((
                    crate::store::withhold::subject_of_row(row)?,
                    row.get::<_, String>(3)?,
                ))
            })?;
            rows.map(|row| {
                let (subject, effect) = row?;
                let effect = match effect.as_str() {
                    "locked" => SignalEvent::Locked,
                    _ => SignalEvent::Released,
                };
                Ok((subject?, effect))
            })
            .collect()
        })
        .await
        .unwrap();
    (
        events.into_iter().map(|(_, event)| event.kind).collect(),
        signals,
    )
}

#[tokio::test]
async fn sc_216_an_unknown_token_is_not_revoked() {
    let (store, _) = memory();
    for unknown in [TokenRef::Hash(hash(1)), TokenRef::Id(token_id(1))] {
        let outcome = store.revoke_token(unknown, "alice", None).await.unwrap();
        assert_eq!(outcome, RevokeOutcome::UnknownToken);
    }
    assert_eq!(traces(&store).await, (vec![], vec![]));
}

#[tokio::test]
async fn a_revoked_token_cannot_be_released() {
    let (store, _) = memory();
    record(&store, 1).await;
    store
        .revoke_token(TokenRef::Id(token_id(1)), "alice", None)
        .await
        .unwrap();
    for subject in [token_subject(1), Subject::TokenHash(hash(1))] {
        let outcome = store.unlock(subject, "alice").await.unwrap();
        assert!(matches!(outcome, UnlockOutcome::Revoked(_)), "{outcome:?}");
    }
    let withheld = store
        .token_by_id(&token_id(1))
        .await
        .unwrap()
        .unwrap()
        .withheld;
    assert_eq!(withheld.unwrap().state, LockState::Revoked);
}

#[tokio::test]
async fn sc_218_every_door_leaves_hold_signal_and_event() {
    use EventKind::{Locked as LockedEvent, TokenIssued, TokenRevoked, Unlocked};
    use SignalEvent::{Locked, Released};
    let (store, _) = memory();
    record(&store, 1).await;
    record(&store, 2).await;
    let revoked = store.revoke_token(TokenRef::Hash(hash(1)), "alice", Some("found in a log"));
    assert!(matches!(revoked.await.unwrap(), RevokeOutcome::Revoked(_)));
    // By hash, by handle: one and the same token.
    store
        .lock(Subject::TokenHash(hash(2)), "alice", None, None)
        .await
        .unwrap();
    store
        .lock(Subject::Key(jkt(9)), "alice", None, None)
        .await
        .unwrap();
    store
        .lock(identity("agent-9"), "alice", None, None)
        .await
        .unwrap();
    store.unlock(token_subject(2), "bob").await.unwrap();
    let (events, signals) = traces(&store).await;
    assert_eq!(
        events,
        [
            TokenIssued,
            TokenIssued,
            TokenRevoked,
            LockedEvent,
            LockedEvent,
            LockedEvent,
            Unlocked
        ]
    );
    assert_eq!(
        signals,
        [
            (token_subject(1), Locked),
            (token_subject(2), Locked),
            (Subject::Key(jkt(9)), Locked),
            (identity("agent-9"), Locked),
            (token_subject(2), Released),
        ]
    );
    let held: Vec<_> = store
        .locks()
        .await
        .unwrap()
        .into_iter()
        .map(|lock| lock.subject)
        .collect();
    assert_eq!(held.len(), 3);
    assert!(!held.contains(&token_subject(2)));
}

#[tokio::test]
async fn what_is_done_twice_is_told_once() {
    let (store, _) = memory();
    record(&store, 1).await;
    let lock = || store.lock(token_subject(1), "alice", Some("odd"), None);
    let first = lock().await.unwrap();
    assert!(matches!(first, LockOutcome::Locked(_)));
    let second = lock().await.unwrap();
    assert!(matches!(second, LockOutcome::AlreadyWithheld(_)));
    assert_eq!(first.record(), second.record());
    let revoke = || store.revoke_token(TokenRef::Id(token_id(1)), "alice", None);
    // A lock becomes a revocation, a revocation stays one.
    assert!(matches!(revoke().await.unwrap(), RevokeOutcome::Revoked(_)));
    assert!(matches!(
        revoke().await.unwrap(),
        RevokeOutcome::AlreadyRevoked(_)
    ));
    let (events, signals) = traces(&store).await;
    assert_eq!(events.len(), 3);
    assert_eq!(signals.len(), 2);
}

#[tokio::test]
async fn unlocking_what_is_not_locked_says_so() {
    let (store, _) = memory();
    let outcome = store.unlock(Subject::Key(jkt(1)), "alice").await.unwrap();
    assert_eq!(outcome, UnlockOutcome::NotLocked);
    assert_eq!(traces(&store).await, (vec![], vec![]));
}

#[tokio::test]
async fn the_event_names_the_token_and_who_did_it() {
    let (store, _) = memory();
    record(&store, 1).await;
    let token = TokenRef::Id(token_id(1));
    store
        .revoke_token(token, "alice", Some("found in a log"))
        .await
        .unwrap();
    let events = store.events(1, 1, EventFilter::default()).await.unwrap();
    let (_, event) = &events[0];
    assert_eq!(event.by.as_deref(), Some("alice"));
    assert_eq!(event.reason.as_deref(), Some("found in a log"));
    assert_eq!(event.token_sha256, Some(hash(1).to_hex()));
    assert_eq!(event.jkt, Some(jkt(1).to_string()));
    assert_eq!(event.identity.as_deref(), Some("agent-1"));
    assert_eq!(event.expires_at, Some(NOW + 300));
}

#[tokio::test]
async fn a_hold_on_an_expired_token_is_forgotten_others_stay() {
    let (store, clock) = memory();
    record(&store, 1).await;
    store
        .revoke_token(TokenRef::Id(token_id(1)), "alice", None)
        .await
        .unwrap();
    store
        .lock(Subject::Key(jkt(9)), "alice", None, None)
        .await
        .unwrap();
    clock.advance_secs(300 + 600);
    store.maintain();
    assert_eq!(
        store.locks().await.unwrap().len(),
        2,
        "clocks may be behind"
    );
    clock.advance_secs(1);
    store.maintain();
    let left = store.locks().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].subject, Subject::Key(jkt(9)));
    let (_, signals) = traces(&store).await;
    assert_eq!(signals.len(), 1);
}

#[tokio::test]
async fn locks_and_revocations_hold_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    record(&store, 1).await;
    store
        .revoke_token(TokenRef::Id(token_id(1)), "alice", None)
        .await
        .unwrap();
    store
        .lock(Subject::Key(jkt(1)), "alice", Some("lost"), None)
        .await
        .unwrap();
    let before = store.locks().await.unwrap();
    drop(store);
    let store = open(&file);
    assert_eq!(store.locks().await.unwrap(), before);
    assert!(store.locked_party(ISSUER, "agent-1", &[jkt(1)]).is_some());
    assert!(store.locked_party(ISSUER, "agent-1", &[jkt(2)]).is_none());
}
