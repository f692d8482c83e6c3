//! When to get a token: one request at a time for everybody who waits
//! (single flight), renewal at about four fifths of a token's life while the
//! old one is still handed out, and a jittered pause after a failure.
//!
//! A flight runs as a task of its own, so that a caller who goes away does
//! not take it along. Tokens live in memory only.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use keybound_proto::token::TokenHash;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::acquire::Acquirer;
use crate::error::HolderError;
use crate::token::BoundToken;

/// Renewal begins between these parts of a token's life, in per cent, so that
/// many holders started together do not come back together.
const RENEW_FROM: u64 = 75;
const RENEW_TO: u64 = 85;
/// The pause after the first failure and the longest one, in milliseconds.
const FIRST_PAUSE: u64 = 500;
const LONGEST_PAUSE: u64 = 60_000;
/// The longest pause a server can ask for, in milliseconds.
const LONGEST_REQUESTED_PAUSE: u64 = 300_000;
/// Milliseconds in which a refused token is replaced at most once.
const REPLACEMENT_INTERVAL: u64 = 30_000;

type Outcome = Result<BoundToken, HolderError>;
type Landing = watch::Receiver<Option<Outcome>>;

/// The token everybody shares and the flight that fetches the next one.
#[derive(Debug)]
pub(crate) struct Tokens {
    acquirer: Arc<Acquirer>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Current>,
    flight: Option<Landing>,
    failure: Option<PastFailure>,
    /// Before this time a refused token is not replaced again.
    next_replacement: u64,
}

#[derive(Clone, Debug)]
struct Current {
    token: BoundToken,
    /// In milliseconds by the holder's clock.
    renew_at: u64,
}

#[derive(Debug)]
struct PastFailure {
    error: HolderError,
    count: u32,
    /// No new attempt before this time, in milliseconds.
    until: u64,
}

enum Next {
    Use(BoundToken),
    Fail(HolderError),
    Wait(Landing),
    Launch(Flight, Option<BoundToken>),
}

impl Tokens {
    pub(crate) fn new(acquirer: Arc<Acquirer>) -> Self {
        Self {
            acquirer,
            state: Arc::default(),
        }
    }

    /// A token that has not expired.
    pub(crate) async fn token(&self) -> Outcome {
        let mut landing = match self.next() {
            Next::Use(token) => return Ok(token),
            Next::Fail(error) => return Err(error),
            Next::Wait(landing) => landing,
            Next::Launch(flight, still_valid) => {
                // Not under the lock: a runtime that is shutting down drops
                // the flight at once, and that takes the lock.
                let landing = flight.launch();
                match still_valid {
                    Some(token) => return Ok(token),
                    None => landing,
                }
            }
        };
        match landing.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(HolderError::Interrupted)),
            Err(_) => Err(HolderError::Interrupted),
        }
    }

    /// Drops a token a server refused as invalid. True when asking again is
    /// worth an attempt: another token is there already, or may be fetched.
    pub(crate) fn drop_refused(&self, refused: &TokenHash) -> bool {
        let now = self.acquirer.clock.now_millis();
        let mut state = self.state.lock();
        match &state.current {
            Some(current) if current.token.hash() == refused => {}
            _ => return true,
        }
        if now < state.next_replacement {
            return false;
        }
        state.next_replacement = now.saturating_add(REPLACEMENT_INTERVAL);
        state.current = None;
        true
    }

    fn next(&self) -> Next {
        let now = self.acquirer.clock.now_millis();
        let mut state = self.state.lock();
        let valid = state
            .current
            .clone()
            .filter(|current| now / 1000 < current.token.expires_at().as_secs());
        if let Some(current) = &valid
            && now < current.renew_at
        {
            return Next::Use(current.token.clone());
        }
        let valid = valid.map(|current| current.token);
        if let Some(landing) = &state.flight {
            return match valid {
                Some(token) => Next::Use(token),
                None => Next::Wait(landing.clone()),
            };
        }
        if let Some(failure) = &state.failure
            && now < failure.until
        {
            // An old token is better than none; none is better than a
            // hammered issuer.
            return match valid {
                Some(token) => Next::Use(token),
                None => Next::Fail(failure.error.clone()),
            };
        }
        let (outcome, landing) = watch::channel(None);
        state.flight = Some(landing);
        let flight = Flight {
            state: Arc::clone(&self.state),
            acquirer: Arc::clone(&self.acquirer),
            outcome,
            landed: false,
        };
        Next::Launch(flight, valid)
    }
}

/// A flight under way. Dropping it before it has landed, by a panic or the
/// end of the runtime, makes room for the next one.
struct Flight {
    state: Arc<Mutex<State>>,
    acquirer: Arc<Acquirer>,
    outcome: watch::Sender<Option<Outcome>>,
    landed: bool,
}

impl Flight {
    fn launch(mut self) -> Landing {
        let landing = self.outcome.subscribe();
        tokio::spawn(async move {
            let outcome = self.acquirer.acquire().await;
            self.land(&outcome);
            // Nobody waits while a still valid token is being renewed.
            let _ = self.outcome.send(Some(outcome));
        });
        landing
    }

    fn land(&mut self, outcome: &Outcome) {
        let now = self.acquirer.clock.now_millis();
        let mut state = self.state.lock();
        match outcome {
            Ok(token) => {
                state.failure = None;
                state.current = Some(Current {
                    renew_at: renew_at(token),
                    token: token.clone(),
                });
            }
            Err(error) => {
                let count = state.failure.as_ref().map_or(0, |failure| failure.count);
                let pause = pause(count, error.retry_after());
                tracing::warn!(%error, pause_ms = pause, "getting a token failed");
                state.failure = Some(PastFailure {
                    error: error.clone(),
                    count: count.saturating_add(1),
                    until: now.saturating_add(pause),
                });
            }
        }
        // In the same moment as the result, so that no caller finds neither
        // the flight nor what it brought.
        state.flight = None;
        self.landed = true;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            self.state.lock().flight = None;
        }
    }
}

fn renew_at(token: &BoundToken) -> u64 {
    let obtained = token.obtained_at().as_secs();
    let life = token.expires_at().as_secs().saturating_sub(obtained);
    let part = RENEW_FROM + random_below(RENEW_TO - RENEW_FROM + 1);
    // Per cent of seconds, in milliseconds.
    let after = life.saturating_mul(part).saturating_mul(10);
    obtained.saturating_mul(1000).saturating_add(after)
}

/// Doubles with each failure; the second half of the pause is random. A
/// server's own wish counts when it is longer.
fn pause(failures: u32, requested: Option<Duration>) -> u64 {
    let full = FIRST_PAUSE
        .saturating_mul(1_u64.checked_shl(failures).unwrap_or(u64::MAX))
        .min(LONGEST_PAUSE);
    let jittered = full / 2 + random_below(full / 2 + 1);
    let requested = requested.map_or(0, |wish| {
        u64::try_from(wish.as_millis()).unwrap_or(u64::MAX)
    });
    jittered.max(requested.min(LONGEST_REQUESTED_PAUSE))
}

/// A number from 0 to `bound - 1` for spreading load, nothing more. Without
/// random numbers there is no spread.
fn random_below(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    match rand::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes) % bound.max(1),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_are_jittered_and_bounded() {
        for (failures, least, most) in [
            (0, 250, 500),
            (1, 500, 1000),
            (6, 16_000, 32_000),
            (7, 30_000, 60_000),
            (63, 30_000, 60_000),
            (64, 30_000, 60_000),
            (u32::MAX, 30_000, 60_000),
        ] {
            for _ in 0..50 {
                let pause = pause(failures, None);
                assert!((least..=most).contains(&pause), "{failures}: {pause}");
            }
        }
        let spread: std::collections::HashSet<_> = (0..50).map(|_| pause(7, None)).collect();
        assert!(spread.len() > 1, "fifty pauses of the same length");
    }

    #[test]
    fn a_server_may_ask_for_a_longer_pause_up_to_a_limit() {
        assert_eq!(pause(0, Some(Duration::from_secs(20))), 20_000);
        assert_eq!(pause(0, Some(Duration::from_secs(9999))), 300_000);
        assert!(pause(0, Some(Duration::ZERO)) >= 250);
    }
}
