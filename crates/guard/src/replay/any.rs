//! The log that a configuration asks for.
//!
//! One enum instead of a trait object: asking the log in memory costs no
//! allocation and no indirect call. Only questions that go over a network are
//! put into boxes, so that the others' futures stay small.

use std::sync::Arc;
use std::time::Duration;

use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::verify::{Recorded, ReplayHashKey, ReplayQuery, ReplayUse};

use super::address::{StoreAddress, StoreKind};
use super::shared::SharedSettings;
#[cfg(any(feature = "redis", feature = "postgres"))]
use super::shared::{SharedLog, store::Store};
use super::{LogStatus, MemoryLog, ReplayConfig, ReplayLog, ReplayRefusal, ReplayStart};

/// Any of the logs.
#[derive(Debug)]
pub enum AnyLog {
    /// In this process.
    Memory(MemoryLog),
    /// In Redis or Valkey.
    #[cfg(feature = "redis")]
    Redis(SharedLog<super::redis::RedisStore>),
    /// In PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(SharedLog<super::postgres::PostgresStore>),
}

/// A log cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenLogError {
    /// This program was built without it.
    #[error(
        "this program was built without the replay log of `{0}`; build it with the feature `{1}`"
    )]
    NotBuilt(String, &'static str),
    /// The address has a part that cannot be used.
    #[error("the replay log `{0}`: {1}")]
    Unusable(String, String),
    /// There is no runtime to connect in.
    #[error("a shared replay log needs a tokio runtime")]
    NoRuntime,
}

/// A shared log and how long one question to it may take.
#[derive(Clone, Debug)]
pub struct SharedPlace {
    /// Where it is.
    pub address: StoreAddress,
    /// How long one question may take.
    pub timeout: Duration,
}

impl AnyLog {
    /// A log in memory, or one that begins to connect to `place`.
    ///
    /// # Errors
    ///
    /// [`OpenLogError`]. A store that cannot be reached is no error here; the
    /// log says so in its status, and refuses.
    pub fn open(
        place: Option<&SharedPlace>,
        config: &ReplayConfig,
        start: ReplayStart,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, OpenLogError> {
        let Some(place) = place else {
            return Ok(Self::Memory(MemoryLog::new(config, start)));
        };
        let settings = SharedSettings {
            mode: config.mode,
            window: start.window,
            ahead: start.ahead,
            per_sender: config.per_sender,
            timeout: place.timeout,
            random: start.random,
        };
        match place.address.kind() {
            StoreKind::Redis | StoreKind::RedisCluster => Self::redis(place, settings, clock),
            StoreKind::Postgres => Self::postgres(place, settings, clock),
        }
    }

    /// The key under which proofs become this log's records, `secret` being this
    /// node's own.
    #[must_use]
    pub fn hash_key(&self, secret: &[u8; 32]) -> ReplayHashKey {
        match self {
            Self::Memory(_) => ReplayHashKey::new(secret),
            #[cfg(any(feature = "redis", feature = "postgres"))]
            _ => ReplayHashKey::for_shared_log(),
        }
    }

    /// Whether records are seen by other nodes too.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        !matches!(self, Self::Memory(_))
    }

    /// Consumes a proof, or only looks, as the route wants it.
    ///
    /// # Errors
    ///
    /// As [`ReplayLog::insert`].
    pub async fn redeem(
        &self,
        replay: ReplayUse,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> Result<Recorded, ReplayRefusal> {
        match replay {
            ReplayUse::Consume => self.insert(query, epoch, now).await,
            ReplayUse::CheckOnly => self.look(query, epoch, now).await,
        }
    }

    /// Waits until the log can be asked; at once for one in memory.
    pub async fn opened(&self) {
        match self {
            Self::Memory(_) => {}
            #[cfg(feature = "redis")]
            Self::Redis(log) => log.opened().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => log.opened().await,
        }
    }

    #[cfg(feature = "redis")]
    fn redis(
        place: &SharedPlace,
        settings: SharedSettings,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, OpenLogError> {
        let store = super::redis::RedisStore::new(&place.address);
        shared(place, store, settings, clock).map(Self::Redis)
    }

    #[cfg(not(feature = "redis"))]
    fn redis(
        place: &SharedPlace,
        _settings: SharedSettings,
        _clock: &Arc<dyn Clock>,
    ) -> Result<Self, OpenLogError> {
        Err(OpenLogError::NotBuilt(place.address.to_string(), "redis"))
    }

    #[cfg(feature = "postgres")]
    fn postgres(
        place: &SharedPlace,
        settings: SharedSettings,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, OpenLogError> {
        let store = super::postgres::PostgresStore::new(&place.address);
        shared(place, store, settings, clock).map(Self::Postgres)
    }

    #[cfg(not(feature = "postgres"))]
    fn postgres(
        place: &SharedPlace,
        _settings: SharedSettings,
        _clock: &Arc<dyn Clock>,
    ) -> Result<Self, OpenLogError> {
        Err(OpenLogError::NotBuilt(
            place.address.to_string(),
            "postgres",
        ))
    }
}

/// Begins to connect to a store whose address could be read.
#[cfg(any(feature = "redis", feature = "postgres"))]
fn shared<S: Store>(
    place: &SharedPlace,
    store: Result<S, String>,
    settings: SharedSettings,
    clock: &Arc<dyn Clock>,
) -> Result<SharedLog<S>, OpenLogError> {
    let name = place.address.to_string();
    let store = store.map_err(|error| OpenLogError::Unusable(name.clone(), error))?;
    SharedLog::start(store, name, settings, Arc::clone(clock)).ok_or(OpenLogError::NoRuntime)
}

impl ReplayLog for AnyLog {
    #[inline]
    async fn insert(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> Result<Recorded, ReplayRefusal> {
        match self {
            Self::Memory(log) => log.record(query, epoch, now),
            #[cfg(feature = "redis")]
            Self::Redis(log) => Box::pin(log.insert(query, epoch, now)).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => Box::pin(log.insert(query, epoch, now)).await,
        }
    }

    async fn look(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> Result<Recorded, ReplayRefusal> {
        match self {
            Self::Memory(log) => log.find(query, epoch, now),
            #[cfg(feature = "redis")]
            Self::Redis(log) => Box::pin(log.look(query, epoch, now)).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => Box::pin(log.look(query, epoch, now)).await,
        }
    }

    fn epoch(&self) -> u64 {
        match self {
            Self::Memory(log) => log.epoch(),
            #[cfg(feature = "redis")]
            Self::Redis(log) => log.epoch(),
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => log.epoch(),
        }
    }

    fn status(&self) -> LogStatus {
        match self {
            Self::Memory(log) => log.status(),
            #[cfg(feature = "redis")]
            Self::Redis(log) => log.status(),
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => log.status(),
        }
    }

    fn sweep(&self, now: UnixTime) {
        match self {
            Self::Memory(log) => log.sweep(now),
            #[cfg(feature = "redis")]
            Self::Redis(log) => log.sweep(now),
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => log.sweep(now),
        }
    }
}
