//! Requests that a proof makes the target send (RS-11: `jku`, `x5u`, `kid`).
//!
//! The probe opens no listener. Somebody who has one that the target can reach
//! hands it in as a [`Callback`].

use std::fmt;
use std::time::Duration;

use keybound_proto::uri::HttpUrl;

use super::{ResourceServer, checks};
use crate::check::{Case, Decision};
use crate::session::{Expect, Session};
use crate::verdict::{Severity, Verdict};

/// How long a target may take to follow a URL.
const PATIENCE: Duration = Duration::from_secs(2);

/// A URL that somebody watches.
pub trait Callback: Send + Sync + fmt::Debug {
    /// A URL on the watched listener, with a path of this name.
    fn url(&self, name: &str) -> HttpUrl;
    /// Whether that path was asked for.
    fn was_called(&self, name: &str) -> bool;
}

const CASES: [(&str, Case); 3] = [
    (
        "jku",
        Case::without_cause(
            &checks::RS_11,
            "jku-followed",
            "a good proof whose header names a key set by URL (`jku`)",
        )
        .severity(Severity::High),
    ),
    (
        "x5u",
        Case::without_cause(
            &checks::RS_11,
            "x5u-followed",
            "a good proof whose header names a certificate by URL (`x5u`)",
        )
        .severity(Severity::High),
    ),
    (
        "kid",
        Case::without_cause(
            &checks::RS_11,
            "kid-followed",
            "a good proof whose `kid` is a URL",
        )
        .severity(Severity::High),
    ),
];

pub(super) async fn ask(server: &ResourceServer, session: &mut Session<'_>) {
    for (member, case) in &CASES {
        let Some(callback) = &server.callback else {
            let reason = "needs a listener that the target can reach (`--callback-listen`)";
            session.conclude(case, Decision::not_applicable(reason));
            continue;
        };
        if session.options.excludes(&case.id()) {
            continue;
        }
        if let Some(decision) = session.before().await {
            session.conclude(case, decision);
            continue;
        }
        let url = callback.url(member);
        let attempt = session
            .send_retrying(
                |session| {
                    let mut draft = session.good();
                    draft.on_proof(|proof| proof.member(member, url.as_str()));
                    draft
                },
                &[],
                Expect::Served,
            )
            .await;
        session.wait(PATIENCE).await;
        let decision = if callback.was_called(member) {
            Decision::of(
                Verdict::NotEnforced,
                "the target asked for the URL in the proof",
            )
        } else {
            Decision::of(Verdict::Enforced, "nobody asked for the URL in the proof")
        };
        let got = attempt.got();
        session.conclude(case, decision.got(got).evidence(vec![attempt.exchange]));
    }
}
