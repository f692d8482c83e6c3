//! Request parameters as `application/x-www-form-urlencoded` (RFC 6749
//! appendix B), read strictly: one reading of every byte sequence, each
//! parameter at most once (RFC 6749 section 3.2), bounded in count and size.
//!
//! `resource` is the one parameter that may repeat (RFC 8707 section 2).
//! A parameter without a value counts as absent (RFC 6749 section 3.2).
//!
//! This module does not know which parameters exist; whoever reads them asks by
//! name, and what nobody asks for is ignored.

use std::borrow::Cow;
use std::fmt;

use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;

/// The most parameters one form may have.
pub const MAX_PARAMETERS: usize = 32;
/// The longest parameter name, in bytes after decoding.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest parameter value, in bytes after decoding.
pub const MAX_VALUE_BYTES: usize = 16 * 1024;

/// The parameters that may be sent more than once (RFC 8707 section 2, RFC 8693 section 2.1).
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// A form, decoded. `Debug` shows the names only: values hold secrets.
pub struct Form<'a> {
    parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Form<'a> {
    /// Reads a form body.
    ///
    /// # Errors
    /// [`Cause::ParameterInvalid`] for a byte outside the encoding, a broken
    /// percent escape, text that is not UTF-8 or holds control characters, a
    /// repeated parameter other than `resource`, or a form beyond the limits.
    pub fn parse(body: &'a [u8]) -> Result<Self, Rejection> {
        let mut form = Self {
            parameters: Vec::with_capacity(8),
        };
        if body.is_empty() {
            return Ok(form);
        }
        for pair in body.split(|byte| *byte == b'&') {
            form.push(pair)?;
        }
        Ok(form)
    }

    /// The value of a parameter; `None` where it is absent or empty.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Every value of a parameter that may repeat, in the order sent.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.parameters
            .iter()
            .filter(move |(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_ref())
    }

    fn push(&mut self, pair: &'a [u8]) -> Result<(), Rejection> {
        if self.parameters.len() == MAX_PARAMETERS {
            return Err(invalid("at most 32 parameters", "more"));
        }
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = decode(halves.next().unwrap_or_default(), MAX_NAME_BYTES)?;
        let value = decode(halves.next().unwrap_or_default(), MAX_VALUE_BYTES)?;
        if name.is_empty() {
            return Err(invalid("a name for every parameter", "none"));
        }
        if !REPEATABLE.contains(&name.as_ref())
            && self.parameters.iter().any(|(known, _)| *known == name)
        {
            return Err(Rejection::new(Cause::ParameterInvalid)
                .expected("each parameter once")
                .got(format!("{name} twice")));
        }
        self.parameters.push((name, value));
        Ok(())
    }
}

impl fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.parameters.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Decodes one name or value. Plain text is borrowed, not copied.
pub(super) fn decode(encoded: &[u8], longest: usize) -> Result<Cow<'_, str>, Rejection> {
    // Three bytes of escape are the most one decoded byte can take.
    if encoded.len() > longest.saturating_mul(3) {
        return Err(invalid("a shorter parameter", "one beyond the limit"));
    }
    let plain = !encoded.iter().any(|byte| matches!(byte, b'%' | b'+'));
    let text = if plain {
        Cow::Borrowed(std::str::from_utf8(encoded).map_err(|_| not_text())?)
    } else {
        Cow::Owned(String::from_utf8(unescape(encoded)?).map_err(|_| not_text())?)
    };
    if text.len() > longest {
        return Err(invalid("a shorter parameter", "one beyond the limit"));
    }
    if text.chars().any(char::is_control) {
        return Err(not_text());
    }
    Ok(text)
}

fn unescape(encoded: &[u8]) -> Result<Vec<u8>, Rejection> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = bytes.next().and_then(hex_digit);
                let low = bytes.next().and_then(hex_digit);
                match (high, low) {
                    (Some(high), Some(low)) => (high << 4) | low,
                    _ => return Err(invalid("two hexadecimal digits after %", "others")),
                }
            }
            other => other,
        });
    }
    Ok(decoded)
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn not_text() -> Rejection {
    invalid("UTF-8 text without control characters", "other bytes")
}

fn invalid(expected: &str, got: &str) -> Rejection {
    Rejection::new(Cause::ParameterInvalid)
        .expected(expected)
        .got(got)
}

#[cfg(test)]
mod tests {
    use super::{Form, MAX_PARAMETERS};

    fn refused(body: &[u8]) -> bool {
        Form::parse(body).is_err()
    }

    #[test]
    fn ambiguous_or_broken_forms_are_refused() {
        assert!(refused(b"scope=a&scope=b"));
        assert!(refused(b"scope=a&sc%6Fpe=b"));
        assert!(refused(b"scope=&scope=b"));
        assert!(refused(b"a=%"));
        assert!(refused(b"a=%4"));
        assert!(refused(b"a=%zz"));
        assert!(refused(b"a=%ff"));
        assert!(refused(b"a=%00"));
        assert!(refused(b"a=%0d%0a"));
        assert!(refused(b"a=1&&b=2"));
        assert!(refused(b"=1"));
        assert!(refused(b"a=1&"));
    }

    #[test]
    fn limits_hold() {
        let many = vec!["resource=x"; MAX_PARAMETERS + 1].join("&");
        assert!(refused(many.as_bytes()));
        assert!(!refused(
            &many.as_bytes()[..many.len() - "&resource=x".len()]
        ));
        assert!(refused(
            format!("a={}", "x".repeat(16 * 1024 + 1)).as_bytes()
        ));
        assert!(refused(format!("{}=x", "a".repeat(65)).as_bytes()));
    }

    #[test]
    fn values_are_decoded_once() {
        let form = Form::parse(b"a=1+2%2B%2525&b=x=y&resource=r1&resource=r2&empty=&bare").unwrap();
        assert_eq!(form.value("a"), Some("1 2+%25"));
        assert_eq!(form.value("b"), Some("x=y"));
        assert_eq!(form.value("empty"), None);
        assert_eq!(form.value("bare"), None);
        assert_eq!(form.values("resource").collect::<Vec<_>>(), ["r1", "r2"]);
    }

    #[test]
    fn debug_shows_no_value() {
        let form = Form::parse(b"client_secret=hush").unwrap();
        assert_eq!(format!("{form:?}"), r#"["client_secret"]"#);
    }
}
