//! `/v1/events`: reading the log, with long-polling, and what gateways deliver.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{Request, Response, StatusCode};
use keybound_proto::event::{Event, EventKind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Caller;
use super::call::{Call, json_body};
use super::problem::Problem;
use super::{Control, answer, json as respond};
use crate::store::events::{EventFilter, EventPage, MAX_DELIVERY, MAX_EVENTS, StoredEvent};

/// Events of one answer unless the caller says otherwise.
const DEFAULT_LIMIT: usize = 100;

/// The longest wait for an event, seconds.
const MAX_WAIT: u64 = 30;

/// The largest delivery, in bytes.
const MAX_DELIVERY_BODY: usize = 2 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    #[serde(default)]
    wait: u64,
    kind: Option<String>,
    jkt: Option<String>,
    token_id: Option<String>,
    token_sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivery {
    events: Vec<Event>,
}

pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
    which: Result<Query<Which>, QueryRejection>,
) -> Response<Body> {
    answer(
        async {
            let Query(which) = which.map_err(|_| {
                let detail = "the query takes `after`, `limit`, `wait`, `kind`, `jkt`, `token_id` and `token_sha256`, each once";
                Problem::invalid(detail)
            })?;
            let page = wait_for_page(&control, which).await?;
            if caller.is_locked(&control) {
                return Err(Problem::not_found("the caller was locked meanwhile"));
            }
            let events: Vec<_> = page.events.iter().map(describe).collect();
            Ok(respond(StatusCode::OK, &json!({ "events": events, "next": page.next })))
        }
        .await,
        &call,
    )
}

pub(super) async fn deliver(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
    request: Request<Body>,
) -> Response<Body> {
    answer(
        async {
            let body = json_body(request, MAX_DELIVERY_BODY).await?;
            let delivery: Delivery = serde_json::from_slice(&body)
                .map_err(|_| Problem::invalid("the body is not `{\"events\": [event, …]}`"))?;
            if delivery.events.len() > MAX_DELIVERY {
                return Err(Problem::invalid(format!(
                    "more than {MAX_DELIVERY} events at once"
                )));
            }
            if let Some(event) = delivery
                .events
                .iter()
                .find(|event| !is_of_gateway(event.kind))
            {
                return Err(Problem::invalid(format!(
                    "a gateway sees no `{}`",
                    event.kind
                )));
            }
            let new = control
                .store
                .deliver_events(caller.client_id(), &delivery.events)
                .await?;
            let accepted = delivery.events.len();
            Ok(respond(
                StatusCode::OK,
                &json!({ "accepted": accepted, "new": new }),
            ))
        }
        .await,
        &call,
    )
}

/// The first page that is not empty, or the last look after `wait` seconds.
async fn wait_for_page(control: &Control, which: Which) -> Result<EventPage, Problem> {
    let filter = which.filter()?;
    let limit = which.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_EVENTS);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(which.wait.min(MAX_WAIT));
    let mut after = which.after;
    loop {
        let page = control
            .store
            .event_page(after, limit, filter.clone())
            .await?;
        if !page.events.is_empty() || which.wait == 0 {
            return Ok(page);
        }
        after = page.next;
        let news = control.store.wait_for_events(after);
        if tokio::time::timeout_at(deadline, news).await.is_err() {
            return Ok(page);
        }
    }
}

impl Which {
    fn filter(&self) -> Result<EventFilter, Problem> {
        let kind = match &self.kind {
            None => None,
            Some(name) => Some(
                EventKind::from_name(name).ok_or_else(|| Problem::invalid("no such event kind"))?,
            ),
        };
        Ok(EventFilter {
            kind,
            jkt: self.jkt.clone(),
            token_id: self.token_id.clone(),
            token_sha256: self.token_sha256.clone(),
        })
    }
}

/// What a gateway can have seen. The rest is the control plane's or the
/// issuer's to say, and nobody else's.
fn is_of_gateway(kind: EventKind) -> bool {
    match kind {
        EventKind::CertificateHeaderIgnored
        | EventKind::GatewayConnected
        | EventKind::LockApplied
        | EventKind::RefusalsAggregated
        | EventKind::ReplayLogLost
        | EventKind::ReplayLogRestored
        | EventKind::RequestRefused => true,
        EventKind::ClientRegistered
        | EventKind::Locked
        | EventKind::SigningKeyCreated
        | EventKind::SigningKeyRetired
        | EventKind::TokenIssued
        | EventKind::TokenRefused
        | EventKind::TokenRevoked
        | EventKind::Unlocked => false,
    }
}

fn describe(stored: &StoredEvent) -> Value {
    let mut event = serde_json::to_value(&stored.event).unwrap_or_default();
    event["sequence"] = json!(stored.sequence);
    if let Some(reporter) = &stored.reported_by {
        event["reported_by"] = json!(reporter);
    }
    event
}
