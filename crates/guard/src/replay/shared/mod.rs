//! A replay log that several nodes share.
//!
//! The store answers "new" or "seen"; everything else is decided here, the same
//! for every kind of store:
//!
//! - **Runs.** A session belongs to one run of the store, and its epoch names
//!   that run. In strict mode a proof needs an `iat` later than the beginning of
//!   the run by the window ahead and the clocks' difference, or a nonce made
//!   over the run. On a store that replicates asynchronously every proof needs
//!   such a nonce: a fail-over may forget what was recorded, but it also begins
//!   another run, and a proof carries the nonce of one run only.
//! - **Clocks.** Records end by the store's clock. A node whose clock differs
//!   from it by more than [`CLOCK_SKEW`] is refused service, and records live
//!   twice that much longer than their proofs.
//! - **Time limits.** An answer that takes longer than the limit is a refusal.
//!   After that, and whenever there is no session, refusals come at once, until
//!   the keeper has opened a session again. It tries by itself, with growing
//!   pauses.
//! - **Secrets.** What is stored is hashed under a secret that lives in the
//!   store itself, so nodes cannot disagree about it.
//!
//! There is no fall-back: without an answer nothing is accepted, in either mode.
//!
//! Not here: the stores themselves (`redis`, `postgres`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::hmac;
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::verify::{Recorded, ReplayQuery, ReplayUse};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use self::store::{Answer, Facts, Session, Store, StoreError};
use super::senders::Senders;
use super::{BUCKET_SECONDS, LogStatus, ReplayLog, ReplayMode, ReplayRefusal};

mod keeper;
pub mod store;

/// How far a node's clock may differ from the store's, seconds.
pub const CLOCK_SKEW: u64 = 15;

/// More callers than this do not wait for one log at a time.
const MOST_WAITING: usize = 16_384;

/// How a shared log is set up.
#[derive(Clone, Copy)]
pub struct SharedSettings {
    /// What another run of the store means.
    pub mode: ReplayMode,
    /// Seconds from a proof's earliest to its latest possible use.
    pub window: u64,
    /// Seconds a proof's `iat` may be ahead of now.
    pub ahead: u64,
    /// The most live records of one key that this node makes.
    pub per_sender: usize,
    /// How long one question to the store may take.
    pub timeout: Duration,
    /// A random number that spreads senders unpredictably.
    pub random: u64,
}

/// A replay log over a store. Dropping it ends its connections.
pub struct SharedLog<S: Store> {
    inner: Arc<Inner<S>>,
    keeper: AbortHandle,
}

struct Inner<S: Store> {
    store: S,
    name: String,
    settings: SharedSettings,
    clock: Arc<dyn Clock>,
    senders: Senders,
    live: ArcSwapOption<Live<S::Session>>,
    opened: watch::Sender<bool>,
    /// Why there is no session, for people.
    reason: Mutex<String>,
    /// Asks the keeper to look at the session now.
    doubt: Notify,
    waiting: AtomicUsize,
    epoch: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
    epochs: AtomicU64,
}

/// A session that may be asked.
struct Live<T> {
    session: T,
    facts: Facts,
    hash: hmac::Key,
}

/// One caller who waits; counted down when dropped.
struct Waiting<'l>(&'l AtomicUsize);

impl<S: Store> SharedLog<S> {
    /// Starts to connect, in the background. `name` says where the store is.
    ///
    /// # Errors
    ///
    /// `None` outside a tokio runtime.
    #[must_use]
    pub fn start(
        store: S,
        name: String,
        settings: SharedSettings,
        clock: Arc<dyn Clock>,
    ) -> Option<Self> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let kept = settings.window.saturating_add(BUCKET_SECONDS);
        let inner = Arc::new(Inner {
            store,
            name,
            settings,
            clock,
            senders: Senders::new(settings.per_sender, kept, 1 << 14, settings.random),
            live: ArcSwapOption::empty(),
            opened: watch::Sender::new(false),
            reason: Mutex::new(String::from("not connected yet")),
            doubt: Notify::new(),
            waiting: AtomicUsize::new(0),
            epoch: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            epochs: AtomicU64::new(0),
        });
        let keeper = runtime.spawn(keeper::run(Arc::clone(&inner)));
        Some(Self {
            inner,
            keeper: keeper.abort_handle(),
        })
    }

    /// Waits until the log can be asked.
    pub async fn opened(&self) {
        // The sender lives as long as this log, so waiting never fails.
        let _ = self
            .inner
            .opened
            .subscribe()
            .wait_for(|opened| *opened)
            .await;
    }
}

impl<S: Store> ReplayLog for SharedLog<S> {
    async fn insert(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> Result<Recorded, ReplayRefusal> {
        self.inner.ask(query, epoch, now, ReplayUse::Consume).await
    }

    async fn look(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> Result<Recorded, ReplayRefusal> {
        self.inner
            .ask(query, epoch, now, ReplayUse::CheckOnly)
            .await
    }

    fn epoch(&self) -> u64 {
        self.inner.epoch.load(Ordering::SeqCst)
    }

    fn status(&self) -> LogStatus {
        let inner = &self.inner;
        let live = inner.live.load();
        let detail = match live.as_deref() {
            Some(live) if live.facts.replicated && inner.is_strict() => {
                format!("{}, replicated: every proof needs a nonce", inner.name)
            }
            Some(_) => inner.name.clone(),
            None => format!("{} is not usable: {}", inner.name, inner.reason.lock()),
        };
        LogStatus {
            ok: live.is_some(),
            detail,
            records: None,
            failed: inner.failed.load(Ordering::Relaxed),
            lost: inner.lost.load(Ordering::Relaxed),
            epochs: inner.epochs.load(Ordering::Relaxed),
        }
    }

    fn sweep(&self, _now: UnixTime) {}
}

impl<S: Store> Inner<S> {
    async fn ask(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
        replay: ReplayUse,
    ) -> Result<Recorded, ReplayRefusal> {
        let answer = self.ask_in_time(query, epoch, now, replay).await;
        if matches!(
            answer,
            Err(ReplayRefusal::Unavailable | ReplayRefusal::Full)
        ) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    async fn ask_in_time(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
        replay: ReplayUse,
    ) -> Result<Recorded, ReplayRefusal> {
        let live = self.live.load_full().ok_or(ReplayRefusal::Unavailable)?;
        self.check_memory_reaches(&live.facts, &query, epoch)?;
        if replay == ReplayUse::Consume && !self.senders.has_room(query.sender(), now.as_secs()) {
            return Err(ReplayRefusal::Flood);
        }
        let waiting = Waiting::join(&self.waiting).ok_or(ReplayRefusal::Full)?;
        let key = live.key(query.key());
        let limit = self.settings.timeout;
        let answered = match replay {
            ReplayUse::Consume => {
                let lifetime = lifetime(&query, now);
                tokio::time::timeout(limit, live.session.insert(key, lifetime)).await
            }
            ReplayUse::CheckOnly => tokio::time::timeout(limit, live.session.look(key)).await,
        };
        drop(waiting);
        let late = |_| StoreError::Lost(String::from("it did not answer in time"));
        self.take(answered.map_err(late).flatten(), now)?;
        Ok(match replay {
            ReplayUse::Consume => {
                // What was recorded counts, also when others of the same key
                // were quicker and used up the room.
                self.senders.admit(query.sender(), now.as_secs());
                Recorded::assertion(query)
            }
            ReplayUse::CheckOnly => Recorded::looked_up(query),
        })
    }

    /// Refuses a proof whose earlier use the store could have forgotten.
    fn check_memory_reaches(
        &self,
        facts: &Facts,
        query: &ReplayQuery,
        epoch: u64,
    ) -> Result<(), ReplayRefusal> {
        if !self.is_strict() || (query.recent_nonce() && epoch == facts.epoch) {
            return Ok(());
        }
        let since = facts
            .began
            .saturating_add(self.settings.ahead)
            .saturating_add(CLOCK_SKEW);
        if !facts.replicated && query.issued_at().as_secs() > since {
            return Ok(());
        }
        Err(ReplayRefusal::Epoch)
    }

    fn take(&self, answer: Result<Answer, StoreError>, now: UnixTime) -> Result<(), ReplayRefusal> {
        match answer {
            Ok(answer) if !answer.new => Err(ReplayRefusal::Replayed),
            Ok(answer) if now.as_secs().abs_diff(answer.now) > CLOCK_SKEW => {
                self.doubt.notify_one();
                Err(ReplayRefusal::Unavailable)
            }
            Ok(_) => Ok(()),
            Err(error) => {
                self.doubt.notify_one();
                Err(match error {
                    StoreError::Epoch => ReplayRefusal::Epoch,
                    StoreError::Full => ReplayRefusal::Full,
                    StoreError::Lost(_) | StoreError::Unfit(_) => ReplayRefusal::Unavailable,
                })
            }
        }
    }

    fn is_strict(&self) -> bool {
        self.settings.mode == ReplayMode::Strict
    }
}

impl<T> Live<T> {
    fn new(session: T, facts: Facts) -> Self {
        Self {
            session,
            hash: hmac::Key::new(hmac::HMAC_SHA256, &facts.secret),
            facts,
        }
    }

    /// The record's key under the store's own secret.
    fn key(&self, key: u128) -> u128 {
        let tag = hmac::sign(&self.hash, &key.to_be_bytes());
        let first = tag.as_ref().first_chunk();
        first.map_or(0, |bytes| u128::from_be_bytes(*bytes))
    }
}

impl<'l> Waiting<'l> {
    fn join(count: &'l AtomicUsize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long a record must live by the store's clock, so that by every node's
/// clock it lives at least as long as its proof.
fn lifetime(query: &ReplayQuery, now: UnixTime) -> u64 {
    query
        .expires_at()
        .seconds_since(now)
        .saturating_add(2 * CLOCK_SKEW)
        .saturating_add(1)
}

impl<S: Store> Drop for SharedLog<S> {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl<S: Store> fmt::Debug for SharedLog<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLog")
            .field("store", &self.inner.name)
            .field("opened", &*self.inner.opened.borrow())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SharedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSettings")
            .field("mode", &self.mode)
            .field("window", &self.window)
            .field("per_sender", &self.per_sender)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
