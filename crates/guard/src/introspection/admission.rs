//! How many tokens may be asked about at once, in all and for one peer.
//!
//! A stranger can make up tokens faster than an issuer answers. What is under
//! way is bounded: so many questions at the endpoint, a few times as many
//! waiting, and no peer more than half of them, so that a flood from one place
//! leaves room for everybody else.

use std::collections::HashMap;
use std::sync::Arc;

use keybound_proto::cause::Cause;
use parking_lot::Mutex;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// How many may wait for each that is asked about.
const WAITING: usize = 8;

/// The doorkeeper of one endpoint. Clones share their counts.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// One permit for each question that may be at the endpoint.
    at_endpoint: Semaphore,
    most: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_peer: HashMap<String, usize>,
}

/// One question's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    inner: Arc<Inner>,
    peer: String,
}

impl Admission {
    /// Room for `at_once` questions at the endpoint, and eight times as many waiting.
    pub(super) fn new(at_once: usize) -> Self {
        let at_once = at_once.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            inner: Arc::new(Inner {
                at_endpoint: Semaphore::new(at_once),
                most: at_once.saturating_mul(WAITING.saturating_add(1)),
                counts: Mutex::default(),
            }),
        }
    }

    /// Takes a place for a question that a request of this peer causes.
    ///
    /// # Errors
    ///
    /// [`Cause::IntrospectionFlood`] when this peer has its share,
    /// [`Cause::IntrospectionBusy`] when every place is taken.
    pub(super) fn enter(&self, peer: &str) -> Result<Place, Cause> {
        let inner = &self.inner;
        let mut counts = inner.counts.lock();
        let own = counts.by_peer.get(peer).copied().unwrap_or(0);
        if own >= inner.most.div_ceil(2) {
            return Err(Cause::IntrospectionFlood);
        }
        if counts.all >= inner.most {
            return Err(Cause::IntrospectionBusy);
        }
        counts.all = counts.all.saturating_add(1);
        counts
            .by_peer
            .insert(peer.to_owned(), own.saturating_add(1));
        drop(counts);
        Ok(Place {
            inner: Arc::clone(inner),
            peer: peer.to_owned(),
        })
    }

    /// How many questions are under way, waiting ones included.
    pub(super) fn len(&self) -> usize {
        self.inner.counts.lock().all
    }
}

impl Place {
    /// Waits for the turn at the endpoint.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.inner.at_endpoint.acquire().await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.inner.counts.lock();
        counts.all = counts.all.saturating_sub(1);
        let left = counts.by_peer.get_mut(&self.peer).map(|own| {
            *own = own.saturating_sub(1);
            *own
        });
        if left == Some(0) {
            counts.by_peer.remove(&self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, Cause};

    #[test]
    fn one_peer_gets_half_and_the_last_place_is_the_end() {
        let admission = Admission::new(2);
        let mut places = Vec::new();
        let refused = loop {
            match admission.enter("stranger") {
                Ok(place) => places.push(place),
                Err(cause) => break cause,
            }
        };
        assert_eq!((refused, places.len()), (Cause::IntrospectionFlood, 9));
        for number in 0..9 {
            places.push(admission.enter(&format!("peer {number}")).unwrap());
        }
        let full = admission.enter("late").map(|_| ()).unwrap_err();
        assert_eq!(full, Cause::IntrospectionBusy);
        places.remove(0);
        assert!(admission.enter("stranger").is_ok());
        drop(places);
        assert_eq!(admission.len(), 0);
        assert!(admission.inner.counts.lock().by_peer.is_empty());
    }
}
