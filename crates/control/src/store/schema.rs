//! The tables, as a list of migrations that only ever grows.
//!
//! Each migration runs once, inside one transaction with the row that records
//! it in `schema_migrations`. A file that knows more migrations than this
//! release is refused, so that an old binary never writes into a newer layout.
//!
//! Tables on the token path (`tokens`, `events`) only ever append: a commit then
//! dirties their last pages and little else, which is what a synchronous write
//! costs. What is looked up by key in between lives in memory
//! (`super::memory`) and is rebuilt from these tables at open.
//!
//! Not here: reading or writing rows.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use crate::error::{Failure, StoreError};

/// `PRAGMA application_id` of our files: "KBnd".
const APPLICATION_ID: i32 = 0x4b42_6e64;

const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
];

/// The highest schema this release reads and writes.
pub(super) const SUPPORTED: u32 = 3;

/// Brings the file to this release's schema.
pub(super) fn migrate(
    connection: &mut Connection,
    file: &Path,
    now_secs: u64,
) -> Result<(), StoreError> {
    let found = version(connection, file)?;
    if found > SUPPORTED {
        return Err(StoreError::NewerSchema {
            file: file.to_owned(),
            found,
            supported: SUPPORTED,
        });
    }
    for (number, statements) in (1..).zip(MIGRATIONS).skip(found as usize) {
        apply(connection, number, statements, now_secs).map_err(|failure| failure.at(file))?;
    }
    Ok(())
}

fn apply(
    connection: &mut Connection,
    number: u32,
    statements: &str,
    now_secs: u64,
) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(statements)?;
    transaction.execute(
        "INSERT INTO schema_migrations (number, applied_at) VALUES (?1, ?2)",
        params![number, now_secs],
    )?;
    transaction.commit()?;
    Ok(())
}

/// The number of the last applied migration; 0 for a file that is empty.
fn version(connection: &Connection, file: &Path) -> Result<u32, StoreError> {
    let read = || -> Result<(i32, bool, bool), Failure> {
        let id = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let count = "SELECT count(*) > 0, count(*) FILTER (WHERE name = 'schema_migrations') > 0 FROM sqlite_schema";
        let (any, ours) = connection.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((id, any, ours))
    };
    let corrupt = |detail: &str| StoreError::Corrupt {
        file: file.to_owned(),
        detail: detail.to_owned(),
    };
    let (id, any, ours) = read().map_err(|failure| failure.at(file))?;
    if !any {
        connection
            .execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}"))
            .map_err(|error| Failure::from(error).at(file))?;
        return Ok(0);
    }
    if id != APPLICATION_ID {
        return Err(corrupt("it is a database of another program"));
    }
    if !ours {
        return Err(corrupt("its table of migrations is missing"));
    }
    connection
        .query_row(
            "SELECT coalesce(max(number), 0) FROM schema_migrations",
            [],
            |row| row.get(0),
        )
        .map_err(|error| Failure::from(error).at(file))
}

#[cfg(test)]
mod tests {
    use super::{MIGRATIONS, SUPPORTED};

    #[test]
    fn the_supported_number_counts_the_migrations() {
        assert_eq!(u32::try_from(MIGRATIONS.len()), Ok(SUPPORTED));
    }
}
