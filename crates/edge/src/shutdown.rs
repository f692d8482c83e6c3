//! Graceful drain: one trigger, any number of listeners and tasks that watch it.
//!
//! Does not listen to process signals; the command line does and pulls the trigger.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Pulls the trigger for every [`Shutdown`] made with it. When it is dropped without having
/// been pulled, the drain begins with no time to spare.
#[derive(Debug)]
pub struct ShutdownTrigger {
    sender: watch::Sender<Option<Instant>>,
}

/// Tells when to stop and until when requests in flight may take. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown {
    receiver: watch::Receiver<Option<Instant>>,
}

/// How a listener ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request in flight was answered.
    Clean,
    /// The deadline came first.
    Cut {
        /// Connections that were closed with a request in flight.
        connections: usize,
    },
}

impl Shutdown {
    /// A trigger and its first watcher.
    #[must_use]
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(None);
        (ShutdownTrigger { sender }, Self { receiver })
    }

    /// Waits for the trigger; gives the deadline of the drain.
    pub async fn begun(&mut self) -> Instant {
        match self.receiver.wait_for(Option::is_some).await {
            Ok(deadline) => deadline.unwrap_or_else(Instant::now),
            Err(_) => Instant::now(),
        }
    }

    /// Whether the drain has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.receiver.borrow().is_some()
    }
}

impl ShutdownTrigger {
    /// Begins the drain. Requests in flight may take `patience` to finish. A second call
    /// changes the deadline for those who have not begun yet.
    pub fn drain(&self, patience: Duration) {
        self.sender.send_replace(Some(Instant::now() + patience));
    }
}
