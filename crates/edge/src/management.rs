//! Health and metrics, on a listener of their own.
//!
//! | path | answer |
//! |---|---|
//! | `/livez`, `/health/live`, `/health/alive` | 200 while the process serves |
//! | `/readyz`, `/health/ready` | 200 when every check passes, else 503; lists the failing checks |
//! | `/readyz?verbose` | the same, lists every check |
//! | `/startupz`, `/health/started` | 200 once everything has started, else 503 |
//! | `/metrics` | Prometheus text format 0.0.4 |
//!
//! Nothing here needs credentials, so nothing here shows more than names of checks and figures
//! whose labels the operator chose.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// One readiness check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// A stable name, for example `gateway.revocations`.
    pub name: String,
    /// Whether requests can be served as configured.
    pub ok: bool,
    /// What was found, in plain words and without secrets.
    pub detail: String,
}

/// Gives readiness checks. Called for every probe; must be quick and must not block.
pub type ReadinessSource = Arc<dyn Fn() -> Vec<Check> + Send + Sync>;

/// Gives metrics in the Prometheus text format, each line ended.
pub type MetricsSource = Arc<dyn Fn() -> String + Send + Sync>;

/// What the management endpoints ask.
#[derive(Clone, Default)]
pub struct Management {
    readiness: Vec<ReadinessSource>,
    metrics: Vec<MetricsSource>,
    has_started: Arc<AtomicBool>,
}

impl Management {
    /// Nothing to ask yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds readiness checks.
    #[must_use]
    pub fn with_readiness(
        mut self,
        source: impl Fn() -> Vec<Check> + Send + Sync + 'static,
    ) -> Self {
        self.readiness.push(Arc::new(source));
        self
    }

    /// Adds metrics.
    #[must_use]
    pub fn with_metrics(mut self, source: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics.push(Arc::new(source));
        self
    }

    /// Says that everything has started: `/startupz` turns to 200 and `/readyz` begins to ask.
    pub fn started(&self) {
        self.has_started.store(true, Ordering::Release);
    }

    /// The endpoints.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/livez", get(livez))
            .route("/health/live", get(livez))
            .route("/health/alive", get(livez))
            .route("/readyz", get(readyz))
            .route("/health/ready", get(readyz))
            .route("/startupz", get(startupz))
            .route("/health/started", get(startupz))
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }

    fn checks(&self) -> Vec<Check> {
        let has_started = self.has_started.load(Ordering::Acquire);
        let mut checks = vec![Check {
            name: "started".to_owned(),
            ok: has_started,
            detail: if has_started {
                "everything has started"
            } else {
                "still starting"
            }
            .to_owned(),
        }];
        checks.extend(self.readiness.iter().flat_map(|source| source()));
        checks
    }
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Management")
            .field("readiness", &self.readiness.len())
            .field("metrics", &self.metrics.len())
            .finish_non_exhaustive()
    }
}

async fn livez() -> Response {
    text(StatusCode::OK, "ok\n".to_owned())
}

async fn startupz(State(management): State<Management>) -> Response {
    if management.has_started.load(Ordering::Acquire) {
        text(StatusCode::OK, "ok\n".to_owned())
    } else {
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "still starting\n".to_owned(),
        )
    }
}

async fn readyz(State(management): State<Management>, RawQuery(query): RawQuery) -> Response {
    let checks = management.checks();
    let is_verbose = query.is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some("verbose"))
    });
    let is_ready = checks.iter().all(|check| check.ok);
    let mut body = String::new();
    for check in checks.iter().filter(|check| is_verbose || !check.ok) {
        let mark = if check.ok { '+' } else { '-' };
        // Writing to a string cannot fail.
        let _ = writeln!(body, "[{mark}] {}: {}", check.name, check.detail);
    }
    if is_ready {
        body.push_str("ok\n");
        text(StatusCode::OK, body)
    } else {
        body.push_str("not ready\n");
        text(StatusCode::SERVICE_UNAVAILABLE, body)
    }
}

async fn metrics(State(management): State<Management>) -> Response {
    let mut body = String::from(concat!(
        "# HELP keybound_build_info The running version.\n",
        "# TYPE keybound_build_info gauge\n",
        "keybound_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1\n"
    ));
    for source in &management.metrics {
        body.push_str(&source());
    }
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], body).into_response()
}

fn text(status: StatusCode, body: String) -> Response {
    let fields = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, fields, body).into_response()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower_service::Service;

    use super::*;

    async fn ask(management: &Management, path: &str) -> (StatusCode, String) {
        let request = Request::builder()
            .uri(path)
            .body(Body::empty())
            .expect("request");
        let answer: Result<Response, Infallible> = management.router().call(request).await;
        let response = answer.expect("infallible");
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("body")
            .to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    fn check(name: &str, ok: bool) -> Check {
        Check {
            name: name.to_owned(),
            ok,
            detail: "as told".to_owned(),
        }
    }

    #[tokio::test]
    async fn not_ready_until_started_and_while_a_check_fails() {
        let is_well = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_well);
        let management = Management::new()
            .with_readiness(|| vec![check("always", true)])
            .with_readiness(move || vec![check("sometimes", seen.load(Ordering::Relaxed))]);
        for path in ["/startupz", "/health/started", "/readyz", "/health/ready"] {
            assert_eq!(
                ask(&management, path).await.0,
                StatusCode::SERVICE_UNAVAILABLE,
                "{path}"
            );
        }
        management.started();
        let (status, body) = ask(&management, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, "[-] sometimes: as told\nnot ready\n");
        is_well.store(true, Ordering::Relaxed);
        assert_eq!(
            ask(&management, "/readyz").await,
            (StatusCode::OK, "ok\n".to_owned())
        );
        let (_, verbose) = ask(&management, "/readyz?verbose").await;
        assert!(
            verbose.contains("[+] always: as told\n[+] sometimes: as told\n"),
            "{verbose}"
        );
        assert_eq!(ask(&management, "/startupz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn alive_whatever_the_checks_say() {
        let management = Management::new().with_readiness(|| vec![check("broken", false)]);
        for path in ["/livez", "/health/live", "/health/alive"] {
            assert_eq!(ask(&management, path).await.0, StatusCode::OK, "{path}");
        }
    }

    #[tokio::test]
    async fn metrics_of_every_source_are_shown() {
        let management = Management::new()
            .with_metrics(|| "one 1\n".to_owned())
            .with_metrics(|| "two 2\n".to_owned());
        let (status, body) = ask(&management, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.starts_with("# HELP keybound_build_info"));
        assert!(body.ends_with("one 1\ntwo 2\n"), "{body}");
        assert_eq!(ask(&management, "/else").await.0, StatusCode::NOT_FOUND);
    }
}
