//! Tokens whose time is over: expired, and revoked with the measured latency (RS-17).

use std::sync::Arc;
use std::time::Duration;

use keybound_proto::Cause;

use super::{ResourceServer, Revoker, checks};
use crate::Level;
use crate::answer::Outcome;
use crate::check::{Case, Decision};
use crate::report::Measure;
use crate::session::{Expect, Session};
use crate::verdict::Verdict;

/// Between two looks whether a revocation has arrived, and how long is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS: u32 = 100;

const EXPIRED: Case = Case::new(
    &checks::RS_17,
    "expired",
    "an expired token with a good proof",
    Cause::TokenExpired,
);
const REVOKED: Case = Case::new(
    &checks::RS_17,
    "revoked",
    "good requests with a token that was just revoked, ten times a second for ten seconds",
    Cause::TokenRevoked,
);

pub(super) async fn ask(
    server: &ResourceServer,
    session: &mut Session<'_>,
    measures: &mut Vec<Measure>,
) {
    expired(server, session).await;
    match &server.revoker {
        _ if session.options.level == Level::Quick => {
            let reason = "left out of a quick run";
            session.conclude(&REVOKED, Decision::not_applicable(reason));
        }
        Some(revoker) => revoked(session, revoker, measures).await,
        None => {
            let reason = "needs an issuer that the probe can get and revoke tokens from";
            session.conclude(&REVOKED, Decision::not_applicable(reason));
        }
    }
}

async fn expired(server: &ResourceServer, session: &mut Session<'_>) {
    if let Some(token) = &server.credentials.expired {
        session
            .must_refuse(&EXPIRED, |draft, _| draft.replace_token(token.expose()))
            .await;
    } else if let Some(issuer) = &server.credentials.issuer {
        session
            .must_refuse(&EXPIRED, |draft, moment| {
                let mut token = server.minted(issuer, moment.now.minus(3600));
                token.claim("exp", moment.now.minus(600).as_secs());
                draft.replace_token(&token.seal().unwrap_or_default());
            })
            .await;
    } else {
        let reason = "needs an expired token";
        session.conclude(&EXPIRED, Decision::not_applicable(reason));
    }
}

async fn revoked(
    session: &mut Session<'_>,
    revoker: &Arc<dyn Revoker>,
    measures: &mut Vec<Measure>,
) {
    if session.options.excludes(&REVOKED.id()) {
        return;
    }
    let decision = match latency(session, revoker).await {
        Ok(Some(milliseconds)) => {
            let text = format!("refused {milliseconds} ms after the revocation was acknowledged");
            measure(measures, Some(milliseconds as f64), &text);
            Decision::of(Verdict::Enforced, text)
        }
        Ok(None) => {
            let text = "still served ten seconds after the revocation was acknowledged";
            measure(measures, None, text);
            Decision::of(Verdict::NotEnforced, text)
        }
        Err(decision) => decision,
    };
    session.conclude(&REVOKED, decision);
}

fn measure(measures: &mut Vec<Measure>, value: Option<f64>, text: &str) {
    measures.push(Measure {
        name: "revocation_latency".to_owned(),
        value,
        unit: "ms".to_owned(),
        text: text.to_owned(),
    });
}

/// Milliseconds from the acknowledgement to the first refusal; nothing when none came.
async fn latency(
    session: &mut Session<'_>,
    revoker: &Arc<dyn Revoker>,
) -> Result<Option<u64>, Decision> {
    if let Some(decision) = session.before().await {
        return Err(decision);
    }
    if session.options.dry_run {
        return Ok(Some(0));
    }
    let token = revoker.fresh().await.map_err(Decision::inconclusive)?;
    let served = request(session, &token).await;
    if served != Outcome::Served {
        return Err(Decision::inconclusive(
            "a fresh token of the issuer was not served",
        ));
    }
    revoker
        .revoke(&token)
        .await
        .map_err(Decision::inconclusive)?;
    let acknowledged = session.timing.now_millis();
    for _ in 0..LOOKS {
        match request(session, &token).await {
            Outcome::Served => session.wait(LOOK_EVERY).await,
            Outcome::Refused => {
                let now = session.timing.now_millis();
                return match session.before().await {
                    None => Ok(Some(now.saturating_sub(acknowledged))),
                    Some(decision) => Err(decision),
                };
            }
            Outcome::NonceWanted(_) => {
                return Err(Decision::inconclusive(
                    "the server only wants another nonce",
                ));
            }
            Outcome::Unclear(reason) => return Err(Decision::inconclusive(reason.to_string())),
        }
    }
    Ok(None)
}

async fn request(session: &mut Session<'_>, token: &keybound_holder::Secret) -> Outcome {
    session
        .send_retrying(
            |session| {
                let mut draft = session.good();
                draft.replace_token(token.expose());
                draft
            },
            &[],
            Expect::Served,
        )
        .await
        .outcome
}
