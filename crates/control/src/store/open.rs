//! Opening a store: lock, settings, schema, checks, and what memory needs.
//!
//! Any doubt about the file is an error that names it. In particular nothing
//! here can end in an empty set of revocations beside a file that had some: the
//! structure is checked by SQLite (`quick_check`), locks, revocations and
//! clients by row checksums, keys by their seals, the end of the log by the
//! watermark and the chains.
//!
//! SQLite runs with a write-ahead log and `synchronous = FULL`: a commit that
//! returned survives `kill -9` and power loss.

use std::path::Path;
use std::sync::Arc;

use keybound_proto::time::{Clock, UnixTime};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::events::{decode, last_event};
use super::file::Watermark;
use super::memory::{ChainName, Head, Memory};
use super::schema;
use super::sealing::Sealer;
use super::shared::Shared;
use super::signing_keys::{CheckError, check_sealer};
use super::terms::{self, Unfiled};
use super::uses::{OneTimeUse, UseLimits};
use super::withheld_set::Hold;
use super::withhold::{LockState, load_all};
use super::writer::Writer;
use crate::error::{Failure, StoreError};

/// Files up to this size are checked whole at every open; of larger ones the
/// tables that decide about refusals are (a check reads about 300 MB/s).
const WHOLE_CHECK: u64 = 128 * 1024 * 1024;

/// Live one-time values that are kept; one sender may own half of them.
const LIMITS: UseLimits = UseLimits {
    total: 1_000_000,
    per_sender: 500_000,
};

/// What opening gives: the writer, and what was found in the file.
pub(super) struct Opened {
    pub(super) writer: Writer,
    pub(super) shared: Arc<Shared>,
}

/// Opens or creates the file.
pub(super) fn open_file(
    file: &Path,
    node: &str,
    sealer: Option<&Sealer>,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, StoreError> {
    let watermark = Watermark::acquire(file)?;
    let connection = connect(file)?;
    let shared = Arc::new(Shared::new(file.to_owned(), node.to_owned()));
    prepare(connection, shared, sealer, clock, Some(watermark))
}

/// A store without a file.
pub(super) fn open_memory(
    node: &str,
    sealer: Option<&Sealer>,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, StoreError> {
    let name = Path::new(":memory:");
    let connection = Connection::open_in_memory().map_err(|error| Failure::from(error).at(name))?;
    let shared = Arc::new(Shared::new(name.to_owned(), node.to_owned()));
    prepare(connection, shared, sealer, clock, None)
}

/// From which token on rows may carry live one-time values.
pub(super) fn uses_floor(connection: &Connection) -> Result<Option<i64>, Failure> {
    let value: Option<[u8; 8]> = connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'uses_floor'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(value.map(i64::from_be_bytes))
}

fn connect(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(file, flags).map_err(|error| Failure::from(error).at(file))
}

fn prepare(
    mut connection: Connection,
    shared: Arc<Shared>,
    sealer: Option<&Sealer>,
    clock: &Arc<dyn Clock>,
    watermark: Option<Watermark>,
) -> Result<Opened, StoreError> {
    let file = shared.file.clone();
    let now = clock.now();
    let at_file = |failure: Failure| failure.at(&file);
    // A refused file stays as it was found: the log is neither written back nor removed.
    keep_log_on_close(&connection, true).map_err(at_file)?;
    configure(&connection).map_err(at_file)?;
    check_structure(&connection).map_err(at_file)?;
    schema::migrate(&mut connection, &file, now.as_secs())?;
    super::clients::check_all(&connection).map_err(at_file)?;
    let memory = remember(&connection, now, &shared).map_err(at_file)?;
    if let Some(watermark) = &watermark {
        watermark.check(&file, *shared.last_event.borrow())?;
    }
    if let Some(sealer) = sealer {
        check_sealer(&connection, sealer).map_err(|error| match error {
            CheckError::WrongKey => StoreError::WrongKey { file: file.clone() },
            CheckError::Failed(failure) => failure.at(&file),
        })?;
    }
    keep_log_on_close(&connection, false).map_err(at_file)?;
    let writer = Writer::new(
        connection,
        memory,
        Arc::clone(&shared),
        Arc::clone(clock),
        watermark,
    );
    Ok(Opened { writer, shared })
}

fn keep_log_on_close(connection: &Connection, keep: bool) -> Result<(), Failure> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)?;
    Ok(())
}

fn configure(connection: &Connection) -> Result<(), Failure> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(std::time::Duration::from_secs(1))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 4096;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -16384;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;",
    )?;
    Ok(())
}

fn check_structure(connection: &Connection) -> Result<(), Failure> {
    let (pages, page_size): (u64, u64) = connection.query_row(
        "SELECT page_count, page_size FROM pragma_page_count(), pragma_page_size()",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if pages.saturating_mul(page_size) <= WHOLE_CHECK {
        return quick_check(connection, "PRAGMA quick_check(1)");
    }
    for table in ["withheld", "signals", "streams", "signing_keys", "clients"] {
        quick_check(connection, &format!("PRAGMA quick_check({table})"))?;
    }
    Ok(())
}

fn quick_check(connection: &Connection, pragma: &str) -> Result<(), Failure> {
    let verdict: String = connection.query_row(pragma, [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(Failure::damaged(verdict))
}

/// Reads back what the writer keeps in memory.
fn remember(connection: &Connection, now: UnixTime, shared: &Shared) -> Result<Memory, Failure> {
    let mut memory = Memory::new(LIMITS);
    for record in load_all(connection)? {
        let hold = Hold {
            revoked: record.state == LockState::Revoked,
            expires_at: record.expires_at,
        };
        memory.hold(&record.subject, Some(hold));
    }
    remember_heads(connection, &mut memory)?;
    remember_spent_for_tokens(connection, &mut memory, now)?;
    remember_spent_assertions(connection, &mut memory, now)?;
    let mut news = memory.committed();
    news.last_event = Some(last_event(connection)?);
    news.last_signal = Some(last_signal(connection)?);
    news.last_issued = last_issued(connection)?;
    remember_unfiled(connection, &mut shared.unfiled.write())?;
    shared.publish(news);
    Ok(memory)
}

fn remember_heads(connection: &Connection, memory: &mut Memory) -> Result<(), Failure> {
    let mut statement = connection.prepare(
        "SELECT c.reporter, c.node, c.sequence, c.chain, e.chain FROM chains c
         LEFT JOIN events e ON e.sequence = c.sequence
              AND e.node = c.node AND coalesce(e.reporter, '') = c.reporter",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name = ChainName {
            reporter: row.get(0)?,
            node: row.get(1)?,
        };
        let chain: [u8; 32] = row.get(3)?;
        if row.get::<_, Option<[u8; 32]>>(4)? != Some(chain) {
            return Err(Failure::damaged(format!(
                "the chain of events of `{}` does not end at its last event",
                name.node
            )));
        }
        let sequence = row.get(2)?;
        memory.advance_head(&Arc::new(name), Head { sequence, chain }, &[]);
    }
    Ok(())
}

fn remember_spent_for_tokens(
    connection: &Connection,
    memory: &mut Memory,
    now: UnixTime,
) -> Result<(), Failure> {
    let mut statement = connection.prepare(
        "SELECT number, proof_key, proof_sender, proof_expires, assertion_key, assertion_sender, assertion_expires
         FROM tokens WHERE number >= ?1 ORDER BY number",
    )?;
    let mut rows = statement.query([uses_floor(connection)?.unwrap_or(0)])?;
    while let Some(row) = rows.next()? {
        let mut spent_until = UnixTime::default();
        if let Some(proof) = spent(row, 1)? {
            spent_until = spent_until.max(proof.expires_at);
            if proof.expires_at >= now {
                memory.spend_proof(&proof);
            }
        }
        if let Some(assertion) = spent(row, 4)? {
            spent_until = spent_until.max(assertion.expires_at);
            if assertion.expires_at >= now {
                memory.spend_assertion(&assertion);
            }
        }
        memory.note_token(row.get(0)?, UnixTime::default(), spent_until);
    }
    Ok(())
}

fn remember_spent_assertions(
    connection: &Connection,
    memory: &mut Memory,
    now: UnixTime,
) -> Result<(), Failure> {
    let mut statement = connection
        .prepare("SELECT key, sender, expires_at FROM assertion_uses WHERE expires_at >= ?1")?;
    let mut rows = statement.query([now.as_secs()])?;
    while let Some(row) = rows.next()? {
        if let Some(assertion) = spent(row, 0)? {
            memory.spend_assertion(&assertion);
        }
    }
    Ok(())
}

/// The one-time value in three columns: key, sender, end.
fn spent(row: &rusqlite::Row<'_>, first: usize) -> Result<Option<OneTimeUse>, Failure> {
    let key: Option<[u8; 16]> = row.get(first)?;
    let sender: Option<i64> = row.get(first + 1)?;
    let expires_at: Option<u64> = row.get(first + 2)?;
    Ok(key.zip(expires_at).map(|(key, expires_at)| OneTimeUse {
        key: u128::from_be_bytes(key),
        sender: sender.unwrap_or(0).cast_unsigned(),
        expires_at: UnixTime::from_secs(expires_at),
    }))
}

/// Terms of events that were not filed before the last end.
fn remember_unfiled(connection: &Connection, unfiled: &mut Unfiled) -> Result<(), Failure> {
    let mut statement =
        connection.prepare("SELECT sequence, json FROM events WHERE sequence > ?1")?;
    let mut rows = statement.query([terms::filed_to(connection)?])?;
    while let Some(row) = rows.next()? {
        let sequence = row.get(0)?;
        let terms = terms::of_event(&decode(&row.get::<_, String>(1)?)?);
        unfiled.add(terms.into_iter().map(|term| (term, sequence)));
    }
    Ok(())
}

fn last_issued(connection: &Connection) -> Result<Option<UnixTime>, Failure> {
    let issued: Option<u64> = connection
        .query_row(
            "SELECT issued_at FROM tokens ORDER BY number DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(issued.map(UnixTime::from_secs))
}

/// Asked of the counter, because old signals are deleted.
fn last_signal(connection: &Connection) -> Result<u64, Failure> {
    Ok(connection.query_row(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'signals'",
        [],
        |row| row.get(0),
    )?)
}
