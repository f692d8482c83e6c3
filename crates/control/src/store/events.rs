//! The durable event log: appending, the hash chain of each node, reading with
//! filters, waiting, and verifying.
//!
//! An event's chain value is SHA-256 over the chain value of the same node's
//! previous event (32 zero bytes for the first) and the event's JSON as stored.
//! Sequence numbers rise with every commit and are never used twice.
//!
//! Events are found by token, key, client and identity through 64-bit hashes of
//! those terms, which the writer files in the background; the newest events are
//! searched directly until then. Every match is compared with the event itself.
//!
//! Not here: signed checkpoints between the chains, and export.

use aws_lc_rs::digest;
use aws_lc_rs::rand;
use keybound_proto::event::{Event, EventKind};
use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::memory::Head;
use super::writer::Work;
use crate::error::{Failure, StoreError};

/// The most events one call returns.
pub const MAX_EVENTS: usize = 1000;

/// The most events one call delivers.
pub const MAX_DELIVERY: usize = 1000;

/// Which events to read. `None` members do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only this kind.
    pub kind: Option<EventKind>,
    /// Only events that name this key (RFC 7638 thumbprint, base64url).
    pub jkt: Option<String>,
    /// Only events that name this token's handle.
    pub token_id: Option<String>,
    /// Only events that name this token's SHA-256 (64 hexadecimal digits).
    pub token_sha256: Option<String>,
}

/// A chain that does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenChain {
    /// The node whose chain it is.
    pub node: String,
    /// The first event that does not fit its predecessor.
    pub sequence: u64,
}

/// An event as it is written: made before the writer is asked, because the JSON
/// does not depend on what the writer knows.
#[derive(Debug)]
pub(super) struct Entry {
    id: String,
    node: String,
    kind: EventKind,
    json: String,
    /// Delivered by another machine, perhaps twice.
    delivered: bool,
}

impl Entry {
    pub(super) fn own(event: &Event) -> Self {
        Self::new(event, false)
    }

    fn new(event: &Event, delivered: bool) -> Self {
        Self {
            id: event.id.clone(),
            node: event.node.clone(),
            kind: event.kind,
            json: event.to_json_line(),
            delivered,
        }
    }
}

impl Store {
    /// Appends one event of this machine; returns its sequence number once it is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Unavailable`]: nothing was stored.
    pub async fn append_event(&self, event: &Event) -> Result<u64, StoreError> {
        let entry = Entry::own(event);
        self.write(move |work| work.append(&entry)).await
    }

    /// Appends what another machine delivers, in its order, leaving out what is
    /// here already (by event id). Returns how many were new.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] for more than [`MAX_DELIVERY`] events; else as
    /// [`Store::append_event`].
    pub async fn deliver_events(&self, events: &[Event]) -> Result<usize, StoreError> {
        if events.len() > MAX_DELIVERY {
            return Err(StoreError::Invalid {
                what: "more than 1000 events at once",
            });
        }
        let entries: Vec<_> = events.iter().map(|event| Entry::new(event, true)).collect();
        self.write(move |work| {
            let mut accepted = 0;
            for entry in &entries {
                if !work.was_delivered(&entry.id)? {
                    work.append(entry)?;
                    accepted += 1;
                }
            }
            Ok(accepted)
        })
        .await
    }

    /// Events after the sequence number `after`, oldest first, at most `limit`
    /// (and [`MAX_EVENTS`]), each with its number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn events(
        &self,
        after: u64,
        limit: usize,
        filter: EventFilter,
    ) -> Result<Vec<(u64, Event)>, StoreError> {
        let limit = limit.min(MAX_EVENTS);
        self.read(move |connection| read_events(connection, after, limit, &filter))
            .await
    }

    /// The sequence number of the last durable event; 0 when there is none.
    #[must_use]
    pub fn last_event(&self) -> u64 {
        *self.inner.shared.last_event.borrow()
    }

    /// Returns when an event with a number above `after` is durable; at once if there is one.
    pub async fn wait_for_events(&self, after: u64) {
        let mut last = self.inner.shared.last_event.subscribe();
        // The sender lives as long as `self`, so this ends only by a new number.
        let _ = last.wait_for(|sequence| *sequence > after).await;
    }

    /// Recomputes every chain. `None` when all of them add up.
    ///
    /// Reads the whole log: for `events verify`, not for a request path.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn verify_events(&self) -> Result<Option<BrokenChain>, StoreError> {
        self.read(verify_chains).await
    }
}

impl Work<'_> {
    /// Appends one event to the log and to its node's chain.
    pub(super) fn append(&mut self, entry: &Entry) -> Result<u64, Failure> {
        let previous = self.memory.head(&entry.node).map(|head| head.chain);
        let chain = link(previous, &entry.json);
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO events (id, node, kind, foreign_node, json, chain) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let sequence = statement.insert(params![
            entry.id,
            entry.node,
            entry.kind.as_str(),
            entry.delivered,
            entry.json,
            chain
        ])?;
        let sequence = sequence.cast_unsigned();
        self.memory
            .advance_head(&entry.node, Head { sequence, chain });
        Ok(sequence)
    }

    fn was_delivered(&self, id: &str) -> Result<bool, Failure> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM events WHERE id = ?1 AND foreign_node = 1")?;
        Ok(statement.exists([id])?)
    }
}

/// A new random event id's bytes.
pub(super) fn random_id() -> Result<[u8; 16], StoreError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| StoreError::Invalid {
        what: "an event: the system gives no random numbers",
    })?;
    Ok(bytes)
}

fn link(previous: Option<[u8; 32]>, json: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&previous.unwrap_or([0; 32]));
    context.update(json.as_bytes());
    context
        .finish()
        .as_ref()
        .first_chunk()
        .copied()
        .unwrap_or_default()
}

/// What an event can be found by. The prefix keeps the kinds of term apart.
fn term(kind: &str, value: &str) -> i64 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(kind.as_bytes());
    context.update(b"\0");
    context.update(value.as_bytes());
    let hash = context.finish();
    hash.as_ref()
        .first_chunk()
        .map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// Files the terms of up to `limit` events that are not filed yet. Returns
/// whether there are more.
pub(super) fn file_terms(work: &Work<'_>, limit: usize) -> Result<bool, Failure> {
    let from = indexed_to(work.connection)?;
    let mut filed_to = from;
    let mut terms = Vec::new();
    let mut count = 0;
    {
        let mut statement = work.connection.prepare_cached(
            "SELECT sequence, json FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        )?;
        let mut rows = statement.query(params![from, limit])?;
        while let Some(row) = rows.next()? {
            filed_to = row.get(0)?;
            count += 1;
            terms.extend(
                terms_of(&decode(row.get_ref(1)?.as_str().map_err(column)?)?)
                    .map(|term| (term, filed_to)),
            );
        }
    }
    if count == 0 {
        return Ok(false);
    }
    // Sorted, so that neighbours in the index are written together.
    terms.sort_unstable();
    let mut insert = work
        .connection
        .prepare_cached("INSERT OR IGNORE INTO event_terms (term, sequence) VALUES (?1, ?2)")?;
    for (term, sequence) in terms {
        insert.execute(params![term, sequence])?;
    }
    work.connection
        .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES ('indexed_to', ?1)")?
        .execute([filed_to.to_be_bytes()])?;
    Ok(count == limit)
}

fn terms_of(event: &Event) -> impl Iterator<Item = i64> {
    [
        ("jkt", &event.jkt),
        ("token_id", &event.token_id),
        ("token_sha256", &event.token_sha256),
        ("client_id", &event.client_id),
        ("identity", &event.identity),
    ]
    .into_iter()
    .filter_map(|(kind, value)| Some(term(kind, value.as_deref()?)))
    .collect::<Vec<_>>()
    .into_iter()
}

fn indexed_to(connection: &Connection) -> Result<u64, Failure> {
    let value: Option<[u8; 8]> = connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'indexed_to'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(value.map_or(0, u64::from_be_bytes))
}

fn read_events(
    connection: &Connection,
    after: u64,
    limit: usize,
    filter: &EventFilter,
) -> Result<Vec<(u64, Event)>, Failure> {
    let mut found = Vec::new();
    let mut from = after;
    if let Some(term) = filter.term() {
        let indexed_to = indexed_to(connection)?;
        let mut statement = connection.prepare_cached(
            "SELECT e.sequence, e.kind, e.json FROM event_terms t JOIN events e ON e.sequence = t.sequence
             WHERE t.term = ?1 AND t.sequence > ?2 ORDER BY t.sequence",
        )?;
        collect(
            &mut statement.query(params![term, after])?,
            limit,
            filter,
            &mut found,
        )?;
        from = from.max(indexed_to);
    }
    let mut statement = connection.prepare_cached(
        "SELECT sequence, kind, json FROM events WHERE sequence > ?1 ORDER BY sequence",
    )?;
    collect(&mut statement.query([from])?, limit, filter, &mut found)?;
    Ok(found)
}

fn collect(
    rows: &mut rusqlite::Rows<'_>,
    limit: usize,
    filter: &EventFilter,
    found: &mut Vec<(u64, Event)>,
) -> Result<(), Failure> {
    while found.len() < limit {
        let Some(row) = rows.next()? else { break };
        let kind = row.get_ref(1)?.as_str().map_err(column)?;
        if filter.kind.is_some_and(|wanted| wanted.as_str() != kind) {
            continue;
        }
        let event = decode(row.get_ref(2)?.as_str().map_err(column)?)?;
        if filter.matches(&event) {
            found.push((row.get(0)?, event));
        }
    }
    Ok(())
}

impl EventFilter {
    /// The most selective term of the filter.
    fn term(&self) -> Option<i64> {
        let candidates = [
            ("token_id", &self.token_id),
            ("token_sha256", &self.token_sha256),
            ("jkt", &self.jkt),
        ];
        candidates
            .into_iter()
            .find_map(|(kind, value)| Some(term(kind, value.as_deref()?)))
    }

    fn matches(&self, event: &Event) -> bool {
        let fits =
            |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        self.kind.is_none_or(|kind| kind == event.kind)
            && fits(&self.jkt, &event.jkt)
            && fits(&self.token_id, &event.token_id)
            && fits(&self.token_sha256, &event.token_sha256)
    }
}

fn verify_chains(connection: &Connection) -> Result<Option<BrokenChain>, Failure> {
    let mut heads = std::collections::HashMap::<String, [u8; 32]>::new();
    let mut statement =
        connection.prepare("SELECT sequence, node, json, chain FROM events ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let node: String = row.get(1)?;
        let chain: [u8; 32] = row.get(3)?;
        let json = row.get_ref(2)?.as_str().map_err(column)?;
        if link(heads.get(&node).copied(), json) != chain {
            return Ok(Some(BrokenChain {
                node,
                sequence: row.get(0)?,
            }));
        }
        heads.insert(node, chain);
    }
    Ok(None)
}

fn decode(json: &str) -> Result<Event, Failure> {
    Event::from_json(json.as_bytes())
        .map_err(|error| Failure::damaged(format!("an event: {error}")))
}

fn column(error: rusqlite::types::FromSqlError) -> Failure {
    Failure::damaged(format!("a column: {error}"))
}
