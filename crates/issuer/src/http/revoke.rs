//! `POST /revoke` (RFC 7009).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::{TokenHash, artefact};
use keybound_proto::verify::UnredeemedProof;

use super::answer::{self, Call, Refusal};
use super::authenticate;
use super::body;
use super::introspect::{find, presented_token};
use super::prove;
use crate::entrance::Entrance;
use crate::flow::form::Form;
use crate::flow::revocation::{self, Revoker};
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
    let text = presented_token(&form).map_err(to_caller)?;
    let target = &core.endpoints(Entrance::of(&parts)).revocation;
    let proof = prove::proof(core, &parts, target, client, now).map_err(to_caller)?;
    authenticate::spend(core, &caller, proof.as_ref(), None).await?;
    let revoker = Revoker {
        client,
        proven: caller.is_proven(),
        key: proof.as_ref().map(UnredeemedProof::jkt),
    };
    let token_id = withdraw(core, &revoker, text, now).await;
    let Some(token_id) = token_id.map_err(to_caller)? else {
        return Ok(());
    };
    core.metrics().revoked();
    let (request_id, client_id) = (call.request_id.as_str(), client.id.as_str());
    tracing::info!(request_id, client_id, token_id, "token revoked");
    Ok(())
}

/// Revokes what the caller may; the handle of what was revoked.
///
/// SECURITY: an answer only once the store has it; the client must otherwise take
/// the token for valid still (RFC 7009 section 2.2.1).
async fn withdraw(
    core: &Core,
    revoker: &Revoker<'_>,
    text: &str,
    now: UnixTime,
) -> Result<Option<String>, Rejection> {
    let (store, by) = (core.store(), revoker.client.identity.as_str());
    let reason = Some("revoked by its client");
    let hash = TokenHash::of(text.as_bytes());
    if artefact::parse(text) == Ok(artefact::Kind::Refresh) {
        let found = store.refresh_token(hash, now).await;
        let found = found.map_err(|error| unavailable(&error))?;
        let Some(grant) = revocation::decide_refresh(revoker, found)? else {
            return Ok(None);
        };
        let grant_id = grant.grant_id.clone();
        let revoked = store.revoke_grant(grant, by, reason).await;
        revoked.map_err(|error| unavailable(&error))?;
        return Ok(Some(grant_id));
    }
    let record = find(core, hash).await?;
    let Some(token) = revocation::decide(revoker, record.as_ref())? else {
        return Ok(None);
    };
    let revoked = store.revoke_token(token, by, reason).await;
    revoked.map_err(|error| unavailable(&error))?;
    Ok(Some(
        record
            .and_then(|record| record.token_id)
            .unwrap_or_default(),
    ))
}
