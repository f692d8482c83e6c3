//! `POST /token` (RFC 6749 section 4.4, RFC 9449 section 5).
//!
//! The order: form, client, grant and target, proof, signature, one store
//! transaction that records the token and spends proof and assertion together,
//! then the answer. Nothing is written for a request that fails before that
//! transaction, and no client hears of a token before it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use keybound_control::{Issuance, IssuanceOutcome};
use keybound_proto::cause::Cause;
use keybound_proto::dpop::NoncePolicy;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::{Binding, IssuanceRecorded, Minted, artefact, danger};
use keybound_proto::verify::{HeaderField, ProofPresented, UnredeemedProof, begin_proof};

use super::answer::{self, Call, DPOP_NONCE, Refusal};
use super::authenticate;
use super::body::{self, MediaType};
use crate::flow::client::{self, Client};
use crate::flow::credentials::Authenticated;
use crate::flow::form::Form;
use crate::flow::mint::Minting;
use crate::flow::token;
use crate::random;
use crate::state::{Core, unavailable};

/// The request and response header of a proof.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Answers a token request.
pub(super) async fn handle(State(core): State<Arc<Core>>, request: Request) -> Response<Body> {
    let call = Call::of(request.headers(), "/token");
    match issue(&core, &call, request).await {
        Ok(response) => response,
        Err(refusal) => answer::refuse(&core, &call, refusal).await,
    }
}

async fn issue(core: &Core, call: &Call, request: Request) -> Result<Response<Body>, Refusal> {
    let now = core.trusted_now()?;
    let headers = request.headers().clone();
    let body = body::read(request, MediaType::Form).await?;
    let form = Form::parse(&body)?;
    let authenticated = authenticate::client(core, &headers, &form, now).await?;
    let client = authenticated.client();
    let to_client = |rejection: Rejection| Refusal::to(client, rejection);

    let grant = token::decide(&form, client, core.resources()).map_err(to_client)?;
    let proof = prove(core, &headers, client, now).map_err(to_client)?;
    let binding = bind(client, proof.as_ref()).map_err(to_client)?;
    let scope = grant.scopes.to_string();
    let token_id = artefact::token_id(&random::bytes().map_err(to_client)?);
    let minting = Minting {
        issuer: core.config().url.as_str(),
        client,
        grant: &grant,
        scope: &scope,
        binding: &binding,
        token_id: &token_id,
        issued_at: now,
        expires_at: now.plus(core.config().access_ttl),
    };
    let minted = core.keys().sign(&minting, now).map_err(to_client)?;
    let issuance = issuance(
        core,
        call,
        &authenticated,
        &minting,
        &minted,
        proof.as_ref(),
    );
    let recorded = record(core, issuance).await.map_err(to_client)?;
    let text = minted
        .release(&recorded)
        .ok_or_else(|| to_client(Cause::StoreUnavailable.into()))?;
    log_issued(call, &minting);
    Ok(granted(core, client, &minting, &text))
}

/// The proof of a request, verified; `None` where none was sent. A proof that is
/// sent always counts.
fn prove(
    core: &Core,
    headers: &HeaderMap,
    client: &Client,
    now: UnixTime,
) -> Result<Option<UnredeemedProof>, Rejection> {
    let proof = authenticate::field(headers, &DPOP);
    if proof == HeaderField::Absent {
        return Ok(None);
    }
    let presented = ProofPresented {
        method: Method::POST.as_str(),
        target: core.token_endpoint(),
        proof,
    };
    let nonces = NoncePolicy {
        key: core.nonces(),
        required: core.needs_nonce(client),
    };
    begin_proof(&core.config().profile, &presented, &nonces, now).map(Some)
}

/// Whom the token will be bound to.
///
/// SECURITY: the one place that makes an unbound token possible, and only
/// against the exemption itself.
fn bind(client: &Client, proof: Option<&UnredeemedProof>) -> Result<Binding, Rejection> {
    match (proof, &client.binding) {
        (Some(proof), _) => Ok(Binding::Constrained(proof.constraint().clone())),
        (None, client::Binding::Exempt(_)) => Ok(Binding::Unconstrained(
            danger::Unconstrained::operator_exemption(&client.id),
        )),
        (None, client::Binding::Required) => Err(Cause::ClientBindingRequired.into()),
    }
}

fn issuance(
    core: &Core,
    call: &Call,
    authenticated: &Authenticated,
    minting: &Minting<'_>,
    minted: &Minted,
    proof: Option<&UnredeemedProof>,
) -> Issuance {
    Issuance {
        token_hash: minted.hash(),
        token_id: Some(minted.token_id().to_owned()),
        issuer: minting.issuer.to_owned(),
        client_id: minting.client.id.clone(),
        identity: minting.client.identity.clone(),
        jkt: minted.jkt(),
        binding: minting.binding.method(),
        audience: minting.grant.audience.clone(),
        scope: minting.scope.to_owned(),
        issued_at: minting.issued_at,
        expires_at: minting.expires_at,
        proof: proof.map(|proof| proof.replay_query(core.replay_key()).into()),
        assertion: authenticate::assertion_use(core, authenticated),
        request_id: Some(call.request_id.clone()),
    }
}

/// The one write: token, event, spent proof and spent assertion, or nothing.
async fn record(core: &Core, issuance: Issuance) -> Result<IssuanceRecorded, Rejection> {
    let issued_at = issuance.issued_at;
    match core.store().record_issuance(issuance).await {
        Ok(IssuanceOutcome::Recorded(recorded)) => {
            core.issued_at(issued_at);
            Ok(recorded)
        }
        Ok(IssuanceOutcome::AssertionReplayed) => Err(Cause::AssertionReplayed.into()),
        Ok(IssuanceOutcome::Locked(cause)) => Err(cause.into()),
        Ok(IssuanceOutcome::ProofReplayed) => Err(Cause::DpopReplayed.into()),
        Ok(IssuanceOutcome::TooManyProofs) => Err(Cause::ReplayFlood.into()),
        Err(error) => Err(unavailable(&error)),
    }
}

fn log_issued(call: &Call, minting: &Minting<'_>) {
    let request_id = call.request_id.as_str();
    let client_id = minting.client.id.as_str();
    let token_id = minting.token_id;
    match (minting.binding.jkt(), &minting.client.binding) {
        (Some(jkt), _) => tracing::info!(request_id, client_id, token_id, %jkt, "token issued"),
        (None, client::Binding::Exempt(exemption)) => {
            let reason = exemption.reason.as_str();
            tracing::warn!(
                request_id,
                client_id,
                token_id,
                reason,
                "token issued without binding"
            );
        }
        (None, client::Binding::Required) => {
            tracing::error!(
                request_id,
                client_id,
                token_id,
                "token issued without binding or exemption"
            );
        }
    }
}

fn granted(core: &Core, client: &Client, minting: &Minting<'_>, text: &str) -> Response<Body> {
    let mut response = answer::json(StatusCode::OK, minting.answer(text));
    answer::set(
        &mut response,
        DPOP_NONCE,
        core.offered_nonce(None, Some(client)),
    );
    response
}
