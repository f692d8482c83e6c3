//! What receivers are told, and how far each of them is (RFC 8936 in the
//! profile of Shared Signals): one stream per receiver, with a durable cursor.
//!
//! A new stream begins with everything that is withheld at its creation and
//! still matters, then follows. A signal is delivered again until it is
//! acknowledged by its `jti`, which names stream and signal, so a redelivery
//! carries the same one and a `jti` of another stream acknowledges nothing.
//!
//! Not here: signing, HTTP, and deciding who may have a stream.

use aws_lc_rs::rand;
use keybound_proto::signal::{SignalEvent, Subject};
use keybound_proto::time::UnixTime;
use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::withhold::RowKey;
use super::writer::Work;
use crate::error::{Failure, StoreError};

/// The most signals one poll returns.
pub const MAX_SIGNALS: usize = 256;

/// A receiver's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRecord {
    /// Its id, `str_` and 32 hexadecimal digits.
    pub stream_id: String,
    /// The client that follows it. One stream per receiver.
    pub receiver: String,
    /// `aud` of its signals.
    pub audience: String,
    /// When it was created.
    pub created_at: UnixTime,
}

/// One signal that a stream has not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingSignal {
    /// `jti` of its SET: the same at every delivery.
    pub id: String,
    /// Whom it is about.
    pub subject: Subject,
    /// What happened.
    pub event: SignalEvent,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// When it can be forgotten.
    pub expires_at: Option<UnixTime>,
}

/// What one poll returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalPage {
    /// Oldest first.
    pub signals: Vec<PendingSignal>,
    /// Whether there is more right now.
    pub more_available: bool,
    /// The last signal that was known when this was read; see [`Store::wait_for_signals`].
    pub seen: u64,
}

impl Store {
    /// Creates the stream of a receiver, replacing the one it had: what the old
    /// one had not delivered is in the new one's beginning.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Unavailable`].
    pub async fn create_stream(
        &self,
        receiver: &str,
        audience: &str,
    ) -> Result<StreamRecord, StoreError> {
        let stream = StreamRecord {
            stream_id: new_stream_id()?,
            receiver: receiver.to_owned(),
            audience: audience.to_owned(),
            created_at: self.inner.clock.now(),
        };
        let record = stream.clone();
        self.write(move |work| work.put_stream(&stream)).await?;
        Ok(record)
    }

    /// The stream with this id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn stream(&self, stream_id: &str) -> Result<Option<StreamRecord>, StoreError> {
        let id = stream_id.to_owned();
        self.read(move |connection| load_stream(connection, &id))
            .await
    }

    /// Removes a receiver's stream. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Unavailable`].
    pub async fn delete_stream(&self, stream_id: &str) -> Result<bool, StoreError> {
        let id = stream_id.to_owned();
        self.write(move |work| {
            work.connection
                .prepare_cached("DELETE FROM stream_acks WHERE stream_id = ?1")?
                .execute([&id])?;
            let removed = work
                .connection
                .prepare_cached("DELETE FROM streams WHERE stream_id = ?1")?
                .execute([&id])?;
            Ok(removed > 0)
        })
        .await
    }

    /// Acknowledges signals of a stream; unknown and repeated `jti`s are ignored
    /// (RFC 8936 section 2.4). Durable on return.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Unavailable`]: the signals will come again.
    pub async fn acknowledge(&self, stream_id: &str, ids: Vec<String>) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let id = stream_id.to_owned();
        self.write(move |work| acknowledge(work, &id, &ids)).await
    }

    /// The oldest unacknowledged signals of a stream, at most `limit` (and [`MAX_SIGNALS`]).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn pending_signals(
        &self,
        stream_id: &str,
        limit: usize,
    ) -> Result<SignalPage, StoreError> {
        let id = stream_id.to_owned();
        let limit = limit.min(MAX_SIGNALS);
        let now = self.inner.clock.now();
        let seen = *self.inner.shared.last_signal.borrow();
        let mut signals = self
            .read(move |connection| load_pending(connection, &id, limit + 1, now))
            .await?;
        let more_available = signals.len() > limit;
        signals.truncate(limit);
        Ok(SignalPage {
            signals,
            more_available,
            seen,
        })
    }

    /// Returns when a signal after `seen` is durable; at once if there is one.
    pub async fn wait_for_signals(&self, seen: u64) {
        let mut last = self.inner.shared.last_signal.subscribe();
        // The sender lives as long as `self`, so this ends only by a new number.
        let _ = last.wait_for(|sequence| *sequence > seen).await;
    }
}

impl Work<'_> {
    fn put_stream(&self, stream: &StreamRecord) -> Result<(), Failure> {
        self.connection.execute(
            "DELETE FROM stream_acks WHERE stream_id IN (SELECT stream_id FROM streams WHERE receiver = ?1)",
            [&stream.receiver],
        )?;
        self.connection.execute(
            "DELETE FROM streams WHERE receiver = ?1",
            [&stream.receiver],
        )?;
        self.connection.execute(
            "INSERT INTO streams (stream_id, receiver, audience, created_at, snapshot_to, cursor)
             VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(sequence), 0) FROM signals), 0)",
            params![
                stream.stream_id,
                stream.receiver,
                stream.audience,
                stream.created_at.as_secs()
            ],
        )?;
        Ok(())
    }
}

fn new_stream_id() -> Result<String, StoreError> {
    let mut random = [0; 16];
    rand::fill(&mut random).map_err(|_| StoreError::Invalid {
        what: "a stream: the system gives no random numbers",
    })?;
    Ok(format!("str_{:032x}", u128::from_be_bytes(random)))
}

/// Padded, so that ids sort as their signals do.
fn signal_id(stream_id: &str, sequence: u64) -> String {
    format!("{stream_id}.{sequence:020}")
}

/// The sequence number in a `jti` of this stream.
fn sequence_of(stream_id: &str, id: &str) -> Option<u64> {
    let number = id.strip_prefix(stream_id)?.strip_prefix('.')?;
    let sequence = number.parse().ok()?;
    // Only the one spelling that was handed out.
    (signal_id(stream_id, sequence) == id).then_some(sequence)
}

fn acknowledge(work: &Work<'_>, stream_id: &str, ids: &[String]) -> Result<(), Failure> {
    let cursor: Option<u64> = work
        .connection
        .prepare_cached("SELECT cursor FROM streams WHERE stream_id = ?1")?
        .query_row([stream_id], |row| row.get(0))
        .optional()?;
    let Some(cursor) = cursor else {
        return Ok(());
    };
    {
        let mut insert = work.connection.prepare_cached(
            "INSERT OR IGNORE INTO stream_acks (stream_id, sequence)
             SELECT ?1, sequence FROM signals WHERE sequence = ?2 AND sequence > ?3",
        )?;
        for sequence in ids.iter().filter_map(|id| sequence_of(stream_id, id)) {
            insert.execute(params![stream_id, sequence, cursor])?;
        }
    }
    move_cursor(work, stream_id, cursor)
}

/// Moves the cursor to just before the first signal that is still to be delivered.
fn move_cursor(work: &Work<'_>, stream_id: &str, cursor: u64) -> Result<(), Failure> {
    let first_open: Option<u64> = work
        .connection
        .prepare_cached(&format!("SELECT sequence FROM ({PENDING}) LIMIT 1"))?
        .query_row(params![stream_id, work.now.as_secs()], |row| row.get(0))
        .optional()?;
    let last: u64 = work
        .connection
        .prepare_cached("SELECT coalesce(max(sequence), 0) FROM signals")?
        .query_row([], |row| row.get(0))?;
    let moved = first_open
        .map_or(last, |first| first.saturating_sub(1))
        .max(cursor);
    work.connection
        .prepare_cached("UPDATE streams SET cursor = ?2 WHERE stream_id = ?1")?
        .execute(params![stream_id, moved])?;
    work.connection
        .prepare_cached("DELETE FROM stream_acks WHERE stream_id = ?1 AND sequence <= ?2")?
        .execute(params![stream_id, moved])?;
    Ok(())
}

/// Signals a stream has yet to deliver: after its cursor, not acknowledged, not
/// expired; of those from before its creation only what is still in force.
const PENDING: &str =
    "SELECT s.kind, s.issuer, s.value, s.sequence, s.effect, s.at_ms, s.expires_at
     FROM streams t JOIN signals s ON s.sequence > t.cursor
     WHERE t.stream_id = ?1
       AND (s.sequence > t.snapshot_to OR (s.effect = 'locked' AND s.superseded = 0))
       AND (s.expires_at IS NULL OR s.expires_at >= ?2)
       AND NOT EXISTS (SELECT 1 FROM stream_acks a
                       WHERE a.stream_id = t.stream_id AND a.sequence = s.sequence)
     ORDER BY s.sequence";

fn load_pending(
    connection: &Connection,
    stream_id: &str,
    limit: usize,
    now: UnixTime,
) -> Result<Vec<PendingSignal>, Failure> {
    let mut statement = connection.prepare_cached(&format!("{PENDING} LIMIT ?3"))?;
    let mut rows = statement.query(params![stream_id, now.as_secs(), limit])?;
    let mut signals = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        let effect: String = row.get(4)?;
        signals.push(PendingSignal {
            id: signal_id(stream_id, row.get(3)?),
            subject: RowKey::subject(&kind, row.get(1)?, row.get(2)?)?,
            event: match effect.as_str() {
                "locked" => SignalEvent::Locked,
                "released" => SignalEvent::Released,
                _ => {
                    return Err(Failure::damaged(
                        "a signal has an effect that cannot be read",
                    ));
                }
            },
            at_ms: row.get(5)?,
            expires_at: row.get::<_, Option<u64>>(6)?.map(UnixTime::from_secs),
        });
    }
    Ok(signals)
}

fn load_stream(connection: &Connection, stream_id: &str) -> Result<Option<StreamRecord>, Failure> {
    Ok(connection
        .prepare_cached(
            "SELECT stream_id, receiver, audience, created_at FROM streams WHERE stream_id = ?1",
        )?
        .query_row([stream_id], |row| {
            Ok(StreamRecord {
                stream_id: row.get(0)?,
                receiver: row.get(1)?,
                audience: row.get(2)?,
                created_at: UnixTime::from_secs(row.get(3)?),
            })
        })
        .optional()?)
}
