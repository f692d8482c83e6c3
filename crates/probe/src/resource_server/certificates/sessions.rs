//! Resumed TLS sessions (MT-06): RFC 8446 section 2.2, RFC 5246 section 7.3.
//!
//! No certificate is shown when a session is resumed; a server has to know
//! from the session whose it was. So a session that began without the owner's
//! certificate must stay without it, whatever the client would show now, and
//! one that began with it must keep it, or honest clients are refused at
//! random.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::super::{ResourceServer, checks};
use super::open_without;
use crate::answer::Outcome;
use crate::check::{Case, Decision};
use crate::session::{Expect, Session};
use crate::transport::{ClientIdentity, Shown, Transport};
use crate::verdict::{Severity, Verdict};

/// One version of TLS.
struct Version {
    tls: &'static SupportedProtocolVersion,
    name: &'static str,
    foreign: Case,
    own: Case,
}

const VERSIONS: [Version; 2] = [
    Version {
        tls: &TLS12,
        name: "TLS 1.2",
        foreign: Case::without_cause(
            &checks::MT_06,
            "foreign-session-tls12",
            "the token in a resumed TLS 1.2 session that began without the owner's certificate",
        ),
        own: Case::without_cause(
            &checks::MT_06,
            "own-session-tls12",
            "a good request in a resumed TLS 1.2 session that began with the owner's certificate",
        )
        .severity(Severity::Note),
    },
    Version {
        tls: &TLS13,
        name: "TLS 1.3",
        foreign: Case::without_cause(
            &checks::MT_06,
            "foreign-session-tls13",
            "the token in a resumed TLS 1.3 session that began without the owner's certificate",
        ),
        own: Case::without_cause(
            &checks::MT_06,
            "own-session-tls13",
            "a good request in a resumed TLS 1.3 session that began with the owner's certificate",
        )
        .severity(Severity::Note),
    },
];

static CASES: [Case; 4] = {
    let [old, new] = VERSIONS;
    [old.foreign, old.own, new.foreign, new.own]
};

pub(super) fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter()
}

pub(super) async fn ask(
    server: &ResourceServer,
    session: &mut Session<'_>,
    owner: &ClientIdentity,
) {
    for version in &VERSIONS {
        let decision = match open_without(session) {
            true => Decision::not_applicable("MT-01 shows already that no certificate is needed"),
            false => foreign(server, session, version, owner).await,
        };
        session.conclude(&version.foreign, decision);
        let decision = own(session, version, owner).await;
        session.conclude(&version.own, decision);
    }
}

/// Begins as a stranger; goes on as somebody who would show the owner's certificate if asked for
/// one, but is not asked in a resumed session.
async fn foreign(
    server: &ResourceServer,
    session: &mut Session<'_>,
    version: &Version,
    owner: &ClientIdentity,
) -> Decision {
    if session.options.excludes(&version.foreign.id()) {
        return Decision::not_applicable("left out");
    }
    let stranger = server.certificates.other.as_deref();
    let (shown, mut way) = match begin(session, version, stranger) {
        Ok(begun) => begun,
        Err(reason) => return Decision::inconclusive(reason),
    };
    if let Some(decision) = session.before().await {
        return decision;
    }
    let first = session
        .send_over(&version.foreign, &mut way, Expect::Refused, &|_, _| {})
        .await;
    match first.outcome {
        Outcome::Served => {
            let reason = "served without the owner's certificate before anything was resumed; see \
                          MT-01 and MT-02";
            return Decision::not_applicable(reason);
        }
        Outcome::Unclear(reason) => {
            let reason = format!(
                "no {} session without the owner's certificate can begin: {reason}",
                version.name
            );
            return Decision::not_applicable(reason).evidence(vec![first.exchange]);
        }
        Outcome::Refused | Outcome::NonceWanted(_) => {}
    }
    if let Err(reason) = shown.change(Some(owner)) {
        return Decision::inconclusive(reason);
    }
    way.hang_up().await;
    let again = session
        .send_over(&version.foreign, &mut way, Expect::Refused, &|_, _| {})
        .await;
    let got = again.got();
    let resumed = way.resumed();
    let decision = match (resumed, again.outcome) {
        (false, _) => Decision::not_applicable(format!(
            "the server resumes no {} session that began without the owner's certificate",
            version.name
        )),
        (true, Outcome::Served) => Decision::of(
            Verdict::NotEnforced,
            "a session that began without the owner's certificate was resumed and served",
        ),
        (true, Outcome::Unclear(reason)) => Decision::inconclusive(reason.to_string()),
        (true, Outcome::Refused | Outcome::NonceWanted(_)) => match session.before().await {
            None => Decision::of(
                Verdict::Enforced,
                "the session was resumed, and the request refused",
            ),
            Some(decision) => decision,
        },
    };
    decision.got(got).evidence(vec![again.exchange])
}

/// Begins and goes on as the owner.
async fn own(session: &mut Session<'_>, version: &Version, owner: &ClientIdentity) -> Decision {
    if session.options.excludes(&version.own.id()) {
        return Decision::not_applicable("left out");
    }
    let (_shown, mut way) = match begin(session, version, Some(owner)) {
        Ok(begun) => begun,
        Err(reason) => return Decision::inconclusive(reason),
    };
    if let Some(decision) = session.before().await {
        return decision;
    }
    let first = session
        .send_over(&version.own, &mut way, Expect::Served, &|_, _| {})
        .await;
    if first.outcome != Outcome::Served {
        let reason = format!("a good request is not served over {}", version.name);
        return Decision::not_applicable(reason)
            .got(first.got())
            .evidence(vec![first.exchange]);
    }
    way.hang_up().await;
    let again = session
        .send_over(&version.own, &mut way, Expect::Served, &|_, _| {})
        .await;
    let got = again.got();
    let decision = match (way.resumed(), again.outcome) {
        (false, _) => {
            Decision::not_applicable(format!("the server resumes no {} session", version.name))
        }
        (true, Outcome::Served) => Decision::of(
            Verdict::Enforced,
            "the resumed session keeps the certificate it began with",
        ),
        (true, Outcome::Refused | Outcome::NonceWanted(_)) => Decision::of(
            Verdict::NotEnforced,
            "refused in a resumed session, although it began with the owner's certificate",
        ),
        (true, Outcome::Unclear(reason)) => Decision::inconclusive(reason.to_string()),
    };
    decision.got(got).evidence(vec![again.exchange])
}

fn begin(
    session: &Session<'_>,
    version: &Version,
    identity: Option<&ClientIdentity>,
) -> Result<(Arc<Shown>, Transport), String> {
    let shown = Shown::new(identity)?;
    let way = Transport::showing(&session.options, &shown, Some(version.tls))?;
    Ok((shown, way))
}
