//! Answers: JSON that nobody caches, and refusals by way of the one mapping
//! from cause to wire.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use keybound_proto::binding::BindingMethods;
use keybound_proto::cause::Cause;
use keybound_proto::event::EventKind;
use keybound_proto::rejection::Rejection;
use keybound_proto::wire::{self, AnswerContext, Role};

use crate::flow::client::Client;
use crate::random;
use crate::state::Core;

/// Server nonces (RFC 9449 section 8).
pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// The id under which logs and events know a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is taken from the listener, in bytes.
const MAX_REQUEST_ID: usize = 64;

/// What is known of a request before anything in it is believed.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The request's id.
    pub(super) request_id: String,
    /// Which endpoint, for events and logs.
    pub(super) endpoint: &'static str,
}

impl Call {
    /// The listener's id where there is one of harmless form, else a new one.
    pub(super) fn of(headers: &HeaderMap, endpoint: &'static str) -> Self {
        let harmless = |id: &&str| {
            (1..=MAX_REQUEST_ID).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        let given = headers
            .get(REQUEST_ID)
            .and_then(|id| id.to_str().ok())
            .filter(harmless);
        Self {
            request_id: given.map_or_else(random::request_id, ToOwned::to_owned),
            endpoint,
        }
    }
}

/// A refusal, and the client it was said to, once that is proven.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) rejection: Rejection,
    pub(super) client: Option<Arc<Client>>,
}

impl<R: Into<Rejection>> From<R> for Refusal {
    fn from(rejection: R) -> Self {
        Self {
            rejection: rejection.into(),
            client: None,
        }
    }
}

impl Refusal {
    /// A refusal said to an authenticated client.
    pub(super) fn to(client: &Arc<Client>, rejection: impl Into<Rejection>) -> Self {
        Self {
            rejection: rejection.into(),
            client: Some(Arc::clone(client)),
        }
    }
}

/// A JSON answer that is not to be cached.
pub(super) fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Answers a refusal, and leaves its trace in log and events.
pub(super) async fn refuse(core: &Core, call: &Call, refusal: Refusal) -> Response<Body> {
    let Refusal { rejection, client } = refusal;
    let client_id = client.as_ref().map(|client| client.id.as_str());
    tracing::info!(
        request_id = call.request_id,
        endpoint = call.endpoint,
        cause = rejection.cause().id(),
        client_id,
        reason = %rejection,
        "refused"
    );
    core.metrics().refused(rejection.cause());
    if let Some(client) = &client
        && is_worth_an_event(rejection.cause())
    {
        record(core, call, &rejection, client).await;
    }
    answer(core, call, &rejection, client.as_deref())
}

/// The answer to a refusal, without leaving a trace.
pub(super) fn answer(
    core: &Core,
    call: &Call,
    rejection: &Rejection,
    client: Option<&Client>,
) -> Response<Body> {
    let nonce = core.offered_nonce(Some(rejection.cause()), client);
    let answer = wire::answer(
        rejection,
        &AnswerContext {
            role: Role::AuthorizationServer,
            methods: BindingMethods::ALL,
            algorithms: core.config().profile.proof_algorithms,
            resource_metadata: None,
            scope: None,
            nonce: nonce.as_deref(),
            request_id: &call.request_id,
            detail: core.config().error_detail,
        },
    );
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, answer.body);
    set(&mut response, header::WWW_AUTHENTICATE, answer.challenge);
    set(&mut response, DPOP_NONCE, answer.dpop_nonce);
    set(
        &mut response,
        header::RETRY_AFTER,
        answer.retry_after.map(|seconds| seconds.to_string()),
    );
    response
}

/// Sets a header whose value we made; one that is no header value is left out.
pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        response.headers_mut().insert(name, value);
    }
}

/// 404 for what is not served.
pub(super) async fn unknown_route(
    State(core): State<Arc<Core>>,
    request: Request<Body>,
) -> Response<Body> {
    let call = Call::of(request.headers(), "none");
    answer(&core, &call, &Cause::RouteUnknown.into(), None)
}

/// 405; axum adds `Allow`.
pub(super) async fn wrong_method(
    State(core): State<Arc<Core>>,
    request: Request<Body>,
) -> Response<Body> {
    let call = Call::of(request.headers(), "none");
    answer(&core, &call, &Cause::MethodNotAllowed.into(), None)
}

/// A nonce challenge is part of the ordinary conversation, and what the store
/// cannot do cannot be stored.
const fn is_worth_an_event(cause: Cause) -> bool {
    !cause.is_retryable()
}

async fn record(core: &Core, call: &Call, rejection: &Rejection, client: &Client) {
    let cause = rejection.cause();
    let detail = rejection.detail();
    let mut event = core
        .event(EventKind::TokenRefused)
        .with_cause(cause.id())
        .with_client_id(&client.id)
        .with_identity(&client.identity)
        .with_request_id(&call.request_id)
        .with_path(call.endpoint);
    event.expected = detail.expected;
    event.got = detail.got;
    event.clock_skew = detail.clock_skew;
    event.signal = cause.theft_signal();
    if let Err(error) = core.store().append_event(&event).await {
        tracing::error!(request_id = call.request_id, %error, "refusal not recorded");
    }
}
