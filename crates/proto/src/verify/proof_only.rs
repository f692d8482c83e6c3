//! A proof without an access token: the token endpoint (RFC 9449 section 5). A request that is
//! signed instead is in [`super::token_request`].

use std::fmt;

use super::Profile;
use super::presented::{HeaderField, proof_text};
use super::replay::{ReplayHashKey, ReplayQuery};
use crate::cause::Cause;
use crate::dpop::proof::{Ath, DelegateClaim, ProofRules};
use crate::dpop::{NoncePolicy, Proof};
use crate::jose::{Jkt, PublicKey, SignatureValid};
use crate::rejection::Rejection;
use crate::signature::VerifiedSignature;
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
    once: OnceOnly,
    ath: Ath,
    delegate: DelegateClaim,
    witness: Witness,
}

/// What makes one proof different from every other of the same key.
pub(super) struct OnceOnly {
    pub(super) id: String,
    pub(super) issued_at: UnixTime,
    pub(super) expires_at: UnixTime,
    pub(super) recent_nonce: bool,
}

/// The signature was valid.
#[expect(dead_code, reason = "witnesses are there to be made, not to be read")]
enum Witness {
    Proof(SignatureValid),
    Request(Box<VerifiedSignature>),
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
        once: OnceOnly {
            issued_at: proof.iat,
            expires_at: profile.window.end(proof.iat),
            recent_nonce: proof.nonce.is_some(),
            id: proof.jti,
        },
        ath: proof.ath,
        delegate: proof.delegate,
        witness: Witness::Proof(signature),
    })
}

impl UnredeemedProof {
    /// By a signature over the request, made with `key`.
    pub(super) fn signed(
        constraint: SenderConstraint,
        key: &PublicKey,
        once: OnceOnly,
        verified: VerifiedSignature,
    ) -> Self {
        Self {
            constraint,
            jkt: key.thumbprint(),
            once,
            // A signature is over the request, and about no token it may carry.
            ath: Ath::Absent,
            delegate: DelegateClaim::Absent,
            witness: Witness::Request(Box::new(verified)),
        }
    }

    /// The cause where this proof was used before.
    #[must_use]
    pub const fn replayed(&self) -> Cause {
        match self.witness {
            Witness::Proof(_) => Cause::DpopReplayed,
            Witness::Request(_) => Cause::HttpsigReplayed,
        }
    }

    /// The key whose possession was proven.
    #[must_use]
    pub const fn jkt(&self) -> Jkt {
        self.jkt
    }

    /// Whether the proof was made for the token with this hash, which stood in the request's
    /// content, by the key the token is bound to: `ath` names it and the keys are the same
    /// (RFC 9449 section 4.3, step 12). One that lends the token to another key is not meant for
    /// this. A signature over the request is over its content, and so over the token.
    #[must_use]
    pub fn shows_possession_of(&self, token: TokenHash, bound_to: Jkt) -> bool {
        match self.witness {
            Witness::Proof(_) => {
                self.is_by_holder_of(token, bound_to) && self.delegate == DelegateClaim::Absent
            }
            Witness::Request(_) => self.jkt == bound_to,
        }
    }

    /// Whether the holder of the token with this hash, who has the key it is bound to, lends it to
    /// the holder of the key `delegate`, and to nobody else
    /// ([`crate::dpop::DELEGATE_JKT`]).
    #[must_use]
    pub fn lends(&self, token: TokenHash, bound_to: Jkt, delegate: Jkt) -> bool {
        self.is_by_holder_of(token, bound_to) && self.delegate == DelegateClaim::Key(delegate)
    }

    fn is_by_holder_of(&self, token: TokenHash, bound_to: Jkt) -> bool {
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
            &self.once.id,
            (self.once.issued_at, self.once.expires_at),
            self.once.recent_nonce,
        )
    }
}

impl fmt::Debug for UnredeemedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnredeemedProof")
            .field("jkt", &self.jkt())
            .field("issued_at", &self.once.issued_at)
            .finish_non_exhaustive()
    }
}
