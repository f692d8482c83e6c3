//! The text forms of a certificate in a header field. Each decoder takes one spelling of what it
//! stands for and refuses the rest.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::HeaderFault;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// RFC 4648 section 4. Padding may be left out (RFC 8941 section 4.2.7); bits behind the last
/// byte may not be set.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A Structured Fields Byte Sequence (RFC 8941 section 3.3.5): `:base64:`.
pub(super) fn byte_sequence(text: &str) -> Result<Vec<u8>, HeaderFault> {
    text.strip_prefix(':')
        .and_then(|rest| rest.strip_suffix(':'))
        .ok_or(HeaderFault::Encoding)
        .and_then(base64)
}

/// Base64 of a certificate, which is never empty.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, HeaderFault> {
    let bytes = BASE64.decode(text).map_err(|_| HeaderFault::Encoding)?;
    if bytes.is_empty() {
        return Err(HeaderFault::Encoding);
    }
    Ok(bytes)
}

/// Percent-encoding (RFC 3986 section 2.1) of ASCII text. A `+` is a `+`: base64 has them, and
/// terminators that leave it alone are common.
pub(super) fn percent_decoded(text: &str) -> Result<String, HeaderFault> {
    let mut decoded = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let mut digit = || {
                let digit = bytes
                    .next()
                    .and_then(|digit| char::from(digit).to_digit(16));
                digit.and_then(|digit| u8::try_from(digit).ok())
            };
            let (high, low) = (digit(), digit());
            high.zip(low)
                .map(|(high, low)| high << 4 | low)
                .ok_or(HeaderFault::Encoding)?
        } else {
            byte
        };
        if !byte.is_ascii() || byte == 0 {
            return Err(HeaderFault::Encoding);
        }
        decoded.push(char::from(byte));
    }
    Ok(decoded)
}

/// One or more PEM certificates (RFC 7468 section 5.1) and nothing between or around them but
/// white space, percent-encoded.
pub(super) fn escaped_pem(text: &str) -> Result<Vec<Vec<u8>>, HeaderFault> {
    let text = percent_decoded(text)?;
    let mut rest = text.trim_ascii();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (body, after) = rest
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.split_once(END))
            .ok_or(HeaderFault::Encoding)?;
        let body: String = body.split(['\r', '\n']).collect();
        found.push(base64(&body)?);
        rest = after.trim_ascii();
    }
    if found.is_empty() {
        return Err(HeaderFault::Encoding);
    }
    Ok(found)
}

/// A SHA-256 in hexadecimal digits, of either case.
pub(super) fn sha256_hex(text: &str) -> Result<[u8; 32], HeaderFault> {
    let mut digest = [0; 32];
    if text.len() != 64 {
        return Err(HeaderFault::Encoding);
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        let [high, low] = pair else {
            return Err(HeaderFault::Encoding);
        };
        let value = digit(high)
            .zip(digit(low))
            .map(|(high, low)| high << 4 | low);
        *byte = value
            .and_then(|value| u8::try_from(value).ok())
            .ok_or(HeaderFault::Encoding)?;
    }
    Ok(digest)
}
