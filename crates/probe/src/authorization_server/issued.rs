//! What is issued, and to whom it is bound (AS-02, AS-03, AS-11, AS-12).

use std::sync::Arc;

use keybound_proto::Cause;

use super::checks::{AS_02, AS_03, AS_11, AS_12};
use super::reply::{Issued, Reply, jkt};
use super::site::{Site, token};
use crate::check::{Case, Decision};
use crate::draft::{Draft, ProofLines};
use crate::proof_cases::Strangers;
use crate::session::{Moment, Session};
use crate::verdict::{Severity, Verdict};

const NO_PROOF: Case = Case::new(
    &AS_02,
    "without-proof",
    "a good token request without a proof",
    Cause::ClientBindingRequired,
);
const SILENT: Case = Case::without_cause(
    &AS_11,
    "silently-unbound",
    "a good token request with a proof",
);
const LABEL: Case = Case::without_cause(
    &AS_03,
    "token-type",
    "a good token request with a proof, for `token_type`",
)
.severity(Severity::Low);
const CONFIRMATION: Case = Case::without_cause(
    &AS_03,
    "confirmation",
    "a good token request with a proof, for `cnf.jkt` of the token or of its introspection",
);
const OTHER_KEY: Case = Case::without_cause(
    &AS_12,
    "other-proof-key",
    "the same client with a proof by another key than its usual ones",
);
const SAME_KEY: Case = Case::without_cause(
    &AS_12,
    "client-key",
    "a proof by the key that also signs the client assertion",
);

/// What `first` is, the token of the first control; nothing in a dry run.
pub(super) async fn ask(
    site: &Site,
    session: &mut Session<'_>,
    strangers: &Strangers,
    first: Option<&Issued>,
) {
    without_proof(site, session).await;
    bound(site, session, first).await;
    if [&SILENT, &CONFIRMATION]
        .iter()
        .any(|case| session.found(&case.id()))
    {
        for case in [&OTHER_KEY, &SAME_KEY] {
            let reason = "tokens are not bound to the proof's key in the first place";
            session.conclude(case, Decision::not_applicable(reason));
        }
        return;
    }
    keys(site, session, strangers).await;
}

async fn without_proof(site: &Site, session: &mut Session<'_>) {
    if session.options.excludes(&NO_PROOF.id()) {
        return;
    }
    let defect = |draft: &mut Draft, _: &Moment| draft.proof_lines = ProofLines::None;
    let mut decision = session.refusal(&NO_PROOF, &defect).await;
    if decision.verdict == Verdict::NotEnforced && !site.registered {
        decision.reason.push_str(
            "; the probe did not register this client, so whether it is meant to have bearer \
             tokens only its operator knows",
        );
    }
    session.conclude(&NO_PROOF, decision);
}

async fn bound(site: &Site, session: &mut Session<'_>, first: Option<&Issued>) {
    let Some(issued) = first else {
        for case in [&SILENT, &LABEL, &CONFIRMATION] {
            session.conclude(case, Decision::not_applicable("nothing was sent"));
        }
        return;
    };
    let label = issued.label.clone().unwrap_or_else(|| "none".to_owned());
    let got = format!("token_type {label}");
    let told = confirmation(site, session, issued).await;
    let silent = !issued.is_labelled_bound() && !matches!(told, Told::Key(_));
    session.conclude(
        &SILENT,
        if silent {
            Decision::of(
                Verdict::NotEnforced,
                "the proof was ignored: the token is labelled and made as a bearer token",
            )
        } else {
            Decision::of(Verdict::Enforced, "the token is bound, or says that it is")
        }
        .got(got.as_str()),
    );
    if session.found(&SILENT.id()) {
        for case in [&LABEL, &CONFIRMATION] {
            let reason = "AS-11 shows already that the token is bound to nothing";
            session.conclude(case, Decision::not_applicable(reason));
        }
        return;
    }
    let decision = if issued.is_labelled_bound() {
        Decision::of(Verdict::Enforced, "`token_type` is `DPoP`")
    } else {
        let reason = "`token_type` does not say that the token is bound";
        Decision::of(Verdict::NotEnforced, reason)
    };
    session.conclude(&LABEL, decision.got(got));
    session.conclude(&CONFIRMATION, confirmed(&told, &site.jkt()));
}

/// What the token, or its introspection, says about its key.
enum Told {
    Key(String),
    Nothing,
    /// Neither can be read, and why.
    Unreadable(&'static str),
}

async fn confirmation(site: &Site, session: &mut Session<'_>, issued: &Issued) -> Told {
    if issued.claims.is_some() {
        return issued
            .jkt()
            .map_or(Told::Nothing, |jkt| Told::Key(jkt.to_owned()));
    }
    let Some(endpoint) = site.metadata.endpoint("introspection_endpoint") else {
        return Told::Unreadable("the token is opaque, and the server introspects none");
    };
    let parameters = [("token", issued.token.expose())];
    let (reply, _) = site
        .ask(session, &endpoint, &site.client, &parameters)
        .await;
    match reply {
        Reply::Done(body) if body.get("active") == Some(&serde_json::Value::Bool(true)) => {
            jkt(&body).map_or(Told::Nothing, |jkt| Told::Key(jkt.to_owned()))
        }
        _ => Told::Unreadable("the token is opaque, and its client may not introspect it"),
    }
}

fn confirmed(told: &Told, own: &str) -> Decision {
    match told {
        Told::Key(jkt) if jkt == own => Decision::of(
            Verdict::Enforced,
            "`cnf.jkt` is the thumbprint of the proof's key",
        ),
        Told::Key(_) => Decision::of(
            Verdict::NotEnforced,
            "`cnf.jkt` is not the thumbprint of the proof's key",
        ),
        Told::Nothing => Decision::of(
            Verdict::NotEnforced,
            "the token has no `cnf.jkt`, whatever its label says",
        ),
        Told::Unreadable(reason) => Decision::not_applicable(*reason),
    }
}

/// Which of several keys a token is bound to.
async fn keys(site: &Site, session: &mut Session<'_>, strangers: &Strangers) {
    let with = |key: &Arc<dyn keybound_proto::jose::Signer>| {
        let key = Arc::clone(key);
        move |moment: &Moment| site.request(&site.client, &key, moment)
    };
    bound_to(&OTHER_KEY, session, &strangers.key, with(&strangers.key)).await;
    match site.client.key() {
        Some(key) => bound_to(&SAME_KEY, session, key, with(key)).await,
        None => {
            let reason = "the client authenticates by secret, not by key";
            session.conclude(&SAME_KEY, Decision::not_applicable(reason));
        }
    }
}

/// Asks for a token with a proof by `key`; it is to be bound to that key, or refused.
async fn bound_to(
    case: &Case,
    session: &mut Session<'_>,
    key: &Arc<dyn keybound_proto::jose::Signer>,
    draft: impl Fn(&Moment) -> Draft,
) {
    if session.options.excludes(&case.id()) {
        return;
    }
    if let Some(decision) = session.before().await {
        session.conclude(case, decision);
        return;
    }
    let decision = match token(session, draft).await {
        Ok(None) => Decision::not_applicable("nothing was sent"),
        Ok(Some(issued)) => match (&issued.claims, issued.jkt()) {
            (None, _) => Decision::not_applicable("the token is opaque"),
            (Some(_), Some(jkt)) if jkt == key.public_key().thumbprint().to_string() => {
                Decision::of(Verdict::Enforced, "bound to the key of the proof")
            }
            (Some(_), Some(_)) => Decision::of(
                Verdict::NotEnforced,
                "bound to another key than that of the proof",
            ),
            (Some(_), None) => Decision::of(Verdict::NotEnforced, "bound to nothing"),
        },
        Err(attempt) => match &attempt.outcome {
            crate::answer::Outcome::Refused => {
                Decision::of(Verdict::Enforced, "no token is issued for this key")
            }
            _ => Decision::inconclusive("no answer that decides"),
        }
        .got(attempt.got())
        .evidence(vec![attempt.exchange]),
    };
    session.conclude(case, decision);
}
