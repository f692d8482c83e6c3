//! `/v1/tokens`: what is known of a token, and revoking one (RFC 7009 gives the
//! client's own way; this is the operator's).

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::access::Caller;
use super::call::{Call, json_body};
use super::locks::{MAX_BODY, describe, parse, text, token_hash};
use super::problem::Problem;
use super::{Control, answer, json as respond};
use crate::store::tokens::{TokenRecord, TokenRef};
use crate::store::withhold::RevokeOutcome;

pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Extension(call): Extension<Call>,
    Path(name): Path<String>,
) -> Response<Body> {
    answer(
        async {
            let token = match name.strip_prefix("sha256:") {
                Some(hash) => TokenRef::Hash(token_hash(hash)?),
                None => TokenRef::Id(name),
            };
            let record = control.store.token(token).await?;
            let record = record.ok_or_else(unknown_token)?;
            Ok(respond(StatusCode::OK, &describe_token(&record)))
        }
        .await,
        &call,
    )
}

pub(super) async fn revoke(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
    request: Request<Body>,
) -> Response<Body> {
    answer(
        async {
            let body = json_body(request, MAX_BODY).await?;
            let members = parse(&body)?;
            let token = match (text(&members, "token_id")?, text(&members, "token_sha256")?) {
                (Some(id), None) => TokenRef::Id(id.to_owned()),
                (None, Some(hash)) => TokenRef::Hash(token_hash(hash)?),
                _ => {
                    let detail = "name the token by exactly one of `token_id` and `token_sha256`";
                    return Err(Problem::invalid(detail));
                }
            };
            let reason = text(&members, "reason")?;
            let outcome = control
                .store
                .revoke_token(token, caller.identity(), reason)
                .await?;
            match outcome {
                RevokeOutcome::AlreadyRevoked(record) | RevokeOutcome::Revoked(record) => {
                    Ok(respond(StatusCode::OK, &describe(&record)))
                }
                RevokeOutcome::UnknownToken => Err(unknown_token()),
            }
        }
        .await,
        &call,
    )
}

fn unknown_token() -> Problem {
    Problem::not_found(
        "no such token was issued here; a token of another issuer can be locked by its handle or SHA-256",
    )
}

fn describe_token(record: &TokenRecord) -> Value {
    let mut token = json!({
        "token_sha256": record.token_hash.to_hex(),
        "issuer": record.issuer,
        "client_id": record.client_id,
        "identity": record.identity,
        "binding": record.binding,
        "audience": record.audience,
        "scope": record.scope,
        "issued_at": record.issued_at.as_secs(),
        "expires_at": record.expires_at.as_secs(),
    });
    if let Some(token_id) = &record.token_id {
        token["token_id"] = json!(token_id);
    }
    if let Some(jkt) = &record.jkt {
        token["jkt"] = json!(jkt.to_string());
    }
    if let Some(confirmation) = &record.confirmation {
        token["cnf"] = serde_json::from_str(confirmation).unwrap_or_default();
    }
    if let Some(withheld) = &record.withheld {
        token["withheld"] = describe(withheld);
    }
    token
}
