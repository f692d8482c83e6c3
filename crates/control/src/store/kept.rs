//! What a client or a browser was told to come back with: pushed authorization requests
//! (RFC 9126), authorizations in progress, authorization codes (RFC 6749 section 4.1.2), device
//! codes (RFC 8628), sessions of people.
//!
//! Each is a document under SHA-256 of the secret that names it, with a version. Whoever changes
//! one names the version it judged, so of two that judged the same one wins. What was used stays,
//! changed, until it expires: that is how a second use is told from a wrong guess.
//!
//! Not here: what the documents mean.

use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::Store;
use super::writer::Work;
use crate::error::{Failure, StoreError};

/// The largest document, in bytes.
const MAX_DOCUMENT: usize = 64 * 1024;

/// The most documents of one kind: strangers can have them made, and must not fill the disk.
pub(super) const MAX_OF_A_KIND: usize = if cfg!(test) { 200 } else { 50_000 };

/// What something is kept for. One secret never serves as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptKind {
    /// A request that was pushed, by its `request_uri`.
    AuthorizationRequest,
    /// A request a person is deciding about.
    Authorization,
    /// An authorization code.
    Code,
    /// A device code.
    DeviceCode,
    /// What a person types at the device verification page.
    UserCode,
    /// A person who is logged in.
    Session,
    /// A log-in that is under way, or a single-use link to one.
    LogIn,
}

/// Names one kept document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRef {
    /// What it is kept for.
    pub kind: KeptKind,
    /// SHA-256 of the secret that names it.
    pub hash: TokenHash,
}

/// What a link for logging in stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogInLink {
    /// As whom.
    pub identity: String,
    /// Whether it was used.
    pub used: bool,
}

/// A kept document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The document, JSON text.
    pub document: String,
    /// Which change of it this is.
    pub version: u64,
    /// The first second at which it does not count any more.
    pub expires_at: UnixTime,
}

/// A change to a kept document that was judged at `version`.
#[derive(Clone, Debug)]
pub struct KeptChange {
    /// Which one.
    pub kept: KeptRef,
    /// The version that was judged.
    pub version: u64,
    /// What it becomes.
    pub document: String,
}

impl KeptKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::AuthorizationRequest => "authorization_request",
            Self::Code => "code",
            Self::DeviceCode => "device_code",
            Self::LogIn => "log_in",
            Self::Session => "session",
            Self::UserCode => "user_code",
        }
    }
}

impl KeptRef {
    /// The one named by this secret.
    #[must_use]
    pub fn of(kind: KeptKind, secret: &str) -> Self {
        Self {
            kind,
            hash: TokenHash::of(secret.as_bytes()),
        }
    }
}

impl Store {
    /// Keeps a document until `expires_at`; durable on return. One that is there already is
    /// replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] for a document over 64 KiB; [`StoreError::Full`],
    /// [`StoreError::Unavailable`], also where there are too many of the kind: nothing is kept.
    pub async fn keep(
        &self,
        kept: KeptRef,
        document: String,
        expires_at: UnixTime,
    ) -> Result<(), StoreError> {
        if document.len() > MAX_DOCUMENT {
            return Err(StoreError::Invalid {
                what: "a document over 64 KiB",
            });
        }
        self.write(move |work| work.keep(&kept, &document, expires_at))
            .await
    }

    /// The document, if it is there and does not expire before `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn kept(&self, kept: KeptRef, now: UnixTime) -> Result<Option<Kept>, StoreError> {
        let found = self.read(move |connection| load(connection, &kept)).await?;
        Ok(found.filter(|found| now < found.expires_at))
    }

    /// Changes a document if it still has the version that was judged; `false` if not.
    ///
    /// # Errors
    ///
    /// As [`Store::keep`].
    pub async fn change_kept(&self, change: KeptChange) -> Result<bool, StoreError> {
        self.write(move |work| work.change_kept(&change)).await
    }
}

impl Work<'_> {
    pub(super) fn keep(
        &self,
        kept: &KeptRef,
        document: &str,
        expires_at: UnixTime,
    ) -> Result<(), Failure> {
        // Walks along the primary key, so it costs something only where there are many.
        let full = self
            .connection
            .prepare_cached("SELECT 1 FROM kept WHERE kind = ?1 LIMIT 1 OFFSET ?2")?
            .exists(params![kept.kind.as_str(), MAX_OF_A_KIND - 1])?;
        if full {
            return Err(Failure::Overloaded("too many requests are under way"));
        }
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO kept (kind, hash, document, version, expires_at)
                 VALUES (?1, ?2, ?3, 1, ?4)",
            )?
            .execute(params![
                kept.kind.as_str(),
                kept.hash.as_bytes(),
                document,
                expires_at.as_secs()
            ])?;
        Ok(())
    }

    pub(super) fn change_kept(&self, change: &KeptChange) -> Result<bool, Failure> {
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE kept SET document = ?1, version = version + 1
                 WHERE kind = ?2 AND hash = ?3 AND version = ?4",
            )?
            .execute(params![
                change.document,
                change.kept.kind.as_str(),
                change.kept.hash.as_bytes(),
                change.version
            ])?;
        Ok(changed == 1)
    }

    /// Whether the document still has the version that was judged.
    pub(super) fn is_unchanged(&self, change: &KeptChange) -> Result<bool, Failure> {
        let found = load(self.connection, &change.kept)?;
        Ok(found.is_some_and(|found| found.version == change.version))
    }
}

fn load(connection: &Connection, kept: &KeptRef) -> Result<Option<Kept>, Failure> {
    let found = connection
        .prepare_cached(
            "SELECT document, version, expires_at FROM kept WHERE kind = ?1 AND hash = ?2",
        )?
        .query_row(params![kept.kind.as_str(), kept.hash.as_bytes()], |row| {
            Ok(Kept {
                document: row.get(0)?,
                version: row.get(1)?,
                expires_at: UnixTime::from_secs(row.get(2)?),
            })
        })
        .optional()?;
    Ok(found)
}

/// Forgets what has expired; `true` when there is more.
pub(super) fn sweep(work: &Work<'_>, step: usize) -> Result<bool, Failure> {
    let forgotten = work
        .connection
        .prepare_cached(
            "DELETE FROM kept WHERE (kind, hash) IN
             (SELECT kind, hash FROM kept WHERE expires_at < ?1 LIMIT ?2)",
        )?
        .execute(params![work.now.as_secs(), step])?;
    Ok(forgotten == step)
}
