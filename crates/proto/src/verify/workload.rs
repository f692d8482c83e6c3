//! A workload that presents itself, without an access token: an identity token with a
//! proof for this request (draft-ietf-wimse-wpt), or the X.509-SVID of its connection.
//!
//! What such a request is checked for, in order: form and claims of the proof, the
//! identity for the route, the proof's hashes and signature. There is no audience but
//! the proof's own, and no scope: the list of identities is what a route permits.
//!
//! A request with an access token *and* an identity token is refused here. Signatures
//! in the proof's place are read by [`crate::workload::WorkloadSignature`] and not taken
//! as credentials yet, because their digest binds content this module never sees.

use std::fmt;
use std::sync::Arc;

use super::possession::{Certificate, Proven, Sent, Shown, prove};
use super::presented::{HeaderField, Presented};
use super::request::{Checked, Unjudged};
use super::{Profile, Requirements};
use crate::binding::BindingMethod;
use crate::cause::Cause;
use crate::certificate::PeerCertificate;
use crate::fields::FieldLines;
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::token::{AccessToken, TokenHash};
use crate::workload::{
    IdentityRule, ProofContext, WorkloadHeaders, WorkloadIdentifier, WorkloadIdentityToken,
    WorkloadProof, WorkloadProofRules, check_identity,
};

/// What a server takes of workloads, whatever the route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadPolicy {
    /// Values of `aud` this deployment agreed on beside its own URLs.
    pub audiences: Vec<String>,
    /// Lower-case names of header fields with tokens that `oth` may name.
    pub other_tokens: Vec<String>,
    /// The most seconds a proof may live.
    pub max_lifetime: u64,
}

impl Default for WorkloadPolicy {
    /// No other audiences or tokens, proofs that live for five minutes at most.
    fn default() -> Self {
        Self {
            audiences: Vec::new(),
            other_tokens: Vec::new(),
            max_lifetime: 300,
        }
    }
}

/// A workload's request whose forms and proof claims are in order. Wants the verified identity
/// token.
pub struct WorkloadReceived<'a> {
    identity_token: &'a [u8],
    hash: TokenHash,
    proof: WorkloadProof<'a>,
    fields: &'a dyn FieldLines,
    has_content: bool,
    ahead: u64,
}

impl<'a> WorkloadReceived<'a> {
    /// Reads the two header fields; `None` if the request has neither.
    ///
    /// # Errors
    /// A [`Rejection`] with a `wimse.*` cause; `authorization.multiple` if there is an
    /// `Authorization` field as well.
    pub fn read(
        profile: &Profile,
        policy: &'a WorkloadPolicy,
        presented: &Presented<'a>,
        now: UnixTime,
    ) -> Result<Option<Self>, Rejection> {
        let fields = presented.message.fields;
        let Some(headers) = WorkloadHeaders::read(fields)? else {
            return Ok(None);
        };
        if presented.authorization != HeaderField::Absent {
            return Err(Rejection::new(Cause::AuthorizationMultiple)
                .expected("an access token or a workload identity token, not both"));
        }
        let rules = WorkloadProofRules {
            target: presented.target,
            audiences: &policy.audiences,
            algorithms: profile.proof_algorithms,
            max_bytes: profile.max_proof_bytes,
            max_lifetime: policy.max_lifetime,
            ahead: profile.window.ahead,
            other_tokens: &policy.other_tokens,
        };
        Ok(Some(Self {
            identity_token: headers.identity_token(),
            hash: TokenHash::of(headers.identity_token()),
            proof: WorkloadProof::read(headers.required_proof()?, &rules, now)?,
            fields,
            has_content: presented.message.has_content,
            ahead: profile.window.ahead,
        }))
    }

    /// SHA-256 of the identity token: the key of a cache of verified tokens.
    #[must_use]
    pub const fn token_hash(&self) -> TokenHash {
        self.hash
    }

    /// The identity token, for one that is not known.
    ///
    /// # Errors
    /// A [`Rejection`] with a `wimse.wit.*` cause if it does not even have the form.
    pub fn unverified(&self, profile: &Profile) -> Result<WorkloadIdentityToken<'a>, Rejection> {
        WorkloadIdentityToken::parse(self.identity_token, profile.max_token_bytes)
    }

    /// Checks the identity for this route, then that the proof was made with the token's key for
    /// this token and request.
    ///
    /// # Errors
    /// A [`Rejection`] about this token.
    pub fn with_token<'r>(
        self,
        token: Arc<AccessToken>,
        identities: &[IdentityRule],
        requirements: &Requirements<'r>,
        now: UnixTime,
    ) -> Result<Unjudged<'r>, Rejection> {
        match self.prove(&token, identities, requirements, now) {
            Ok((proven, checked)) => Ok(Unjudged::new(token, proven, &[], checked)),
            Err(rejection) => Err(rejection.about(token)),
        }
    }

    fn prove(
        self,
        token: &AccessToken,
        identities: &[IdentityRule],
        requirements: &Requirements<'_>,
        now: UnixTime,
    ) -> Result<(Proven, Checked), Rejection> {
        let Some(key) = token.workload_key().filter(|_| token.hash() == self.hash) else {
            // Another token's verification says nothing about this one.
            return Err(Cause::WitSignatureInvalid.into());
        };
        if !requirements.methods.contains(BindingMethod::Wimse) {
            return Err(Rejection::new(Cause::TokenMethodRefused)
                .expected(requirements.methods.to_string())
                .got(BindingMethod::Wimse.name()));
        }
        if requirements.cover_content && self.has_content {
            return Err(Rejection::new(Cause::DigestAbsent).got("a proof token, which covers none"));
        }
        let checked = check(token, identities, self.ahead, now)?;
        let context = ProofContext {
            identity_token: self.hash,
            access_token: None,
            fields: self.fields,
        };
        let signature = self.proof.verify(key, &context)?;
        let proven = Proven::by_workload(key.key().thumbprint(), &self.proof, signature);
        Ok((proven, checked))
    }
}

impl fmt::Debug for WorkloadReceived<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadReceived")
            .field("hash", &self.hash)
            .field("proof", &self.proof)
            .finish_non_exhaustive()
    }
}

/// A request without any token, on a connection with a certificate that was found to be an
/// X.509-SVID ([`crate::workload::X509Svid::credential`]): the identity for the route, and that
/// the certificate is in force and this connection's.
///
/// # Errors
/// A [`Rejection`] about this credential.
pub fn with_svid<'r>(
    token: Arc<AccessToken>,
    certificate: &PeerCertificate,
    (identities, profile): (&[IdentityRule], &Profile),
    requirements: &Requirements<'r>,
    now: UnixTime,
) -> Result<Unjudged<'r>, Rejection> {
    let outcome = check(&token, identities, profile.window.ahead, now).and_then(|checked| {
        let times = (profile.window, now);
        let sent = Sent {
            shown: Shown::Nothing,
            certificate: Some(Certificate::Whole(certificate)),
            svid: None,
            // What comes on this connection is its own.
            has_content: false,
        };
        let proven = prove(sent, &token, requirements, times)?;
        Ok((proven, checked))
    });
    match outcome {
        Ok((proven, checked)) => Ok(Unjudged::new(token, proven, &[], checked)),
        Err(rejection) => Err(rejection.about(token)),
    }
}

fn check(
    token: &AccessToken,
    identities: &[IdentityRule],
    ahead: u64,
    now: UnixTime,
) -> Result<Checked, Rejection> {
    let id = WorkloadIdentifier::parse(token.subject())
        .map_err(|error| Rejection::new(Cause::WitSubjectInvalid).got(error.to_string()))?;
    let valid_now = token.check_time(ahead, now)?;
    Ok(Checked::workload(
        valid_now,
        check_identity(&id, identities)?,
    ))
}
