//! Opaque artefacts: `kb` + type letter + `_` + base62 body + 6 base62 digits of
//! CRC-32, and token handles `tok_…`.
//!
//! The checksum lets a scanner tell a real artefact from look-alikes offline; it
//! protects nothing. Bodies carry 256 random bits. This module does not store or
//! compare artefacts: only their SHA-256 is kept anywhere.

use std::fmt;

/// What an artefact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `kbc_`: a client secret.
    ClientSecret,
    /// `kbj_`: a join code.
    JoinCode,
    /// `kbo_`: an opaque access token.
    OpaqueAccess,
    /// `kbr_`: a refresh token.
    Refresh,
}

/// Text that is not an artefact, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtefactError {
    /// The last six digits are not the CRC-32 of what stands before them.
    Checksum,
    /// The body is not 43 or more base62 digits, or the text is too long.
    Form,
    /// The text begins with no known prefix.
    Prefix,
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKSUM_DIGITS: usize = 6;
const BODY_DIGITS: usize = 43;
const MAX_BYTES: usize = 128;

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::ClientSecret,
        Self::JoinCode,
        Self::OpaqueAccess,
        Self::Refresh,
    ];

    /// The prefix, underscore included.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ClientSecret => "kbc_",
            Self::JoinCode => "kbj_",
            Self::OpaqueAccess => "kbo_",
            Self::Refresh => "kbr_",
        }
    }
}

/// Writes an artefact over 256 random bits.
#[must_use]
pub fn generate(kind: Kind, random: &[u8; 32]) -> String {
    let mut text = String::from(kind.prefix());
    push_base62(&mut text, random, BODY_DIGITS);
    let checksum = crc32(text.as_bytes());
    push_base62(&mut text, &checksum.to_be_bytes(), CHECKSUM_DIGITS);
    text
}

/// Recognises an artefact by prefix, form and checksum.
///
/// # Errors
/// [`ArtefactError`] for anything else.
pub fn parse(text: &str) -> Result<Kind, ArtefactError> {
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| text.starts_with(kind.prefix()))
        .ok_or(ArtefactError::Prefix)?;
    if text.len() > MAX_BYTES {
        return Err(ArtefactError::Form);
    }
    let (checked, checksum) = text
        .len()
        .checked_sub(CHECKSUM_DIGITS)
        .and_then(|at| text.split_at_checked(at))
        .ok_or(ArtefactError::Form)?;
    let body = checked
        .strip_prefix(kind.prefix())
        .ok_or(ArtefactError::Form)?;
    let all_digits = text
        .strip_prefix(kind.prefix())
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if body.len() < BODY_DIGITS || !all_digits {
        return Err(ArtefactError::Form);
    }
    let mut expected = String::with_capacity(CHECKSUM_DIGITS);
    push_base62(
        &mut expected,
        &crc32(checked.as_bytes()).to_be_bytes(),
        CHECKSUM_DIGITS,
    );
    if expected == checksum {
        Ok(kind)
    } else {
        Err(ArtefactError::Checksum)
    }
}

/// A token's handle over 128 random bits: `tok_` and 22 base62 digits.
#[must_use]
pub fn token_id(random: &[u8; 16]) -> String {
    let mut text = String::from("tok_");
    push_base62(&mut text, random, 22);
    text
}

/// A grant's handle over 128 random bits: `grt_` and 22 base62 digits.
#[must_use]
pub fn grant_id(random: &[u8; 16]) -> String {
    let mut text = String::from("grt_");
    push_base62(&mut text, random, 22);
    text
}

/// Writes `bytes`, read as one big-endian number, in exactly `digits` base62 digits.
/// Enough digits for the number are the caller's constant; more significant ones are cut.
fn push_base62(text: &mut String, bytes: &[u8], digits: usize) {
    let mut number = bytes.to_vec();
    let mut reversed = Vec::with_capacity(digits);
    for _ in 0..digits {
        let mut remainder = 0_u16;
        for byte in &mut number {
            let value = remainder.wrapping_shl(8) | u16::from(*byte);
            // INVARIANT: remainder < 62, so value / 62 fits a byte.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        reversed.push(DIGITS.get(usize::from(remainder)).copied().unwrap_or(b'0'));
    }
    text.extend(reversed.iter().rev().map(|digit| char::from(*digit)));
}

/// CRC-32 as in ISO 3309 (the one of zip and PNG), reflected, bit by bit: artefacts are short.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc >>= 1_u32;
            if carry == 1 {
                crc ^= 0xedb8_8320;
            }
        }
    }
    !crc
}

impl fmt::Display for ArtefactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "the checksum does not fit",
            Self::Form => "not a prefix, 43 base62 digits and a checksum",
            Self::Prefix => "no known prefix",
        })
    }
}

impl std::error::Error for ArtefactError {}

#[cfg(test)]
mod tests {
    use super::{ArtefactError, Kind, crc32, generate, parse, token_id};

    #[test]
    fn a_changed_character_or_length_is_noticed() {
        for kind in Kind::ALL {
            let text = generate(kind, &[0xa5; 32]);
            for at in 4..text.len() {
                let mut changed = text.clone().into_bytes();
                changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
                assert!(parse(&String::from_utf8(changed).unwrap()).is_err());
            }
            assert_eq!(parse(&text[..text.len() - 1]), Err(ArtefactError::Form));
            assert!(parse(&format!("{text}0")).is_err());
            assert_eq!(parse("kbx_"), Err(ArtefactError::Prefix));
            assert_eq!(parse(&text), Ok(kind));
        }
    }

    #[test]
    fn forms_are_the_documented_ones() {
        let secret = generate(Kind::ClientSecret, &[0xff; 32]);
        assert_eq!(secret.len(), 4 + 43 + 6);
        assert_ne!(secret, generate(Kind::ClientSecret, &[0xfe; 32]));
        assert_eq!(token_id(&[0xff; 16]).len(), 4 + 22);
        assert_eq!(token_id(&[0; 16]), "tok_0000000000000000000000");
        // The check value of the CRC catalogue for the digits 1 to 9.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
