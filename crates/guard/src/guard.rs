//! The guard: what it holds, and what a shell may ask of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use keybound_proto::Rejection;
use keybound_proto::binding::BindingMethods;
use keybound_proto::cause::Cause;
use keybound_proto::dpop::{NonceKey, NonceRole};
use keybound_proto::event::{Event, EventKind};
use keybound_proto::time::Clock;
use keybound_proto::token::IssuerRules;
use keybound_proto::verify::{Profile, ReplayHashKey, WorkloadPolicy};
use keybound_proto::wire::{self, Answer, AnswerContext, Role};

use crate::config::{GuardConfig, GuardConfigError, Route};
use crate::fetch::Fetcher;
use crate::introspection::{ContactStatus, Introspector, Shared};
use crate::keys::{IssuerConfig, IssuerKeys};
use crate::metrics::{Gauge, Metrics};
use crate::replay::{AnyLog, ReplayLog as _, ReplayStart};
use crate::revocation::RevocationView;
use crate::sink::EventSink;
use crate::status::StatusLists;
use crate::tokens::TokenCache;
use crate::workload::TrustDomains;

pub use self::http::{Fields, HttpRequest};
pub use self::record::RequestFacts;

mod check;
mod http;
mod record;
mod vouch;
mod workload;

/// Seconds a server nonce is good for.
pub const NONCE_LIFETIME: u64 = 300;

/// Checks requests for a resource server. Cheap to clone; clones share
/// everything.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
}

struct Inner {
    node: String,
    profile: Profile,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn EventSink>,
    issuers: Vec<Issuer>,
    trust_domains: TrustDomains,
    workloads: WorkloadPolicy,
    tokens: Arc<TokenCache>,
    revocations: RevocationView,
    replay: AnyLog,
    replay_key: ReplayHashKey,
    /// How often the log was lost, and whether it was, when that was last reported.
    replay_losses: AtomicU64,
    replay_is_lost: AtomicBool,
    nonce_secrets: ArcSwap<NonceSecrets>,
    nonces: ArcSwap<Nonces>,
    metrics: Metrics,
}

/// One accepted issuer.
struct Issuer {
    rules: IssuerRules,
    keys: Arc<IssuerKeys>,
    /// The audience of its tokens on routes without one for it.
    audience: Option<String>,
    methods: BindingMethods,
    introspector: Option<Arc<Introspector>>,
    status: Option<StatusLists>,
}

/// What nonces are made with, first, and what others' nonces may be made with.
struct NonceSecrets {
    current: [u8; 32],
    also: Vec<[u8; 32]>,
}

/// The nonces of one epoch of the replay log.
struct Nonces {
    epoch: u64,
    key: NonceKey,
}

/// One thing that must hold before requests can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessCheck {
    /// What is checked, for example `keys https://auth.example.com`.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// In words, why or how far.
    pub detail: String,
}

impl Guard {
    /// Sets a guard up. Fetches nothing yet; see [`Guard::maintain`].
    ///
    /// # Errors
    ///
    /// [`GuardConfigError`].
    pub fn new(
        config: GuardConfig,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn EventSink>,
    ) -> Result<Self, GuardConfigError> {
        config.check()?;
        let tokens = Arc::new(TokenCache::new(config.token_cache));
        let window = config.profile.window;
        let start = ReplayStart {
            now: clock.now(),
            window: window.past.saturating_add(window.ahead).saturating_add(1),
            ahead: window.ahead,
            random: u64::from_be_bytes(random().ok_or(GuardConfigError::NoRandomness)?),
        };
        let replay = AnyLog::open(config.shared_replay.as_ref(), &config.replay, start, &clock)?;
        let secrets = NonceSecrets {
            current: config.nonce_secret,
            also: config.nonce_also,
        };
        let mut profile = config.profile;
        profile.opaque_tokens = config
            .issuers
            .iter()
            .any(|issuer| issuer.introspection.is_some());
        let shared = Shared {
            fetcher: Fetcher::new()?,
            clock: Arc::clone(&clock),
            answers: Arc::clone(tokens.answers()),
        };
        let issuers = config.issuers.into_iter().enumerate();
        let issuers =
            issuers.map(|(place, issuer)| Issuer::new(place, issuer, window.ahead, &shared));
        let inner = Inner {
            node: config.node,
            profile,
            workloads: config.workloads,
            trust_domains: TrustDomains::new(config.trust_domains, &shared.fetcher, &clock),
            issuers: issuers.collect(),
            revocations: RevocationView::new(
                Arc::clone(&clock),
                Arc::clone(&tokens),
                config.revocation_max_age,
            ),
            nonces: ArcSwap::from_pointee(Nonces::new(&secrets, replay.epoch())),
            replay_key: replay.hash_key(&config.nonce_secret),
            replay,
            replay_losses: AtomicU64::new(0),
            replay_is_lost: AtomicBool::new(false),
            nonce_secrets: ArcSwap::from_pointee(secrets),
            tokens,
            clock,
            sink,
            metrics: Metrics::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Turns a refusal on this route into an HTTP answer, with a nonce where one
    /// is wanted.
    #[must_use]
    pub fn answer(&self, rejection: &Rejection, route: &Route, request_id: &str) -> Answer {
        let wanted = matches!(
            rejection.cause(),
            Cause::DpopNonceAbsent | Cause::DpopNonceStale | Cause::ReplayEpoch
        );
        let nonce = (wanted || route.nonce.is_for_everybody()).then(|| self.issue_nonce());
        let detail = rejection.detail();
        let is_about_scope = rejection.cause() == Cause::ScopeInsufficient;
        let scope = detail.expected.as_deref().filter(|_| is_about_scope);
        let context = AnswerContext {
            role: Role::ResourceServer,
            methods: route.methods,
            algorithms: self.inner.profile.proof_algorithms,
            resource_metadata: route.resource_metadata.as_deref(),
            scope,
            nonce: nonce.as_deref(),
            request_id,
            detail: route.error_detail,
        };
        wire::answer(rejection, &context)
    }

    /// The nonce to offer with a successful answer, where the route demands
    /// nonces of everybody (RFC 9449 section 8.2).
    #[must_use]
    pub fn nonce_for_success(&self, route: &Route) -> Option<String> {
        route.nonce.is_for_everybody().then(|| self.issue_nonce())
    }

    /// What this node knows to be revoked or locked.
    #[must_use]
    pub fn revocations(&self) -> &RevocationView {
        &self.inner.revocations
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Everything that is counted, in Prometheus' text form.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        let inner = &self.inner;
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let gauge = |name, help, value| Gauge {
            name,
            help,
            kind: "gauge",
            value,
        };
        let counter = |name, help, value| Gauge {
            name,
            help,
            kind: "counter",
            value,
        };
        let statuses: Vec<_> = inner
            .issuers
            .iter()
            .map(|issuer| issuer.keys.status())
            .collect();
        let fetched = statuses
            .iter()
            .map(|status| status.succeeded)
            .fold(0, u64::saturating_add);
        let failed = statuses
            .iter()
            .map(|status| status.failed)
            .fold(0, u64::saturating_add);
        let replay = inner.replay.status();
        let mut gauges = vec![
            gauge(
                "keybound_replay_store_up",
                "Whether the replay log can be asked.",
                replay.ok.into(),
            ),
            counter(
                "keybound_replay_store_errors_total",
                "Proofs refused because the replay log was full or gave no answer.",
                inner
                    .metrics
                    .refusals(Cause::ReplayFull)
                    .saturating_add(inner.metrics.refusals(Cause::ReplayUnavailable)),
            ),
            counter(
                "keybound_replay_store_lost_total",
                "How often the shared replay log was lost.",
                replay.lost,
            ),
            counter(
                "keybound_replay_epochs_total",
                "How often the shared replay log was found in another run.",
                replay.epochs,
            ),
            gauge(
                "keybound_revocations",
                "Tokens, keys and identities known as revoked or locked.",
                count(inner.revocations.len()),
            ),
            gauge(
                "keybound_known_tokens",
                "Verified tokens remembered.",
                count(inner.tokens.len()),
            ),
            counter(
                "keybound_key_set_fetches_total",
                "Key sets fetched from issuers.",
                fetched,
            ),
            counter(
                "keybound_key_set_fetch_failures_total",
                "Attempts to fetch a key set that failed.",
                failed,
            ),
        ];
        gauges.extend(inner.introspection_gauges());
        if let Some(records) = replay.records {
            let help = "Records in the replay log.";
            gauges.push(gauge("keybound_replay_store_entries", help, count(records)));
        }
        inner.metrics.render(&gauges)
    }

    /// Whether the guard could serve a request now, and what is missing if not.
    #[must_use]
    pub fn readiness(&self) -> Vec<ReadinessCheck> {
        let mut checks: Vec<_> = self
            .inner
            .issuers
            .iter()
            .flat_map(Issuer::readiness)
            .collect();
        for domain in self.inner.trust_domains.iter() {
            let (name, ok, detail) = domain.status();
            checks.push(ReadinessCheck {
                name: format!("trust bundle {name}"),
                ok,
                detail,
            });
        }
        let current = self.inner.revocations.is_current();
        checks.push(ReadinessCheck {
            name: String::from("revocations"),
            ok: current,
            detail: String::from(if current {
                "current"
            } else {
                "the feed was not heard from in time"
            }),
        });
        let replay = self.inner.replay.status();
        checks.push(ReadinessCheck {
            name: String::from("replay"),
            ok: replay.ok,
            detail: replay.detail,
        });
        checks
    }

    /// What has to be done now and then, every few seconds: fetches keys that
    /// are missing or due, reports refusals that involve no genuine token as one
    /// event per cause, and gives back the memory of ended replay records.
    pub async fn maintain(&self) {
        self.report_refusals();
        self.report_replay_log();
        self.inner.replay.sweep(self.inner.clock.now());
        let issuers = self.inner.issuers.iter();
        let domains = self.inner.trust_domains.iter();
        tokio::join!(
            join_all(issuers.map(Issuer::maintain)),
            join_all(domains.map(|domain| domain.keep_fresh())),
        );
    }

    /// Records one `refusals_aggregated` event per cause of the refusals that
    /// involved no genuine token since the last call, so that strangers cannot
    /// fill the event log.
    pub fn report_refusals(&self) {
        for (cause, count) in self.inner.metrics.take_unreported() {
            if let Some(event) = self.inner.event(EventKind::RefusalsAggregated) {
                self.inner
                    .sink
                    .record(event.with_cause(cause.id()).with_count(count));
            }
        }
    }

    /// Records one event when the shared replay log was lost since the last call,
    /// and one when it is back.
    pub fn report_replay_log(&self) {
        let inner = &self.inner;
        let status = inner.replay.status();
        let reported = inner.replay_losses.swap(status.lost, Ordering::Relaxed);
        let was_lost = inner.replay_is_lost.swap(!status.ok, Ordering::Relaxed);
        let record = |kind| {
            if let Some(event) = inner.event(kind) {
                inner.sink.record(event.with_reason(&status.detail));
            }
        };
        let news = status.since(reported, was_lost);
        if news.is_lost {
            record(EventKind::ReplayLogLost);
        }
        if news.is_back {
            record(EventKind::ReplayLogRestored);
        }
    }

    /// Makes nonces with `current` from now on, and takes those made with any of
    /// `also` as well. Nodes that share secrets agree at every moment if a new one
    /// is first added everywhere, then made the current one, and the old one taken
    /// away when its last nonces have ended ([`NONCE_LIFETIME`]).
    pub fn set_nonce_secrets(&self, current: [u8; 32], also: Vec<[u8; 32]>) {
        let inner = &self.inner;
        let secrets = NonceSecrets { current, also };
        let nonces = Nonces::new(&secrets, inner.replay.epoch());
        inner.nonce_secrets.store(Arc::new(secrets));
        inner.nonces.store(Arc::new(nonces));
    }

    /// Waits until the replay log can be asked; at once for one in memory.
    pub async fn replay_log_opened(&self) {
        self.inner.replay.opened().await;
    }

    fn issue_nonce(&self) -> String {
        self.inner.nonces().key.issue(self.inner.clock.now())
    }
}

impl Inner {
    /// The nonces of the replay log's current epoch.
    fn nonces(&self) -> Arc<Nonces> {
        let epoch = self.replay.epoch();
        let nonces = self.nonces.load();
        if nonces.epoch == epoch {
            return Arc::clone(&nonces);
        }
        let renewed = Arc::new(Nonces::new(&self.nonce_secrets.load(), epoch));
        self.nonces.store(Arc::clone(&renewed));
        renewed
    }

    /// What is counted about questions to issuers.
    fn introspection_gauges(&self) -> [Gauge; 3] {
        let asked: Vec<ContactStatus> = self
            .issuers
            .iter()
            .filter_map(|issuer| issuer.introspector.as_ref())
            .map(|introspector| introspector.status())
            .collect();
        let sum =
            |count: fn(&ContactStatus) -> u64| asked.iter().map(count).fold(0, u64::saturating_add);
        let gauge = |name, help, kind, value| Gauge {
            name,
            help,
            kind,
            value,
        };
        [
            gauge(
                "keybound_introspection_requests_total",
                "Questions sent to introspection endpoints.",
                "counter",
                sum(|status| status.asked),
            ),
            gauge(
                "keybound_introspection_failures_total",
                "Questions to introspection endpoints without an acceptable answer.",
                "counter",
                sum(|status| status.failed),
            ),
            gauge(
                "keybound_introspection_under_way",
                "Questions at introspection endpoints or waiting for their turn.",
                "gauge",
                sum(|status| u64::try_from(status.under_way).unwrap_or(u64::MAX)),
            ),
        ]
    }

    /// A new event of this node; nothing if the system gives no random numbers.
    fn event(&self, kind: EventKind) -> Option<Event> {
        let id = random()?;
        Some(Event::new(&id, self.clock.now_millis(), &self.node, kind))
    }
}

impl Nonces {
    fn new(secrets: &NonceSecrets, epoch: u64) -> Self {
        let role = NonceRole::ResourceServer;
        let key = NonceKey::new(&secrets.current, role, epoch, NONCE_LIFETIME);
        Self {
            epoch,
            key: key.also_taking(&secrets.also),
        }
    }
}

impl Issuer {
    fn new(place: usize, config: IssuerConfig, ahead: u64, shared: &Shared) -> Self {
        let rules = IssuerRules {
            leniency: config.lenient,
            ahead,
            scope_claim: config.scope_claim.clone(),
            ..IssuerRules::new(config.url.as_str(), config.algorithms)
        };
        let (audience, methods) = (config.audience.clone(), config.methods);
        let (fetcher, clock) = (shared.fetcher.clone(), Arc::clone(&shared.clock));
        let keys = IssuerKeys::new(config.clone(), fetcher, clock);
        let introspector = Introspector::new((place, &config), &rules, &keys, shared);
        let places = (&config.status, &config.url);
        let ways = (shared.fetcher.clone(), Arc::clone(&shared.clock));
        let status = StatusLists::new(places, &rules, &keys, ways);
        Self {
            rules,
            keys,
            audience,
            methods,
            introspector,
            status,
        }
    }

    /// Whether anything of this issuer is verified with its keys.
    fn needs_keys(&self) -> bool {
        let asked = self.introspector.as_ref();
        let for_tokens = asked.is_none_or(|asked| asked.config().needs_keys());
        for_tokens || self.status.is_some()
    }

    async fn maintain(&self) {
        if self.needs_keys() {
            self.keys.keep_fresh().await;
        }
        if let Some(introspector) = &self.introspector {
            introspector.keep_in_touch().await;
        }
    }

    fn readiness(&self) -> Vec<ReadinessCheck> {
        let status = self.keys.status();
        let keys = self.needs_keys().then(|| ReadinessCheck {
            name: format!("keys {}", status.issuer),
            ok: status.usable,
            detail: status.detail,
        });
        let introspection = self.introspector.as_ref().map(|introspector| {
            let status = introspector.status();
            ReadinessCheck {
                name: format!("introspection {}", self.rules.issuer),
                ok: status.usable,
                detail: status.detail,
            }
        });
        keys.into_iter().chain(introspection).collect()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers = self.inner.issuers.iter().map(|issuer| &issuer.rules.issuer);
        f.debug_struct("Guard")
            .field("node", &self.inner.node)
            .field("issuers", &issuers.collect::<Vec<_>>())
            .field("tokens", &self.inner.tokens)
            .field("revocations", &self.inner.revocations)
            .field("replay", &self.inner.replay)
            .finish_non_exhaustive()
    }
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}
