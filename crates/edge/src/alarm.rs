//! A timer that is armed only while somebody waits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that is set on the first wait and forgotten on progress.
///
/// Moving the deadline later costs no timer operation: the timer fires at its old time,
/// sees the new deadline and re-arms itself. A busy connection therefore re-arms about once
/// per limit, not once per request.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
}

impl Alarm {
    /// Forgets the deadline: there was progress, or nobody waits any more.
    pub(crate) fn clear(&mut self) {
        self.deadline = None;
    }

    /// Sets the deadline `limit` from now unless one is set, registers the task, and says
    /// whether the deadline has passed.
    pub(crate) fn has_expired(&mut self, cx: &mut Context<'_>, limit: Duration) -> bool {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + limit);
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        while let Poll::Ready(()) = sleep.as_mut().poll(cx) {
            if sleep.deadline() >= deadline {
                return true;
            }
            sleep.as_mut().reset(deadline);
        }
        false
    }
}
