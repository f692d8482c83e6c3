//! Envoy's `X-Forwarded-Client-Cert`: elements separated by `,`, pairs by `;`, `key=value` with
//! the value quoted where it holds one of the separators.
//!
//! Only the last element is read: each hop appends its own, and only the nearest hop is
//! believed.

use super::{HeaderFault, forms};

/// What the nearest hop said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// SHA-256 of the leaf.
    pub(super) hash: Option<[u8; 32]>,
    /// The leaf, then what came with it.
    pub(super) certificates: Vec<Vec<u8>>,
}

/// Reads the last element of the field's lines.
pub(super) fn last_element(lines: &[&str]) -> Result<Element, HeaderFault> {
    let line = lines.last().ok_or(HeaderFault::Encoding)?;
    let elements = split(line, b',')?;
    let last = elements.last().ok_or(HeaderFault::Encoding)?;
    let mut element = Element::default();
    let (mut cert, mut chain) = (None, None);
    for pair in split(last, b';')? {
        let (key, value) = pair.split_once('=').ok_or(HeaderFault::Encoding)?;
        let value = unquoted(value)?;
        let is_new = if key.eq_ignore_ascii_case("hash") {
            element.hash.replace(forms::sha256_hex(&value)?).is_none()
        } else if key.eq_ignore_ascii_case("cert") {
            cert.replace(forms::escaped_pem(&value)?).is_none()
        } else if key.eq_ignore_ascii_case("chain") {
            chain.replace(forms::escaped_pem(&value)?).is_none()
        } else {
            ["by", "subject", "uri", "dns"]
                .iter()
                .any(|known| key.eq_ignore_ascii_case(known))
        };
        if !is_new {
            return Err(HeaderFault::Repeated);
        }
    }
    element.certificates = match (cert, chain) {
        (Some(cert), Some(chain)) => {
            let [leaf] = cert.as_slice() else {
                return Err(HeaderFault::Contradiction);
            };
            if chain.first() != Some(leaf) {
                return Err(HeaderFault::Contradiction);
            }
            chain
        }
        (Some(cert), None) if cert.len() == 1 => cert,
        (Some(_), None) => return Err(HeaderFault::Contradiction),
        (None, Some(chain)) => chain,
        (None, None) => Vec::new(),
    };
    if element.hash.is_none() && element.certificates.is_empty() {
        return Err(HeaderFault::Incomplete);
    }
    Ok(element)
}

/// Cuts at a separator that stands outside quotes.
fn split(text: &str, separator: u8) -> Result<Vec<&str>, HeaderFault> {
    let mut parts = Vec::new();
    let (mut start, mut is_quoted, mut is_escaped) = (0, false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if byte == separator && !is_quoted => {
                parts.push(text.get(start..index).unwrap_or_default());
                start = index + 1;
            }
            _ => {}
        }
    }
    if is_quoted {
        return Err(HeaderFault::Encoding);
    }
    parts.push(text.get(start..).unwrap_or_default());
    Ok(parts.into_iter().map(str::trim_ascii).collect())
}

/// A value without its quotes. A quote may stand at both ends only.
fn unquoted(value: &str) -> Result<String, HeaderFault> {
    let Some(rest) = value.strip_prefix('"') else {
        return match value.contains('"') {
            true => Err(HeaderFault::Encoding),
            false => Ok(value.to_owned()),
        };
    };
    let inner = rest.strip_suffix('"').ok_or(HeaderFault::Encoding)?;
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next().ok_or(HeaderFault::Encoding)?),
            '"' => return Err(HeaderFault::Encoding),
            _ => text.push(letter),
        }
    }
    Ok(text)
}
