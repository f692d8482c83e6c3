//! `POST /introspect` (RFC 7662).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keybound_control::TokenRecord;
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::token::TokenHash;

use super::answer::{self, Call, Refusal};
use super::authenticate;
use super::body;
use crate::flow::form::Form;
use crate::flow::introspection::{self, Facts};
use crate::state::{Core, unavailable};

/// Answers an introspection request.
pub(super) async fn handle(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let call = Call::of(request.headers(), "/introspect");
    match introspect(&core, request).await {
        Ok(body) => answer::json(StatusCode::OK, body),
        Err(refusal) => answer::refuse(&core, &call, refusal).await,
    }
}

async fn introspect(core: &Core, request: Request) -> Result<String, Refusal> {
    let now = core.now();
    let (parts, body) = request.into_parts();
    let body = body::read(&parts, body, body::FORM).await?;
    let form = Form::parse(&body)?;
    let caller = authenticate::client(core, &parts, &form, now).await?;
    let to_caller = |rejection: Rejection| Refusal::to(caller.client(), rejection);
    if !caller.is_proven() {
        return Err(to_caller(Cause::ClientAuthenticationAbsent.into()));
    }
    let text = presented_token(&form).map_err(to_caller)?;
    let hash = TokenHash::of(text.as_bytes());
    authenticate::spend(core, &caller, None, None).await?;
    let record = find(core, hash).await.map_err(to_caller)?;
    let locked = |record: &TokenRecord| core.store().locked_record(record).is_some();
    let facts = Facts {
        locked: record.as_ref().is_some_and(locked),
        record: record.as_ref(),
    };
    Ok(introspection::answer(caller.client(), &facts, now))
}

/// The token in question.
pub(super) fn presented_token<'f>(form: &'f Form<'_>) -> Result<&'f str, Rejection> {
    form.value("token")
        .ok_or_else(|| Rejection::new(Cause::ParameterInvalid).expected("a `token` parameter"))
}

/// The record of a token of this issuer.
pub(super) async fn find(core: &Core, hash: TokenHash) -> Result<Option<TokenRecord>, Rejection> {
    let record = core.store().token_by_hash(hash).await;
    let record = record.map_err(|error| unavailable(&error))?;
    Ok(record.filter(|record| record.issuer == core.config().url.as_str()))
}
