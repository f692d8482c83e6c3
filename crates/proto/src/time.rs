//! Points in time as tokens carry them, and the clock as an argument.
//!
//! [`UnixTime`] is the `NumericDate` of RFC 7519 section 2, restricted to whole
//! seconds. Its arithmetic saturates, so that no claim a peer can send makes an
//! expiry wrap around. [`Clock`] is what the shells carry to know the present.
//!
//! This module does not read the system's clock: the command line implements
//! [`Clock`] once, tests use [`ManualClock`].

use std::fmt;
#[cfg(any(test, feature = "test-util"))]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Seconds since 1970-01-01T00:00:00Z, leap seconds ignored (RFC 7519 section 2).
///
/// ```
/// use keybound_proto::time::UnixTime;
///
/// let issued = UnixTime::from_secs(1_700_000_000);
/// assert_eq!(issued.plus(60).seconds_since(issued), 60);
/// assert_eq!(issued.seconds_since(issued.plus(60)), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The point `seconds` after the start of 1970 in UTC.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Whole seconds since the start of 1970 in UTC.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// This point moved `seconds` into the future; stops at the largest value.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// This point moved `seconds` into the past; stops at the start of 1970.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Seconds that have passed since `earlier`; 0 when `earlier` is later than this point.
    #[must_use]
    pub const fn seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A wall clock, handed to whatever needs to know the present.
///
/// Implementations may step backwards when the system's clock is corrected;
/// callers must not assume that two readings are ordered.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_millis(&self) -> u64;

    /// The present in whole seconds, rounded down.
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.now_millis() / 1000)
    }
}

/// A clock that stands still until a test moves it.
///
/// Clones share the same hand, so that one test drives every component it built.
///
/// ```
/// use keybound_proto::time::{Clock, ManualClock, UnixTime};
///
/// let clock = ManualClock::at(1_700_000_000);
/// let shared = clock.clone();
/// clock.advance_secs(5);
/// assert_eq!(shared.now(), UnixTime::from_secs(1_700_000_005));
/// ```
#[cfg(any(test, feature = "test-util"))]
#[derive(Clone, Debug)]
pub struct ManualClock {
    millis: Arc<AtomicU64>,
}

#[cfg(any(test, feature = "test-util"))]
impl ManualClock {
    /// A clock that shows `seconds` since the start of 1970.
    #[must_use]
    pub fn at(seconds: u64) -> Self {
        Self {
            millis: Arc::new(AtomicU64::new(seconds.saturating_mul(1000))),
        }
    }

    /// Moves the hand of this clock and of all its clones forward.
    pub fn advance_secs(&self, seconds: u64) {
        self.advance_millis(seconds.saturating_mul(1000));
    }

    /// Moves the hand forward by `millis` milliseconds.
    pub fn advance_millis(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the hand to `seconds` since the start of 1970, which may be in the past.
    pub fn set(&self, seconds: u64) {
        self.millis
            .store(seconds.saturating_mul(1000), Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "test-util"))]
impl Clock for ManualClock {
    fn now_millis(&self) -> u64 {
        self.millis.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_both_ends() {
        assert_eq!(
            UnixTime::from_secs(u64::MAX).plus(1).as_secs(),
            u64::MAX,
            "an expiry must not wrap to the past"
        );
        assert_eq!(UnixTime::from_secs(3).minus(4).as_secs(), 0);
        assert_eq!(
            UnixTime::from_secs(3).seconds_since(UnixTime::from_secs(4)),
            0
        );
    }

    #[test]
    fn clones_of_a_manual_clock_share_one_hand() {
        let clock = ManualClock::at(100);
        let other = clock.clone();
        clock.advance_secs(7);
        other.advance_millis(999);
        assert_eq!(clock.now(), UnixTime::from_secs(107));
        assert_eq!(clock.now_millis(), 107_999);
        clock.set(50);
        assert_eq!(other.now().as_secs(), 50);
    }
}
