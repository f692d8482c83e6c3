//! Public keys that have passed every check of theirs, and verification with them.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use aws_lc_rs::{
    digest,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, EcdsaVerificationAlgorithm,
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    },
};

use super::{Algorithm, Jkt, ed25519, jwk, jwk::JwkError, rsa};
use crate::json;

/// An elliptic curve for ECDSA (RFC 7518 section 6.2.1.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Curve {
    /// `P-256`
    P256,
    /// `P-384`
    P384,
}

impl Curve {
    /// The `crv` name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    /// Bytes of one coordinate.
    #[must_use]
    pub const fn coordinate_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
        }
    }

    const fn backend(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
        }
    }
}

/// A validated public key, parsed once and cheap to clone.
///
/// EC points are on their curve; Ed25519 keys are canonical and not of small
/// order; RSA moduli have 2048 to 4096 bits and the exponent is odd, at least 3
/// and below 2^32. Equality is equality of thumbprints.
///
/// Whether an Ed25519 key that passes these checks is on the curve shows only
/// when it verifies: one that is not verifies nothing.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    thumbprint: Jkt,
    material: Material,
}

pub(super) enum Material {
    Ec {
        curve: Curve,
        /// Its bytes are the uncompressed point.
        parsed: ParsedPublicKey,
    },
    Ed25519 {
        parsed: ParsedPublicKey,
    },
    Rsa {
        n: Box<[u8]>,
        e: Box<[u8]>,
        pkcs1: ParsedPublicKey,
        /// Most RSA keys serve one padding only.
        pss: OnceLock<ParsedPublicKey>,
    },
}

/// A signature over exactly this message was valid for exactly this key.
///
/// Only [`PublicKey::verify`] makes one; a check that needs one cannot be
/// reached without it:
///
/// ```compile_fail
/// use keybound_proto::jose::SignatureValid;
/// fn forge() -> SignatureValid {
///     SignatureValid(())
/// }
/// ```
///
/// The paved path compiles:
///
/// ```
/// use keybound_proto::jose::{Algorithm, BadSignature, PublicKey, SignatureValid};
/// fn check(key: &PublicKey, text: &[u8], signature: &[u8]) -> Result<SignatureValid, BadSignature> {
///     key.verify(Algorithm::Es256, text, signature)
/// }
/// ```
#[derive(Debug)]
pub struct SignatureValid(());

/// A signature is not valid for the message, the key and the algorithm.
///
/// It deliberately does not say more: the reason would help only a forger.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature is not valid for this key and algorithm")
    }
}

impl std::error::Error for BadSignature {}

impl PublicKey {
    /// Parses the text of a public JWK (RFC 7517).
    ///
    /// # Errors
    /// [`JwkError`], which never holds any of the input.
    pub fn from_jwk(text: &[u8]) -> Result<Self, JwkError> {
        Self::from_jwk_object(&json::Object::parse(text)?)
    }

    /// Reads a public JWK from a parsed object, as the `jwk` header member has it.
    ///
    /// Members other than `kty` and the required ones are ignored (RFC 7638
    /// section 3), except that private ones are refused.
    ///
    /// # Errors
    /// [`JwkError`]
    pub fn from_jwk_object(object: &json::Object<'_>) -> Result<Self, JwkError> {
        jwk::read(object)
    }

    /// The key with this uncompressed point: `0x04`, then both coordinates.
    ///
    /// # Errors
    /// [`JwkError::Malformed`] for another form or length, [`JwkError::NotOnCurve`]
    /// when it is not a point of `curve`.
    pub fn from_ec_point(curve: Curve, point: &[u8]) -> Result<Self, JwkError> {
        let coordinates = point
            .strip_prefix(&[UNCOMPRESSED])
            .ok_or(JwkError::Malformed { member: "x" })?;
        if coordinates.len() != curve.coordinate_bytes().saturating_mul(2) {
            return Err(JwkError::Malformed { member: "x" });
        }
        let parsed =
            ParsedPublicKey::new(curve.backend(), point).map_err(|_| JwkError::NotOnCurve)?;
        Ok(Self::new(Material::Ec { curve, parsed }))
    }

    /// The Ed25519 key with this encoding (RFC 8032 section 5.1.2).
    ///
    /// # Errors
    /// [`JwkError::Malformed`] for another length, [`JwkError::WeakKey`] for points
    /// of small order and encodings that are not canonical.
    pub fn from_ed25519(encoded: &[u8]) -> Result<Self, JwkError> {
        let malformed = JwkError::Malformed { member: "x" };
        let encoded: &[u8; 32] = encoded.try_into().map_err(|_| malformed)?;
        if ed25519::is_weak_point(encoded) {
            return Err(JwkError::WeakKey);
        }
        let parsed = ParsedPublicKey::new(&ED25519, encoded).map_err(|_| malformed)?;
        Ok(Self::new(Material::Ed25519 { parsed }))
    }

    /// The RSA key with this modulus and exponent, big-endian without leading zeros.
    ///
    /// # Errors
    /// [`JwkError::Malformed`] for a leading zero, [`JwkError::WeakKey`] for values
    /// outside of the accepted range.
    pub fn from_rsa(n: &[u8], e: &[u8]) -> Result<Self, JwkError> {
        rsa::check(n, e)?;
        let pkcs1 = parse_rsa(n, e, &RSA_PKCS1_2048_8192_SHA256).ok_or(JwkError::WeakKey)?;
        Ok(Self::new(Material::Rsa {
            n: n.into(),
            e: e.into(),
            pkcs1,
            pss: OnceLock::new(),
        }))
    }

    fn new(material: Material) -> Self {
        let canonical = jwk::canonical(&material);
        let digest = digest::digest(&digest::SHA256, canonical.as_bytes());
        let mut thumbprint = [0; 32];
        thumbprint
            .iter_mut()
            .zip(digest.as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(Arc::new(Inner {
            thumbprint: Jkt::from_bytes(thumbprint),
            material,
        }))
    }

    /// The RFC 7638 SHA-256 thumbprint, computed once.
    #[must_use]
    pub fn thumbprint(&self) -> Jkt {
        self.0.thumbprint
    }

    /// The algorithm a new signature of this key's owner should use: the only
    /// one there is, or PS256 for RSA.
    #[must_use]
    pub fn default_algorithm(&self) -> Algorithm {
        match &self.0.material {
            Material::Ec { curve, .. } => curve.algorithm(),
            Material::Ed25519 { .. } => Algorithm::EdDsa,
            Material::Rsa { .. } => Algorithm::Ps256,
        }
    }

    /// Whether `algorithm` fits this key's type and curve.
    #[must_use]
    pub fn supports(&self, algorithm: Algorithm) -> bool {
        match &self.0.material {
            Material::Ec { curve, .. } => algorithm == curve.algorithm(),
            Material::Ed25519 { .. } => algorithm == Algorithm::EdDsa,
            Material::Rsa { .. } => matches!(algorithm, Algorithm::Ps256 | Algorithm::Rs256),
        }
    }

    /// Verifies a signature in the form of JWS: `r || s` of fixed length for
    /// ECDSA (RFC 7518 section 3.4), 64 bytes for Ed25519, as long as the
    /// modulus for RSA.
    ///
    /// # Errors
    /// [`BadSignature`], also when `algorithm` does not fit the key.
    ///
    /// ```
    /// use keybound_proto::jose::{Algorithm, BadSignature, PublicKey};
    ///
    /// let key = PublicKey::from_jwk(
    ///     br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    /// )?;
    /// let forged = key.verify(Algorithm::EdDsa, b"message", &[7; 64]);
    /// assert_eq!(forged.err(), Some(BadSignature));
    /// # Ok::<_, keybound_proto::jose::JwkError>(())
    /// ```
    pub fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<SignatureValid, BadSignature> {
        let parsed = self
            .0
            .material
            .verifier(algorithm, signature)
            .ok_or(BadSignature)?;
        parsed
            .verify_sig(message, signature)
            .map(|()| SignatureValid(()))
            .map_err(|_| BadSignature)
    }

    /// Verifies `rsa-pss-sha512` of RFC 9421 section 3.3.1: SHA-512 and a salt of 64 bytes. JOSE
    /// here has no algorithm with this primitive. RSA keys only; the key is parsed each time.
    pub(crate) fn verify_rsa_pss_sha512(
        &self,
        message: &[u8],
        signature: &[u8],
    ) -> Result<SignatureValid, BadSignature> {
        let Material::Rsa { n, e, .. } = &self.0.material else {
            return Err(BadSignature);
        };
        if signature.len() != n.len() {
            return Err(BadSignature);
        }
        parse_rsa(n, e, &RSA_PSS_2048_8192_SHA512)
            .ok_or(BadSignature)?
            .verify_sig(message, signature)
            .map(|()| SignatureValid(()))
            .map_err(|_| BadSignature)
    }

    /// The JWK with the required members only, in the order of RFC 7638 section 3.3.
    #[must_use]
    pub fn to_jwk(&self) -> String {
        jwk::canonical(&self.0.material)
    }

    /// The JWK as an entry of a published key set: with `alg`, `kid` and `use`.
    #[must_use]
    pub fn to_jwk_with(&self, kid: &str, algorithm: Algorithm) -> String {
        let mut text = self.to_jwk();
        text.pop();
        text.push_str(",\"alg\":");
        text.push_str(&json::quote(algorithm.name()));
        text.push_str(",\"kid\":");
        text.push_str(&json::quote(kid));
        text.push_str(",\"use\":\"sig\"}");
        text
    }
}

impl Material {
    /// The backend's key for `algorithm`, if that fits this key and the
    /// signature has the one length it can have.
    fn verifier(&self, algorithm: Algorithm, signature: &[u8]) -> Option<&ParsedPublicKey> {
        match (self, algorithm) {
            (Self::Ec { curve, parsed }, Algorithm::Es256 | Algorithm::Es384) => {
                let fits = curve.algorithm() == algorithm
                    && signature.len() == curve.coordinate_bytes().saturating_mul(2);
                fits.then_some(parsed)
            }
            (Self::Ed25519 { parsed }, Algorithm::EdDsa) => {
                // SECURITY: an `R` of small order is what a forger without a key would send.
                let signature: &[u8; 64] = signature.try_into().ok()?;
                let r = signature.first_chunk()?;
                (!ed25519::is_weak_point(r)).then_some(parsed)
            }
            (Self::Rsa { n, pkcs1, .. }, Algorithm::Rs256) => {
                (signature.len() == n.len()).then_some(pkcs1)
            }
            (Self::Rsa { n, e, pss, .. }, Algorithm::Ps256) => {
                if signature.len() != n.len() {
                    return None;
                }
                if pss.get().is_none() {
                    // Losing a race here only means that another thread parsed the same key.
                    let _ = pss.set(parse_rsa(n, e, &RSA_PSS_2048_8192_SHA256)?);
                }
                pss.get()
            }
            (Self::Ec { .. }, Algorithm::EdDsa | Algorithm::Ps256 | Algorithm::Rs256)
            | (
                Self::Ed25519 { .. },
                Algorithm::Es256 | Algorithm::Es384 | Algorithm::Ps256 | Algorithm::Rs256,
            )
            | (Self::Rsa { .. }, Algorithm::EdDsa | Algorithm::Es256 | Algorithm::Es384) => None,
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.thumbprint == other.0.thumbprint
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.thumbprint.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("algorithm", &self.default_algorithm())
            .field("jkt", &self.0.thumbprint)
            .finish()
    }
}

/// The first byte of an uncompressed point (SEC 1 section 2.3.3).
pub(super) const UNCOMPRESSED: u8 = 4;

fn parse_rsa(n: &[u8], e: &[u8], parameters: &'static RsaParameters) -> Option<ParsedPublicKey> {
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(parameters)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(jwk: &str) -> PublicKey {
        PublicKey::from_jwk(jwk.as_bytes()).unwrap()
    }

    fn reaches_backend(key: &PublicKey, algorithm: Algorithm, signature: &[u8]) -> bool {
        key.0.material.verifier(algorithm, signature).is_some()
    }

    /// The backend refuses these as well, today; the rule is ours and does not lean on it.
    #[test]
    fn sc_024_other_lengths_never_reach_the_backend() {
        let n = crate::base64url::encode(&[0x9b; 256]);
        let rsa = key(&format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#));
        let p256 = key(
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        );
        let ed25519 = key(
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        );
        for (key, algorithm, length) in [
            (&p256, Algorithm::Es256, 64),
            (&ed25519, Algorithm::EdDsa, 64),
            (&rsa, Algorithm::Rs256, 256),
            (&rsa, Algorithm::Ps256, 256),
        ] {
            for other in [0, 1, length - 1, length + 1, 2 * length] {
                assert!(!reaches_backend(key, algorithm, &vec![7; other]));
            }
            assert!(reaches_backend(key, algorithm, &vec![7; length]));
        }
    }

    #[test]
    fn sc_026_an_r_of_small_order_never_reaches_the_backend() {
        let key = key(
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        );
        let mut signature = [7; 64];
        assert!(reaches_backend(&key, Algorithm::EdDsa, &signature));
        signature[..32].fill(0);
        assert!(!reaches_backend(&key, Algorithm::EdDsa, &signature));
        signature[0] = 1;
        assert!(!reaches_backend(&key, Algorithm::EdDsa, &signature));
    }
}
