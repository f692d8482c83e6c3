//! `POST /token` (RFC 6749 section 3.2, RFC 9449 section 5, RFC 8705 section 3).
//!
//! The order: form, client, grant and target, proof, signature, one store
//! transaction that records the token, uses up the grant and spends proof and assertion
//! together, then the answer. Nothing is written for a request that fails before that
//! transaction, and no client hears of a token before it. What a grant type looks up first is in
//! `super::grants`; every token is minted here.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use keybound_control::{
    GrantRecord, GrantUse, Issuance, IssuanceOutcome, Lineage, NewRefreshToken,
};
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::{
    Actor, Binding, IssuanceRecorded, Minted, ProvenCertificate, SenderConstraint, TokenHash,
    artefact, danger,
};
use keybound_proto::verify::UnredeemedProof;

use super::answer::{self, Call, DPOP_NONCE, Refusal};
use super::authenticate;
use super::body;
use super::prove;
use super::signed::{self, Sent};
use crate::entrance::Entrance;
use crate::flow::client::{self, Client, GrantType};
use crate::flow::credentials::Authenticated;
use crate::flow::exchange;
use crate::flow::form::Form;
use crate::flow::grant::{Entitlement, Grant, Holder};
use crate::flow::mint::Minting;
use crate::flow::token;
use crate::random;
use crate::state::{Core, unavailable};

/// A token request of a client that proved who it is.
pub(super) struct TokenRequest<'a> {
    pub(super) core: &'a Core,
    pub(super) call: &'a Call,
    pub(super) parts: &'a Parts,
    pub(super) form: &'a Form<'a>,
    content: &'a [u8],
    pub(super) authenticated: &'a Authenticated,
    pub(super) now: UnixTime,
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
        content: &body,
        authenticated: &authenticated,
        now,
    };
    let granted = request.grant().await;
    granted.map_err(|rejection| Refusal::to(authenticated.client(), rejection))
}

/// What a grant comes to: what the token says, and what changes with it.
pub(super) struct Award {
    pub(super) grant: Grant,
    /// What is used up.
    pub(super) grant_use: Option<GrantUse>,
    pub(super) refresh: Refresh,
}

/// Whether a refresh token goes with the token.
pub(super) enum Refresh {
    /// None.
    No,
    /// The first one of a grant that begins with this token.
    First {
        grant_id: String,
        entitlement: Entitlement,
    },
    /// The next one of a grant.
    Next(Box<GrantRecord>),
}

/// A refresh token that is about to be given.
struct NewRefresh {
    text: String,
    grant: Option<GrantRecord>,
    recorded: (String, NewRefreshToken),
}

impl Award {
    /// A token and nothing else.
    pub(super) const fn of(grant: Grant) -> Self {
        Self {
            grant,
            grant_use: None,
            refresh: Refresh::No,
        }
    }
}

impl TokenRequest<'_> {
    async fn grant(&self) -> Result<Response<Body>, Rejection> {
        let authorization = self.core.authorization().is_some();
        match token::grant_type(self.form, self.client(), authorization)? {
            GrantType::AuthorizationCode => self.redeem_code().await,
            GrantType::ClientCredentials => {
                let known = self.core.resources();
                let grant = token::client_credentials(self.form, self.client(), known)?;
                let proof = self.prove()?;
                self.issue(Award::of(grant), proof.as_ref()).await
            }
            GrantType::RefreshToken => self.refresh().await,
            GrantType::TokenExchange => self.exchange().await,
        }
    }

    /// Binds, mints, records and answers: the way of every token.
    pub(super) async fn issue(
        &self,
        award: Award,
        proof: Option<&UnredeemedProof>,
    ) -> Result<Response<Body>, Rejection> {
        let grant = &self.with_may_act(award.grant);
        let binding = bind(self.client(), proof, self.certificate()?)?;
        grant.holder.check(&binding)?;
        let scope = grant.scopes.to_string();
        let token_id = artefact::token_id(&random::bytes()?);
        let longest = self.now.plus(self.core.config().access_ttl);
        let minting = Minting {
            issuer: self.core.config().url.as_str(),
            client: self.client(),
            grant,
            scope: &scope,
            binding: &binding,
            token_id: &token_id,
            issued_at: self.now,
            expires_at: grant.not_after.map_or(longest, |end| end.min(longest)),
        };
        if minting.expires_at <= self.now {
            return Err(Rejection::new(Cause::GrantInvalid).got("a grant that has ended"));
        }
        let minted = self.core.keys().sign(&minting, self.now)?;
        let refresh = self.refresh_token(award.refresh, &binding)?;
        let lineage = Lineage {
            ancestors: grant.delegation.ancestors.clone(),
            claims: minting.further_claims(),
            grant_use: award.grant_use,
            grant: refresh.as_ref().and_then(|refresh| refresh.grant.clone()),
            refresh: refresh.as_ref().map(|refresh| refresh.recorded.clone()),
        };
        let recorded = self.record(&minting, &minted, proof, lineage).await?;
        let text = minted.release(&recorded).ok_or(Cause::StoreUnavailable)?;
        self.log(&minting);
        let refresh = refresh.as_ref().map(|refresh| refresh.text.as_str());
        Ok(self.answer(&minting, &text, refresh))
    }

    /// The grant with who may become the actor, where the client's configuration says so and the
    /// grant does not already.
    fn with_may_act(&self, mut grant: Grant) -> Grant {
        if grant.delegation.may_act.is_none() {
            let named = self.client().may_act.clone();
            grant.delegation.may_act = named.map(|subject| Actor {
                subject,
                issuer: None,
                jkt: None,
            });
        }
        grant
    }

    /// Makes the refresh token that goes with the token. It is bound to the same key.
    fn refresh_token(
        &self,
        wanted: Refresh,
        binding: &Binding,
    ) -> Result<Option<NewRefresh>, Rejection> {
        let (grant_id, grant) = match wanted {
            Refresh::No => return Ok(None),
            Refresh::Next(grant) => (grant.grant_id, None),
            Refresh::First {
                grant_id,
                entitlement,
            } => {
                let entitlement = Entitlement {
                    holder: Holder::of(binding),
                    ..entitlement
                };
                let grant = GrantRecord {
                    grant_id: grant_id.clone(),
                    issuer: self.core.config().url.as_str().to_owned(),
                    client_id: self.client().id.clone(),
                    identity: entitlement.identity.clone(),
                    document: serde_json::to_string(&entitlement)
                        .map_err(|_| Cause::StoreUnavailable)?,
                    created_at: self.now,
                    expires_at: self.now.plus(self.core.config().refresh.ttl),
                };
                (grant_id, Some(grant))
            }
        };
        let text = artefact::generate(artefact::Kind::Refresh, &random::bytes()?);
        let new = NewRefreshToken {
            hash: TokenHash::of(text.as_bytes()),
            jkt: match binding {
                Binding::Constrained(constraint) if constraint.needs_proof() => constraint.jkt(),
                Binding::Constrained(_) | Binding::Unconstrained(_) => None,
            },
        };
        Ok(Some(NewRefresh {
            text,
            grant,
            recorded: (grant_id, new),
        }))
    }

    /// The certificate of the connection, proven by its handshake and in force; `None` where the
    /// client does not bind its tokens by one.
    pub(super) fn certificate(&self) -> Result<Option<ProvenCertificate>, Rejection> {
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

    pub(super) fn client(&self) -> &Client {
        self.authenticated.client()
    }

    /// The proof of the request, verified; `None` where none was sent. A proof
    /// that is sent always counts.
    pub(super) fn prove(&self) -> Result<Option<UnredeemedProof>, Rejection> {
        let sent = Sent {
            parts: self.parts,
            content: self.content,
        };
        let signed = signed::prove(self.core, sent, self.client(), self.now)?;
        let target = &self.core.endpoints(Entrance::of(self.parts)).token;
        match signed {
            None => prove::proof(self.core, self.parts, target, self.client(), self.now),
            Some(_) if prove::is_sent(self.parts) => Err(Rejection::new(Cause::HttpsigMultiple)
                .expected("one proof of possession")
                .got("a signature and a DPoP proof")),
            Some(signed) => Ok(Some(signed)),
        }
    }

    /// The one write: token, event, spent proof and spent assertion, or nothing.
    async fn record(
        &self,
        minting: &Minting<'_>,
        minted: &Minted,
        proof: Option<&UnredeemedProof>,
        lineage: Lineage,
    ) -> Result<IssuanceRecorded, Rejection> {
        let issuance = self.issuance(minting, minted, proof, lineage);
        match self.core.store().record_issuance(issuance).await {
            Ok(IssuanceOutcome::Recorded(recorded)) => {
                self.core.issued_at(minting.issued_at);
                Ok(recorded)
            }
            Ok(IssuanceOutcome::AssertionReplayed) => Err(Cause::AssertionReplayed.into()),
            // Somebody was faster. What it means that it was used is found out next time.
            Ok(IssuanceOutcome::GrantUsed) => Err(Cause::GrantInvalid.into()),
            // What descends from a revoked grant is no grant any more.
            Ok(IssuanceOutcome::Locked(Cause::TokenRevoked)) => Err(Cause::GrantInvalid.into()),
            Ok(IssuanceOutcome::Locked(cause)) => Err(cause.into()),
            Ok(IssuanceOutcome::ProofReplayed) => {
                let replayed = proof.map_or(Cause::DpopReplayed, UnredeemedProof::replayed);
                Err(replayed.into())
            }
            Ok(IssuanceOutcome::TooManyProofs) => Err(Cause::ReplayFlood.into()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn issuance(
        &self,
        minting: &Minting<'_>,
        minted: &Minted,
        proof: Option<&UnredeemedProof>,
        lineage: Lineage,
    ) -> Issuance {
        Issuance {
            token_hash: minted.hash(),
            token_id: Some(minted.token_id().to_owned()),
            issuer: minting.issuer.to_owned(),
            client_id: minting.client.id.clone(),
            identity: minting.grant.identity.clone(),
            jkt: minted.jkt(),
            certificate: minting.binding.certificate(),
            confirmation: minting.binding.further_confirmation(),
            binding: minting.binding.method(),
            audience: minting.grant.audience.clone(),
            scope: minting.scope.to_owned(),
            issued_at: minting.issued_at,
            expires_at: minting.expires_at,
            proof: proof.map(|proof| proof.replay_query(self.core.replay_key()).into()),
            assertion: authenticate::assertion_use(self.core, self.authenticated),
            lineage,
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

    fn answer(&self, minting: &Minting<'_>, text: &str, refresh: Option<&str>) -> Response<Body> {
        let exchanged = self.form.value("grant_type") == Some(GrantType::TokenExchange.name());
        let issued_token_type = exchanged.then_some(exchange::ACCESS_TOKEN);
        let body = minting.answer(text, refresh, issued_token_type);
        let mut response = answer::json(StatusCode::OK, body);
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
