//! The gateway: the guard in front of any HTTP API.
//!
//! ```text
//! head → target check → route → enforcement → Permitted → forward
//!         400            404     guard           │
//!                                401 403 503     └ the only function that sends upstream
//! ```
//!
//! - The path that was checked is forwarded byte for byte; a target that can be read in two
//!   ways is refused (RFC 3986 section 6.2.2), as is a spelling that a lenient upstream would
//!   take for another route.
//! - `htu` is compared with the configured public origin and the received path (RFC 9449
//!   section 4.3), never with `Host` or `X-Forwarded-*`.
//! - The upstream sees who calls in a signed `Keybound-Assertion` (public keys at
//!   `/.well-known/keybound-jwks`) or in plain fields, never the token, unless a route says so.
//!   Its own copies of those fields are removed from what clients send.
//! - Bodies stream in both directions with backpressure. Nothing is ever sent twice.
//! - Answers that outlive their permission are cut; see [`GatewayBody`].
//! - Documents of RFC 9728 are at `/.well-known/oauth-protected-resource` and, for resources
//!   with a path, under it.
//!
//! Not here: TLS, HTTP/2 to upstreams, load balancing, rewriting of paths, caches, retries,
//! method overrides in query or body (`_method`), and the enforcement modes `observe` and
//! `prefer`.

mod assertion;
mod config;
mod cors;
mod forward;
mod headers;
mod metadata;
mod metered;
mod routes;
mod service;
mod stream;
mod upstream;

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderName;
use keybound_guard::Guard;
use keybound_guard::agents::AgentDirectories;
use keybound_proto::time::Clock;
use keybound_proto::uri::Origin;
use keybound_proto::wire::ErrorDetail;

use self::assertion::Assertions;
pub use self::config::{
    CorsConfig, Enforcement, GatewayConfig, GatewayConfigError, IdentityForm, RouteConfig,
    UpstreamTimeouts,
};
use self::cors::Cors;
use self::headers::PublicOrigin;
use self::metadata::{Documents, metadata_url};
use self::routes::RouteTable;
pub use self::service::GatewayService;
pub use self::stream::{GatewayBody, StreamError};
use self::upstream::Upstream;
use crate::management::Check;
use crate::shutdown::Shutdown;

/// Pause between two rounds of housekeeping.
const MAINTENANCE: Duration = Duration::from_secs(5);

/// A gateway. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    guard: Guard,
    clock: Arc<dyn Clock>,
    url: Origin,
    public: PublicOrigin,
    routes: RouteTable<Route>,
    documents: Documents,
    assertions: Option<Assertions>,
    cors: Option<Cors>,
    identity_fields: Vec<HeaderName>,
    agents: Option<AgentDirectories>,
    error_detail: ErrorDetail,
}

/// One route, ready to use.
#[derive(Debug)]
struct Route {
    check: keybound_guard::Route,
    enforcement: Enforcement,
    identity: IdentityForm,
    forward_credentials: bool,
    body_bytes: Option<u64>,
    signed_body_bytes: u64,
    agents: Vec<Origin>,
    upstream: Arc<Upstream>,
    upstream_origin: Origin,
    /// The same for routes with the same upstream.
    upstream_number: usize,
    counters: Counters,
}

/// What became of a route's requests.
#[derive(Debug, Default)]
struct Counters {
    forwarded: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Gateway {
    /// Prepares a gateway. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`GatewayConfigError`] for what can never work.
    pub fn new(
        config: GatewayConfig,
        guard: Guard,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, GatewayConfigError> {
        config.check()?;
        let key = config.assertion_key.clone();
        let assertions = key.map(|key| Assertions::new(key, &config.url, Arc::clone(&clock)));
        let welcomes = config.routes.iter().any(|route| !route.agents.is_empty());
        let agents = welcomes
            .then(|| AgentDirectories::new(Arc::clone(&clock)))
            .transpose()
            .map_err(|error| GatewayConfigError::Agents(error.to_string()))?;
        let inner = Inner {
            agents,
            guard,
            clock,
            public: PublicOrigin::new(&config.url),
            routes: routes(&config),
            documents: Documents::new(&config),
            assertions,
            cors: config.cors.as_ref().map(Cors::new),
            url: config.url,
            identity_fields: config.identity_fields,
            error_detail: config.error_detail,
        };
        for route in inner.routes.values().filter(|route| route.is_off()) {
            tracing::warn!(
                route = route.check.name,
                "enforcement is off: credentials are not read"
            );
        }
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The service for a listener.
    #[must_use]
    pub fn service(&self) -> GatewayService {
        GatewayService::new(Arc::clone(&self.inner))
    }

    /// Does the guard's housekeeping (keys, sums of refusals, replay log) every few seconds
    /// until the shutdown begins.
    pub async fn maintain(&self, mut shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = self.inner.guard.maintain() => {}
                _ = shutdown.begun() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(MAINTENANCE) => {}
                _ = shutdown.begun() => return,
            }
        }
    }

    /// Field names, in lower case, that only the gateway sets; for the listener's
    /// [`FramingLimits::protected_fields`](crate::framing::FramingLimits::protected_fields).
    #[must_use]
    pub fn protected_fields(&self) -> Vec<String> {
        self.inner
            .identity_fields
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Readiness: the guard's checks, and which routes are not enforced (which is no failure).
    #[must_use]
    pub fn readiness(&self) -> Vec<Check> {
        let guard = self.inner.guard.readiness().into_iter().map(|check| Check {
            name: format!("gateway.{}", check.name),
            ok: check.ok,
            detail: check.detail,
        });
        let off = self
            .inner
            .routes
            .values()
            .filter(|route| route.is_off())
            .map(|route| Check {
                name: format!("gateway.route {}", route.check.name),
                ok: true,
                detail: "enforcement is off: credentials are not read".to_owned(),
            });
        guard.chain(off).collect()
    }

    /// Metrics of guard and gateway in the Prometheus text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        let mut text = self.inner.guard.render_metrics();
        text.push_str("# HELP keybound_gateway_requests_total Requests by route and outcome.\n");
        text.push_str("# TYPE keybound_gateway_requests_total counter\n");
        for route in self.inner.routes.values() {
            let counters = &route.counters;
            for (outcome, count) in [
                ("forwarded", &counters.forwarded),
                ("refused", &counters.refused),
                ("failed", &counters.failed),
            ] {
                let name = route.check.name.replace(['\\', '"', '\n'], "_");
                let count = count.load(Ordering::Relaxed);
                // Writing to a string cannot fail.
                let _ = writeln!(
                    text,
                    "keybound_gateway_requests_total{{route=\"{name}\",outcome=\"{outcome}\"}} {count}"
                );
            }
        }
        text
    }
}

/// Routes with their upstreams; one pool per upstream, however many routes lead to it.
fn routes(config: &GatewayConfig) -> RouteTable<Route> {
    let mut upstreams: Vec<(Origin, Arc<Upstream>)> = Vec::new();
    let mut table = Vec::new();
    for route in &config.routes {
        let known = upstreams
            .iter()
            .position(|(origin, _)| *origin == route.upstream);
        let number = known.unwrap_or_else(|| {
            let upstream = Arc::new(Upstream::new(&route.upstream, config.timeouts));
            upstreams.push((route.upstream.clone(), upstream));
            upstreams.len() - 1
        });
        let Some((_, upstream)) = upstreams.get(number) else {
            continue;
        };
        let mut check = route.check.clone();
        if check.resource_metadata.is_none() {
            check.resource_metadata = metadata_url(config, route);
        }
        let ready = Route {
            check,
            enforcement: route.enforcement,
            identity: route.identity,
            forward_credentials: route.forward_credentials,
            body_bytes: route.body_bytes,
            signed_body_bytes: route.signed_body_bytes,
            agents: route.agents.clone(),
            upstream: Arc::clone(upstream),
            upstream_origin: route.upstream.clone(),
            upstream_number: number,
            counters: Counters::default(),
        };
        table.push((route.path.clone(), ready));
    }
    RouteTable::new(table)
}

impl Route {
    fn is_off(&self) -> bool {
        self.enforcement == Enforcement::Off
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("url", &self.inner.url)
            .field("guard", &self.inner.guard)
            .finish_non_exhaustive()
    }
}
