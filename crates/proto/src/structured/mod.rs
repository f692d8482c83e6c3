//! Structured field values (RFC 9651, which obsoletes RFC 8941): lists,
//! dictionaries, items and their parameters, read strictly and written in the
//! one canonical form.
//!
//! Where the RFC leaves a parser a choice, this one refuses: byte sequences
//! need their padding and zero unused bits. Of members with one key the last
//! one counts, as the RFC says, and [`Dictionary::is_repeated`] and
//! [`Parameters::is_repeated`] tell, because signed fields must not have such.
//!
//! This module knows no field: which type a field has is the caller's
//! knowledge.

mod parse;
mod write;

use std::fmt;

/// Why a text is not a structured field of the type that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructuredError {
    /// The text breaks the grammar at this byte.
    Syntax {
        /// Position of the first byte that does not fit.
        at: usize,
    },
    /// More members than the caller allows.
    TooMany,
}

impl fmt::Display for StructuredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { at } => write!(f, "not a structured field, from byte {at} on"),
            Self::TooMany => f.write_str("too many members in a structured field"),
        }
    }
}

impl std::error::Error for StructuredError {}

/// A value without parameters (RFC 9651 section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BareItem {
    /// `?0` or `?1`.
    Boolean(bool),
    /// `:YQ==:`
    Bytes(Vec<u8>),
    /// `@1659578233`: seconds since the start of 1970.
    Date(i64),
    /// `4.5`, in thousandths.
    Decimal(i64),
    /// `%"f%c3%bc"`: text beyond ASCII.
    Display(String),
    /// `42`: at most 15 digits.
    Integer(i64),
    /// `"text"`: ASCII.
    String(String),
    /// `text/plain`
    Token(String),
}

impl BareItem {
    /// The text, if it is a string.
    #[must_use]
    pub fn as_string(&self) -> Option<&str> {
        let Self::String(text) = self else {
            return None;
        };
        Some(text)
    }

    /// The text, if it is a token.
    #[must_use]
    pub fn as_token(&self) -> Option<&str> {
        let Self::Token(text) = self else {
            return None;
        };
        Some(text)
    }

    /// The number, if it is an integer.
    #[must_use]
    pub const fn as_integer(&self) -> Option<i64> {
        let Self::Integer(number) = self else {
            return None;
        };
        Some(*number)
    }

    /// The bytes, if it is a byte sequence.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        let Self::Bytes(bytes) = self else {
            return None;
        };
        Some(bytes)
    }
}

/// Parameters, in the order received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    entries: Vec<(String, BareItem)>,
    repeated: bool,
}

impl Parameters {
    /// The parameter with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&BareItem> {
        let mut entries = self.entries.iter();
        entries.find(|(known, _)| known == name).map(|(_, v)| v)
    }

    /// All parameters, in the order received.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &BareItem)> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Whether a name occurred more than once.
    #[must_use]
    pub const fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// Sets a parameter: in its old place if it is there, else as the last one.
    pub fn set(&mut self, name: &str, value: BareItem) {
        match self.entries.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.entries.push((name.to_owned(), value)),
        }
    }
}

/// A value and its parameters (RFC 9651 section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The value.
    pub value: BareItem,
    /// Its parameters.
    pub parameters: Parameters,
}

/// Items in parentheses, with parameters of the whole (RFC 9651 section 3.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InnerList {
    /// The items.
    pub items: Vec<Item>,
    /// The parameters of the list.
    pub parameters: Parameters,
}

/// What lists and dictionaries are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// Items in parentheses.
    InnerList(InnerList),
    /// One item.
    Item(Item),
}

impl Member {
    /// The item, if it is one.
    #[must_use]
    pub const fn as_item(&self) -> Option<&Item> {
        match self {
            Self::Item(item) => Some(item),
            Self::InnerList(_) => None,
        }
    }

    /// The inner list, if it is one.
    #[must_use]
    pub const fn as_inner_list(&self) -> Option<&InnerList> {
        match self {
            Self::InnerList(list) => Some(list),
            Self::Item(_) => None,
        }
    }
}

/// A list (RFC 9651 section 3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List(pub Vec<Member>);

/// A dictionary (RFC 9651 section 3.2), in the order received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary {
    members: Vec<(String, Member)>,
    repeated: bool,
}

impl Dictionary {
    /// The member with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Member> {
        let mut members = self.members.iter();
        members.find(|(known, _)| known == key).map(|(_, v)| v)
    }

    /// All members, in the order received.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Member)> {
        self.members
            .iter()
            .map(|(key, member)| (key.as_str(), member))
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

    /// Whether a key occurred more than once.
    #[must_use]
    pub const fn is_repeated(&self) -> bool {
        self.repeated
    }
}

#[cfg(test)]
mod tests;
