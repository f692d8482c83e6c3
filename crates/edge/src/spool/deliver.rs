//! From the spool to control, in order and until it is acknowledged.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::files::{Batch, Cursor};
use super::{Shared, Spool};
use crate::backoff::Backoff;
use crate::shutdown::Shutdown;

/// Most events in one request.
const BATCH_LINES: usize = 100;
/// Most bytes of events in one request.
const BATCH_BYTES: u64 = 512 * 1024;
/// Pause before a delivery that failed is tried again, doubling up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What became of one request with events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Control has them.
    Accepted,
    /// Control says that something in it is not an event. Sent again one by one; the one that is
    /// refused alone is dropped and logged.
    Refused,
    /// No usable answer; to be tried again.
    Failed,
}

impl Spool {
    /// Delivers until the shutdown begins. `post` sends a body for `POST /v1/events`
    /// (`{"events":[…]}`).
    pub async fn deliver<P, F>(&self, post: P, mut shutdown: Shutdown)
    where
        P: Fn(Bytes) -> F + Send + Sync,
        F: Future<Output = Delivery> + Send,
    {
        let mut backoff = Backoff::new(Duration::from_millis(200), LONGEST_PAUSE);
        let mut lines_at_once = BATCH_LINES;
        loop {
            let batch = match self.next_batch(lines_at_once).await {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::error!(%error, "cannot read the event spool");
                    Batch {
                        lines: Vec::new(),
                        after: Vec::new(),
                    }
                }
            };
            let Some(end) = batch.after.last().copied() else {
                tokio::select! {
                    () = self.shared.written.notified() => continue,
                    _ = shutdown.begun() => return,
                }
            };
            let outcome = tokio::select! {
                outcome = post(body_of(&batch)) => outcome,
                _ = shutdown.begun() => return,
            };
            match outcome {
                Delivery::Accepted => {
                    self.acknowledge(end).await;
                    lines_at_once = BATCH_LINES;
                    backoff.reset();
                }
                Delivery::Refused if batch.lines.len() > 1 => lines_at_once = 1,
                Delivery::Refused => {
                    tracing::error!("control refuses an event; it is dropped");
                    self.acknowledge(end).await;
                }
                Delivery::Failed => tokio::select! {
                    () = backoff.wait() => {}
                    _ = shutdown.begun() => return,
                },
            }
        }
    }

    async fn next_batch(&self, lines: usize) -> io::Result<Batch> {
        on_disk(&self.shared, move |shared| {
            shared.with_files(|files| files.read(lines, BATCH_BYTES))
        })
        .await
    }

    async fn acknowledge(&self, cursor: Cursor) {
        let outcome = on_disk(&self.shared, move |shared| {
            shared.with_files(|files| files.delivered(cursor))
        })
        .await;
        if let Err(error) = outcome {
            tracing::warn!(%error, "cannot remember what control has; it will be sent again");
        }
    }
}

/// Runs file access off the asynchronous threads.
async fn on_disk<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || work(&shared))
        .await
        .map_err(io::Error::other)?
}

/// The lines are JSON objects already.
fn body_of(batch: &Batch) -> Bytes {
    let mut body = br#"{"events":["#.to_vec();
    body.extend(batch.lines.join(&b','));
    body.extend_from_slice(b"]}");
    Bytes::from(body)
}
