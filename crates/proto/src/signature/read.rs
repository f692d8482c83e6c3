//! Reading a signature and holding it against a policy, and verifying it
//! (RFC 9421 sections 3.2 and 4).
//!
//! The order is: form and bounds, which signature counts, its parameters, what
//! it covers, when it was made, the key and digest it brings, the signature
//! base. Verification with a key comes last and costs the only arithmetic.

use std::fmt;

use super::algorithm::{SharedKey, SignatureAlgorithm, SignatureAlgorithms};
use super::base::{self, Covered};
use super::component::Component;
use super::digest::{CONTENT_DIGEST, ExpectedDigest};
use super::key::{self, SIGNATURE_KEY};
use super::message::SignedMessage;
use super::parameters::Declared;
use super::rules::{Cover, InlineKeySource, Select, SignatureRules, When};
use crate::cause::Cause;
use crate::fields::FieldLines;
use crate::jose::{Algorithm, Jkt, PublicKey, SignatureValid};
use crate::rejection::Rejection;
use crate::structured::{BareItem, Dictionary, InnerList, Member, Parameters, StructuredError};
use crate::time::UnixTime;

/// The most signatures a message may have.
const MAX_SIGNATURES: usize = 8;

/// The longest signature in bytes: RSA of 4096 bits.
const MAX_SIGNATURE_BYTES: usize = 512;

/// A signature that fits the policy and the message; not verified yet.
///
/// It owns what it needs, so the message may go.
pub struct HttpSignature {
    covered: Vec<Component>,
    parameters: Parameters,
    declared: Declared,
    base: String,
    bytes: Vec<u8>,
    algorithms: SignatureAlgorithms,
    taken_until: Option<UnixTime>,
    inline_key: Option<PublicKey>,
    digest: Option<ExpectedDigest>,
    _covers_enough: CoversEnough,
}

/// Says that everything the policy wants covered is.
struct CoversEnough(());

impl HttpSignature {
    /// Finds the one signature the policy is about and checks everything that needs no key.
    ///
    /// # Errors
    /// A [`Rejection`] with an `httpsig.*` cause (`httpsig.absent` if no signature fits
    /// [`SignatureRules::select`]), or a `digest.*` cause for the digest it covers.
    pub fn read<'a>(
        rules: &SignatureRules<'_>,
        message: impl Into<SignedMessage<'a>>,
        now: UnixTime,
    ) -> Result<Self, Rejection> {
        let message = message.into();
        let (label, list, bytes) = find(rules, message.fields())?;
        let covered = Covered::read(&list)?;
        let declared = Declared::read(&list.parameters)?;
        declared.check_names(&list.parameters, rules)?;
        let covers_enough = check_coverage(&covered.components, rules.cover, &message)?;
        let taken_until = declared.check_time(rules, now)?;
        let inline_key = inline_key(rules.inline_key, &label, &covered, &declared, &message)?;
        let digest = digest(&covered.components, &message)?;
        let base = base::base(&message, &covered)?;
        Ok(Self {
            covered: covered.components,
            parameters: list.parameters,
            declared,
            base,
            bytes,
            algorithms: rules.algorithms,
            taken_until,
            inline_key,
            digest,
            _covers_enough: covers_enough,
        })
    }

    /// `created`. There if the policy requires it.
    #[must_use]
    pub const fn created(&self) -> Option<UnixTime> {
        self.declared.created
    }

    /// `expires`.
    #[must_use]
    pub const fn expires(&self) -> Option<UnixTime> {
        self.declared.expires
    }

    /// `nonce`: 1 to 256 bytes of ASCII. There if the policy requires it.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.declared.nonce.as_deref()
    }

    /// `keyid`.
    #[must_use]
    pub fn keyid(&self) -> Option<&str> {
        self.parameters.get("keyid").and_then(BareItem::as_string)
    }

    /// The first second at which the policy does not take this signature any more: until then a
    /// record of its nonce must be kept. `None` if neither `created` nor `expires` is there.
    #[must_use]
    pub const fn taken_until(&self) -> Option<UnixTime> {
        self.taken_until
    }

    /// The key the message brings, where the policy looks for one. It is nobody's until it is
    /// compared with what the caller trusts: its thumbprint with `cnf.jkt`.
    #[must_use]
    pub const fn inline_key(&self) -> Option<&PublicKey> {
        self.inline_key.as_ref()
    }

    /// The algorithm in the `alg` parameter.
    #[must_use]
    pub const fn named_algorithm(&self) -> Option<SignatureAlgorithm> {
        self.declared.algorithm
    }

    /// What the content must hash to: there if the message has a `Content-Digest` and the
    /// signature covers it. Then the content must be checked before anything acts on it.
    #[must_use]
    pub const fn content_digest(&self) -> Option<&ExpectedDigest> {
        self.digest.as_ref()
    }

    /// The covered components, in the order received.
    #[must_use]
    pub fn covered(&self) -> &[Component] {
        &self.covered
    }

    /// Whether this derived component or whole header field of the message is covered.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        covers(&self.covered, name, false)
    }

    /// A parameter of the signature as text, if it is there and a string: `wimse-aud`.
    #[must_use]
    pub fn text_parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).and_then(BareItem::as_string)
    }

    /// Whether a boolean parameter is there and true: `wimse-sign-response`.
    #[must_use]
    pub fn flag_parameter(&self, name: &str) -> bool {
        self.parameters.get(name) == Some(&BareItem::Boolean(true))
    }

    /// All parameters, in the order received.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The signature base (RFC 9421 section 2.5), for diagnosis. It holds covered fields, so it
    /// may hold credentials.
    #[must_use]
    pub fn signature_base(&self) -> &str {
        &self.base
    }

    /// Verifies with a key of which only its type is known.
    ///
    /// # Errors
    /// As [`HttpSignature::verify_as`].
    pub fn verify(self, key: &PublicKey) -> Result<VerifiedSignature, Rejection> {
        let algorithm = self
            .declared
            .algorithm
            .unwrap_or_else(|| SignatureAlgorithm::of_key(key));
        self.verify_as(key, algorithm)
    }

    /// Verifies with a key that says which JOSE algorithm it is for, as a JWK with `alg` does
    /// (RFC 9421 section 3.3.7). The `alg` parameter must not be there then.
    ///
    /// # Errors
    /// As [`HttpSignature::verify_as`].
    pub fn verify_jose(
        self,
        key: &PublicKey,
        algorithm: Algorithm,
    ) -> Result<VerifiedSignature, Rejection> {
        if let Some(named) = self.declared.algorithm {
            return Err(Rejection::new(Cause::HttpsigAlgorithm)
                .expected("no `alg` with a key that has its own")
                .got(named.to_string()));
        }
        self.verify_as(key, SignatureAlgorithm::from_jose(algorithm))
    }

    /// Verifies with a key and the algorithm it is for.
    ///
    /// # Errors
    /// `httpsig.alg` if the policy does not take the algorithm, the key cannot have it, or `alg`
    /// says another; `httpsig.signature.invalid`.
    pub fn verify_as(
        self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
    ) -> Result<VerifiedSignature, Rejection> {
        self.check_algorithm(algorithm)?;
        let witness = verify_public(key, algorithm, self.base.as_bytes(), &self.bytes)?;
        Ok(VerifiedSignature {
            jkt: Some(key.thumbprint()),
            algorithm,
            signature: self,
            _witness: Witness::Signature(witness),
        })
    }

    /// Verifies an `hmac-sha256` with a key both sides hold.
    ///
    /// # Errors
    /// `httpsig.alg`, `httpsig.signature.invalid`
    pub fn verify_shared(self, key: &SharedKey) -> Result<VerifiedSignature, Rejection> {
        let algorithm = SignatureAlgorithm::HmacSha256;
        self.check_algorithm(algorithm)?;
        if !key.verifies(self.base.as_bytes(), &self.bytes) {
            return Err(Cause::HttpsigSignatureInvalid.into());
        }
        Ok(VerifiedSignature {
            jkt: None,
            algorithm,
            signature: self,
            _witness: Witness::Mac(MacValid(())),
        })
    }

    /// Every source that names the algorithm must name the same (RFC 9421 section 3.2 step 6).
    fn check_algorithm(&self, algorithm: SignatureAlgorithm) -> Result<(), Rejection> {
        let disagrees = self
            .declared
            .algorithm
            .is_some_and(|named| named != algorithm);
        if disagrees || !self.algorithms.contains(algorithm) {
            return Err(Rejection::new(Cause::HttpsigAlgorithm)
                .expected(self.algorithms.to_string())
                .got(self.declared.algorithm.unwrap_or(algorithm).to_string()));
        }
        Ok(())
    }
}

impl fmt::Debug for HttpSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSignature")
            .field("covered", &self.covered)
            .field("created", &self.declared.created)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// A signature that was valid for one key and fits the policy it was read under. Only
/// verification makes one:
///
/// ```compile_fail
/// use keybound_proto::signature::{HttpSignature, VerifiedSignature};
/// fn forge(signature: HttpSignature) -> VerifiedSignature {
///     VerifiedSignature { signature }
/// }
/// ```
///
/// The paved path compiles:
///
/// ```
/// use keybound_proto::jose::PublicKey;
/// use keybound_proto::signature::{HttpSignature, VerifiedSignature};
/// fn check(signature: HttpSignature, key: &PublicKey) -> Option<VerifiedSignature> {
///     signature.verify(key).ok()
/// }
/// ```
#[derive(Debug)]
pub struct VerifiedSignature {
    signature: HttpSignature,
    jkt: Option<Jkt>,
    algorithm: SignatureAlgorithm,
    _witness: Witness,
}

#[derive(Debug)]
enum Witness {
    Signature(SignatureValid),
    Mac(MacValid),
}

#[derive(Debug)]
struct MacValid(());

impl VerifiedSignature {
    /// What was verified.
    #[must_use]
    pub const fn signature(&self) -> &HttpSignature {
        &self.signature
    }

    /// The thumbprint of the key it verified with; `None` for a shared key.
    #[must_use]
    pub const fn jkt(&self) -> Option<Jkt> {
        self.jkt
    }

    /// The algorithm it verified with.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

/// The selected member of both fields.
fn find(
    rules: &SignatureRules<'_>,
    fields: &dyn FieldLines,
) -> Result<(String, InnerList, Vec<u8>), Rejection> {
    let inputs = fields.lines("signature-input");
    let signatures = fields.lines("signature");
    if inputs.is_empty() && signatures.is_empty() {
        return Err(Cause::HttpsigAbsent.into());
    }
    let size = inputs.iter().chain(&signatures).map(|line| line.len());
    let size = size.fold(0, usize::saturating_add);
    if size > rules.max_bytes {
        return Err(Rejection::new(Cause::HttpsigSize)
            .expected(format!("at most {} bytes", rules.max_bytes))
            .got(format!("{size} bytes")));
    }
    let inputs = dictionary(&inputs)?;
    let signatures = dictionary(&signatures)?;
    let unmatched = |one: &Dictionary, other: &Dictionary| {
        one.iter().any(|(label, _)| other.get(label).is_none())
    };
    if unmatched(&inputs, &signatures) || unmatched(&signatures, &inputs) {
        // RFC 9421 section 4.2.
        return Err(
            Rejection::new(Cause::HttpsigMalformed).expected("the same labels in both fields")
        );
    }
    let (label, list) = select(rules.select, &inputs)?;
    let bytes = signature_bytes(signatures.get(label))?;
    Ok((label.to_owned(), list.clone(), bytes))
}

fn dictionary(lines: &[&[u8]]) -> Result<Dictionary, Rejection> {
    let dictionary = Dictionary::parse(lines, MAX_SIGNATURES).map_err(|error| {
        let cause = match error {
            StructuredError::TooMany => Cause::HttpsigSize,
            StructuredError::Syntax { .. } => Cause::HttpsigMalformed,
        };
        Rejection::new(cause).got(error.to_string())
    })?;
    if dictionary.is_repeated() {
        return Err(Rejection::new(Cause::HttpsigMalformed).got("a label twice"));
    }
    Ok(dictionary)
}

/// By what the signatures say, never by their labels, which nobody signs.
fn select<'d>(
    select: Select<'_>,
    inputs: &'d Dictionary,
) -> Result<(&'d str, &'d InnerList), Rejection> {
    let mut fitting = None;
    for (label, member) in inputs.iter() {
        let Member::InnerList(list) = member else {
            return Err(Rejection::new(Cause::HttpsigMalformed).expected("a list of components"));
        };
        let names = |name: &str, wanted: &str| {
            list.parameters.get(name).and_then(BareItem::as_string) == Some(wanted)
        };
        let fits = match select {
            Select::KeyId(keyid) => names("keyid", keyid),
            Select::Only => true,
            Select::Tag(tag) => names("tag", tag),
        };
        if !fits {
            continue;
        }
        if fitting.is_some() {
            return Err(Cause::HttpsigMultiple.into());
        }
        fitting = Some((label, list));
    }
    fitting.ok_or_else(|| match select {
        Select::KeyId(wanted) | Select::Tag(wanted) => {
            Rejection::new(Cause::HttpsigAbsent).expected(wanted)
        }
        Select::Only => Cause::HttpsigAbsent.into(),
    })
}

fn signature_bytes(member: Option<&Member>) -> Result<Vec<u8>, Rejection> {
    let item = member.and_then(Member::as_item).map(|item| &item.value);
    let Some(BareItem::Bytes(bytes)) = item else {
        return Err(Rejection::new(Cause::HttpsigMalformed).expected("a byte sequence"));
    };
    if bytes.len() > MAX_SIGNATURE_BYTES {
        return Err(Rejection::new(Cause::HttpsigSize)
            .expected(format!("at most {MAX_SIGNATURE_BYTES} bytes of signature"))
            .got(format!("{} bytes", bytes.len())));
    }
    Ok(bytes.clone())
}

fn covers(covered: &[Component], name: &str, of_request: bool) -> bool {
    covered.iter().any(|component| {
        component.name() == name && component.is_of_request() == of_request && component.is_whole()
    })
}

fn check_coverage(
    covered: &[Component],
    wanted: &[Cover<'_>],
    message: &SignedMessage<'_>,
) -> Result<CoversEnough, Rejection> {
    for cover in wanted {
        let has = |name| has_field(message, name, cover.of_request);
        if cover.when == When::Present && !has(cover.name) {
            continue;
        }
        if cover
            .names()
            .any(|name| covers(covered, name, cover.of_request))
        {
            continue;
        }
        let names: Vec<&str> = cover.names().collect();
        if names == [CONTENT_DIGEST] && !has(CONTENT_DIGEST) {
            return Err(Cause::DigestAbsent.into());
        }
        return Err(Rejection::new(Cause::HttpsigCoverage).expected(names.join(" or ")));
    }
    Ok(CoversEnough(()))
}

fn has_field(message: &SignedMessage<'_>, name: &str, of_request: bool) -> bool {
    let fields = match (message, of_request) {
        (SignedMessage::Response(response), true) => {
            response.request.as_ref().map(|request| request.fields)
        }
        _ => Some(message.fields()),
    };
    fields.is_some_and(|fields| !fields.lines(name).is_empty())
}

fn inline_key(
    source: InlineKeySource,
    label: &str,
    covered: &Covered,
    declared: &Declared,
    message: &SignedMessage<'_>,
) -> Result<Option<PublicKey>, Rejection> {
    match source {
        InlineKeySource::None => Ok(None),
        InlineKeySource::Parameters => match (&declared.public_key, declared.algorithm) {
            (None, _) => Ok(None),
            (Some(bytes), Some(algorithm)) => key::runtime_key(algorithm, bytes)
                .map(Some)
                .map_err(|error| Rejection::new(Cause::HttpsigKey).got(error.to_string())),
            (Some(_), None) => Err(Rejection::new(Cause::HttpsigKey).expected("`alg` with `pub`")),
        },
        InlineKeySource::SignatureKey => {
            let key = key::of_label(message.fields(), label)?;
            let is_covered = covered.components.iter().any(|component| {
                component.name() == SIGNATURE_KEY
                    && !component.is_of_request()
                    && (component.is_whole() || component.key() == Some(label))
            });
            if key.is_some() && !is_covered {
                return Err(Rejection::new(Cause::HttpsigCoverage).expected(SIGNATURE_KEY));
            }
            Ok(key)
        }
    }
}

/// The digest of the message's own content, if the signature covers it.
fn digest(
    covered: &[Component],
    message: &SignedMessage<'_>,
) -> Result<Option<ExpectedDigest>, Rejection> {
    if covers(covered, CONTENT_DIGEST, false) {
        ExpectedDigest::read(message.fields())
    } else {
        Ok(None)
    }
}

fn verify_public(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    base: &[u8],
    signature: &[u8],
) -> Result<SignatureValid, Rejection> {
    let jose = match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => Algorithm::Es256,
        SignatureAlgorithm::EcdsaP384Sha384 => Algorithm::Es384,
        SignatureAlgorithm::Ed25519 => Algorithm::EdDsa,
        SignatureAlgorithm::RsaPssSha256 => Algorithm::Ps256,
        SignatureAlgorithm::RsaV15Sha256 => Algorithm::Rs256,
        SignatureAlgorithm::RsaPssSha512 => {
            if !key.supports(Algorithm::Ps256) {
                return Err(Rejection::new(Cause::HttpsigAlgorithm).got(algorithm.to_string()));
            }
            return key
                .verify_rsa_pss_sha512(base, signature)
                .map_err(|_| invalid(key));
        }
        // SECURITY: a MAC keyed with a public key is what anybody could make.
        SignatureAlgorithm::HmacSha256 => {
            return Err(Rejection::new(Cause::HttpsigAlgorithm).got(algorithm.to_string()));
        }
    };
    if !key.supports(jose) {
        return Err(Rejection::new(Cause::HttpsigAlgorithm).got(algorithm.to_string()));
    }
    key.verify(jose, base, signature).map_err(|_| invalid(key))
}

fn invalid(key: &PublicKey) -> Rejection {
    Rejection::new(Cause::HttpsigSignatureInvalid).got(key.thumbprint().to_string())
}
