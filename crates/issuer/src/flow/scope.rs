//! Scopes (RFC 6749 section 3.3): parsing in linear time, limits, and the
//! intersection of what is asked, what the client may have and what the
//! resource knows.
//!
//! Scopes are compared exactly. This module gives no scope a meaning.

use std::fmt;

use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;

/// The most scopes one request, client or resource may name.
pub const MAX_SCOPES: usize = 64;
/// The longest scope text, in bytes.
pub const MAX_SCOPE_BYTES: usize = 4096;

/// A set of scopes: sorted, without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Reads a space-separated list as it stands in a request.
    ///
    /// # Errors
    /// [`Cause::ScopeInvalid`] for characters outside RFC 6749 section 3.3,
    /// doubled, leading or trailing spaces, and lists beyond the limits.
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err(Rejection::new(Cause::ScopeInvalid).expected("at most 4096 bytes"));
        }
        // Counting before splitting keeps the work bounded whatever comes.
        if text.bytes().filter(|byte| *byte == b' ').count() >= MAX_SCOPES {
            return Err(Rejection::new(Cause::ScopeInvalid).expected("at most 64 scopes"));
        }
        Self::from_tokens(text.split(' '))
    }

    /// Makes a set of single scopes, for example of a configuration list.
    ///
    /// # Errors
    /// As [`Scopes::parse`].
    pub fn from_tokens<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, Rejection> {
        let mut scopes = Vec::new();
        for token in tokens {
            if scopes.len() == MAX_SCOPES {
                return Err(Rejection::new(Cause::ScopeInvalid).expected("at most 64 scopes"));
            }
            if token.is_empty() || !token.bytes().all(is_scope_character) {
                return Err(Rejection::new(Cause::ScopeInvalid).expected(
                    "scopes of printable ASCII without quote and backslash, one space between",
                ));
            }
            scopes.push(token.to_owned());
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(Self(scopes))
    }

    /// Whether the set has no member.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the set has this scope.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0
            .binary_search_by(|known| known.as_str().cmp(scope))
            .is_ok()
    }

    /// The scopes in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The first scope of this set that `allowed` lacks.
    #[must_use]
    pub fn first_outside<'a>(&'a self, allowed: &Self) -> Option<&'a str> {
        self.iter().find(|scope| !allowed.contains(scope))
    }

    /// What both sets have.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(
            self.0
                .iter()
                .filter(|scope| other.contains(scope))
                .cloned()
                .collect(),
        )
    }

    /// What either set has.
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().cloned());
        self.0.sort_unstable();
        self.0.dedup();
        self
    }
}

impl fmt::Display for Scopes {
    /// The form a request and a token carry: one space between scopes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}

/// `scope-token` of RFC 6749 section 3.3.
const fn is_scope_character(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
mod tests {
    use super::Scopes;

    #[test]
    fn malformed_lists_are_refused() {
        for text in ["", " ", "a  b", " a", "a ", "a\"b", "a\\b", "a\tb", "ä"] {
            assert!(Scopes::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sc_313_half_a_million_scopes_are_refused_at_once() {
        let flood = vec!["a"; 500_000].join(" ");
        assert!(Scopes::parse(&flood).is_err());
        let within_bytes = vec!["a"; 65].join(" ");
        assert!(Scopes::parse(&within_bytes).is_err());
    }

    #[test]
    fn sets_are_sorted_and_compared_exactly() {
        let scopes = Scopes::parse("b a b").unwrap();
        assert_eq!(scopes.to_string(), "a b");
        assert!(!scopes.contains("A"));
        let allowed = Scopes::parse("a c").unwrap();
        assert_eq!(scopes.first_outside(&allowed), Some("b"));
        assert_eq!(scopes.intersection(&allowed).to_string(), "a");
        assert_eq!(allowed.union(&scopes).to_string(), "a b c");
    }
}
