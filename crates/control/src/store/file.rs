//! The store's file and what stands beside it: permissions, the lock that keeps
//! a second process out, and the watermark that shows when confirmed writes
//! are missing.
//!
//! The side file is `<store>-lock`. The lock is advisory (`flock`) and ends with
//! the process, however it ends. The watermark in it is the sequence number of
//! the last event whose commit was synced. It is written after the sync and not
//! synced itself, so on disk it may be too low but never too high: a store that
//! ends before it has lost something that somebody was told of (its `-wal` was
//! cut off or removed, or an old copy was put in its place), and is refused.
//!
//! Not here: SQLite's own files (`-wal`, `-shm`) and the content.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use crate::error::StoreError;

const MAGIC: &[u8; 8] = b"KBMARK1\n";

/// The side file, locked for as long as this value lives.
#[derive(Debug)]
pub(super) struct Watermark {
    side_file: File,
    path: PathBuf,
    sequence: u64,
}

impl Watermark {
    /// Creates the store's file if it is not there, and takes the lock.
    pub(super) fn acquire(file: &Path) -> Result<Self, StoreError> {
        let open_error = |error: &io::Error| StoreError::Open {
            file: file.to_owned(),
            detail: error.to_string(),
        };
        let path = side_path(file);
        let side_file = owner_only(&path).map_err(|error| open_error(&error))?;
        match side_file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    file: file.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(open_error(&error)),
        }
        // SECURITY: created here, because SQLite would give it the process's umask.
        owner_only(file)
            .and_then(|_| sync_directory(file))
            .map_err(|error| open_error(&error))?;
        let sequence = read_mark(&side_file).map_err(|error| open_error(&error))?;
        Ok(Self {
            side_file,
            path,
            sequence,
        })
    }

    /// Refuses a store whose last event is older than the last confirmed one.
    pub(super) fn check(&self, file: &Path, last_event: u64) -> Result<(), StoreError> {
        if last_event >= self.sequence {
            return Ok(());
        }
        Err(StoreError::Corrupt {
            file: file.to_owned(),
            detail: format!(
                "it ends at event {last_event}, but event {} was confirmed; it or its `-wal` was cut off or replaced \
                 (after restoring a backup on purpose, remove `{}`)",
                self.sequence,
                self.path.display()
            ),
        })
    }

    /// Notes that everything up to `sequence` is on disk.
    pub(super) fn raise(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
        // The mark only helps to notice damage; a store must not stop for it.
        if let Err(error) = self.side_file.write_all_at(&encode(self.sequence), 0) {
            tracing::warn!(file = %self.path.display(), %error, "watermark not written");
        }
    }
}

fn side_path(file: &Path) -> PathBuf {
    let mut name = OsString::from(file.as_os_str());
    name.push("-lock");
    PathBuf::from(name)
}

fn owner_only(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Makes the new name itself durable; SQLite does this for its log only.
fn sync_directory(file: &Path) -> io::Result<()> {
    let parent = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

fn encode(sequence: u64) -> [u8; 24] {
    let mut mark = [0; 24];
    let (body, check) = mark.split_at_mut(16);
    let (magic, number) = body.split_at_mut(8);
    magic.copy_from_slice(MAGIC);
    number.copy_from_slice(&sequence.to_be_bytes());
    check.copy_from_slice(&checksum(sequence));
    mark
}

fn checksum(sequence: u64) -> [u8; 8] {
    let hash = digest::digest(&digest::SHA256, &sequence.to_be_bytes());
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

/// 0 where there is no readable mark: a mark torn by a power loss must not keep
/// an intact store from starting.
fn read_mark(file: &File) -> io::Result<u64> {
    let mut mark = [0; 24];
    match file.read_exact_at(&mut mark, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
        Err(error) => return Err(error),
    }
    let number = mark
        .get(8..16)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes);
    Ok(if mark == encode(number) { number } else { 0 })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.db");
        let first = Watermark::acquire(&file).unwrap();
        assert_eq!(
            Watermark::acquire(&file).unwrap_err(),
            StoreError::InUse { file: file.clone() }
        );
        drop(first);
        Watermark::acquire(&file).unwrap();
    }

    #[test]
    fn files_are_for_the_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.db");
        let _mark = Watermark::acquire(&file).unwrap();
        for path in [file.clone(), side_path(&file)] {
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn an_older_store_is_refused_and_a_torn_mark_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.db");
        let mut mark = Watermark::acquire(&file).unwrap();
        mark.raise(7);
        drop(mark);
        let mark = Watermark::acquire(&file).unwrap();
        assert!(mark.check(&file, 7).is_ok());
        let error = mark.check(&file, 6).unwrap_err().to_string();
        assert!(error.contains("a.db"), "{error}");
        drop(mark);
        std::fs::write(side_path(&file), b"KBMARK1\ntorn").unwrap();
        assert!(Watermark::acquire(&file).unwrap().check(&file, 0).is_ok());
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = Watermark::acquire(Path::new("/nonexistent/a.db")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/a.db"), "{error}");
    }
}
