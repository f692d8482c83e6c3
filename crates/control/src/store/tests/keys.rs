use keybound_proto::jose::Algorithm;

use super::super::signing_keys::{KeyPurpose, StoredKey};
use super::*;
use crate::error::StoreError;

fn key(kid: &str, purpose: KeyPurpose) -> StoredKey {
    StoredKey {
        kid: kid.to_owned(),
        purpose,
        algorithm: Algorithm::Es256,
        pkcs8: Zeroizing::new(b"the private key".to_vec()),
        created_at: at(NOW),
        publish_at: at(NOW),
        active_from: at(NOW),
        retire_at: at(NOW + 100),
        remove_at: at(NOW + 200),
    }
}

#[tokio::test]
async fn without_or_with_the_wrong_key_encryption_key_nothing_opens() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    store
        .add_signing_key(key("kb-1", KeyPurpose::Issuer))
        .await
        .unwrap();
    drop(store);
    let wrong = StoreOptions {
        kek: Some(Zeroizing::new([8; 32])),
        ..options(&ManualClock::at(NOW))
    };
    assert_eq!(
        Store::open(&file, wrong).unwrap_err(),
        StoreError::WrongKey { file: file.clone() }
    );
    let none = StoreOptions {
        kek: None,
        ..options(&ManualClock::at(NOW))
    };
    let store = Store::open(&file, none).unwrap();
    let missing = StoreError::KeyMissing { file: file.clone() };
    assert_eq!(
        store.signing_keys(KeyPurpose::Issuer).await.unwrap_err(),
        missing
    );
    let add = store.add_signing_key(key("kb-2", KeyPurpose::Issuer));
    assert_eq!(add.await.unwrap_err(), missing);
    assert_eq!(store.secret("replay").await.unwrap_err(), missing);
}

#[tokio::test]
async fn a_key_moved_to_another_purpose_or_name_does_not_open() {
    for change in ["purpose = 'issuer'", "kid = 'kb-2'"] {
        let (store, _) = memory();
        store
            .add_signing_key(key("kb-1", KeyPurpose::Control))
            .await
            .unwrap();
        let statement = format!("UPDATE signing_keys SET {change}");
        store
            .write(move |work| Ok(work.connection.execute(&statement, [])?))
            .await
            .unwrap();
        let purpose = if change.starts_with("kid") {
            KeyPurpose::Control
        } else {
            KeyPurpose::Issuer
        };
        let error = store.signing_keys(purpose).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_kid_is_taken_once() {
    let (store, _) = memory();
    store
        .add_signing_key(key("kb-1", KeyPurpose::Issuer))
        .await
        .unwrap();
    let again = store
        .add_signing_key(key("kb-1", KeyPurpose::Control))
        .await;
    assert!(matches!(again, Err(StoreError::Invalid { .. })));
}

#[tokio::test]
async fn the_file_does_not_contain_the_private_key() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    store
        .add_signing_key(key("kb-1", KeyPurpose::Issuer))
        .await
        .unwrap();
    drop(store);
    let bytes = std::fs::read(&file).unwrap();
    let secret = b"the private key";
    assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    assert!(bytes.windows(4).any(|window| window == b"kb-1"));
    let stored = open(&file).signing_keys(KeyPurpose::Issuer).await.unwrap();
    assert_eq!(stored, [key("kb-1", KeyPurpose::Issuer)]);
    assert!(!format!("{stored:?}").contains("private key"));
}

#[tokio::test]
async fn keys_retire_and_disappear() {
    let (store, clock) = memory();
    store
        .add_signing_key(key("kb-1", KeyPurpose::Issuer))
        .await
        .unwrap();
    assert!(
        !store
            .retire_signing_key("kb-9", at(NOW), at(NOW))
            .await
            .unwrap()
    );
    assert!(
        store
            .retire_signing_key("kb-1", at(NOW), at(NOW + 50))
            .await
            .unwrap()
    );
    assert_eq!(store.remove_expired_signing_keys().await.unwrap(), 0);
    clock.advance_secs(50);
    assert_eq!(store.remove_expired_signing_keys().await.unwrap(), 1);
    assert_eq!(store.signing_keys(KeyPurpose::Issuer).await.unwrap(), []);
    assert_eq!(store.last_event(), 2);
}

#[tokio::test]
async fn secrets_stay_the_same_and_differ_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    let replay = store.secret("replay").await.unwrap();
    assert_ne!(replay, store.secret("nonce").await.unwrap());
    drop(store);
    assert_eq!(open(&file).secret("replay").await.unwrap(), replay);
}
