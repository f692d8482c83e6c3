//! PostgreSQL as the store of a shared replay log.
//!
//! A record is a row whose primary key is `(generation, key)`, made by `INSERT …
//! ON CONFLICT DO NOTHING`. A generation is a span of the server's time and a
//! partition of the table. A record is written into every generation that its
//! life touches, and is new if all those rows were new; so whoever asks while it
//! lives meets it in the generation of that moment, and looks nowhere else. A
//! generation that is over is dropped with its partition; no row is ever deleted.
//!
//! Two kinds of table, chosen by the address. `log=logged` (the default): what was
//! acknowledged survives a crash, because each commit waits for the disk; a
//! restart does not begin another run. `log=unlogged`: no waiting, and after a crash
//! PostgreSQL empties the tables, the one that names the run included, so another
//! run begins. A change of the timeline (a standby was promoted, or a backup
//! restored) begins another run in either case.
//!
//! Callers are gathered: while one statement is on its way, those who come put
//! their proofs into the next.
//!
//! Not done: connection poolers between this and the server (they hide which
//! process answers), and tables of other people.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures_util::future::select_all;
use tokio::sync::oneshot;

use self::batch::{Ask, Batcher, What};
use self::connection::{Connection, Dialler};
use super::address::StoreAddress;
use super::shared::store::{Answer, Facts, Opening, Session, Store, StoreError};

mod batch;
mod connection;
mod setup;

/// Connections to a server unless the address says otherwise.
const CONNECTIONS: u8 = 4;

/// A PostgreSQL database.
pub struct PostgresStore {
    dialler: Dialler,
    name: String,
    unlogged: bool,
    connections: u8,
}

/// Connections to one run of the server.
pub struct PostgresSession {
    batchers: Vec<Batcher>,
    /// For everything but records.
    control: Connection,
    name: String,
    unlogged: bool,
    run: Run,
    next: AtomicUsize,
    /// The generation whose partitions were last seen to.
    tended: AtomicU64,
}

/// What names the run of a server and its log.
#[derive(Clone)]
struct Run {
    /// System, timeline, and what else ends a run.
    id: String,
    /// Made with the run; gone when its records are.
    random: Vec<u8>,
    /// Seconds in a generation.
    generation: i64,
    replicated: bool,
}

impl PostgresStore {
    /// Reads the address; connects later.
    ///
    /// # Errors
    ///
    /// What is wrong with the certificates, in words.
    pub fn new(address: &StoreAddress) -> Result<Self, String> {
        Ok(Self {
            dialler: Dialler::new(address)?,
            name: address
                .options
                .name
                .clone()
                .unwrap_or_else(|| String::from("keybound_replay")),
            unlogged: address.options.unlogged,
            connections: address.options.connections.unwrap_or(CONNECTIONS),
        })
    }
}

impl Store for PostgresStore {
    type Session = PostgresSession;

    async fn open(&self, opening: &Opening) -> Result<(PostgresSession, Facts), StoreError> {
        let control = self.dialler.dial().await?;
        let (run, facts) = setup::set_up(self, &control, opening).await?;
        let mut batchers = Vec::new();
        for _ in 0..self.connections {
            let connection = self.dialler.dial().await?;
            batchers.push(Batcher::start(connection, &self.name, &run).await?);
        }
        let session = PostgresSession {
            batchers,
            control,
            name: self.name.clone(),
            unlogged: self.unlogged,
            run,
            next: AtomicUsize::new(0),
            tended: AtomicU64::new(0),
        };
        session.tend(facts.now).await?;
        Ok((session, facts))
    }
}

impl Session for PostgresSession {
    async fn insert(&self, key: u128, lifetime: u64) -> Result<Answer, StoreError> {
        let lifetime = i32::try_from(lifetime).unwrap_or(i32::MAX);
        self.ask(key, What::Insert(lifetime)).await
    }

    async fn look(&self, key: u128) -> Result<Answer, StoreError> {
        self.ask(key, What::Look).await
    }

    async fn probe(&self) -> Result<u64, StoreError> {
        let seen = setup::probe(&self.control, &self.name, self.unlogged).await?;
        if seen.id != self.run.id || seen.random != self.run.random {
            return Err(StoreError::Epoch);
        }
        if seen.is_replicated && !self.run.replicated {
            return Err(StoreError::Epoch);
        }
        self.tend(seen.now).await?;
        Ok(seen.now)
    }

    async fn closed(&self) {
        let batchers = self.batchers.iter().map(Batcher::connection);
        let all = batchers.chain(std::iter::once(&self.control));
        let closed: Vec<_> = all
            .map(|connection| Box::pin(connection.closed()))
            .collect();
        select_all(closed).await;
    }
}

impl PostgresSession {
    async fn ask(&self, key: u128, what: What) -> Result<Answer, StoreError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let index = turn.checked_rem(self.batchers.len()).unwrap_or_default();
        let batcher = self.batchers.get(index).ok_or_else(batch::gone)?;
        let (reply, answer) = oneshot::channel();
        batcher.ask(Ask { key, what, reply }).await?;
        answer.await.map_err(|_| batch::gone())?
    }

    /// Makes the partitions of this and the next generations, and drops those that
    /// are over, once in each generation.
    async fn tend(&self, now: u64) -> Result<(), StoreError> {
        let generation = i64::try_from(now)
            .ok()
            .and_then(|now| now.checked_div(self.run.generation))
            .ok_or_else(batch::gone)?;
        let mark = generation.unsigned_abs();
        if self.tended.load(Ordering::Relaxed) == mark {
            return Ok(());
        }
        setup::tend(&self.control, &self.name, self.unlogged, generation).await?;
        self.tended.store(mark, Ordering::Relaxed);
        Ok(())
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("dialler", &self.dialler)
            .field("name", &self.name)
            .field("unlogged", &self.unlogged)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSession")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
