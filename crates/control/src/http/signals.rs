//! Shared Signals over HTTP: stream management (SSF section 8.1) for polled
//! streams, and polling (RFC 8936 section 2) with long-polling.
//!
//! A receiver is an OAuth client and has one stream; it sees only its own. A
//! signal comes again until it is acknowledged. One that a receiver reports as
//! unusable is not dropped either, because it may be the lock of a stolen key:
//! it comes again, but does not end a wait.
//!
//! Not here: push (RFC 8935), adding subjects (every receiver hears everything),
//! stream status and verification events.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{Request, Response, StatusCode};
use keybound_proto::event::{Event, EventKind};
use keybound_proto::json::{Object, Value as Member};
use keybound_proto::signal::{
    CREDENTIAL_CHANGE, LOCK_RELEASED, SESSION_REVOKED, SecurityEventToken,
};
use keybound_proto::time::UnixTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Caller;
use super::call::{Call, json_body};
use super::locks::{MAX_BODY, parse, text};
use super::problem::Problem;
use super::{Control, answer, json as respond};
use crate::store::events::random_id;
use crate::store::signals::{MAX_SIGNALS, PendingSignal, SignalPage, StreamRecord};

/// RFC 8936 as a delivery method.
pub(super) const POLL_METHOD: &str = "urn:ietf:rfc:8936";

/// Events a stream delivers.
const EVENTS: [&str; 3] = [SESSION_REVOKED, CREDENTIAL_CHANGE, LOCK_RELEASED];

/// The longest wait of a poll.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The largest poll request: acknowledgements of a full page and more.
const MAX_POLL_BODY: usize = 256 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichStream {
    stream_id: String,
}

type StreamQuery = Result<Query<WhichStream>, QueryRejection>;

pub(super) async fn create_stream(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
    request: Request<Body>,
) -> Response<Body> {
    answer(
        async {
            let body = json_body(request, MAX_BODY).await?;
            check_delivery(&parse(&body)?)?;
            let receiver = caller.client_id();
            let stream = control.store.create_stream(receiver, receiver).await?;
            record_connected(&control, receiver, &call).await?;
            Ok(respond(StatusCode::CREATED, &describe(&stream, &control)))
        }
        .await,
        &call,
    )
}

pub(super) async fn show_stream(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
    query: StreamQuery,
) -> Response<Body> {
    answer(
        async {
            let stream = own_stream(&control, &caller, query).await?;
            Ok(respond(StatusCode::OK, &describe(&stream, &control)))
        }
        .await,
        &call,
    )
}

pub(super) async fn delete_stream(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
    query: StreamQuery,
) -> Response<Body> {
    answer(
        async {
            let stream = own_stream(&control, &caller, query).await?;
            control.store.delete_stream(&stream.stream_id).await?;
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        .await,
        &call,
    )
}

pub(super) async fn poll(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
    query: StreamQuery,
    request: Request<Body>,
) -> Response<Body> {
    answer(
        async {
            let stream = own_stream(&control, &caller, query).await?;
            let body = json_body(request, MAX_POLL_BODY).await?;
            let wish = PollWish::read(&parse(&body)?)?;
            let page = take(&control, &stream, wish).await?;
            if caller.is_locked(&control) {
                return Err(Problem::not_found("the receiver was locked meanwhile"));
            }
            sign(&control, &stream, &page)
        }
        .await,
        &call,
    )
}

/// A poll request (RFC 8936 section 2.4).
#[derive(Debug)]
struct PollWish {
    acknowledged: Vec<String>,
    unusable: HashSet<String>,
    limit: usize,
    wait: bool,
}

impl PollWish {
    fn read(members: &Object<'_>) -> Result<Self, Problem> {
        let limit = members
            .unsigned("maxEvents")
            .map_err(|_| Problem::invalid("`maxEvents` must be a number from 0"))?;
        let wait = match members.get("returnImmediately") {
            None => true,
            Some(Member::Bool(immediately)) => !immediately,
            Some(_) => return Err(Problem::invalid("`returnImmediately` must be a boolean")),
        };
        let acknowledged = members
            .strings("ack")
            .map_err(|_| Problem::invalid("`ack` must be an array of strings"))?;
        let unusable = members
            .object("setErrs")
            .map_err(|_| Problem::invalid("`setErrs` must be an object"))?;
        let unusable = unusable.map(|errors| errors.iter().map(|(id, _)| id.to_owned()).collect());
        Ok(Self {
            acknowledged: acknowledged
                .unwrap_or_default()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            unusable: unusable.unwrap_or_default(),
            limit: usize::try_from(limit.unwrap_or(u64::MAX))
                .unwrap_or(MAX_SIGNALS)
                .min(MAX_SIGNALS),
            wait,
        })
    }
}

/// Acknowledges, then gives what is pending, waiting for it if wished.
async fn take(
    control: &Control,
    stream: &StreamRecord,
    wish: PollWish,
) -> Result<SignalPage, Problem> {
    let store = &control.store;
    let id = &stream.stream_id;
    if !wish.unusable.is_empty() {
        let (receiver, count) = (&stream.receiver, wish.unusable.len());
        tracing::error!(%receiver, count, "a receiver cannot use signals; they are sent again");
    }
    store.acknowledge(id, wish.acknowledged).await?;
    let deadline = tokio::time::Instant::now() + MAX_WAIT;
    loop {
        let page = store.pending_signals(id, wish.limit).await?;
        let has_news = page
            .signals
            .iter()
            .any(|signal| !wish.unusable.contains(&signal.id));
        // RFC 8936 section 2.4: `maxEvents` 0 only acknowledges and never waits.
        if has_news || !wish.wait || wish.limit == 0 {
            return Ok(page);
        }
        let news = store.wait_for_signals(page.seen);
        if tokio::time::timeout_at(deadline, news).await.is_err() {
            return Ok(page);
        }
    }
}

fn sign(
    control: &Control,
    stream: &StreamRecord,
    page: &SignalPage,
) -> Result<Response<Body>, Problem> {
    let mut sets = serde_json::Map::new();
    for signal in &page.signals {
        let set = control
            .config
            .signer
            .sign(&set_of(control, stream, signal))
            .map_err(|error| {
                tracing::error!(%error, "a signal could not be signed");
                Problem::of(keybound_proto::cause::Cause::StoreUnavailable)
            })?;
        sets.insert(signal.id.clone(), set.into());
    }
    let body = json!({ "sets": sets, "moreAvailable": page.more_available });
    Ok(respond(StatusCode::OK, &body))
}

fn set_of(control: &Control, stream: &StreamRecord, signal: &PendingSignal) -> SecurityEventToken {
    SecurityEventToken {
        issuer: control.config.url.as_str().to_owned(),
        audience: stream.audience.clone(),
        id: signal.id.clone(),
        // The time of the signal, so that a redelivery says the same.
        issued_at: UnixTime::from_secs(signal.at_ms / 1000),
        subject: signal.subject.clone(),
        event: signal.event,
        expires_at: signal.expires_at,
        time_ms: signal.at_ms,
    }
}

/// The stream of the query, if it is the caller's. Others do not exist for it.
async fn own_stream(
    control: &Control,
    caller: &Caller,
    query: StreamQuery,
) -> Result<StreamRecord, Problem> {
    let Query(which) = query.map_err(|_| Problem::invalid("the query takes `stream_id`, once"))?;
    control
        .store
        .stream(&which.stream_id)
        .await?
        .filter(|stream| stream.receiver == caller.client_id())
        .ok_or_else(|| Problem::not_found("no such stream; create one"))
}

/// Polling is what there is (SSF section 8.1.1: no `delivery` means poll).
fn check_delivery(members: &Object<'_>) -> Result<(), Problem> {
    let delivery = members
        .object("delivery")
        .map_err(|_| Problem::invalid("`delivery` must be an object"))?;
    let method = match delivery {
        None => POLL_METHOD,
        Some(delivery) => text(delivery, "method")?.unwrap_or_default(),
    };
    if method != POLL_METHOD {
        return Err(Problem::invalid(format!(
            "only the delivery method `{POLL_METHOD}` is served"
        )));
    }
    Ok(())
}

async fn record_connected(control: &Control, receiver: &str, call: &Call) -> Result<(), Problem> {
    let event = Event::new(
        &random_id()?,
        control.clock.now_millis(),
        control.store.node(),
        EventKind::GatewayConnected,
    )
    .with_client_id(receiver)
    .with_request_id(call.request_id());
    control.store.append_event(&event).await?;
    Ok(())
}

fn describe(stream: &StreamRecord, control: &Control) -> Value {
    let poll = control.url("/ssf/poll");
    json!({
        "stream_id": stream.stream_id,
        "iss": control.config.url.as_str(),
        "aud": stream.audience,
        "events_supported": EVENTS,
        "events_requested": EVENTS,
        "events_delivered": EVENTS,
        "delivery": {
            "method": POLL_METHOD,
            "endpoint_url": format!("{poll}?stream_id={}", stream.stream_id),
        },
    })
}
