//! Records of tokens that were minted here: finding one by handle or hash.
//!
//! Not here: writing them (`issuance`) and revoking them (`withhold`).

use keybound_proto::certificate::CertificateThumbprint;
use keybound_proto::jose::Jkt;
use keybound_proto::json::Object;
use keybound_proto::signal::Subject;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use rusqlite::{Connection, OptionalExtension, Row};

use super::Store;
use super::terms;
use super::withhold::LockRecord;
use super::writer::Work;
use crate::error::{Failure, StoreError};

/// Names one token without being able to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenRef {
    /// By SHA-256 of its text.
    Hash(TokenHash),
    /// By its handle (`jti`, `tok_…`).
    Id(String),
}

/// What is known of a token that was minted here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// SHA-256 of its text.
    pub token_hash: TokenHash,
    /// Its handle.
    pub token_id: Option<String>,
    /// `iss`.
    pub issuer: String,
    /// The client that got it.
    pub client_id: String,
    /// `sub`.
    pub identity: String,
    /// The key it is bound to, or that of its certificate; `None` for an unbound one.
    pub jkt: Option<Jkt>,
    /// `cnf` as JSON text, where it says more than `jkt` does.
    pub confirmation: Option<String>,
    /// How it is bound: `dpop`, `mtls`, both (`dpop mtls`) or `none`.
    pub binding: String,
    /// `aud`.
    pub audience: Vec<String>,
    /// `scope`, names separated by spaces.
    pub scope: String,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
    /// Handles of the tokens and grants it descends from, the root first.
    pub ancestors: Vec<String>,
    /// Further claims as members of a JSON object.
    pub claims: Option<String>,
    /// The revocation or lock on this very token. A lock on its key or identity is not shown here.
    pub withheld: Option<LockRecord>,
}

impl TokenRecord {
    /// How locks and signals name this token.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match &self.token_id {
            Some(token_id) => Subject::Token {
                issuer: self.issuer.clone(),
                token_id: token_id.clone(),
            },
            None => Subject::TokenHash(self.token_hash),
        }
    }

    /// The certificate it is bound to, if it is: what `cnf` says.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateThumbprint> {
        let cnf = self.confirmation.as_deref()?;
        let cnf = Object::parse(cnf.as_bytes()).ok()?;
        cnf.string("x5t#S256").ok()??.parse().ok()
    }

    /// The thumbprints a lock on its key or certificate may have.
    #[must_use]
    pub fn keys(&self) -> Vec<Jkt> {
        let certificate = self.certificate().map(|bound| bound.as_key());
        self.jkt.into_iter().chain(certificate).collect()
    }

    /// When the token was revoked or locked, milliseconds since 1970.
    #[must_use]
    pub fn withheld_at_ms(&self) -> Option<u64> {
        self.withheld.as_ref().map(|record| record.at_ms)
    }
}

impl Store {
    /// The record of a token; `None` for one that was not minted here.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn token(&self, token: TokenRef) -> Result<Option<TokenRecord>, StoreError> {
        let unfiled = self.inner.shared.unfiled.read().find(&[token.term()], 0);
        self.read(move |connection| find(connection, &token, &unfiled))
            .await
    }

    /// [`Store::token`] by the SHA-256 of its text.
    ///
    /// # Errors
    ///
    /// As [`Store::token`].
    pub async fn token_by_hash(&self, hash: TokenHash) -> Result<Option<TokenRecord>, StoreError> {
        self.token(TokenRef::Hash(hash)).await
    }

    /// [`Store::token`] by its handle.
    ///
    /// # Errors
    ///
    /// As [`Store::token`].
    pub async fn token_by_id(&self, token_id: &str) -> Result<Option<TokenRecord>, StoreError> {
        self.token(TokenRef::Id(token_id.to_owned())).await
    }
}

const COLUMNS: &str = "token_hash, token_id, issuer, client_id, identity, jkt, binding, audience, \
                       scope, issued_at, expires_at, confirmation, ancestors, claims";

/// Candidates for one term are few: only a collision of 64 bits makes a second one.
const CANDIDATES: usize = 16;

impl TokenRef {
    fn term(&self) -> i64 {
        match self {
            Self::Hash(hash) => terms::of_minted_hash(hash),
            Self::Id(id) => terms::of_minted_id(id),
        }
    }

    fn names(&self, record: &TokenRecord) -> bool {
        match self {
            Self::Hash(hash) => record.token_hash == *hash,
            Self::Id(id) => record.token_id.as_ref() == Some(id),
        }
    }
}

/// Finds a token inside a transaction of the writer.
pub(super) fn find_token(
    work: &Work<'_>,
    token: &TokenRef,
) -> Result<Option<TokenRecord>, Failure> {
    let term = token.term();
    let mut unfiled = work.shared.unfiled.read().find(&[term], 0);
    unfiled.extend(work.memory.occurrences(term));
    find(work.connection, token, &unfiled)
}

/// Finds a token among the `unfiled` candidates, asked before the snapshot was
/// taken, and those in the file.
fn find(
    connection: &Connection,
    token: &TokenRef,
    unfiled: &[u64],
) -> Result<Option<TokenRecord>, Failure> {
    let filed = terms::find_filed(connection, token.term(), CANDIDATES)?;
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM tokens WHERE number = ?1"))?;
    for number in unfiled.iter().rev().chain(&filed) {
        let record = statement
            .query_row([number], |row| Ok(record_of_row(row)))
            .optional()?
            .transpose()?;
        if let Some(mut record) = record.filter(|record| token.names(record)) {
            record.withheld = super::withhold::load(connection, &record.subject())?;
            return Ok(Some(record));
        }
    }
    Ok(None)
}

fn record_of_row(row: &Row<'_>) -> Result<TokenRecord, Failure> {
    let audience: String = row.get(7)?;
    let ancestors: Option<String> = row.get(12)?;
    Ok(TokenRecord {
        token_hash: TokenHash::from_bytes(row.get(0)?),
        token_id: row.get(1)?,
        issuer: row.get(2)?,
        client_id: row.get(3)?,
        identity: row.get(4)?,
        jkt: row.get::<_, Option<[u8; 32]>>(5)?.map(Jkt::from_bytes),
        binding: row.get(6)?,
        audience: audience.split_whitespace().map(str::to_owned).collect(),
        scope: row.get(8)?,
        issued_at: UnixTime::from_secs(row.get(9)?),
        expires_at: UnixTime::from_secs(row.get(10)?),
        confirmation: row.get(11)?,
        ancestors: ancestors
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        claims: row.get(13)?,
        withheld: None,
    })
}
