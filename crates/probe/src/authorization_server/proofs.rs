//! Proofs at the token endpoint (AS-04): what resource servers are asked, all
//! but `ath`, of which there is nothing to hash yet.

use std::time::Duration;

use keybound_proto::Cause;

use super::checks::AS_04;
use crate::Level;
use crate::check::{Case, Decision};
use crate::draft::Draft;
use crate::proof_cases::{DEFECTS, ProofDefect, Strangers, other_host};
use crate::report::Measure;
use crate::resource_server::{checks as of_resource_servers, replay, window};
use crate::session::Session;
use crate::verdict::Severity;

const AT_ONCE: Case = Case::new(
    &AS_04,
    "at-once",
    "a served proof again, with a fresh client assertion",
    Cause::DpopReplayed,
);
const SAME_JTI: Case = Case::new(
    &AS_04,
    "same-jti",
    "another proof with the `jti` of a served one, signed anew for another second",
    Cause::DpopReplayed,
)
.severity(Severity::Medium);
const PARALLEL: Case = Case::without_cause(
    &AS_04,
    "parallel",
    "one proof in twenty requests at once, each over a connection of its own and with a fresh client assertion",
);
const AFTER_TWO_SECONDS: Case = Case::without_cause(
    &AS_04,
    "after-2s",
    "a served proof again, two seconds later",
);
const AT_THE_END: Case = Case::without_cause(
    &AS_04,
    "end-of-window",
    "a served proof again, at the end of the time it is accepted",
);
const HTU_QUERY: Case = Case::without_cause(
    &AS_04,
    "htu-query-ignored",
    "a proof whose `htu` has a query and a fragment the request has not",
)
.severity(Severity::Note);
const EXTRA: Case = Case::without_cause(
    &AS_04,
    "extra-members",
    "a proof with header parameters and claims nobody knows",
)
.severity(Severity::Note);
const FORWARDED: Case = Case::new(
    &AS_04,
    "forwarded-spoofed",
    "a proof for another host, with header fields that say the request came for that host",
    Cause::DpopHtuMismatch,
);
const HOST: Case = Case::new(
    &AS_04,
    "host-spoofed",
    "a proof for another host, with a `Host` of that name",
    Cause::HostMisdirected,
)
.also(&[404, 421]);

/// The defects that are asked here.
pub(super) fn defects() -> impl Iterator<Item = &'static ProofDefect> {
    DEFECTS
        .iter()
        .filter(|defect| defect.check.id != of_resource_servers::RS_09.id)
}

pub(super) async fn ask(
    session: &mut Session<'_>,
    strangers: &Strangers,
    measures: &mut Vec<Measure>,
) {
    replay::twice(&AT_ONCE, session, None).await;
    replay::same_jti(&SAME_JTI, session).await;
    if session.found(&AT_ONCE.id()) {
        already(session, &PARALLEL);
    } else {
        replay::parallel(&PARALLEL, session, measures).await;
    }
    for defect in defects() {
        session
            .must_refuse(&defect.case(&AS_04), |draft, _| {
                (defect.change)(draft, strangers);
            })
            .await;
    }
    spoofed(session).await;
    session
        .must_serve(&HTU_QUERY, |draft, _| {
            let htu = format!("{}?probe=1#part", draft.url.without_query());
            draft.on_proof(|proof| proof.claim("htu", htu));
        })
        .await;
    session
        .must_serve(&EXTRA, |draft, _| {
            draft.on_proof(|proof| {
                proof.member("x-unknown", "ignored");
                proof.claim("x-unknown", "ignored");
            });
        })
        .await;
    window::ask(&AS_04, session, measures).await;
    let demanded = session.nonce_required();
    replay::ask_nonce(&AS_04, session, measures, demanded).await;
    late(session, measures).await;
}

/// What a sender says about its own request: worth asking only where the host counts at all.
async fn spoofed(session: &mut Session<'_>) {
    let for_other_host = |draft: &mut Draft| {
        let other = other_host(draft.url.origin_as_given());
        let htu = format!("{other}{}", draft.url.path());
        draft.on_proof(|proof| proof.claim("htu", htu));
        other
            .split_once("://")
            .map_or_else(String::new, |(_, host)| host.to_owned())
    };
    if session.found("AS-04.htu-host") {
        let reason = "AS-04.htu-host shows already that the host is not compared";
        session.conclude(&FORWARDED, Decision::not_applicable(reason));
    } else {
        let beside = |draft: &mut Draft| {
            for name in ["x-forwarded-host", "x-original-host"] {
                draft.header(name, "other.example");
            }
            draft.header("x-forwarded-proto", "https");
            draft.header("forwarded", "host=other.example;proto=https");
        };
        session
            .must_refuse_beside(&FORWARDED, beside, |draft, _| {
                for_other_host(draft);
            })
            .await;
    }
    session
        .must_refuse(&HOST, |draft, _| {
            let host = for_other_host(draft);
            draft.header("host", &host);
        })
        .await;
}

/// Replays that need time to pass.
async fn late(session: &mut Session<'_>, measures: &[Measure]) {
    if session.options.level == Level::Quick {
        return;
    }
    if session.found(&AT_ONCE.id()) {
        already(session, &AFTER_TWO_SECONDS);
        already(session, &AT_THE_END);
        return;
    }
    let pause = Some(Duration::from_secs(2));
    replay::twice(&AFTER_TWO_SECONDS, session, pause).await;
    replay::at_the_end(&AT_THE_END, session, measures).await;
}

fn already(session: &mut Session<'_>, case: &Case) {
    let reason = "AS-04.at-once shows already that a proof passes twice";
    session.conclude(case, Decision::not_applicable(reason));
}
