//! Grants and their refresh tokens (RFC 6749 section 6, RFC 9700 section 4.14.2).
//!
//! A grant is a permission under which a client gets tokens again and again. Its refresh tokens
//! form one line: each is used once, for the next, by the key it is bound to. Two things are
//! told apart when a used one comes again:
//!
//! - The answer was lost: the same key, soon, and nobody has used the successor. The successor
//!   is replaced by another, so that there is one line still.
//! - Anything else is reuse. Somebody has a copy, so the whole grant is revoked, and with it
//!   every token that descends from it.
//!
//! A wrong key with a token that was not used changes nothing: whoever has no key must not be
//! able to end the grant of whoever does.
//!
//! Not here: what a grant allows (its document is the issuer's), and proofs.

use std::fmt;

use keybound_proto::jose::Jkt;
use keybound_proto::signal::Subject;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::kept::KeptChange;
use super::uses::OneTimeUse;
use super::writer::Work;
use crate::error::{Failure, StoreError};

/// A permission under which a client gets tokens again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// Its handle, `grt_…`: not secret, and the root of the ancestors of its tokens.
    pub grant_id: String,
    /// The issuer.
    pub issuer: String,
    /// The client that has it.
    pub client_id: String,
    /// The identity its tokens are about.
    pub identity: String,
    /// What it allows, JSON text.
    pub document: String,
    /// When it was given.
    pub created_at: UnixTime,
    /// When it ends, whatever is refreshed.
    pub expires_at: UnixTime,
}

impl GrantRecord {
    /// How locks and signals name it.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject::Token {
            issuer: self.issuer.clone(),
            token_id: self.grant_id.clone(),
        }
    }
}

/// A refresh token to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRefreshToken {
    /// SHA-256 of its text.
    pub hash: TokenHash,
    /// The key it is bound to; `None` where the grant is bound to a certificate or to nothing.
    pub jkt: Option<Jkt>,
}

/// How far a refresh token has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshState {
    /// It was not used.
    Unused,
    /// It was used, and nobody has used its successor.
    Used {
        /// When.
        at: UnixTime,
    },
    /// Its successor was used as well.
    Past,
}

/// A refresh token and the grant it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// SHA-256 of its text.
    pub hash: TokenHash,
    /// The key it is bound to.
    pub jkt: Option<Jkt>,
    /// How far it has come.
    pub state: RefreshState,
    /// Its grant.
    pub grant: GrantRecord,
}

/// What is recorded of a token exchange (RFC 8693) beside the new token.
#[derive(Clone, Debug, Default)]
pub struct ExchangeUse {
    /// Thumbprint of the key or certificate that the subject token is bound to.
    pub subject_key: Option<String>,
    /// Who acts for the subject, the current actor first.
    pub actors: Vec<String>,
    /// The configured rule that allowed it, by name.
    pub rule: Option<String>,
    /// The proof by which the subject's holder lent its token; spent with the issuance.
    pub lent_by: Option<OneTimeUse>,
}

/// What an issuance uses up, judged before and checked again in its transaction.
#[derive(Clone)]
pub enum GrantUse {
    /// A token that was exchanged: it stays what it is.
    Exchange(ExchangeUse),
    /// A code: the document says afterwards that it was used.
    Kept(KeptChange),
    /// A refresh token, for the next one.
    Refresh {
        /// The one that was presented.
        presented: TokenHash,
        /// The state it was judged in.
        state: RefreshState,
    },
    /// A refresh token that may be used again and again.
    Repeated {
        /// The one that was presented.
        presented: TokenHash,
    },
}

impl fmt::Debug for GrantUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exchange(_) => "Exchange(..)",
            Self::Kept(_) => "Kept(..)",
            Self::Refresh { .. } => "Refresh(..)",
            Self::Repeated { .. } => "Repeated(..)",
        })
    }
}

impl Store {
    /// The refresh token with this hash; `None` where there is none, or its grant has ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn refresh_token(
        &self,
        hash: TokenHash,
        now: UnixTime,
    ) -> Result<Option<RefreshToken>, StoreError> {
        let found = self.read(move |connection| find(connection, hash)).await?;
        Ok(found.filter(|found| now < found.grant.expires_at))
    }

    /// The grant with this handle; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As [`Store::refresh_token`].
    pub async fn grant(&self, grant_id: &str) -> Result<Option<GrantRecord>, StoreError> {
        let grant_id = grant_id.to_owned();
        self.read(move |connection| find_grant(connection, &grant_id))
            .await
    }
}

impl Work<'_> {
    /// Whether what was judged is still so.
    pub(super) fn is_usable(&self, grant_use: &GrantUse) -> Result<bool, Failure> {
        match grant_use {
            GrantUse::Exchange(_) => Ok(true),
            GrantUse::Kept(change) => self.is_unchanged(change),
            GrantUse::Refresh { presented, state } => {
                let found = find(self.connection, *presented)?;
                Ok(found.is_some_and(|found| found.state == *state))
            }
            GrantUse::Repeated { presented } => {
                let found = find(self.connection, *presented)?;
                Ok(found.is_some_and(|found| found.state == RefreshState::Unused))
            }
        }
    }

    /// Uses up what is usable.
    pub(super) fn use_up(
        &self,
        grant_use: &GrantUse,
        successor: Option<TokenHash>,
    ) -> Result<(), Failure> {
        match grant_use {
            GrantUse::Kept(change) => self.change_kept(change).map(drop),
            GrantUse::Refresh { presented, state } => {
                if let RefreshState::Used { .. } = state {
                    self.connection
                        .prepare_cached(
                            "DELETE FROM refresh_tokens WHERE hash =
                             (SELECT successor FROM refresh_tokens WHERE hash = ?1)",
                        )?
                        .execute([presented.as_bytes()])?;
                }
                self.connection
                    .prepare_cached(
                        "UPDATE refresh_tokens SET used_at = coalesce(used_at, ?2), successor = ?3
                         WHERE hash = ?1",
                    )?
                    .execute(params![
                        presented.as_bytes(),
                        self.now.as_secs(),
                        successor.as_ref().map(TokenHash::as_bytes)
                    ])?;
                Ok(())
            }
            GrantUse::Exchange(_) | GrantUse::Repeated { .. } => Ok(()),
        }
    }

    pub(super) fn insert_grant(&self, grant: &GrantRecord) -> Result<(), Failure> {
        self.connection
            .prepare_cached(
                "INSERT INTO grants (grant_id, issuer, client_id, identity, document, created_at,
                 expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                grant.grant_id,
                grant.issuer,
                grant.client_id,
                grant.identity,
                grant.document,
                grant.created_at.as_secs(),
                grant.expires_at.as_secs()
            ])?;
        Ok(())
    }

    pub(super) fn insert_refresh(
        &self,
        grant_id: &str,
        token: &NewRefreshToken,
    ) -> Result<(), Failure> {
        self.connection
            .prepare_cached(
                "INSERT INTO refresh_tokens (hash, grant_id, jkt, issued_at) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                token.hash.as_bytes(),
                grant_id,
                token.jkt.as_ref().map(Jkt::as_bytes),
                self.now.as_secs()
            ])?;
        Ok(())
    }
}

fn find(connection: &Connection, hash: TokenHash) -> Result<Option<RefreshToken>, Failure> {
    let row = connection
        .prepare_cached(
            "SELECT t.grant_id, t.jkt, t.used_at, s.hash IS NOT NULL AND s.used_at IS NULL
             FROM refresh_tokens t LEFT JOIN refresh_tokens s ON s.hash = t.successor
             WHERE t.hash = ?1",
        )?
        .query_row([hash.as_bytes()], |row| {
            let grant_id: String = row.get(0)?;
            let jkt: Option<[u8; 32]> = row.get(1)?;
            let used_at: Option<u64> = row.get(2)?;
            Ok((grant_id, jkt, used_at, row.get::<_, bool>(3)?))
        })
        .optional()?;
    let Some((grant_id, jkt, used_at, successor_unused)) = row else {
        return Ok(None);
    };
    let Some(grant) = find_grant(connection, &grant_id)? else {
        return Ok(None);
    };
    let state = match used_at {
        None => RefreshState::Unused,
        Some(at) if successor_unused => RefreshState::Used {
            at: UnixTime::from_secs(at),
        },
        Some(_) => RefreshState::Past,
    };
    Ok(Some(RefreshToken {
        hash,
        jkt: jkt.map(Jkt::from_bytes),
        state,
        grant,
    }))
}

fn find_grant(connection: &Connection, grant_id: &str) -> Result<Option<GrantRecord>, Failure> {
    let found = connection
        .prepare_cached(
            "SELECT grant_id, issuer, client_id, identity, document, created_at, expires_at
             FROM grants WHERE grant_id = ?1",
        )?
        .query_row([grant_id], |row| {
            Ok(GrantRecord {
                grant_id: row.get(0)?,
                issuer: row.get(1)?,
                client_id: row.get(2)?,
                identity: row.get(3)?,
                document: row.get(4)?,
                created_at: UnixTime::from_secs(row.get(5)?),
                expires_at: UnixTime::from_secs(row.get(6)?),
            })
        })
        .optional()?;
    Ok(found)
}

/// Forgets grants that have ended, with their refresh tokens; `true` when there is more.
pub(super) fn sweep(work: &Work<'_>, before: u64, step: usize) -> Result<bool, Failure> {
    const ENDED: &str = "SELECT grant_id FROM grants WHERE expires_at < ?1
                         ORDER BY expires_at LIMIT ?2";
    work.connection
        .prepare_cached(&format!(
            "DELETE FROM refresh_tokens WHERE grant_id IN ({ENDED})"
        ))?
        .execute(params![before, step])?;
    let forgotten = work
        .connection
        .prepare_cached(&format!("DELETE FROM grants WHERE grant_id IN ({ENDED})"))?
        .execute(params![before, step])?;
    Ok(forgotten == step)
}
