//! What can go wrong in the store, sorted by who must act.
//!
//! [`StoreError::Full`] and [`StoreError::Unavailable`] pass by themselves:
//! callers answer 503 with `Retry-After` (RFC 7009 section 2.2.1 for revocation)
//! and nothing they were asked for has been promised. The others need a person
//! and name the file. No variant ever holds a stored value.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is damaged, or misses writes it once confirmed.
    #[error(
        "the store `{}` is damaged: {detail}; restore it from a backup, do not delete it: it holds the revocations",
        file.display()
    )]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The disk or its quota is full. Nothing of the transaction was stored.
    #[error("no space left for the store `{}`; free some, it recovers by itself", file.display())]
    Full {
        /// The store's file.
        file: PathBuf,
    },
    /// Another process has the store open.
    #[error("the store `{}` is in use by another process; stop it first", file.display())]
    InUse {
        /// The store's file.
        file: PathBuf,
    },
    /// A value is too large or malformed to be stored.
    #[error("cannot store {what}")]
    Invalid {
        /// Which value and why, without the value itself.
        what: &'static str,
    },
    /// Secrets are sealed and no key-encryption key was given.
    #[error(
        "the store `{}` has no key-encryption key; set `store.key_encryption_key_file`",
        file.display()
    )]
    KeyMissing {
        /// The store's file.
        file: PathBuf,
    },
    /// The file was written by a newer release.
    #[error(
        "the store `{}` has schema {found}, this release reads up to {supported}; run the newer release",
        file.display()
    )]
    NewerSchema {
        /// The store's file.
        file: PathBuf,
        /// The schema number in the file.
        found: u32,
        /// The highest schema number this release knows.
        supported: u32,
    },
    /// The file cannot be opened or created.
    #[error("cannot open the store `{}`: {detail}", file.display())]
    Open {
        /// The file that was tried.
        file: PathBuf,
        /// The system's reason.
        detail: String,
    },
    /// The store cannot answer at the moment: busy, slow, overloaded or an I/O error.
    #[error("the store `{}` cannot be used right now: {detail}", file.display())]
    Unavailable {
        /// The store's file.
        file: PathBuf,
        /// What stands in the way.
        detail: String,
    },
    /// The key-encryption key is not the one this store was made with.
    #[error(
        "the key-encryption key does not fit the store `{}`; use the key it was made with",
        file.display()
    )]
    WrongKey {
        /// The store's file.
        file: PathBuf,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Unavailable { .. })
    }
}

/// A failure inside a transaction, before it is known which file it was about.
#[derive(Debug)]
pub(crate) enum Failure {
    Sql(rusqlite::Error),
    Damaged(String),
    Overloaded(&'static str),
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// A stored value that this release could not have written.
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    pub(crate) fn at(self, file: &Path) -> StoreError {
        match self {
            Self::Sql(error) => from_sqlite(file, &error),
            Self::Damaged(detail) => StoreError::Corrupt {
                file: file.to_owned(),
                detail,
            },
            Self::Overloaded(detail) => StoreError::Unavailable {
                file: file.to_owned(),
                detail: detail.to_owned(),
            },
            Self::Store(error) => error,
        }
    }
}

fn from_sqlite(file: &Path, error: &rusqlite::Error) -> StoreError {
    let file = file.to_owned();
    if matches!(error, rusqlite::Error::ToSqlConversionFailure(_)) {
        return StoreError::Invalid {
            what: "a number beyond 2^63 - 1",
        };
    }
    // SECURITY: SQLite's own texts name tables and files, never bound values.
    let detail = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { file },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt { file, detail }
        }
        Some(ErrorCode::TooBig) => StoreError::Invalid {
            what: "a value beyond the size limit",
        },
        Some(_) => StoreError::Unavailable { file, detail },
        // A column that does not convert was not written by this release.
        None => StoreError::Corrupt { file, detail },
    }
}
