//! The present, and waiting for it to pass.
//!
//! Some checks need time to pass: a proof sent again after two seconds, a lock
//! that has not reached the gate yet. [`Timing`] is how the probe waits, so
//! that a test with a hand-driven clock turns the clock instead.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use keybound_proto::time::Clock;

/// A clock that can be waited on.
pub trait Timing: Clock {
    /// Resolves when `duration` has passed on this clock.
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
