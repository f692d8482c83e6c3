//! The access token itself (TK-01 to TK-05).
//!
//! A stranger can only change a genuine token. What a resource server makes of
//! a genuine token that should not be taken can be asked only by somebody with
//! a key it trusts as an issuer's, which test environments have
//! ([`crate::TokenIssuer`]), or with such tokens at hand.

use keybound_proto::Cause;
use keybound_proto::base64url;
use serde_json::{Value, json};

use super::{ResourceServer, checks};
use crate::check::{Case, Decision};
use crate::credentials::TokenIssuer;
use crate::jwt::JwtDraft;
use crate::session::{Moment, Session};

/// A token no issuer should make, or not for this target.
struct TokenDefect {
    case: Case,
    change: fn(&mut JwtDraft, &Moment),
}

const FLIPPED: Case = Case::new(
    &checks::TK_01,
    "signature-flipped",
    "the token with one bit of its signature flipped",
    Cause::TokenSignatureInvalid,
);
const NONE: Case = Case::new(
    &checks::TK_01,
    "alg-none",
    "the token's claims with `alg` `none` and an empty signature",
    Cause::TokenMalformed,
);
const NONE_SIGNED: Case = Case::new(
    &checks::TK_01,
    "alg-none-signed",
    "the token with `alg` `none` and its signature all the same",
    Cause::TokenAlgUnacceptable,
);
const NOT_A_JWT: Case = Case::new(
    &checks::TK_04,
    "not-a-token",
    "a text that is no token, with a proof made for it",
    Cause::TokenMalformed,
);
const OVERSIZE: Case = Case::new(
    &checks::TK_04,
    "oversize",
    "a token of more than 24 KiB",
    Cause::TokenSize,
)
.also(&[413, 431]);
const UNBOUND: Case = Case::new(
    &checks::TK_03,
    "unbound-as-dpop",
    "a token without `cnf` as `DPoP`, with a good proof",
    Cause::TokenUnbound,
);
const LESSER_SCOPE: Case = Case::new(
    &checks::TK_05,
    "lesser-scope",
    "a good token without the scope this request needs",
    Cause::ScopeInsufficient,
);

const DEFECTS: &[TokenDefect] = &[
    TokenDefect {
        case: Case::new(
            &checks::TK_01,
            "key-unknown",
            "a token whose `kid` the issuer does not publish",
            Cause::TokenKeyUnknown,
        ),
        change: |token, _| token.member("kid", "not-published"),
    },
    TokenDefect {
        case: Case::new(
            &checks::TK_01,
            "issuer-unknown",
            "a token of an issuer that is not trusted here",
            Cause::TokenIssuerUnknown,
        ),
        change: |token, _| token.claim("iss", "https://other.example"),
    },
    TokenDefect {
        case: Case::new(
            &checks::TK_02,
            "typ",
            "a JWT of the issuer that is no access token (`typ` `JWT`)",
            Cause::TokenTyp,
        ),
        change: |token, _| token.member("typ", "JWT"),
    },
    TokenDefect {
        case: Case::new(
            &checks::TK_02,
            "expiry-absent",
            "a token that never expires",
            Cause::TokenClaimInvalid,
        ),
        change: |token, _| token.without_claim("exp"),
    },
    TokenDefect {
        case: Case::new(
            &checks::TK_02,
            "not-yet-valid",
            "a token that is valid only in an hour",
            Cause::TokenNotYetValid,
        ),
        change: |token, moment| token.claim("nbf", moment.now.plus(3600).as_secs()),
    },
    TokenDefect {
        case: Case::new(
            &checks::TK_02,
            "critical-extension",
            "a token whose `crit` names an extension nobody knows",
            Cause::TokenCritical,
        )
        .severity(crate::Severity::Low),
        change: |token, _| {
            token.member("crit", json!(["x-unknown"]));
            token.member("x-unknown", true);
        },
    },
    TokenDefect {
        case: Case::new(
            &checks::TK_03,
            "cnf-unknown",
            "a token whose `cnf` has no method anybody knows",
            Cause::TokenCnfInvalid,
        ),
        change: |token, _| token.claim("cnf", json!({"x-unknown": "value"})),
    },
    TokenDefect {
        case: Case::new(
            &checks::TK_03,
            "cnf-other-method",
            "a token bound to a client certificate that is not shown",
            Cause::CertificateAbsent,
        ),
        change: |token, _| {
            let thumbprint = base64url::encode(&[7; 32]);
            let mut cnf = token.claims.get("cnf").cloned().unwrap_or_default();
            if let Value::Object(members) = &mut cnf {
                members.insert("x5t#S256".to_owned(), json!(thumbprint));
            }
            token.claim("cnf", cnf);
        },
    },
];

pub(super) async fn ask(server: &ResourceServer, session: &mut Session<'_>) {
    forged(server, session).await;
    match &server.credentials.issuer {
        Some(issuer) => {
            for defect in DEFECTS {
                made(&defect.case, server, session, issuer, defect.change).await;
            }
        }
        None => {
            let reason = "needs a key the target trusts as an issuer's (`--issuer-key`)";
            for defect in DEFECTS {
                session.conclude(&defect.case, Decision::not_applicable(reason));
            }
        }
    }
    unbound(server, session).await;
    lesser_scope(server, session).await;
}

/// Changes of the genuine token that anybody can make.
async fn forged(server: &ResourceServer, session: &mut Session<'_>) {
    let token = server.credentials.bound.token.expose();
    session
        .must_refuse(&NOT_A_JWT, |draft, _| draft.replace_token("not-a-token"))
        .await;
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        let reason = "the token is opaque";
        for case in [&FLIPPED, &NONE_SIGNED, &NONE, &OVERSIZE] {
            session.conclude(case, Decision::not_applicable(reason));
        }
        return;
    };
    let flipped = format!("{header}.{claims}.{}", flipped(signature));
    session
        .must_refuse(&FLIPPED, |draft, _| draft.replace_token(&flipped))
        .await;
    let unsigned = with_alg_none(header);
    let signed = format!("{unsigned}.{claims}.{signature}");
    session
        .must_refuse(&NONE_SIGNED, |draft, _| draft.replace_token(&signed))
        .await;
    if session.found(&NOT_A_JWT.id()) {
        let reason = "TK-04.not-a-token shows the same already";
        session.conclude(&NONE, Decision::not_applicable(reason));
    } else {
        let bare = format!("{unsigned}.{claims}.");
        session
            .must_refuse(&NONE, |draft, _| draft.replace_token(&bare))
            .await;
    }
    let long = format!("{token}{}", "x".repeat(24 * 1024));
    session
        .must_refuse(&OVERSIZE, |draft, _| draft.replace_token(&long))
        .await;
}

async fn made(
    case: &Case,
    server: &ResourceServer,
    session: &mut Session<'_>,
    issuer: &TokenIssuer,
    change: fn(&mut JwtDraft, &Moment),
) {
    session
        .must_refuse(case, |draft, moment| {
            let mut token = server.minted(issuer, moment.now);
            change(&mut token, moment);
            draft.replace_token(&token.seal().unwrap_or_default());
        })
        .await;
}

async fn unbound(server: &ResourceServer, session: &mut Session<'_>) {
    if let Some(token) = &server.credentials.unbound {
        session
            .must_refuse(&UNBOUND, |draft, _| draft.replace_token(token.expose()))
            .await;
    } else if let Some(issuer) = &server.credentials.issuer {
        made(&UNBOUND, server, session, issuer, |token, _| {
            token.without_claim("cnf");
        })
        .await;
    } else {
        let reason = "needs a token that is bound to nothing";
        session.conclude(&UNBOUND, Decision::not_applicable(reason));
    }
}

async fn lesser_scope(server: &ResourceServer, session: &mut Session<'_>) {
    if let Some(token) = &server.credentials.lesser_scope {
        session
            .must_refuse(&LESSER_SCOPE, |draft, _| {
                draft.replace_token(token.expose());
            })
            .await;
    } else if let Some(issuer) = &server.credentials.issuer
        && !issuer.scope.is_empty()
    {
        made(&LESSER_SCOPE, server, session, issuer, |token, _| {
            token.without_claim("scope");
        })
        .await;
    } else {
        let reason = "needs a token without the scope of this request";
        session.conclude(&LESSER_SCOPE, Decision::not_applicable(reason));
    }
}

fn flipped(signature: &str) -> String {
    let mut bytes = base64url::decode(signature.as_bytes()).unwrap_or_default();
    if let Some(byte) = bytes.get_mut(10) {
        *byte ^= 1;
    }
    base64url::encode(&bytes)
}

fn with_alg_none(header: &str) -> String {
    let bytes = base64url::decode(header.as_bytes()).unwrap_or_default();
    let mut header: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if let Some(members) = header.as_object_mut() {
        members.insert("alg".to_owned(), json!("none"));
    }
    base64url::encode(header.to_string().as_bytes())
}
