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
mod steadiness;

use std::sync::Arc;
use std::time::Duration;

use keybound_proto::time::UnixTime;

use self::exchange::{rehearsed, telling_body, telling_headers, unsendable, unsent};
use self::steadiness::Steadiness;
use crate::answer::{Outcome, Success, Unclear};
use crate::check::{Case, Decision};
use crate::draft::{Draft, Sealed, printable};
use crate::report::{Exchange, Finding};
use crate::timing::Timing;
use crate::transport::{Answer, NoAnswer, Transport};
use crate::verdict::Verdict;
use crate::{Options, Progress};

/// After so many time-outs in a row the rest is not asked any more.
const TIMEOUTS_TO_STOP: u32 = 3;
/// What `Retry-After` may cost a whole run.
const LONGEST_WAITING: Duration = Duration::from_secs(300);
/// The wait for a server that limits the rate and does not say for how long.
const UNSTATED_WAIT: Duration = Duration::from_secs(5);

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
    /// The next negative may rely on this control, which was just served.
    standing: bool,
    stopped: Option<String>,
}

/// A request that was sent, and how it ended.
pub(crate) struct Attempt {
    pub(crate) outcome: Outcome,
    pub(crate) answer: Option<Answer>,
    pub(crate) exchange: Exchange,
}

impl Attempt {
    /// What came back, in words.
    pub(crate) fn got(&self) -> String {
        match (&self.answer, &self.outcome) {
            (Some(answer), _) => answer.shown(),
            (None, Outcome::Unclear(reason)) => reason.to_string(),
            (None, _) => String::new(),
        }
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
            standing: false,
            stopped: None,
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
                    "the target's clock is {skew} s ahead of this machine's; proofs are made for its time"
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
        let finding = case.finding(decision);
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
                format!("refused, but so are good requests now: {}", decision.reason),
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
            attempt.got()
        );
        let reason = self.stopped.get_or_insert(reason).clone();
        Some(Decision::inconclusive(reason).evidence(vec![attempt.exchange]))
    }

    /// Sends a request that is made anew for each try: once more after a nonce challenge, once
    /// more after a wait when the rate is limited, and once more when the server had closed the
    /// connection that was kept for it.
    pub(crate) async fn send_retrying(
        &mut self,
        draft: impl Fn(&Self) -> Draft,
        also: &[u16],
        expect: Expect,
    ) -> Attempt {
        let (mut challenged, mut limited, mut closed) = (false, false, false);
        loop {
            let attempt = self.send(&draft(self), also, expect).await;
            match &attempt.outcome {
                Outcome::NonceWanted(nonce) if !challenged => {
                    self.nonce = Some(nonce.clone());
                    self.nonce_required = true;
                    challenged = true;
                }
                Outcome::Unclear(Unclear::RateLimited { wait, .. }) if !limited => {
                    if !self.wait_for_rate(*wait).await {
                        return attempt;
                    }
                    limited = true;
                }
                Outcome::Unclear(Unclear::Transport(NoAnswer::Closed)) if !closed => closed = true,
                Outcome::Served
                | Outcome::Refused
                | Outcome::NonceWanted(_)
                | Outcome::Unclear(_) => return attempt,
            }
        }
    }

    /// Waits as long as a server that limits the rate asks for, if that is not too long.
    async fn wait_for_rate(&mut self, asked: Option<Duration>) -> bool {
        let wait = asked.unwrap_or(UNSTATED_WAIT);
        if wait > self.options.longest_wait {
            return false;
        }
        if self.waited + wait > LONGEST_WAITING {
            self.stopped = Some(format!(
                "the server limits the rate, and {} s of waiting were not enough; try again with a lower `--rate`",
                self.waited.as_secs()
            ));
            return false;
        }
        self.waited += wait;
        self.timing.wait(wait).await;
        true
    }

    /// Sends one request, once.
    pub(crate) async fn send(&mut self, draft: &Draft, also: &[u16], expect: Expect) -> Attempt {
        let sealed = match self.sealed(draft).await {
            Ok(sealed) => sealed,
            Err(attempt) => return *attempt,
        };
        if self.options.dry_run {
            return rehearsed(draft, &sealed.shown, expect);
        }
        let result = self.transport.send(&sealed).await;
        self.count_timeout(matches!(result, Err(NoAnswer::TimedOut(_))));
        self.read(&sealed.shown, draft, result, also)
    }

    /// Sends one request `copies` times at once, over as many connections, and says how many were
    /// served and how many brought no decision.
    pub(crate) async fn send_at_once(&mut self, draft: &Draft, copies: u32) -> (u32, u32) {
        self.standing = false;
        let Ok(sealed) = draft.seal() else {
            return (0, copies);
        };
        // The rate is kept over the whole: the pause that single requests would have had comes first.
        let mut sending = 0;
        while sending < copies && self.may_send() {
            self.pace(draft, &sealed.shown).await;
            sending += 1;
        }
        let really = if self.options.dry_run { 0 } else { sending };
        let flights = (0..really).map(|_| self.transport.send_alone(&sealed));
        let results = futures_util::future::join_all(flights).await;
        let (mut served, mut lost) = (0, copies - sending);
        for result in results {
            match self.read(&sealed.shown, draft, result, &[]).outcome {
                Outcome::Served => served += 1,
                Outcome::Refused | Outcome::NonceWanted(_) => {}
                Outcome::Unclear(_) => lost += 1,
            }
        }
        if self.options.dry_run {
            served = 1;
        }
        (served, lost)
    }

    /// Sends one request over HTTP/2, once.
    pub(crate) async fn send_http2(&mut self, draft: &Draft) -> Attempt {
        let sealed = match self.sealed(draft).await {
            Ok(sealed) => sealed,
            Err(attempt) => return *attempt,
        };
        if self.options.dry_run {
            return rehearsed(draft, &sealed.shown, Expect::Refused);
        }
        let result = self.transport.send_http2(&sealed).await;
        self.read(&sealed.shown, draft, result, &[])
    }

    /// Signs a request, if one may still be sent, and waits until the rate allows it.
    async fn sealed(&mut self, draft: &Draft) -> Result<Sealed, Box<Attempt>> {
        self.standing = false;
        let sealed = draft
            .seal()
            .map_err(|reason| Box::new(unsendable(draft, reason)))?;
        if !self.may_send() {
            let reason = self.stopped.clone().unwrap_or_default();
            return Err(Box::new(unsendable(draft, reason)));
        }
        self.pace(draft, &sealed.shown).await;
        Ok(sealed)
    }

    /// Whether the run goes on: nothing is sent any more once it was stopped.
    fn may_send(&mut self) -> bool {
        if self.stopped.is_none() && self.requests >= self.options.max_requests {
            self.stopped = Some(format!(
                "the limit of {} requests is reached",
                self.options.max_requests
            ));
        }
        let run = self.options.longest_run;
        if self.stopped.is_none() && self.elapsed() > run.as_secs_f64() {
            self.stopped = Some(format!("the run takes longer than {} s", run.as_secs()));
        }
        self.stopped.is_none()
    }

    fn count_timeout(&mut self, timed_out: bool) {
        self.timeouts = if timed_out { self.timeouts + 1 } else { 0 };
        if self.timeouts >= TIMEOUTS_TO_STOP && self.stopped.is_none() {
            self.stopped = Some(format!(
                "the target did not answer {TIMEOUTS_TO_STOP} times in a row"
            ));
        }
    }

    /// Reads what came back, and learns from it.
    pub(crate) fn read(
        &mut self,
        shown: &[(String, String)],
        draft: &Draft,
        result: Result<Answer, NoAnswer>,
        also: &[u16],
    ) -> Attempt {
        let mut exchange = unsent(draft);
        exchange.headers = shown.to_vec();
        match result {
            Ok(answer) => {
                if let Some(nonce) = answer.nonce() {
                    self.nonce = Some(nonce);
                }
                exchange.status = Some(answer.status.as_u16());
                exchange.answer = telling_headers(&answer);
                exchange.body = telling_body(&answer);
                exchange.milliseconds =
                    u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX);
                Attempt {
                    outcome: answer.outcome(&self.success, also),
                    answer: Some(answer),
                    exchange,
                }
            }
            Err(error) => {
                exchange.body = printable(error.to_string().as_bytes());
                Attempt {
                    outcome: Outcome::Unclear(Unclear::Transport(error)),
                    answer: None,
                    exchange,
                }
            }
        }
    }

    /// Counts a request and waits until the stated rate allows it.
    async fn pace(&mut self, draft: &Draft, shown: &[(String, String)]) {
        self.requests += 1;
        let mut exchange = unsent(draft);
        exchange.headers = shown.to_vec();
        self.progress.sending(self.requests, &exchange);
        if let Some(interval) = self.options.interval()
            && !self.options.dry_run
        {
            self.timing.wait(interval).await;
        }
    }

    /// Waits, unless nothing is really sent.
    pub(crate) async fn wait(&self, duration: Duration) {
        if !self.options.dry_run {
            self.timing.wait(duration).await;
        }
    }
}
