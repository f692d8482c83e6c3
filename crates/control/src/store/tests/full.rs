//! F-03: a full disk. SQLite's own page limit gives the same error as a full
//! device; the device itself is tried by the tests under `tests/powerloss`.

use super::super::tokens::TokenRef;
use super::*;
use crate::error::StoreError;

/// Limits the file to the pages it has, or lifts the limit.
async fn limit_pages(store: &Store, full: bool) {
    let pragma = if full {
        "PRAGMA max_page_count = 1"
    } else {
        "PRAGMA max_page_count = 1000000"
    };
    store
        .write(move |work| Ok(work.connection.query_row(pragma, [], |_| Ok(()))?))
        .await
        .unwrap();
}

#[tokio::test]
async fn f_03_a_full_disk_refuses_and_recovers_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    record(&store, 0).await;
    limit_pages(&store, true).await;
    let mut number = 1;
    let error = loop {
        match store.record_issuance(issuance(number)).await {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
        assert!(number < 10_000, "the limit does not hold");
    };
    assert_eq!(error, StoreError::Full { file: file.clone() });
    assert!(error.is_temporary());
    // Reading goes on, and what failed left nothing: neither row nor spent values.
    assert!(
        store
            .token_by_hash(hash(number - 1))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(store.token_by_hash(hash(number)).await.unwrap(), None);
    limit_pages(&store, false).await;
    record(&store, number).await;
    store
        .revoke_token(TokenRef::Hash(hash(number)), "alice", None)
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
