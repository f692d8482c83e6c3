//! How work reaches the one writer.
//!
//! A store in a file has a thread of its own that takes whatever waits in a
//! bounded queue and commits it together; while it syncs, and for a moment more
//! when there was company, the next batch gathers. A full queue is an answer at once, not a wait. A store in memory
//! runs each job in its caller, so that simulated time stays in one hand.
//!
//! Dropping the engine finishes what is queued, closes the file and joins the
//! thread. Not here: transactions (`super::writer`).

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::writer::{Job, Scope, Work, Writer};
use crate::error::{Failure, StoreError};

/// Jobs that may wait; more are refused at once.
const QUEUE: usize = 4096;

/// Jobs that share one commit at most.
const BATCH: usize = 512;

/// How long jobs gather when others came with the last ones: a commit and its sync cost more than
/// the rest of an issuance, and shared they cost each job less. Whoever writes alone never waits.
const GATHER: Duration = Duration::from_micros(500);

/// Quiet time after which background work is done.
const QUIET: Duration = Duration::from_secs(10);

/// Jobs after which background work is done although it is not quiet.
const BUSY_JOBS: usize = 8 * 1024;

/// How long a caller waits for the writer at most.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) enum Engine {
    Inline(Box<Mutex<Writer>>),
    Thread {
        /// `None` only while dropping.
        queue: Option<SyncSender<Box<dyn Job>>>,
        thread: Option<JoinHandle<()>>,
    },
}

impl Engine {
    pub(super) fn inline(writer: Writer) -> Self {
        Self::Inline(Box::new(Mutex::new(writer)))
    }

    pub(super) fn spawn(writer: Writer) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("keybound-store".into())
            .spawn(move || serve(writer, &jobs))?;
        Ok(Self::Thread {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs `task` in a transaction and returns its result once that is durable.
    ///
    /// Giving up waiting does not undo the work: it may still commit.
    pub(super) async fn submit<T, F>(
        &self,
        file: &Path,
        scope: Scope,
        task: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Work<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.enqueue(
            file,
            Box::new(Task {
                scope,
                work: Some(task),
                value: None,
                reply: Some(reply),
            }),
        )?;
        let answered = match self {
            // Done already; a timer would move a paused clock.
            Self::Inline(_) => answer.await,
            Self::Thread { .. } => tokio::time::timeout(PATIENCE, answer)
                .await
                .map_err(|_| unavailable(file, "the disk is too slow"))?,
        };
        answered.map_err(|_| stopped(file))?
    }

    /// Runs `task`, which is one statement, in a transaction that nobody waits for.
    pub(super) fn submit_later<F>(&self, file: &Path, task: F) -> Result<(), StoreError>
    where
        F: FnOnce(&mut Work<'_>) -> Result<(), Failure> + Send + 'static,
    {
        let job = Task {
            scope: Scope::Transaction,
            work: Some(task),
            value: None,
            reply: None,
        };
        self.enqueue(file, Box::new(job))
    }

    fn enqueue(&self, file: &Path, job: Box<dyn Job>) -> Result<(), StoreError> {
        match self {
            Self::Inline(writer) => {
                writer.lock().commit(vec![job]);
                Ok(())
            }
            Self::Thread { queue, .. } => {
                let queue = queue.as_ref().ok_or_else(|| stopped(file))?;
                queue.try_send(job).map_err(|error| match error {
                    TrySendError::Full(_) => unavailable(file, "too many writes are waiting"),
                    TrySendError::Disconnected(_) => stopped(file),
                })
            }
        }
    }

    /// Does background work now. For stores in memory, which have no thread to do it.
    pub(super) fn maintain_inline(&self) {
        if let Self::Inline(writer) = self {
            let mut writer = writer.lock();
            while writer.maintain() {}
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Self::Thread { queue, thread } = self {
            drop(queue.take());
            if let Some(thread) = thread.take()
                && thread.join().is_err()
            {
                tracing::error!("the store's writer had panicked");
            }
        }
    }
}

struct Task<T, F> {
    scope: Scope,
    work: Option<F>,
    value: Option<T>,
    /// `None` when nobody waits.
    reply: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut Work<'_>) -> Result<T, Failure> + Send,
{
    fn scope(&self) -> Scope {
        self.scope
    }

    fn run(&mut self, work: &mut Work<'_>) -> Result<(), Failure> {
        if let Some(task) = self.work.take() {
            self.value = Some(task(work)?);
        }
        Ok(())
    }

    fn settle(self: Box<Self>, outcome: Result<(), StoreError>) {
        let answer = match (outcome, self.value) {
            (Ok(()), Some(value)) => Ok(value),
            (Err(error), _) => Err(error),
            // Without a value nobody was promised anything; the caller sees a closed channel.
            (Ok(()), None) => return,
        };
        match (self.reply, answer) {
            // The caller may have given up; the work is done all the same.
            (Some(reply), answer) => drop(reply.send(answer)),
            (None, Err(error)) => tracing::error!(%error, "an event is lost"),
            (None, Ok(_)) => {}
        }
    }
}

fn unavailable(file: &Path, detail: &str) -> StoreError {
    StoreError::Unavailable {
        file: file.to_owned(),
        detail: detail.to_owned(),
    }
}

fn stopped(file: &Path) -> StoreError {
    unavailable(file, "the writer has stopped")
}

fn serve(mut writer: Writer, jobs: &Receiver<Box<dyn Job>>) {
    let mut since_maintenance = 0;
    let mut idle = false;
    let mut was_shared = false;
    loop {
        let first = if idle {
            // Nothing is left to do in the background: sleep until there is work.
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            jobs.recv_timeout(QUIET)
        };
        match first {
            Ok(first) => {
                if was_shared {
                    std::thread::sleep(GATHER);
                }
                let mut batch = vec![first];
                batch.extend(jobs.try_iter().take(BATCH - 1));
                was_shared = batch.len() > 1;
                since_maintenance += batch.len();
                idle = false;
                writer.commit(batch);
                if since_maintenance >= BUSY_JOBS {
                    writer.maintain();
                    since_maintenance = 0;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                idle = !writer.maintain();
                since_maintenance = 0;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    writer.close();
}
