//! Distinguished names: parsed, compared as names, written as RFC 4514 text.
//!
//! Two names match when they have the same sequence of relative names, each the same set of
//! types and values (RFC 5280 section 7.1). Values that are text are compared as text, whatever
//! ASN.1 string type carries them: letters A to Z without regard to case, runs of spaces as one.
//! Beyond ASCII every character counts as it is; no Unicode normalization is done, so two
//! spellings of one letter do not match. Values that are no text match by their DER. A value
//! with a control character matches nothing.
//!
//! RFC 4514 writes the most specific relative name first; DER has it last.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use super::der;

mod text;

/// A name out of a certificate, or one an operator wrote as RFC 4514 text.
#[derive(Clone, Eq, PartialEq)]
pub struct DistinguishedName {
    /// In DER's order.
    relative: Vec<Vec<Attribute>>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Attribute {
    /// The type's object identifier, dotted.
    kind: String,
    value: Value,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Value {
    /// A whole DER element.
    Der(Vec<u8>),
    Text(String),
}

impl DistinguishedName {
    /// Whether the name has no parts, as a certificate with alternative names only has it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.relative.is_empty()
    }

    /// Whether both are the same name by RFC 5280 section 7.1, within this module's limits. An
    /// empty name matches nothing.
    ///
    /// ```
    /// use keybound_proto::certificate::DistinguishedName;
    ///
    /// let registered: DistinguishedName = "CN=Batch,O=Example\\, Inc.".parse().unwrap();
    /// assert!(registered.matches(&"cn=batch,o=example\\, inc.".parse().unwrap()));
    /// assert!(!registered.matches(&"O=Example\\, Inc.,CN=Batch".parse().unwrap()));
    /// assert!(!registered.matches(&"CN=Batch".parse().unwrap()));
    /// ```
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        match (self.prepared(), other.prepared()) {
            (Some(left), Some(right)) => !left.is_empty() && left == right,
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }

    /// The form in which equal names are equal values; `None` where a control character stands.
    fn prepared(&self) -> Option<Vec<Vec<Attribute>>> {
        let relative = self.relative.iter().map(|set| {
            let mut set = set
                .iter()
                .map(Attribute::prepared)
                .collect::<Option<Vec<_>>>()?;
            set.sort();
            Some(set)
        });
        relative.collect()
    }

    /// Reads one relative name after the other, as pairs of a dotted type and a DER value.
    pub(super) fn from_relative(relative: Vec<Vec<(String, Vec<u8>)>>) -> Option<Self> {
        let attribute = |(kind, der): (String, Vec<u8>)| {
            Value::from_der(&der).map(|value| Attribute { kind, value })
        };
        let relative = relative
            .into_iter()
            .map(|set| set.into_iter().map(attribute).collect::<Option<Vec<_>>>())
            .collect::<Option<Vec<_>>>()?;
        Some(Self { relative })
    }
}

impl Attribute {
    fn prepared(&self) -> Option<Self> {
        let value = match &self.value {
            Value::Der(der) => Value::Der(der.clone()),
            Value::Text(text) if text.chars().any(char::is_control) => return None,
            Value::Text(text) => {
                let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
                Value::Text(words.join(" ").to_ascii_lowercase())
            }
        };
        Some(Self {
            kind: self.kind.clone(),
            value,
        })
    }
}

impl Value {
    /// Text where the type's characters are certain, else the element as it is. `None` for text
    /// that breaks the rules of its own type.
    fn from_der(element: &[u8]) -> Option<Self> {
        let (tag, contents, rest) = der::split(element)?;
        if !rest.is_empty() {
            return None;
        }
        let text = match tag {
            UTF8_STRING => String::from_utf8(contents.to_vec()).ok()?,
            NUMERIC_STRING | PRINTABLE_STRING | IA5_STRING | VISIBLE_STRING => {
                let ascii = contents.is_ascii().then(|| contents.to_vec())?;
                String::from_utf8(ascii).ok()?
            }
            BMP_STRING => {
                let (units, rest) = contents.as_chunks::<2>();
                let units: Vec<_> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
                rest.is_empty().then(|| String::from_utf16(&units).ok())??
            }
            UNIVERSAL_STRING => {
                let (units, rest) = contents.as_chunks::<4>();
                let characters = units
                    .iter()
                    .map(|unit| char::from_u32(u32::from_be_bytes(*unit)));
                rest.is_empty()
                    .then(|| characters.collect::<Option<String>>())??
            }
            // TeletexString is read in several alphabets; it stays what it is.
            _ => return Some(Self::Der(element.to_vec())),
        };
        Some(Self::Text(text))
    }
}

const UTF8_STRING: u8 = 0x0c;
const NUMERIC_STRING: u8 = 0x12;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const VISIBLE_STRING: u8 = 0x1a;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// Why a text is not a distinguished name by RFC 4514.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DistinguishedNameError {
    /// A control character.
    Control,
    /// Nothing stands there.
    Empty,
    /// A backslash not followed by a special character or two hex digits.
    Escape,
    /// A value in `#` form that is not the hex text of one DER element, or a dotted type with
    /// another form of value.
    Hex,
    /// Longer than is read.
    Length,
    /// A space, `#` or special character that RFC 4514 section 2.4 wants escaped.
    Unescaped,
    /// A type that is neither a known short name nor a dotted object identifier.
    Type(String),
    /// The escaped bytes are not UTF-8.
    Utf8,
}

impl fmt::Display for DistinguishedNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "a distinguished name has no control characters",
            Self::Empty => "the distinguished name, or one of its values, is empty",
            Self::Escape => "a backslash stands before a special character or two hex digits",
            Self::Hex => "a value after `#` is the hex text of one DER element, and a dotted type has no other",
            Self::Length => "the distinguished name is too long",
            Self::Unescaped => "write names without spaces around `,` `+` `=`, and escape special characters by a backslash (RFC 4514)",
            Self::Type(kind) => return write!(f, "`{kind}` is no known attribute type; write its object identifier"),
            Self::Utf8 => "the escaped bytes are not UTF-8",
        })
    }
}

impl std::error::Error for DistinguishedNameError {}

impl FromStr for DistinguishedName {
    type Err = DistinguishedNameError;

    /// Reads RFC 4514 text.
    fn from_str(text: &str) -> Result<Self, DistinguishedNameError> {
        text::parse(text)
    }
}

impl fmt::Display for DistinguishedName {
    /// RFC 4514 text; control characters are written as hex pairs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, set) in self.relative.iter().rev().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            for (index, attribute) in set.iter().enumerate() {
                if index > 0 {
                    f.write_char('+')?;
                }
                text::write(attribute, f)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinguishedName({self})")
    }
}

#[cfg(test)]
mod tests;
