//! Token exchange (RFC 8693): looks up what is presented, verifies what is proven, and carries out
//! what [`crate::flow::exchange`] decides.
//!
//! The proof of a holder who lends its token is spent in the transaction that records the new one.

use axum::body::Body;
use axum::http::{Method, Response};
use keybound_control::{ExchangeUse, GrantUse};
use keybound_proto::cause::Cause;
use keybound_proto::dpop::NoncePolicy;
use keybound_proto::rejection::Rejection;
use keybound_proto::token::TokenHash;
use keybound_proto::verify::{HeaderField, ProofPresented, UnredeemedProof, begin_proof};

use super::introspect::find;
use super::token::{Award, Refresh, TokenRequest};
use crate::entrance::Entrance;
use crate::flow::exchange::{self, Evidence, Input, Title};

impl TokenRequest<'_> {
    /// `urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693 section 2.1).
    pub(super) async fn exchange(&self) -> Result<Response<Body>, Rejection> {
        let asked = exchange::read(self.form)?;
        let subject = self
            .input(asked.subject_token, Cause::ExchangeSubjectToken)
            .await?;
        let actor = match asked.actor_token {
            Some(text) => Some(self.input(text, Cause::ExchangeActorToken).await?),
            None => None,
        };
        let proof = self.prove()?;
        let subject_proof = asked
            .subject_proof
            .map(|text| self.lent(text))
            .transpose()?;
        let certificate = self.certificate()?;
        let evidence = Evidence {
            authenticated: self.authenticated.is_proven(),
            proof: proof.as_ref(),
            certificate: certificate.map(|proven| proven.certificate().thumbprint()),
            subject_proof: subject_proof.as_ref(),
        };
        let rules = &self.core.delegations;
        let title = exchange::title(&subject, self.client(), &evidence, rules)?;
        if let Some(actor) = &actor {
            exchange::check_actor(actor, self.client(), &evidence)?;
        }
        let key = proof.as_ref().map(UnredeemedProof::jkt);
        let grant = exchange::grant(
            self.form,
            self.client(),
            (&subject, actor.as_ref()),
            (title, key),
            self.core.resources(),
        )?;
        let actors = grant.delegation.actors.iter();
        let recorded = ExchangeUse {
            subject_key: subject.holder_thumbprint(),
            actors: actors.map(|actor| actor.subject.clone()).collect(),
            rule: match title {
                Title::Rule(rule) => Some(rule.name.clone()),
                Title::Holder | Title::Lent => None,
            },
            lent_by: subject_proof.map(|proof| proof.replay_query(self.core.replay_key()).into()),
        };
        self.log_exchange(&subject, &recorded);
        let award = Award {
            grant,
            grant_use: Some(GrantUse::Exchange(recorded)),
            refresh: Refresh::No,
        };
        let issued = self.issue(award, proof.as_ref()).await;
        issued.map_err(in_exchange)
    }

    /// The token with this text, if it is one of ours that counts now. So are its client and those
    /// who act in it: who was removed or locked hands nothing on.
    async fn input(&self, text: &str, cause: Cause) -> Result<Input, Rejection> {
        let record = find(self.core, TokenHash::of(text.as_bytes())).await?;
        let store = self.core.store();
        let locked = record
            .as_ref()
            .is_some_and(|record| store.locked_record(record).is_some());
        let input = Input::of(record, locked, self.now, cause)?;
        let client_id = &input.record().client_id;
        if self.core.clients().find(client_id).await?.is_none() {
            return Err(Rejection::new(cause).got("the token of a client that is gone"));
        }
        let issuer = self.core.config().url.as_str();
        let locked = input.actors().iter().any(|actor| {
            let key = actor.jkt.as_slice();
            store.locked_party(issuer, &actor.subject, key).is_some()
        });
        if locked {
            return Err(Rejection::new(cause).got("one whose actor is locked"));
        }
        Ok(input)
    }

    /// The proof by which a holder lends its token, verified. It needs no nonce: its maker does
    /// not talk to this endpoint. One that is there is checked.
    fn lent(&self, text: &str) -> Result<UnredeemedProof, Rejection> {
        let presented = ProofPresented {
            method: Method::POST.as_str(),
            target: &self.core.endpoints(Entrance::of(self.parts)).token,
            proof: HeaderField::One(text.as_bytes()),
        };
        let key = self.core.nonces();
        let nonces = NoncePolicy {
            key: &key,
            required: false,
        };
        let begun = begin_proof(&self.core.config().profile, &presented, &nonces, self.now);
        // What is wrong with it is nothing that the client's own proof could repair.
        begun.map_err(|rejection| {
            Rejection::new(Cause::ExchangeSubjectUnproven)
                .expected("a good subject_token_proof")
                .got(rejection.cause().id())
        })
    }

    fn log_exchange(&self, subject: &Input, exchange: &ExchangeUse) {
        let (subject_key, rule) = (exchange.subject_key.as_deref(), exchange.rule.as_deref());
        tracing::info!(
            request_id = self.call.request_id.as_str(),
            client_id = self.client().id.as_str(),
            subject_token_id = subject.record().token_id.as_deref(),
            subject_key,
            rule,
            actors = exchange.actors.len(),
            "token is exchanged"
        );
    }
}

/// RFC 8693 section 2.2.2: what other grants call `invalid_grant` is an invalid subject token here.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other cause says the same for every grant"
)]
fn in_exchange(rejection: Rejection) -> Rejection {
    match rejection.cause() {
        Cause::GrantInvalid => Cause::ExchangeSubjectToken.into(),
        Cause::GrantKeyMismatch => Cause::ExchangeSubjectUnproven.into(),
        _ => rejection,
    }
}
