//! A signed token request (draft-richer-oauth-httpsig-03 sections 3 to 5): the signature is over
//! the whole request, its content by digest, and its key is the one the token will be bound to.
//!
//! The key is either registered and named by `keyid`, or comes with the request as `alg` and
//! `pub`. Which of the two a client may do is the caller's decision, never the request's. A
//! request says with its tag that it is signed for this purpose; other signatures are not looked at.
//!
//! This module authenticates no client, and does not record the nonce: what comes out is an
//! [`UnredeemedProof`] like that of a DPoP proof.

use super::proof_only::{OnceOnly, UnredeemedProof};
use crate::cause::Cause;
use crate::dpop::ProofWindow;
use crate::jose::{AlgorithmSet, PublicKey};
use crate::rejection::Rejection;
use crate::signature::profile::{KeyIntroduction, token_request};
use crate::signature::{HttpSignature, SignatureAlgorithms, SignedRequest};
use crate::structured::BareItem;
use crate::time::UnixTime;
use crate::token::assertion::ClientKey;
use crate::token::{ProvenSigner, SenderConstraint};

/// How old such a signature may be, and how far ahead: the draft suggests 30 seconds.
pub const TOKEN_REQUEST_WINDOW: ProofWindow = ProofWindow {
    past: 30,
    ahead: 10,
};

/// A token request as it came.
#[derive(Clone, Copy, Debug)]
pub struct SignedTokenRequest<'a> {
    /// Method, configured URL and fields.
    pub request: SignedRequest<'a>,
    /// The content, as sent.
    pub content: &'a [u8],
}

/// Which keys a client's token requests may be signed with.
#[derive(Clone, Copy, Debug)]
pub enum TokenRequestKeys<'a> {
    /// Registered ones, named by `keyid`.
    Preregistered(&'a [ClientKey]),
    /// Any, which the request brings.
    Runtime,
}

/// Checks the signature of a token request, and that its content is what was signed.
///
/// # Errors
/// A [`Rejection`] with an `httpsig.*` or `digest.*` cause; `httpsig.absent` if there is no
/// signature with the tag of token requests.
pub fn begin_signed_request(
    keys: TokenRequestKeys<'_>,
    algorithms: AlgorithmSet,
    presented: &SignedTokenRequest<'_>,
    now: UnixTime,
) -> Result<UnredeemedProof, Rejection> {
    let introduction = match keys {
        TokenRequestKeys::Preregistered(_) => KeyIntroduction::Preregistered,
        TokenRequestKeys::Runtime => KeyIntroduction::Runtime,
    };
    let algorithms = SignatureAlgorithms::from_jose(algorithms);
    let rules = token_request(introduction, TOKEN_REQUEST_WINDOW, algorithms);
    let signature = HttpSignature::read(&rules, presented.request, now)?;
    let digest = signature.content_digest().ok_or(Cause::HttpsigCoverage)?;
    let _intact = digest.check(presented.content)?;
    let (key, signer) = match keys {
        TokenRequestKeys::Preregistered(known) => preregistered(&signature, known)?,
        TokenRequestKeys::Runtime => runtime(&signature)?,
    };
    let once = once(&signature)?;
    let verified = signature.verify(&key)?;
    let constraint = SenderConstraint::HttpSignature(signer);
    Ok(UnredeemedProof::signed(constraint, &key, once, verified))
}

fn preregistered(
    signature: &HttpSignature,
    known: &[ClientKey],
) -> Result<(PublicKey, ProvenSigner), Rejection> {
    let named = signature.keyid();
    let found = known
        .iter()
        .find(|key| key.kid.is_some() && key.kid.as_deref() == named);
    let key = &found.ok_or(Cause::HttpsigKeyUnknown)?.key;
    Ok((key.clone(), ProvenSigner::preregistered(key)))
}

fn runtime(signature: &HttpSignature) -> Result<(PublicKey, ProvenSigner), Rejection> {
    let algorithm = signature.named_algorithm().and_then(|alg| alg.name());
    let point = signature
        .parameters()
        .get("pub")
        .and_then(BareItem::as_bytes);
    match (signature.inline_key(), algorithm, point) {
        (Some(key), Some(algorithm), Some(point)) => {
            Ok((key.clone(), ProvenSigner::runtime(key, algorithm, point)))
        }
        _ => Err(Cause::HttpsigKey.into()),
    }
}

fn once(signature: &HttpSignature) -> Result<OnceOnly, Rejection> {
    let missing = |name: &str| Rejection::new(Cause::HttpsigParameter).expected(name);
    Ok(OnceOnly {
        id: signature
            .nonce()
            .ok_or_else(|| missing("nonce"))?
            .to_owned(),
        issued_at: signature.created().ok_or_else(|| missing("created"))?,
        expires_at: signature.taken_until().ok_or_else(|| missing("created"))?,
        recent_nonce: false,
    })
}
