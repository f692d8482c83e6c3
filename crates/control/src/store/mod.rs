//! The store: everything Keybound must not forget, in one SQLite file.
//!
//! Writes are domain transactions: each is one atomic step with everything that
//! belongs to it (the record, the signal, the event) and returns when it is
//! synced to disk. Concurrent ones share a commit. Reads see the last commit.
//!
//! Not here: PostgreSQL, tokens' texts, and decisions about protocol.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand;
use keybound_proto::time::Clock;
use rusqlite::Connection;
use zeroize::Zeroizing;

pub(crate) mod clients;
pub(crate) mod events;
pub(crate) mod grants;
pub(crate) mod issuance;
pub(crate) mod kept;
pub(crate) mod signals;
pub(crate) mod signing_keys;
pub(crate) mod tokens;
pub(crate) mod uses;
pub(crate) mod withhold;

mod engine;
mod file;
mod maintenance;
mod memory;
mod open;
mod readers;
mod schema;
mod sealing;
mod shared;
mod terms;
mod withheld_set;
mod writer;

use self::engine::Engine;
use self::open::Opened;
use self::readers::Readers;
use self::sealing::Sealer;
use self::shared::Shared;
use self::writer::{Scope, Work};
use crate::error::{Failure, StoreError};

/// How to open a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// The key-encryption key. Without it no signing key can be stored or read.
    pub kek: Option<Zeroizing<[u8; 32]>>,
    /// The name of this machine in the events the store writes, for example `control`.
    pub node: String,
    /// The time of records, and of forgetting.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("kek", &self.kek.as_ref().map(|_| ".."))
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// A handle on the store. Clones share it; the file is closed when the last one goes.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped in this order: readers first, so that the writer closes the file last.
    readers: Option<Arc<Readers>>,
    engine: Engine,
    shared: Arc<Shared>,
    sealer: Option<Sealer>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Opens the store in `file`, creating it where there is none (mode 0600;
    /// its directory must exist). One process at a time can have it open.
    ///
    /// Blocks while the file is checked: call it at start.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`], [`StoreError::InUse`], [`StoreError::NewerSchema`],
    /// [`StoreError::WrongKey`], [`StoreError::Open`]: each names the file and
    /// none leaves it changed.
    pub fn open(file: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let sealer = sealer(file, options.kek.as_deref())?;
        let opened = open::open_file(file, &options.node, sealer.as_ref(), &options.clock)?;
        let engine = Engine::spawn(opened.writer).map_err(|error| StoreError::Open {
            file: file.to_owned(),
            detail: error.to_string(),
        })?;
        Ok(Self::assemble(
            engine,
            Some(Readers::new(file.to_owned())),
            opened.shared,
            sealer,
            options.clock,
        ))
    }

    /// A store in memory with a random key-encryption key, for tests. Work is
    /// done in its caller, so a paused clock stays paused.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the system gives no memory or random numbers.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let name = Path::new(":memory:");
        let mut kek = Zeroizing::new([0; 32]);
        rand::fill(&mut *kek).map_err(|_| StoreError::Unavailable {
            file: name.to_owned(),
            detail: "the system gives no random numbers".to_owned(),
        })?;
        let sealer = sealer(name, Some(&kek))?;
        let Opened { writer, shared } = open::open_memory("control", sealer.as_ref(), &clock)?;
        let engine = Engine::inline(writer);
        Ok(Self::assemble(engine, None, shared, sealer, clock))
    }

    /// The file, or `:memory:`.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.inner.shared.file
    }

    /// The name of this machine in events.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.inner.shared.node
    }

    /// Whether the store can be written to right now: one empty transaction.
    ///
    /// # Errors
    ///
    /// Why not. For readiness checks.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await
    }

    /// Forgets what has expired and files events for search, now. A store in a
    /// file does this by itself; one in memory only here.
    pub fn maintain(&self) {
        self.inner.engine.maintain_inline();
    }

    fn assemble(
        engine: Engine,
        readers: Option<Arc<Readers>>,
        shared: Arc<Shared>,
        sealer: Option<Sealer>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                readers,
                engine,
                shared,
                sealer,
                clock,
            }),
        }
    }

    /// Runs `task` in a transaction; its result comes after the commit.
    async fn write<T, F>(&self, task: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Work<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let file = &self.inner.shared.file;
        self.inner.engine.submit(file, Scope::Savepoint, task).await
    }

    /// As [`Store::write`], for tasks that decide before they write anything.
    async fn write_decided<T, F>(&self, task: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Work<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let file = &self.inner.shared.file;
        self.inner
            .engine
            .submit(file, Scope::Transaction, task)
            .await
    }

    /// Runs `task` in a transaction that nobody waits for.
    fn write_later<F>(&self, task: F)
    where
        F: FnOnce(&mut Work<'_>) -> Result<(), Failure> + Send + 'static,
    {
        let file = &self.inner.shared.file;
        if let Err(error) = self.inner.engine.submit_later(file, task) {
            tracing::error!(%error, "an event is lost");
        }
    }

    /// Runs `query` on the last commit.
    async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        match &self.inner.readers {
            Some(readers) => readers.read(query).await,
            None => self.write(move |work| query(work.connection)).await,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("file", &self.inner.shared.file)
            .finish_non_exhaustive()
    }
}

fn sealer(file: &Path, kek: Option<&[u8; 32]>) -> Result<Option<Sealer>, StoreError> {
    kek.map(Sealer::new)
        .transpose()
        .map_err(|failure| failure.at(file))
}

#[cfg(test)]
impl Store {
    /// Leaves no space for another event, so no change can be stored.
    pub(crate) async fn fill_for_test(&self) {
        use keybound_proto::event::{Event, EventKind};
        self.limit_pages("PRAGMA max_page_count = 1").await;
        for number in 0..100_000_u128 {
            let event = Event::new(&number.to_be_bytes(), 0, "filler", EventKind::LockApplied);
            if self.append_event(&event).await.is_err() {
                return;
            }
        }
        panic!("the limit does not hold");
    }

    /// Gives the space back.
    pub(crate) async fn unfill_for_test(&self) {
        self.limit_pages("PRAGMA max_page_count = 1000000").await;
    }

    async fn limit_pages(&self, pragma: &'static str) {
        self.write(move |work| Ok(work.connection.query_row(pragma, [], |_| Ok(()))?))
            .await
            .unwrap();
    }
}

#[cfg(test)]
pub(crate) mod tests;
