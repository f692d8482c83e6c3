//! The durable event log: appending, the hash chain of each node, reading with
//! filters, waiting, and verifying.
//!
//! An event's chain value is SHA-256 over the chain value of the previous event
//! of the same reporter and node (32 zero bytes for the first) and the event's
//! JSON as stored. What other machines deliver stands under the name of the
//! client that delivered it, so nobody can write into another's chain. Sequence
//! numbers rise with every commit and are never used twice.
//!
//! Events are found by token and key through `terms`.
//!
//! Not here: signed checkpoints between the chains, and export.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rand;
use keybound_guard::EventSink;
use keybound_proto::event::{Event, EventKind};
use rusqlite::{Connection, params};

use super::Store;
use super::memory::{ChainName, Head};
use super::terms;
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
    /// Only events that name this key (RFC 7638 thumbprint, base64url) or certificate (`x5t#S256`).
    pub jkt: Option<String>,
    /// Only events that name this token's handle.
    pub token_id: Option<String>,
    /// Only events that name this token's SHA-256 (64 hexadecimal digits).
    pub token_sha256: Option<String>,
}

/// An event as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number.
    pub sequence: u64,
    /// The authenticated client that delivered it; `None` for this machine's own.
    pub reported_by: Option<String>,
    /// The event.
    pub event: Event,
}

/// Part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<StoredEvent>,
    /// Where to go on: everything up to here was looked at.
    pub next: u64,
}

/// A chain that does not add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenChain {
    /// Who delivered the chain; `None` for this machine.
    pub reported_by: Option<String>,
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
    chain: Arc<ChainName>,
    kind: EventKind,
    json: String,
    terms: Vec<i64>,
}

impl Entry {
    /// An event of this machine.
    pub(super) fn own(event: &Event) -> Self {
        Self::new(event, "")
    }

    fn new(event: &Event, reporter: &str) -> Self {
        Self {
            id: event.id.clone(),
            chain: Arc::new(ChainName {
                reporter: reporter.to_owned(),
                node: event.node.clone(),
            }),
            kind: event.kind,
            json: event.to_json_line(),
            terms: terms::of_event(event),
        }
    }

    fn reporter(&self) -> Option<&str> {
        Some(self.chain.reporter.as_str()).filter(|reporter| !reporter.is_empty())
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
        self.write_decided(move |work| work.append(&entry)).await
    }

    /// Appends one event without waiting until it is durable, for whoever must
    /// not wait. An event that finds the queue full or the disk broken is lost,
    /// which is logged.
    pub fn append_event_later(&self, event: &Event) {
        let entry = Entry::own(event);
        self.write_later(move |work| work.append(&entry).map(drop));
    }

    /// Appends what another machine delivers, in its order, leaving out what
    /// `reporter` (the authenticated client, not empty) has delivered before, by event
    /// id. Returns how many were new.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] for more than [`MAX_DELIVERY`] events or an empty
    /// reporter; else as [`Store::append_event`].
    pub async fn deliver_events(
        &self,
        reporter: &str,
        events: &[Event],
    ) -> Result<usize, StoreError> {
        if events.len() > MAX_DELIVERY {
            return Err(StoreError::Invalid {
                what: "more than 1000 events at once",
            });
        }
        if reporter.is_empty() {
            return Err(StoreError::Invalid {
                what: "events without the name of who delivers them",
            });
        }
        let entries: Vec<_> = events
            .iter()
            .map(|event| Entry::new(event, reporter))
            .collect();
        self.write(move |work| {
            let mut accepted = 0;
            for entry in &entries {
                if !work.was_delivered(entry)? {
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
        let page = self.event_page(after, limit, filter).await?;
        let events = page.events.into_iter();
        Ok(events
            .map(|stored| (stored.sequence, stored.event))
            .collect())
    }

    /// As [`Store::events`], with who delivered each event and where to go on.
    ///
    /// # Errors
    ///
    /// As [`Store::events`].
    pub async fn event_page(
        &self,
        after: u64,
        limit: usize,
        filter: EventFilter,
    ) -> Result<EventPage, StoreError> {
        let limit = limit.min(MAX_EVENTS);
        let last_event = self.last_event();
        let terms = filter.terms().unwrap_or_default();
        let published = Published {
            last_event,
            unfiled: self.inner.shared.unfiled.read().find(&terms, after),
        };
        self.read(move |connection| read_events(connection, after, limit, &filter, &published))
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
    /// Appends one event to the log and to its chain.
    pub(super) fn append(&mut self, entry: &Entry) -> Result<u64, Failure> {
        let previous = self.memory.head(&entry.chain).map(|head| head.chain);
        let chain = link(previous, &entry.json);
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO events (id, reporter, node, kind, json, chain) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let sequence = statement.insert(params![
            entry.id,
            entry.reporter(),
            entry.chain.node,
            entry.kind.as_str(),
            entry.json,
            chain
        ])?;
        let sequence = sequence.cast_unsigned();
        self.memory
            .advance_head(&entry.chain, Head { sequence, chain }, &entry.terms);
        Ok(sequence)
    }

    fn was_delivered(&self, entry: &Entry) -> Result<bool, Failure> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM events WHERE reporter = ?1 AND id = ?2")?;
        Ok(statement.exists([entry.reporter(), Some(&entry.id)])?)
    }
}

impl EventSink for Store {
    fn record(&self, event: Event) {
        self.append_event_later(&event);
    }
}

/// A new random event id's bytes.
pub(crate) fn random_id() -> Result<[u8; 16], StoreError> {
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

const COLUMNS: &str = "e.sequence, e.kind, e.reporter, e.json";

/// What was published when a query began; asked before its snapshot is taken, see `terms`.
struct Published {
    last_event: u64,
    unfiled: Vec<u64>,
}

fn read_events(
    connection: &Connection,
    after: u64,
    limit: usize,
    filter: &EventFilter,
    published: &Published,
) -> Result<EventPage, Failure> {
    let mut found = Vec::new();
    let mut complete_to = last_event(connection)?;
    match filter.terms().as_deref() {
        None => {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM events e WHERE e.sequence > ?1 ORDER BY e.sequence"
            ))?;
            collect(&mut statement.query([after])?, limit, filter, &mut found)?;
        }
        Some([first, others @ ..]) => {
            let second = others.first().unwrap_or(first);
            let mut statement = connection.prepare_cached(&format!(
                "SELECT DISTINCT {COLUMNS} FROM terms t JOIN events e ON e.sequence = t.sequence
                 WHERE t.term IN (?1, ?2) AND t.sequence > ?3 ORDER BY t.sequence"
            ))?;
            collect(
                &mut statement.query([*first, *second, after.cast_signed()])?,
                limit,
                filter,
                &mut found,
            )?;
            let filed_to = terms::filed_to(connection)?;
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM events e WHERE e.sequence = ?1"
            ))?;
            for sequence in published
                .unfiled
                .iter()
                .filter(|sequence| **sequence > filed_to)
            {
                collect(&mut statement.query([sequence])?, limit, filter, &mut found)?;
            }
            // What was committed since is in the snapshot but not among the unfiled.
            complete_to = published.last_event;
        }
        Some([]) => {}
    }
    let last_found = found.last().map(|last: &StoredEvent| last.sequence);
    let next = match last_found {
        Some(last) if found.len() >= limit => last,
        _ => complete_to.max(last_found.unwrap_or(0)).max(after),
    };
    Ok(EventPage {
        events: found,
        next,
    })
}

/// The number of the last event; 0 when there is none.
pub(super) fn last_event(connection: &Connection) -> Result<u64, Failure> {
    Ok(connection
        .prepare_cached("SELECT coalesce(max(sequence), 0) FROM events")?
        .query_row([], |row| row.get(0))?)
}

fn collect(
    rows: &mut rusqlite::Rows<'_>,
    limit: usize,
    filter: &EventFilter,
    found: &mut Vec<StoredEvent>,
) -> Result<(), Failure> {
    while found.len() < limit {
        let Some(row) = rows.next()? else { break };
        let kind = row.get_ref(1)?.as_str().map_err(column)?;
        if filter.kind.is_some_and(|wanted| wanted.as_str() != kind) {
            continue;
        }
        let event = decode(row.get_ref(3)?.as_str().map_err(column)?)?;
        if filter.matches(&event) {
            found.push(StoredEvent {
                sequence: row.get(0)?,
                reported_by: row.get(2)?,
                event,
            });
        }
    }
    Ok(())
}

impl EventFilter {
    /// The most selective terms of the filter.
    fn terms(&self) -> Option<Vec<i64>> {
        let by_id = self.token_id.as_deref().map(terms::of_token_id);
        let by_hash = || self.token_sha256.as_deref().map(terms::of_token_sha256);
        let by_key = || self.jkt.as_deref().map(|jkt| vec![terms::of_key(jkt)]);
        by_id.or_else(by_hash).or_else(by_key)
    }

    fn matches(&self, event: &Event) -> bool {
        let fits =
            |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        self.kind.is_none_or(|kind| kind == event.kind)
            && (fits(&self.jkt, &event.jkt) || fits(&self.jkt, &event.certificate))
            && fits(&self.token_id, &event.token_id)
            && fits(&self.token_sha256, &event.token_sha256)
    }
}

fn verify_chains(connection: &Connection) -> Result<Option<BrokenChain>, Failure> {
    let mut heads = HashMap::<(Option<String>, String), [u8; 32]>::new();
    let mut statement = connection
        .prepare("SELECT sequence, reporter, node, json, chain FROM events ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name = (row.get(1)?, row.get(2)?);
        let chain: [u8; 32] = row.get(4)?;
        let json = row.get_ref(3)?.as_str().map_err(column)?;
        if link(heads.get(&name).copied(), json) != chain {
            return Ok(Some(BrokenChain {
                reported_by: name.0,
                node: name.1,
                sequence: row.get(0)?,
            }));
        }
        heads.insert(name, chain);
    }
    Ok(None)
}

pub(super) fn decode(json: &str) -> Result<Event, Failure> {
    Event::from_json(json.as_bytes())
        .map_err(|error| Failure::damaged(format!("an event: {error}")))
}

fn column(error: rusqlite::types::FromSqlError) -> Failure {
    Failure::damaged(format!("a column: {error}"))
}
