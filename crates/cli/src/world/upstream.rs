//! The API behind the demo gateway: a list of approvals and a report. It
//! believes nobody but the gateway: every request needs a
//! `Keybound-Assertion` signed by the gateway's key for this upstream.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use keybound_proto::jose::PublicKey;
use keybound_proto::time::Clock;
use keybound_proto::token::identity::{HEADER, Identity};
use serde::{Deserialize, Serialize};

/// The demo upstream, before it serves.
#[derive(Debug, Clone)]
pub(crate) struct DemoUpstream {
    /// Its origin: what assertions are addressed to.
    pub(crate) origin: String,
    /// The gateway's public origin: who signs them.
    pub(crate) gateway: String,
}

#[derive(Debug, Clone)]
struct Upstream {
    about: DemoUpstream,
    key: PublicKey,
    clock: Arc<dyn Clock>,
    approvals: Arc<Mutex<Vec<Approval>>>,
}

/// Something that waits for a decision.
#[derive(Debug, Clone, Serialize)]
struct Approval {
    id: &'static str,
    what: &'static str,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<String>,
}

/// The body of `POST /approvals`.
#[derive(Debug, Deserialize)]
struct Decision {
    id: String,
    decision: String,
}

impl DemoUpstream {
    /// The upstream at an address behind a gateway.
    pub(crate) fn new(listen: SocketAddr, gateway: &str) -> Self {
        Self {
            origin: format!("http://{listen}"),
            gateway: gateway.to_owned(),
        }
    }

    /// Its routes. `key` is the gateway's.
    pub(crate) fn router(self, key: PublicKey, clock: Arc<dyn Clock>) -> Router {
        let upstream = Upstream {
            about: self,
            key,
            clock,
            approvals: Arc::new(Mutex::new(first_approvals())),
        };
        Router::new()
            .route("/approvals", get(list).post(decide))
            .route("/reports", get(report))
            .layer(middleware::from_fn_with_state(
                upstream.clone(),
                only_the_gateway,
            ))
            .with_state(upstream)
    }
}

/// Lets a request in when the gateway vouches for its caller.
async fn only_the_gateway(
    State(upstream): State<Upstream>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut values = request.headers().get_all(HEADER).iter();
    let (first, second) = (values.next(), values.next());
    let assertion = match (first, second) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    };
    let now = upstream.clock.now();
    let about = &upstream.about;
    let identity = assertion.and_then(|text| {
        Identity::verify(text, &about.gateway, &about.origin, &upstream.key, now).ok()
    });
    let Some(identity) = identity else {
        let message = "this API takes requests of its gateway only";
        return refuse(StatusCode::FORBIDDEN, message);
    };
    request.extensions_mut().insert(identity);
    next.run(request).await
}

async fn list(State(upstream): State<Upstream>) -> Response {
    let approvals = upstream
        .approvals
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    Json(serde_json::json!({ "approvals": *approvals })).into_response()
}

async fn decide(
    State(upstream): State<Upstream>,
    Extension(identity): Extension<Identity>,
    Json(decision): Json<Decision>,
) -> Response {
    let state = match decision.decision.as_str() {
        "approve" => "approved",
        "reject" => "rejected",
        _ => {
            return refuse(
                StatusCode::BAD_REQUEST,
                "`decision` is `approve` or `reject`",
            );
        }
    };
    let mut approvals = upstream
        .approvals
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let Some(approval) = approvals
        .iter_mut()
        .find(|approval| approval.id == decision.id)
    else {
        return refuse(StatusCode::NOT_FOUND, "there is no approval with this id");
    };
    state.clone_into(&mut approval.state);
    approval.decided_by = Some(identity.subject);
    Json(approval.clone()).into_response()
}

async fn report(method: Method, Extension(identity): Extension<Identity>) -> Response {
    let body = serde_json::json!({
        "report": "quarterly figures",
        "method": method.as_str(),
        "read_by": identity.subject,
    });
    Json(body).into_response()
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(serde_json::json!({ "error": message }))).into_response()
}

fn first_approvals() -> Vec<Approval> {
    let waiting = |id, what| Approval {
        id,
        what,
        state: "waiting".to_owned(),
        decided_by: None,
    };
    vec![
        waiting("1", "pay invoice 2026-117 of 4,200 EUR"),
        waiting("2", "give the deploy agent write access to production"),
        waiting("3", "order 12 laptops"),
    ]
}
