//! Absolute `http` and `https` addresses kept exactly as they were written.
//! Identifiers such as issuers and resources are compared by their text
//! (RFC 8414 section 3.3, RFC 9728 section 3.3), so nothing is normalised
//! here; [`Htu`](super::Htu) is the type for normalised comparison.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::origin::Origin;
use super::split::split;
use super::{UriError, path};

/// An absolute address without userinfo and fragment, equal only to the same
/// text.
///
/// ```
/// use keybound_proto::uri::HttpUrl;
///
/// let issuer = HttpUrl::parse("https://auth.example.com/tenant")?;
/// assert_eq!(issuer.path(), "/tenant");
/// assert_ne!(issuer, HttpUrl::parse("https://auth.example.com/tenant/")?);
/// # Ok::<(), keybound_proto::uri::UriError>(())
/// ```
#[derive(Clone)]
pub struct HttpUrl {
    text: String,
    origin: Origin,
    /// INVARIANT: `path_start <= query_start <= text.len()`, all on
    /// character boundaries of `text`.
    path_start: usize,
    query_start: usize,
}

impl HttpUrl {
    /// Parses an absolute address.
    ///
    /// # Errors
    /// [`UriError::HasFragment`] for a fragment; the other variants for what
    /// is no acceptable address.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parts = split(text)?;
        if parts.fragment.is_some() {
            return Err(UriError::HasFragment);
        }
        path::canonical(parts.path)?;
        let origin = Origin::of_parts(&parts)?;
        let query_start = parts.before_query.len();
        Ok(Self {
            text: text.to_owned(),
            origin,
            path_start: query_start.saturating_sub(parts.path.len()),
            query_start,
        })
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text as it was given, without the query: what a holder puts into
    /// the `htu` claim (RFC 9449 section 4.2).
    pub fn without_query(&self) -> &str {
        self.text.get(..self.query_start).unwrap_or(&self.text)
    }

    /// Scheme, host and port in canonical form.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Scheme and authority as they were given.
    pub fn origin_as_given(&self) -> &str {
        self.text.get(..self.path_start).unwrap_or(&self.text)
    }

    /// The path as it was given; empty when none was.
    pub fn path(&self) -> &str {
        self.text
            .get(self.path_start..self.query_start)
            .unwrap_or("")
    }

    /// The query without its `?`.
    pub fn query(&self) -> Option<&str> {
        self.text.get(self.query_start..)?.strip_prefix('?')
    }
}

impl PartialEq for HttpUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for HttpUrl {}

impl Hash for HttpUrl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({})", self.text)
    }
}

impl FromStr for HttpUrl {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}
