//! Workloads that present themselves: with an identity token and a proof, or with the
//! X.509-SVID of their connection.

use std::sync::Arc;

use keybound_proto::Rejection;
use keybound_proto::binding::BindingMethod;
use keybound_proto::cause::Cause;
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::token::{AccessToken, Renewal};
use keybound_proto::verify::{
    HeaderField, Presented, Requirements, Unjudged, WorkloadReceived, with_svid,
};
use keybound_proto::workload::X509Svid;

use super::Inner;
use crate::config::Route;
use crate::workload::KnownSvid;

impl Inner {
    /// Everything up to and including the proof's signature, if the request is of a workload that
    /// presents itself. `None` if it is not: then it needs an access token.
    pub(super) async fn prove_workload<'r>(
        &self,
        presented: &Presented<'_>,
        route: &'r Route,
    ) -> Result<Option<Unjudged<'r>>, Rejection> {
        if self.trust_domains.is_empty() {
            return Ok(None);
        }
        let now = self.clock.now();
        let received = WorkloadReceived::read(&self.profile, &self.workloads, presented, now)?;
        if let Some(received) = received {
            let token = self.identity_token(&received).await?;
            let requirements = requirements(&token, presented, route)?;
            let now = self.clock.now();
            return received
                .with_token(token, &route.identities, &requirements, now)
                .map(Some);
        }
        let Some(certificate) = svid_of(presented, route) else {
            return Ok(None);
        };
        let token = self.svid(certificate).await?.credential;
        let requirements = requirements(&token, presented, route)?;
        let rules = (route.identities.as_slice(), &self.profile);
        with_svid(token, certificate, rules, &requirements, self.clock.now()).map(Some)
    }

    /// The verified identity token, remembered or new.
    async fn identity_token(
        &self,
        received: &WorkloadReceived<'_>,
    ) -> Result<Arc<AccessToken>, Rejection> {
        let hash = received.token_hash();
        if let Some(known) = self.tokens.find(hash, self.clock.now()) {
            let domain = self.trust_domains.named(known.token.issuer());
            if domain.is_some_and(|domain| domain.vouches_for(&known.signed_by)) {
                return Ok(known.token);
            }
            self.tokens.forget(hash);
        }
        let unverified = received.unverified(&self.profile)?;
        let domain = self.trust_domains.find(&unverified.trust_domain())?;
        let (token, signed_by) = domain.verify(&unverified).await?;
        let token = Arc::new(token);
        self.tokens.remember(Arc::clone(&token), signed_by);
        Ok(token)
    }

    /// What a trust domain says of the connection's certificate, where the token lets others of
    /// the same workload stand in for its own. `None` where nothing is asked or nobody vouches
    /// for it: then the certificate has to be the token's.
    ///
    /// # Errors
    /// `keys.unavailable`: the trust domain may vouch for it, and cannot be asked.
    pub(super) async fn stand_in(
        &self,
        token: &AccessToken,
        certificate: Option<&PeerCertificate>,
    ) -> Result<Option<X509Svid>, Rejection> {
        let (Some(bound), Some(certificate)) = (token.confirmation().certificate(), certificate)
        else {
            return Ok(None);
        };
        match bound.renewal() {
            Some(Renewal::SpiffeId(rule))
                if certificate.thumbprint() != bound.thumbprint()
                    && rule.may_accept(certificate) =>
            {
                match self.svid(certificate).await {
                    Ok(known) => Ok(Some(known.svid)),
                    Err(rejection) if rejection.cause().is_retryable() => Err(rejection),
                    Err(rejection) => {
                        tracing::debug!(%rejection, "a certificate stands in for no other");
                        Ok(None)
                    }
                }
            }
            _ => Ok(None),
        }
    }

    /// What a trust domain says of a connection's certificate.
    async fn svid(&self, certificate: &PeerCertificate) -> Result<KnownSvid, Rejection> {
        let claimed = X509Svid::claimed_id(certificate)?;
        let name = claimed.trust_domain();
        let domain = self
            .trust_domains
            .named(name.as_str())
            .ok_or_else(|| Rejection::new(Cause::SpiffeTrustDomain).got(name.as_str()))?;
        domain.verify_svid(certificate).await
    }
}

/// The connection's certificate, where it may stand for a token: the route takes identities and
/// certificates, the request has no token, and the certificate names somebody by SPIFFE ID.
fn svid_of<'a>(presented: &Presented<'a>, route: &Route) -> Option<&'a PeerCertificate> {
    let may_stand = !route.identities.is_empty()
        && route.methods.contains(BindingMethod::Mtls)
        && presented.authorization == HeaderField::Absent;
    let certificate = presented.message.certificate.filter(|_| may_stand)?;
    let is_spiffe = |uri: &String| uri.starts_with("spiffe:");
    certificate
        .uris()
        .iter()
        .any(is_spiffe)
        .then_some(certificate)
}

/// What the route asks of a workload. Its scopes are asked of access tokens only; a method that
/// the route does not list is refused all the same.
fn requirements<'r>(
    token: &Arc<AccessToken>,
    presented: &Presented<'_>,
    route: &'r Route,
) -> Result<Requirements<'r>, Rejection> {
    if let Err(cause) = route.scopes.required(presented.method) {
        return Err(Rejection::new(cause)
            .got(presented.method)
            .about(Arc::clone(token)));
    }
    Ok(Requirements {
        audience: &route.audience,
        issuers: None,
        scopes: &[],
        nonce_clients: &[],
        methods: route.methods,
        cover_content: route.cover_content,
    })
}
