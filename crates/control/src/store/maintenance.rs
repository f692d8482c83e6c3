//! Work that nobody waits for, done by the writer when it is quiet: forgetting
//! what has expired and filing events for search. Each call is one short
//! transaction; it is called again while it says that there is more.
//!
//! Tokens, events and signals themselves are kept. Not here: deciding when.

use rusqlite::params;

use super::events::file_terms;
use super::writer::Work;
use crate::error::Failure;

/// Rows one transaction touches at most, so that issuance waits for milliseconds only.
const STEP: usize = 4096;

/// Seconds a hold outlives the token it is about: gates whose clocks are
/// behind must still refuse it.
const HOLD_GRACE: u64 = 600;

/// One step of background work; `true` when there is more to do.
pub(super) fn maintain(work: &mut Work<'_>) -> Result<bool, Failure> {
    sweep_uses(work)?;
    sweep_holds(work)?;
    file_terms(work, STEP)
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

/// Forgets holds on tokens that cannot be used any more.
fn sweep_holds(work: &mut Work<'_>) -> Result<(), Failure> {
    let before = work.now.minus(HOLD_GRACE).as_secs();
    let expired = {
        let mut statement = work.connection.prepare_cached(
            "SELECT kind, issuer, value FROM withheld WHERE expires_at < ?1 LIMIT ?2",
        )?;
        let rows = statement.query_map(params![before, STEP], super::withhold::subject_of_row)?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    for subject in expired {
        work.forget_hold(&subject?)?;
    }
    Ok(())
}
