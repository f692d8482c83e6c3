//! `POST /revoke` (RFC 7009).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keybound_proto::rejection::Rejection;

use super::answer::{self, Call, Refusal};
use super::authenticate;
use super::body;
use super::introspect::{find, presented_token};
use crate::flow::form::Form;
use crate::flow::revocation;
use crate::state::{Core, unavailable};

/// Answers a revocation request.
pub(super) async fn handle(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let call = Call::of(request.headers(), "/revoke");
    match revoke(&core, &call, request).await {
        Ok(()) => answer::json(StatusCode::OK, "{}".to_owned()),
        Err(refusal) => answer::refuse(&core, &call, refusal).await,
    }
}

async fn revoke(core: &Core, call: &Call, request: Request) -> Result<(), Refusal> {
    let now = core.now();
    let (parts, body) = request.into_parts();
    let body = body::read(&parts, body, body::FORM).await?;
    let form = Form::parse(&body)?;
    let caller = authenticate::client(core, &parts, &form, now).await?;
    let client = caller.client();
    let to_caller = |rejection: Rejection| Refusal::to(client, rejection);
    let hash = presented_token(&form).map_err(to_caller)?;
    authenticate::spend(core, &caller).await?;
    let record = find(core, hash).await.map_err(to_caller)?;
    let Some(token) = revocation::decide(client, record.as_ref()).map_err(to_caller)? else {
        return Ok(());
    };
    // SECURITY: 200 only once the store has it; the client must otherwise take
    // the token for valid still (RFC 7009 section 2.2.1).
    core.store()
        .revoke_token(token, &client.identity, Some("revoked by its client"))
        .await
        .map_err(|error| to_caller(unavailable(&error)))?;
    core.metrics().revoked();
    tracing::info!(
        request_id = call.request_id,
        client_id = client.id,
        token_id = record.and_then(|record| record.token_id),
        "token revoked"
    );
    Ok(())
}
