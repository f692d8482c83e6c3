//! `POST /token` (RFC 6749 section 4.4, RFC 9449 section 5, RFC 8705 section 3).
//!
//! The order: form, client, grant and target, proof, signature, one store
//! transaction that records the token and spends proof and assertion together,
//! then the answer. Nothing is written for a request that fails before that
//! transaction, and no client hears of a token before it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, Response, StatusCode};
use keybound_control::{Issuance, IssuanceOutcome};
use keybound_proto::cause::Cause;
use keybound_proto::dpop::NoncePolicy;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::{
    Binding, IssuanceRecorded, Minted, ProvenCertificate, SenderConstraint, artefact, danger,
};
use keybound_proto::verify::{HeaderField, ProofPresented, UnredeemedProof, begin_proof};

use super::answer::{self, Call, DPOP_NONCE, Refusal};
use super::authenticate;
use super::body;
use crate::entrance::Entrance;
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
    parts: &'a Parts,
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
    let authenticated = authenticate::client(core, &parts, &form, now).await?;
    let request = TokenRequest {
        core,
        call,
        parts: &parts,
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
        let binding = bind(client, proof.as_ref(), self.certificate()?)?;
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

    /// The certificate of the connection, proven by its handshake and in force; `None` where the
    /// client does not bind its tokens by one.
    fn certificate(&self) -> Result<Option<ProvenCertificate>, Rejection> {
        let wanted = self.client().certificate;
        match authenticate::certificate(self.parts) {
            Some(peer) if wanted.required || wanted.sufficient => {
                let in_force = peer.check_time(self.now)?;
                let proven = ProvenCertificate::assertion(peer, in_force);
                Ok(Some(proven.with_renewal(wanted.renewal, self.now)))
            }
            _ => Ok(None),
        }
    }

    fn client(&self) -> &Client {
        self.authenticated.client()
    }

    /// The proof of the request, verified; `None` where none was sent. A proof
    /// that is sent always counts.
    fn prove(&self) -> Result<Option<UnredeemedProof>, Rejection> {
        let proof = authenticate::field(&self.parts.headers, &DPOP);
        if proof == HeaderField::Absent {
            return Ok(None);
        }
        let presented = ProofPresented {
            method: Method::POST.as_str(),
            target: self.core.token_endpoint(Entrance::of(self.parts)),
            proof,
        };
        let key = self.core.nonces();
        let nonces = NoncePolicy {
            key: &key,
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
            certificate: minting.binding.certificate(),
            confirmation: minting
                .binding
                .certificate()
                .and_then(|_| minting.binding.confirmation()),
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
        let method = minting.binding.method();
        self.core.metrics().issued(method != "none");
        match (minting.binding, &minting.client.binding) {
            // The store's event is the record of it; this line is for debugging.
            (Binding::Constrained(constraint), _) => {
                let jkt = constraint.jkt().map(|jkt| jkt.to_string());
                tracing::debug!(request_id, client_id, token_id, method, jkt, "token issued");
            }
            (Binding::Unconstrained(_), client::Binding::Exempt(exemption)) => {
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
            (Binding::Unconstrained(_), client::Binding::Required) => {
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

/// Whom the token will be bound to: to everything that was proven and counts for the client.
///
/// SECURITY: the one place that makes an unbound token possible, and only
/// against the exemption itself.
fn bind(
    client: &Client,
    proof: Option<&UnredeemedProof>,
    certificate: Option<ProvenCertificate>,
) -> Result<Binding, Rejection> {
    let wanted = client.certificate;
    let constraint = match (proof, certificate) {
        (_, None) if wanted.required => return Err(Cause::ClientCertificateRequired.into()),
        (Some(proof), Some(certificate)) if wanted.required => {
            proof.constraint().clone().and_certificate(certificate)
        }
        (Some(proof), _) => proof.constraint().clone(),
        (None, Some(certificate)) if wanted.sufficient => SenderConstraint::Mtls(certificate),
        (None, _) => return unproven(client),
    };
    Ok(Binding::Constrained(constraint))
}

fn unproven(client: &Client) -> Result<Binding, Rejection> {
    match &client.binding {
        client::Binding::Exempt(_) if !client.certificate.required => Ok(Binding::Unconstrained(
            danger::Unconstrained::operator_exemption(&client.id),
        )),
        client::Binding::Exempt(_) | client::Binding::Required => {
            Err(Cause::ClientBindingRequired.into())
        }
    }
}
