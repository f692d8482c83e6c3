//! Base64url as RFC 7515 section 2 and RFC 4648 section 5 define it, in the one
//! canonical form: the URL-safe alphabet, no padding, unused bits zero.
//!
//! Every byte string has exactly one accepted text and every accepted text
//! stands for exactly one byte string, so text equality is byte equality
//! wherever decoded values are compared, hashed or stored.
//!
//! This module does not skip white space, does not accept the standard
//! alphabet (`+`, `/`) and does not repair input.

use std::fmt;

use base64::{
    DecodeError, DecodeSliceError, Engine,
    engine::general_purpose::{GeneralPurpose, NO_PAD},
};

/// Why a text is not canonical base64url.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Base64UrlError {
    /// A byte outside `A`-`Z`, `a`-`z`, `0`-`9`, `-`, `_`, or padding.
    Character,
    /// No byte string encodes to a text of this length, or the decoded value
    /// does not have the length the caller asked for.
    Length,
    /// The unused low bits of the last character are not zero.
    TrailingBits,
}

impl fmt::Display for Base64UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "a character outside the unpadded base64url alphabet",
            Self::Length => "a base64url value of the wrong length",
            Self::TrailingBits => "unused bits of the last base64url character are set",
        })
    }
}

impl std::error::Error for Base64UrlError {}

/// Encodes `bytes` without padding.
///
/// ```
/// assert_eq!(keybound_proto::base64url::encode(&[0xfb, 0xff]), "-_8");
/// ```
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

/// Decodes a canonical text of any length.
///
/// # Errors
/// [`Base64UrlError`] when `text` is not the canonical encoding of any bytes.
///
/// ```
/// use keybound_proto::base64url::{decode, Base64UrlError};
///
/// assert_eq!(decode(b"-_8"), Ok(vec![0xfb, 0xff]));
/// assert_eq!(decode(b"-_8="), Err(Base64UrlError::Character));
/// assert_eq!(decode(b"-_9"), Err(Base64UrlError::TrailingBits));
/// ```
pub fn decode(text: &[u8]) -> Result<Vec<u8>, Base64UrlError> {
    ENGINE.decode(text).map_err(cause)
}

/// Decodes a canonical text of exactly `N` bytes, without allocating.
///
/// # Errors
/// [`Base64UrlError::Length`] when the value is not `N` bytes long, otherwise as [`decode`].
///
/// ```
/// use keybound_proto::base64url::{decode_exact, Base64UrlError};
///
/// assert_eq!(decode_exact::<2>(b"-_8"), Ok([0xfb, 0xff]));
/// assert_eq!(decode_exact::<3>(b"-_8"), Err(Base64UrlError::Length));
/// ```
pub fn decode_exact<const N: usize>(text: &[u8]) -> Result<[u8; N], Base64UrlError> {
    let mut bytes = [0; N];
    let written = decode_into(text, &mut bytes)?;
    if written != N {
        return Err(Base64UrlError::Length);
    }
    Ok(bytes)
}

/// Decodes a canonical text into the front of `out` and says how many bytes it wrote.
///
/// # Errors
/// [`Base64UrlError::Length`] when the value does not fit `out`, otherwise as [`decode`].
/// `out` may have been written to in part.
pub fn decode_into(text: &[u8], out: &mut [u8]) -> Result<usize, Base64UrlError> {
    ENGINE.decode_slice(text, out).map_err(|error| match error {
        DecodeSliceError::DecodeError(error) => cause(error),
        DecodeSliceError::OutputSliceTooSmall => Base64UrlError::Length,
    })
}

/// Appends the encoding of `bytes` to `text`.
pub(crate) fn encode_onto(bytes: &[u8], text: &mut String) {
    ENGINE.encode_string(bytes, text);
}

/// Refuses padding and non-zero unused bits.
const ENGINE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD);

fn cause(error: DecodeError) -> Base64UrlError {
    match error {
        DecodeError::InvalidByte(..) | DecodeError::InvalidPadding => Base64UrlError::Character,
        DecodeError::InvalidLength(_) => Base64UrlError::Length,
        DecodeError::InvalidLastSymbol(..) => Base64UrlError::TrailingBits,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sc_028_refuses_every_other_spelling() {
        for (text, cause) in [
            (&b"AA=="[..], Base64UrlError::Character),
            (b"AAA=", Base64UrlError::Character),
            (b"A===", Base64UrlError::Character),
            (b"AA+A", Base64UrlError::Character),
            (b"AA/A", Base64UrlError::Character),
            (b"AA A", Base64UrlError::Character),
            (b" AAA", Base64UrlError::Character),
            (b"AAAA\n", Base64UrlError::Character),
            (b"AAAA\r\n", Base64UrlError::Character),
            (b"AA?A", Base64UrlError::Character),
            (b"AA.A", Base64UrlError::Character),
            (b"AA\0A", Base64UrlError::Character),
            ("AAé".as_bytes(), Base64UrlError::Character),
            (b"A", Base64UrlError::Length),
            (b"AAAAA", Base64UrlError::Length),
            (b"AB", Base64UrlError::TrailingBits),
            (b"AAB", Base64UrlError::TrailingBits),
        ] {
            assert_eq!(decode(text), Err(cause), "{text:?}");
        }
    }

    #[test]
    fn exact_length_is_required() {
        let text = encode(&[7; 32]);
        assert_eq!(decode_exact::<32>(text.as_bytes()), Ok([7; 32]));
        assert_eq!(
            decode_exact::<31>(text.as_bytes()),
            Err(Base64UrlError::Length)
        );
        assert_eq!(
            decode_exact::<33>(text.as_bytes()),
            Err(Base64UrlError::Length)
        );
        assert_eq!(decode_exact::<0>(b""), Ok([]));
    }

    proptest! {
        #[test]
        fn bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes()), Ok(bytes));
        }

        /// Whatever text is accepted is the one text its bytes encode to.
        #[test]
        fn accepted_text_is_canonical(text in "[A-Za-z0-9_=+/ -]{0,12}") {
            if let Ok(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }

        #[test]
        fn arbitrary_bytes_are_canonical_or_refused(text in proptest::collection::vec(any::<u8>(), 0..16)) {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes).into_bytes(), text);
            }
        }

        /// Of all last characters exactly those with zero unused bits are accepted.
        #[test]
        fn one_text_per_value(bytes in proptest::collection::vec(any::<u8>(), 1..40), last in any::<u8>()) {
            let canonical = encode(&bytes);
            let mut text = canonical.clone().into_bytes();
            *text.last_mut().unwrap() = last;
            if text != canonical.as_bytes() {
                prop_assert_ne!(decode(&text).ok(), Some(bytes));
            }
        }
    }
}
