//! Strict JSON objects (RFC 8259) as JOSE headers, claims and keys need them.
//!
//! RFC 7515 section 4 and RFC 7519 section 4 let a parser refuse duplicate
//! member names; this one does, at any depth and after unescaping, because two
//! readers that keep different duplicates see two different tokens. Depth,
//! members and values are bounded ([`MAX_DEPTH`], [`MAX_MEMBERS`],
//! [`MAX_VALUES`]), so a peer cannot buy stack or memory with few bytes.
//! Text without escapes is borrowed from the input.
//!
//! The typed getters of [`Object`] tell *absent* from *of another type*: a claim
//! of the wrong type is an error, never treated as missing.
//!
//! This module does not bound the size of its input, which is the caller's to
//! do, and does not keep numbers beyond what `u64`, `i64` and `f64` hold.

use std::{borrow::Cow, fmt};

use serde_json::Deserializer;

mod read;

/// Objects and arrays may be nested this deep; the outermost object counts as one.
pub const MAX_DEPTH: usize = 16;
/// One object may have this many members.
pub const MAX_MEMBERS: usize = 128;
/// One document may hold this many values, nested ones included.
pub const MAX_VALUES: usize = 4096;

/// Why bytes are not one acceptable JSON object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JsonError {
    /// Two members of one object have the same name once escapes are resolved.
    DuplicateMember,
    /// The outermost value is not an object.
    NotAnObject,
    /// Not JSON: bad syntax, bad UTF-8, an unpaired surrogate, a number beyond
    /// what a double can hold, or bytes after the object.
    Syntax,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// An object with more than [`MAX_MEMBERS`] members.
    TooManyMembers,
    /// More than [`MAX_VALUES`] values in all.
    TooManyValues,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateMember => f.write_str("a JSON object names a member twice"),
            Self::NotAnObject => f.write_str("the JSON value is not an object"),
            Self::Syntax => f.write_str("not well-formed JSON"),
            Self::TooDeep => write!(f, "JSON nested deeper than {MAX_DEPTH}"),
            Self::TooManyMembers => {
                write!(f, "a JSON object with more than {MAX_MEMBERS} members")
            }
            Self::TooManyValues => write!(f, "JSON with more than {MAX_VALUES} values"),
        }
    }
}

impl std::error::Error for JsonError {}

/// A member is there, but its value has another JSON type than the one asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrongType {
    member: Box<str>,
    expected: &'static str,
}

impl WrongType {
    /// The member's name.
    #[must_use]
    pub fn member(&self) -> &str {
        &self.member
    }

    /// What the value should have been, in words: `a string`.
    #[must_use]
    pub const fn expected(&self) -> &'static str {
        self.expected
    }
}

impl fmt::Display for WrongType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.member, self.expected)
    }
}

impl std::error::Error for WrongType {}

/// One JSON value; text is borrowed from the input where it has no escapes.
///
/// `Debug` shows the type only, because what is parsed may hold secrets: a
/// peer's private key in a `jwk`, a client secret in a registration.
#[derive(Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer from 0 to 2^64 - 1.
    Unsigned(u64),
    /// A negative integer down to -2^63.
    Signed(i64),
    /// Any other number: with a fraction, an exponent, or beyond 64 bits.
    Float(f64),
    /// Text with its escapes resolved.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(Object<'a>),
}

impl<'a> Value<'a> {
    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The number, if this is an integer from 0 to 2^64 - 1.
    #[must_use]
    pub const fn as_unsigned(&self) -> Option<u64> {
        if let Self::Unsigned(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The object, if this is one.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object<'a>> {
        if let Self::Object(object) = self {
            Some(object)
        } else {
            None
        }
    }

    /// The elements, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(elements) = self {
            Some(elements)
        } else {
            None
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Bool(_) => f.write_str("Bool"),
            Self::Unsigned(_) => f.write_str("Unsigned"),
            Self::Signed(_) => f.write_str("Signed"),
            Self::Float(_) => f.write_str("Float"),
            Self::String(_) => f.write_str("String"),
            Self::Array(elements) => elements.fmt(f),
            Self::Object(object) => object.fmt(f),
        }
    }
}

/// An object whose member names are pairwise different.
///
/// `Debug` shows the members' names and the types of their values.
#[derive(Clone, Default, PartialEq)]
pub struct Object<'a> {
    // INVARIANT: names are unique; only `read` fills this.
    members: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Object<'a> {
    /// Parses `text`, which must be one object and nothing else but white space around it.
    ///
    /// # Errors
    /// [`JsonError`]; no part of the input is in the message.
    ///
    /// ```
    /// use keybound_proto::json::{JsonError, Object};
    ///
    /// let claims = Object::parse(br#"{"jti":"a","iat":1}"#).unwrap();
    /// assert_eq!(claims.string("jti"), Ok(Some("a")));
    /// assert_eq!(claims.unsigned("exp"), Ok(None));
    /// assert!(claims.unsigned("jti").is_err());
    ///
    /// let twice = Object::parse(br#"{"a":1,"\u0061":2}"#);
    /// assert_eq!(twice, Err(JsonError::DuplicateMember));
    /// ```
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        let mut deserializer = Deserializer::from_slice(text);
        match read::document(&mut deserializer)? {
            Value::Object(object) => Ok(object),
            Value::Null
            | Value::Bool(_)
            | Value::Unsigned(_)
            | Value::Signed(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Array(_) => Err(JsonError::NotAnObject),
        }
    }

    /// The value of the member `name`, whatever its type.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.members
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, value)| value)
    }

    /// Whether there is a member `name`, be it `null`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The members in the order of the text.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value<'a>)> {
        self.members
            .iter()
            .map(|(name, value)| (name.as_ref(), value))
    }

    /// How many members there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The text of the member `name`, if there is one.
    ///
    /// # Errors
    /// [`WrongType`] when the member is there and not a string.
    pub fn string(&self, name: &str) -> Result<Option<&str>, WrongType> {
        self.typed(name, "a string", Value::as_str)
    }

    /// The number of the member `name`, if there is one.
    ///
    /// # Errors
    /// [`WrongType`] when the member is there and not an integer from 0 to
    /// 2^64 - 1, so also for negative numbers and for `1.0`.
    pub fn unsigned(&self, name: &str) -> Result<Option<u64>, WrongType> {
        self.typed(name, "a non-negative integer", Value::as_unsigned)
    }

    /// The truth value of the member `name`, if there is one.
    ///
    /// # Errors
    /// [`WrongType`] when the member is there and neither `true` nor `false`.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, WrongType> {
        self.typed(name, "true or false", |value| {
            if let Value::Bool(truth) = value {
                Some(*truth)
            } else {
                None
            }
        })
    }

    /// The object in the member `name`, if there is one.
    ///
    /// # Errors
    /// [`WrongType`] when the member is there and not an object.
    pub fn object(&self, name: &str) -> Result<Option<&Self>, WrongType> {
        self.typed(name, "an object", Value::as_object)
    }

    /// The elements of the array in the member `name`, if there is one.
    ///
    /// # Errors
    /// [`WrongType`] when the member is there and not an array.
    pub fn array(&self, name: &str) -> Result<Option<&[Value<'a>]>, WrongType> {
        self.typed(name, "an array", Value::as_array)
    }

    /// The texts of the member `name`, which is one string or an array of
    /// strings, as `aud` is (RFC 7519 section 4.1.3).
    ///
    /// # Errors
    /// [`WrongType`] when the member is there and anything else.
    pub fn strings(&self, name: &str) -> Result<Option<Vec<&str>>, WrongType> {
        self.typed(name, "a string or an array of strings", |value| {
            if let Value::Array(elements) = value {
                elements.iter().map(Value::as_str).collect()
            } else {
                value.as_str().map(|text| vec![text])
            }
        })
    }

    fn typed<'s, T>(
        &'s self,
        member: &str,
        expected: &'static str,
        read: impl FnOnce(&'s Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, WrongType> {
        self.get(member)
            .map(|value| {
                read(value).ok_or_else(|| WrongType {
                    member: member.into(),
                    expected,
                })
            })
            .transpose()
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// `text` as a JSON string, quotes included.
///
/// ```
/// assert_eq!(keybound_proto::json::quote("a\"b\n"), r#""a\"b\n""#);
/// ```
#[must_use]
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
