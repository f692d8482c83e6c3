//! The one writer: runs a batch of jobs in one transaction.
//!
//! `BEGIN IMMEDIATE`, then each job in a savepoint of its own, then one commit
//! with one sync of the write-ahead log; only then does any job's caller hear
//! of it. A job that fails is taken back alone. When the transaction itself
//! fails (disk full, I/O error) every job of the batch is answered with that
//! error and memory returns to where the batch began, so the next batch starts
//! clean: recovery needs no restart.
//!
//! Not here: the queue and the thread (`super::engine`), and what jobs do.

use std::sync::Arc;

use keybound_proto::time::{Clock, UnixTime};
use rusqlite::{Connection, params};

use super::file::Watermark;
use super::maintenance::maintain;
use super::memory::Memory;
use super::shared::Shared;
use crate::error::{Failure, StoreError};

/// How a job that fails half-way is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Alone, by a savepoint of its own.
    Savepoint,
    /// With its whole batch. Cheaper; for jobs that decide before they write, so
    /// that only a failing disk can stop them half-way.
    Transaction,
}

/// One unit of work for the writer. `run` may be called once; `settle` always is.
pub(super) trait Job: Send {
    /// What a failure takes back.
    fn scope(&self) -> Scope;
    /// Does the work inside the open transaction and keeps the result.
    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Failure>;
    /// Hands the kept result, or the error, to the caller.
    fn settle(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// What a job may use: the open transaction, the writer's memory and the time.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) connection: &'a Connection,
    pub(super) memory: &'a mut Memory,
    /// What is committed.
    pub(super) shared: &'a Shared,
    pub(super) now: UnixTime,
}

/// The connection that writes, and everything that changes with it.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    memory: Memory,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    watermark: Option<Watermark>,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        memory: Memory,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        watermark: Option<Watermark>,
    ) -> Self {
        Self {
            connection,
            memory,
            shared,
            clock,
            watermark,
        }
    }

    /// Runs `jobs` in one transaction and answers each of them.
    pub(super) fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        match self.attempt(&mut jobs) {
            Ok(outcomes) => {
                self.publish();
                for (job, outcome) in jobs.into_iter().zip(outcomes) {
                    job.settle(outcome);
                }
            }
            Err(failure) => {
                let error = failure.at(&self.shared.file);
                self.abandon(&error);
                for job in jobs {
                    job.settle(Err(error.clone()));
                }
            }
        }
    }

    /// One step of work that nobody waits for; `true` when there is more. Errors
    /// are logged and the step is tried again at the next turn.
    pub(super) fn maintain(&mut self) -> bool {
        match self.in_transaction(maintain) {
            Ok(done) => {
                if let Some(sequence) = done.filed_to {
                    self.shared.unfiled.write().filed_to(sequence);
                }
                done.more
            }
            Err(failure) => {
                let error = failure.at(&self.shared.file);
                self.abandon(&error);
                false
            }
        }
    }

    /// Finishes background work, writes the log back into the file and empties
    /// it, so that the next open has nothing to recover.
    pub(super) fn close(mut self) {
        while self.maintain() {}
        let Self {
            connection, shared, ..
        } = self;
        let emptied = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .and_then(|()| connection.close().map_err(|(_, error)| error));
        if let Err(error) = emptied {
            tracing::warn!(file = %shared.file.display(), %error, "store closed without emptying its log");
        }
    }

    fn in_transaction<T>(
        &mut self,
        task: impl FnOnce(&mut Work<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.begin()?;
        let done = task(&mut self.work())?;
        self.end()?;
        self.publish();
        Ok(done)
    }

    fn publish(&mut self) {
        let news = self.memory.committed();
        if let (Some(watermark), Some(sequence)) = (&mut self.watermark, news.last_event) {
            watermark.raise(sequence);
        }
        self.shared.publish(news);
    }

    fn attempt(
        &mut self,
        jobs: &mut [Box<dyn Job>],
    ) -> Result<Vec<Result<(), StoreError>>, Failure> {
        self.begin()?;
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(match job.scope() {
                Scope::Savepoint => self.run_in_savepoint(job.as_mut())?,
                Scope::Transaction => self.run_bare(job.as_mut())?,
            });
        }
        self.end()?;
        Ok(outcomes)
    }

    /// Runs one job in its savepoint. The outer error means that the whole
    /// transaction is gone.
    fn run_in_savepoint(&mut self, job: &mut dyn Job) -> Result<Result<(), StoreError>, Failure> {
        self.execute("SAVEPOINT job")?;
        let mark = self.memory.mark();
        let Err(failure) = job.run(&mut self.work()) else {
            self.execute("RELEASE job")?;
            return Ok(Ok(()));
        };
        // Some errors (disk full, I/O) make SQLite roll the transaction back itself.
        if self.connection.is_autocommit() {
            return Err(failure);
        }
        self.execute("ROLLBACK TO job")?;
        self.execute("RELEASE job")?;
        self.memory.return_to(mark);
        Ok(Err(failure.at(&self.shared.file)))
    }

    /// Runs one job without a savepoint. If it fails after it has changed
    /// something, so does the transaction.
    fn run_bare(&mut self, job: &mut dyn Job) -> Result<Result<(), StoreError>, Failure> {
        let changes = self.connection.total_changes();
        let Err(failure) = job.run(&mut self.work()) else {
            return Ok(Ok(()));
        };
        if self.connection.is_autocommit() || self.connection.total_changes() != changes {
            return Err(failure);
        }
        Ok(Err(failure.at(&self.shared.file)))
    }

    fn work(&mut self) -> Work<'_> {
        Work {
            now: self.clock.now(),
            connection: &self.connection,
            memory: &mut self.memory,
            shared: &self.shared,
        }
    }

    fn begin(&self) -> Result<(), Failure> {
        self.execute("BEGIN IMMEDIATE")
    }

    fn end(&self) -> Result<(), Failure> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO chains (reporter, node, sequence, chain) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (reporter, node) DO UPDATE SET sequence = ?3, chain = ?4",
        )?;
        for (name, head) in self.memory.dirty_heads() {
            statement.execute(params![name.reporter, name.node, head.sequence, head.chain])?;
        }
        self.execute("COMMIT")
    }

    fn abandon(&mut self, error: &StoreError) {
        tracing::error!(%error, "transaction not stored");
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(?error, "transaction not rolled back");
        }
        self.memory.return_to_start();
    }

    fn execute(&self, statement: &str) -> Result<(), Failure> {
        self.connection.prepare_cached(statement)?.execute([])?;
        Ok(())
    }
}
