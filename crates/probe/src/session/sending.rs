//! Sending within the limits, and reading what came back.
//!
//! What an answer proves is `crate::answer`'s to say; when nothing more may be
//! sent is decided here.

use std::time::Duration;

use super::exchange::{rehearsed, telling_body, telling_headers, unsendable, unsent};
use super::{Attempt, Expect, Session};
use crate::answer::{Outcome, Unclear};
use crate::draft::{Draft, Sealed, printable};
use crate::transport::{Answer, NoAnswer};

/// After so many time-outs in a row the rest is not asked any more.
const TIMEOUTS_TO_STOP: u32 = 3;
/// What `Retry-After` may cost a whole run.
const LONGEST_WAITING: Duration = Duration::from_secs(300);
/// The wait for a server that limits the rate and does not say for how long.
const UNSTATED_WAIT: Duration = Duration::from_secs(5);

impl Session<'_> {
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

    /// Sends requests at once, each over a connection of its own, and says how many were served
    /// and how many brought no decision.
    pub(crate) async fn send_at_once(&mut self, drafts: &[Draft]) -> (u32, u32) {
        self.standing = false;
        let (mut served, mut lost) = (0, 0);
        let mut ready = Vec::with_capacity(drafts.len());
        for draft in drafts {
            // The rate is kept over the whole: the pause that single requests would have had
            // comes first.
            match draft.seal() {
                Ok(sealed) if self.may_send() => {
                    self.pace(draft, &sealed.shown).await;
                    ready.push((draft, sealed));
                }
                Ok(_) | Err(_) => lost += 1,
            }
        }
        if self.options.dry_run {
            return (1, lost);
        }
        let flights = ready
            .iter()
            .map(|(_, sealed)| self.transport.send_alone(sealed));
        let results = futures_util::future::join_all(flights).await;
        for ((draft, sealed), result) in ready.iter().zip(results) {
            match self.read(&sealed.shown, draft, result, &[]).outcome {
                Outcome::Served => served += 1,
                Outcome::Refused | Outcome::NonceWanted(_) => {}
                Outcome::Unclear(_) => lost += 1,
            }
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
        let spent = self.elapsed() - self.paced.as_secs_f64();
        if self.stopped.is_none() && spent > run.as_secs_f64() {
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
                    shown: self.secrets.removed_from(&answer.shown()),
                    answer: Some(answer),
                    exchange,
                }
            }
            Err(error) => {
                exchange.body = printable(error.to_string().as_bytes());
                Attempt {
                    outcome: Outcome::Unclear(Unclear::Transport(error)),
                    answer: None,
                    shown: String::new(),
                    exchange,
                }
            }
        }
    }

    /// Counts a request and waits until the stated rate allows it.
    async fn pace(&mut self, draft: &Draft, shown: &[(String, String)]) {
        self.requests += 1;
        self.secrets.remember(draft);
        let mut exchange = unsent(draft);
        exchange.headers = shown.to_vec();
        self.progress.sending(self.requests, &exchange);
        if let Some(interval) = self.options.interval()
            && !self.options.dry_run
        {
            self.paced += interval;
            self.timing.wait(interval).await;
        }
    }
}
