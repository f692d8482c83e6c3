//! How the token is presented: scheme, proof, key, place (RS-01 to RS-05).

use std::sync::Arc;

use keybound_proto::Cause;
use keybound_proto::uri::HttpUrl;

use super::{ResourceServer, checks};
use crate::check::{Case, Decision};
use crate::draft::{Credential, Draft, Form, ProofLines};
use crate::proof_cases::Strangers;
use crate::session::Session;

const BEARER: Case = Case::new(
    &checks::RS_01,
    "without-proof",
    "the token as `Bearer`, without a proof",
    Cause::TokenSchemeDowngrade,
);
const BEARER_WITH_PROOF: Case = Case::new(
    &checks::RS_01,
    "with-proof",
    "the token as `Bearer`, with a good proof",
    Cause::TokenSchemeDowngrade,
)
.severity(crate::Severity::Low);
const NO_PROOF: Case = Case::new(
    &checks::RS_02,
    "absent",
    "the token as `DPoP`, without a proof",
    Cause::DpopAbsent,
);
const OTHER_KEY: Case = Case::new(
    &checks::RS_03,
    "other-key",
    "a proof that is right in everything but signed by another key, which it shows",
    Cause::TokenKeyMismatch,
);
const TWO_FIELDS: Case = Case::new(
    &checks::RS_04,
    "two-fields",
    "the token in two Authorization fields, as `DPoP` and as `Bearer`",
    Cause::AuthorizationMultiple,
)
.severity(crate::Severity::Medium);
const MALFORMED: Case = Case::new(
    &checks::RS_04,
    "malformed",
    "an Authorization field with something after the token",
    Cause::AuthorizationMalformed,
)
.severity(crate::Severity::Low);
const QUERY: Case = Case::new(
    &checks::RS_04,
    "query",
    "the token in the query as `access_token`",
    Cause::AuthorizationAbsent,
);
const FORM: Case = Case::new(
    &checks::RS_04,
    "form",
    "the token in a form body as `access_token`",
    Cause::AuthorizationAbsent,
)
.also(&[404, 405, 411, 413, 415]);
const COOKIE: Case = Case::new(
    &checks::RS_04,
    "cookie",
    "the token in a cookie `access_token`",
    Cause::AuthorizationAbsent,
);
const HEADER: Case = Case::new(
    &checks::RS_04,
    "header",
    "the token in the header fields `X-Access-Token` and `X-Forwarded-Access-Token`",
    Cause::AuthorizationAbsent,
);
const NOTHING: Case = Case::new(
    &checks::RS_04,
    "absent",
    "no token at all",
    Cause::AuthorizationAbsent,
)
.severity(crate::Severity::Critical);
const OTHERS_TOKEN: Case = Case::new(
    &checks::RS_05,
    "others-token",
    "the token of another client, with a proof by the own key",
    Cause::TokenKeyMismatch,
);
const OTHER_AUDIENCE: Case = Case::new(
    &checks::RS_05,
    "other-audience",
    "a token of the same key for another audience, with a good proof",
    Cause::TokenAudienceMismatch,
);

pub(super) async fn ask(server: &ResourceServer, session: &mut Session<'_>, strangers: &Strangers) {
    let token = server.credentials.bound.token.expose();
    session
        .must_refuse(&NOTHING, |draft, _| {
            draft.credentials.clear();
            draft.proof_lines = ProofLines::None;
        })
        .await;
    session
        .must_refuse(&BEARER, |draft, _| {
            as_scheme(draft, "Bearer");
            draft.proof_lines = ProofLines::None;
        })
        .await;
    session
        .must_refuse(&BEARER_WITH_PROOF, |draft, _| as_scheme(draft, "Bearer"))
        .await;
    session
        .must_refuse(&NO_PROOF, |draft, _| draft.proof_lines = ProofLines::None)
        .await;
    session
        .must_refuse(&OTHER_KEY, |draft, _| {
            let stranger = Arc::clone(&strangers.key);
            draft.on_proof(|proof| proof.of_key(&stranger));
        })
        .await;
    elsewhere(session, token).await;
    foreign(server, session).await;
}

/// The cases that need no proof, for a token that is bound to a certificate.
pub(super) async fn ask_without_proofs(server: &ResourceServer, session: &mut Session<'_>) {
    let token = server.credentials.bound.token.expose();
    session
        .must_refuse(&NOTHING, |draft, _| draft.credentials.clear())
        .await;
    elsewhere(session, token).await;
    other_audience(server, session).await;
}

/// The token anywhere but in one Authorization field; the proof is good throughout.
async fn elsewhere(session: &mut Session<'_>, token: &str) {
    session
        .must_refuse(&TWO_FIELDS, |draft, _| {
            draft.credentials.push(Credential {
                scheme: "Bearer".to_owned(),
                token: token.to_owned(),
            });
        })
        .await;
    session
        .must_refuse(&MALFORMED, |draft, _| {
            for credential in &mut draft.credentials {
                credential.token.push_str(" more");
            }
        })
        .await;
    session
        .must_refuse(&QUERY, |draft, _| {
            draft.credentials.clear();
            with_query(draft, &format!("access_token={token}"));
        })
        .await;
    let with_form = |draft: &mut Draft| {
        let mut form = Form::default();
        form.add("probe", "1");
        draft.form = Some(form);
    };
    session
        .must_refuse_beside(&FORM, with_form, |draft, _| {
            draft.credentials.clear();
            draft.on_form(|form| form.add("access_token", token));
        })
        .await;
    session
        .must_refuse(&COOKIE, |draft, _| {
            draft.credentials.clear();
            draft.secret_header("cookie", &format!("access_token={token}"));
        })
        .await;
    session
        .must_refuse(&HEADER, |draft, _| {
            draft.credentials.clear();
            for name in ["x-access-token", "x-forwarded-access-token"] {
                draft.secret_header(name, token);
            }
        })
        .await;
}

/// Tokens that are good, but not here or not for this key.
async fn foreign(server: &ResourceServer, session: &mut Session<'_>) {
    if let Some(other) = &server.credentials.other {
        if session.found(&OTHER_KEY.id()) {
            let reason = "RS-03 shows already that the key is not compared";
            session.conclude(&OTHERS_TOKEN, Decision::not_applicable(reason));
        } else {
            session
                .must_refuse(&OTHERS_TOKEN, |draft, _| {
                    draft.replace_token(other.token.expose());
                })
                .await;
        }
    } else {
        let reason = "needs a token of another client";
        session.conclude(&OTHERS_TOKEN, Decision::not_applicable(reason));
    }
    other_audience(server, session).await;
}

async fn other_audience(server: &ResourceServer, session: &mut Session<'_>) {
    match (
        &server.credentials.other_audience,
        &server.credentials.issuer,
    ) {
        (Some(token), _) => {
            session
                .must_refuse(&OTHER_AUDIENCE, |draft, _| {
                    draft.replace_token(token.expose());
                })
                .await;
        }
        (None, Some(issuer)) => {
            session
                .must_refuse(&OTHER_AUDIENCE, |draft, moment| {
                    let mut token = server.minted(issuer, moment.now);
                    token.claim("aud", "https://other.example/");
                    draft.replace_token(&token.seal().unwrap_or_default());
                })
                .await;
        }
        (None, None) => {
            let reason = "needs a token of the same key for another audience";
            session.conclude(&OTHER_AUDIENCE, Decision::not_applicable(reason));
        }
    }
}

fn as_scheme(draft: &mut Draft, scheme: &str) {
    for credential in &mut draft.credentials {
        scheme.clone_into(&mut credential.scheme);
    }
}

/// Adds a parameter to the request, not to the proof: `htu` has no query.
fn with_query(draft: &mut Draft, parameter: &str) {
    let url = draft.url.as_str();
    let joint = if draft.url.query().is_some() {
        '&'
    } else {
        '?'
    };
    if let Ok(url) = HttpUrl::parse(&format!("{url}{joint}{parameter}")) {
        draft.url = url;
    }
}
