//! The signature algorithms by their registered names, and sets of them.

use std::fmt;

/// An asymmetric signature algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
///
/// There is no variant for `none` or for a MAC, so nothing that holds an
/// `Algorithm` can be talked into one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// `EdDSA`, here always over Ed25519.
    EdDsa,
    /// `ES256`: ECDSA over P-256 with SHA-256.
    Es256,
    /// `ES384`: ECDSA over P-384 with SHA-384.
    Es384,
    /// `PS256`: RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    Ps256,
    /// `RS256`: RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// All algorithms, the preferred ones first.
    pub const ALL: [Self; 5] = [
        Self::Es256,
        Self::EdDsa,
        Self::Es384,
        Self::Ps256,
        Self::Rs256,
    ];

    /// The registered `alg` name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm with this exact `alg` name, case included.
    ///
    /// `Ed25519`, the fully specified name of RFC 9864, is read as [`Algorithm::EdDsa`].
    ///
    /// ```
    /// use keybound_proto::jose::Algorithm;
    ///
    /// assert_eq!(Algorithm::from_name("ES256"), Some(Algorithm::Es256));
    /// assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
    /// assert_eq!(Algorithm::from_name("es256"), None);
    /// assert_eq!(Algorithm::from_name("none"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            "PS256" => Some(Self::Ps256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::EdDsa => 1,
            Self::Es256 => 1 << 1,
            Self::Es384 => 1 << 2,
            Self::Ps256 => 1 << 3,
            Self::Rs256 => 1 << 4,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of algorithms: the allow-list of a profile.
///
/// `Display` gives the names separated by spaces, as the `algs` parameter of a
/// challenge has them (RFC 9449 section 7.1).
///
/// ```
/// use keybound_proto::jose::{Algorithm, AlgorithmSet};
///
/// assert_eq!(AlgorithmSet::PROOF_DEFAULT.to_string(), "ES256 EdDSA");
/// assert!(!AlgorithmSet::PROOF_DEFAULT.contains(Algorithm::Rs256));
/// ```
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct AlgorithmSet(u8);

impl AlgorithmSet {
    /// Proofs of possession: ES256 and EdDSA.
    pub const PROOF_DEFAULT: Self = Self::of(&[Algorithm::Es256, Algorithm::EdDsa]);
    /// Access tokens of our own issuer: ES256 and EdDSA.
    pub const TOKEN_DEFAULT: Self = Self::of(&[Algorithm::Es256, Algorithm::EdDsa]);
    /// Access tokens of other issuers: also RS256 and PS256.
    pub const FOREIGN_TOKEN_DEFAULT: Self = Self::of(&[
        Algorithm::Es256,
        Algorithm::EdDsa,
        Algorithm::Ps256,
        Algorithm::Rs256,
    ]);
    /// Everything this crate can verify.
    pub const ALL: Self = Self::of(&Algorithm::ALL);

    /// The set of the given algorithms.
    #[must_use]
    pub const fn of(algorithms: &[Algorithm]) -> Self {
        let mut bits = 0;
        let mut rest = algorithms;
        while let [first, tail @ ..] = rest {
            bits |= first.bit();
            rest = tail;
        }
        Self(bits)
    }

    /// Whether `algorithm` is in the set.
    #[must_use]
    pub const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The algorithms of the set, the preferred ones first.
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL
            .into_iter()
            .filter(move |algorithm| self.contains(*algorithm))
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(
            algorithms
                .into_iter()
                .fold(0, |bits, algorithm| bits | algorithm.bit()),
        )
    }
}

impl fmt::Display for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, algorithm) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(" ")?;
            }
            f.write_str(algorithm.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
