//! `POST /par` (RFC 9126): an authorization request from an authenticated client, kept until its
//! person comes with the `request_uri`.
//!
//! A proof that comes with it binds the code to its key (RFC 9449 section 10.1), and is used once
//! like every proof.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keybound_control::{KeptKind, KeptRef};
use keybound_proto::base64url;
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::verify::UnredeemedProof;

use super::answer::{self, Call, DPOP_NONCE, Refusal};
use super::authenticate;
use super::body;
use super::prove;
use crate::config::AuthorizationConfig;
use crate::entrance::Entrance;
use crate::flow::authorization::{self, Redirect};
use crate::flow::client::Client;
use crate::flow::form::Form;
use crate::random;
use crate::state::Core;

/// What `request_uri` values begin with (RFC 9126 section 2.2).
pub(super) const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";

/// Answers a pushed authorization request.
pub(super) async fn handle(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let call = Call::of(request.headers(), "/par");
    match push(&core, request).await {
        Ok(response) => response,
        Err(refusal) => answer::refuse(&core, &call, refusal).await,
    }
}

async fn push(core: &Core, request: Request) -> Result<Response<Body>, Refusal> {
    let now = core.trusted_now()?;
    let config = core.authorization().ok_or(Cause::RouteUnknown)?;
    let (parts, body) = request.into_parts();
    let body = body::read(&parts, body, body::FORM).await?;
    let form = Form::parse(&body)?;
    let authenticated = authenticate::client(core, &parts, &form, now).await?;
    let client = authenticated.client();
    let to_client = |rejection: Rejection| Refusal::to(client, rejection);
    if form.value("request_uri").is_some() {
        let nested = Rejection::new(Cause::ParameterInvalid).got("request_uri");
        return Err(to_client(nested));
    }
    let target = &core.endpoints(Entrance::of(&parts)).pushed;
    let proof = prove::proof(core, &parts, target, client, now).map_err(to_client)?;
    let redirect = Redirect::find(&form, client).map_err(to_client)?;
    let proven = proof.as_ref().map(UnredeemedProof::jkt);
    let judged = authorization::judge(&form, client, redirect, core.resources(), proven);
    let document =
        serde_json::to_string(&judged.map_err(to_client)?).map_err(|_| Cause::StoreUnavailable)?;
    let id = base64url::encode(&random::bytes::<32>()?);
    let name = KeptRef::of(KeptKind::AuthorizationRequest, &id);
    let kept = (name, document, now.plus(config.request_ttl));
    authenticate::spend(core, &authenticated, proof.as_ref(), Some(kept)).await?;
    Ok(created(core, config, &id, client))
}

fn created(core: &Core, config: &AuthorizationConfig, id: &str, client: &Client) -> Response<Body> {
    let body = serde_json::json!({
        "request_uri": format!("{REQUEST_URI}{id}"),
        "expires_in": config.request_ttl,
    });
    let mut response = answer::json(StatusCode::CREATED, body.to_string());
    answer::set(
        &mut response,
        DPOP_NONCE,
        core.offered_nonce(None, Some(client)),
    );
    response
}
