//! How tokens and events are found by handle, hash and key without an index on
//! the token path.
//!
//! A term is 64 bits of a hash of what is looked for. An index keyed by hashes
//! is written all over, one page per entry, which would cost more than the rest
//! of an issuance. So terms of new events stay in memory, sorted, and the writer
//! files them in large batches when it is quiet. Whoever looks something up asks
//! memory first and the file's snapshot after, in this order, so that filing in
//! between hides nothing. Every match is compared with what was looked for.
//!
//! Not here: the log and the tokens.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use keybound_proto::event::{Event, EventKind};
use keybound_proto::token::TokenHash;
use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Work;
use crate::error::Failure;

/// A term and where it occurs.
pub(super) type Occurrence = (i64, u64);

/// Terms of the newest events, until they are filed.
#[derive(Debug, Default)]
pub(super) struct Unfiled(BTreeSet<Occurrence>);

impl Unfiled {
    pub(super) fn add(&mut self, occurrences: impl IntoIterator<Item = Occurrence>) {
        self.0.extend(occurrences);
    }

    /// Where any of `terms` occurs after `after`, in order.
    pub(super) fn find(&self, terms: &[i64], after: u64) -> Vec<u64> {
        let Some(from) = after.checked_add(1) else {
            return Vec::new();
        };
        let occurrences = terms
            .iter()
            .flat_map(|term| self.0.range((*term, from)..=(*term, u64::MAX)));
        let found: BTreeSet<u64> = occurrences.map(|(_, sequence)| *sequence).collect();
        found.into_iter().collect()
    }

    /// Forgets what is filed now.
    pub(super) fn filed_to(&mut self, sequence: u64) {
        self.0.retain(|(_, occurs)| *occurs > sequence);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The terms of one event. A minted token is found by terms of its own, so that
/// a flood of events about it does not stand in the way.
pub(super) fn of_event(event: &Event) -> Vec<i64> {
    let mut terms = Vec::with_capacity(4);
    terms.extend(event.jkt.as_deref().map(of_key));
    terms.extend(event.certificate.as_deref().map(of_key));
    let minted = event.kind == EventKind::TokenIssued;
    let (id, hash) = if minted {
        ("minted id", "minted hash")
    } else {
        ("event id", "event hash")
    };
    terms.extend(event.token_id.as_deref().map(|text| of(id, text)));
    terms.extend(event.token_sha256.as_deref().map(|text| of(hash, text)));
    terms
}

/// The minted token with this handle.
pub(super) fn of_minted_id(token_id: &str) -> i64 {
    of("minted id", token_id)
}

/// The minted token with this SHA-256.
pub(super) fn of_minted_hash(hash: &TokenHash) -> i64 {
    of("minted hash", &hash.to_hex())
}

/// All events about the token with this handle.
pub(super) fn of_token_id(token_id: &str) -> Vec<i64> {
    vec![of_minted_id(token_id), of("event id", token_id)]
}

/// All events about the token with this SHA-256, 64 hexadecimal digits.
pub(super) fn of_token_sha256(hex: &str) -> Vec<i64> {
    vec![of("minted hash", hex), of("event hash", hex)]
}

/// All events about the key or certificate with this thumbprint.
pub(super) fn of_key(jkt: &str) -> i64 {
    of("jkt", jkt)
}

fn of(kind: &str, value: &str) -> i64 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(kind.as_bytes());
    context.update(b"\0");
    context.update(value.as_bytes());
    let hash = context.finish();
    hash.as_ref()
        .first_chunk()
        .map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// Files everything that is not filed yet. Returns the last event that is filed
/// now, for [`Unfiled::filed_to`] after the commit; `None` if there was nothing to do.
pub(super) fn file(work: &Work<'_>, last_event: u64) -> Result<Option<u64>, Failure> {
    let unfiled = work.shared.unfiled.read();
    if unfiled.is_empty() {
        return Ok(None);
    }
    let mut insert = work
        .connection
        .prepare_cached("INSERT OR IGNORE INTO terms (term, sequence) VALUES (?1, ?2)")?;
    // In order, so that neighbours in the index are written together.
    for (term, sequence) in &unfiled.0 {
        insert.execute(params![term, sequence])?;
    }
    work.connection
        .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES ('filed_to', ?1)")?
        .execute([last_event.to_be_bytes()])?;
    Ok(Some(last_event))
}

/// Up to which event terms are filed.
pub(super) fn filed_to(connection: &Connection) -> Result<u64, Failure> {
    let value: Option<[u8; 8]> = connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'filed_to'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(value.map_or(0, u64::from_be_bytes))
}

/// Where a term occurs in the file, last first, at most `limit`.
pub(super) fn find_filed(
    connection: &Connection,
    term: i64,
    limit: usize,
) -> Result<Vec<u64>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence FROM terms WHERE term = ?1 ORDER BY sequence DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![term, limit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_are_found_in_order_once_and_after_a_point() {
        let mut unfiled = Unfiled::default();
        unfiled.add([(7, 3), (7, 1), (9, 2), (9, 3), (8, 4)]);
        assert_eq!(unfiled.find(&[7, 9], 0), [1, 2, 3]);
        assert_eq!(unfiled.find(&[7, 9], 1), [2, 3]);
        assert_eq!(unfiled.find(&[7, 9], u64::MAX), [0; 0]);
        unfiled.filed_to(2);
        assert_eq!(unfiled.find(&[7, 9], 0), [3]);
    }

    #[test]
    fn kinds_of_terms_do_not_meet() {
        let terms = [
            of("a", "b"),
            of("ab", ""),
            of("", "ab"),
            of_key("b"),
            of_minted_id("b"),
        ];
        let distinct: BTreeSet<_> = terms.iter().collect();
        assert_eq!(distinct.len(), terms.len());
    }
}
