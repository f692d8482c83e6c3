//! Requests on another way than the run's own: without the client certificate,
//! with another one, in a resumed TLS session.
//!
//! The controls before and after stay on the run's own way. A server that ends
//! the TLS connection has refused, if it does so every time and serves good
//! requests before and after.

use super::{Attempt, Expect, Moment, Session};
use crate::answer::{Outcome, Unclear};
use crate::check::{Case, Decision};
use crate::draft::Draft;
use crate::transport::{NoAnswer, Transport};
use crate::verdict::Verdict;

impl Session<'_> {
    /// As [`Session::must_refuse`], sent on `way`.
    pub(crate) async fn must_refuse_over(
        &mut self,
        case: &Case,
        way: &mut Transport,
        defect: impl Fn(&mut Draft, &Moment) + Send + Sync,
    ) {
        if self.options.excludes(&case.id()) {
            return;
        }
        let decision = match self.before().await {
            Some(decision) => decision,
            None => self.refusal_over(case, way, &defect).await,
        };
        self.conclude(case, decision);
    }

    /// As [`Session::must_refuse_over`], without the control before and without recording it.
    pub(crate) async fn refusal_over(
        &mut self,
        case: &Case,
        way: &mut Transport,
        defect: &(impl Fn(&mut Draft, &Moment) + Send + Sync),
    ) -> Decision {
        let mut attempt = self.send_over(case, way, Expect::Refused, defect).await;
        if ended(&attempt) {
            // A connection can break by accident; twice in the same place it is an answer.
            attempt = self.send_over(case, way, Expect::Refused, defect).await;
        }
        let got = attempt.got();
        let (verdict, reason) = match &attempt.outcome {
            Outcome::Served => (
                Verdict::NotEnforced,
                "the request was served like a good one".to_owned(),
            ),
            Outcome::Refused => self.confirmed().await,
            Outcome::Unclear(_) if ended(&attempt) => match self.confirmed().await {
                (Verdict::Enforced, _) => (
                    Verdict::Enforced,
                    "the server ends the TLS connection, twice, while a good request is served \
                     before and after"
                        .to_owned(),
                ),
                unclear => unclear,
            },
            Outcome::NonceWanted(_) => (
                Verdict::Inconclusive,
                "the server answered with one nonce challenge after another".to_owned(),
            ),
            Outcome::Unclear(reason) => (Verdict::Inconclusive, reason.to_string()),
        };
        Decision::of(verdict, reason)
            .got(got)
            .evidence(vec![attempt.exchange])
    }

    /// One request on `way`.
    pub(crate) async fn send_over(
        &mut self,
        case: &Case,
        way: &mut Transport,
        expect: Expect,
        change: &(impl Fn(&mut Draft, &Moment) + Send + Sync),
    ) -> Attempt {
        std::mem::swap(&mut self.transport, way);
        let attempt = self
            .send_retrying(
                |session| {
                    let mut draft = session.good();
                    change(&mut draft, &session.moment());
                    draft
                },
                case.also,
                expect,
            )
            .await;
        std::mem::swap(&mut self.transport, way);
        attempt
    }
}

/// Whether the connection was ended before there was an answer.
fn ended(attempt: &Attempt) -> bool {
    matches!(
        attempt.outcome,
        Outcome::Unclear(Unclear::Transport(NoAnswer::Tls(..) | NoAnswer::Broken(_)))
    )
}
