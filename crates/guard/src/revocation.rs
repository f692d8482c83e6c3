//! What this node knows to be revoked or locked: tokens by handle and by hash,
//! keys, and identities.
//!
//! The view is fed by whoever follows the control plane (Shared Signals) and
//! asked on every request; only it gives the [`NotRevoked`] that verification
//! wants. A view that follows a feed and has not heard from it within its
//! maximum age answers nothing: requests are refused with `revocation.stale`
//! (fail closed), and recover with the next sign of life.
//!
//! Entries about tokens are forgotten some time after the token's own end; they
//! refuse nothing any more then. Locks of keys and identities stay until they
//! are released or reach their stated end.
//!
//! Does not fetch, verify or store signals. [`RevocationView::snapshot`] gives
//! what a shell has to keep over a restart.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keybound_proto::cause::Cause;
use keybound_proto::signal::{SignalEvent, Subject};
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::verify::{NotRevoked, RevocationQuery};
use parking_lot::RwLock;
use tokio::sync::watch;

use self::entries::Entries;
pub use self::snapshot::{RevocationSnapshot, SnapshotEntry, SnapshotError};
use crate::tokens::TokenCache;

mod entries;
mod snapshot;

/// Seconds an entry is kept after the token's end, because clocks differ.
pub const FORGET_SKEW: u64 = 60;

/// The view. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct RevocationView {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    tokens: Arc<TokenCache>,
    max_age: Option<u64>,
    entries: RwLock<Entries>,
    /// Second of the last sign of life of the feed; 0: none yet.
    heard_from: AtomicU64,
    version: watch::Sender<u64>,
}

impl RevocationView {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        tokens: Arc<TokenCache>,
        max_age: Option<u64>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                tokens,
                max_age,
                entries: RwLock::default(),
                heard_from: AtomicU64::new(0),
                version: watch::Sender::new(0),
            }),
        }
    }

    /// Applies one signal. Doing it twice changes nothing more. `expires_at` is
    /// the end of the subject itself, after which the entry is forgotten.
    pub fn apply(&self, subject: &Subject, event: SignalEvent, expires_at: Option<UnixTime>) {
        let changed = {
            let mut entries = self.inner.entries.write();
            entries.forget(self.inner.clock.now());
            match event {
                SignalEvent::Locked => entries.insert(subject, expires_at),
                SignalEvent::Released => entries.remove(subject),
            }
        };
        match event {
            SignalEvent::Locked => self.inner.tokens.forget_subject(subject),
            SignalEvent::Released => self.inner.tokens.forget_refusals(),
        }
        if changed {
            self.inner
                .version
                .send_modify(|version| *version = version.wrapping_add(1));
        }
    }

    /// The feed showed that it is alive and that everything up to now is applied.
    pub fn heard_from(&self, now: UnixTime) {
        self.inner
            .heard_from
            .store(now.as_secs(), Ordering::Relaxed);
    }

    /// Which revocation or lock the query falls under, if any. Says nothing
    /// about how current the view is; see [`RevocationView::check`].
    #[must_use]
    pub fn contains(&self, query: &RevocationQuery) -> Option<Cause> {
        let now = self.inner.clock.now();
        self.inner.entries.read().find(query, now)
    }

    /// Answers the query of a request.
    ///
    /// # Errors
    ///
    /// [`Cause::TokenRevoked`], [`Cause::KeyLocked`], [`Cause::IdentityLocked`];
    /// [`Cause::RevocationStale`] when the view is too old to say "not revoked".
    pub fn check(&self, query: &RevocationQuery) -> Result<NotRevoked, Cause> {
        if let Some(cause) = self.contains(query) {
            return Err(cause);
        }
        if !self.is_current() {
            return Err(Cause::RevocationStale);
        }
        Ok(NotRevoked::assertion(query))
    }

    /// Whether the feed was heard from within the maximum age, or none is followed.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let Some(max_age) = self.inner.max_age else {
            return true;
        };
        let heard = UnixTime::from_secs(self.inner.heard_from.load(Ordering::Relaxed));
        let now = self.inner.clock.now();
        // Heard from in the far future means that the clock was set back since.
        now.seconds_since(heard) <= max_age && heard <= now.plus(max_age)
    }

    /// A number that grows with every change. Long answers watch it and ask
    /// [`RevocationView::check`] again when it moves.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    /// How many tokens, keys and identities are revoked or locked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.entries.read().len()
    }

    /// Whether nothing is revoked or locked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything in the view, for keeping over a restart.
    #[must_use]
    pub fn snapshot(&self) -> RevocationSnapshot {
        let mut entries = self.inner.entries.write();
        entries.forget(self.inner.clock.now());
        RevocationSnapshot::of(&entries.subjects())
    }

    /// Adds what a snapshot holds. It does not count as a sign of life of the feed.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if an entry is not understood; nothing is added then.
    pub fn restore(&self, snapshot: &RevocationSnapshot) -> Result<(), SnapshotError> {
        let subjects = snapshot.subjects()?;
        for (subject, expires_at) in subjects {
            self.apply(&subject, SignalEvent::Locked, expires_at);
        }
        Ok(())
    }

    /// Makes the view hold exactly these subjects: for a feed that starts anew
    /// with everything it knows. There is no moment without the old or the new.
    pub fn replace(&self, subjects: &[(Subject, Option<UnixTime>)]) {
        let mut fresh = Entries::default();
        for (subject, expires_at) in subjects {
            fresh.insert(subject, *expires_at);
        }
        *self.inner.entries.write() = fresh;
        for (subject, _) in subjects {
            self.inner.tokens.forget_subject(subject);
        }
        self.inner
            .version
            .send_modify(|version| *version = version.wrapping_add(1));
    }
}

impl fmt::Debug for RevocationView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationView")
            .field("len", &self.len())
            .field("max_age", &self.inner.max_age)
            .finish_non_exhaustive()
    }
}
