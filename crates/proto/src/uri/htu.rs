//! The HTTP target of a proof, RFC 9449 section 4.3 check 9: compared after
//! the syntax- and scheme-based normalisation of RFC 3986 sections 6.2.2 and
//! 6.2.3, ignoring query and fragment. The server's own side always comes
//! from its configured origin, never from fields a client sends.

use std::fmt;

use super::split::{check_dropped, split};
use super::{MAX_QUERY_BYTES, MAX_URL_BYTES, Origin, UriError, path};

/// An HTTP target in canonical form. Equality of two values is the `htu`
/// check.
///
/// ```
/// use keybound_proto::uri::{Htu, Origin};
///
/// let origin = Origin::parse("https://api.example.com")?;
/// let target = Htu::for_request(&origin, "/token?state=1")?;
/// assert_eq!(target, Htu::parse("HTTPS://API.EXAMPLE.COM:443/%74oken")?);
/// assert_ne!(target, Htu::parse("https://api.example.com/token/")?);
/// # Ok::<(), keybound_proto::uri::UriError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Htu {
    /// INVARIANT: canonical; scheme, authority and a path, nothing else.
    text: String,
    /// Where the path begins; determined by `text`.
    path_start: usize,
}

impl Htu {
    /// Parses the value of an `htu` claim. Query and fragment are dropped.
    ///
    /// # Errors
    /// What is not an absolute `http` or `https` address, see [`UriError`].
    pub fn parse(claim: &str) -> Result<Self, UriError> {
        let parts = split(claim)?;
        let origin = Origin::of_parts(&parts)?;
        Ok(Self::assemble(&origin, &path::canonical(parts.path)?))
    }

    /// The target of a request: the server's public origin and the request
    /// target in origin-form (RFC 9112 section 3.2.1). One allocation; the
    /// path is only rewritten when it is not canonical already.
    ///
    /// # Errors
    /// What is not a path, see [`UriError`]. Paths that are valid but
    /// ambiguous are the business of
    /// [`request_target::check`](super::request_target::check).
    pub fn for_request(origin: &Origin, path_and_query: &str) -> Result<Self, UriError> {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let length = origin.as_str().len().saturating_add(path.len());
        if length > MAX_URL_BYTES || query.is_some_and(|query| query.len() > MAX_QUERY_BYTES) {
            return Err(UriError::TooLong);
        }
        check_dropped(query)?;
        Ok(Self::assemble(origin, &path::canonical(path)?))
    }

    /// Whether an `htu` claim names this target. The same as parsing the
    /// claim and comparing, without doing so when the texts agree already.
    pub fn is_named_by(&self, claim: &str) -> Result<bool, UriError> {
        if claim == self.text {
            return Ok(true);
        }
        Ok(Self::parse(claim)? == *self)
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The canonical path: what routes and policies should be matched
    /// against, since `/%61` and `/a` are one resource.
    pub fn path(&self) -> &str {
        self.text.get(self.path_start..).unwrap_or("/")
    }

    fn assemble(origin: &Origin, canonical_path: &str) -> Self {
        let path_start = origin.as_str().len();
        let mut text = String::with_capacity(path_start.saturating_add(canonical_path.len()));
        text.push_str(origin.as_str());
        text.push_str(canonical_path);
        Self { text, path_start }
    }
}

impl fmt::Display for Htu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Htu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Htu({})", self.text)
    }
}
