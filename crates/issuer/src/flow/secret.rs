//! Shared secrets as the issuer knows them: by SHA-256 only, compared in
//! constant time over digests of equal length (so neither content nor length
//! of the stored secret shows in the time taken).
//!
//! The secrets are made by machines and hold at least 128 random bits, which is
//! why one round of a plain hash is enough; this module is not for passwords.

use std::fmt;

use aws_lc_rs::{constant_time, digest};

/// The SHA-256 digest of a secret. Has no `==`: [`SecretDigest::check`] is the
/// one comparison.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; 32]);

/// Witness that the right secret was presented.
#[derive(Debug)]
#[must_use]
pub struct SecretMatches(());

impl SecretDigest {
    /// The digest of a secret.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        Self(bytes)
    }

    /// A digest that was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A digest as 64 lower-case hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 64 || !digits.iter().all(lower) {
            return None;
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The digest as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Compares a presented secret, in time that depends on the length of the
    /// presented one alone.
    #[must_use]
    pub fn check(&self, presented: &[u8]) -> Option<SecretMatches> {
        constant_time::verify_slices_are_equal(&self.0, &Self::of(presented).0)
            .ok()
            .map(|()| SecretMatches(()))
    }
}

impl fmt::Debug for SecretDigest {
    /// Nothing of the digest: it would let a log reader test guesses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::SecretDigest;

    #[test]
    fn sc_314_only_the_same_secret_matches() {
        let digest = SecretDigest::of(b"right");
        for wrong in [&b"wrong"[..], b"", b"righ", b"right ", b"Right"] {
            assert!(digest.check(wrong).is_none());
        }
        assert!(digest.check(b"right").is_some());
        assert!(
            SecretDigest::from_hex(&digest.to_hex())
                .unwrap()
                .check(b"right")
                .is_some()
        );
        assert!(SecretDigest::from_hex(&digest.to_hex()[1..]).is_none());
        assert!(SecretDigest::from_hex(&digest.to_hex().to_uppercase()).is_none());
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", SecretDigest::of(b"x")), "SecretDigest(..)");
    }
}
