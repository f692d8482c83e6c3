//! Locks and revocations: the one door through which anything is withheld or
//! given back.
//!
//! A lock on a token, key or identity can be released; a revocation (RFC 7009)
//! cannot. Whoever asks (the issuer's `/revoke`, the admin API, the command
//! line), the change goes through one function, which in one transaction writes
//! the hold, the signal for every gate and the event: no door can forget to
//! signal. An identity or key that is held gets no new tokens either, see
//! `issuance`.
//!
//! Not here: delivering signals (`signals`), and what gates do with them.

use keybound_proto::cause::Cause;
use keybound_proto::event::{Event, EventKind};
use keybound_proto::jose::Jkt;
use keybound_proto::signal::{SignalEvent, Subject};
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::verify::RevocationQuery;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Store;
use super::events::{Entry, random_id};
use super::grants::GrantRecord;
use super::sealing::checksum;
use super::tokens::{TokenRecord, TokenRef, find_token};
use super::withheld_set::{Hold, Question};
use super::writer::Work;
use crate::error::{Failure, StoreError};

/// One thing that is withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockRecord {
    /// What is withheld.
    pub subject: Subject,
    /// Whether it can be released.
    pub state: LockState,
    /// Who did it.
    pub by: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// From when on it need not be remembered; `None`: until released.
    pub expires_at: Option<UnixTime>,
}

/// Whether something withheld can be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// It can.
    Locked,
    /// It cannot: the token is revoked.
    Revoked,
}

/// What became of a wish to revoke a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// It was revoked before; nothing changed.
    AlreadyRevoked(LockRecord),
    /// It is revoked now, durably, and every gate is being told.
    Revoked(LockRecord),
    /// No such token was issued here. A token of another issuer can be locked instead.
    UnknownToken,
}

/// What became of a wish to lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockOutcome {
    /// It was withheld before; nothing changed.
    AlreadyWithheld(LockRecord),
    /// It is locked now, durably, and every gate is being told.
    Locked(LockRecord),
}

/// What became of a wish to release a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnlockOutcome {
    /// It was not locked.
    NotLocked,
    /// It is released now, durably; this is what it was.
    Released(LockRecord),
    /// It is a revoked token, which stays revoked.
    Revoked(LockRecord),
}

impl LockOutcome {
    /// The record, old or new.
    #[must_use]
    pub const fn record(&self) -> &LockRecord {
        match self {
            Self::AlreadyWithheld(record) | Self::Locked(record) => record,
        }
    }
}

/// Who wants a change, when, and the event that will tell of it.
pub(super) struct Order {
    by: String,
    reason: Option<String>,
    at_ms: u64,
    event: Event,
}

impl Store {
    /// Revokes a token that was issued here (RFC 7009). Returns once that is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Unavailable`]: the token must be
    /// assumed valid still; the caller answers 503 (RFC 7009 section 2.2.1).
    pub async fn revoke_token(
        &self,
        token: TokenRef,
        by: &str,
        reason: Option<&str>,
    ) -> Result<RevokeOutcome, StoreError> {
        let order = self.order(EventKind::TokenRevoked, by, reason)?;
        self.write(move |work| {
            let Some(record) = find_token(work, &token)? else {
                return Ok(RevokeOutcome::UnknownToken);
            };
            let subject = record.subject();
            if let Some(before) = load(work.connection, &subject)?
                && before.state == LockState::Revoked
            {
                return Ok(RevokeOutcome::AlreadyRevoked(before));
            }
            let expires_at = Some(record.expires_at);
            let hold = order.hold(subject, LockState::Revoked, expires_at);
            work.withhold(&hold, describe_token(order.event, &record))?;
            Ok(RevokeOutcome::Revoked(hold))
        })
        .await
    }

    /// Revokes a grant: every token that descends from it is refused from now on, and there
    /// will be no further ones. Returns once that is durable.
    ///
    /// # Errors
    ///
    /// As [`Store::revoke_token`].
    pub async fn revoke_grant(
        &self,
        grant: GrantRecord,
        by: &str,
        reason: Option<&str>,
    ) -> Result<RevokeOutcome, StoreError> {
        let order = self.order(EventKind::TokenRevoked, by, reason)?;
        self.write(move |work| work.revoke_grant(&grant, order))
            .await
    }

    /// Locks a token, key or identity. A token that was issued here may be named
    /// by handle or hash alike, and its lock ends with it.
    ///
    /// # Errors
    ///
    /// As [`Store::revoke_token`].
    pub async fn lock(
        &self,
        subject: Subject,
        by: &str,
        reason: Option<&str>,
        expires_at: Option<UnixTime>,
    ) -> Result<LockOutcome, StoreError> {
        let order = self.order(EventKind::Locked, by, reason)?;
        self.write(move |work| {
            let (subject, token) = resolve(work, subject)?;
            if let Some(before) = load(work.connection, &subject)? {
                return Ok(LockOutcome::AlreadyWithheld(before));
            }
            let expires_at = token.as_ref().map(|token| token.expires_at).or(expires_at);
            let event = describe(&order.event, &subject, token.as_ref());
            let hold = order.hold(subject, LockState::Locked, expires_at);
            work.withhold(&hold, event)?;
            Ok(LockOutcome::Locked(hold))
        })
        .await
    }

    /// Releases a lock.
    ///
    /// # Errors
    ///
    /// As [`Store::revoke_token`]; after an error the lock must be assumed to hold.
    pub async fn unlock(&self, subject: Subject, by: &str) -> Result<UnlockOutcome, StoreError> {
        let order = self.order(EventKind::Unlocked, by, None)?;
        self.write(move |work| {
            let (subject, token) = resolve(work, subject)?;
            let Some(before) = load(work.connection, &subject)? else {
                return Ok(UnlockOutcome::NotLocked);
            };
            if before.state == LockState::Revoked {
                return Ok(UnlockOutcome::Revoked(before));
            }
            let event = describe(&order.event, &subject, token.as_ref());
            work.release(&before, order.at_ms, event)?;
            Ok(UnlockOutcome::Released(before))
        })
        .await
    }

    /// Everything that is withheld, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn locks(&self) -> Result<Vec<LockRecord>, StoreError> {
        self.read(load_all).await
    }

    /// Why the token, its key or its identity must be refused; `None` when
    /// nothing is known against it. Answers from memory, as of the last commit.
    #[must_use]
    pub fn locked(&self, query: &RevocationQuery) -> Option<Cause> {
        let keys: Vec<_> = query.keys().collect();
        self.inner.shared.withheld.read().cause(&Question {
            issuer: query.token.issuer(),
            token_hash: Some(&query.token.hash()),
            token_id: query.token.token_id(),
            ancestors: query.token.ancestors(),
            subject: query.token.subject(),
            keys: &keys,
        })
    }

    /// Why a token that was issued here must be refused; `None` when nothing is known against it.
    /// Answers from memory, as of the last commit.
    #[must_use]
    pub fn locked_record(&self, record: &TokenRecord) -> Option<Cause> {
        self.inner.shared.withheld.read().cause(&Question {
            issuer: &record.issuer,
            token_hash: Some(&record.token_hash),
            token_id: record.token_id.as_deref(),
            ancestors: &record.ancestors,
            subject: &record.identity,
            keys: &record.keys(),
        })
    }

    /// Why this identity must not get tokens by these keys and certificates, named by their
    /// thumbprints; `None` when nothing is known against any. For an early answer: issuance
    /// checks again, in its transaction.
    #[must_use]
    pub fn locked_party(&self, issuer: &str, identity: &str, keys: &[Jkt]) -> Option<Cause> {
        self.inner.shared.withheld.read().cause(&Question {
            issuer,
            token_hash: None,
            token_id: None,
            ancestors: &[],
            subject: identity,
            keys,
        })
    }

    pub(super) fn order(
        &self,
        kind: EventKind,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Order, StoreError> {
        let at_ms = self.inner.clock.now_millis();
        let mut event = Event::new(&random_id()?, at_ms, &self.inner.shared.node, kind).with_by(by);
        if let Some(reason) = reason {
            event = event.with_reason(reason);
        }
        // The event's setters bound what people typed; the record says the same.
        Ok(Order {
            by: event.by.clone().unwrap_or_default(),
            reason: event.reason.clone(),
            at_ms,
            event,
        })
    }
}

impl Order {
    fn hold(&self, subject: Subject, state: LockState, expires_at: Option<UnixTime>) -> LockRecord {
        LockRecord {
            subject,
            state,
            by: self.by.clone(),
            reason: self.reason.clone(),
            at_ms: self.at_ms,
            expires_at,
        }
    }
}

impl Work<'_> {
    pub(super) fn revoke_grant(
        &mut self,
        grant: &GrantRecord,
        order: Order,
    ) -> Result<RevokeOutcome, Failure> {
        let subject = grant.subject();
        if let Some(before) = load(self.connection, &subject)?
            && before.state == LockState::Revoked
        {
            return Ok(RevokeOutcome::AlreadyRevoked(before));
        }
        let hold = order.hold(subject, LockState::Revoked, Some(grant.expires_at));
        let event = order
            .event
            .with_issuer(&grant.issuer)
            .with_token_id(&grant.grant_id)
            .with_identity(&grant.identity)
            .with_client_id(&grant.client_id);
        self.withhold(&hold, event)?;
        Ok(RevokeOutcome::Revoked(hold))
    }

    /// Writes the hold, the signal and the event.
    fn withhold(&mut self, hold: &LockRecord, event: Event) -> Result<(), Failure> {
        let key = RowKey::of(&hold.subject);
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO withheld (kind, issuer, value, state, by, reason, at_ms, expires_at, seal)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                key.kind,
                key.issuer,
                key.value,
                hold.state.as_str(),
                hold.by,
                hold.reason,
                hold.at_ms,
                hold.expires_at.map(UnixTime::as_secs),
                seal(hold)
            ])?;
        let in_memory = Hold {
            revoked: hold.state == LockState::Revoked,
            expires_at: hold.expires_at,
        };
        self.memory.hold(&hold.subject, Some(in_memory));
        self.announce(hold, SignalEvent::Locked, hold.at_ms, event)
    }

    /// Removes the hold and writes the signal and the event.
    fn release(&mut self, hold: &LockRecord, at_ms: u64, event: Event) -> Result<(), Failure> {
        self.remove_hold(&hold.subject)?;
        let key = RowKey::of(&hold.subject);
        self.connection
            .prepare_cached(
                "UPDATE signals SET superseded = 1 WHERE kind = ?1 AND issuer = ?2 AND value = ?3",
            )?
            .execute(params![key.kind, key.issuer, key.value])?;
        self.announce(hold, SignalEvent::Released, at_ms, event)
    }

    /// Drops a hold whose token can no longer be used, with its signals.
    pub(super) fn forget_hold(&mut self, subject: &Subject) -> Result<(), Failure> {
        self.remove_hold(subject)?;
        let key = RowKey::of(subject);
        self.connection
            .prepare_cached(
                "DELETE FROM signals WHERE kind = ?1 AND issuer = ?2 AND value = ?3 AND expires_at < ?4",
            )?
            .execute(params![key.kind, key.issuer, key.value, self.now.as_secs()])?;
        Ok(())
    }

    fn remove_hold(&mut self, subject: &Subject) -> Result<(), Failure> {
        let key = RowKey::of(subject);
        self.connection
            .prepare_cached("DELETE FROM withheld WHERE kind = ?1 AND issuer = ?2 AND value = ?3")?
            .execute(params![key.kind, key.issuer, key.value])?;
        self.memory.hold(subject, None);
        Ok(())
    }

    /// The signal for every gate and the event for every reader of the log.
    fn announce(
        &mut self,
        hold: &LockRecord,
        effect: SignalEvent,
        at_ms: u64,
        event: Event,
    ) -> Result<(), Failure> {
        let key = RowKey::of(&hold.subject);
        let sequence = self
            .connection
            .prepare_cached(
                "INSERT INTO signals (kind, issuer, value, effect, at_ms, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .insert(params![
                key.kind,
                key.issuer,
                key.value,
                effect.to_string(),
                at_ms,
                hold.expires_at.map(UnixTime::as_secs)
            ])?;
        self.memory.signalled(sequence.cast_unsigned());
        let event = match hold.expires_at {
            Some(expires_at) => event.with_expires_at(expires_at.as_secs()),
            None => event,
        };
        self.append(&Entry::own(&event))?;
        Ok(())
    }
}

/// The form of a subject in rows.
pub(super) struct RowKey {
    pub(super) kind: &'static str,
    pub(super) issuer: String,
    pub(super) value: String,
}

impl RowKey {
    pub(super) fn of(subject: &Subject) -> Self {
        let (kind, issuer, value) = match subject {
            Subject::Identity { issuer, subject } => ("identity", issuer.clone(), subject.clone()),
            Subject::Key(jkt) => ("key", String::new(), jkt.to_string()),
            Subject::Token { issuer, token_id } => ("token", issuer.clone(), token_id.clone()),
            Subject::TokenHash(hash) => ("token_hash", String::new(), hash.to_hex()),
        };
        Self {
            kind,
            issuer,
            value,
        }
    }

    /// The subject of a row whose first three columns are kind, issuer and value.
    pub(super) fn subject(kind: &str, issuer: String, value: String) -> Result<Subject, Failure> {
        let damaged = || Failure::damaged("a row names a subject that cannot be read");
        match kind {
            "identity" => Ok(Subject::Identity {
                issuer,
                subject: value,
            }),
            "key" => value.parse().map(Subject::Key).map_err(|_| damaged()),
            "token" => Ok(Subject::Token {
                issuer,
                token_id: value,
            }),
            "token_hash" => TokenHash::from_hex(&value)
                .map(Subject::TokenHash)
                .ok_or_else(damaged),
            _ => Err(damaged()),
        }
    }
}

/// The subject in the first three columns: kind, issuer, value.
pub(super) fn subject_of_row(row: &Row<'_>) -> rusqlite::Result<Result<Subject, Failure>> {
    let kind: String = row.get(0)?;
    Ok(RowKey::subject(&kind, row.get(1)?, row.get(2)?))
}

const COLUMNS: &str = "kind, issuer, value, state, by, reason, at_ms, expires_at, seal";

pub(super) fn load(
    connection: &Connection,
    subject: &Subject,
) -> Result<Option<LockRecord>, Failure> {
    let key = RowKey::of(subject);
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM withheld WHERE kind = ?1 AND issuer = ?2 AND value = ?3"
        ))?
        .query_row(params![key.kind, key.issuer, key.value], |row| {
            Ok(record_of_row(row))
        })
        .optional()?
        .transpose()
}

/// All holds, oldest first; any row that does not match its checksum is an error.
pub(super) fn load_all(connection: &Connection) -> Result<Vec<LockRecord>, Failure> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM withheld ORDER BY at_ms"))?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record_of_row(row)?);
    }
    Ok(records)
}

fn record_of_row(row: &Row<'_>) -> Result<LockRecord, Failure> {
    let state: String = row.get(3)?;
    let record = LockRecord {
        subject: subject_of_row(row)??,
        state: LockState::from_name(&state)?,
        by: row.get(4)?,
        reason: row.get(5)?,
        at_ms: row.get(6)?,
        expires_at: row.get::<_, Option<u64>>(7)?.map(UnixTime::from_secs),
    };
    if row.get::<_, [u8; 8]>(8)? != seal(&record) {
        return Err(Failure::damaged(
            "a lock or revocation does not match its checksum",
        ));
    }
    Ok(record)
}

fn seal(record: &LockRecord) -> [u8; 8] {
    let key = RowKey::of(&record.subject);
    let expires_at = record.expires_at.map(|at| at.to_string());
    checksum(&[
        key.kind,
        &key.issuer,
        &key.value,
        record.state.as_str(),
        &record.by,
        record.reason.as_deref().unwrap_or_default(),
        &record.at_ms.to_string(),
        expires_at.as_deref().unwrap_or_default(),
    ])
}

impl LockState {
    /// The name in records and answers: `locked` or `revoked`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Revoked => "revoked",
        }
    }

    fn from_name(name: &str) -> Result<Self, Failure> {
        match name {
            "locked" => Ok(Self::Locked),
            "revoked" => Ok(Self::Revoked),
            _ => Err(Failure::damaged("a lock has a state that cannot be read")),
        }
    }
}

/// One name per token: a token known by its hash goes by its handle, if it has one.
fn resolve(work: &Work<'_>, subject: Subject) -> Result<(Subject, Option<TokenRecord>), Failure> {
    let token = match &subject {
        Subject::Token { issuer, token_id } => find_token(work, &TokenRef::Id(token_id.clone()))?
            .filter(|token| token.issuer == *issuer),
        Subject::TokenHash(hash) => find_token(work, &TokenRef::Hash(*hash))?,
        Subject::Identity { .. } | Subject::Key(_) => None,
    };
    let subject = token.as_ref().map_or(subject, TokenRecord::subject);
    Ok((subject, token))
}

fn describe(event: &Event, subject: &Subject, token: Option<&TokenRecord>) -> Event {
    let event = event.clone();
    match (subject, token) {
        (_, Some(token)) => describe_token(event, token),
        (Subject::Identity { issuer, subject }, None) => {
            event.with_issuer(issuer).with_identity(subject)
        }
        (Subject::Key(jkt), None) => event.with_jkt(jkt.to_string()),
        (Subject::Token { issuer, token_id }, None) => {
            event.with_issuer(issuer).with_token_id(token_id)
        }
        (Subject::TokenHash(hash), None) => event.with_token_sha256(hash.to_hex()),
    }
}

fn describe_token(event: Event, token: &TokenRecord) -> Event {
    let event = event
        .with_token_sha256(token.token_hash.to_hex())
        .with_issuer(&token.issuer)
        .with_identity(&token.identity)
        .with_client_id(&token.client_id);
    let event = match &token.token_id {
        Some(token_id) => event.with_token_id(token_id),
        None => event,
    };
    match &token.jkt {
        Some(jkt) => event.with_jkt(jkt.to_string()),
        None => event,
    }
}
