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
    let hash = presented_token(&form).map_err(to_caller)?;
    authenticate::spend(core, &caller).await?;
    let record = find(core, hash).await.map_err(to_caller)?;
    let party_locked = record.as_ref().is_some_and(|record| {
        let keys = record.keys();
        let store = core.store();
        let locked = store.locked_party(&record.issuer, &record.identity, &keys);
        locked.is_some()
    });
    let facts = Facts {
        record: record.as_ref(),
        party_locked,
    };
    Ok(introspection::answer(caller.client(), &facts, now))
}

/// The hash of the token in question; its text goes no further than this.
pub(super) fn presented_token(form: &Form<'_>) -> Result<TokenHash, Rejection> {
    form.value("token")
        .map(|token| TokenHash::of(token.as_bytes()))
        .ok_or_else(|| Rejection::new(Cause::ParameterInvalid).expected("a `token` parameter"))
}

/// The record of a token of this issuer.
pub(super) async fn find(core: &Core, hash: TokenHash) -> Result<Option<TokenRecord>, Rejection> {
    let record = core.store().token_by_hash(hash).await;
    let record = record.map_err(|error| unavailable(&error))?;
    Ok(record.filter(|record| record.issuer == core.config().url.as_str()))
}
