//! The SHA-256 of a token's text: `ath` in proofs, the key of records and events.

use std::fmt;

use aws_lc_rs::digest;

use crate::base64url;

/// SHA-256 of the ASCII text of an access token (RFC 9449 section 4.2, `ath`).
/// Not a secret: it cannot be turned back into the token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hashes a token's text.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, token);
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// A hash that was computed before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The form `ath` takes: base64url without padding, 43 characters.
    #[must_use]
    pub fn to_ath(&self) -> String {
        base64url::encode(&self.0)
    }

    /// Reads the form `ath` takes; `None` for anything else, padded forms included.
    #[must_use]
    pub fn from_ath(text: &str) -> Option<Self> {
        base64url::decode_exact(text.as_bytes()).ok().map(Self)
    }

    /// The form records and events take: 64 lower-case hex digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        self.0
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)])
            .collect()
    }

    /// Reads 64 hex digits of either case; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        if digits.len() != 32 || !rest.is_empty() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
            let nibble = |digit: u8| char::from(digit).to_digit(16);
            let value = nibble(*high)?.checked_mul(16)?.checked_add(nibble(*low)?)?;
            *byte = u8::try_from(value).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for TokenHash {
    /// The first eight hex digits: enough to recognise, short enough to read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.to_hex();
        write!(f, "sha256:{}…", hex.get(..8).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::TokenHash;

    #[test]
    fn hex_and_ath_round_trip_and_nothing_else_is_read() {
        let hash = TokenHash::of(b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
        assert_eq!(hash.to_ath(), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        assert_eq!(TokenHash::from_hex(&hash.to_hex()), Some(hash));
        assert_eq!(TokenHash::from_ath(&hash.to_ath()), Some(hash));
        for wrong in [
            "",
            "zz",
            &hash.to_hex()[1..],
            &format!("{}0", hash.to_hex()),
        ] {
            assert_eq!(TokenHash::from_hex(wrong), None);
        }
        for wrong in [hash.to_hex(), format!("{}=", hash.to_ath()), String::new()] {
            assert_eq!(TokenHash::from_ath(&wrong), None);
        }
    }
}
