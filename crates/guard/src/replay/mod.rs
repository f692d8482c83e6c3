//! Replay logs: a proof is accepted once (RFC 9449 section 11.1).
//!
//! One trait, [`ReplayLog`], and one rule for all logs: looking and recording
//! are one atomic step, a record lives at least as long as its proof could be
//! accepted, nothing live is ever evicted, and every doubt is answered with a
//! refusal. A false "used before" refuses an honest request, a false "new" is
//! a replay.
//!
//! - [`MemoryLog`]: for one gateway. Never waits.
//! - [`SharedLog`] over Redis or Valkey (feature `redis`) or PostgreSQL
//!   (feature `postgres`): for several gateways. Each request waits for one
//!   round trip; a store that does not answer in time is a refusal
//!   ([`ReplayRefusal::Unavailable`]), never a fall-back to memory.
//!
//! Not here: nonces (`keybound_proto::dpop`), and the hash that makes a record
//! out of a proof (`keybound_proto::verify`).

use std::fmt;
use std::future::Future;

use keybound_proto::cause::Cause;
use keybound_proto::time::UnixTime;
use keybound_proto::verify::{Recorded, ReplayQuery};

pub use self::address::{AddressError, StoreAddress, StoreKind};
pub use self::any::{AnyLog, OpenLogError, SharedPlace};
pub use self::memory::MemoryLog;
pub use self::shared::{SharedLog, SharedSettings};

mod address;
mod any;
mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
mod senders;
pub mod shared;
mod sync;
#[cfg(any(feature = "redis", feature = "postgres"))]
mod tls;

/// How much time one bucket of records covers, seconds.
pub const BUCKET_SECONDS: u64 = 10;

/// How far the clocks before and after a restart may differ, seconds.
pub const EPOCH_SKEW: u64 = 5;

/// Remembers which proofs were used.
pub trait ReplayLog: Send + Sync + fmt::Debug {
    /// Records a proof, as the last step of its verification.
    ///
    /// `epoch` is what [`ReplayLog::epoch`] said when the proof's nonce was
    /// checked; [`ReplayQuery::recent_nonce`] counts for that epoch only.
    ///
    /// # Errors
    ///
    /// [`ReplayRefusal`]. After [`ReplayRefusal::Unavailable`] the proof may be
    /// recorded or not; after any other nothing was stored for it.
    fn insert(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> impl Future<Output = Result<Recorded, ReplayRefusal>> + Send;

    /// Asks whether a proof could be recorded, and records nothing: for a gate
    /// in front of another gate that consumes the proof.
    ///
    /// # Errors
    ///
    /// As [`ReplayLog::insert`].
    fn look(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> impl Future<Output = Result<Recorded, ReplayRefusal>> + Send;

    /// Names the run whose nonces prove that a proof is not older than the
    /// log's memory.
    fn epoch(&self) -> u64;

    /// Whether the log can be asked now, and what it has counted.
    fn status(&self) -> LogStatus;

    /// Drops what has ended, where that is this process's business.
    fn sweep(&self, now: UnixTime);
}

/// What a log says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// Whether proofs can be recorded now.
    pub ok: bool,
    /// In words, what is missing or how full it is. No secret.
    pub detail: String,
    /// Records held, where this process knows.
    pub records: Option<usize>,
    /// Proofs refused because the log could not be asked or was full.
    pub failed: u64,
    /// How often the log was lost since the start.
    pub lost: u64,
    /// How often its epoch changed since the start.
    pub epochs: u64,
}

/// What became of a log since it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogNews {
    pub(crate) is_lost: bool,
    pub(crate) is_back: bool,
}

impl LogStatus {
    /// What is new since the log had been lost `reported` times and, if `was_lost`, could not be
    /// asked. A log that was never lost does not come back: its first connection is no news.
    pub(crate) const fn since(&self, reported: u64, was_lost: bool) -> LogNews {
        let is_lost = self.lost > reported;
        LogNews {
            is_lost,
            is_back: self.ok && self.lost > 0 && (was_lost || is_lost),
        }
    }
}

/// How the log treats proofs that may have been used before it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplayMode {
    /// A restart opens a window: proofs used just before it can be used again
    /// until they are too old.
    BestEffort,
    /// After a restart a proof must be younger than the start, or carry a nonce
    /// made since.
    Strict,
}

/// How to set up a [`MemoryLog`], and the limits of any log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayConfig {
    /// What a restart means.
    pub mode: ReplayMode,
    /// The most records at a time in memory; each takes 20 to 40 bytes.
    pub capacity: usize,
    /// The most live records of one key that this node makes; a steady sender
    /// is served up to half of it.
    pub per_sender: usize,
    /// Nothing was accepted before this start, so no proof can have been used.
    /// Of no meaning for a shared log.
    pub first_run: bool,
}

/// Times and randomness a log starts with.
#[derive(Clone, Copy)]
pub struct ReplayStart {
    /// Now.
    pub now: UnixTime,
    /// Seconds from a proof's earliest to its latest possible use: the window's
    /// `past` and `ahead` together.
    pub window: u64,
    /// Seconds a proof's `iat` may be ahead of now.
    pub ahead: u64,
    /// A random number; spreads senders unpredictably and names the first epoch.
    pub random: u64,
}

/// Why a proof is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplayRefusal {
    /// It may have been used before this epoch.
    Epoch,
    /// Its key has too many live records.
    Flood,
    /// The log is full.
    Full,
    /// It was used before.
    Replayed,
    /// The log did not answer in time, or cannot be relied on.
    Unavailable,
}

impl ReplayRefusal {
    /// The cause in the check registry.
    #[must_use]
    pub const fn cause(self) -> Cause {
        match self {
            Self::Epoch => Cause::ReplayEpoch,
            Self::Flood => Cause::ReplayFlood,
            Self::Full => Cause::ReplayFull,
            Self::Replayed => Cause::DpopReplayed,
            Self::Unavailable => Cause::ReplayUnavailable,
        }
    }
}

impl fmt::Display for ReplayRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause().summary())
    }
}

impl std::error::Error for ReplayRefusal {}

impl fmt::Debug for ReplayStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayStart")
            .field("now", &self.now)
            .field("window", &self.window)
            .field("ahead", &self.ahead)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{LogNews, LogStatus};

    fn since(ok: bool, lost: u64, reported: u64, was_lost: bool) -> (bool, bool) {
        let status = LogStatus {
            ok,
            lost,
            ..LogStatus::default()
        };
        let LogNews { is_lost, is_back } = status.since(reported, was_lost);
        (is_lost, is_back)
    }

    #[test]
    fn a_loss_is_news_once() {
        assert_eq!(since(false, 1, 0, false), (true, false));
        assert_eq!(since(false, 1, 1, true), (false, false));
        assert_eq!(since(false, 2, 1, true), (true, false));
    }

    #[test]
    fn a_log_comes_back_once_and_only_if_it_was_lost() {
        assert_eq!(
            since(true, 0, 0, true),
            (false, false),
            "the first connection"
        );
        assert_eq!(since(true, 0, 0, false), (false, false));
        assert_eq!(since(true, 1, 1, true), (false, true));
        assert_eq!(
            since(true, 1, 0, false),
            (true, true),
            "lost and back in between"
        );
        assert_eq!(since(true, 1, 1, false), (false, false));
    }
}
