//! `@query-param` (RFC 9421 section 2.2.8): one parameter of the query, read as
//! a form and percent-encoded again, so that its spelling does not matter.

use super::component::ComponentError;

/// The encoded value of the parameter with this encoded name.
///
/// # Errors
/// [`ComponentError`]: absent, more than once, or not text.
pub(super) fn parameter(query: &str, encoded_name: &str) -> Result<String, ComponentError> {
    let mut found = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if recode(name)? != encoded_name {
            continue;
        }
        if found.is_some() {
            return Err(ComponentError::Ambiguous);
        }
        found = Some(recode(value)?);
    }
    found.ok_or(ComponentError::Absent)
}

/// Decodes a form's name or value and encodes it in the one way.
fn recode(text: &str) -> Result<String, ComponentError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => escaped(&mut rest),
            plain => plain,
        });
    }
    let decoded = String::from_utf8(bytes).map_err(|_| ComponentError::Unprintable)?;
    let mut encoded = String::with_capacity(decoded.len());
    for byte in decoded.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(encoded)
}

/// The byte after a `%`. A `%` that begins no escape stands for itself, as in forms.
fn escaped(rest: &mut std::str::Bytes<'_>) -> u8 {
    let mut ahead = rest.clone();
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    match (digit(ahead.next()), digit(ahead.next())) {
        (Some(high), Some(low)) => {
            *rest = ahead;
            u8::try_from(high << 4 | low).unwrap_or(b'%')
        }
        _ => b'%',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_or_twice_there_has_no_value() {
        assert_eq!(parameter("", "a"), Err(ComponentError::Absent));
        assert_eq!(parameter("b=1", "a"), Err(ComponentError::Absent));
        assert_eq!(parameter("a=1&a=2", "a"), Err(ComponentError::Ambiguous));
        assert_eq!(parameter("a=1&%61=1", "a"), Err(ComponentError::Ambiguous));
        assert_eq!(parameter("a=%ff", "a"), Err(ComponentError::Unprintable));
    }

    /// The examples of RFC 9421 section 2.2.8.
    #[test]
    fn spelling_does_not_matter() {
        let query = "param=value&foo=bar&baz=batman&qux=";
        assert_eq!(parameter(query, "baz").as_deref(), Ok("batman"));
        assert_eq!(parameter(query, "qux").as_deref(), Ok(""));
        let query = "var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace\
                     &fa%C3%A7ade%22%3A%20=something";
        let value = |name| parameter(query, name);
        assert_eq!(
            value("var").as_deref(),
            Ok("this%20is%20a%20big%0Amultiline%20value")
        );
        assert_eq!(value("bar").as_deref(), Ok("with%20plus%20whitespace"));
        assert_eq!(value("fa%C3%A7ade%22%3A%20").as_deref(), Ok("something"));
        assert_eq!(parameter("a=%zz~", "a").as_deref(), Ok("%25zz%7E"));
    }
}
