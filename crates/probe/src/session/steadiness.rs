//! How steadily good requests are served, and what verdicts are worth then.
//!
//! A target may break at one moment for good: a token expires, a lock falls, a
//! node dies. What was decided before, between two good requests that were
//! served, stands. A target that fails good requests now and then is another
//! matter: it may have refused a bad one for the same reason, whatever that is.

use super::Session;
use crate::answer::Outcome;
use crate::report::{Label, Measure};
use crate::verdict::Verdict;

/// One lost good request in so many is an accident.
const ACCIDENT: u32 = 20;

/// How good requests fared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steadiness {
    sent: u32,
    /// Not served, and a later one was.
    lost: u32,
    /// Those of them that were refused.
    refused: u32,
    /// Not served, and so far no later one either.
    open_lost: u32,
    open_refused: u32,
}

impl Steadiness {
    /// How a good request ended.
    pub(super) fn saw(&mut self, outcome: &Outcome) {
        self.sent += 1;
        match outcome {
            Outcome::Served => {
                self.lost += self.open_lost;
                self.refused += self.open_refused;
                self.open_lost = 0;
                self.open_refused = 0;
            }
            Outcome::Refused | Outcome::NonceWanted(_) => {
                self.open_lost += 1;
                self.open_refused += 1;
            }
            Outcome::Unclear(_) => self.open_lost += 1,
        }
    }

    /// The reason of the failures so far is known, and gone.
    pub(super) const fn forget_failures(&mut self) {
        self.lost = 0;
        self.refused = 0;
        self.open_lost = 0;
        self.open_refused = 0;
    }

    /// Why no verdict stands, if none does.
    pub(super) fn doubt(&self) -> Option<String> {
        if self.refused > 0 {
            return Some(format!(
                "the target refused {} of {} good requests and served the next, so a refusal \
                 proves nothing here",
                self.refused, self.sent
            ));
        }
        (self.lost * ACCIDENT > self.sent).then(|| {
            format!(
                "the target failed {} of {} good requests and served the next, so what it did \
                 with bad ones proves nothing",
                self.lost, self.sent
            )
        })
    }
}

impl Session<'_> {
    /// What every finding is worth, given how the good requests fared. Called at the end.
    pub(crate) fn doubt(&mut self) {
        if let Some(reason) = self.steadiness.doubt() {
            for finding in &mut self.findings {
                if matches!(finding.verdict, Verdict::Enforced | Verdict::NotEnforced) {
                    finding.reason = format!("{reason}; in this run: {}", finding.reason);
                    finding.verdict = Verdict::Inconclusive;
                }
            }
            self.warnings.push(reason);
        } else if self.steadiness.lost > 0 {
            self.warnings.push(format!(
                "the target failed {} of {} good requests and served the next",
                self.steadiness.lost, self.steadiness.sent
            ));
        }
        if let Some(reason) = &self.stopped {
            self.warnings.push(format!(
                "the run ended early, and the rest is open: {reason}"
            ));
        }
    }

    /// The reason of the failures so far is known, and gone.
    pub(crate) const fn forget_failures(&mut self) {
        self.steadiness.forget_failures();
    }

    /// The same for what rests on findings: numbers and labels.
    pub(crate) fn doubt_numbers(&self, measures: &mut [Measure], labels: &mut [Label]) {
        let Some(reason) = self.steadiness.doubt() else {
            return;
        };
        for measure in measures
            .iter_mut()
            .filter(|measure| measure.name != "clock_skew")
        {
            measure.value = None;
            measure.text.clone_from(&reason);
        }
        for label in labels {
            label.agrees = None;
            "not decided".clone_into(&mut label.seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Unclear;

    fn after(outcomes: &[(Outcome, u32)]) -> Option<String> {
        let mut steadiness = Steadiness::default();
        for (outcome, times) in outcomes {
            for _ in 0..*times {
                steadiness.saw(outcome);
            }
        }
        steadiness.doubt()
    }

    #[test]
    fn refusals_now_and_then_leave_nothing_standing_and_an_accident_leaves_everything() {
        let failed = || Outcome::Unclear(Unclear::ServerError(500));
        assert_eq!(after(&[(Outcome::Served, 50)]), None);
        assert!(
            after(&[
                (Outcome::Served, 50),
                (Outcome::Refused, 1),
                (Outcome::Served, 1)
            ])
            .is_some()
        );
        // One of many, and one of few.
        assert_eq!(
            after(&[(Outcome::Served, 50), (failed(), 1), (Outcome::Served, 1)]),
            None
        );
        assert!(after(&[(Outcome::Served, 5), (failed(), 1), (Outcome::Served, 1)]).is_some());
        // The end for good.
        assert_eq!(after(&[(Outcome::Served, 50), (Outcome::Refused, 3)]), None);
        assert_eq!(after(&[(Outcome::Served, 50), (failed(), 3)]), None);
    }
}
