//! F-03: a full disk. SQLite's own page limit gives the same error as a full
//! device; the device itself is tried by the tests under `tests/powerloss`.

use super::super::tokens::TokenRef;
use super::*;
use crate::error::StoreError;

#[tokio::test]
async fn f_03_a_full_disk_refuses_and_recovers_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    record(&store, 1).await;
    store.fill_for_test().await;
    let full = StoreError::Full { file: file.clone() };
    assert!(full.is_temporary());
    assert_eq!(store.record_issuance(issuance(2)).await.unwrap_err(), full);
    let revoked = store
        .revoke_token(TokenRef::Hash(hash(1)), "alice", None)
        .await;
    assert_eq!(revoked.unwrap_err(), full);
    let locked = store.lock(Subject::Key(jkt(1)), "alice", None, None).await;
    assert_eq!(locked.unwrap_err(), full);
    // Reading goes on, and what failed left nothing: no row, hold or spent value.
    assert!(store.token_by_hash(hash(1)).await.unwrap().is_some());
    assert_eq!(store.token_by_hash(hash(2)).await.unwrap(), None);
    assert_eq!(store.locks().await.unwrap(), []);
    assert_eq!(store.locked_party(ISSUER, "agent-1", &[jkt(1)]), None);
    store.unfill_for_test().await;
    record(&store, 2).await;
    store
        .revoke_token(TokenRef::Hash(hash(2)), "alice", None)
        .await
        .unwrap();
    assert_eq!(store.verify_events().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn f_03_one_failed_job_takes_nothing_of_its_batch_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("a.db"));
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                if number % 2 == 0 {
                    record(&store, number).await;
                } else {
                    // Appends an event, then fails.
                    let failed = store
                        .write(move |work| {
                            let event = keybound_proto::event::Event::new(
                                &u128::from(number).to_be_bytes(),
                                0,
                                "control",
                                keybound_proto::event::EventKind::Locked,
                            );
                            work.append(&crate::store::events::Entry::own(&event))?;
                            work.connection
                                .execute("INSERT INTO nowhere VALUES (1)", [])?;
                            Ok(())
                        })
                        .await;
                    assert!(failed.is_err());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.last_event(), 100);
    assert_eq!(store.verify_events().await.unwrap(), None);
}

#[tokio::test]
async fn f_03_a_job_without_savepoint_that_fails_half_way_takes_its_batch_back() {
    use crate::store::engine::Engine;
    use crate::store::writer::Scope;
    let (store, _) = memory();
    let Engine::Inline(writer) = &store.inner.engine else {
        panic!("a store in memory has no thread");
    };
    let good = Trial::new(Scope::Transaction, 1, false);
    let bad = Trial::new(Scope::Transaction, 2, true);
    let outcomes = Arc::clone(&good.outcomes);
    writer
        .lock()
        .commit(vec![Box::new(good), Box::new(bad.sharing(&outcomes))]);
    assert_eq!(*outcomes.lock(), [false, false]);
    assert_eq!(store.last_event(), 0);
    // With savepoints only the bad one falls.
    let good = Trial::new(Scope::Savepoint, 3, false);
    let bad = Trial::new(Scope::Savepoint, 4, true);
    let outcomes = Arc::clone(&good.outcomes);
    writer
        .lock()
        .commit(vec![Box::new(bad.sharing(&outcomes)), Box::new(good)]);
    assert_eq!(*outcomes.lock(), [false, true]);
    assert_eq!(store.verify_events().await.unwrap(), None);
    assert_eq!(store.last_event(), 1);
}

/// Appends an event and then perhaps fails; notes how it was settled.
struct Trial {
    scope: crate::store::writer::Scope,
    number: u128,
    fails: bool,
    outcomes: Arc<parking_lot::Mutex<Vec<bool>>>,
}

impl Trial {
    fn new(scope: crate::store::writer::Scope, number: u128, fails: bool) -> Self {
        Self {
            scope,
            number,
            fails,
            outcomes: Arc::default(),
        }
    }

    fn sharing(mut self, outcomes: &Arc<parking_lot::Mutex<Vec<bool>>>) -> Self {
        self.outcomes = Arc::clone(outcomes);
        self
    }
}

impl crate::store::writer::Job for Trial {
    fn scope(&self) -> crate::store::writer::Scope {
        self.scope
    }

    fn run(
        &mut self,
        work: &mut crate::store::writer::Work<'_>,
    ) -> Result<(), crate::error::Failure> {
        let event = keybound_proto::event::Event::new(
            &self.number.to_be_bytes(),
            0,
            "control",
            keybound_proto::event::EventKind::Locked,
        );
        work.append(&crate::store::events::Entry::own(&event))?;
        if self.fails {
            return Err(crate::error::Failure::damaged("on purpose"));
        }
        Ok(())
    }

    fn settle(self: Box<Self>, outcome: Result<(), StoreError>) {
        self.outcomes.lock().push(outcome.is_ok());
    }
}
