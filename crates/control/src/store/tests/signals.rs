use keybound_proto::signal::SignalEvent::{Locked, Released};

use super::super::signals::{PendingSignal, StreamRecord};
use super::super::tokens::TokenRef;
use super::*;

async fn pending(store: &Store, stream: &StreamRecord) -> Vec<PendingSignal> {
    store
        .pending_signals(&stream.stream_id, 100)
        .await
        .unwrap()
        .signals
}

async fn acknowledge(store: &Store, stream: &StreamRecord, signals: &[PendingSignal]) {
    let ids = signals.iter().map(|signal| signal.id.clone()).collect();
    store.acknowledge(&stream.stream_id, ids).await.unwrap();
}

async fn lock(store: &Store, number: u8) {
    store
        .lock(Subject::Key(jkt(number)), "alice", None, None)
        .await
        .unwrap();
}

fn subjects(signals: &[PendingSignal]) -> Vec<Subject> {
    signals
        .iter()
        .map(|signal| signal.subject.clone())
        .collect()
}

#[tokio::test]
async fn f_21_unacknowledged_signals_come_again_with_the_same_jti() {
    let (store, _) = memory();
    let stream = store.create_stream("gateway-1", "gateway-1").await.unwrap();
    lock(&store, 1).await;
    lock(&store, 2).await;
    let first = pending(&store, &stream).await;
    assert_eq!(pending(&store, &stream).await, first);
    // Out of order, unknown and foreign ids.
    acknowledge(&store, &stream, &first[1..]).await;
    let strange = vec!["nonsense".to_owned(), format!("{}.1", stream.stream_id)];
    store.acknowledge(&stream.stream_id, strange).await.unwrap();
    assert_eq!(pending(&store, &stream).await, first[..1]);
    acknowledge(&store, &stream, &first).await;
    assert_eq!(pending(&store, &stream).await, []);
    lock(&store, 3).await;
    assert_eq!(
        subjects(&pending(&store, &stream).await),
        [Subject::Key(jkt(3))]
    );
}

#[tokio::test]
async fn acknowledging_at_one_receiver_leaves_the_other_alone() {
    let (store, _) = memory();
    let one = store.create_stream("gateway-1", "gateway-1").await.unwrap();
    let two = store.create_stream("gateway-2", "gateway-2").await.unwrap();
    lock(&store, 1).await;
    let signals = pending(&store, &one).await;
    // The other's jti acknowledges nothing here.
    acknowledge(&store, &two, &signals).await;
    assert_eq!(pending(&store, &two).await.len(), 1);
    acknowledge(&store, &one, &signals).await;
    assert_eq!(pending(&store, &one).await, []);
    assert_eq!(pending(&store, &two).await.len(), 1);
}

#[tokio::test]
async fn a_signal_not_yet_sent_cannot_be_acknowledged_ahead() {
    let (store, _) = memory();
    let stream = store.create_stream("gateway-1", "gateway-1").await.unwrap();
    let future = vec![format!("{}.{:020}", stream.stream_id, 1)];
    store.acknowledge(&stream.stream_id, future).await.unwrap();
    lock(&store, 1).await;
    assert_eq!(pending(&store, &stream).await.len(), 1);
}

#[tokio::test]
async fn a_new_stream_begins_with_what_is_in_force() {
    let (store, clock) = memory();
    record(&store, 1).await;
    store
        .revoke_token(TokenRef::Id(token_id(1)), "alice", None)
        .await
        .unwrap();
    for number in [1, 2, 2] {
        lock(&store, number).await;
    }
    store.unlock(Subject::Key(jkt(1)), "alice").await.unwrap();
    let stream = store.create_stream("gateway-1", "gateway-1").await.unwrap();
    let signals = pending(&store, &stream).await;
    assert_eq!(subjects(&signals), [token_subject(1), Subject::Key(jkt(2))]);
    assert!(signals.iter().all(|signal| signal.event == Locked));
    // The token expires; what is after the creation comes whole.
    clock.advance_secs(301);
    store.unlock(Subject::Key(jkt(2)), "alice").await.unwrap();
    let signals = pending(&store, &stream).await;
    assert_eq!(subjects(&signals), [Subject::Key(jkt(2))]);
    assert_eq!(signals[0].event, Released);
}

#[tokio::test]
async fn a_key_locked_again_is_told_again() {
    let (store, _) = memory();
    let stream = store.create_stream("gateway-1", "gateway-1").await.unwrap();
    lock(&store, 1).await;
    store.unlock(Subject::Key(jkt(1)), "alice").await.unwrap();
    lock(&store, 1).await;
    let effects: Vec<_> = pending(&store, &stream)
        .await
        .iter()
        .map(|signal| signal.event)
        .collect();
    assert_eq!(effects, [Locked, Released, Locked]);
    let late = store.create_stream("gateway-2", "gateway-2").await.unwrap();
    assert_eq!(pending(&store, &late).await.len(), 1);
}

#[tokio::test]
async fn a_replaced_stream_is_gone() {
    let (store, _) = memory();
    let old = store.create_stream("gateway-1", "gateway-1").await.unwrap();
    lock(&store, 1).await;
    let signals = pending(&store, &old).await;
    let new = store.create_stream("gateway-1", "gateway-1").await.unwrap();
    assert_eq!(store.stream(&old.stream_id).await.unwrap(), None);
    acknowledge(&store, &old, &signals).await;
    assert_eq!(pending(&store, &new).await.len(), 1);
    assert!(store.delete_stream(&new.stream_id).await.unwrap());
    assert!(!store.delete_stream(&new.stream_id).await.unwrap());
}

#[tokio::test]
async fn pages_say_whether_there_is_more() {
    let (store, _) = memory();
    let stream = store.create_stream("gateway-1", "gateway-1").await.unwrap();
    for number in 0..3 {
        lock(&store, number).await;
    }
    let page = store.pending_signals(&stream.stream_id, 2).await.unwrap();
    assert_eq!(
        (page.signals.len(), page.more_available, page.seen),
        (2, true, 3)
    );
    let page = store.pending_signals(&stream.stream_id, 3).await.unwrap();
    assert_eq!((page.signals.len(), page.more_available), (3, false));
}

#[tokio::test]
async fn the_cursor_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    let stream = store.create_stream("gateway-1", "gateway-1").await.unwrap();
    lock(&store, 1).await;
    lock(&store, 2).await;
    let signals = pending(&store, &stream).await;
    acknowledge(&store, &stream, &signals[..1]).await;
    drop(store);
    let store = open(&file);
    assert_eq!(pending(&store, &stream).await, signals[1..]);
    store.wait_for_signals(1).await;
}
