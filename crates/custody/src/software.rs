//! Keys in this process's memory: ES256, ES384 (RFC 7518 section 3.4) and
//! EdDSA with Ed25519 (RFC 8037). Private material is wiped when dropped, by
//! the backend for the key itself and by `zeroize` for its encodings. RSA
//! keys are verified elsewhere in the product but never held here.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use keybound_proto::jose::{Algorithm, Curve, PublicKey, SignError, Signer};
use zeroize::Zeroizing;

use crate::pem;

/// Why no key could be generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateKeyError {
    /// The algorithm is not one this crate holds keys for.
    #[error("`{0}` keys are not generated, use `ES256`, `EdDSA` or `ES384`")]
    Unsupported(&'static str),
    /// The backend or its random numbers failed.
    #[error("the cryptographic backend failed to generate a key")]
    Backend,
}

/// The backend could not encode a key.
#[derive(Debug, thiserror::Error)]
#[error("the cryptographic backend failed to encode the key")]
pub struct ExportKeyError(());

/// Why a text or bytes are no usable private key. No variant carries any of
/// the input.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// The PKCS#8 structure does not hold a valid key of its own algorithm.
    #[error("the PKCS#8 content is damaged or its public and private halves do not match")]
    Damaged,
    /// A key protected by a password.
    #[error(
        "the key is encrypted with a password, decrypt it with \
         `openssl pkcs8 -in IN -out OUT` into a file only you can read"
    )]
    Encrypted,
    /// No private key at all, but a certificate or a public key.
    #[error("the file holds no private key but a `{0}` block")]
    NotPrivate(&'static str),
    /// Not one clean PEM block.
    #[error("the file is not one PEM block `PRIVATE KEY` (PKCS#8)")]
    NotPem,
    /// A key in OpenSSH's own format.
    #[error("the key is in OpenSSH's own format, use a PKCS#8 key of its own for this purpose")]
    OpenSsh,
    /// An elliptic-curve key in its older format (RFC 5915).
    #[error(
        "the key is in the older `EC PRIVATE KEY` format, convert it with \
         `openssl pkcs8 -topk8 -nocrypt -in IN -out OUT`"
    )]
    Sec1,
    /// Something follows the key.
    #[error("text or another block follows the key, keep one key per file")]
    TrailingText,
    /// A PKCS#8 key of another algorithm or curve.
    #[error(
        "the key is not for ES256 (P-256), ES384 (P-384) or EdDSA (Ed25519), \
         generate one with `keybound key new`"
    )]
    Unsupported,
}

impl ParseKeyError {
    pub(crate) fn of_label(label: &str) -> Self {
        match label {
            "CERTIFICATE" => Self::NotPrivate("CERTIFICATE"),
            "EC PRIVATE KEY" | "EC PARAMETERS" => Self::Sec1,
            "ENCRYPTED PRIVATE KEY" => Self::Encrypted,
            "OPENSSH PRIVATE KEY" => Self::OpenSsh,
            "PUBLIC KEY" => Self::NotPrivate("PUBLIC KEY"),
            "RSA PRIVATE KEY" => Self::Unsupported,
            _ => Self::NotPem,
        }
    }
}

/// A private key held in memory.
///
/// ```
/// use keybound_custody::{Signer, SoftwareKey};
/// use keybound_proto::jose::Algorithm;
///
/// let key = SoftwareKey::generate(Algorithm::Es256)?;
/// let signature = key.sign(b"message")?;
/// assert!(key.public_key().verify(Algorithm::Es256, b"message", &signature).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SoftwareKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
}

impl SoftwareKey {
    /// Generates a key for ES256, ES384 or EdDSA.
    ///
    /// # Errors
    /// [`GenerateKeyError::Unsupported`] for the RSA algorithms.
    pub fn generate(algorithm: Algorithm) -> Result<Self, GenerateKeyError> {
        let ecdsa = |algorithm: &'static EcdsaSigningAlgorithm| {
            EcdsaKeyPair::generate(algorithm).map_err(|_| GenerateKeyError::Backend)
        };
        let pair = match algorithm {
            Algorithm::Es256 => Pair::P256(ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            Algorithm::Es384 => Pair::P384(ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)?),
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(|_| GenerateKeyError::Backend)?;
                Pair::Ed25519(pair)
            }
            Algorithm::Ps256 | Algorithm::Rs256 => {
                return Err(GenerateKeyError::Unsupported(algorithm.name()));
            }
        };
        Self::of_pair(pair).map_err(|_| GenerateKeyError::Backend)
    }

    /// Reads one PEM block `PRIVATE KEY` (RFC 7468 section 10).
    ///
    /// # Errors
    /// [`ParseKeyError`] says what the text is instead.
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, ParseKeyError> {
        Self::from_pkcs8_der(&pem::decode(text)?)
    }

    /// Reads a PKCS#8 `PrivateKeyInfo`, version 1 or 2 (RFC 5958).
    ///
    /// # Errors
    /// [`ParseKeyError::Unsupported`] or [`ParseKeyError::Damaged`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, ParseKeyError> {
        let ecdsa = |algorithm: &'static EcdsaSigningAlgorithm| {
            EcdsaKeyPair::from_pkcs8(algorithm, der).map_err(|_| ParseKeyError::Damaged)
        };
        // Importing checks that the point is on its curve and that a stored
        // public half belongs to the private one.
        let pair = match algorithm_of(der)? {
            Kind::P256 => Pair::P256(ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            Kind::P384 => Pair::P384(ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)?),
            Kind::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| ParseKeyError::Damaged)?;
                Pair::Ed25519(pair)
            }
        };
        Self::of_pair(pair)
    }

    /// The key as one PEM block, PKCS#8 version 1, which every common tool
    /// reads.
    ///
    /// # Errors
    /// [`ExportKeyError`] when the backend fails.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, ExportKeyError> {
        Ok(pem::encode(&self.to_pkcs8_der()?))
    }

    /// The key as PKCS#8 version 1.
    ///
    /// # Errors
    /// [`ExportKeyError`] when the backend fails.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, ExportKeyError> {
        let document = match &self.pair {
            Pair::Ed25519(pair) => pair.to_pkcs8v1(),
            Pair::P256(pair) | Pair::P384(pair) => pair.to_pkcs8v1(),
        };
        let document = document.map_err(|_| ExportKeyError(()))?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    fn of_pair(pair: Pair) -> Result<Self, ParseKeyError> {
        let public = match &pair {
            Pair::Ed25519(pair) => PublicKey::from_ed25519(pair.public_key().as_ref()),
            Pair::P256(pair) => PublicKey::from_ec_point(Curve::P256, pair.public_key().as_ref()),
            Pair::P384(pair) => PublicKey::from_ec_point(Curve::P384, pair.public_key().as_ref()),
        };
        let public = public.map_err(|_| ParseKeyError::Damaged)?;
        Ok(Self { pair, public })
    }
}

impl Signer for SoftwareKey {
    fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Ed25519(_) => Algorithm::EdDsa,
            Pair::P256(_) => Algorithm::Es256,
            Pair::P384(_) => Algorithm::Es384,
        }
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.try_sign(message),
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&SystemRandom::new(), message),
        };
        let signature =
            signature.map_err(|_| SignError::new("the cryptographic backend failed"))?;
        Ok(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareKey")
            .field("jkt", &self.public.thumbprint())
            .finish_non_exhaustive()
    }
}

enum Kind {
    Ed25519,
    P256,
    P384,
}

/// Reads only as far as the algorithm identifier, so that a key of another
/// kind is told from a damaged one; the backend parses the whole.
fn algorithm_of(der: &[u8]) -> Result<Kind, ParseKeyError> {
    let identifier = algorithm_identifier(der).ok_or(ParseKeyError::Damaged)?;
    match identifier {
        ID_ED25519 => Ok(Kind::Ed25519),
        ID_EC_P256 => Ok(Kind::P256),
        ID_EC_P384 => Ok(Kind::P384),
        _ => Err(ParseKeyError::Unsupported),
    }
}

/// The contents of `privateKeyAlgorithm` in a `PrivateKeyInfo`.
fn algorithm_identifier(der: &[u8]) -> Option<&[u8]> {
    let (info, rest) = sequence(der)?;
    if !rest.is_empty() {
        return None;
    }
    // version INTEGER: 0 for PKCS#8, 1 for its successor.
    let after_version = info
        .strip_prefix(&[0x02, 0x01, 0x00])
        .or_else(|| info.strip_prefix(&[0x02, 0x01, 0x01]))?;
    Some(sequence(after_version)?.0)
}

/// The contents of a DER SEQUENCE and what follows it; at most 65,535 bytes.
fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, contents) = match der.strip_prefix(&[0x30])? {
        [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [0x81, length, rest @ ..] => (usize::from(*length), rest),
        [length @ ..=0x7f, rest @ ..] => (usize::from(*length), rest),
        _ => return None,
    };
    contents.split_at_checked(length)
}

/// id-Ed25519, no parameters (RFC 8410 section 3).
const ID_ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// id-ecPublicKey with the named curve prime256v1 (RFC 5480 section 2.1.1).
const ID_EC_P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07,
];
/// id-ecPublicKey with the named curve secp384r1.
const ID_EC_P384: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22,
];

#[cfg(test)]
mod tests;
