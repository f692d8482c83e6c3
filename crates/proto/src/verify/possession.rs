//! Whether the sender holds what its token is bound to, by whichever method.
//!
//! A token's `cnf` may name a key, a certificate, or both, and everything it names
//! is checked (RFC 7800 section 3.1). A key is proven by a signature in the request,
//! a certificate by the TLS handshake of the connection the request came on
//! (RFC 8705 section 3).
//!
//! This module does not look at the token's issuer, audience or times, and knows
//! neither revocations nor replay.

use super::Requirements;
use super::presented::Message;
use super::replay::{ReplayHashKey, ReplayQuery};
use crate::binding::BindingMethod;
use crate::cause::Cause;
use crate::certificate::{CertificateInForce, CertificateThumbprint, PeerCertificate};
use crate::dpop::proof::Ath;
use crate::dpop::{Proof, ProofWindow};
use crate::jose::{Jkt, SignatureValid};
use crate::rejection::Rejection;
use crate::signature::{ExpectedDigest, HttpSignature, VerifiedSignature};
use crate::time::UnixTime;
use crate::token::{AccessToken, CertificateBinding, KeyBinding, Renewal, TokenHash};
use crate::workload::{WorkloadProof, X509Svid};

/// What a request itself shows of its sender's key. Read, not proven.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one a request; the large one is the usual one"
)]
pub(super) enum Shown<'a> {
    /// No signature: the certificate of the connection has to do.
    Nothing,
    /// A DPoP proof.
    Dpop(Proof<'a>),
    /// A signature over the request (RFC 9421).
    HttpSignature(Box<HttpSignature>),
}

/// What a request and its connection show of the sender.
#[derive(Debug)]
pub(super) struct Sent<'a> {
    pub(super) shown: Shown<'a>,
    pub(super) certificate: Option<Certificate<'a>>,
    /// What a trust domain says of the certificate.
    pub(super) svid: Option<X509Svid>,
    pub(super) has_content: bool,
}

/// What is known of the connection's client certificate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Certificate<'a> {
    /// All of it.
    Whole(&'a PeerCertificate),
    /// Its hash, by a terminator's word.
    Hash(CertificateThumbprint),
}

impl<'a> Certificate<'a> {
    pub(super) fn of(message: &Message<'a>) -> Option<Self> {
        let hash = message.certificate_hash.map(Self::Hash);
        message.certificate.map(Self::Whole).or(hash)
    }

    fn thumbprint(self) -> CertificateThumbprint {
        match self {
            Self::Whole(certificate) => certificate.thumbprint(),
            Self::Hash(hash) => hash,
        }
    }

    fn jkt(self) -> Option<Jkt> {
        match self {
            Self::Whole(certificate) => certificate.jkt(),
            Self::Hash(_) => None,
        }
    }
}

impl Shown<'_> {
    const fn method(&self) -> BindingMethod {
        match self {
            Self::Nothing => BindingMethod::Mtls,
            Self::Dpop(_) => BindingMethod::Dpop,
            Self::HttpSignature(_) => BindingMethod::HttpSignature,
        }
    }
}

/// How possession was proven, in the words that events, metrics and upstreams are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Possession {
    method: BindingMethod,
    jkt: Option<Jkt>,
    certificate: Option<CertificateThumbprint>,
    rule: CertificateRule,
}

/// Why a certificate was taken for the one a token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateRule {
    /// No certificate was asked for.
    NotAsked,
    /// It is the very certificate (RFC 8705 section 3.1).
    Thumbprint,
    /// It is another certificate with the same public key, and the token allows that.
    PublicKey,
    /// It is a certificate of the same workload, by its trust domain, and the token allows that.
    SpiffeId,
}

impl CertificateRule {
    /// The rule's name in events.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::NotAsked => None,
            Self::Thumbprint => Some("thumbprint"),
            Self::PublicKey => Some("public_key"),
            Self::SpiffeId => Some("spiffe_id"),
        }
    }
}

impl Possession {
    /// The method. Where a token is bound to a key and to a certificate, the key's.
    #[must_use]
    pub const fn method(self) -> BindingMethod {
        self.method
    }

    /// The thumbprint of the proven key; of the certificate's key if only a certificate was
    /// proven. `None` for a certificate whose kind of key has no thumbprint here.
    #[must_use]
    pub const fn jkt(self) -> Option<Jkt> {
        self.jkt
    }

    /// The certificate the connection was made with, if the token is bound to one.
    #[must_use]
    pub const fn certificate(self) -> Option<CertificateThumbprint> {
        self.certificate
    }

    /// By which rule that certificate was taken.
    #[must_use]
    pub const fn certificate_rule(self) -> CertificateRule {
        self.rule
    }
}

/// Possession, proven, and what is left to do about it.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) possession: Possession,
    /// What must not be used twice. A TLS handshake cannot be replayed, so a certificate alone
    /// leaves nothing here (RFC 8446 section 4.4.3).
    once: Option<Once>,
    /// What the request's content must hash to.
    pub(super) content: Option<ExpectedDigest>,
    _witness: Witness,
}

/// What makes one proof different from every other of the same key.
#[derive(Debug)]
struct Once {
    jkt: Jkt,
    id: String,
    issued_at: UnixTime,
    expires_at: UnixTime,
    recent_nonce: bool,
}

/// Made where the last check of possession succeeded, and nowhere else.
#[derive(Debug)]
struct Witness {
    _key: Option<KeyProven>,
    _workload: Option<SignatureValid>,
    _certificate: Option<CertificateProven>,
}

/// The key signed this request, by the one method the variant is about.
#[derive(Debug)]
#[expect(dead_code, reason = "witnesses are there to be made, not to be read")]
enum KeyProven {
    Dpop(NonceHeld, MadeForToken, SameKey, SignatureValid),
    HttpSignature(SameKey, Box<VerifiedSignature>),
}

/// One signature over the request, proven to be the bound key's.
struct Signed {
    proven: KeyProven,
    once: Once,
    content: Covered,
}

/// Says that a client which must use nonces did.
#[derive(Debug)]
struct NonceHeld(());

#[derive(Debug)]
struct MadeForToken(());

#[derive(Debug)]
struct SameKey(());

#[derive(Debug)]
struct CertificateProven {
    rule: CertificateRule,
    /// `None` where only the hash is known: then the terminator's handshake judged that.
    _in_force: Option<CertificateInForce>,
}

impl Proven {
    /// By a workload's proof, whose hashes and signature were found good.
    pub(super) fn by_workload(
        jkt: Jkt,
        proof: &WorkloadProof<'_>,
        signature: SignatureValid,
    ) -> Self {
        Self {
            possession: Possession {
                method: BindingMethod::Wimse,
                jkt: Some(jkt),
                certificate: None,
                rule: CertificateRule::NotAsked,
            },
            once: Some(Once {
                jkt,
                id: proof.jti().to_owned(),
                issued_at: proof.made_at(),
                expires_at: proof.expires_at(),
                recent_nonce: false,
            }),
            content: None,
            _witness: Witness {
                _key: None,
                _workload: Some(signature),
                _certificate: None,
            },
        }
    }

    /// What a replay log's refusal means for this kind of proof. A nonce of ours cannot stand in
    /// a signature or a workload's proof, so those are not challenged for one.
    pub(super) const fn refusal_of(&self, refused: Cause) -> Cause {
        match (self.possession.method, refused) {
            (BindingMethod::HttpSignature, Cause::DpopReplayed) => Cause::HttpsigReplayed,
            (BindingMethod::HttpSignature, Cause::ReplayEpoch) => Cause::HttpsigEpoch,
            (BindingMethod::Wimse, Cause::DpopReplayed) => Cause::WptReplayed,
            (BindingMethod::Wimse, Cause::ReplayEpoch) => Cause::WptEpoch,
            (_, refused) => refused,
        }
    }

    /// The record to insert into the replay log, under the log's key.
    pub(super) fn replay_query(&self, key: &ReplayHashKey) -> Option<ReplayQuery> {
        let once = self.once.as_ref()?;
        let times = (once.issued_at, once.expires_at);
        Some(key.query_for_proof(once.jkt, &once.id, times, once.recent_nonce))
    }
}

/// Checks everything the token's `cnf` names.
pub(super) fn prove(
    sent: Sent<'_>,
    token: &AccessToken,
    requirements: &Requirements<'_>,
    (window, now): (ProofWindow, UnixTime),
) -> Result<Proven, Rejection> {
    let cnf = token.confirmation();
    let (method, certificate) = (sent.shown.method(), sent.certificate);
    match (cnf.key(), &sent.shown) {
        (Some(_), Shown::Nothing) => return Err(Cause::TokenSchemeDowngrade.into()),
        (None, _) if cnf.is_unbound() => return Err(Cause::TokenUnbound.into()),
        (None, Shown::Nothing) | (Some(_), _) => {}
        (None, _) => return Err(method_mismatch(method)),
    }
    check_method(method, cnf.certificate().is_some(), requirements)?;
    // Comparing a certificate is cheaper than verifying a signature, so it comes first.
    let by_certificate = match cnf.certificate() {
        Some(bound) => Some(prove_certificate(
            bound,
            (certificate, sent.svid.as_ref()),
            now,
        )?),
        None => None,
    };
    let by_key = match cnf.key() {
        Some(key) => Some(prove_key(sent, key, token, requirements, window)?),
        None => None,
    };
    Ok(Proven::of(method, certificate, by_certificate, by_key))
}

impl Proven {
    fn of(
        method: BindingMethod,
        certificate: Option<Certificate<'_>>,
        by_certificate: Option<CertificateProven>,
        by_key: Option<Signed>,
    ) -> Self {
        let certificate = by_certificate.as_ref().and(certificate);
        let signed_with = by_key.as_ref().map(|signed| signed.once.jkt);
        let (key, once, content) = match by_key {
            Some(signed) => (Some(signed.proven), Some(signed.once), signed.content.0),
            None => (None, None, None),
        };
        Self {
            possession: Possession {
                method,
                jkt: signed_with.or_else(|| certificate.and_then(Certificate::jkt)),
                certificate: certificate.map(Certificate::thumbprint),
                rule: by_certificate
                    .as_ref()
                    .map_or(CertificateRule::NotAsked, |proven| proven.rule),
            },
            once,
            content,
            _witness: Witness {
                _key: key,
                _workload: None,
                _certificate: by_certificate,
            },
        }
    }
}

/// The signature of the request, by the key the token is bound to.
fn prove_key(
    sent: Sent<'_>,
    key: &KeyBinding,
    token: &AccessToken,
    requirements: &Requirements<'_>,
    window: ProofWindow,
) -> Result<Signed, Rejection> {
    let must_cover = requirements.cover_content && sent.has_content;
    match sent.shown {
        Shown::Nothing => Err(Cause::TokenSchemeDowngrade.into()),
        Shown::Dpop(proof) => {
            let claimed = match requirements.cover_content {
                true => proof.content.digest()?,
                false => None,
            };
            Ok(Signed {
                content: check_coverage(claimed, must_cover)?,
                proven: prove_dpop(&proof, key, token, requirements)?,
                once: once(proof, window),
            })
        }
        Shown::HttpSignature(signature) => {
            let covered = check_coverage(signature.content_digest().cloned(), must_cover)?;
            prove_signature(*signature, key, covered)
        }
    }
}

/// What binds the content to the proof, if anything does.
struct Covered(Option<ExpectedDigest>);

/// Content that has to be covered is.
fn check_coverage(digest: Option<ExpectedDigest>, must: bool) -> Result<Covered, Rejection> {
    if must && digest.is_none() {
        return Err(Cause::DigestAbsent.into());
    }
    Ok(Covered(digest))
}

/// draft-richer-oauth-httpsig section 7: the key is the token's; where the token has its
/// thumbprint only, the message brings the key.
fn prove_signature(
    signature: HttpSignature,
    key: &KeyBinding,
    content: Covered,
) -> Result<Signed, Rejection> {
    let missing = |name: &str| Rejection::new(Cause::HttpsigParameter).expected(name);
    let (key, same_key) = match key {
        KeyBinding::Key(key) => (key.clone(), SameKey(())),
        KeyBinding::Thumbprint(jkt) => {
            let inline = signature.inline_key().ok_or(Cause::HttpsigKey)?;
            (inline.clone(), check_key(inline.thumbprint(), *jkt)?)
        }
    };
    Ok(Signed {
        once: Once {
            jkt: key.thumbprint(),
            id: signature
                .nonce()
                .ok_or_else(|| missing("nonce"))?
                .to_owned(),
            issued_at: signature.created().ok_or_else(|| missing("created"))?,
            expires_at: signature.taken_until().ok_or_else(|| missing("created"))?,
            recent_nonce: false,
        },
        content,
        proven: KeyProven::HttpSignature(same_key, Box::new(signature.verify(&key)?)),
    })
}

fn once(proof: Proof<'_>, window: ProofWindow) -> Once {
    Once {
        jkt: proof.jkt(),
        issued_at: proof.iat,
        expires_at: window.end(proof.iat),
        recent_nonce: proof.nonce.is_some(),
        id: proof.jti,
    }
}

/// A proof of a kind the token's `cnf` does not name proves nothing about the token.
fn method_mismatch(shown: BindingMethod) -> Rejection {
    Rejection::new(Cause::TokenMethodMismatch).got(shown.name())
}

/// A token bound by two methods satisfies a route that takes either: both are checked.
fn check_method(
    method: BindingMethod,
    has_certificate: bool,
    requirements: &Requirements<'_>,
) -> Result<(), Rejection> {
    let taken = requirements.methods;
    let also_mtls = has_certificate && taken.contains(BindingMethod::Mtls);
    if taken.contains(method) || also_mtls {
        return Ok(());
    }
    Err(Rejection::new(Cause::TokenMethodRefused)
        .expected(taken.to_string())
        .got(method.name()))
}

fn prove_dpop(
    proof: &Proof<'_>,
    key: &KeyBinding,
    token: &AccessToken,
    requirements: &Requirements<'_>,
) -> Result<KeyProven, Rejection> {
    let Some(bound_to) = key.thumbprint() else {
        return Err(method_mismatch(BindingMethod::Dpop));
    };
    let proven = KeyProven::Dpop(
        check_client_nonce(token, proof, requirements.nonce_clients)?,
        check_ath(proof, token.hash())?,
        check_key(proof.jkt(), bound_to)?,
        proof.verify_signature()?,
    );
    token.keep_proof_header(|| proof.header());
    Ok(proven)
}

fn check_client_nonce(
    token: &AccessToken,
    proof: &Proof<'_>,
    clients: &[String],
) -> Result<NonceHeld, Rejection> {
    let demanded = token
        .client_id()
        .is_some_and(|client| clients.iter().any(|named| named == client));
    if demanded && proof.nonce.is_none() {
        return Err(Cause::DpopNonceAbsent.into());
    }
    Ok(NonceHeld(()))
}

/// RFC 9449 section 4.3 (12), first half.
fn check_ath(proof: &Proof<'_>, token: TokenHash) -> Result<MadeForToken, Rejection> {
    match proof.ath {
        Ath::Absent => Err(Cause::DpopAthAbsent.into()),
        Ath::Hash(hash) if hash == token => Ok(MadeForToken(())),
        Ath::Hash(_) | Ath::Malformed => {
            Err(Rejection::new(Cause::DpopAthMismatch).expected(token.to_ath()))
        }
    }
}

/// RFC 9449 section 4.3 (12), second half.
fn check_key(shown: Jkt, bound_to: Jkt) -> Result<SameKey, Rejection> {
    if shown == bound_to {
        return Ok(SameKey(()));
    }
    Err(Rejection::new(Cause::TokenKeyMismatch)
        .expected(bound_to.to_string())
        .got(shown.to_string()))
}

/// RFC 8705 section 3: the certificate of this connection, in force now, is the token's.
fn prove_certificate(
    bound: &CertificateBinding,
    (certificate, svid): (Option<Certificate<'_>>, Option<&X509Svid>),
    now: UnixTime,
) -> Result<CertificateProven, Rejection> {
    let certificate = certificate.ok_or(Cause::CertificateAbsent)?;
    let in_force = match certificate {
        Certificate::Whole(certificate) => Some(certificate.check_time(now)?),
        Certificate::Hash(_) => None,
    };
    let thumbprint = certificate.thumbprint();
    let rule = match certificate {
        _ if thumbprint == bound.thumbprint() => Some(CertificateRule::Thumbprint),
        Certificate::Whole(certificate) => renewal(bound, certificate, svid),
        // A hash tells neither whose key it is nor whom anybody vouches for.
        Certificate::Hash(_) => None,
    };
    let rule = rule.ok_or_else(|| {
        Rejection::new(Cause::CertificateMismatch)
            .expected(bound.thumbprint().to_string())
            .got(thumbprint.to_string())
    })?;
    Ok(CertificateProven {
        rule,
        _in_force: in_force,
    })
}

/// By which rule of the token another certificate than the one it names is taken.
fn renewal(
    bound: &CertificateBinding,
    certificate: &PeerCertificate,
    svid: Option<&X509Svid>,
) -> Option<CertificateRule> {
    match bound.renewal()? {
        Renewal::PublicKey(spki) => {
            (certificate.spki_thumbprint() == *spki).then_some(CertificateRule::PublicKey)
        }
        Renewal::SpiffeId(rule) => {
            // An X.509-SVID says something about the certificate it is, and nothing about others.
            let svid = svid.filter(|svid| svid.certificate() == certificate)?;
            rule.accepts(svid).then_some(CertificateRule::SpiffeId)
        }
    }
}
