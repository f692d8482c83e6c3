//! Work that nobody waits for, done by the writer when it is quiet: forgetting
//! what has expired and filing events for search. Each call is one short
//! transaction.
//!
//! Tokens, events and signals themselves are kept. Not here: deciding when.

use rusqlite::params;

use super::terms;
use super::writer::Work;
use crate::error::Failure;

/// Rows one transaction touches at most, so that issuance waits for milliseconds only.
const STEP: usize = 4096;

/// Seconds a hold outlives the token it is about: gates whose clocks are
/// behind must still refuse it.
const HOLD_GRACE: u64 = 600;

/// What a step of background work has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// Whether there is more to do.
    pub(super) more: bool,
    /// Up to which event terms are filed now, if any were filed.
    pub(super) filed_to: Option<u64>,
}

/// One step of background work.
pub(super) fn maintain(work: &mut Work<'_>) -> Result<Done, Failure> {
    sweep_uses(work)?;
    let holds = sweep_holds(work)?;
    let kept = super::kept::sweep(work, STEP)?;
    let before = work.now.minus(HOLD_GRACE).as_secs();
    let grants = super::grants::sweep(work, before, STEP)?;
    let more = holds || kept || grants;
    let filed_to = terms::file(work, *work.shared.last_event.borrow())?;
    Ok(Done { more, filed_to })
}

fn sweep_uses(work: &mut Work<'_>) -> Result<(), Failure> {
    let floor = match work.memory.sweep(work.now) {
        Some(floor) => floor,
        // No token carries a live value: the next one to come may.
        None => work.connection.query_row(
            "SELECT coalesce(max(number), 0) + 1 FROM tokens",
            [],
            |row| row.get(0),
        )?,
    };
    let known: Option<i64> = super::open::uses_floor(work.connection)?;
    if known != Some(floor) {
        work.connection
            .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES ('uses_floor', ?1)")?
            .execute([floor.to_be_bytes()])?;
    }
    work.connection
        .prepare_cached(
            "DELETE FROM assertion_uses WHERE number IN
             (SELECT number FROM assertion_uses WHERE expires_at < ?1 ORDER BY number LIMIT ?2)",
        )?
        .execute(params![work.now.as_secs(), STEP])?;
    Ok(())
}

/// Forgets holds on tokens that cannot be used any more; `true` when there are more.
fn sweep_holds(work: &mut Work<'_>) -> Result<bool, Failure> {
    let before = work.now.minus(HOLD_GRACE).as_secs();
    let expired = {
        let mut statement = work.connection.prepare_cached(
            "SELECT kind, issuer, value FROM withheld WHERE expires_at < ?1 LIMIT ?2",
        )?;
        let rows = statement.query_map(params![before, STEP], super::withhold::subject_of_row)?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    let more = expired.len() == STEP;
    for subject in expired {
        work.forget_hold(&subject?)?;
    }
    Ok(more)
}
