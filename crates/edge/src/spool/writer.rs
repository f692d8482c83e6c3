//! The thread that brings events to the disk, many with one sync.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use keybound_proto::event::{Event, EventKind};
use keybound_proto::time::Clock;

use super::files::Files;
use super::{Message, Shared};

/// Most events that share one sync.
const BATCH: usize = 512;

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) node: String,
}

impl Writer {
    /// Runs until the last sender is gone and the queue is empty.
    pub(super) fn run(self, queue: &Receiver<Message>) {
        while let Ok(first) = queue.recv() {
            let (mut events, mut flushes) = (Vec::new(), Vec::new());
            for message in std::iter::once(first).chain(queue.try_iter().take(BATCH - 1)) {
                match message {
                    Message::Event(event) => events.push(*event),
                    Message::Flush(done) => flushes.push(done),
                }
            }
            self.store(&events);
            self.shared.written.notify_one();
            for done in flushes {
                // Whoever waited may have given up.
                let _ = done.send(());
            }
        }
    }

    /// Stores what has room and counts what has none.
    fn store(&self, batch: &[Event]) {
        let earlier = self.shared.lost.swap(0, Ordering::Relaxed);
        let left_out = self
            .shared
            .with_files(|files| self.append(files, earlier, batch));
        self.shared.lost.fetch_add(left_out, Ordering::Relaxed);
    }

    /// Appends the report of earlier losses and the events; gives how many were left out.
    fn append(&self, files: &mut Files, earlier: u64, batch: &[Event]) -> u64 {
        if let Err(error) = files.recycle() {
            tracing::warn!(%error, "cannot begin a new part of the event spool");
        }
        let report = (earlier > 0).then(|| self.report_of(earlier));
        let mut lines = Vec::new();
        let (mut taken, mut left_out) = (0, 0);
        for event in report.iter().chain(batch) {
            let before = lines.len();
            push_line(&mut lines, event);
            if files.has_room(lines.len() as u64) {
                taken += event.count;
            } else {
                lines.truncate(before);
                left_out += event.count;
            }
        }
        let stored = if lines.is_empty() {
            Ok(())
        } else {
            files.append(&lines)
        };
        if let Err(error) = &stored {
            tracing::error!(%error, "cannot write to the event spool; events are counted until it works again");
            left_out += taken;
        }
        self.shared
            .is_writable
            .store(stored.is_ok(), Ordering::Relaxed);
        left_out
    }

    /// One event that stands for those that found no room.
    fn report_of(&self, lost: u64) -> Event {
        let mut random = [0; 16];
        if aws_lc_rs::rand::fill(&mut random).is_err() {
            tracing::error!("no random numbers for an event id");
        }
        Event::new(
            &random,
            self.clock.now_millis(),
            &self.node,
            EventKind::RefusalsAggregated,
        )
        .with_count(lost)
        .with_reason("the event spool was full; these events are counted only")
    }
}

fn push_line(lines: &mut Vec<u8>, event: &Event) {
    lines.extend_from_slice(event.to_json_line().as_bytes());
    lines.push(b'\n');
}
