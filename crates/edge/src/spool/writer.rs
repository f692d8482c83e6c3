//! The thread that brings events to the disk, many with one sync.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use keybound_proto::event::{Event, EventKind};
use keybound_proto::time::Clock;

use super::Shared;

/// Most events that share one sync.
const BATCH: usize = 512;

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) node: String,
}

impl Writer {
    /// Runs until the last sender is gone and the queue is empty.
    pub(super) fn run(self, events: &Receiver<Event>) {
        while let Ok(first) = events.recv() {
            let mut batch = vec![first];
            batch.extend(events.try_iter().take(BATCH - 1));
            self.store(&batch);
            self.shared.written.notify_one();
        }
    }

    fn store(&self, batch: &[Event]) {
        let mut files = self.shared.files.lock();
        if let Err(error) = files.recycle() {
            tracing::warn!(%error, "cannot begin a new part of the event spool");
        }
        let mut lines = Vec::new();
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            push_line(&mut lines, &self.report_of(lost));
        }
        let mut taken = lost;
        let mut left_out = 0;
        for event in batch {
            let before = lines.len();
            push_line(&mut lines, event);
            if files.has_room(lines.len() as u64) {
                taken += event.count;
            } else {
                lines.truncate(before);
                left_out += event.count;
            }
        }
        let has_room = files.has_room(lines.len() as u64);
        let stored = if has_room { files.append(&lines) } else { Ok(()) };
        drop(files);
        if !has_room {
            left_out += taken;
        }
        if let Err(error) = &stored {
            tracing::error!(%error, "cannot write to the event spool; events are counted until it works again");
            left_out += taken;
        }
        self.shared.is_writable.store(stored.is_ok(), Ordering::Relaxed);
        self.shared.lost.fetch_add(left_out, Ordering::Relaxed);
    }

    /// One event that stands for those that found no room.
    fn report_of(&self, lost: u64) -> Event {
        let mut random = [0; 16];
        if aws_lc_rs::rand::fill(&mut random).is_err() {
            tracing::error!("no random numbers for an event id");
        }
        Event::new(&random, self.clock.now_millis(), &self.node, EventKind::RefusalsAggregated)
            .with_count(lost)
            .with_reason("the event spool was full; these events are counted only")
    }
}

fn push_line(lines: &mut Vec<u8>, event: &Event) {
    lines.extend_from_slice(event.to_json_line().as_bytes());
    lines.push(b'\n');
}
