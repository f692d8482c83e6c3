//! A proof without an access token: the token endpoint (RFC 9449 section 5).

use std::fmt;

use super::Profile;
use super::presented::{HeaderField, proof_text};
use super::replay::{ReplayHashKey, ReplayQuery};
use crate::dpop::proof::{Ath, ProofRules};
use crate::dpop::{NoncePolicy, Proof, ProofWindow};
use crate::jose::{Jkt, SignatureValid};
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::token::{ProvenKey, SenderConstraint, TokenHash};
use crate::uri::Htu;

/// What a request to an authorization server presents.
#[derive(Clone, Copy, Debug)]
pub struct ProofPresented<'a> {
    /// The method, verbatim.
    pub method: &'a str,
    /// The endpoint's configured public URL.
    pub target: &'a Htu,
    /// The `DPoP` field.
    pub proof: HeaderField<'a>,
}

/// A proof whose possession is shown. It binds what is minted for it, and nothing minted may
/// leave before the record of [`UnredeemedProof::replay_query`] is made; the store makes both
/// in one transaction and only its witness releases the token
/// ([`crate::token::Minted::release`]).
pub struct UnredeemedProof {
    constraint: SenderConstraint,
    jkt: Jkt,
    jti: String,
    iat: UnixTime,
    window: ProofWindow,
    recent_nonce: bool,
    ath: Ath,
    _signature: SignatureValid,
}

/// Checks form, claims and signature of a proof (RFC 9449 section 4.3, steps 1 to 11). An `ath`
/// is read, not judged: at most endpoints of an authorization server it means nothing, and where
/// it does [`UnredeemedProof::shows_possession_of`] asks for it.
///
/// # Errors
/// A [`Rejection`] with a `dpop.*` cause; `dpop.absent` if there is no proof at all.
pub fn begin_proof(
    profile: &Profile,
    presented: &ProofPresented<'_>,
    nonces: &NoncePolicy<'_>,
    now: UnixTime,
) -> Result<UnredeemedProof, Rejection> {
    let text = proof_text(presented.proof, profile.max_proof_bytes)?;
    let rules = ProofRules {
        method: presented.method,
        target: presented.target,
        algorithms: profile.proof_algorithms,
        window: profile.window,
        max_bytes: profile.max_proof_bytes,
        nonces: *nonces,
        known_header: None,
    };
    let proof = Proof::read(text, &rules, now)?;
    let signature = proof.verify_signature()?;
    Ok(UnredeemedProof {
        constraint: SenderConstraint::Dpop(ProvenKey::assertion(proof.jkt())),
        jkt: proof.jkt(),
        iat: proof.iat,
        window: profile.window,
        recent_nonce: proof.nonce.is_some(),
        ath: proof.ath,
        jti: proof.jti,
        _signature: signature,
    })
}

impl UnredeemedProof {
    /// The key whose possession was proven.
    #[must_use]
    pub const fn jkt(&self) -> Jkt {
        self.jkt
    }

    /// Whether the proof was made for the token with this hash, by the key the token is bound to:
    /// `ath` names it and the keys are the same (RFC 9449 section 4.3, step 12).
    #[must_use]
    pub fn shows_possession_of(&self, token: TokenHash, bound_to: Jkt) -> bool {
        self.ath == Ath::Hash(token) && self.jkt == bound_to
    }

    /// The witness needed to mint a bound token.
    #[must_use]
    pub const fn constraint(&self) -> &SenderConstraint {
        &self.constraint
    }

    /// The record to insert together with what is minted.
    #[must_use]
    pub fn replay_query(&self, key: &ReplayHashKey) -> ReplayQuery {
        key.query_for_proof(
            self.jkt(),
            &self.jti,
            (self.iat, self.window.end(self.iat)),
            self.recent_nonce,
        )
    }
}

impl fmt::Debug for UnredeemedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnredeemedProof")
            .field("jkt", &self.jkt())
            .field("iat", &self.iat)
            .finish_non_exhaustive()
    }
}
