//! The lock and the atomics of the replay log, exchanged for loom's when the
//! log's interleavings are explored (`--cfg keybound_loom`). Holds
//! no policy.

#[cfg(not(keybound_loom))]
pub(super) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[cfg(not(keybound_loom))]
pub(super) use parking_lot::Mutex;

#[cfg(keybound_loom)]
pub(super) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// loom's lock with the face of parking_lot's.
#[cfg(keybound_loom)]
pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(keybound_loom)]
impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}
