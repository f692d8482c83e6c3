//! Trust domains: whose word about workloads counts, and the bundles with their keys.
//!
//! - A bundle comes from a file, a bundle endpoint (`https_web`, SPIFFE Federation
//!   section 5.2.1) or the SPIFFE Workload API of this machine; which one is
//!   configuration, never a URL in a token.
//! - The keys of one trust domain never count for another: a domain is found by scheme
//!   and name of the token's subject, compared exactly.
//! - `spiffe_sequence` never goes back. While a bundle cannot be had again, the last
//!   one serves up to its maximum age; then the domain's workloads are refused with
//!   `keys.unavailable`. A bundle that came and is empty refuses them at once.
//! - An unknown `kid` causes one fetch, shared by everybody who waits for it, and none
//!   again until a cooldown has passed.
//!
//! Does not check proofs or routes; see [`crate::Guard::check`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::jose::PublicKey;
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::token::{AccessToken, TokenHash};
use keybound_proto::uri::HttpUrl;
use keybound_proto::workload::{
    BundleError, TrustBundle, TrustDomain, WorkloadIdentityToken, WorkloadTokenRules, X509Svid,
};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::sync::watch;

use crate::fetch::{FetchError, Fetcher};

pub use self::api::{WorkloadApi, WorkloadApiError};

mod api;
mod source;

/// A trust domain whose workloads are known here.
#[derive(Clone, Debug)]
pub struct TrustDomainConfig {
    /// Its name, and what is demanded of its identity tokens.
    pub rules: WorkloadTokenRules,
    /// Where its bundle comes from.
    pub source: BundleSource,
    /// Seconds between two attempts to get the bundle.
    pub fetch_cooldown: u64,
    /// Seconds after which the bundle is fetched again, unless it says how often itself.
    pub refresh_after: u64,
    /// Seconds for which a bundle serves when it cannot be had again.
    pub max_bundle_age: u64,
}

impl TrustDomainConfig {
    /// A cooldown of 30 s, a refresh every 5 minutes, and bundles that serve up to a day.
    #[must_use]
    pub const fn new(rules: WorkloadTokenRules, source: BundleSource) -> Self {
        Self {
            rules,
            source,
            fetch_cooldown: 30,
            refresh_after: 300,
            max_bundle_age: 86_400,
        }
    }
}

/// Where a bundle comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleSource {
    /// A bundle endpoint that is authenticated by the Web PKI.
    Endpoint(HttpUrl),
    /// A file, read again now and then.
    File(PathBuf),
    /// The UNIX socket of the SPIFFE Workload API.
    WorkloadApi(PathBuf),
}

impl fmt::Display for BundleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(url) => url.fmt(f),
            Self::File(path) => path.display().fmt(f),
            Self::WorkloadApi(socket) => write!(f, "unix:{}", socket.display()),
        }
    }
}

/// Why there is no new bundle. Names places and states, nothing of the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustBundleError {
    /// The Workload API did not answer with a bundle.
    #[error("the Workload API gave no bundle: {0}")]
    Api(WorkloadApiError),
    /// The endpoint did not answer with a document.
    #[error("cannot fetch the bundle: {0}")]
    Fetch(FetchError),
    /// The file cannot be read.
    #[error("cannot read the bundle file: {0}")]
    File(String),
    /// The sequence number is lower than that of the bundle in force, or gone.
    #[error("the bundle is older than the one in force; its sequence went back")]
    SequenceWentBack,
    /// The document is not usable.
    #[error("the bundle is not usable: {0}")]
    Unusable(BundleError),
}

/// The trust domains of one guard.
#[derive(Debug, Default)]
pub struct TrustDomains {
    domains: Vec<Arc<Domain>>,
}

impl TrustDomains {
    /// The trust domains of a configuration that was checked. Fetches nothing yet.
    #[must_use]
    pub fn new(configs: Vec<TrustDomainConfig>, fetcher: &Fetcher, clock: &Arc<dyn Clock>) -> Self {
        let domain = |config| Domain::new(config, fetcher.clone(), Arc::clone(clock));
        Self {
            domains: configs.into_iter().map(domain).collect(),
        }
    }

    /// Whether no workload is known here.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Every domain.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.domains.iter()
    }

    /// The domain with this scheme and name.
    ///
    /// # Errors
    ///
    /// `wimse.wit.trust_domain`
    pub fn find(&self, name: &TrustDomain) -> Result<&Arc<Domain>, Rejection> {
        self.named(name.as_str())
            .ok_or_else(|| Rejection::new(Cause::WitTrustDomainUnknown).got(name.as_str()))
    }

    /// The domain whose URI this is: the issuer of a verified identity token.
    #[must_use]
    pub fn named(&self, uri: &str) -> Option<&Arc<Domain>> {
        self.domains
            .iter()
            .find(|domain| domain.config.rules.trust_domain.as_str() == uri)
    }
}

/// One trust domain and the bundle in force.
pub struct Domain {
    config: TrustDomainConfig,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    held: ArcSwapOption<Held>,
    attempt: Mutex<Attempt>,
    /// Certificates whose path was validated, by hash, with the bundle it was validated with.
    svids: Cache<TokenHash, (KnownSvid, Arc<TrustBundle>)>,
}

/// A certificate that a trust domain vouches for.
#[derive(Clone, Debug)]
pub struct KnownSvid {
    /// Whose it is.
    pub svid: X509Svid,
    /// As a credential like others.
    pub credential: Arc<AccessToken>,
}

/// A bundle and when it came.
#[derive(Debug)]
struct Held {
    bundle: Arc<TrustBundle>,
    fetched_at: UnixTime,
}

/// How many validated certificates are remembered for one trust domain.
const REMEMBERED_SVIDS: usize = 4096;

/// The last attempt to get the bundle.
#[derive(Debug, Default)]
struct Attempt {
    started: Option<UnixTime>,
    /// Present while a fetch is under way; closes or turns true at its end.
    flight: Option<watch::Receiver<bool>>,
    failure: Option<TrustBundleError>,
}

impl Domain {
    fn new(config: TrustDomainConfig, fetcher: Fetcher, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            config,
            fetcher,
            clock,
            held: ArcSwapOption::empty(),
            attempt: Mutex::new(Attempt::default()),
            svids: Cache::new(REMEMBERED_SVIDS),
        })
    }

    /// Verifies an identity token of this domain, fetching the bundle at most once. Gives the key
    /// that signed as well.
    ///
    /// # Errors
    ///
    /// A `wimse.wit.*` cause, or `keys.unavailable` if the bundle is not known or too old.
    pub async fn verify(
        self: &Arc<Self>,
        token: &WorkloadIdentityToken<'_>,
    ) -> Result<(AccessToken, PublicKey), Rejection> {
        let outcome = self.verify_now(token);
        let worth_asking = outcome.as_ref().is_err_and(|rejection| {
            matches!(
                rejection.cause(),
                Cause::WitKeyUnknown | Cause::KeysUnavailable
            )
        });
        if !worth_asking {
            return outcome;
        }
        self.refresh_now().await;
        // A key is only known to be unknown if the bundle was heard of since.
        match self.verify_now(token) {
            Err(rejection) if rejection.cause() == Cause::WitKeyUnknown => {
                let failure = self.attempt.lock().failure.clone();
                Err(failure.map_or(rejection, |failure| self.unavailable(Some(&failure))))
            }
            outcome => outcome,
        }
    }

    fn verify_now(
        self: &Arc<Self>,
        token: &WorkloadIdentityToken<'_>,
    ) -> Result<(AccessToken, PublicKey), Rejection> {
        self.bundle()?
            .verify(token, &self.config.rules, self.clock.now())
    }

    /// Verifies the certificate of a connection as an X.509-SVID of this domain. A path is
    /// validated once for each bundle; that the certificate is in force is asked every time.
    ///
    /// # Errors
    ///
    /// A `spiffe.*` or `certificate.*` cause, or `keys.unavailable`.
    pub async fn verify_svid(
        self: &Arc<Self>,
        certificate: &PeerCertificate,
    ) -> Result<KnownSvid, Rejection> {
        if self.usable().is_none() {
            self.refresh_now().await;
        }
        let bundle = self.bundle()?;
        let now = self.clock.now();
        let hash = TokenHash::of(certificate.der());
        let known = self.svids.get(&hash);
        if let Some((known, _)) = known.filter(|(_, with)| Arc::ptr_eq(with, &bundle)) {
            certificate.check_time(now)?;
            return Ok(known);
        }
        let domain = &self.config.rules.trust_domain;
        let svid = X509Svid::verify(certificate, domain, &bundle, now)?;
        let known = KnownSvid {
            credential: Arc::new(svid.credential()),
            svid,
        };
        self.svids.insert(hash, (known.clone(), bundle));
        Ok(known)
    }

    /// The bundle in force.
    ///
    /// # Errors
    ///
    /// `keys.unavailable`
    pub fn bundle(self: &Arc<Self>) -> Result<Arc<TrustBundle>, Rejection> {
        let Some(held) = self.usable() else {
            let failure = self.attempt.lock().failure.clone();
            return Err(self.unavailable(failure.as_ref()));
        };
        if self.is_due(&held) {
            // Nobody waits for it: the bundle still serves.
            drop(self.start());
        }
        Ok(Arc::clone(&held.bundle))
    }

    /// Whether the key is in the bundle in force: for tokens verified earlier.
    pub fn vouches_for(self: &Arc<Self>, key: &PublicKey) -> bool {
        self.bundle()
            .is_ok_and(|bundle| bundle.has_identity_token_key(key))
    }

    /// Fetches if the bundle is missing or due, and waits for it.
    pub async fn keep_fresh(self: &Arc<Self>) {
        if self.usable().is_none_or(|held| self.is_due(&held)) {
            self.refresh_now().await;
        }
    }

    /// The domain's name, whether its bundle serves, and more in words.
    #[must_use]
    pub fn status(&self) -> (&TrustDomain, bool, String) {
        let name = &self.config.rules.trust_domain;
        let failure = self.attempt.lock().failure.clone();
        match (self.usable(), failure) {
            (Some(held), None) => (name, true, describe(&held.bundle)),
            (Some(held), Some(failure)) => {
                let age = self.clock.now().seconds_since(held.fetched_at);
                let text = describe(&held.bundle);
                (name, true, format!("{text}, {age} s old: {failure}"))
            }
            (None, Some(failure)) => (name, false, failure.to_string()),
            (None, None) => (name, false, String::from("bundle not fetched yet")),
        }
    }

    /// The bundle, unless it is older than it may serve, or from a future that the clock was set
    /// back from.
    fn usable(&self) -> Option<Arc<Held>> {
        let now = self.clock.now();
        let held = self.held.load_full()?;
        let age = now.seconds_since(held.fetched_at);
        let is_from_future = held.fetched_at > now.plus(self.config.max_bundle_age);
        (age <= self.config.max_bundle_age && !is_from_future).then_some(held)
    }

    fn is_due(&self, held: &Held) -> bool {
        let hint = held.bundle.refresh_hint();
        let every = hint.map_or(self.config.refresh_after, |hint| {
            hint.clamp(self.config.fetch_cooldown.max(1), MAX_REFRESH)
        });
        self.clock.now().seconds_since(held.fetched_at) >= every
    }

    async fn refresh_now(self: &Arc<Self>) {
        if let Some(mut flight) = self.start() {
            // An error means that the fetching task is gone, which ends the wait as well.
            let _ = flight.wait_for(|done| *done).await;
        }
    }

    /// Joins the fetch under way or starts one; nothing during the cooldown. The fetch is a task
    /// of its own, so that a sender who hangs up does not cancel it for others.
    fn start(self: &Arc<Self>) -> Option<watch::Receiver<bool>> {
        let now = self.clock.now();
        let mut attempt = self.attempt.lock();
        let under_way = attempt
            .flight
            .as_ref()
            .filter(|flight| flight.has_changed().is_ok());
        if let Some(flight) = under_way {
            return Some(flight.clone());
        }
        // An attempt in the future was made before the clock was set back.
        let cooling_down = attempt.started.is_some_and(|started| {
            started <= now && now.seconds_since(started) < self.config.fetch_cooldown
        });
        if cooling_down {
            return None;
        }
        let (done, flight) = watch::channel(false);
        attempt.started = Some(now);
        attempt.flight = Some(flight.clone());
        drop(attempt);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = source::load(&this.config, &this.fetcher).await;
            this.finish(outcome);
            done.send_replace(true);
        });
        Some(flight)
    }

    fn finish(&self, outcome: Result<TrustBundle, TrustBundleError>) {
        let domain = self.config.rules.trust_domain.as_str();
        let outcome = outcome.and_then(|bundle| match self.held.load().as_deref() {
            Some(held) if !bundle.may_follow(&held.bundle) => {
                Err(TrustBundleError::SequenceWentBack)
            }
            Some(_) | None => Ok(bundle),
        });
        let mut attempt = self.attempt.lock();
        attempt.flight = None;
        match outcome {
            Ok(bundle) => {
                tracing::debug!(domain, bundle = describe(&bundle), "trust bundle fetched");
                attempt.failure = None;
                self.held.store(Some(Arc::new(Held {
                    bundle: Arc::new(bundle),
                    fetched_at: self.clock.now(),
                })));
            }
            Err(error) => {
                tracing::warn!(domain, %error, "the trust bundle cannot be had");
                attempt.failure = Some(error);
            }
        }
    }

    fn unavailable(&self, failure: Option<&TrustBundleError>) -> Rejection {
        let rejection = Rejection::new(Cause::KeysUnavailable)
            .expected(self.config.rules.trust_domain.as_str());
        match failure {
            Some(failure) => rejection.got(failure.to_string()),
            None => rejection,
        }
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain")
            .field("trust_domain", &self.config.rules.trust_domain)
            .field("source", &self.config.source)
            .finish_non_exhaustive()
    }
}

/// The longest time between two fetches, whatever a bundle says, in seconds.
const MAX_REFRESH: u64 = 86_400;

fn describe(bundle: &TrustBundle) -> String {
    format!(
        "{} identity token keys, {} authorities",
        bundle.identity_token_keys().len(),
        bundle.authorities().len()
    )
}

#[cfg(test)]
mod tests;
