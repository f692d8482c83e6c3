//! Issuers' signing keys: found by discovery, cached, never fetched more often
//! than once per cooldown.
//!
//! - Keys come from `jwks_uri` of the issuer's metadata (RFC 8414, OpenID
//!   Connect Discovery), which must name the issuer exactly, from a configured
//!   URL, or from a configured set that is never fetched. No `jku`, `x5u` or `x5c` of a token is ever followed.
//! - An unknown `kid` causes one fetch, shared by everybody who waits for it;
//!   until the cooldown has passed further unknown `kid`s cause none, whether
//!   the fetch succeeded, failed or brought an empty set (SC-235).
//! - Sets are refreshed in the background before they are old. While the issuer
//!   cannot be reached the last set serves up to its maximum age; then requests
//!   are refused with `keys.unavailable` (SC-234). There are no default keys.
//!
//! Does not verify tokens; see [`crate::Guard::check`].

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use keybound_proto::Rejection;
use keybound_proto::binding::BindingMethods;
use keybound_proto::cause::Cause;
use keybound_proto::jose::{AlgorithmSet, PublicKey};
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::token::{Leniency, TokenQuery};
use keybound_proto::uri::{HttpUrl, Origin};
use parking_lot::Mutex;
use tokio::sync::watch;

pub use self::document::{DocumentError, IssuerKey, KeySet};
use crate::fetch::{FetchError, Fetcher};
use crate::introspection::IntrospectionConfig;
use crate::status::StatusConfig;

pub mod document;

/// An issuer whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// The issuer identifier; compared exactly with `iss`.
    pub url: HttpUrl,
    /// Algorithms its tokens may be signed with.
    pub algorithms: AlgorithmSet,
    /// Where its keys are, if not found by discovery.
    pub jwks_uri: Option<HttpUrl>,
    /// Its keys, where they are given and never fetched.
    pub jwks: Option<KeySet>,
    /// Origins beside the issuer's own that a discovered `jwks_uri` may have.
    pub jwks_origins: Vec<Origin>,
    /// What its tokens may lack.
    pub lenient: Leniency,
    /// The claim that holds the scopes.
    pub scope_claim: Cow<'static, str>,
    /// The audience of its tokens on routes that do not name one for it; see
    /// [`Route::audience_of`](crate::Route::audience_of).
    pub audience: Option<String>,
    /// How its tokens may be bound, among what a route takes.
    pub methods: BindingMethods,
    /// How it is asked about tokens; `None`: never, and opaque tokens are not its.
    pub introspection: Option<IntrospectionConfig>,
    /// How its status lists are used.
    pub status: StatusConfig,
    /// Seconds between two attempts to fetch its keys.
    pub fetch_cooldown: u64,
    /// Seconds after which its keys are fetched again in the background.
    pub refresh_after: u64,
    /// Seconds for which keys serve when they cannot be fetched again.
    pub max_key_age: u64,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct IssuerKeys {
    config: IssuerConfig,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    held: ArcSwapOption<Held>,
    attempt: Mutex<Attempt>,
}

/// A set and when it came.
#[derive(Debug)]
struct Held {
    set: KeySet,
    fetched_at: UnixTime,
}

/// The last attempt to fetch.
#[derive(Debug, Default)]
struct Attempt {
    started: Option<UnixTime>,
    /// Present while a fetch is under way; closes or turns true at its end.
    flight: Option<watch::Receiver<bool>>,
    /// Where discovery found the keys.
    discovered: Option<HttpUrl>,
    failure: Option<KeysError>,
    succeeded: u64,
    failed: u64,
}

/// What is known about an issuer's keys, for readiness and metrics.
#[derive(Clone, Debug)]
pub(crate) struct KeysStatus {
    pub(crate) issuer: String,
    pub(crate) usable: bool,
    pub(crate) detail: String,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

/// Why an issuer's keys could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The key set cannot be fetched.
    #[error("cannot fetch the key set: {0}")]
    KeySetFetch(FetchError),
    /// The key set is not usable.
    #[error("the key set is not usable: {0}")]
    KeySetUnusable(DocumentError),
    /// No metadata at either well-known place.
    #[error("cannot fetch the issuer's metadata: {0}")]
    MetadataFetch(FetchError),
    /// The metadata is not usable.
    #[error("the issuer's metadata is not usable: {0}")]
    MetadataUnusable(DocumentError),
}

impl IssuerConfig {
    /// An issuer with its keys found by discovery, the algorithms of foreign
    /// issuers, no leniency, a cooldown of 30 s, a refresh every 5 minutes and
    /// keys that serve up to a day.
    #[must_use]
    pub fn new(url: HttpUrl) -> Self {
        Self {
            url,
            algorithms: AlgorithmSet::FOREIGN_TOKEN_DEFAULT,
            jwks_uri: None,
            jwks: None,
            jwks_origins: Vec::new(),
            lenient: Leniency::default(),
            scope_claim: Cow::Borrowed("scope"),
            audience: None,
            methods: BindingMethods::ALL,
            introspection: None,
            status: StatusConfig::default(),
            fetch_cooldown: 30,
            refresh_after: 300,
            max_key_age: 86_400,
        }
    }
}

impl IssuerKeys {
    pub(crate) fn new(config: IssuerConfig, fetcher: Fetcher, clock: Arc<dyn Clock>) -> Arc<Self> {
        let given = config.jwks.clone().map(|set| Held {
            set,
            fetched_at: clock.now(),
        });
        Arc::new(Self {
            config,
            fetcher,
            clock,
            held: ArcSwapOption::new(given.map(Arc::new)),
            attempt: Mutex::new(Attempt::default()),
        })
    }

    /// The keys that may have signed the token. Fetches at most once.
    ///
    /// # Errors
    ///
    /// `token.key_unknown` if the issuer publishes no such key,
    /// `keys.unavailable` if its keys are not known or too old.
    pub(crate) async fn find(
        self: &Arc<Self>,
        query: &TokenQuery,
    ) -> Result<Vec<PublicKey>, Rejection> {
        if let Some(keys) = self.known(query) {
            return Ok(keys);
        }
        self.refresh_now().await;
        if let Some(keys) = self.known(query) {
            return Ok(keys);
        }
        // An unknown key is only known to be unknown if the issuer was heard since.
        let failure = self.attempt.lock().failure.clone();
        match (self.usable(), failure) {
            (Some(_), None) => Err(Rejection::new(Cause::TokenKeyUnknown)
                .got(query.kid.as_deref().unwrap_or("no kid"))),
            (_, failure) => Err(unavailable(&self.config, failure)),
        }
    }

    /// Whether the key is in the usable set right now: for tokens verified earlier.
    pub(crate) fn vouches_for(self: &Arc<Self>, key: &PublicKey) -> bool {
        self.usable().is_some_and(|held| {
            self.refresh_if_due(&held);
            held.set.contains(key)
        })
    }

    /// Fetches if the set is missing or due, and waits for it.
    pub(crate) async fn keep_fresh(self: &Arc<Self>) {
        let due = self.usable().is_none_or(|held| self.is_due(&held));
        if due {
            self.refresh_now().await;
        }
    }

    pub(crate) fn status(&self) -> KeysStatus {
        let attempt = self.attempt.lock();
        let usable = self.usable();
        let detail = match (&usable, &attempt.failure) {
            (Some(held), None) => format!("{} keys", held.set.len()),
            (Some(held), Some(failure)) => {
                let age = self.clock.now().seconds_since(held.fetched_at);
                format!(
                    "{} keys, {age} s old, last fetch failed: {failure}",
                    held.set.len()
                )
            }
            (None, Some(failure)) => failure.to_string(),
            (None, None) => String::from("keys not fetched yet"),
        };
        KeysStatus {
            issuer: self.config.url.as_str().to_owned(),
            usable: usable.is_some(),
            detail,
            succeeded: attempt.succeeded,
            failed: attempt.failed,
        }
    }

    fn known(self: &Arc<Self>, query: &TokenQuery) -> Option<Vec<PublicKey>> {
        let held = self.usable()?;
        self.refresh_if_due(&held);
        let keys = held.set.candidates(query);
        (!keys.is_empty()).then_some(keys)
    }

    /// The set, unless it is older than it may serve.
    fn usable(&self) -> Option<Arc<Held>> {
        let held = self.held.load_full()?;
        if self.config.jwks.is_some() {
            return Some(held);
        }
        let now = self.clock.now();
        let age = now.seconds_since(held.fetched_at);
        // A set from far in the future was fetched before the clock was set
        // back: its age is not known.
        let is_from_future = held.fetched_at > now.plus(self.config.max_key_age);
        (age <= self.config.max_key_age && !is_from_future).then_some(held)
    }

    fn is_due(&self, held: &Held) -> bool {
        let age = self.clock.now().seconds_since(held.fetched_at);
        self.config.jwks.is_none() && age >= self.config.refresh_after
    }

    fn refresh_if_due(self: &Arc<Self>, held: &Held) {
        if self.is_due(held) {
            // Nobody waits for it: the set still serves.
            drop(self.start());
        }
    }

    async fn refresh_now(self: &Arc<Self>) {
        if let Some(mut flight) = self.start() {
            // An error means that the fetching task is gone, which ends the wait as well.
            let _ = flight.wait_for(|done| *done).await;
        }
    }

    /// Joins the fetch under way or starts one; nothing during the cooldown.
    /// The fetch is a task of its own, so that a sender who hangs up neither
    /// cancels it for others nor makes it happen twice.
    fn start(self: &Arc<Self>) -> Option<watch::Receiver<bool>> {
        if self.config.jwks.is_some() {
            return None;
        }
        let now = self.clock.now();
        let mut attempt = self.attempt.lock();
        let under_way = attempt
            .flight
            .as_ref()
            .filter(|flight| flight.has_changed().is_ok());
        if let Some(flight) = under_way {
            return Some(flight.clone());
        }
        if attempt.is_cooling_down(now, self.config.fetch_cooldown) {
            return None;
        }
        let (done, flight) = watch::channel(false);
        attempt.started = Some(now);
        attempt.flight = Some(flight.clone());
        let jwks_uri = attempt.discovered.clone();
        drop(attempt);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = this.fetch(jwks_uri).await;
            this.finish(outcome);
            done.send_replace(true);
        });
        Some(flight)
    }

    fn finish(&self, outcome: Result<(HttpUrl, KeySet), KeysError>) {
        let issuer = self.config.url.as_str();
        let mut attempt = self.attempt.lock();
        attempt.flight = None;
        match outcome {
            Ok((url, set)) => {
                tracing::debug!(issuer, keys = set.len(), "issuer's keys fetched");
                attempt.discovered = Some(url);
                attempt.failure = None;
                attempt.succeeded = attempt.succeeded.saturating_add(1);
                let fetched_at = self.clock.now();
                self.held.store(Some(Arc::new(Held { set, fetched_at })));
            }
            Err(error) => {
                tracing::warn!(issuer, %error, "issuer's keys cannot be fetched");
                attempt.discovered = None;
                attempt.failure = Some(error);
                attempt.failed = attempt.failed.saturating_add(1);
            }
        }
    }

    async fn fetch(&self, discovered: Option<HttpUrl>) -> Result<(HttpUrl, KeySet), KeysError> {
        let url = match self.config.jwks_uri.clone().or(discovered) {
            Some(url) => url,
            None => self.discover().await?,
        };
        let document = self
            .fetcher
            .get(&url)
            .await
            .map_err(KeysError::KeySetFetch)?;
        let set = KeySet::parse(&document).map_err(KeysError::KeySetUnusable)?;
        Ok((url, set))
    }

    async fn discover(&self) -> Result<HttpUrl, KeysError> {
        let issuer = &self.config.url;
        let metadata = self.fetcher.metadata(issuer).await;
        let metadata = metadata.map_err(KeysError::MetadataFetch)?;
        document::jwks_uri(&metadata, issuer, &self.config.jwks_origins)
            .map_err(KeysError::MetadataUnusable)
    }
}

impl Attempt {
    fn is_cooling_down(&self, now: UnixTime, cooldown: u64) -> bool {
        // An attempt in the future was made before the clock was set back.
        self.started
            .is_some_and(|started| started <= now && now.seconds_since(started) < cooldown)
    }
}

fn unavailable(config: &IssuerConfig, failure: Option<KeysError>) -> Rejection {
    let rejection = Rejection::new(Cause::KeysUnavailable).expected(config.url.as_str());
    match failure {
        Some(failure) => rejection.got(failure.to_string()),
        None => rejection,
    }
}
