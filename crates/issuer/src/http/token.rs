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
use super::body;
use crate::flow::client::{self, Client};
use crate::flow::credentials::Authenticated;
use crate::flow::form::Form;
use crate::flow::mint::Minting;
use crate::flow::token;
use crate::random;
use crate::state::{Core, unavailable};

/// The request header of a proof.
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// A token request of a client that proved who it is.
struct TokenRequest<'a> {
    core: &'a Core,
    call: &'a Call,
    headers: &'a HeaderMap,
    form: &'a Form<'a>,
    authenticated: &'a Authenticated,
    now: UnixTime,
}

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
    let (parts, body) = request.into_parts();
    let body = body::read(&parts, body, body::FORM).await?;
    let form = Form::parse(&body)?;
    let authenticated = authenticate::client(core, &parts.headers, &form, now).await?;
    let request = TokenRequest {
        core,
        call,
        headers: &parts.headers,
        form: &form,
        authenticated: &authenticated,
        now,
    };
    let granted = request.grant().await;
    granted.map_err(|rejection| Refusal::to(authenticated.client(), rejection))
}

impl TokenRequest<'_> {
    async fn grant(&self) -> Result<Response<Body>, Rejection> {
        let client = self.client();
        let grant = token::decide(self.form, client, self.core.resources())?;
        let proof = self.prove()?;
        let binding = bind(client, proof.as_ref())?;
        let scope = grant.scopes.to_string();
        let token_id = artefact::token_id(&random::bytes()?);
        let minting = Minting {
            issuer: self.core.config().url.as_str(),
            client,
            grant: &grant,
            scope: &scope,
            binding: &binding,
            token_id: &token_id,
            issued_at: self.now,
            expires_at: self.now.plus(self.core.config().access_ttl),
        };
        let minted = self.core.keys().sign(&minting, self.now)?;
        let recorded = self.record(&minting, &minted, proof.as_ref()).await?;
        let text = minted.release(&recorded).ok_or(Cause::StoreUnavailable)?;
        self.log(&minting);
        Ok(self.answer(&minting, &text))
    }

    fn client(&self) -> &Client {
        self.authenticated.client()
    }

    /// The proof of the request, verified; `None` where none was sent. A proof
    /// that is sent always counts.
    fn prove(&self) -> Result<Option<UnredeemedProof>, Rejection> {
        let proof = authenticate::field(self.headers, &DPOP);
        if proof == HeaderField::Absent {
            return Ok(None);
        }
        let presented = ProofPresented {
            method: Method::POST.as_str(),
            target: self.core.token_endpoint(),
            proof,
        };
        let nonces = NoncePolicy {
            key: self.core.nonces(),
            required: self.core.needs_nonce(self.client()),
        };
        begin_proof(&self.core.config().profile, &presented, &nonces, self.now).map(Some)
    }

    /// The one write: token, event, spent proof and spent assertion, or nothing.
    async fn record(
        &self,
        minting: &Minting<'_>,
        minted: &Minted,
        proof: Option<&UnredeemedProof>,
    ) -> Result<IssuanceRecorded, Rejection> {
        let issuance = self.issuance(minting, minted, proof);
        match self.core.store().record_issuance(issuance).await {
            Ok(IssuanceOutcome::Recorded(recorded)) => {
                self.core.issued_at(minting.issued_at);
                Ok(recorded)
            }
            Ok(IssuanceOutcome::AssertionReplayed) => Err(Cause::AssertionReplayed.into()),
            Ok(IssuanceOutcome::Locked(cause)) => Err(cause.into()),
            Ok(IssuanceOutcome::ProofReplayed) => Err(Cause::DpopReplayed.into()),
            Ok(IssuanceOutcome::TooManyProofs) => Err(Cause::ReplayFlood.into()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn issuance(
        &self,
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
            proof: proof.map(|proof| proof.replay_query(self.core.replay_key()).into()),
            assertion: authenticate::assertion_use(self.core, self.authenticated),
            request_id: Some(self.call.request_id.clone()),
        }
    }

    fn log(&self, minting: &Minting<'_>) {
        let request_id = self.call.request_id.as_str();
        let client_id = minting.client.id.as_str();
        let token_id = minting.token_id;
        self.core.metrics().issued(minting.binding.jkt().is_some());
        match (minting.binding.jkt(), &minting.client.binding) {
            // The store's event is the record of it; this line is for debugging.
            (Some(jkt), _) => {
                tracing::debug!(request_id, client_id, token_id, %jkt, "token issued")
            }
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
            // `bind` refuses this; a log line says so should it ever change.
            (None, client::Binding::Required) => {
                tracing::error!(
                    request_id,
                    client_id,
                    token_id,
                    "token issued without exemption"
                );
            }
        }
    }

    fn answer(&self, minting: &Minting<'_>, text: &str) -> Response<Body> {
        let mut response = answer::json(StatusCode::OK, minting.answer(text));
        let nonce = self.core.offered_nonce(None, Some(self.client()));
        answer::set(&mut response, DPOP_NONCE, nonce);
        response
    }
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
