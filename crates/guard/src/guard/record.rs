//! What is kept of a decision: counters, one trace event, and, for a refusal
//! that involves a genuine token, one durable event.
//!
//! None of them holds a token or a proof. Refusals of strangers are counted and
//! reported in sums, so that nobody without a token can fill a disk.

use std::sync::Arc;
use std::time::Duration;

use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::decision::{DecidedBinding, Decision, Place};
use keybound_proto::event::EventKind;
use keybound_proto::token::AccessToken;
use keybound_proto::verify::{Presented, Verified};

use super::{Guard, Inner};
use crate::config::Route;

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
        metrics.decided(&route.name, DecidedBinding::Unknown, false, Duration::ZERO);
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
        let place = place(presented, route, facts);
        self.inner
            .record_refusal(&Decision::refused(&rejection, place), cause);
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
        let place = place(presented, route, facts);
        let decision = match outcome {
            Ok(verified) => Decision::permitted(verified, place),
            Err(rejection) => Decision::refused(rejection, place),
        };
        let cause = decision.cause();
        self.metrics
            .decided(&route.name, decision.binding(), cause.is_none(), time);
        match cause {
            None => trace(&decision),
            Some(cause) => self.record_refusal(&decision, cause),
        }
    }

    fn record_refusal(&self, decision: &Decision<'_>, cause: Cause) {
        self.metrics.refused(cause);
        trace(decision);
        if decision.token().is_none() {
            self.metrics.leave_for_report(cause);
            return;
        }
        if let Some(signal) = cause.theft_signal() {
            self.metrics.signalled(signal);
        }
        if let Some(event) = self.event(EventKind::RequestRefused) {
            self.sink.record(decision.describe(event));
        }
    }
}

fn place<'a>(presented: &Presented<'a>, route: &'a Route, facts: &RequestFacts<'a>) -> Place<'a> {
    Place {
        route: &route.name,
        method: presented.method,
        path: presented.target.path(),
        request_id: facts.request_id,
        peer: facts.peer,
    }
}

/// One structured line per decision, allow and deny alike.
fn trace(decision: &Decision<'_>) {
    let (place, token) = (decision.place(), decision.token());
    tracing::debug!(
        decision = decision.result(),
        cause = decision.cause().map_or("", Cause::id),
        route = place.route,
        method = place.method,
        path = place.path,
        binding = decision.binding().name(),
        token = token.map(|token| tracing::field::debug(token.hash())),
        token_id = token.and_then(AccessToken::token_id),
        issuer = token.map(AccessToken::issuer),
        identity = token.map(AccessToken::subject),
        actors = decision.actors().len(),
        jkt = decision.jkt().map(tracing::field::display),
        certificate = decision.certificate().map(tracing::field::display),
        key_storage = decision.key_storage(),
        request_id = place.request_id,
        "request checked"
    );
}
