//! F-24: damaged stores are refused with the file named, never opened empty.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::tokens::TokenRef;
use super::*;
use crate::error::StoreError;

/// A closed store with 50 tokens, one of them revoked, and a locked key.
async fn closed_store(directory: &Path) -> PathBuf {
    let file = directory.join("a.db");
    let store = open(&file);
    for number in 0..50 {
        record(&store, number).await;
    }
    store
        .revoke_token(TokenRef::Id(token_id(1)), "alice", None)
        .await
        .unwrap();
    store
        .lock(Subject::Key(jkt(9)), "alice", None, None)
        .await
        .unwrap();
    drop(store);
    file
}

/// The same, but as a crash leaves it: with the log not written back.
async fn crashed_store(directory: &Path) -> PathBuf {
    let file = directory.join("b.db");
    let source = directory.join("source.db");
    let store = open(&source);
    for number in 0..50 {
        record(&store, number).await;
    }
    store
        .revoke_token(TokenRef::Id(token_id(1)), "alice", None)
        .await
        .unwrap();
    for suffix in ["", "-wal", "-lock"] {
        fs::copy(with_suffix(&source, suffix), with_suffix(&file, suffix)).unwrap();
    }
    drop(store);
    file
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", file.display()))
}

fn reopen(file: &Path) -> Result<Store, StoreError> {
    Store::open(file, options(&ManualClock::at(NOW)))
}

fn assert_refused(file: &Path) {
    let error = reopen(file).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(
        error.to_string().contains(&*file.to_string_lossy()),
        "{error}"
    );
}

#[tokio::test]
async fn f_24_a_file_of_another_kind_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let text = b"this is a letter to my aunt, and long enough to be one".repeat(40);
    fs::write(&file, &text).unwrap();
    assert_refused(&file);
    assert_eq!(fs::read(&file).unwrap(), text);
}

#[tokio::test]
async fn f_24_a_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE notes (text)").unwrap();
    drop(other);
    assert_refused(&file);
}

#[tokio::test]
async fn f_24_a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = closed_store(directory.path()).await;
    let newer = rusqlite::Connection::open(&file).unwrap();
    newer
        .execute("INSERT INTO schema_migrations VALUES (99, 0)", [])
        .unwrap();
    drop(newer);
    assert_eq!(
        reopen(&file).unwrap_err(),
        StoreError::NewerSchema {
            file,
            found: 99,
            supported: 3
        }
    );
}

#[tokio::test]
async fn f_24_a_truncated_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = closed_store(directory.path()).await;
    let whole = fs::read(&file).unwrap();
    for length in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 4096] {
        fs::write(&file, &whole[..length]).unwrap();
        assert_refused(&file);
    }
}

#[tokio::test]
async fn f_24_a_truncated_or_missing_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = crashed_store(directory.path()).await;
    let wal = with_suffix(&file, "-wal");
    let whole = fs::read(&wal).unwrap();
    let store = fs::read(&file).unwrap();
    for length in [0, 10, 32, 32 + 4120, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &store).unwrap();
        fs::write(&wal, &whole[..length]).unwrap();
        let _ = fs::remove_file(with_suffix(&file, "-shm"));
        assert_refused(&file);
    }
    fs::write(&file, &store).unwrap();
    fs::remove_file(&wal).unwrap();
    assert_refused(&file);
    // The whole log is taken.
    fs::write(&file, &store).unwrap();
    fs::write(&wal, &whole).unwrap();
    let store = reopen(&file).unwrap();
    assert_eq!(store.locks().await.unwrap().len(), 1);
}

#[tokio::test]
async fn f_24_an_old_copy_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let store = open(&file);
    record(&store, 1).await;
    drop(store);
    let old = fs::read(&file).unwrap();
    let store = open(&file);
    store
        .revoke_token(TokenRef::Id(token_id(1)), "alice", None)
        .await
        .unwrap();
    drop(store);
    fs::write(&file, old).unwrap();
    assert_refused(&file);
    fs::remove_file(with_suffix(&file, "-lock")).unwrap();
    assert!(reopen(&file).is_ok(), "an operator can decide so");
}

#[tokio::test]
async fn f_24_a_removed_or_changed_revocation_is_noticed() {
    for change in [
        "UPDATE withheld SET value = 'tok_other' WHERE kind = 'token'",
        "UPDATE withheld SET state = 'locked' WHERE kind = 'token'",
        "UPDATE withheld SET expires_at = 1 WHERE kind = 'token'",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = closed_store(directory.path()).await;
        let damaged = rusqlite::Connection::open(&file).unwrap();
        assert_eq!(damaged.execute(change, []).unwrap(), 1);
        drop(damaged);
        assert_refused(&file);
    }
}

/// One flipped bit anywhere: the store is refused, or every lock and revocation
/// is still there and every token is found or its loss is an error.
#[tokio::test]
async fn f_24_a_flipped_bit_loses_no_revocation() {
    let directory = tempfile::tempdir().unwrap();
    let file = closed_store(directory.path()).await;
    let whole = fs::read(&file).unwrap();
    let step = whole.len() / 400;
    let (mut refused, mut opened) = (0, 0);
    for position in (0..whole.len()).step_by(step) {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&file, &flipped).unwrap();
        match reopen(&file) {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("a.db"), "{error}");
            }
            Ok(store) => {
                opened += 1;
                let locks = store.locks().await.unwrap();
                assert_eq!(locks.len(), 2, "bit of byte {position}");
                assert!(store.locked_party(ISSUER, "x", &[jkt(9)]).is_some());
            }
        }
    }
    assert!(
        refused > 0 && opened > 0,
        "{refused} refused, {opened} opened"
    );
}
