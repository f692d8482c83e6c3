//! Certificate-bound tokens (RFC 8705 section 3): does the API compare the
//! certificate of the TLS connection with the one in the token?
//!
//! Every case goes out on connections of its own, so that no session and no
//! connection of the good requests is used for a bad one; the controls stay
//! on the run's own.
//!
//! What is not asked: whether the server checks the certificate's chain and
//! validity, which binding does not need (RFC 8705 section 3).

mod headers;
mod impostor;
mod sessions;

use std::sync::Arc;

use keybound_proto::uri::{HttpUrl, Scheme};

use super::{ResourceServer, checks, places};
use crate::answer::Outcome;
use crate::check::{Case, Decision};
use crate::draft::Draft;
use crate::options::Options;
use crate::session::{Expect, Session};
use crate::transport::{ClientIdentity, Shown, Transport};
use crate::verdict::Verdict;

/// Further client certificates, for cases that need them.
#[derive(Clone, Debug, Default)]
pub struct OtherCertificates {
    /// Of another client, by the same authority.
    pub other: Option<Arc<ClientIdentity>>,
    /// The owner's, renewed with the same key.
    pub renewed: Option<Arc<ClientIdentity>>,
}

const ABSENT: Case = Case::without_cause(
    &checks::MT_01,
    "absent",
    "the token over TLS without a client certificate",
);
const OTHER: Case = Case::without_cause(
    &checks::MT_02,
    "other-client",
    "the token over TLS with the certificate of another client of the same authority",
);
const SAME_SUBJECT: Case = Case::without_cause(
    &checks::MT_03,
    "same-subject",
    "the token over TLS with a self-signed certificate of the owner's subject and another key",
);
const WITHOUT_ITS_KEY: Case = Case::without_cause(
    &checks::MT_03,
    "without-its-key",
    "the token over TLS with the owner's certificate, and a handshake signed by another key",
);
const ORIGINS: Case = Case::without_cause(
    &checks::MT_05,
    "other-origins",
    "the token without a client certificate at every other origin named",
)
.also(&[404, 421]);
const RENEWED: Case = Case::without_cause(
    &checks::MT_07,
    "renewed",
    "the token over TLS with a newer certificate of the same key",
);

pub(super) async fn ask(server: &ResourceServer, session: &mut Session<'_>) {
    let owner = match concerned(server, &session.options) {
        Ok(owner) => owner,
        Err(reason) => {
            let own = [&ABSENT, &OTHER, &SAME_SUBJECT, &WITHOUT_ITS_KEY];
            let rest = [&ORIGINS, &RENEWED];
            let all = own.into_iter().chain(headers::cases());
            for case in all.chain(rest).chain(sessions::cases()) {
                session.conclude(case, Decision::not_applicable(reason));
            }
            return;
        }
    };
    with(session, &ABSENT, None).await;
    given(session, &OTHER, server.certificates.other.as_deref()).await;
    impostors(session, &owner).await;
    headers::ask(session, &owner).await;
    origins(server, session).await;
    sessions::ask(server, session, &owner).await;
    given(session, &RENEWED, server.certificates.renewed.as_deref()).await;
}

/// The owner's certificate, if these checks concern the run.
fn concerned(
    server: &ResourceServer,
    options: &Options,
) -> Result<Arc<ClientIdentity>, &'static str> {
    let identity = options.tls.identity.as_ref();
    let identity = identity.ok_or("needs a client certificate that the token is bound to")?;
    if !server.binding().has_certificate() {
        return Err("the token is not bound to a certificate");
    }
    if server.url.origin().scheme() == Scheme::Http {
        return Err("the target is reached without TLS");
    }
    Ok(Arc::clone(identity))
}

/// A way out that shows this certificate, or none, and shares nothing with the run's own.
fn way(session: &Session<'_>, identity: Option<&ClientIdentity>) -> Result<Transport, String> {
    let shown = Shown::new(identity)?;
    Transport::showing(&session.options, &shown, None)
}

async fn with(session: &mut Session<'_>, case: &Case, identity: Option<&ClientIdentity>) {
    match way(session, identity) {
        Ok(mut way) => session.must_refuse_over(case, &mut way, |_, _| {}).await,
        Err(reason) => session.conclude(case, Decision::inconclusive(reason)),
    }
}

async fn given(session: &mut Session<'_>, case: &Case, identity: Option<&ClientIdentity>) {
    if identity.is_none() {
        let reason = "needs such a certificate";
        session.conclude(case, Decision::not_applicable(reason));
        return;
    }
    with(session, case, identity).await;
}

async fn impostors(session: &mut Session<'_>, owner: &ClientIdentity) {
    let made = owner
        .chain
        .first()
        .ok_or_else(|| "there is no client certificate".to_owned())
        .and_then(impostor::same_subject);
    match made {
        Ok(impostor) => {
            with(session, &SAME_SUBJECT, Some(&impostor)).await;
            let mismatched = ClientIdentity {
                chain: owner.chain.clone(),
                key: impostor.key,
            };
            with(session, &WITHOUT_ITS_KEY, Some(&mismatched)).await;
        }
        Err(reason) => {
            for case in [&SAME_SUBJECT, &WITHOUT_ITS_KEY] {
                session.conclude(case, Decision::inconclusive(reason.clone()));
            }
        }
    }
}

/// The same API at other addresses the user named.
async fn origins(server: &ResourceServer, session: &mut Session<'_>) {
    if server.other_origins.is_empty() {
        let reason = "no other origin was named";
        session.conclude(&ORIGINS, Decision::not_applicable(reason));
        return;
    }
    if session.options.excludes(&ORIGINS.id()) {
        return;
    }
    let mut worst: Option<Decision> = None;
    for origin in &server.other_origins {
        let decision = at(server, session, origin).await;
        let graver = |held: &Decision| places::rank(decision.verdict) > places::rank(held.verdict);
        if worst.as_ref().is_none_or(graver) {
            worst = Some(decision);
        }
    }
    if let Some(decision) = worst {
        session.conclude(&ORIGINS, decision);
    }
}

async fn at(server: &ResourceServer, session: &mut Session<'_>, origin: &HttpUrl) -> Decision {
    let moved =
        server
            .url
            .as_str()
            .replacen(server.url.origin_as_given(), origin.origin_as_given(), 1);
    let (Ok(moved), Ok(mut way)) = (HttpUrl::parse(&moved), way(session, None)) else {
        return Decision::inconclusive("the URL there cannot be made");
    };
    let change = |draft: &mut Draft, _: &_| draft.move_to(&moved);
    let attempt = session
        .send_over(&ORIGINS, &mut way, Expect::Refused, &change)
        .await;
    let decision = match &attempt.outcome {
        Outcome::Served => Decision::of(Verdict::NotEnforced, "served there without a certificate"),
        Outcome::Refused | Outcome::NonceWanted(_) => {
            Decision::of(Verdict::Enforced, "refused there")
        }
        Outcome::Unclear(reason) => Decision::inconclusive(reason.to_string()),
    };
    let got = format!("{}: {}", origin.origin_as_given(), attempt.got());
    decision.got(got).evidence(vec![attempt.exchange])
}

/// Whether no certificate is needed at all, so that what is said about one decides nothing.
fn open_without(session: &Session<'_>) -> bool {
    session.found(&ABSENT.id())
}
