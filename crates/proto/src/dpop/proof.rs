//! One proof: reading it, and making one.
//!
//! Reading checks the form and the claims against the request (RFC 9449
//! section 4.3, steps 2 to 5, 7 to 11). The signature is a step of its own,
//! because it is the dear one and comes after the binding. Nothing here looks
//! at an access token or a replay log.

use std::fmt;

use super::nonce::{NoncePolicy, RecentNonce};
use super::{FreshProof, MAX_JTI_BYTES, PROOF_TYPE, ProofWindow};
use crate::cause::Cause;
use crate::jose::{
    Algorithm, AlgorithmSet, Header, Jkt, JwkError, Jws, JwsError, PublicKey, SignatureValid,
    SigningInput,
};
use crate::json;
use crate::json_text::ObjectText;
use crate::rejection::Rejection;
use crate::signature::ExpectedDigest;
use crate::time::UnixTime;
use crate::token::TokenHash;
use crate::uri::Htu;

/// A proof whose form and claims fit the request; its signature is not checked yet.
pub(crate) struct Proof<'a> {
    jws: Jws<'a>,
    algorithm: Algorithm,
    key: PublicKey,
    jkt: Jkt,
    pub(crate) jti: String,
    pub(crate) iat: UnixTime,
    pub(crate) ath: Ath,
    pub(crate) nonce: Option<RecentNonce>,
    pub(crate) content: ContentClaim,
    pub(crate) delegate: DelegateClaim,
    _fresh: FreshProof,
    _method: MadeForMethod,
    _target: MadeForTarget,
}

/// The header of one good proof. Senders repeat theirs byte by byte, so that it need not be read
/// again; what depends on more than its bytes is checked each time.
#[derive(Clone)]
pub(crate) struct KnownHeader {
    decoded: Box<[u8]>,
    algorithm: Algorithm,
    key: PublicKey,
}

impl fmt::Debug for KnownHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownHeader")
            .field("algorithm", &self.algorithm)
            .field("jkt", &self.key.thumbprint())
            .finish_non_exhaustive()
    }
}

/// Says that `htm` is the request's method.
struct MadeForMethod(());

/// Says that `htu` names the request's URL.
struct MadeForTarget(());

/// What the proof's `ath` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ath {
    Absent,
    Hash(TokenHash),
    /// Present, but not the base64url form of 32 bytes: fits no token.
    Malformed,
}

/// Names the key that a holder lends its token to: a claim of a proof that is made for somebody
/// else's token exchange.
pub const DELEGATE_JKT: &str = "urn:keybound:delegate_jkt";

/// What the proof's [`DELEGATE_JKT`] says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum DelegateClaim {
    Absent,
    Key(Jkt),
    /// Present, but no thumbprint: fits no key.
    Malformed,
}

/// What the proof's `content_digest` says. RFC 9449 does not know the claim, so it is read only
/// where a route asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContentClaim {
    Absent,
    Text(String),
    /// Present, but not a string.
    Malformed,
}

impl ContentClaim {
    /// The digest, which has the form of a `Content-Digest` field (RFC 9530 section 2).
    pub(crate) fn digest(&self) -> Result<Option<ExpectedDigest>, Rejection> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) => ExpectedDigest::parse(text.as_bytes()).map(Some),
            Self::Malformed => Err(Rejection::new(Cause::DigestMalformed).got("no string")),
        }
    }
}

/// The request a proof must fit, and what is asked of the proof.
pub(crate) struct ProofRules<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a Htu,
    pub(crate) algorithms: AlgorithmSet,
    pub(crate) window: ProofWindow,
    pub(crate) max_bytes: usize,
    pub(crate) nonces: NoncePolicy<'a>,
    /// A header that was read before under rules of the same verifier.
    pub(crate) known_header: Option<&'a KnownHeader>,
}

impl<'a> Proof<'a> {
    /// Form first, then `htm`, `htu`, `iat`, nonce.
    pub(crate) fn read(
        text: &'a [u8],
        rules: &ProofRules<'_>,
        now: UnixTime,
    ) -> Result<Self, Rejection> {
        let jws = Jws::parse(text, rules.max_bytes).map_err(malformed)?;
        let (algorithm, key) = algorithm_and_key(&jws, rules)?;
        let claims = jws.claims().map_err(malformed)?;
        let jti = jti(&claims)?.to_owned();
        let method = check_method(&claims, rules.method)?;
        let target = check_target(&claims, rules.target)?;
        let iat = issued_at(&claims)?;
        let fresh = rules.window.check(iat, now)?;
        let nonce = check_nonce(&claims, &rules.nonces, now)?;
        let ath = ath(&claims);
        let content = match claims.string("content_digest") {
            Ok(text) => text.map_or(ContentClaim::Absent, |text| {
                ContentClaim::Text(text.to_owned())
            }),
            Err(_) => ContentClaim::Malformed,
        };
        let delegate = delegate(&claims);
        drop(claims);
        Ok(Self {
            jkt: key.thumbprint(),
            jws,
            algorithm,
            key,
            jti,
            iat,
            ath,
            nonce,
            content,
            delegate,
            _fresh: fresh,
            _method: method,
            _target: target,
        })
    }

    pub(crate) const fn jkt(&self) -> Jkt {
        self.jkt
    }

    /// What can be remembered once the signature is verified.
    pub(crate) fn header(&self) -> KnownHeader {
        KnownHeader {
            decoded: self.jws.decoded_header().into(),
            algorithm: self.algorithm,
            key: self.key.clone(),
        }
    }

    /// RFC 9449 section 4.3 (6).
    pub(crate) fn verify_signature(&self) -> Result<SignatureValid, Rejection> {
        self.jws
            .verify(self.algorithm, &self.key)
            .map_err(|_| Rejection::new(Cause::DpopSignatureInvalid).got(self.jkt.to_string()))
    }
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("algorithm", &self.algorithm)
            .field("jkt", &self.jkt)
            .field("iat", &self.iat)
            .finish_non_exhaustive()
    }
}

/// What a new proof says. The caller signs; see [`signing_input`].
#[derive(Clone, Copy, Debug)]
pub struct ProofRequest<'a> {
    /// The request method, verbatim.
    pub method: &'a str,
    /// The request URL without query and fragment, in exactly the request's spelling.
    pub htu: &'a str,
    /// The sender's idea of now, corrected by what it knows of the server's clock.
    pub iat: UnixTime,
    /// At least 96 random bits as text.
    pub jti: &'a str,
    /// The hash of the access token sent along, if one is.
    pub ath: Option<&'a TokenHash>,
    /// The server's last nonce, if it gave one.
    pub nonce: Option<&'a str>,
    /// The digest of the content, for servers that ask for it: see
    /// [`crate::signature::content_digest`].
    pub content_digest: Option<&'a str>,
}

/// The bytes to sign for a new proof (RFC 9449 section 4.2). The header begins with
/// `typ`, so that the text begins with a constant a scanner can recognise.
#[must_use]
pub fn signing_input(
    request: &ProofRequest<'_>,
    key: &PublicKey,
    algorithm: Algorithm,
) -> SigningInput {
    SigningInput::new(&header(key, algorithm), &claims(request).finish())
}

/// The same for a proof by which the holder of a token lends it to the key `to` ([`DELEGATE_JKT`]).
#[must_use]
pub fn lending_input(
    request: &ProofRequest<'_>,
    to: Jkt,
    key: &PublicKey,
    algorithm: Algorithm,
) -> SigningInput {
    let claims = claims(request).string(DELEGATE_JKT, &to.to_string());
    SigningInput::new(&header(key, algorithm), &claims.finish())
}

fn header(key: &PublicKey, algorithm: Algorithm) -> String {
    ObjectText::new()
        .string("typ", PROOF_TYPE)
        .string("alg", algorithm.name())
        .raw("jwk", &key.to_jwk())
        .finish()
}

fn claims(request: &ProofRequest<'_>) -> ObjectText {
    let ath = request.ath.map(TokenHash::to_ath);
    ObjectText::new()
        .string("jti", request.jti)
        .string("htm", request.method)
        .string("htu", request.htu)
        .unsigned("iat", request.iat.as_secs())
        .optional_string("ath", ath.as_deref())
        .optional_string("nonce", request.nonce)
        .optional_string("content_digest", request.content_digest)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other fault of the form has the one cause for malformed proofs"
)]
fn malformed(error: JwsError) -> Rejection {
    let cause = match error {
        JwsError::Critical | JwsError::UnencodedPayload => Cause::DpopCritical,
        JwsError::Algorithm(_) => Cause::DpopAlgUnacceptable,
        JwsError::TooLarge => Cause::DpopSize,
        _ => Cause::DpopMalformed,
    };
    Rejection::new(cause).got(error.to_string())
}

/// What the header says, remembered or read.
fn algorithm_and_key(
    jws: &Jws<'_>,
    rules: &ProofRules<'_>,
) -> Result<(Algorithm, PublicKey), Rejection> {
    match rules.known_header {
        Some(known) if *known.decoded == *jws.decoded_header() => {
            check_algorithm(known.algorithm, rules.algorithms)?;
            Ok((known.algorithm, known.key.clone()))
        }
        Some(_) | None => header_parts(&jws.header().map_err(malformed)?, rules.algorithms),
    }
}

/// RFC 9449 section 4.3 (4), (5), (7) and the key half of (6).
fn header_parts(
    header: &Header<'_>,
    allowed: AlgorithmSet,
) -> Result<(Algorithm, PublicKey), Rejection> {
    if header.typ() != Some(PROOF_TYPE) {
        return Err(Rejection::new(Cause::DpopTyp)
            .expected(PROOF_TYPE)
            .got(header.typ().unwrap_or("no typ")));
    }
    let algorithm = header.alg().map_err(malformed)?;
    check_algorithm(algorithm, allowed)?;
    let jwk = header.jwk().ok_or(Cause::DpopJwkAbsent)?;
    let key = PublicKey::from_jwk_object(jwk).map_err(unacceptable_key)?;
    if !key.supports(algorithm) {
        return Err(Rejection::new(Cause::DpopJwkMismatch).got(algorithm.name()));
    }
    Ok((algorithm, key))
}

/// RFC 9449 section 4.3 (5).
fn check_algorithm(algorithm: Algorithm, allowed: AlgorithmSet) -> Result<(), Rejection> {
    if allowed.contains(algorithm) {
        return Ok(());
    }
    Err(Rejection::new(Cause::DpopAlgUnacceptable)
        .expected(allowed.to_string())
        .got(algorithm.name()))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other fault of the key has the one cause for unacceptable keys"
)]
fn unacceptable_key(error: JwkError) -> Rejection {
    let cause = match error {
        JwkError::PrivateMember | JwkError::Symmetric => Cause::DpopJwkPrivate,
        _ => Cause::DpopJwkInvalid,
    };
    Rejection::new(cause).got(error.to_string())
}

/// RFC 9449 section 4.2, with the cap of section 11.1.
fn jti<'c>(claims: &'c json::Object<'_>) -> Result<&'c str, Rejection> {
    let jti = claims
        .string("jti")
        .ok()
        .flatten()
        .ok_or(Cause::DpopJtiInvalid)?;
    if jti.is_empty() || jti.len() > MAX_JTI_BYTES {
        return Err(Rejection::new(Cause::DpopJtiInvalid)
            .expected(format!("1 to {MAX_JTI_BYTES} bytes"))
            .got(format!("{} bytes", jti.len())));
    }
    Ok(jti)
}

/// RFC 9449 section 4.3 (8); methods are case-sensitive (RFC 9110 section 9.1).
fn check_method(claims: &json::Object<'_>, method: &str) -> Result<MadeForMethod, Rejection> {
    let htm = claims
        .string("htm")
        .ok()
        .flatten()
        .ok_or(Cause::DpopHtmInvalid)?;
    if htm != method {
        return Err(Rejection::new(Cause::DpopHtmMismatch)
            .expected(method)
            .got(htm));
    }
    Ok(MadeForMethod(()))
}

/// RFC 9449 section 4.3 (9), on parsed forms.
fn check_target(claims: &json::Object<'_>, target: &Htu) -> Result<MadeForTarget, Rejection> {
    let text = claims
        .string("htu")
        .ok()
        .flatten()
        .ok_or(Cause::DpopHtuInvalid)?;
    let named = target.is_named_by(text).map_err(|error| {
        Rejection::new(Cause::DpopHtuInvalid)
            .expected(error.to_string())
            .got(text)
    })?;
    if !named {
        return Err(Rejection::new(Cause::DpopHtuMismatch)
            .expected(target.as_str())
            .got(text));
    }
    Ok(MadeForTarget(()))
}

/// Whole seconds only: a fraction or a string is refused, not rounded.
fn issued_at(claims: &json::Object<'_>) -> Result<UnixTime, Rejection> {
    claims
        .unsigned("iat")
        .ok()
        .flatten()
        .map(UnixTime::from_secs)
        .ok_or_else(|| Cause::DpopIatInvalid.into())
}

/// A presented nonce is always checked; an absent one is refused where one is required.
fn check_nonce(
    claims: &json::Object<'_>,
    policy: &NoncePolicy<'_>,
    now: UnixTime,
) -> Result<Option<RecentNonce>, Rejection> {
    let nonce = claims
        .string("nonce")
        .map_err(|_| Cause::DpopNonceInvalid)?;
    match nonce {
        Some(nonce) => policy.key.check(nonce, now).map(Some),
        None if policy.required => Err(Cause::DpopNonceAbsent.into()),
        None => Ok(None),
    }
}

fn delegate(claims: &json::Object<'_>) -> DelegateClaim {
    if claims.get(DELEGATE_JKT).is_none() {
        return DelegateClaim::Absent;
    }
    let text = claims.string(DELEGATE_JKT).ok().flatten();
    text.and_then(|text| text.parse().ok())
        .map_or(DelegateClaim::Malformed, DelegateClaim::Key)
}

fn ath(claims: &json::Object<'_>) -> Ath {
    if claims.get("ath").is_none() {
        return Ath::Absent;
    }
    claims
        .string("ath")
        .ok()
        .flatten()
        .and_then(TokenHash::from_ath)
        .map_or(Ath::Malformed, Ath::Hash)
}
