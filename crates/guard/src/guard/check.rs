//! One request through the guard: proto's steps in proto's order, each fed with
//! what a resource server has to know.

use std::sync::Arc;

use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::dpop::NoncePolicy;
use keybound_proto::token::{AccessToken, TokenHash, UnverifiedToken};
use keybound_proto::verify::{Presented, Received, Requirements, Unjudged, Unkeyed, Verified};
use tokio::time::Instant;

use super::{Guard, Inner, Issuer, Nonces};
use crate::config::Route;
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
        let started = Instant::now();
        let outcome = self.inner.check(presented, route).await;
        self.inner
            .record_decision(presented, route, facts, &outcome, started.elapsed());
        outcome
    }
}

impl Inner {
    async fn check(&self, presented: &Presented<'_>, route: &Route) -> Result<Verified, Rejection> {
        let nonces = self.nonces();
        let unjudged = self.prove(presented, route, &nonces).await?;
        // Fetching keys may have taken seconds; everything below is about now.
        let now = self.clock.now();
        let about =
            |cause: Cause, token: &Arc<AccessToken>| Rejection::new(cause).about(Arc::clone(token));
        let not_revoked = self
            .revocations
            .check(&unjudged.revocation_query())
            .map_err(|cause| about(cause, unjudged.token()))?;
        let unredeemed = unjudged.judge(&not_revoked, &self.replay_key)?;
        let recorded = match unredeemed.replay_query() {
            None => None,
            Some(query) => {
                let inserted = self.replay.insert(query, nonces.epoch, now);
                let refused = |cause| about(cause, unredeemed.token());
                Some(inserted.map_err(|refusal| refused(refusal.cause()))?)
            }
        };
        unredeemed.redeem(recorded)
    }

    /// Everything up to and including the proof's signature.
    async fn prove<'r>(
        &self,
        presented: &Presented<'_>,
        route: &'r Route,
        nonces: &Nonces,
    ) -> Result<Unjudged<'r>, Rejection> {
        let received = Received::read(&self.profile, *presented)?;
        let known = self.known_token(received.token_hash());
        let policy = NoncePolicy {
            key: &nonces.key,
            required: route.nonce.is_for_everybody(),
        };
        let now = self.clock.now();
        let unkeyed = match received.begin(&self.profile, known.as_ref(), &policy, now) {
            Ok(unkeyed) => unkeyed,
            Err(rejection) => return Err(self.name_token(rejection, presented).await),
        };
        let token = match known {
            Some(token) => token,
            None => self.verify(unkeyed.unverified()).await?,
        };
        self.require(unkeyed, token, presented, route)
    }

    /// Checks the token for the route and the proof for the token.
    fn require<'r>(
        &self,
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
            audience: &route.audience,
            issuers: route.issuers.as_deref(),
            scopes,
            nonce_clients: route.nonce.clients(),
            methods: route.methods,
        };
        unkeyed.with_token(token, &requirements, self.clock.now())
    }

    /// The token with this hash, if it was verified before, has not expired, and
    /// its issuer still publishes the key that signed it.
    fn known_token(&self, hash: TokenHash) -> Option<Arc<AccessToken>> {
        let known = self.tokens.find(hash, self.clock.now())?;
        let issuer = self.issuer(known.token.issuer())?;
        if issuer.keys.vouches_for(&known.signed_by) {
            return Some(known.token);
        }
        self.tokens.forget(hash);
        None
    }

    fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers
            .iter()
            .find(|issuer| issuer.rules.issuer == name)
    }

    /// Verifies a token that was not known, and remembers it.
    async fn verify(
        &self,
        unverified: Option<&UnverifiedToken<'_>>,
    ) -> Result<Arc<AccessToken>, Rejection> {
        // Present whenever the token was not known; without it nothing is verified.
        let unverified = unverified.ok_or(Cause::TokenMalformed)?;
        let query = unverified.query();
        let Some(issuer) = self.issuer(&query.issuer) else {
            return Err(Rejection::new(Cause::TokenIssuerUnknown).got(&query.issuer));
        };
        if !issuer.rules.algorithms.contains(query.algorithm) {
            // Before any fetch: a token nobody could accept causes no traffic.
            return Err(Rejection::new(Cause::TokenAlgUnacceptable)
                .expected(issuer.rules.algorithms.to_string())
                .got(query.algorithm.name()));
        }
        if query.kid.is_none() && !issuer.rules.leniency.missing_kid {
            return Err(Rejection::new(Cause::TokenClaimInvalid).expected("a kid"));
        }
        let keys = issuer.keys.find(query).await?;
        let now = self.clock.now();
        let mut refusal = Rejection::new(Cause::TokenKeyUnknown);
        for key in keys {
            match unverified.verify(&issuer.rules, &key, now) {
                Ok(token) => {
                    let token = Arc::new(token);
                    self.tokens.remember(Arc::clone(&token), key);
                    return Ok(token);
                }
                Err(rejection) => refusal = rejection,
            }
            // Only a signature by another of the issuer's keys is worth trying the next.
            if refusal.cause() != Cause::TokenSignatureInvalid {
                break;
            }
        }
        Err(refusal)
    }

    /// A token presented with the scheme `DPoP` and no proof at all is how a
    /// stolen token looks, so it is verified although the request is refused
    /// anyway. Other faults of form come from proofs, which anybody can garble
    /// for nothing; those name a token only if it is known already.
    async fn name_token(&self, rejection: Rejection, presented: &Presented<'_>) -> Rejection {
        if rejection.token().is_some() || rejection.cause() != Cause::DpopAbsent {
            return rejection;
        }
        match self.bare_token(presented).await {
            Some(token) => rejection.about(token),
            None => rejection,
        }
    }

    async fn bare_token(&self, presented: &Presented<'_>) -> Option<Arc<AccessToken>> {
        let received = Received::read(&self.profile, *presented).ok()?;
        let unverified = received.bare_token(&self.profile).ok()?;
        self.verify(Some(&unverified)).await.ok()
    }
}
