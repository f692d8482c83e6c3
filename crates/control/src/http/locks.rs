//! `/v1/locks`: locking and unlocking tokens, keys and identities.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{Request, Response, StatusCode};
use keybound_proto::json::Object;
use keybound_proto::signal::Subject;
use keybound_proto::token::TokenHash;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Caller;
use super::call::{Call, json_body};
use super::problem::Problem;
use super::{Control, answer, json as respond};
use crate::store::withhold::{LockOutcome, LockRecord, UnlockOutcome};

/// The largest body of an administrative request, in bytes.
pub(super) const MAX_BODY: usize = 16 * 1024;

/// The longest value a subject may have, in bytes.
const MAX_VALUE: usize = 2048;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichIssuer {
    issuer: Option<String>,
}

pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Extension(call): Extension<Call>,
) -> Response<Body> {
    answer(
        async {
            let locks = control.store.locks().await?;
            let locks: Vec<_> = locks.iter().map(describe).collect();
            Ok(respond(StatusCode::OK, &json!({ "locks": locks })))
        }
        .await,
        &call,
    )
}

pub(super) async fn create(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
    request: Request<Body>,
) -> Response<Body> {
    answer(lock(&control, &caller, request).await, &call)
}

pub(super) async fn release(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
    Path((kind, value)): Path<(String, String)>,
    query: Result<Query<WhichIssuer>, axum::extract::rejection::QueryRejection>,
) -> Response<Body> {
    answer(
        async {
            let Query(which) =
                query.map_err(|_| Problem::invalid("the query may name `issuer` once"))?;
            let subject = subject(&kind, &value, which.issuer.as_deref(), &control)?;
            unlock(&control, &caller, subject).await
        }
        .await,
        &call,
    )
}

/// For subjects that cannot stand in a path, such as those with slashes.
pub(super) async fn release_by_body(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    Extension(call): Extension<Call>,
    request: Request<Body>,
) -> Response<Body> {
    answer(
        async {
            let body = json_body(request, MAX_BODY).await?;
            let members = parse(&body)?;
            let subject = subject_of(&members, &control)?;
            unlock(&control, &caller, subject).await
        }
        .await,
        &call,
    )
}

/// A lock or revocation in JSON.
pub(super) fn describe(record: &LockRecord) -> Value {
    let (kind, value, issuer) = match &record.subject {
        Subject::Identity { issuer, subject } => ("identity", subject.clone(), Some(issuer)),
        Subject::Key(jkt) => ("key", jkt.to_string(), None),
        Subject::Token { issuer, token_id } => ("token", token_id.clone(), Some(issuer)),
        Subject::TokenHash(hash) => ("token", format!("sha256:{}", hash.to_hex()), None),
    };
    let mut lock = json!({
        "kind": kind,
        "value": value,
        "state": record.state.as_str(),
        "by": record.by,
        "time_ms": record.at_ms,
    });
    if let Some(issuer) = issuer {
        lock["issuer"] = json!(issuer);
    }
    if let Some(reason) = &record.reason {
        lock["reason"] = json!(reason);
    }
    if let Some(expires_at) = record.expires_at {
        lock["expires_at"] = json!(expires_at.as_secs());
    }
    lock
}

/// One strict JSON object.
pub(super) fn parse(body: &[u8]) -> Result<Object<'_>, Problem> {
    Object::parse(body).map_err(|_| Problem::invalid("the body is not one strict JSON object"))
}

/// A member that is a text, if it is there.
pub(super) fn text<'o>(members: &'o Object<'_>, name: &str) -> Result<Option<&'o str>, Problem> {
    members
        .string(name)
        .map_err(|_| Problem::invalid(format!("`{name}` must be a string")))
}

async fn lock(
    control: &Control,
    caller: &Caller,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let body = json_body(request, MAX_BODY).await?;
    let members = parse(&body)?;
    let subject = subject_of(&members, control)?;
    let reason = text(&members, "reason")?;
    let outcome = control
        .store
        .lock(subject, caller.identity(), reason, None)
        .await?;
    let status = match outcome {
        LockOutcome::AlreadyWithheld(_) => StatusCode::OK,
        LockOutcome::Locked(_) => StatusCode::CREATED,
    };
    Ok(respond(status, &describe(outcome.record())))
}

async fn unlock(
    control: &Control,
    caller: &Caller,
    subject: Subject,
) -> Result<Response<Body>, Problem> {
    match control.store.unlock(subject, caller.identity()).await? {
        UnlockOutcome::Released(record) => Ok(respond(StatusCode::OK, &describe(&record))),
        UnlockOutcome::NotLocked => Err(Problem::not_found("it is not locked")),
        UnlockOutcome::Revoked(_) => Err(Problem::conflict(
            "the token is revoked, which cannot be undone",
        )),
    }
}

fn subject_of(members: &Object<'_>, control: &Control) -> Result<Subject, Problem> {
    if let Some((name, _)) = members
        .iter()
        .find(|(name, _)| !matches!(*name, "kind" | "value" | "issuer" | "reason"))
    {
        let name: String = name.chars().take(64).filter(|c| !c.is_control()).collect();
        return Err(Problem::invalid(format!("unknown member `{name}`")));
    }
    let kind = text(members, "kind")?.unwrap_or_default();
    let value = text(members, "value")?.unwrap_or_default();
    subject(kind, value, text(members, "issuer")?, control)
}

fn subject(
    kind: &str,
    value: &str,
    issuer: Option<&str>,
    control: &Control,
) -> Result<Subject, Problem> {
    if value.is_empty() || value.len() > MAX_VALUE || value.chars().any(char::is_control) {
        return Err(Problem::invalid("`value` must be 1 to 2048 bytes of text"));
    }
    let issuer = issuer.unwrap_or(&control.config.token_issuer);
    if issuer.is_empty() || issuer.len() > MAX_VALUE || issuer.chars().any(char::is_control) {
        return Err(Problem::invalid("`issuer` must be 1 to 2048 bytes of text"));
    }
    match kind {
        "identity" => Ok(Subject::Identity {
            issuer: issuer.to_owned(),
            subject: value.to_owned(),
        }),
        "key" => value.parse().map(Subject::Key).map_err(|_| {
            Problem::invalid(
                "a key's `value` must be its thumbprint (RFC 7638) or that of its certificate (`x5t#S256`), base64url",
            )
        }),
        "token" => match value.strip_prefix("sha256:") {
            Some(hash) => token_hash(hash).map(Subject::TokenHash),
            None => Ok(Subject::Token {
                issuer: issuer.to_owned(),
                token_id: value.to_owned(),
            }),
        },
        _ => Err(Problem::invalid(
            "`kind` must be `token`, `key` or `identity`",
        )),
    }
}

/// 64 hexadecimal digits.
pub(super) fn token_hash(text: &str) -> Result<TokenHash, Problem> {
    TokenHash::from_hex(text)
        .ok_or_else(|| Problem::invalid("a token's SHA-256 must be 64 hexadecimal digits"))
}
