//! Who may call what: each endpoint of the table goes through here.
//!
//! A guarded endpoint runs only for a token that is bound to the caller's key,
//! meant for the control plane and of the endpoint's scope, with a fresh proof
//! (RFC 9449 section 7), and not locked as of the last commit of the store: an
//! operator whose key is locked cannot unlock it. Handlers receive a
//! [`Caller`], which exists only behind this check.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::request::Parts;
use axum::http::{Request, Response};
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use keybound_guard::{HttpRequest, MethodScopes, RequestFacts, Route};
use keybound_proto::binding::{BindingMethod, BindingMethods};
use keybound_proto::event::{Event, EventKind};
use keybound_proto::rejection::Rejection;
use keybound_proto::uri::Origin;
use keybound_proto::verify::Verified;

use super::call::Call;
use super::problem;
use super::{Access, Control, Endpoint};
use crate::store::events::random_id;

/// The authenticated sender of a request.
#[derive(Clone, Debug)]
pub(super) struct Caller(Arc<Verified>);

impl Caller {
    /// The identity that stands in events as who did it.
    pub(super) fn identity(&self) -> &str {
        self.0.token().subject()
    }

    /// The OAuth client, which streams and delivered events belong to. Tokens
    /// without one are the client's own: their subject names it.
    pub(super) fn client_id(&self) -> &str {
        let token = self.0.token();
        token.client_id().unwrap_or_else(|| token.subject())
    }

    /// Whether the caller is locked by now; for answers that take long.
    pub(super) fn is_locked(&self, control: &Control) -> bool {
        control.store.locked(&self.0.revocation_query()).is_some()
    }
}

/// One endpoint with the route its callers are checked against.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    control: Arc<Control>,
    origin: Origin,
    /// `None` for public endpoints.
    route: Option<Arc<Route>>,
}

impl Gate {
    pub(super) fn new(control: &Arc<Control>, endpoint: Endpoint) -> Self {
        let route = match endpoint.access() {
            Access::Public => None,
            Access::Scope(scope) => Some(Arc::new(Route {
                scopes: MethodScopes::default().with(endpoint.method().as_str(), [scope]),
                error_detail: control.config.error_detail,
                resource_metadata: Some(control.url("/.well-known/oauth-protected-resource")),
                // What an operator orders must be covered by the proof of possession or by TLS.
                methods: BindingMethods::of(&[BindingMethod::Dpop, BindingMethod::Mtls]),
                ..Route::new(endpoint.name(), &control.config.resource)
            })),
        };
        Self {
            control: Arc::clone(control),
            origin: control.config.url.origin().clone(),
            route,
        }
    }

    async fn check(&self, route: &Route, head: &Parts, call: &Call) -> Result<Caller, Rejection> {
        let original = head.extensions.get::<OriginalUri>();
        let uri = original.map_or(&head.uri, |OriginalUri(uri)| uri);
        let presented = HttpRequest {
            certificate: head.extensions.get(),
            certificate_hash: head.extensions.get().copied(),
            // No route of the admin API asks for content that is covered.
            has_content: true,
            method: &head.method,
            path_and_query: uri.path_and_query().map_or("", |path| path.as_str()),
            headers: &head.headers,
        };
        let facts = RequestFacts {
            request_id: Some(call.request_id()),
            peer: None,
        };
        let guard = &self.control.config.guard;
        let verified = guard
            .check_http(&presented, &self.origin, route, &facts)
            .await?;
        match self.control.store.locked(&verified.revocation_query()) {
            None => Ok(Caller(Arc::new(verified))),
            Some(cause) => {
                let rejection = Rejection::new(cause).about(Arc::clone(verified.token()));
                self.record(&rejection, &verified, call);
                Err(rejection)
            }
        }
    }

    /// The guard records its own refusals; this one is the store's.
    fn record(&self, rejection: &Rejection, verified: &Verified, call: &Call) {
        let Ok(random) = random_id() else { return };
        let now_ms = self.control.clock.now_millis();
        let node = self.control.store.node();
        let token = verified.token();
        let mut event = Event::new(&random, now_ms, node, EventKind::RequestRefused)
            .with_cause(rejection.cause().id())
            .with_token_sha256(token.hash().to_hex())
            .with_issuer(token.issuer())
            .with_identity(token.subject())
            .with_request_id(call.request_id());
        if let Some(jkt) = verified.jkt() {
            event = event.with_jkt(jkt.to_string());
        }
        if let Some(token_id) = token.token_id() {
            event = event.with_token_id(token_id);
        }
        if let Some(signal) = rejection.cause().theft_signal() {
            event = event.with_signal(signal);
        }
        self.control.store.append_event_later(&event);
    }
}

/// Checks the request, then runs the endpoint.
pub(super) async fn enter(
    State(gate): State<Gate>,
    mut request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let call = Call::of(request.headers());
    request.extensions_mut().insert(call.clone());
    let Some(route) = &gate.route else {
        return next.run(request).await.into_response();
    };
    let (mut head, body) = request.into_parts();
    match gate.check(route, &head, &call).await {
        Ok(caller) => {
            head.extensions.insert(caller);
            next.run(Request::from_parts(head, body))
                .await
                .into_response()
        }
        Err(rejection) => {
            let answer = gate
                .control
                .config
                .guard
                .answer(&rejection, route, call.request_id());
            problem::refused(&answer, &rejection, gate.control.config.error_detail, &call)
        }
    }
}
