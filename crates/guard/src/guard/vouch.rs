//! Which issuer vouches for a token, and how: by its signature on a JWT, or by
//! its answer about an opaque token.
//!
//! A JWT names its issuer. An opaque token names nobody, so the one issuer that
//! may have made it is found by what the token begins with and by what the route
//! takes; where that leaves two, the token is refused rather than shown to an
//! issuer it is none of the business of.

use std::sync::Arc;

use keybound_proto::Rejection;
use keybound_proto::binding::BindingMethods;
use keybound_proto::cause::Cause;
use keybound_proto::token::{AccessToken, OpaqueToken, PresentedToken, TokenHash, UnverifiedToken};

use super::{Inner, Issuer};
use crate::config::Route;
use crate::introspection::Introspector;

/// Where a request goes and which peer sent it.
pub(super) type Place<'r> = (&'r Route, Option<&'r str>);

impl Inner {
    /// The token with this hash, if its issuer vouched for it before and still
    /// does: it has not expired, and its issuer still publishes the key that
    /// signed it, or the issuer's answer still counts.
    pub(super) fn known_token(&self, hash: TokenHash, route: &Route) -> Option<Arc<AccessToken>> {
        let Some(known) = self.tokens.find(hash, self.clock.now()) else {
            return self.introspected(hash, route);
        };
        let issuer = self.issuer(known.token.issuer())?;
        if issuer.keys.vouches_for(&known.signed_by) {
            return Some(known.token);
        }
        self.tokens.forget(hash);
        None
    }

    fn introspected(&self, hash: TokenHash, route: &Route) -> Option<Arc<AccessToken>> {
        self.askable(route).find_map(|(issuer, introspector)| {
            introspector.known(hash, route.audience_of(issuer.audience.as_deref()))
        })
    }

    /// The audience this token needs on this route.
    pub(super) fn audience_of<'r>(&'r self, token: &AccessToken, route: &'r Route) -> &'r str {
        let issuer = self.issuer(token.issuer());
        route.audience_of(issuer.and_then(|issuer| issuer.audience.as_deref()))
    }

    /// How this token may be bound on this route.
    pub(super) fn methods_of(&self, token: &AccessToken, route: &Route) -> BindingMethods {
        let issuer = self.issuer(token.issuer());
        let methods = issuer.map_or(BindingMethods::ALL, |issuer| issuer.methods);
        route.methods.and(methods)
    }

    /// Has the issuer vouch for a token that was not known, and remembers it.
    pub(super) async fn vouched(
        &self,
        token: &PresentedToken<'_>,
        (route, peer): Place<'_>,
    ) -> Result<Arc<AccessToken>, Rejection> {
        let token = match token {
            PresentedToken::Jwt(token) => token,
            PresentedToken::Opaque(token) => {
                let (issuer, introspector) = self.issuer_of(token, route)?;
                let resource = route.audience_of(issuer.audience.as_deref());
                return introspector
                    .ask((token.text(), false), resource, peer)
                    .await;
            }
        };
        let Some(issuer) = self.issuer(&token.query().issuer) else {
            return Err(Rejection::new(Cause::TokenIssuerUnknown).got(&token.query().issuer));
        };
        let asked = issuer.introspector.as_ref();
        let Some(introspector) = asked.filter(|asked| asked.config().jwts) else {
            return self.verify(token, issuer).await;
        };
        if !route.takes(&issuer.rules.issuer) {
            return Err(Rejection::new(Cause::TokenIssuerUnknown).got(&issuer.rules.issuer));
        }
        let text = std::str::from_utf8(token.text()).map_err(|_| Cause::TokenMalformed)?;
        let resource = route.audience_of(issuer.audience.as_deref());
        introspector.ask((text, true), resource, peer).await
    }

    /// Whether the token still counts by its issuer's status list, where those are looked at.
    pub(super) async fn check_status(&self, token: &AccessToken) -> Result<(), Rejection> {
        let issuer = self.issuer(token.issuer());
        match issuer.and_then(|issuer| issuer.status.as_ref()) {
            Some(lists) => lists.check(token).await?,
            None => return Ok(()),
        }
        if self.clock.now() >= token.expires_at() {
            // It ended while the list was fetched.
            return Err(Cause::TokenExpired.into());
        }
        Ok(())
    }

    fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers
            .iter()
            .find(|issuer| issuer.rules.issuer == name)
    }

    /// The issuers that the route takes and that can be asked.
    fn askable<'s>(
        &'s self,
        route: &'s Route,
    ) -> impl Iterator<Item = (&'s Issuer, &'s Arc<Introspector>)> {
        self.issuers
            .iter()
            .filter(|issuer| route.takes(&issuer.rules.issuer))
            .filter_map(|issuer| Some((issuer, issuer.introspector.as_ref()?)))
    }

    /// The one issuer that may have made an opaque token: the one whose prefix it has, else the
    /// one without a prefix.
    fn issuer_of<'s>(
        &'s self,
        token: &OpaqueToken<'_>,
        route: &'s Route,
    ) -> Result<(&'s Issuer, &'s Arc<Introspector>), Rejection> {
        let prefix = |asked: &Introspector| asked.config().token_prefix.clone();
        let prefixed = self
            .askable(route)
            .filter(|(_, asked)| prefix(asked).is_some_and(|own| token.text().starts_with(&own)))
            .max_by_key(|(_, asked)| prefix(asked).map_or(0, |own| own.len()));
        if let Some(found) = prefixed {
            return Ok(found);
        }
        let mut unmarked = self
            .askable(route)
            .filter(|(_, asked)| prefix(asked).is_none());
        match (unmarked.next(), unmarked.next()) {
            (Some(found), None) => Ok(found),
            (None, _) => Err(Rejection::new(Cause::TokenIssuerUnknown)
                .expected("a token of an issuer that can be asked")
                .got("an opaque token")),
            (Some(_), Some(_)) => Err(Rejection::new(Cause::TokenIssuerUnknown)
                .expected("one issuer for opaque tokens on this route, or prefixes")
                .got("several")),
        }
    }

    /// Verifies a JWT that was not known, and remembers it.
    async fn verify(
        &self,
        token: &UnverifiedToken<'_>,
        issuer: &Issuer,
    ) -> Result<Arc<AccessToken>, Rejection> {
        // Before any fetch: a token nobody could accept causes no traffic.
        token.acceptable(&issuer.rules)?;
        let keys = issuer.keys.find(token.query()).await?;
        let now = self.clock.now();
        let mut refusal = Rejection::new(Cause::TokenKeyUnknown);
        for key in keys {
            match token.verify(&issuer.rules, &key, now) {
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
}
