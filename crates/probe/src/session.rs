//! One run against one target: limits, controls, judgement.
//!
//! Every case that expects a refusal is sent between two *controls*: good
//! requests that must be served. Without the one before, a refusal could have
//! any reason; without the one after, the target could have begun to refuse
//! everything. The control after one case is the control before the next, so
//! each costs two requests. A target that refuses good requests now and then
//! decides nothing, and the report says so.
//!
//! The session also keeps what the target taught: the nonce it wants and the
//! time it has.

mod detour;
mod exchange;
mod secrets;
mod sending;
mod steadiness;

use std::sync::Arc;
use std::time::Duration;

use keybound_proto::time::UnixTime;

use self::secrets::Secrets;
use self::steadiness::Steadiness;
use crate::answer::{Outcome, Success, Unclear};
use crate::check::{Case, Decision};
use crate::draft::Draft;
use crate::report::{Exchange, Finding};
use crate::timing::Timing;
use crate::transport::{Answer, Transport};
use crate::verdict::Verdict;
use crate::{Options, Progress};

/// How the positive control is made: a good request, with a proof made at this time and nonce.
pub(crate) type ControlDraft<'a> = dyn Fn(&Moment) -> Draft + Send + Sync + 'a;

/// What a good request needs to know of the moment it is made in.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// The target's time, as far as known.
    pub(crate) now: UnixTime,
    /// The nonce the target wants, if it wants one.
    pub(crate) nonce: Option<String>,
}

/// What a strict target does with a request. Decides nothing: it is what a dry run assumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Served,
    Refused,
}

/// One run.
pub(crate) struct Session<'a> {
    pub(crate) transport: Transport,
    pub(crate) timing: Arc<dyn Timing>,
    pub(crate) options: Options,
    pub(crate) success: Success,
    pub(crate) findings: Vec<Finding>,
    pub(crate) warnings: Vec<String>,
    pub(crate) requests: u32,
    control: Box<ControlDraft<'a>>,
    progress: &'a (dyn Progress + Sync),
    nonce: Option<String>,
    nonce_required: bool,
    skew: i64,
    started_ms: u64,
    steadiness: Steadiness,
    timeouts: u32,
    waited: Duration,
    /// Spent on keeping to the stated rate.
    paced: Duration,
    /// The next negative may rely on this control, which was just served.
    standing: bool,
    stopped: Option<String>,
    secrets: Secrets,
}

/// A request that was sent, and how it ended.
pub(crate) struct Attempt {
    pub(crate) outcome: Outcome,
    pub(crate) answer: Option<Answer>,
    /// The answer in one line, without credentials that were sent.
    shown: String,
    pub(crate) exchange: Exchange,
}

impl Attempt {
    /// What came back, in words.
    pub(crate) fn got(&self) -> String {
        match (&self.answer, &self.outcome) {
            (Some(_), _) => self.shown.clone(),
            (None, Outcome::Unclear(reason)) => reason.to_string(),
            (None, _) => String::new(),
        }
    }

    /// What came back and, where that proves nothing, why not.
    pub(crate) fn told(&self) -> String {
        match (&self.answer, &self.outcome) {
            (Some(_), Outcome::Unclear(reason)) => format!("{} ({})", reason, self.got()),
            _ => self.got(),
        }
    }
}

/// Seconds that the target's clock is ahead of ours, in words.
pub(crate) fn skew_in_words(skew: i64) -> String {
    let seconds = skew.unsigned_abs();
    match skew {
        0 => "that of this machine".to_owned(),
        1.. => format!("{seconds} s ahead of this machine's"),
        _ => format!("{seconds} s behind this machine's"),
    }
}

impl<'a> Session<'a> {
    /// A run whose controls are made by `control`.
    ///
    /// # Errors
    /// What is wrong with the options, in words.
    pub(crate) fn new(
        options: &Options,
        timing: &Arc<dyn Timing>,
        success: Success,
        control: Box<ControlDraft<'a>>,
        progress: &'a (dyn Progress + Sync),
    ) -> Result<Self, String> {
        Ok(Self {
            transport: Transport::new(options)?,
            timing: Arc::clone(timing),
            options: options.clone(),
            success,
            findings: Vec::new(),
            warnings: Vec::new(),
            requests: 0,
            control,
            progress,
            nonce: None,
            nonce_required: false,
            skew: 0,
            started_ms: timing.now_millis(),
            steadiness: Steadiness::default(),
            timeouts: 0,
            waited: Duration::ZERO,
            paced: Duration::ZERO,
            standing: false,
            stopped: None,
            secrets: Secrets::default(),
        })
    }

    /// What a good request needs now.
    pub(crate) fn moment(&self) -> Moment {
        let now = self.timing.now();
        Moment {
            now: if self.skew >= 0 {
                now.plus(self.skew.unsigned_abs())
            } else {
                now.minus(self.skew.unsigned_abs())
            },
            nonce: self.nonce.clone().filter(|_| self.nonce_required),
        }
    }

    /// Whether the target demanded a nonce.
    pub(crate) const fn nonce_required(&self) -> bool {
        self.nonce_required
    }

    /// The newest nonce the target sent, demanded or offered.
    pub(crate) fn newest_nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// Seconds since the run began.
    pub(crate) fn elapsed(&self) -> f64 {
        let milliseconds = self.timing.now_millis().saturating_sub(self.started_ms);
        Duration::from_millis(milliseconds).as_secs_f64()
    }

    /// When the run began.
    pub(crate) const fn started_at(&self) -> u64 {
        self.started_ms / 1000
    }

    /// A good request as it would be sent now.
    pub(crate) fn good(&self) -> Draft {
        (self.control)(&self.moment())
    }

    /// The first control. It learns whether a nonce is wanted and, when the
    /// target refuses proofs as too old or too new, how its clock differs.
    ///
    /// # Errors
    /// The attempt that was not served.
    pub(crate) async fn first_control(&mut self) -> Result<Attempt, Box<Attempt>> {
        let mut attempt = self.control().await;
        if attempt.outcome == Outcome::Refused
            && let Some(skew) = self.measured_skew(&attempt)
            && skew.abs() > 2
        {
            self.skew = skew;
            attempt = self.control().await;
            if attempt.outcome == Outcome::Served {
                self.warnings.push(format!(
                    "the target's clock is {}; proofs are made for its time",
                    skew_in_words(skew)
                ));
                self.steadiness.forget_failures();
            } else {
                self.skew = 0;
            }
        }
        if attempt.outcome == Outcome::Served {
            Ok(attempt)
        } else {
            Err(Box::new(attempt))
        }
    }

    /// How far the target's clock is ahead of ours, by its `Date` header field.
    pub(crate) fn measured_skew(&self, attempt: &Attempt) -> Option<i64> {
        let date = attempt.answer.as_ref()?.text(http::header::DATE);
        let theirs = keybound_holder::date::parse(&date)?;
        let ours = self.timing.now().as_secs();
        Some(theirs.cast_signed().saturating_sub(ours.cast_signed()))
    }

    /// Sends a good request.
    pub(crate) async fn control(&mut self) -> Attempt {
        let attempt = self
            .send_retrying(|session| session.good(), &[], Expect::Served)
            .await;
        self.standing = attempt.outcome == Outcome::Served;
        self.steadiness.saw(&attempt.outcome);
        attempt
    }

    /// Whether the case with this id was found not to be enforced.
    pub(crate) fn found(&self, id: &str) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.id == id && finding.verdict == Verdict::NotEnforced)
    }

    /// Records a decision, unless the user left the case out.
    pub(crate) fn conclude(&mut self, case: &Case, decision: Decision) {
        if self.options.excludes(&case.id()) {
            return;
        }
        let finding = case.finding(self.secrets.removed(decision));
        self.progress.concluded(&finding);
        self.findings.push(finding);
    }

    /// A case that must be refused: `defect` changes a good request.
    pub(crate) async fn must_refuse(
        &mut self,
        case: &Case,
        defect: impl Fn(&mut Draft, &Moment) + Send + Sync,
    ) {
        if self.options.excludes(&case.id()) {
            return;
        }
        let decision = self.refusal(case, &defect).await;
        self.conclude(case, decision);
    }

    /// As [`Session::must_refuse`], without recording it.
    pub(crate) async fn refusal(
        &mut self,
        case: &Case,
        defect: &(impl Fn(&mut Draft, &Moment) + Send + Sync),
    ) -> Decision {
        if let Some(decision) = self.before().await {
            return decision;
        }
        let attempt = self
            .send_retrying(
                |session| {
                    let mut draft = session.good();
                    defect(&mut draft, &session.moment());
                    draft
                },
                case.also,
                Expect::Refused,
            )
            .await;
        let got = attempt.got();
        let (verdict, reason) = match &attempt.outcome {
            Outcome::Served => (
                Verdict::NotEnforced,
                "the request was served like a good one".to_owned(),
            ),
            Outcome::NonceWanted(_) => (
                Verdict::Inconclusive,
                "the server answered with one nonce challenge after another".to_owned(),
            ),
            Outcome::Unclear(reason) => (Verdict::Inconclusive, reason.to_string()),
            Outcome::Refused => self.confirmed().await,
        };
        Decision::of(verdict, reason)
            .got(got)
            .evidence(vec![attempt.exchange])
    }

    /// A refusal stands only when a good request is served after it.
    async fn confirmed(&mut self) -> (Verdict, String) {
        match self.before().await {
            None => (
                Verdict::Enforced,
                "refused, while the same request without the defect is served before and after"
                    .to_owned(),
            ),
            Some(decision) => (
                Verdict::Inconclusive,
                format!(
                    "refused, but good requests are not served any more either: {}",
                    decision.reason
                ),
            ),
        }
    }

    /// A case whose request differs from a good one in more than its defect: `beside` is that
    /// difference. Only a target that serves a good request with the difference shows anything by
    /// refusing it with the defect.
    pub(crate) async fn must_refuse_beside(
        &mut self,
        case: &Case,
        beside: impl Fn(&mut Draft) + Send + Sync,
        defect: impl Fn(&mut Draft, &Moment) + Send + Sync,
    ) {
        if self.options.excludes(&case.id()) {
            return;
        }
        if let Some(decision) = self.before().await {
            self.conclude(case, decision);
            return;
        }
        let control = self
            .send_retrying(
                |session| {
                    let mut draft = session.good();
                    beside(&mut draft);
                    draft
                },
                case.also,
                Expect::Served,
            )
            .await;
        if control.outcome != Outcome::Served {
            let decision = match &control.outcome {
                // Whether it serves such requests is not known, only that it did not answer this one.
                Outcome::Unclear(
                    reason @ (Unclear::Transport(_)
                    | Unclear::RateLimited { .. }
                    | Unclear::Local(_)),
                ) => Decision::inconclusive(reason.to_string()),
                _ => Decision::not_applicable(
                    "the target serves no request of this kind, good or bad",
                ),
            };
            let decision = decision.got(control.got());
            self.conclude(case, decision.evidence(vec![control.exchange]));
            return;
        }
        self.must_refuse(case, |draft, moment| {
            beside(draft);
            defect(draft, moment);
        })
        .await;
    }

    /// A case that must be served, because the standard says so.
    pub(crate) async fn must_serve(
        &mut self,
        case: &Case,
        change: impl Fn(&mut Draft, &Moment) + Send + Sync,
    ) {
        if self.options.excludes(&case.id()) {
            return;
        }
        if let Some(decision) = self.before().await {
            self.conclude(case, decision);
            return;
        }
        let attempt = self
            .send_retrying(
                |session| {
                    let mut draft = session.good();
                    change(&mut draft, &session.moment());
                    draft
                },
                case.also,
                Expect::Served,
            )
            .await;
        let (verdict, reason) = match &attempt.outcome {
            Outcome::Served => (Verdict::Enforced, "served, as the standard asks".to_owned()),
            Outcome::Unclear(reason) => (Verdict::Inconclusive, reason.to_string()),
            Outcome::NonceWanted(_) => (
                Verdict::Inconclusive,
                "the server answered with one nonce challenge after another".to_owned(),
            ),
            Outcome::Refused => match self.confirmed().await {
                (Verdict::Enforced, _) => (
                    Verdict::NotEnforced,
                    "refused, although the standard says that it is to be accepted".to_owned(),
                ),
                unclear => unclear,
            },
        };
        let got = attempt.got();
        let decision = Decision::of(verdict, reason)
            .got(got)
            .evidence(vec![attempt.exchange]);
        self.conclude(case, decision);
    }

    /// Makes sure that good requests are served; says why not otherwise.
    pub(crate) async fn before(&mut self) -> Option<Decision> {
        if let Some(reason) = &self.stopped {
            return Some(Decision::inconclusive(reason.clone()));
        }
        if self.standing {
            return None;
        }
        let mut attempt = self.control().await;
        if attempt.outcome != Outcome::Served {
            self.wait(Duration::from_secs(1)).await;
            attempt = self.control().await;
        }
        if attempt.outcome == Outcome::Served {
            return None;
        }
        let reason = format!(
            "the positive control failed, so nothing can be concluded: {}",
            attempt.told()
        );
        let reason = self.stopped.get_or_insert(reason).clone();
        Some(Decision::inconclusive(reason).evidence(vec![attempt.exchange]))
    }

    /// Waits, unless nothing is really sent.
    pub(crate) async fn wait(&self, duration: Duration) {
        if !self.options.dry_run {
            self.timing.wait(duration).await;
        }
    }
}
