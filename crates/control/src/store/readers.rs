//! Reading beside the writer: a few connections, each used by one blocking
//! task at a time. Readers see the last commit and never wait for the writer
//! (write-ahead log).
//!
//! Not here: queries.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use crate::error::{Failure, StoreError};

/// Queries that run at the same time.
const READERS: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    pub(super) fn new(file: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            file,
            idle: Mutex::default(),
            permits: Semaphore::new(READERS),
        })
    }

    pub(super) async fn read<T, F>(self: &Arc<Self>, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let unavailable = |detail: &str| StoreError::Unavailable {
            file: self.file.clone(),
            detail: detail.to_owned(),
        };
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| unavailable("the readers have stopped"))?;
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || readers.run(query))
            .await
            .map_err(|_| unavailable("a query broke off"))?
    }

    fn run<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open(&self.file).map_err(|error| Failure::from(error).at(&self.file))?,
        };
        let result = snapshot(&connection, query).map_err(|failure| failure.at(&self.file));
        // A connection that met an error may be stuck in it; the next query opens a new one.
        if result.is_ok() {
            self.idle.lock().push(connection);
        }
        result
    }
}

/// All of a query sees the same commit.
fn snapshot<T>(
    connection: &Connection,
    query: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = connection.unchecked_transaction()?;
    query(&transaction)
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -2048;",
    )?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
