//! Client authentication for every endpoint that needs it: finds the client and
//! lets [`crate::flow::credentials`] judge.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use keybound_control::{KeptRef, OneTimeUse, SpendOutcome};
use keybound_proto::cause::Cause;
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::time::UnixTime;
use keybound_proto::verify::{HeaderField, UnredeemedProof};

use super::answer::Refusal;
use crate::flow::credentials::{self, Authenticated, Rules};
use crate::flow::form::Form;
use crate::state::Core;

/// Authenticates the client of a request. Does not yet spend the assertion.
///
/// A locked identity is refused on every endpoint, and a locked key authenticates
/// nobody: whoever locks a stolen key need not know what it was used for. This is
/// the early answer; issuance looks again, in its transaction.
pub(super) async fn client(
    core: &Core,
    parts: &Parts,
    form: &Form<'_>,
    now: UnixTime,
) -> Result<Authenticated, Refusal> {
    let presented = credentials::read(field(&parts.headers, &header::AUTHORIZATION), form)?;
    let client = core.clients().find(presented.client_id()).await?;
    let rules = Rules {
        issuer: core.config().url.as_str(),
        ahead: core.config().profile.window.ahead,
        certificate: certificate(parts),
    };
    let authenticated = presented.authenticate(client, rules, now)?;
    let by_assertion = authenticated
        .assertion()
        .map(|assertion| assertion.key().thumbprint());
    let by_certificate = rules.certificate.and_then(PeerCertificate::jkt);
    let certificate = rules.certificate.map(|shown| shown.thumbprint().as_key());
    let keys = [by_assertion, by_certificate, certificate];
    let keys: Vec<_> = keys.into_iter().flatten().collect();
    let identity = &authenticated.client().identity;
    match core.store().locked_party(rules.issuer, identity, &keys) {
        Some(cause) => Err(Refusal::to(authenticated.client(), cause)),
        None => Ok(authenticated),
    }
}

/// The end-entity certificate of the connection the request came on. The listener that
/// terminated TLS puts it there; a router behind any other has none.
///
/// SECURITY: the only way a certificate comes in. No header is looked at.
pub(super) fn certificate(parts: &Parts) -> Option<&PeerCertificate> {
    parts.extensions.get()
}

/// Spends the one-time values of a request that mints nothing, the assertion and the proof, all
/// or none, so that they cannot be used again. With them `kept` is kept.
pub(super) async fn spend(
    core: &Core,
    authenticated: &Authenticated,
    proof: Option<&UnredeemedProof>,
    kept: Option<(KeptRef, String, UnixTime)>,
) -> Result<(), Refusal> {
    let mut uses = Vec::with_capacity(2);
    let mut replayed = Vec::with_capacity(2);
    if let Some(assertion) = assertion_use(core, authenticated) {
        uses.push(assertion);
        replayed.push(Cause::AssertionReplayed);
    }
    if let Some(proof) = proof {
        uses.push(proof.replay_query(core.replay_key()).into());
        replayed.push(Cause::DpopReplayed);
    }
    if uses.is_empty() && kept.is_none() {
        return Ok(());
    }
    let client = authenticated.client();
    match core.store().spend(uses, kept).await {
        Ok(SpendOutcome::Spent) => Ok(()),
        Ok(SpendOutcome::Replayed(index)) => {
            let cause = replayed.get(index).copied().unwrap_or(Cause::DpopReplayed);
            Err(Refusal::to(client, cause))
        }
        Ok(SpendOutcome::TooMany) => Err(Refusal::to(client, Cause::ReplayFlood)),
        Err(error) => Err(Refusal::to(client, crate::state::unavailable(&error))),
    }
}

/// What to record so that the assertion is used once.
pub(super) fn assertion_use(core: &Core, authenticated: &Authenticated) -> Option<OneTimeUse> {
    authenticated
        .assertion()
        .map(|assertion| assertion.replay_query(core.replay_key()).into())
}

/// The lines of one header field.
pub(super) fn field<'h>(headers: &'h HeaderMap, name: &HeaderName) -> HeaderField<'h> {
    HeaderField::of(headers.get_all(name).iter().map(|value| value.as_bytes()))
}
