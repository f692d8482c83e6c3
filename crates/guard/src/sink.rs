//! Where a guard's events go.

use std::fmt;

use keybound_proto::event::Event;

/// Takes events. Called while a request waits, so it must not block; a sink
/// that writes to disk or network hands over to a task of its own.
pub trait EventSink: Send + Sync + fmt::Debug {
    /// Takes one event.
    fn record(&self, event: Event);
}

/// A sink that drops everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullSink;

impl EventSink for NullSink {
    fn record(&self, event: Event) {
        drop(event);
    }
}

/// A sink that remembers, for tests. Clones share the memory.
#[cfg(any(test, feature = "test-util"))]
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    events: std::sync::Arc<parking_lot::Mutex<Vec<Event>>>,
}

#[cfg(any(test, feature = "test-util"))]
impl MemorySink {
    /// Everything that came so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().clone()
    }

    /// Everything that came since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock())
    }
}

#[cfg(any(test, feature = "test-util"))]
impl EventSink for MemorySink {
    fn record(&self, event: Event) {
        self.events.lock().push(event);
    }
}
