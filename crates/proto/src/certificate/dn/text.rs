//! RFC 4514 text, both ways.

use std::fmt;
use std::fmt::Write as _;

use super::{Attribute, DistinguishedName, DistinguishedNameError as Error, Value};
use crate::certificate::der;

/// Short names that are registered for LDAP (RFC 4519, RFC 2985), with their identifiers.
const TYPES: [(&str, &str); 19] = [
    ("C", "2.5.4.6"),
    ("CN", "2.5.4.3"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("DNQUALIFIER", "2.5.4.46"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
    ("GENERATIONQUALIFIER", "2.5.4.44"),
    ("GIVENNAME", "2.5.4.42"),
    ("INITIALS", "2.5.4.43"),
    ("L", "2.5.4.7"),
    ("NAME", "2.5.4.41"),
    ("O", "2.5.4.10"),
    ("ORGANIZATIONIDENTIFIER", "2.5.4.97"),
    ("OU", "2.5.4.11"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("SN", "2.5.4.4"),
    ("ST", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("TITLE", "2.5.4.12"),
    ("UID", "0.9.2342.19200300.100.1.1"),
];

/// The longest text that is read.
const MAX_TEXT: usize = 4096;

pub(super) fn write(attribute: &Attribute, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let short = TYPES.iter().find(|(_, kind)| *kind == attribute.kind);
    f.write_str(short.map_or(attribute.kind.as_str(), |(name, _)| name))?;
    f.write_char('=')?;
    match (&attribute.value, short) {
        (Value::Text(text), Some(_)) => escape(text, f),
        // RFC 4514 section 2.4: a dotted type has its value in hex.
        (Value::Text(text), None) => hex(&utf8_element(text), f),
        (Value::Der(element), _) => hex(element, f),
    }
}

fn escape(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let last = text.chars().count().saturating_sub(1);
    for (index, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => write!(f, "\\{character}")?,
            '#' if index == 0 => f.write_str("\\#")?,
            ' ' if index == 0 || index == last => f.write_str("\\ ")?,
            control if control.is_control() => {
                let mut buffer = [0; 4];
                for byte in control.encode_utf8(&mut buffer).bytes() {
                    write!(f, "\\{byte:02X}")?;
                }
            }
            other => f.write_char(other)?,
        }
    }
    Ok(())
}

fn hex(element: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('#')?;
    element.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
}

/// The text as a `UTF8String`; texts of certificates are far shorter than the form allows.
fn utf8_element(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let [high, low] = length.to_be_bytes();
    let mut element = match (high, low) {
        (0, 0..=0x7f) => vec![super::UTF8_STRING, low],
        (0, _) => vec![super::UTF8_STRING, 0x81, low],
        _ => vec![super::UTF8_STRING, 0x82, high, low],
    };
    element.extend_from_slice(text.as_bytes());
    element
}

pub(super) fn parse(text: &str) -> Result<DistinguishedName, Error> {
    if text.is_empty() {
        return Err(Error::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(Error::Length);
    }
    if text.chars().any(char::is_control) {
        return Err(Error::Control);
    }
    let mut relative = Vec::new();
    let mut set = Vec::new();
    let mut rest = text;
    loop {
        let (attribute, separator, after) = attribute(rest)?;
        set.push(attribute);
        if separator != Some('+') {
            relative.push(std::mem::take(&mut set));
        }
        if separator.is_none() {
            break;
        }
        rest = after;
    }
    relative.reverse();
    Ok(DistinguishedName { relative })
}

/// One `type=value`, the separator behind it and what follows that.
fn attribute(text: &str) -> Result<(Attribute, Option<char>, &str), Error> {
    let (kind, rest) = text.split_once('=').ok_or(Error::Unescaped)?;
    let (kind, is_dotted) = attribute_type(kind)?;
    if let Some(rest) = rest.strip_prefix('#') {
        let (value, separator, after) = hex_value(rest)?;
        return Ok((Attribute { kind, value }, separator, after));
    }
    if is_dotted {
        return Err(Error::Hex);
    }
    let (value, separator, after) = text_value(rest)?;
    Ok((Attribute { kind, value }, separator, after))
}

fn attribute_type(text: &str) -> Result<(String, bool), Error> {
    let known = TYPES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    if let Some((_, kind)) = known {
        return Ok(((*kind).to_owned(), false));
    }
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    if text.contains('.') && text.split('.').all(number) {
        let known = TYPES.iter().any(|(_, kind)| *kind == text);
        return Ok((text.to_owned(), !known));
    }
    Err(Error::Type(text.to_owned()))
}

fn hex_value(text: &str) -> Result<(Value, Option<char>, &str), Error> {
    let end = text.find([',', '+']).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).ok_or(Error::Hex)?;
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return Err(Error::Hex);
    }
    let element = pairs
        .iter()
        .map(|[high, low]| hex_pair(char::from(*high), char::from(*low)))
        .collect::<Option<Vec<_>>>()
        .ok_or(Error::Hex)?;
    if !der::is_one_strict_element(&element) {
        return Err(Error::Hex);
    }
    let value = Value::from_der(&element).ok_or(Error::Hex)?;
    let mut rest = rest.chars();
    let separator = rest.next();
    Ok((value, separator, rest.as_str()))
}

fn hex_pair(high: char, low: char) -> Option<u8> {
    let value = high
        .to_digit(16)?
        .checked_mul(16)?
        .checked_add(low.to_digit(16)?)?;
    u8::try_from(value).ok()
}

/// A value in RFC 4514 section 2.4's string form, up to an unescaped `,` or `+`.
fn text_value(text: &str) -> Result<(Value, Option<char>, &str), Error> {
    if text.starts_with(' ') {
        return Err(Error::Unescaped);
    }
    let mut bytes = Vec::new();
    let mut ends_with_bare_space = false;
    let mut characters = text.chars();
    let separator = loop {
        match characters.next() {
            None => break None,
            Some(separator @ (',' | '+')) => break Some(separator),
            Some('\\') => {
                bytes.extend_from_slice(unescape(&mut characters)?.as_slice());
                ends_with_bare_space = false;
            }
            Some('"' | ';' | '<' | '>') => return Err(Error::Unescaped),
            Some(other) => {
                let mut buffer = [0; 4];
                bytes.extend_from_slice(other.encode_utf8(&mut buffer).as_bytes());
                ends_with_bare_space = other == ' ';
            }
        }
    };
    if ends_with_bare_space {
        return Err(Error::Unescaped);
    }
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::Utf8)?;
    if text.chars().any(char::is_control) {
        return Err(Error::Control);
    }
    Ok((Value::Text(text), separator, characters.as_str()))
}

/// The byte or character behind a backslash.
fn unescape(characters: &mut std::str::Chars<'_>) -> Result<Vec<u8>, Error> {
    let first = characters.next().ok_or(Error::Escape)?;
    if matches!(
        first,
        ' ' | '"' | '#' | '+' | ',' | ';' | '<' | '=' | '>' | '\\'
    ) {
        let mut buffer = [0; 4];
        return Ok(first.encode_utf8(&mut buffer).as_bytes().to_vec());
    }
    let second = characters.next().ok_or(Error::Escape)?;
    hex_pair(first, second)
        .map(|byte| vec![byte])
        .ok_or(Error::Escape)
}
