//! Algorithms of HTTP signatures (RFC 9421 section 3.3) and shared keys.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

use crate::jose::{Algorithm, PublicKey};

/// How a signature is made.
///
/// The names are those of the registry of RFC 9421 section 6.2.2. A key that names a JOSE
/// algorithm (section 3.3.7) uses the same primitives; `PS256` has no name in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignatureAlgorithm {
    /// `ecdsa-p256-sha256`
    EcdsaP256Sha256,
    /// `ecdsa-p384-sha384`
    EcdsaP384Sha384,
    /// `ed25519`
    Ed25519,
    /// `hmac-sha256`: with a [`SharedKey`] only.
    HmacSha256,
    /// RSA-PSS with SHA-256, which only a JOSE key can ask for.
    RsaPssSha256,
    /// `rsa-pss-sha512`, with a salt of 64 bytes.
    RsaPssSha512,
    /// `rsa-v1_5-sha256`: to verify what others sign.
    RsaV15Sha256,
}

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 7] = [
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::Ed25519,
        Self::HmacSha256,
        Self::RsaPssSha256,
        Self::RsaPssSha512,
        Self::RsaV15Sha256,
    ];

    /// The name that stands in the `alg` parameter; `None` where the registry has none.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::EcdsaP256Sha256 => Some("ecdsa-p256-sha256"),
            Self::EcdsaP384Sha384 => Some("ecdsa-p384-sha384"),
            Self::Ed25519 => Some("ed25519"),
            Self::HmacSha256 => Some("hmac-sha256"),
            Self::RsaPssSha256 => None,
            Self::RsaPssSha512 => Some("rsa-pss-sha512"),
            Self::RsaV15Sha256 => Some("rsa-v1_5-sha256"),
        }
    }

    /// The algorithm with this registered name, compared exactly.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == Some(name))
    }

    /// The primitive a key's JOSE `alg` stands for (RFC 9421 section 3.3.7).
    #[must_use]
    pub const fn from_jose(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EdDsa => Self::Ed25519,
            Algorithm::Es256 => Self::EcdsaP256Sha256,
            Algorithm::Es384 => Self::EcdsaP384Sha384,
            Algorithm::Ps256 => Self::RsaPssSha256,
            Algorithm::Rs256 => Self::RsaV15Sha256,
        }
    }

    /// The algorithm for a key about which nothing else is said. RSA keys are taken for
    /// `rsa-pss-sha512`.
    #[must_use]
    pub fn of_key(key: &PublicKey) -> Self {
        match key.default_algorithm() {
            Algorithm::EdDsa => Self::Ed25519,
            Algorithm::Es256 => Self::EcdsaP256Sha256,
            Algorithm::Es384 => Self::EcdsaP384Sha384,
            Algorithm::Ps256 | Algorithm::Rs256 => Self::RsaPssSha512,
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::EcdsaP256Sha256 => 1,
            Self::EcdsaP384Sha384 => 1 << 1,
            Self::Ed25519 => 1 << 2,
            Self::HmacSha256 => 1 << 3,
            Self::RsaPssSha256 => 1 << 4,
            Self::RsaPssSha512 => 1 << 5,
            Self::RsaV15Sha256 => 1 << 6,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("PS256"))
    }
}

/// A set of algorithms: the allow-list of a policy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SignatureAlgorithms(u8);

impl SignatureAlgorithms {
    /// Elliptic curves: the default.
    pub const CURVES: Self = Self::of(&[
        SignatureAlgorithm::EcdsaP256Sha256,
        SignatureAlgorithm::EcdsaP384Sha384,
        SignatureAlgorithm::Ed25519,
    ]);
    /// Everything this crate verifies.
    pub const ALL: Self = Self::of(&SignatureAlgorithm::ALL);

    /// The set of these algorithms.
    #[must_use]
    pub const fn of(algorithms: &[SignatureAlgorithm]) -> Self {
        let mut bits = 0;
        let mut rest = algorithms;
        while let [first, after @ ..] = rest {
            bits |= first.bit();
            rest = after;
        }
        Self(bits)
    }

    /// The primitives of a set of JOSE algorithms, as routes are configured with.
    #[must_use]
    pub fn from_jose(algorithms: crate::jose::AlgorithmSet) -> Self {
        let bits = algorithms.iter().fold(0, |bits, algorithm| {
            bits | SignatureAlgorithm::from_jose(algorithm).bit()
        });
        Self(bits)
    }

    /// Whether the algorithm is in the set.
    #[must_use]
    pub const fn contains(self, algorithm: SignatureAlgorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// The algorithms of the set.
    pub fn iter(self) -> impl Iterator<Item = SignatureAlgorithm> {
        SignatureAlgorithm::ALL
            .into_iter()
            .filter(move |algorithm| self.contains(*algorithm))
    }
}

impl fmt::Display for SignatureAlgorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, algorithm) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            algorithm.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for SignatureAlgorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A key that both sides hold, for `hmac-sha256`. Whoever can verify with it can sign with it, so
/// it binds no token.
pub struct SharedKey(Zeroizing<Vec<u8>>);

/// The shortest shared key that is taken: as long as the hash (RFC 2104 section 3).
const MIN_SHARED_KEY_BYTES: usize = 32;

impl SharedKey {
    /// The key with these bytes, if there are at least 32.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= MIN_SHARED_KEY_BYTES).then(|| Self(Zeroizing::new(secret.to_vec())))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::sign(&key, message).as_ref().to_vec()
    }

    pub(super) fn verifies(&self, message: &[u8], mac: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        mac.len() == digest::SHA256_OUTPUT_LEN && hmac::verify(&key, message, mac).is_ok()
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(..)")
    }
}
