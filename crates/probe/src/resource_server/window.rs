//! How old and how new a proof may be, measured by bisection (RS-13, AS-04).
//!
//! Each probe of the window is a good request whose proof says it was made at
//! another time. The range is first widened in steps until a proof is refused,
//! then halved to the second.

use keybound_proto::Cause;

use crate::answer::Outcome;
use crate::check::{Case, Check, Decision};
use crate::report::Measure;
use crate::session::{Expect, Session};
use crate::verdict::{Severity, Verdict};

/// Seconds tried in turn until one is refused: an hour is longer than any window that deserves the name.
const STEPS: [u64; 7] = [30, 75, 150, 310, 610, 1810, 3610];
/// Seconds a proof may be old or new at most, to count as enforced: five minutes, as MCP asks at
/// most, and some for the clocks.
const LONGEST: u64 = 310;

/// To which side of the present.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Past,
    Future,
}

/// What a measurement came to.
enum Measured {
    /// The last accepted second, and the first refused one right after it.
    Until(u64),
    /// Even the last step was accepted.
    Unlimited,
    /// The target did not answer clearly.
    Unclear(Decision),
}

/// The cases of [`ask`].
pub(crate) const fn cases(check: &'static Check) -> [Case; 3] {
    [
        Case::new(
            check,
            "iat-past",
            "good requests whose proofs are older and older",
            Cause::DpopIatPast,
        ),
        Case::new(
            check,
            "iat-future",
            "good requests whose proofs are from further and further in the future",
            Cause::DpopIatFuture,
        ),
        Case::without_cause(
            check,
            "clock-tolerance",
            "a good request whose proof is eight seconds ahead",
        )
        .severity(Severity::Note),
    ]
}

pub(crate) async fn ask(
    check: &'static Check,
    session: &mut Session<'_>,
    measures: &mut Vec<Measure>,
) {
    let [past, future, tolerant] = cases(check);
    for (case, side) in [(past, Side::Past), (future, Side::Future)] {
        if session.options.excludes(&case.id()) {
            continue;
        }
        let measured = measure(session, side).await;
        let decision = decide(side, measured, session.nonce_required(), measures);
        session.conclude(&case, decision);
    }
    ten_seconds(&tolerant, session).await;
}

/// FAPI 2.0 section 5.3.2.1 asks to accept what is ten seconds ahead or behind.
async fn ten_seconds(tolerant: &Case, session: &mut Session<'_>) {
    session
        .must_serve(tolerant, |draft, moment| {
            draft.on_proof(|proof| proof.claim("iat", moment.now.plus(8).as_secs()));
        })
        .await;
}

async fn measure(session: &mut Session<'_>, side: Side) -> Measured {
    let (mut accepted, mut refused) = (0, None);
    for step in STEPS {
        match accepts(session, side, step).await {
            Ok(true) => accepted = step,
            Ok(false) => {
                refused = Some(step);
                break;
            }
            Err(decision) => return Measured::Unclear(decision),
        }
    }
    let Some(mut refused) = refused else {
        return Measured::Unlimited;
    };
    while refused > accepted + 1 {
        let middle = accepted + (refused - accepted) / 2;
        match accepts(session, side, middle).await {
            Ok(true) => accepted = middle,
            Ok(false) => refused = middle,
            Err(decision) => return Measured::Unclear(decision),
        }
    }
    Measured::Until(accepted)
}

/// Whether a proof so many seconds from the present is accepted. A refusal is confirmed by a
/// control, as everywhere.
async fn accepts(session: &mut Session<'_>, side: Side, seconds: u64) -> Result<bool, Decision> {
    if let Some(decision) = session.before().await {
        return Err(decision);
    }
    let attempt = session
        .send_retrying(
            |session| {
                let now = session.moment().now;
                let iat = match side {
                    Side::Past => now.minus(seconds),
                    Side::Future => now.plus(seconds),
                };
                let mut draft = session.good();
                draft.on_proof(|proof| proof.claim("iat", iat.as_secs()));
                draft
            },
            &[],
            if seconds < 60 {
                Expect::Served
            } else {
                Expect::Refused
            },
        )
        .await;
    match &attempt.outcome {
        Outcome::Served => Ok(true),
        Outcome::Refused => match session.before().await {
            None => Ok(false),
            Some(decision) => Err(decision),
        },
        Outcome::NonceWanted(_) => Ok(false),
        Outcome::Unclear(reason) => {
            Err(Decision::inconclusive(reason.to_string()).evidence(vec![attempt.exchange]))
        }
    }
}

fn decide(
    side: Side,
    measured: Measured,
    nonce_required: bool,
    measures: &mut Vec<Measure>,
) -> Decision {
    let (name, word) = match side {
        Side::Past => ("replay_window_past", "old"),
        Side::Future => ("replay_window_future", "early"),
    };
    let (value, text, decision) = match measured {
        Measured::Until(seconds) => {
            let text = format!("proofs are accepted up to {seconds} s {word}");
            let verdict = if seconds <= LONGEST || nonce_required {
                Verdict::Enforced
            } else {
                Verdict::NotEnforced
            };
            (
                Some(seconds as f64),
                text.clone(),
                Decision::of(verdict, text),
            )
        }
        Measured::Unlimited => {
            let text = format!("proofs are accepted even an hour {word}");
            let decision = if nonce_required {
                Decision::of(
                    Verdict::Enforced,
                    format!("{text}, and a server nonce limits them"),
                )
            } else {
                Decision::of(Verdict::NotEnforced, text.clone())
            };
            (None, text, decision)
        }
        Measured::Unclear(decision) => (None, decision.reason.clone(), decision),
    };
    measures.push(Measure {
        name: name.to_owned(),
        value,
        unit: "s".to_owned(),
        text: text.clone(),
    });
    decision.got(text)
}
