use keybound_proto::cause::Cause;
use keybound_proto::certificate::CertificateThumbprint;
use keybound_proto::event::EventKind;

use super::super::events::EventFilter;
use super::super::issuance::{Issuance, IssuanceOutcome, SpendOutcome};
use super::super::tokens::TokenRef;
use super::*;

async fn outcome(store: &Store, issuance: Issuance) -> IssuanceOutcome {
    store.record_issuance(issuance).await.unwrap()
}

/// Nothing of a refused issuance may be left.
async fn assert_unknown(store: &Store, number: u64) {
    assert_eq!(store.token_by_hash(hash(number)).await.unwrap(), None);
    let filter = EventFilter {
        token_id: Some(token_id(number)),
        ..EventFilter::default()
    };
    assert_eq!(store.events(0, 10, filter).await.unwrap(), []);
}

#[tokio::test]
async fn sc_080_a_proof_gives_one_token() {
    let (store, _) = memory();
    record(&store, 1).await;
    let again = Issuance {
        proof: issuance(1).proof,
        ..issuance(2)
    };
    assert!(matches!(
        outcome(&store, again).await,
        IssuanceOutcome::ProofReplayed
    ));
    assert_unknown(&store, 2).await;
}

#[tokio::test]
async fn an_assertion_authenticates_once() {
    let (store, _) = memory();
    record(&store, 1).await;
    let again = Issuance {
        assertion: issuance(1).assertion,
        ..issuance(2)
    };
    assert!(matches!(
        outcome(&store, again).await,
        IssuanceOutcome::AssertionReplayed
    ));
    assert_unknown(&store, 2).await;
    // Nor at another endpoint, and what was spent there gives no token.
    let spend = |number| store.spend(vec![once(number)], None);
    assert_eq!(spend(1 << 64).await.unwrap(), SpendOutcome::Replayed(0));
    assert_eq!(spend(3 << 64).await.unwrap(), SpendOutcome::Spent);
    assert!(matches!(
        outcome(&store, issuance(3)).await,
        IssuanceOutcome::AssertionReplayed
    ));
}

#[tokio::test]
async fn a_refused_issuance_spends_nothing() {
    let (store, _) = memory();
    record(&store, 1).await;
    let refused = Issuance {
        proof: issuance(1).proof,
        ..issuance(2)
    };
    outcome(&store, refused).await;
    record(&store, 2).await;
}

#[tokio::test]
async fn a_locked_key_or_identity_gets_no_token() {
    let (store, _) = memory();
    for (number, subject, cause) in [
        (1, Subject::Key(jkt(1)), Cause::KeyLocked),
        (2, identity("agent-1"), Cause::IdentityLocked),
    ] {
        store
            .lock(subject.clone(), "alice", None, None)
            .await
            .unwrap();
        let refused = outcome(&store, issuance(number)).await;
        assert!(
            matches!(refused, IssuanceOutcome::Locked(got) if got == cause),
            "{refused:?}"
        );
        assert_unknown(&store, number).await;
        store.unlock(subject, "alice").await.unwrap();
        record(&store, number).await;
    }
}

/// A certificate is locked by its own thumbprint or by its key's, and its events are found by both.
#[tokio::test]
async fn a_locked_certificate_gets_no_token() {
    let (store, _) = memory();
    let certificate = CertificateThumbprint::from_bytes([7; 32]);
    let cnf = format!(r#"{{"x5t#S256":"{certificate}"}}"#);
    let bound = |number| Issuance {
        certificate: Some(certificate),
        confirmation: Some(cnf.clone()),
        binding: "mtls",
        ..issuance(number)
    };
    for (number, subject) in [
        (1, Subject::certificate(certificate)),
        (2, Subject::Key(jkt(1))),
    ] {
        store
            .lock(subject.clone(), "alice", None, None)
            .await
            .unwrap();
        let refused = outcome(&store, bound(number)).await;
        assert!(
            matches!(refused, IssuanceOutcome::Locked(Cause::KeyLocked)),
            "{refused:?}"
        );
        let named = store.locked_party(ISSUER, "agent-1", &[certificate.as_key(), jkt(1)]);
        assert_eq!(named, Some(Cause::KeyLocked));
        store.unlock(subject, "alice").await.unwrap();
        outcome(&store, bound(number)).await;
    }
    let other = Subject::certificate(CertificateThumbprint::from_bytes([8; 32]));
    store.lock(other, "alice", None, None).await.unwrap();
    let recorded = outcome(&store, bound(3)).await;
    assert!(
        matches!(recorded, IssuanceOutcome::Recorded(_)),
        "{recorded:?}"
    );
    let record = store.token_by_id(&token_id(3)).await.unwrap().unwrap();
    assert_eq!(record.keys(), [jkt(1), certificate.as_key()]);
    let filter = EventFilter {
        kind: Some(EventKind::TokenIssued),
        jkt: Some(certificate.to_string()),
        ..EventFilter::default()
    };
    let events = store.events(0, 10, filter).await.unwrap();
    assert_eq!(events.len(), 3);
    let expected = Some(certificate.to_string());
    assert!(
        events
            .iter()
            .all(|(_, event)| event.certificate == expected)
    );
    assert!(
        events
            .iter()
            .all(|(_, event)| event.binding.as_deref() == Some("mtls"))
    );
}

#[tokio::test]
async fn an_audience_with_a_space_is_not_stored() {
    let (store, _) = memory();
    let two_in_one = Issuance {
        audience: vec!["https://a/ https://b/".to_owned()],
        ..issuance(1)
    };
    assert!(store.record_issuance(two_in_one).await.is_err());
    assert_unknown(&store, 1).await;
}

#[tokio::test]
async fn a_recorded_token_is_found_by_handle_and_hash_with_its_event() {
    let (store, _) = memory();
    record(&store, 1).await;
    let by_hash = store.token(TokenRef::Hash(hash(1))).await.unwrap().unwrap();
    let by_id = store.token_by_id(&token_id(1)).await.unwrap().unwrap();
    assert_eq!(by_hash, by_id);
    assert_eq!(by_hash.jkt, Some(jkt(1)));
    assert_eq!(by_hash.audience, ["https://api.example.com/"]);
    assert_eq!(by_hash.withheld, None);
    let events = store.events(0, 10, EventFilter::default()).await.unwrap();
    let [(1, event)] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(event.kind, EventKind::TokenIssued);
    assert_eq!(event.token_sha256, Some(hash(1).to_hex()));
    assert_eq!(event.request_id.as_deref(), Some("req-1"));
    assert_eq!(store.last_issued_at(), at(NOW));
}

#[tokio::test]
async fn a_token_is_found_filed_or_not_and_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    let all_found = async |store: &Store, to| {
        for number in 0..to {
            let by_id = store.token_by_id(&token_id(number)).await.unwrap();
            assert_eq!(by_id.unwrap().token_hash, hash(number));
            assert!(store.token_by_hash(hash(number)).await.unwrap().is_some());
            let filter = EventFilter {
                token_sha256: Some(hash(number).to_hex()),
                ..EventFilter::default()
            };
            assert_eq!(store.events(0, 9, filter).await.unwrap().len(), 1);
        }
        assert_eq!(store.token_by_id(&token_id(to)).await.unwrap(), None);
    };
    for number in 0..5 {
        record(&store, number).await;
    }
    all_found(&store, 5).await;
    drop(store);
    let store = open(&file);
    for number in 5..9 {
        record(&store, number).await;
    }
    all_found(&store, 9).await;
    // As a crash leaves it: nothing filed since the last close.
    let copy = directory.path().join("b.db");
    for suffix in ["", "-wal"] {
        let from = format!("{}{suffix}", file.display());
        std::fs::copy(from, format!("{}{suffix}", copy.display())).unwrap();
    }
    all_found(&open(&copy), 9).await;
}

#[tokio::test]
async fn a_token_is_found_in_the_batch_that_issues_it() {
    let (store, _) = memory();
    let outcome = store
        .write(|work| {
            let event =
                keybound_proto::event::Event::new(&[1; 16], 0, "control", EventKind::TokenIssued)
                    .with_token_id(token_id(1));
            let entry = crate::store::events::Entry::own(&event);
            work.record(&issuance(1), &entry)?;
            crate::store::tokens::find_token(work, &TokenRef::Id(token_id(1)))
        })
        .await
        .unwrap();
    assert_eq!(outcome.unwrap().token_hash, hash(1));
}

#[tokio::test]
async fn spent_values_are_spent_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    record(&store, 1).await;
    store.spend(vec![once(9)], None).await.unwrap();
    drop(store);
    let store = open(&file);
    let proof = Issuance {
        proof: issuance(1).proof,
        ..issuance(2)
    };
    assert!(matches!(
        outcome(&store, proof).await,
        IssuanceOutcome::ProofReplayed
    ));
    let assertion = Issuance {
        assertion: issuance(1).assertion,
        ..issuance(3)
    };
    assert!(matches!(
        outcome(&store, assertion).await,
        IssuanceOutcome::AssertionReplayed
    ));
    assert_eq!(
        store.spend(vec![once(9)], None).await.unwrap(),
        SpendOutcome::Replayed(0)
    );
    assert_eq!(store.last_issued_at(), at(NOW));
}

#[tokio::test]
async fn what_expired_is_forgotten_and_its_rows_are_not_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    record(&store, 1).await;
    drop(store);
    let later = ManualClock::at(NOW + 100);
    let store = Store::open(&file, options(&later)).unwrap();
    let floor = store
        .write(|work| {
            crate::store::maintenance::maintain(work)?;
            crate::store::open::uses_floor(work.connection)
        })
        .await
        .unwrap();
    assert_eq!(floor, Some(2));
    // The clock going back does not bring the proof back to life.
    let replayed = outcome(
        &store,
        Issuance {
            proof: issuance(1).proof,
            assertion: None,
            ..issuance(2)
        },
    );
    assert!(matches!(replayed.await, IssuanceOutcome::ProofReplayed));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_gets_the_token() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("a.db"));
    for round in 0..20 {
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let store = store.clone();
                let issuance = Issuance {
                    proof: Some(once(round)),
                    assertion: None,
                    ..issuance(number)
                };
                tokio::spawn(async move { store.record_issuance(issuance).await.unwrap() })
            })
            .collect();
        let mut recorded = 0;
        for task in tasks {
            match task.await.unwrap() {
                IssuanceOutcome::Recorded(_) => recorded += 1,
                IssuanceOutcome::ProofReplayed => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(recorded, 1);
    }
}
