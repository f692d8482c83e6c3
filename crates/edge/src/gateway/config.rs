//! What a gateway is told, and what is refused before it starts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use keybound_proto::jose::{AlgorithmSet, Signer};
use keybound_proto::uri::{HttpUrl, Origin, Scheme, request_target};
use keybound_proto::wire::ErrorDetail;

/// A gateway.
pub struct GatewayConfig {
    /// Public origin: the base of every `htu`, whatever `Host` says.
    pub url: Origin,
    /// Issuers named in the resource metadata (RFC 9728 `authorization_servers`).
    pub issuers: Vec<HttpUrl>,
    /// Proof algorithms named in the resource metadata; the guard's.
    pub proof_algorithms: AlgorithmSet,
    /// What is behind which path. Without a matching route the answer is 404.
    pub routes: Vec<RouteConfig>,
    /// Signs `Keybound-Assertion`. Needed when a route hands assertions on.
    pub assertion_key: Option<Arc<dyn Signer>>,
    /// Web origins whose pages may read answers; `None`: no CORS headers.
    pub cors: Option<CorsConfig>,
    /// Request fields, beside the built-in ones, that only the gateway may set.
    pub identity_fields: Vec<HeaderName>,
    /// How long upstreams may take.
    pub timeouts: UpstreamTimeouts,
    /// How much refusals explain to the caller.
    pub error_detail: ErrorDetail,
}

/// How much of a body is held by default until its digest is checked.
const SIGNED_BODY_BYTES: u64 = 1024 * 1024;

/// What is behind one path prefix.
#[derive(Debug, Clone)]
pub struct RouteConfig {
    /// Path prefix in canonical form, matched by whole segments: `/a` matches `/a` and `/a/b`,
    /// not `/ab`. The longest match wins.
    pub path: String,
    /// Where requests are forwarded, by plain HTTP/1.1; the path is not changed.
    pub upstream: Origin,
    /// What is asked of a request.
    pub enforcement: Enforcement,
    /// What the guard checks, and the route's name. Its `audience` is the `resource` of the
    /// metadata; its `resource_metadata` is filled in when it is `None`.
    pub check: keybound_guard::Route,
    /// How the upstream learns who calls.
    pub identity: IdentityForm,
    /// Whether `Authorization` and `DPoP` go on to the upstream. It cannot use them again, but
    /// whatever reads its logs sees them.
    pub forward_credentials: bool,
    /// Largest request body in bytes; `None`: the listener's limit.
    pub body_bytes: Option<u64>,
    /// Largest request body that is held until the digest a proof covers is checked, in bytes.
    pub signed_body_bytes: u64,
    /// Origins of agents that come without a token and are let through when their signature
    /// verifies (Web Bot Auth). Their directories are fetched, and nobody else's.
    pub agents: Vec<Origin>,
}

impl RouteConfig {
    /// A route that requires bound tokens, hands on a reusable assertion and strips credentials.
    #[must_use]
    pub fn new(path: impl Into<String>, upstream: Origin, check: keybound_guard::Route) -> Self {
        Self {
            path: path.into(),
            upstream,
            enforcement: Enforcement::Require,
            check,
            identity: IdentityForm::Assertion,
            forward_credentials: false,
            body_bytes: None,
            signed_body_bytes: SIGNED_BODY_BYTES,
            agents: Vec::new(),
        }
    }
}

/// What a route asks of a request (`observe` and `prefer` are not served yet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// Forwards without reading credentials.
    Off,
    /// A bound token and a good proof, on every request.
    Require,
}

/// How the upstream learns who calls. Only possession that was proven makes an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityForm {
    /// A signed `Keybound-Assertion`, reused for one token and upstream for at most 60 s.
    Assertion,
    /// A signed `Keybound-Assertion` for each request, with its method and URL.
    AssertionPerRequest,
    /// Plain fields, for an upstream that nobody else can reach: `Keybound-Subject`,
    /// `Keybound-Client-Id`, `Keybound-Scope`, `Keybound-Token-Id`, `Keybound-Jkt`.
    Headers,
    /// Nothing.
    None,
}

/// Cross-origin resource sharing (Fetch standard) for browser clients.
#[derive(Debug, Clone)]
pub struct CorsConfig {
    /// Web origins that may read answers. The listener must let them in, too.
    pub origins: Vec<Origin>,
    /// Request fields a page may send, beside `authorization`, `dpop` and `content-type`.
    pub request_fields: Vec<HeaderName>,
    /// How long a browser may remember a preflight.
    pub max_age: Duration,
}

/// How long upstreams may take. None of these leads to a second attempt.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamTimeouts {
    /// To accept a connection. Then 504.
    pub connect: Duration,
    /// To begin an answer, counted from the last byte of the request body that was taken.
    /// Then 504.
    pub head: Duration,
    /// Between two pieces of an answer's body. Then the answer is cut.
    pub pause: Duration,
    /// How long an idle connection is kept for the next request.
    pub idle: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(60),
            pause: Duration::from_secs(300),
            idle: Duration::from_secs(15),
        }
    }
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayConfigError {
    /// Directories of agents could never be fetched.
    #[error("the directories of agents cannot be fetched: {0}")]
    Agents(String),
    /// A route hands assertions on and there is no key to sign them.
    #[error(
        "route `{route}` hands a `Keybound-Assertion` to its upstream, but the gateway has no key to sign it; give it one, or set `identity` to `headers` or `none`"
    )]
    AssertionKeyMissing {
        /// The route's name.
        route: String,
    },
    /// A path that is not canonical would never match what was meant.
    #[error("the path `{path}` of a route is not one that requests can have: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two routes for one path.
    #[error("two routes have the path `{path}`; give one of them another, or remove it")]
    PathRepeated {
        /// The path.
        path: String,
    },
    /// The resource cannot be described by metadata at this gateway.
    #[error(
        "the resource `{resource}` of route `{route}` is not an absolute URL; tokens could never name it"
    )]
    Resource {
        /// The resource.
        resource: String,
        /// The route's name.
        route: String,
    },
    /// An upstream that needs TLS.
    #[error(
        "the upstream `{upstream}` of route `{route}` needs TLS, which this release does not speak to upstreams; use an `http` upstream on this machine"
    )]
    UpstreamScheme {
        /// The upstream.
        upstream: String,
        /// The route's name.
        route: String,
    },
}

impl GatewayConfig {
    /// Checks what types cannot say.
    pub(super) fn check(&self) -> Result<(), GatewayConfigError> {
        for (index, route) in self.routes.iter().enumerate() {
            route.check()?;
            if self
                .routes
                .iter()
                .take(index)
                .any(|other| is_same_prefix(&other.path, &route.path))
            {
                return Err(GatewayConfigError::PathRepeated {
                    path: route.path.clone(),
                });
            }
            if route.needs_key() && self.assertion_key.is_none() {
                return Err(GatewayConfigError::AssertionKeyMissing {
                    route: route.check.name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Whether two paths are one prefix, to an upstream that ignores case at least.
fn is_same_prefix(one: &str, other: &str) -> bool {
    let without_slash = |path: &str| path.trim_end_matches('/').to_ascii_lowercase();
    without_slash(one) == without_slash(other)
}

impl RouteConfig {
    fn check(&self) -> Result<(), GatewayConfigError> {
        let path_error = |reason: &str| GatewayConfigError::Path {
            path: self.path.clone(),
            reason: reason.to_owned(),
        };
        request_target::check(&self.path).map_err(|error| path_error(&error.to_string()))?;
        if self.path.contains(['?', '%', ';']) || self.path.contains("//") {
            return Err(path_error(
                "it has a query, an escape, a parameter or an empty segment",
            ));
        }
        if HttpUrl::parse(&self.check.audience).is_err() {
            let (resource, route) = (self.check.audience.clone(), self.check.name.clone());
            return Err(GatewayConfigError::Resource { resource, route });
        }
        if self.upstream.scheme() != Scheme::Http {
            let (upstream, route) = (self.upstream.to_string(), self.check.name.clone());
            return Err(GatewayConfigError::UpstreamScheme { upstream, route });
        }
        Ok(())
    }

    fn needs_key(&self) -> bool {
        let signs = match self.identity {
            IdentityForm::Assertion | IdentityForm::AssertionPerRequest => true,
            IdentityForm::Headers | IdentityForm::None => false,
        };
        signs && self.enforcement == Enforcement::Require
    }
}

impl fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayConfig")
            .field("url", &self.url)
            .field("routes", &self.routes)
            .field("signs_assertions", &self.assertion_key.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str, upstream: &str, resource: &str) -> RouteConfig {
        let check = keybound_guard::Route::new("the-route", resource);
        let mut route = RouteConfig::new(path, Origin::parse(upstream).expect("origin"), check);
        route.identity = IdentityForm::None;
        route
    }

    fn check(routes: Vec<RouteConfig>) -> Result<(), GatewayConfigError> {
        let config = GatewayConfig {
            url: Origin::parse("https://api.example.com").expect("origin"),
            issuers: Vec::new(),
            proof_algorithms: AlgorithmSet::PROOF_DEFAULT,
            routes,
            assertion_key: None,
            cors: None,
            identity_fields: Vec::new(),
            timeouts: UpstreamTimeouts::default(),
            error_detail: ErrorDetail::Minimal,
        };
        config.check()
    }

    const UPSTREAM: &str = "http://127.0.0.1:8080";
    const RESOURCE: &str = "https://api.example.com/";

    #[test]
    fn routes_that_can_never_work_are_refused_by_name() {
        for path in [
            "", "a", "/a/../b", "/a//b", "/a%20b", "/a;b", "/a?b", "/a b", "/\u{e4}",
        ] {
            let error = check(vec![route(path, UPSTREAM, RESOURCE)]).expect_err("refused");
            assert!(
                matches!(error, GatewayConfigError::Path { .. }),
                "{path}: {error}"
            );
        }
        for same in ["/a", "/a/", "/A"] {
            let twice = vec![
                route("/a", UPSTREAM, RESOURCE),
                route(same, UPSTREAM, RESOURCE),
            ];
            assert!(
                matches!(check(twice), Err(GatewayConfigError::PathRepeated { .. })),
                "{same}"
            );
        }
        let error = check(vec![route("/a", UPSTREAM, "approvals")]).expect_err("refused");
        assert!(error.to_string().contains("`the-route`"), "{error}");
        let error = check(vec![route("/a", "https://up.example", RESOURCE)]).expect_err("refused");
        assert!(
            matches!(error, GatewayConfigError::UpstreamScheme { .. }),
            "{error}"
        );
        let mut signing = route("/a", UPSTREAM, RESOURCE);
        signing.identity = IdentityForm::Assertion;
        let error = check(vec![signing.clone()]).expect_err("refused");
        assert!(
            matches!(error, GatewayConfigError::AssertionKeyMissing { .. }),
            "{error}"
        );
        signing.enforcement = Enforcement::Off;
        check(vec![signing]).expect("an open route has nobody to name");
    }

    #[test]
    fn ordinary_routes_are_accepted() {
        let routes = ["/", "/a", "/b/", "/a/b-c_d.e~f"];
        check(routes.map(|path| route(path, UPSTREAM, RESOURCE)).into()).expect("accepted");
    }
}
