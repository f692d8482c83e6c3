//! Agents that come without a token (Web Bot Auth): their directories, fetched
//! and kept.
//!
//! A directory is fetched only from an origin that the caller of
//! [`AgentDirectories::verify`] welcomes, so no stranger makes this server call
//! anybody. Fetches have the limits of [`crate::fetch`]. A directory is kept for
//! five minutes, and fetched again earlier, at most every 30 seconds, for a key it
//! does not have; while its origin cannot be reached, one that is not older than
//! an hour still counts. However many requests wait, there is one fetch.
//!
//! What is verified is who sent a request. This module keeps no record of
//! nonces: a signature can be used again until it expires.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::jose::Jkt;
use keybound_proto::signature::SignedRequest;
use keybound_proto::signature::agent::{
    AgentDirectory, AgentSignature, DIRECTORY_PATH, MAX_DIRECTORY_BYTES, VerifiedAgent,
};
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::uri::{HttpUrl, Origin};
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;

use crate::fetch::{Fetcher, FetcherError};
use crate::guard::Fields;

/// Seconds a directory is taken for current.
const FRESH: u64 = 300;

/// Seconds between two fetches for a key that is not there, or after a failure.
const COOLDOWN: u64 = 30;

/// Seconds a directory counts while its origin cannot be reached.
const STALE: u64 = 3_600;

/// The directories of the agents that are welcome. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct AgentDirectories {
    inner: Arc<Inner>,
}

struct Inner {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    /// By origin. There are no more than are welcome somewhere.
    slots: Mutex<HashMap<Origin, Arc<AsyncMutex<Slot>>>>,
}

/// What is known of one agent's directory.
#[derive(Default)]
struct Slot {
    directory: Option<(Arc<AgentDirectory>, UnixTime)>,
    tried: Option<UnixTime>,
}

impl AgentDirectories {
    /// No directory yet.
    ///
    /// # Errors
    ///
    /// [`FetcherError`] when TLS cannot be set up.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, FetcherError> {
        Ok(Self {
            inner: Arc::new(Inner {
                fetcher: Fetcher::new()?,
                clock,
                slots: Mutex::default(),
            }),
        })
    }

    /// Verifies the signature of an agent that is among `welcome`.
    ///
    /// # Errors
    ///
    /// An `httpsig.*` cause; `httpsig.key_unknown` for an agent that is not welcome;
    /// `keys.unavailable` if its directory cannot be had.
    pub async fn verify(
        &self,
        request: SignedRequest<'_>,
        welcome: &[Origin],
    ) -> Result<VerifiedAgent, Rejection> {
        let signature = AgentSignature::read(request, self.inner.clock.now())?;
        let agent = signature.claimed_agent();
        if !welcome.contains(agent) {
            return Err(Rejection::new(Cause::HttpsigKeyUnknown).got(agent.as_str()));
        }
        let directory = self.directory(agent, signature.keyid()).await?;
        signature.verify(&directory)
    }

    async fn directory(
        &self,
        agent: &Origin,
        keyid: Jkt,
    ) -> Result<Arc<AgentDirectory>, Rejection> {
        let slot = {
            let mut slots = self.inner.slots.lock();
            Arc::clone(slots.entry(agent.clone()).or_default())
        };
        // Whoever waits here finds what the one before has fetched.
        let mut slot = slot.lock().await;
        let now = self.inner.clock.now();
        if let Some(directory) = slot.current(keyid, now) {
            return Ok(directory);
        }
        if slot.may_try(now) {
            slot.tried = Some(now);
            match self.fetch(agent, now).await {
                Ok(directory) => slot.directory = Some((Arc::new(directory), now)),
                Err(rejection) => {
                    tracing::warn!(agent = agent.as_str(), %rejection, "no directory");
                }
            }
        }
        slot.usable(now)
            .ok_or_else(|| Rejection::new(Cause::KeysUnavailable).got(agent.as_str()))
    }

    async fn fetch(&self, agent: &Origin, now: UnixTime) -> Result<AgentDirectory, Rejection> {
        let unavailable = |text: String| Rejection::new(Cause::KeysUnavailable).got(text);
        let url = HttpUrl::parse(&format!("{agent}{DIRECTORY_PATH}"))
            .map_err(|error| unavailable(error.to_string()))?;
        let document = self
            .inner
            .fetcher
            .get_with_fields(&url, MAX_DIRECTORY_BYTES);
        let (fields, content) = document
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        AgentDirectory::read(agent, (200, &Fields(&fields)), &content, now)
    }
}

impl Slot {
    /// The directory, if it need not be fetched for this key.
    fn current(&self, keyid: Jkt, now: UnixTime) -> Option<Arc<AgentDirectory>> {
        let (directory, fetched) = self.directory.as_ref()?;
        let is_fresh = now.seconds_since(*fetched) < FRESH;
        (is_fresh && directory.key(keyid).is_some()).then(|| Arc::clone(directory))
    }

    fn may_try(&self, now: UnixTime) -> bool {
        self.tried
            .is_none_or(|tried| now.seconds_since(tried) >= COOLDOWN)
    }

    /// The directory as far as it may be used at all.
    fn usable(&self, now: UnixTime) -> Option<Arc<AgentDirectory>> {
        let (directory, fetched) = self.directory.as_ref()?;
        (now.seconds_since(*fetched) < STALE).then(|| Arc::clone(directory))
    }
}

impl fmt::Debug for AgentDirectories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentDirectories").finish_non_exhaustive()
    }
}
