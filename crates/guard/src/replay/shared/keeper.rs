//! Opens sessions and watches over them: one task for each shared log.
//!
//! A session is published when the store was found fit and the clocks agree, and
//! withdrawn as soon as a connection ends, a probe fails or comes late, or the
//! store turns out to be in another run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::store::{Facts, Opening, Session, Store, StoreError};
use super::{CLOCK_SKEW, Inner, Live};
use crate::guard::random;

/// Between two probes of a session.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Between two attempts to open one, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Runs until the log is dropped.
pub(super) async fn run<S: Store>(inner: Arc<Inner<S>>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match inner.open().await {
            Ok(live) => {
                let live = Arc::new(live);
                inner.publish(&live);
                pause = FIRST_PAUSE;
                let error = inner.watch(&live.session).await;
                inner.withdraw(&error);
            }
            Err(error) => {
                inner.say(&error);
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
        }
    }
}

impl<S: Store> Inner<S> {
    async fn open(&self) -> Result<Live<S::Session>, StoreError> {
        let no_randomness = || StoreError::Lost(String::from("the system gives no random numbers"));
        // Setting up takes several answers.
        let limit = self.settings.timeout.saturating_mul(4);
        let opening = Opening {
            slack: limit.as_secs().saturating_add(1),
            strict: self.is_strict(),
            longest: self
                .settings
                .window
                .saturating_add(2 * CLOCK_SKEW)
                .saturating_add(1),
            random: random().ok_or_else(no_randomness)?,
            secret: random().ok_or_else(no_randomness)?,
        };
        let opened = tokio::time::timeout(limit, self.store.open(&opening)).await;
        let late = |_| StoreError::Lost(String::from("it did not answer in time"));
        let (session, facts) = opened.map_err(late).flatten()?;
        self.check_clock(facts.now)?;
        Ok(Live::new(session, facts))
    }

    /// Ends with what is wrong with the session.
    async fn watch(&self, session: &S::Session) -> StoreError {
        loop {
            tokio::select! {
                () = session.closed() => {
                    return StoreError::Lost(String::from("the connection was closed"));
                }
                () = self.doubt.notified() => {}
                () = tokio::time::sleep(PROBE_EVERY) => {}
            }
            let probed = tokio::time::timeout(self.settings.timeout, session.probe()).await;
            let late = |_| StoreError::Lost(String::from("it does not answer in time"));
            let checked = probed
                .map_err(late)
                .flatten()
                .and_then(|now| self.check_clock(now));
            if let Err(error) = checked {
                return error;
            }
        }
    }

    fn check_clock(&self, store: u64) -> Result<(), StoreError> {
        let own = self.clock.now().as_secs();
        let difference = own.abs_diff(store);
        if difference <= CLOCK_SKEW {
            return Ok(());
        }
        Err(StoreError::Unfit(format!(
            "its clock and this node's differ by {difference} s; at most {CLOCK_SKEW} s are allowed"
        )))
    }

    fn publish(&self, live: &Arc<Live<S::Session>>) {
        let Facts {
            epoch, replicated, ..
        } = live.facts;
        let before = self.epoch.swap(epoch, Ordering::SeqCst);
        if before != epoch && before != 0 {
            self.epochs.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                store = self.name,
                "the replay log is in another run; proofs need a nonce made since"
            );
        }
        self.live.store(Some(Arc::clone(live)));
        self.reason.lock().clear();
        self.opened.send_replace(true);
        tracing::info!(store = self.name, replicated, "replay log opened");
    }

    fn withdraw(&self, error: &StoreError) {
        self.live.store(None);
        self.opened.send_replace(false);
        // Another run is found by asking again at once; nothing is lost that
        // would have to be reported as an outage.
        if *error != StoreError::Epoch {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        *self.reason.lock() = error.to_string();
        tracing::warn!(store = self.name, %error, "replay log lost; requests that need it are refused");
    }

    fn say(&self, error: &StoreError) {
        let text = error.to_string();
        let mut reason = self.reason.lock();
        if *reason != text {
            tracing::warn!(
                store = self.name,
                error = text,
                "the replay log cannot be opened"
            );
            *reason = text;
        }
    }
}
