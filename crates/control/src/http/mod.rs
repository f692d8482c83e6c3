//! The control plane over HTTP: admin API, event log, Shared Signals.
//!
//! [`Endpoint`] is the list of everything that is served, with what each needs;
//! the router is built from it and a test walks it, so no endpoint can be
//! added without access control. Everything but discovery documents and keys
//! takes a DPoP-bound token of the scope in the table:
//!
//! | scope | for |
//! |---|---|
//! | `keybound:read` | reading locks, tokens, events |
//! | `keybound:respond` | locking, unlocking, revoking, logging in to the issuer |
//! | `keybound:gateway` | following signals, delivering events |
//!
//! Errors are problem documents (`problem`). Not here: listeners, request
//! limits below HTTP, and the console.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};
use keybound_guard::Guard;
use keybound_proto::cause::Cause;
use keybound_proto::time::Clock;
use keybound_proto::uri::HttpUrl;
use keybound_proto::wire::ErrorDetail;

use self::access::{Gate, enter};
use self::call::Call;
use self::problem::Problem;
use crate::set_signer::SetSigner;
use crate::store::Store;

mod access;
mod call;
mod events;
mod locks;
mod log_in;
mod metadata;
mod problem;
mod signals;
mod tokens;

/// Scope for following signals and delivering events.
pub const GATEWAY_SCOPE: &str = "keybound:gateway";

/// Scope for reading.
pub const READ_SCOPE: &str = "keybound:read";

/// Scope for locking, unlocking and revoking.
pub const RESPOND_SCOPE: &str = "keybound:respond";

/// How to serve the control plane.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// Public URL, also the issuer of signals, for example `https://control.example.com`.
    pub url: HttpUrl,
    /// The audience of tokens for this API; usually the URL and `/`.
    pub resource: String,
    /// The issuer that is meant where a lock names none.
    pub token_issuer: String,
    /// Authorization servers that issue tokens for this API (RFC 9728).
    pub authorization_servers: Vec<String>,
    /// Checks callers. Its events should go to the same store.
    pub guard: Guard,
    /// Signs signals.
    pub signer: SetSigner,
    /// How much refusals explain to the caller.
    pub error_detail: ErrorDetail,
}

/// Everything handlers share.
#[derive(Debug)]
struct Control {
    config: ControlConfig,
    store: Store,
    clock: Arc<dyn Clock>,
}

/// The service: admin API, events, Shared Signals, discovery.
pub fn router(config: ControlConfig, store: Store, clock: Arc<dyn Clock>) -> Router {
    let control = Arc::new(Control {
        config,
        store,
        clock,
    });
    let mut router = Router::new();
    for endpoint in Endpoint::ALL {
        let gate = Gate::new(&control, endpoint);
        let guarded = endpoint.handler().layer(from_fn_with_state(gate, enter));
        router = router.route(endpoint.path(), guarded);
    }
    router
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(control)
}

/// Everything that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    CreateLock,
    CreateLogInLink,
    CreateStream,
    DeleteStream,
    DeliverEvents,
    Jwks,
    ListEvents,
    ListLocks,
    Poll,
    ReleaseLock,
    ReleaseLockByBody,
    ResourceMetadata,
    RevokeToken,
    ShowStream,
    ShowToken,
    SsfConfiguration,
}

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Public,
    Scope(&'static str),
}

impl Endpoint {
    const ALL: [Self; 16] = [
        Self::CreateLock,
        Self::CreateLogInLink,
        Self::CreateStream,
        Self::DeleteStream,
        Self::DeliverEvents,
        Self::Jwks,
        Self::ListEvents,
        Self::ListLocks,
        Self::Poll,
        Self::ReleaseLock,
        Self::ReleaseLockByBody,
        Self::ResourceMetadata,
        Self::RevokeToken,
        Self::ShowStream,
        Self::ShowToken,
        Self::SsfConfiguration,
    ];

    /// Name, method, path and access: one line per endpoint.
    fn row(self) -> (&'static str, Method, &'static str, Access) {
        use Access::{Public, Scope};
        const DELETE: Method = Method::DELETE;
        const GET: Method = Method::GET;
        const POST: Method = Method::POST;
        const GATEWAY: Access = Scope(GATEWAY_SCOPE);
        const READ: Access = Scope(READ_SCOPE);
        const RESPOND: Access = Scope(RESPOND_SCOPE);
        match self {
            Self::CreateLock => ("create_lock", POST, "/v1/locks", RESPOND),
            Self::CreateLogInLink => ("create_log_in_link", POST, "/v1/log-in-links", RESPOND),
            Self::CreateStream => ("create_stream", POST, "/ssf/streams", GATEWAY),
            Self::DeleteStream => ("delete_stream", DELETE, "/ssf/streams", GATEWAY),
            Self::DeliverEvents => ("deliver_events", POST, "/v1/events", GATEWAY),
            Self::Jwks => ("jwks", GET, "/jwks", Public),
            Self::ListEvents => ("list_events", GET, "/v1/events", READ),
            Self::ListLocks => ("list_locks", GET, "/v1/locks", READ),
            Self::Poll => ("poll", POST, "/ssf/poll", GATEWAY),
            Self::ReleaseLock => ("release_lock", DELETE, "/v1/locks/{kind}/{value}", RESPOND),
            Self::ReleaseLockByBody => ("release_lock", POST, "/v1/locks/release", RESPOND),
            Self::ResourceMetadata => (
                "resource_metadata",
                GET,
                "/.well-known/oauth-protected-resource",
                Public,
            ),
            Self::RevokeToken => ("revoke_token", POST, "/v1/tokens/revoke", RESPOND),
            Self::ShowStream => ("show_stream", GET, "/ssf/streams", GATEWAY),
            Self::ShowToken => ("show_token", GET, "/v1/tokens/{token}", READ),
            Self::SsfConfiguration => (
                "ssf_configuration",
                GET,
                "/.well-known/ssf-configuration",
                Public,
            ),
        }
    }

    fn name(self) -> &'static str {
        self.row().0
    }

    fn method(self) -> Method {
        self.row().1
    }

    fn path(self) -> &'static str {
        self.row().2
    }

    fn access(self) -> Access {
        self.row().3
    }

    fn handler(self) -> MethodRouter<Arc<Control>> {
        match self {
            Self::CreateLock => post(locks::create),
            Self::CreateLogInLink => post(log_in::create),
            Self::CreateStream => post(signals::create_stream),
            Self::DeleteStream => delete(signals::delete_stream),
            Self::DeliverEvents => post(events::deliver),
            Self::Jwks => get(metadata::jwks),
            Self::ListEvents => get(events::list),
            Self::ListLocks => get(locks::list),
            Self::Poll => post(signals::poll),
            Self::ReleaseLock => delete(locks::release),
            Self::ReleaseLockByBody => post(locks::release_by_body),
            Self::ResourceMetadata => get(metadata::resource),
            Self::RevokeToken => post(tokens::revoke),
            Self::ShowStream => get(signals::show_stream),
            Self::ShowToken => get(tokens::show),
            Self::SsfConfiguration => get(metadata::ssf),
        }
    }
}

impl Control {
    /// An absolute URL below the public one.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.config.url.as_str().trim_end_matches('/'))
    }
}

/// A JSON answer that nobody caches.
fn json(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer, or the problem.
fn answer(result: Result<Response<Body>, Problem>, call: &Call) -> Response<Body> {
    result.unwrap_or_else(|problem| problem.respond(call))
}

async fn unknown(headers: HeaderMap) -> Response<Body> {
    Problem::not_found("no such endpoint").respond(&Call::of(&headers))
}

async fn wrong_method(headers: HeaderMap) -> Response<Body> {
    Problem::of(Cause::MethodNotAllowed).respond(&Call::of(&headers))
}

#[cfg(test)]
mod tests;
