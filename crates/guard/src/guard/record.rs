//! What is kept of a decision: counters, one trace event, and, for a refusal
//! that involves a genuine token, one durable event.
//!
//! None of them holds a token or a proof. Refusals of strangers are counted and
//! reported in sums, so that nobody without a token can fill a disk.

use std::sync::Arc;
use std::time::Duration;

use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::event::{Event, EventKind};
use keybound_proto::token::AccessToken;
use keybound_proto::verify::{Presented, Verified};

use super::{Guard, Inner};
use crate::config::Route;
use crate::metrics::Outcome;

/// Facts of a request that are not checked but recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestFacts<'a> {
    /// The request's id, also in the answer.
    pub request_id: Option<&'a str>,
    /// The sender's network address.
    pub peer: Option<&'a str>,
}

impl Guard {
    /// Counts a refusal before anything was read of the request's credentials.
    pub(super) fn count_stranger(&self, route: &Route, cause: Cause) {
        let metrics = &self.inner.metrics;
        metrics.decided(&route.name, Outcome::RefusedUnknown, Duration::ZERO);
        metrics.refused(cause);
        metrics.leave_for_report(cause);
    }

    /// Refuses a request after all that passed the check: its token was revoked or locked while
    /// the answer was awaited. Counted and recorded like any refusal of a genuine token; the
    /// time it took to find out is not the check's and is not measured.
    #[must_use]
    pub fn refuse_late(
        &self,
        caller: &Verified,
        cause: Cause,
        presented: &Presented<'_>,
        route: &Route,
        facts: &RequestFacts<'_>,
    ) -> Rejection {
        let rejection = Rejection::new(cause).about(Arc::clone(caller.token()));
        self.inner
            .record_refusal(presented, route, facts, &rejection);
        rejection
    }
}

impl Inner {
    pub(super) fn record_decision(
        &self,
        presented: &Presented<'_>,
        route: &Route,
        facts: &RequestFacts<'_>,
        outcome: &Result<Verified, Rejection>,
        time: Duration,
    ) {
        match outcome {
            Ok(verified) => {
                self.metrics.decided(&route.name, Outcome::Accepted, time);
                trace(
                    "accepted",
                    "",
                    Some(verified.token()),
                    presented,
                    route,
                    facts,
                );
            }
            Err(rejection) => {
                self.metrics
                    .decided(&route.name, outcome_of(rejection), time);
                self.record_refusal(presented, route, facts, rejection);
            }
        }
    }

    fn record_refusal(
        &self,
        presented: &Presented<'_>,
        route: &Route,
        facts: &RequestFacts<'_>,
        rejection: &Rejection,
    ) {
        let cause = rejection.cause();
        self.metrics.refused(cause);
        let token = rejection.token();
        trace(
            "refused",
            cause.id(),
            token.map(AsRef::as_ref),
            presented,
            route,
            facts,
        );
        let Some(token) = token else {
            self.metrics.leave_for_report(cause);
            return;
        };
        if let Some(signal) = cause.theft_signal() {
            self.metrics.signalled(signal);
        }
        if let Some(event) = self.event(EventKind::RequestRefused) {
            let event = with_refusal(with_token(event, token), rejection);
            self.sink
                .record(with_request(event, presented, route, facts));
        }
    }
}

fn outcome_of(rejection: &Rejection) -> Outcome {
    match rejection.token() {
        Some(token) if token.confirmation().is_unbound() => Outcome::RefusedUnbound,
        Some(_) => Outcome::RefusedBound,
        None => Outcome::RefusedUnknown,
    }
}

fn with_token(event: Event, token: &AccessToken) -> Event {
    let event = event
        .with_token_sha256(token.hash().to_hex())
        .with_issuer(token.issuer())
        .with_identity(token.subject())
        .with_audience(token.audience())
        .with_scope(token.scope())
        .with_expires_at(token.expires_at().as_secs());
    let event = optional(event, token.token_id(), Event::with_token_id);
    let event = optional(event, token.client_id(), Event::with_client_id);
    optional(
        event,
        token.confirmation().jkt().map(|jkt| jkt.to_string()),
        Event::with_jkt,
    )
}

fn with_refusal(event: Event, rejection: &Rejection) -> Event {
    let detail = rejection.detail();
    let event = event.with_cause(rejection.cause().id());
    let event = optional(event, rejection.cause().theft_signal(), Event::with_signal);
    let event = optional(event, detail.expected, Event::with_expected);
    let event = optional(event, detail.got, Event::with_got);
    optional(event, detail.clock_skew, Event::with_clock_skew)
}

fn with_request(
    event: Event,
    presented: &Presented<'_>,
    route: &Route,
    facts: &RequestFacts<'_>,
) -> Event {
    let event = event
        .with_route(&route.name)
        .with_method(presented.method)
        .with_path(presented.target.path());
    let event = optional(event, facts.request_id, Event::with_request_id);
    optional(event, facts.peer, Event::with_peer)
}

fn optional<T>(event: Event, value: Option<T>, set: impl FnOnce(Event, T) -> Event) -> Event {
    match value {
        Some(value) => set(event, value),
        None => event,
    }
}

/// One structured line per decision, allow and deny alike.
fn trace(
    decision: &'static str,
    cause: &'static str,
    token: Option<&AccessToken>,
    presented: &Presented<'_>,
    route: &Route,
    facts: &RequestFacts<'_>,
) {
    let jkt = token.and_then(|token| token.confirmation().jkt());
    tracing::debug!(
        decision,
        cause,
        route = route.name,
        method = presented.method,
        path = presented.target.path(),
        token = token.map(|token| tracing::field::debug(token.hash())),
        token_id = token.and_then(AccessToken::token_id),
        jkt = jkt.map(tracing::field::display),
        request_id = facts.request_id,
        "request checked"
    );
}
