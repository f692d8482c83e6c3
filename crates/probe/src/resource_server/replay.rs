//! Replay and nonces (RS-06, RS-07, RS-14).

use std::time::Duration;

use keybound_proto::Cause;

use super::{ResourceServer, checks};
use crate::answer::Outcome;
use crate::check::{Case, Check, Decision};
use crate::draft::Draft;
use crate::report::Measure;
use crate::session::{Expect, Session};
use crate::transport::resolve;
use crate::verdict::{Severity, Verdict};

/// Copies of one proof sent at once.
const COPIES: u32 = 20;

const AT_ONCE: Case = Case::new(
    &checks::RS_06,
    "at-once",
    "a served request again, byte by byte",
    Cause::DpopReplayed,
);
const NEW_SIGNATURE: Case = Case::new(
    &checks::RS_06,
    "same-jti",
    "another proof with the `jti` of a served one, signed anew for another second",
    Cause::DpopReplayed,
)
.severity(Severity::Medium);
const AFTER_TWO_SECONDS: Case = Case::without_cause(
    &checks::RS_06,
    "after-2s",
    "a served request again, two seconds later",
);
const AT_THE_END: Case = Case::without_cause(
    &checks::RS_06,
    "end-of-window",
    "a served request again, at the end of the time its proof is accepted",
);
const PARALLEL: Case = Case::without_cause(
    &checks::RS_07,
    "parallel",
    "one good request twenty times at once, each over a connection of its own",
);
const ADDRESSES: Case = Case::without_cause(
    &checks::RS_07,
    "addresses",
    "one good request to each address of the host's name",
);

pub(super) async fn ask(
    server: &ResourceServer,
    session: &mut Session<'_>,
    measures: &mut Vec<Measure>,
) {
    twice(&AT_ONCE, session, None).await;
    same_jti(&NEW_SIGNATURE, session).await;
    if session.found(&AT_ONCE.id()) {
        for case in [&PARALLEL, &ADDRESSES] {
            let reason = "RS-06 shows already that a proof passes twice";
            session.conclude(case, Decision::not_applicable(reason));
        }
        return;
    }
    parallel(&PARALLEL, session, measures).await;
    addresses(server, session).await;
}

/// Replays that need time to pass.
pub(super) async fn ask_late(
    _server: &ResourceServer,
    session: &mut Session<'_>,
    measures: &[Measure],
) {
    if session.found(&AT_ONCE.id()) {
        for case in [&AFTER_TWO_SECONDS, &AT_THE_END] {
            let reason = "RS-06.at-once shows already that a proof passes twice";
            session.conclude(case, Decision::not_applicable(reason));
        }
        return;
    }
    twice(&AFTER_TWO_SECONDS, session, Some(Duration::from_secs(2))).await;
    at_the_end(&AT_THE_END, session, measures).await;
}

/// A served request again at the end of the window that was measured.
pub(crate) async fn at_the_end(case: &Case, session: &mut Session<'_>, measures: &[Measure]) {
    let window = measures
        .iter()
        .find(|measure| measure.name == "replay_window_past")
        .and_then(|measure| measure.value);
    match window {
        // The last second may be over by the time the request is there.
        Some(seconds) if (4.0..=310.0).contains(&seconds) => {
            let wait = Duration::from_secs_f64(seconds - 2.0);
            twice(case, session, Some(wait)).await;
        }
        Some(_) => {
            let reason = "the window is too short or too long to wait for its end";
            session.conclude(case, Decision::not_applicable(reason));
        }
        None if session.found("RS-13.iat-past") || session.found("AS-04.iat-past") => {
            let reason = "the window has no end that could be waited for";
            session.conclude(case, Decision::not_applicable(reason));
        }
        None if session.options.excludes("RS-13.iat-past") => {
            let reason = "needs the window that RS-13 measures, which was left out";
            session.conclude(&AT_THE_END, Decision::not_applicable(reason));
        }
        None => {
            let reason = "the window was not measured";
            session.conclude(case, Decision::inconclusive(reason));
        }
    }
}

/// Sends a good request, which is the positive control, and the same bytes again.
pub(crate) async fn twice(case: &Case, session: &mut Session<'_>, pause: Option<Duration>) {
    if session.options.excludes(&case.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(case, decision);
        return;
    }
    let mut draft = session.good();
    if let Err(reason) = draft.fix() {
        session.conclude(case, Decision::inconclusive(reason));
        return;
    }
    let first = session.send(&draft, &[], Expect::Served).await;
    if first.outcome != Outcome::Served {
        let reason = "the first of the two was not served";
        session.conclude(
            case,
            Decision::inconclusive(reason)
                .got(first.got())
                .evidence(vec![first.exchange]),
        );
        return;
    }
    if let Some(pause) = pause {
        session.wait(pause).await;
    }
    let draft = with_fresh_form(&draft, session);
    let decision = again(session, &draft).await;
    session.conclude(case, decision);
}

/// The same proof in a request whose client assertion, where it has one, is fresh: assertions are
/// single use as well, and must not be what is refused.
fn with_fresh_form(draft: &Draft, session: &Session<'_>) -> Draft {
    let mut draft = draft.clone();
    draft.form = session.good().form;
    draft
}

/// Sends what must not be taken a second time, and judges.
pub(crate) async fn again(session: &mut Session<'_>, draft: &Draft) -> Decision {
    let second = session.send(draft, &[], Expect::Refused).await;
    let got = second.got();
    let decision = match &second.outcome {
        Outcome::Served => Decision::of(Verdict::NotEnforced, "accepted a second time"),
        // A server may answer any proof it will not take with a demand for a nonce (DESIGN of
        // strict replay): the replay did not pass.
        Outcome::Refused | Outcome::NonceWanted(_) => match session.before().await {
            None => Decision::of(
                Verdict::Enforced,
                "refused the second time, while fresh proofs are served",
            ),
            Some(decision) => decision,
        },
        Outcome::Unclear(reason) => Decision::inconclusive(reason.to_string()),
    };
    let mut evidence = decision.evidence.clone();
    evidence.insert(0, second.exchange);
    decision.got(got).evidence(evidence)
}

/// A served proof's `jti` under a new signature.
pub(crate) async fn same_jti(case: &Case, session: &mut Session<'_>) {
    if session.options.excludes(&case.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(case, decision);
        return;
    }
    let mut draft = session.good();
    let first = session.send(&draft, &[], Expect::Served).await;
    if first.outcome != Outcome::Served {
        let decision = Decision::inconclusive("the first of the two was not served");
        session.conclude(case, decision.got(first.got()));
        return;
    }
    draft.on_proof(|proof| {
        let iat = proof.claims.get("iat").and_then(serde_json::Value::as_u64);
        proof.claim("iat", iat.unwrap_or_default().saturating_sub(1));
    });
    let draft = with_fresh_form(&draft, session);
    let decision = again(session, &draft).await;
    session.conclude(case, decision);
}

/// One proof many times at once.
pub(crate) async fn parallel(case: &Case, session: &mut Session<'_>, measures: &mut Vec<Measure>) {
    if session.options.excludes(&case.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(case, decision);
        return;
    }
    let mut draft = session.good();
    if let Err(reason) = draft.fix() {
        session.conclude(case, Decision::inconclusive(reason));
        return;
    }
    let copies: Vec<Draft> = (0..COPIES)
        .map(|_| with_fresh_form(&draft, session))
        .collect();
    let (served, lost) = session.send_at_once(&copies).await;
    let got = format!("{served} of {COPIES} served, {lost} without an answer that decides");
    measures.push(Measure {
        name: "served_of_parallel".to_owned(),
        value: Some(f64::from(served)),
        unit: "1".to_owned(),
        text: got.clone(),
    });
    let decision = match served {
        0 => Decision::inconclusive(
            "none of them was served, so nothing shows which was refused why",
        ),
        1 if lost == 0 => Decision::of(Verdict::Enforced, "exactly one was served"),
        1 => Decision::inconclusive("one was served, but others brought no answer that decides"),
        _ => Decision::of(Verdict::NotEnforced, "one proof was accepted several times"),
    };
    session.conclude(case, decision.got(got));
}

/// One proof to every address of the host.
async fn addresses(server: &ResourceServer, session: &mut Session<'_>) {
    if session.options.excludes(&ADDRESSES.id()) {
        return;
    }
    let found = if server.nodes.is_empty() {
        match resolve(&server.url).await {
            Ok(found) => found,
            Err(error) => {
                session.conclude(&ADDRESSES, Decision::inconclusive(error.to_string()));
                return;
            }
        }
    } else {
        server.nodes.clone()
    };
    if found.len() < 2 {
        let reason = "the host's name has one address, and no nodes were named";
        session.conclude(&ADDRESSES, Decision::not_applicable(reason));
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(&ADDRESSES, decision);
        return;
    }
    let mut draft = session.good();
    if let Err(reason) = draft.fix() {
        session.conclude(&ADDRESSES, Decision::inconclusive(reason));
        return;
    }
    let (mut served, mut answered, mut evidence) = (0, 0, Vec::new());
    for address in found.iter().take(8) {
        draft.address = Some(*address);
        let expect = if served == 0 {
            Expect::Served
        } else {
            Expect::Refused
        };
        let attempt = session.send(&draft, &[], expect).await;
        match attempt.outcome {
            Outcome::Served => {
                served += 1;
                answered += 1;
            }
            Outcome::Refused | Outcome::NonceWanted(_) => answered += 1,
            Outcome::Unclear(_) => {}
        }
        evidence.push(attempt.exchange);
    }
    let got = format!(
        "{served} served of {answered} that answered, {} addresses",
        found.len()
    );
    let decision = match (served, answered) {
        (2.., _) => Decision::of(Verdict::NotEnforced, "two addresses accepted one proof"),
        (1, 2..) => Decision::of(
            Verdict::Enforced,
            "one address served it, the others refused",
        ),
        (_, 0 | 1) => Decision::not_applicable("only one address answers"),
        _ => Decision::inconclusive("no address served it"),
    };
    session.conclude(&ADDRESSES, decision.got(got).evidence(evidence));
}

/// The cases of [`ask_nonce`].
pub(crate) const fn nonce_cases(check: &'static Check) -> [Case; 3] {
    [
        Case::new(
            check,
            "nonce-absent",
            "a proof without the demanded nonce",
            Cause::DpopNonceAbsent,
        ),
        Case::new(
            check,
            "nonce-foreign",
            "a proof with a nonce this server did not make",
            Cause::DpopNonceStale,
        ),
        Case::new(
            check,
            "nonce-number",
            "a proof whose nonce is a number",
            Cause::DpopNonceInvalid,
        )
        .severity(Severity::Low),
    ]
}

/// Whether nonces are demanded, and what a demanded one is worth.
pub(crate) async fn ask_nonce(
    check: &'static Check,
    session: &mut Session<'_>,
    measures: &mut Vec<Measure>,
    of_good_requests: bool,
) {
    let (value, text) = match (session.nonce_required(), session.newest_nonce()) {
        (true, _) if of_good_requests => (2.0, "nonces are demanded"),
        (true, _) => (1.0, "nonces are demanded of some requests only"),
        (false, Some(_)) => (1.0, "nonces are offered and not demanded"),
        (false, None) => (0.0, "nonces are neither demanded nor offered"),
    };
    measures.push(Measure {
        name: "nonce".to_owned(),
        value: Some(value),
        unit: "1".to_owned(),
        text: text.to_owned(),
    });
    let [absent, foreign, number] = nonce_cases(check);
    if !(session.nonce_required() && of_good_requests) {
        for case in [&absent, &foreign, &number] {
            session.conclude(case, Decision::not_applicable(text));
        }
        return;
    }
    challenged(&absent, session, |proof| proof.without_claim("nonce")).await;
    challenged(&foreign, session, |proof| {
        proof.claim("nonce", crate::draft::unique());
    })
    .await;
    challenged(&number, session, |proof| proof.claim("nonce", 7)).await;
}

/// A defect of the nonce: a challenge is the refusal here, and is not answered.
async fn challenged(
    case: &Case,
    session: &mut Session<'_>,
    defect: impl Fn(&mut crate::jwt::JwtDraft),
) {
    if session.options.excludes(&case.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(case, decision);
        return;
    }
    let mut draft = session.good();
    draft.on_proof(|proof| defect(proof));
    let attempt = session.send(&draft, &[], Expect::Refused).await;
    let got = attempt.got();
    let decision = match &attempt.outcome {
        Outcome::Served => Decision::of(Verdict::NotEnforced, "served without the right nonce"),
        Outcome::Unclear(reason) => Decision::inconclusive(reason.to_string()),
        Outcome::Refused | Outcome::NonceWanted(_) => match session.before().await {
            None => Decision::of(
                Verdict::Enforced,
                "refused, while the same request with the right nonce is served",
            ),
            Some(decision) => decision,
        },
    };
    session.conclude(case, decision.got(got).evidence(vec![attempt.exchange]));
}
