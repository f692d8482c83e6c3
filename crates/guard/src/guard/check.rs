//! One request through the guard: proto's steps in proto's order, each fed with
//! what a resource server has to know.

use std::sync::Arc;

use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::dpop::NoncePolicy;
use keybound_proto::token::AccessToken;
use keybound_proto::verify::{Presented, Received, Requirements, Unjudged, Unkeyed, Verified};
use tokio::time::Instant;

use super::vouch::Place;
use super::{Guard, Inner, Nonces};
use crate::config::Route;
use crate::content::{Content, NoContent};
use crate::guard::record::RequestFacts;

impl Guard {
    /// Checks one request: form of headers, token and proof; the proof's claims;
    /// the token; `ath` and key; the proof's signature; revocation; scope; and
    /// last, that the proof was not used before.
    ///
    /// Every decision is counted and traced, and refusals that involve a genuine
    /// token are recorded as events.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] of the first check that fails.
    pub async fn check(
        &self,
        presented: &Presented<'_>,
        route: &Route,
    ) -> Result<Verified, Rejection> {
        self.check_with(presented, route, &RequestFacts::default())
            .await
    }

    /// As [`Guard::check`], with facts of the request that belong into events.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] of the first check that fails.
    pub async fn check_with(
        &self,
        presented: &Presented<'_>,
        route: &Route,
        facts: &RequestFacts<'_>,
    ) -> Result<Verified, Rejection> {
        self.check_with_content(presented, route, facts, &mut NoContent)
            .await
    }

    /// As [`Guard::check_with`], for requests whose content can be read: a signature may cover
    /// its digest (RFC 9421 section 7.2.5), and then it is checked before this succeeds.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] of the first check that fails.
    pub async fn check_with_content(
        &self,
        presented: &Presented<'_>,
        route: &Route,
        facts: &RequestFacts<'_>,
        content: &mut dyn Content,
    ) -> Result<Verified, Rejection> {
        let started = Instant::now();
        let place = (route, facts.peer);
        let outcome = self.inner.check(presented, place, content).await;
        self.inner
            .record_decision(presented, route, facts, &outcome, started.elapsed());
        outcome
    }
}

impl Inner {
    async fn check(
        &self,
        presented: &Presented<'_>,
        place: Place<'_>,
        content: &mut dyn Content,
    ) -> Result<Verified, Rejection> {
        let nonces = self.nonces();
        let unjudged = self.prove(presented, place, &nonces).await?;
        let about =
            |cause: Cause, token: &Arc<AccessToken>| Rejection::new(cause).about(Arc::clone(token));
        self.check_status(unjudged.token())
            .await
            .map_err(|rejection| rejection.about(Arc::clone(unjudged.token())))?;
        let not_revoked = self
            .revocations
            .check(&unjudged.revocation_query())
            .map_err(|cause| about(cause, unjudged.token()))?;
        let unredeemed = unjudged.judge(&not_revoked, &self.replay_key)?;
        let intact = match unredeemed.expected_content() {
            None => None,
            Some(expected) => {
                let checked = content.check(expected).await;
                let about = |refused: Rejection| refused.about(Arc::clone(unredeemed.token()));
                Some(checked.map_err(about)?)
            }
        };
        // Fetching keys and lists and reading the content may have taken seconds; the record is of now.
        let now = self.clock.now();
        let recorded = match unredeemed.replay_query() {
            None => None,
            Some(query) => {
                let answer = self.replay.redeem(place.0.replay, query, nonces.epoch, now);
                let refused = |cause| about(unredeemed.refusal_of(cause), unredeemed.token());
                Some(answer.await.map_err(|refusal| refused(refusal.cause()))?)
            }
        };
        unredeemed.redeem(recorded, intact)
    }

    /// Everything up to and including the proof's signature.
    async fn prove<'r>(
        &'r self,
        presented: &Presented<'_>,
        (route, peer): Place<'r>,
        nonces: &Nonces,
    ) -> Result<Unjudged<'r>, Rejection> {
        if let Some(unjudged) = self.prove_workload(presented, route).await? {
            return Ok(unjudged);
        }
        let received = Received::read(&self.profile, *presented)?;
        let known = self.known_token(received.token_hash(), route);
        let policy = NoncePolicy {
            key: &nonces.key,
            required: route.nonce.is_for_everybody(),
        };
        let now = self.clock.now();
        let unkeyed = match received.begin(&self.profile, known.as_ref(), &policy, now) {
            Ok(unkeyed) => unkeyed,
            Err(rejection) => {
                return Err(self.name_token(rejection, presented, (route, peer)).await);
            }
        };
        let token = match known {
            Some(token) => token,
            None => {
                // Present whenever the token was not known; without it nothing is verified.
                let unverified = unkeyed.unverified().ok_or(Cause::TokenMalformed)?;
                self.vouched(unverified, (route, peer)).await?
            }
        };
        let shown = presented.message.certificate;
        let unkeyed = match self.stand_in(&token, shown).await {
            Ok(Some(svid)) => unkeyed.with_svid(svid),
            Ok(None) => unkeyed,
            Err(rejection) => return Err(rejection.about(token)),
        };
        self.require(unkeyed, token, presented, route)
    }

    /// Checks the token for the route and the proof for the token.
    fn require<'r>(
        &'r self,
        unkeyed: Unkeyed<'_>,
        token: Arc<AccessToken>,
        presented: &Presented<'_>,
        route: &'r Route,
    ) -> Result<Unjudged<'r>, Rejection> {
        let scopes = match route.scopes.required(presented.method) {
            Ok(scopes) => scopes,
            Err(cause) => {
                return Err(Rejection::new(cause).got(presented.method).about(token));
            }
        };
        let requirements = Requirements {
            audience: self.audience_of(&token, route),
            issuers: route.issuers.as_deref(),
            scopes,
            nonce_clients: route.nonce.clients(),
            methods: self.methods_of(&token, route),
            cover_content: route.cover_content,
        };
        unkeyed.with_token(token, &requirements, self.clock.now())
    }

    /// A token presented with the scheme `DPoP` and no proof at all is how a
    /// stolen token looks, so it is verified although the request is refused
    /// anyway. Other faults of form come from proofs, which anybody can garble
    /// for nothing; those name a token only if it is known already.
    async fn name_token(
        &self,
        rejection: Rejection,
        presented: &Presented<'_>,
        place: Place<'_>,
    ) -> Rejection {
        if rejection.token().is_some() || rejection.cause() != Cause::DpopAbsent {
            return rejection;
        }
        match self.bare_token(presented, place).await {
            Some(token) => rejection.about(token),
            None => rejection,
        }
    }

    async fn bare_token(
        &self,
        presented: &Presented<'_>,
        place: Place<'_>,
    ) -> Option<Arc<AccessToken>> {
        let received = Received::read(&self.profile, *presented).ok()?;
        let unverified = received.bare_token(&self.profile).ok()?;
        self.vouched(&unverified, place).await.ok()
    }
}
