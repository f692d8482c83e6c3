//! Secrets at rest: AES-256-GCM (NIST SP 800-38D) under the key-encryption key.
//!
//! What a sealed value is for and what it is called are the additional data, so
//! that a row copied to another place does not open there. Nonces are random;
//! a store seals far fewer values than the 2^32 that random 96-bit nonces allow.
//!
//! Also here: the checksum of rows that must not be damaged unnoticed. It is no
//! protection against who can write the file.
//!
//! Not here: where the key-encryption key comes from.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest;
use zeroize::Zeroizing;

use crate::error::Failure;

/// The key-encryption key, ready for use. Prints nothing of it.
pub(super) struct Sealer(RandomizedNonceKey);

/// The sealed value is not one of this key, name and place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotOurs;

impl Sealer {
    pub(super) fn new(key: &[u8; 32]) -> Result<Self, Failure> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key)
            .map_err(|_| Failure::damaged("the key-encryption key cannot be used"))?;
        Ok(Self(key))
    }

    /// The nonce, the ciphertext and the tag of `secret`, for this `place` only.
    pub(super) fn seal(&self, place: &Place<'_>, secret: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut text = Zeroizing::new(secret.to_vec());
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(place.bytes()), &mut *text)
            .map_err(|_| Failure::damaged("a secret could not be sealed"))?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    pub(super) fn open(
        &self,
        place: &Place<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotOurs> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOurs)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(place.bytes()), &mut text)
            .map_err(|_| NotOurs)?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

/// What a sealed value is for, and its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) purpose: &'a str,
    pub(super) name: &'a str,
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        [self.purpose.as_bytes(), b"\0", self.name.as_bytes()].concat()
    }
}

/// A checksum over the texts of a row, each with its length.
pub(super) fn checksum(texts: &[&str]) -> [u8; 8] {
    let mut context = digest::Context::new(&digest::SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    context
        .finish()
        .as_ref()
        .first_chunk()
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place {
        purpose: "issuer",
        name: "kb-1",
    };

    #[test]
    fn another_key_name_or_purpose_does_not_open() {
        let sealer = Sealer::new(&[1; 32]).unwrap();
        let sealed = sealer.seal(&PLACE, b"secret").unwrap();
        let other_key = Sealer::new(&[2; 32]).unwrap();
        assert!(other_key.open(&PLACE, &sealed).is_err());
        for place in [
            Place {
                name: "kb-2",
                ..PLACE
            },
            Place {
                purpose: "control",
                ..PLACE
            },
        ] {
            assert!(sealer.open(&place, &sealed).is_err());
        }
        for end in 0..sealed.len() {
            assert!(sealer.open(&PLACE, &sealed[..end]).is_err());
        }
        assert_eq!(*sealer.open(&PLACE, &sealed).unwrap(), b"secret");
    }

    #[test]
    fn a_secret_is_sealed_differently_each_time() {
        let sealer = Sealer::new(&[1; 32]).unwrap();
        let seal = || sealer.seal(&PLACE, b"secret").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn texts_do_not_flow_into_each_other() {
        assert_ne!(checksum(&["ab", "c"]), checksum(&["a", "bc"]));
    }
}
