//! Client assertions (AS-10): RFC 7523 section 3.

use std::sync::Arc;

use keybound_proto::Cause;
use serde_json::json;

use super::checks::AS_10;
use super::reply::Reply;
use super::site::Site;
use crate::answer::Outcome;
use crate::check::{Case, Decision};
use crate::draft::unique;
use crate::jwt::{Encoding, JwtDraft, Signature};
use crate::proof_cases::Strangers;
use crate::resource_server::replay::again;
use crate::session::{Expect, Moment, Session};
use crate::verdict::{Severity, Verdict};

/// Copies of one assertion sent at once.
const COPIES: u32 = 10;

const REPLAY: Case = Case::new(
    &AS_10,
    "replay",
    "a served client assertion again, with a fresh proof",
    Cause::AssertionReplayed,
);
const ELSEWHERE: Case = Case::new(
    &AS_10,
    "replay-elsewhere",
    "a client assertion that got a token again, at the introspection endpoint",
    Cause::AssertionReplayed,
)
.severity(Severity::Medium);
const PARALLEL: Case = Case::without_cause(
    &AS_10,
    "parallel",
    "one client assertion in ten requests at once, each with a proof of its own",
);
const ENDPOINT: Case = Case::new(
    &AS_10,
    "aud-token-endpoint",
    "an assertion whose `aud` is the token endpoint, where the issuer is taken",
    Cause::AssertionAudience,
)
.severity(Severity::Note);
const TYPE: Case = Case::new(
    &AS_10,
    "assertion-type",
    "a good assertion with a `client_assertion_type` of another kind",
    Cause::AssertionMalformed,
)
.severity(Severity::Note);
const BY_OTHER_KEY: Case = Case::new(
    &AS_10,
    "signature-by-other-key",
    "an assertion in the client's name signed by another key",
    Cause::AssertionSignature,
)
.severity(Severity::Critical);

/// A defect of the assertion alone.
struct AssertionDefect {
    case: Case,
    change: fn(&mut JwtDraft, &Moment),
}

const fn defect(
    name: &'static str,
    sent: &'static str,
    cause: Cause,
    change: fn(&mut JwtDraft, &Moment),
) -> AssertionDefect {
    AssertionDefect {
        case: Case::new(&AS_10, name, sent, cause),
        change,
    }
}

impl AssertionDefect {
    const fn severity(mut self, severity: Severity) -> Self {
        self.case.severity = Some(severity);
        self
    }
}

const DEFECTS: &[AssertionDefect] = &[
    defect(
        "aud-other",
        "an assertion made for another authorization server",
        Cause::AssertionAudience,
        |assertion, _| assertion.claim("aud", "https://other.example"),
    ),
    defect(
        "aud-absent",
        "an assertion without `aud`",
        Cause::AssertionAudience,
        |assertion, _| assertion.without_claim("aud"),
    ),
    defect(
        "aud-several",
        "an assertion made for this server and another one",
        Cause::AssertionAudience,
        |assertion, _| {
            let own = assertion.claims.get("aud").cloned().unwrap_or_default();
            assertion.claim("aud", json!([own, "https://other.example"]));
        },
    )
    .severity(Severity::Low),
    defect(
        "expired",
        "an assertion that expired five minutes ago",
        Cause::AssertionExpired,
        |assertion, moment| {
            assertion.claim("iat", moment.now.minus(360).as_secs());
            assertion.claim("exp", moment.now.minus(300).as_secs());
        },
    ),
    defect(
        "long-lived",
        "an assertion that lives for a year",
        Cause::AssertionExpired,
        |assertion, moment| assertion.claim("exp", moment.now.plus(365 * 86_400).as_secs()),
    )
    .severity(Severity::Note),
    defect(
        "not-yet-valid",
        "an assertion whose `nbf` is in five minutes",
        Cause::AssertionNotYetValid,
        |assertion, moment| {
            assertion.claim("nbf", moment.now.plus(300).as_secs());
            assertion.claim("exp", moment.now.plus(360).as_secs());
        },
    )
    .severity(Severity::Low),
    defect(
        "from-the-future",
        "an assertion that says it was made in two minutes",
        Cause::AssertionNotYetValid,
        |assertion, moment| {
            assertion.claim("iat", moment.now.plus(120).as_secs());
            assertion.claim("exp", moment.now.plus(180).as_secs());
        },
    )
    .severity(Severity::Low),
    defect(
        "exp-absent",
        "an assertion that never expires",
        Cause::AssertionClaim,
        |assertion, _| assertion.without_claim("exp"),
    ),
    defect(
        "iss-absent",
        "an assertion without `iss`",
        Cause::AssertionClaim,
        |assertion, _| assertion.without_claim("iss"),
    )
    .severity(Severity::Low),
    defect(
        "sub-absent",
        "an assertion without `sub`",
        Cause::AssertionClaim,
        |assertion, _| assertion.without_claim("sub"),
    )
    .severity(Severity::Low),
    defect(
        "sub-other",
        "an assertion whose `sub` is another client than its `iss`",
        Cause::AssertionClaim,
        |assertion, _| assertion.claim("sub", "another-client"),
    ),
    defect(
        "jti-absent",
        "an assertion without `jti`",
        Cause::AssertionClaim,
        |assertion, _| assertion.without_claim("jti"),
    )
    .severity(Severity::Low),
    defect(
        "signature-flipped",
        "an assertion with one bit of its signature flipped",
        Cause::AssertionSignature,
        |assertion, _| assertion.signature = Signature::Flipped,
    )
    .severity(Severity::Critical),
    defect(
        "signature-other-claims",
        "an assertion whose claims were changed after signing",
        Cause::AssertionSignature,
        |assertion, _| assertion.signature = Signature::OverOtherClaims,
    )
    .severity(Severity::Critical),
    defect(
        "alg-none",
        "an assertion with `alg` `none` and no signature",
        Cause::AssertionMalformed,
        |assertion, _| {
            assertion.member("alg", "none");
            assertion.signature = Signature::Empty;
        },
    )
    .severity(Severity::Critical),
    defect(
        "hs256-public-key",
        "an assertion with `alg` `HS256`, keyed with the public key's text",
        Cause::AssertionMalformed,
        |assertion, _| {
            assertion.member("alg", "HS256");
            assertion.signature = Signature::HmacOfPublicKey;
        },
    )
    .severity(Severity::Critical),
    defect(
        "typ-of-proof",
        "an assertion of the type of a proof, `dpop+jwt`",
        Cause::AssertionMalformed,
        |assertion, _| assertion.member("typ", "dpop+jwt"),
    )
    .severity(Severity::Low),
    defect(
        "crit",
        "an assertion whose `crit` names an extension nobody knows",
        Cause::AssertionMalformed,
        |assertion, _| {
            assertion.member("crit", json!(["x-unknown"]));
            assertion.member("x-unknown", true);
        },
    )
    .severity(Severity::Low),
    defect(
        "duplicate-member",
        "an assertion whose claims have `jti` twice",
        Cause::AssertionMalformed,
        |assertion, _| assertion.encoding = Encoding::DuplicateMember,
    )
    .severity(Severity::Low),
    defect(
        "two-parts",
        "an assertion without its signature part",
        Cause::AssertionMalformed,
        |assertion, _| assertion.encoding = Encoding::TwoParts,
    ),
];

/// Every case of this file.
pub(super) fn cases() -> Vec<&'static Case> {
    const ALONE: &[Case] = &[REPLAY, ELSEWHERE, PARALLEL, ENDPOINT, TYPE, BY_OTHER_KEY];
    ALONE
        .iter()
        .chain(DEFECTS.iter().map(|defect| &defect.case))
        .collect()
}

pub(super) async fn ask(site: &Site, session: &mut Session<'_>, strangers: &Strangers) {
    if site.client.key().is_none() {
        for case in cases() {
            let reason = "the client authenticates by secret, not by assertion";
            session.conclude(case, Decision::not_applicable(reason));
        }
        return;
    }
    replayed(site, session).await;
    for defect in DEFECTS {
        session
            .must_refuse(&defect.case, |draft, moment| {
                draft.on_assertion(|assertion| (defect.change)(assertion, moment));
            })
            .await;
    }
    session
        .must_refuse(&BY_OTHER_KEY, |draft, _| {
            let stranger = Arc::clone(&strangers.key);
            draft.on_assertion(|assertion| assertion.of_key(&stranger));
        })
        .await;
    session
        .must_refuse(&TYPE, |draft, _| {
            let other = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer";
            draft.on_form(|form| form.set("client_assertion_type", other));
        })
        .await;
    let endpoint = site.metadata.token_endpoint.without_query();
    if site.audience == endpoint {
        let reason = "the server takes nothing but its token endpoint as audience";
        session.conclude(&ENDPOINT, Decision::not_applicable(reason));
    } else {
        session
            .must_refuse(&ENDPOINT, |draft, _| {
                draft.on_assertion(|assertion| assertion.claim("aud", endpoint));
            })
            .await;
    }
}

async fn replayed(site: &Site, session: &mut Session<'_>) {
    twice(&REPLAY, session).await;
    if session.found(&REPLAY.id()) {
        for case in [&ELSEWHERE, &PARALLEL] {
            let reason = "AS-10.replay shows already that an assertion passes twice";
            session.conclude(case, Decision::not_applicable(reason));
        }
        return;
    }
    elsewhere(site, session).await;
    parallel(session).await;
}

/// A served assertion with another proof.
async fn twice(case: &Case, session: &mut Session<'_>) {
    if session.options.excludes(&case.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(case, decision);
        return;
    }
    let mut draft = session.good();
    let first = session.send(&draft, &[], Expect::Served).await;
    let decision = if first.outcome == Outcome::Served {
        draft.proof = session.good().proof;
        again(session, &draft).await
    } else {
        Decision::inconclusive("the first of the two was not served").got(first.got())
    };
    session.conclude(case, decision);
}

/// A spent assertion at another endpoint of the same server.
async fn elsewhere(site: &Site, session: &mut Session<'_>) {
    if session.options.excludes(&ELSEWHERE.id()) {
        return;
    }
    let Some(endpoint) = site.metadata.endpoint("introspection_endpoint") else {
        let reason = "the metadata names no introspection endpoint";
        session.conclude(&ELSEWHERE, Decision::not_applicable(reason));
        return;
    };
    let fresh = [("token", "nothing")];
    let (reply, control) = site.ask(session, &endpoint, &site.client, &fresh).await;
    if !matches!(reply, Reply::Done(_) | Reply::Unsent) {
        let reason = "the client may not introspect";
        session.conclude(
            &ELSEWHERE,
            Decision::not_applicable(reason).got(control.got()),
        );
        return;
    }
    let draft = session.good();
    let first = session.send(&draft, &[], Expect::Served).await;
    if first.outcome != Outcome::Served {
        let decision = Decision::inconclusive("the assertion got no token in the first place");
        session.conclude(&ELSEWHERE, decision.got(first.got()));
        return;
    }
    let now = session.moment().now;
    let mut other = site.client.form(&endpoint, &site.audience, now);
    let spent = draft.form.and_then(|form| form.assertion);
    other.on_form(|form| {
        form.assertion = spent;
        form.add("token", "nothing");
    });
    let attempt = session.send(&other, &[], Expect::Refused).await;
    let decision = match Reply::of(&attempt) {
        Reply::Done(_) => Decision::of(Verdict::NotEnforced, "the other endpoint took it again"),
        Reply::Refused | Reply::Unsent => Decision::of(
            Verdict::Enforced,
            "refused, while a fresh one is taken there",
        ),
        Reply::Unclear(reason) => Decision::inconclusive(reason),
    };
    let decision = decision.got(attempt.got()).evidence(vec![attempt.exchange]);
    session.conclude(&ELSEWHERE, decision);
}

/// One assertion several times at once, with as many proofs.
async fn parallel(session: &mut Session<'_>) {
    if session.options.excludes(&PARALLEL.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(&PARALLEL, decision);
        return;
    }
    let draft = session.good();
    let copies: Vec<_> = (0..COPIES)
        .map(|_| {
            let mut copy = draft.clone();
            copy.on_proof(|proof| proof.claim("jti", unique()));
            copy
        })
        .collect();
    let (served, lost) = session.send_at_once(&copies).await;
    let got = format!("{served} of {COPIES} served, {lost} without an answer that decides");
    let decision = match served {
        0 => Decision::inconclusive("none of them was served"),
        1 if lost == 0 => Decision::of(Verdict::Enforced, "exactly one was served"),
        1 => Decision::inconclusive("one was served, but others brought no answer that decides"),
        _ => Decision::of(
            Verdict::NotEnforced,
            "one assertion was accepted several times",
        ),
    };
    session.conclude(&PARALLEL, decision.got(got));
}
