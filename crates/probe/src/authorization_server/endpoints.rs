//! Introspection (AS-08) and revocation (AS-09).

use std::time::Duration;

use keybound_proto::Cause;
use keybound_proto::uri::HttpUrl;
use serde_json::{Map, Value};

use super::checks::{AS_08, AS_09};
use super::client::Known;
use super::reply::{Issued, Reply, jkt};
use super::site::{Site, token};
use crate::Level;
use crate::check::{Case, Decision};
use crate::report::Measure;
use crate::session::{Expect, Session};
use crate::verdict::{Severity, Verdict};

/// Between two looks whether a revocation has arrived, and how often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS: u32 = 100;

const CNF: Case = Case::without_cause(&AS_08, "cnf", "introspection of a bound token, for `cnf`")
    .severity(Severity::High);
const TOKEN_TYPE: Case = Case::without_cause(
    &AS_08,
    "token-type",
    "introspection of a bound token, for `token_type`",
)
.severity(Severity::Low);
const CHANGED: Case = Case::without_cause(
    &AS_08,
    "changed-token",
    "introspection of a token with a character more",
)
.severity(Severity::High);
const ANONYMOUS: Case = Case::new(
    &AS_08,
    "without-authentication",
    "introspection of a good token by nobody",
    Cause::ClientAuthenticationAbsent,
);
const OWN: Case = Case::without_cause(
    &AS_09,
    "own-token",
    "revocation of a token by its client, and introspection ten times a second for ten seconds",
);
pub(super) const OTHERS: Case = Case::without_cause(
    &AS_09,
    "others-token",
    "revocation of a token by another client, and introspection by its own",
)
.severity(Severity::Medium);

pub(super) async fn ask(
    site: &Site,
    session: &mut Session<'_>,
    second: Option<&Known>,
    measures: &mut Vec<Measure>,
) {
    let all = [&CNF, &TOKEN_TYPE, &CHANGED, &ANONYMOUS, &OWN, &OTHERS];
    if all.iter().all(|case| session.options.excludes(&case.id())) {
        return;
    }
    let endpoint = site.metadata.endpoint("introspection_endpoint");
    let (issued, endpoint) = match (token(session, |moment| site.good(moment)).await, endpoint) {
        (Ok(Some(issued)), Some(endpoint)) => (issued, endpoint),
        (_, None) => {
            return none(
                session,
                &all,
                "the metadata names no introspection endpoint",
            );
        }
        (Ok(None), _) => return none(session, &all, "nothing was sent"),
        (Err(attempt), _) => {
            for case in all {
                let decision = Decision::inconclusive("no token could be had to introspect");
                session.conclude(case, decision.got(attempt.got()));
            }
            return;
        }
    };
    let told = match introspected(site, session, &endpoint, &issued).await {
        Ok(Some(told)) => told,
        Ok(None) => {
            let reason = "the client is not told about its own tokens by introspection";
            return none(session, &all, reason);
        }
        Err(reason) => return none(session, &all, &reason),
    };
    answers(site, session, &told);
    anonymous(session, &endpoint, &issued).await;
    changed(site, session, &endpoint, &issued).await;
    revocation(site, session, second, (&endpoint, &issued), measures).await;
}

fn none(session: &mut Session<'_>, cases: &[&Case], reason: &str) {
    for case in cases {
        session.conclude(case, Decision::not_applicable(reason));
    }
}

/// What introspection says of an active token; nothing of any other.
async fn introspected(
    site: &Site,
    session: &mut Session<'_>,
    endpoint: &HttpUrl,
    issued: &Issued,
) -> Result<Option<Map<String, Value>>, String> {
    let parameters = [("token", issued.token.expose())];
    let (reply, attempt) = site.ask(session, endpoint, &site.client, &parameters).await;
    match reply {
        Reply::Done(body) if body.get("active") == Some(&Value::Bool(true)) => Ok(Some(body)),
        Reply::Done(_) => Ok(None),
        Reply::Unsent => Err("nothing was sent".to_owned()),
        Reply::Refused => Err(format!("the client may not introspect: {}", attempt.got())),
        Reply::Unclear(reason) => Err(reason),
    }
}

fn answers(site: &Site, session: &mut Session<'_>, told: &Map<String, Value>) {
    let cnf = match jkt(told) {
        Some(jkt) if jkt == site.jkt() => {
            Decision::of(Verdict::Enforced, "`cnf.jkt` is the thumbprint of the key")
        }
        Some(_) => Decision::of(Verdict::NotEnforced, "`cnf.jkt` is another key's"),
        None => Decision::of(Verdict::NotEnforced, "the answer has no `cnf.jkt`"),
    };
    session.conclude(&CNF, cnf);
    let label = told.get("token_type").and_then(Value::as_str);
    let decision = match label {
        Some(label) if label.eq_ignore_ascii_case("DPoP") => {
            Decision::of(Verdict::Enforced, "`token_type` is `DPoP`")
        }
        Some(_) => Decision::of(
            Verdict::NotEnforced,
            "`token_type` does not say that the token is bound",
        ),
        None => Decision::not_applicable("the answer has no `token_type`, which is optional"),
    };
    session.conclude(&TOKEN_TYPE, decision);
}

async fn changed(site: &Site, session: &mut Session<'_>, endpoint: &HttpUrl, issued: &Issued) {
    if session.options.excludes(&CHANGED.id()) {
        return;
    }
    let changed = format!("{}A", issued.token.expose());
    let parameters = [("token", changed.as_str())];
    let (reply, attempt) = site.ask(session, endpoint, &site.client, &parameters).await;
    let decision = match reply {
        Reply::Done(body) if body.get("active") == Some(&Value::Bool(true)) => Decision::of(
            Verdict::NotEnforced,
            "a token that was never issued is said to be active",
        ),
        Reply::Done(_) | Reply::Refused => {
            Decision::of(Verdict::Enforced, "not active, while the token itself is")
        }
        Reply::Unsent => Decision::not_applicable("nothing was sent"),
        Reply::Unclear(reason) => Decision::inconclusive(reason),
    };
    session.conclude(&CHANGED, decision.got(attempt.got()));
}

async fn anonymous(session: &mut Session<'_>, endpoint: &HttpUrl, issued: &Issued) {
    if session.options.excludes(&ANONYMOUS.id()) {
        return;
    }
    if session.found("AS-13.absent") {
        let reason = "AS-13.absent shows already that nobody need say who he is";
        session.conclude(&ANONYMOUS, Decision::not_applicable(reason));
        return;
    }
    let mut draft = crate::draft::Draft::new(http::Method::POST, endpoint);
    let mut form = crate::draft::Form::default();
    form.add("token", issued.token.expose());
    draft.form = Some(form);
    let attempt = session.send(&draft, &[], Expect::Refused).await;
    let decision = match Reply::of(&attempt) {
        Reply::Done(body) if body.get("active") == Some(&Value::Bool(false)) => Decision::of(
            Verdict::Enforced,
            "nothing is said about the token, while its client is told",
        ),
        Reply::Done(_) => Decision::of(Verdict::NotEnforced, "everybody is told about the token"),
        Reply::Refused => Decision::of(Verdict::Enforced, "refused, while its client is told"),
        Reply::Unsent => Decision::not_applicable("nothing was sent"),
        Reply::Unclear(reason) => Decision::inconclusive(reason),
    };
    let decision = decision.got(attempt.got()).evidence(vec![attempt.exchange]);
    session.conclude(&ANONYMOUS, decision);
}

/// Revokes by somebody else first, since the token is gone afterwards.
async fn revocation(
    site: &Site,
    session: &mut Session<'_>,
    second: Option<&Known>,
    (introspection, issued): (&HttpUrl, &Issued),
    measures: &mut Vec<Measure>,
) {
    let Some(endpoint) = site.metadata.endpoint("revocation_endpoint") else {
        let reason = "the metadata names no revocation endpoint";
        return none(session, &[&OWN, &OTHERS], reason);
    };
    let parameters = [("token", issued.token.expose())];
    match second {
        None => none(session, &[&OTHERS], "needs a second client"),
        Some(client) if !session.options.excludes(&OTHERS.id()) => {
            let (_, attempt) = site.ask(session, &endpoint, client, &parameters).await;
            let decision = match introspected(site, session, introspection, issued).await {
                Ok(Some(_)) => Decision::of(Verdict::Enforced, "the token is still active"),
                Ok(None) => Decision::of(
                    Verdict::NotEnforced,
                    "the token is gone: anybody who sees a token can revoke it",
                ),
                Err(reason) => Decision::inconclusive(reason),
            };
            session.conclude(&OTHERS, decision.got(attempt.got()));
            if session.found(&OTHERS.id()) {
                let reason = "AS-09.others-token shows already that revocation works";
                return none(session, &[&OWN], reason);
            }
        }
        Some(_) => {}
    }
    if session.options.level == Level::Quick {
        return none(session, &[&OWN], "left out of a quick run");
    }
    if session.options.excludes(&OWN.id()) {
        return;
    }
    let (reply, attempt) = site
        .ask(session, &endpoint, &site.client, &parameters)
        .await;
    let decision = match reply {
        Reply::Done(_) => gone(site, session, (introspection, issued), measures).await,
        Reply::Refused => Decision::not_applicable("the client may not revoke its tokens"),
        Reply::Unsent => Decision::not_applicable("nothing was sent"),
        Reply::Unclear(reason) => Decision::inconclusive(reason),
    };
    session.conclude(&OWN, decision.got(attempt.got()));
}

/// Looks until the token is no longer active, or long enough.
async fn gone(
    site: &Site,
    session: &mut Session<'_>,
    (introspection, issued): (&HttpUrl, &Issued),
    measures: &mut Vec<Measure>,
) -> Decision {
    let acknowledged = session.timing.now_millis();
    let (mut value, mut verdict) = (None, Verdict::NotEnforced);
    let mut text = "still active ten seconds after the revocation was acknowledged".to_owned();
    for _ in 0..LOOKS {
        match introspected(site, session, introspection, issued).await {
            Ok(Some(_)) => session.wait(LOOK_EVERY).await,
            Ok(None) => {
                let passed = session.timing.now_millis().saturating_sub(acknowledged);
                text = format!("not active {passed} ms after the revocation was acknowledged");
                value = Some(passed as f64);
                verdict = Verdict::Enforced;
                break;
            }
            Err(reason) => return Decision::inconclusive(reason),
        }
    }
    measures.push(Measure {
        name: "revocation_latency".to_owned(),
        value,
        unit: "ms".to_owned(),
        text: text.clone(),
    });
    Decision::of(verdict, text)
}
