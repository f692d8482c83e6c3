//! The event spool: what a gateway saw, kept on its own disk until control has it.
//!
//! Recording never blocks: events go through a bounded queue to a thread that appends them to
//! segment files, one JSON line each, and syncs once per batch. [`Spool::deliver`] sends them in
//! order to `POST /v1/events`, again and again until control says it has them; control is
//! idempotent by event id, so a lost answer or a crash costs a repetition and nothing else.
//! Delivered segments are deleted.
//!
//! The disk is bounded: when the queue or the disk budget is full, new events are counted
//! instead of stored, and one `refusals_aggregated` event with the count follows when there is
//! room again. What is stored is never evicted by what comes later, so a flood cannot wash
//! out the traces of a theft.
//!
//! Not here: which events are worth recording (the guard aggregates refusals of strangers),
//! and a signature chain over events (the store's).

mod deliver;
mod files;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use keybound_guard::EventSink;
use keybound_proto::event::Event;
use keybound_proto::time::Clock;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

pub use self::deliver::Delivery;
use self::files::Files;

/// How much a spool keeps.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// Directory for the segments; made with mode 0700.
    pub directory: PathBuf,
    /// Name of this node in the events that the spool makes itself.
    pub node: String,
    /// Most bytes on disk.
    pub max_bytes: u64,
    /// Bytes after which a new segment begins; at most a quarter of `max_bytes` is sensible.
    pub segment_bytes: u64,
    /// Most events waiting for the disk.
    pub queue: usize,
}

impl SpoolConfig {
    /// 64 MiB in segments of 1 MiB, 8192 events in memory.
    #[must_use]
    pub fn new(directory: PathBuf, node: impl Into<String>) -> Self {
        Self {
            directory,
            node: node.into(),
            max_bytes: 64 * 1024 * 1024,
            segment_bytes: 1024 * 1024,
            queue: 8192,
        }
    }
}

/// Why a spool could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot use `{path}` for the event spool; make it writable for this user or set `state_dir` in `[gateway]`"
)]
pub struct SpoolError {
    path: PathBuf,
    source: std::io::Error,
}

impl SpoolError {
    fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self {
            path: path.to_owned(),
            source,
        }
    }
}

/// A durable queue of events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spool {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// What goes through the queue.
enum Message {
    /// To be stored.
    Event(Box<Event>),
    /// To be answered when everything before it was stored or counted.
    Flush(oneshot::Sender<()>),
}

/// What recorder, writer and deliverer share.
#[derive(Debug)]
struct Shared {
    files: Mutex<Files>,
    /// Told after every batch that reached the disk.
    written: Notify,
    /// Events not stored since the last one that was.
    lost: AtomicU64,
    /// Whether the last batch reached the disk.
    is_writable: AtomicBool,
    /// Bytes on disk that control does not have; a copy that needs no lock to read.
    waiting: AtomicU64,
}

impl Shared {
    /// Works with the files and keeps the count of waiting bytes. Blocks on the disk.
    fn with_files<T>(&self, work: impl FnOnce(&mut Files) -> T) -> T {
        let mut files = self.files.lock();
        let outcome = work(&mut files);
        self.waiting.store(files.waiting_bytes(), Ordering::Relaxed);
        outcome
    }
}

/// How a spool is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Bytes on disk that control does not have yet.
    pub waiting_bytes: u64,
    /// Events counted instead of stored and not yet reported.
    pub lost: u64,
    /// Whether the last batch reached the disk.
    pub is_writable: bool,
}

impl Spool {
    /// Opens the spool and starts its writing thread, which ends with the last clone.
    ///
    /// What an earlier run left is kept; a line that a crash cut off is removed.
    ///
    /// # Errors
    ///
    /// [`SpoolError`] when the directory cannot be made, read or written.
    pub fn open(config: &SpoolConfig, clock: Arc<dyn Clock>) -> Result<Self, SpoolError> {
        let files = Files::open(config).map_err(SpoolError::at(&config.directory))?;
        let waiting = AtomicU64::new(files.waiting_bytes());
        let shared = Arc::new(Shared {
            waiting,
            files: Mutex::new(files),
            written: Notify::new(),
            lost: AtomicU64::new(0),
            is_writable: AtomicBool::new(true),
        });
        let (queue, events) = sync_channel(config.queue);
        let writer = writer::Writer {
            shared: Arc::clone(&shared),
            clock,
            node: config.node.clone(),
        };
        std::thread::Builder::new()
            .name("keybound-spool".to_owned())
            .spawn(move || writer.run(&events))
            .map_err(SpoolError::at(&config.directory))?;
        Ok(Self { queue, shared })
    }

    /// Takes an event. Never blocks; an event that finds no room is counted.
    pub fn push(&self, event: Event) {
        let count = event.count;
        if self
            .queue
            .try_send(Message::Event(Box::new(event)))
            .is_err()
        {
            self.shared.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Waits until everything that was pushed before is on the disk, or counted. For a process
    /// that is about to end.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        let queue = self.queue.clone();
        // A full queue makes this wait, which only a blocking thread may.
        let sent = tokio::task::spawn_blocking(move || queue.send(Message::Flush(done))).await;
        if matches!(sent, Ok(Ok(()))) {
            let _ = wait.await;
        }
    }

    /// How the spool is doing.
    #[must_use]
    pub fn status(&self) -> SpoolStatus {
        SpoolStatus {
            waiting_bytes: self.shared.waiting.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
            is_writable: self.shared.is_writable.load(Ordering::Relaxed),
        }
    }
}

impl SpoolStatus {
    /// Metrics in the Prometheus text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        format!(
            "# HELP keybound_event_spool_bytes Events on disk that control does not have yet.\n\
             # TYPE keybound_event_spool_bytes gauge\n\
             keybound_event_spool_bytes {}\n\
             # HELP keybound_event_spool_unstored Events that found no room and wait to be reported as a sum.\n\
             # TYPE keybound_event_spool_unstored gauge\n\
             keybound_event_spool_unstored {}\n\
             # HELP keybound_event_spool_writable Whether the last events reached the disk.\n\
             # TYPE keybound_event_spool_writable gauge\n\
             keybound_event_spool_writable {}\n",
            self.waiting_bytes,
            self.lost,
            u8::from(self.is_writable),
        )
    }
}

impl EventSink for Spool {
    fn record(&self, event: Event) {
        self.push(event);
    }
}

#[cfg(test)]
mod tests;
