//! Who a workload is: workload identifiers (draft-ietf-wimse-identifier) and the
//! trust domains that may name them.
//!
//! An identifier is one URI, compared whole and byte by byte. So that no two texts
//! can be thought to name one workload, one spelling of each is taken and every
//! other refused: lower-case scheme and trust domain, no dot segments, no empty
//! segments, percent-encoding in upper case and only where RFC 3986 needs it.
//! Nothing is normalised, decoded or matched by prefix.
//!
//! The origin of an identifier is its scheme *and* its trust domain: whoever may
//! speak for `spiffe://example.org` may not speak for `wimse://example.org`.
//!
//! This module does not know keys. Trust domains are names, never hosts to connect
//! to.

use std::{fmt, str::FromStr};

/// The longest identifier that is taken, in bytes. The draft asks for at least as much.
pub const MAX_IDENTIFIER_BYTES: usize = 2048;

/// The longest name of a trust domain, in bytes (SPIFFE ID section 2.4).
pub const MAX_TRUST_DOMAIN_BYTES: usize = 255;

/// The scheme of SPIFFE IDs.
pub const SPIFFE: &str = "spiffe";

/// The scheme the WIMSE working group registers.
pub const WIMSE: &str = "wimse";

/// Why a text is no acceptable identifier or trust domain. It holds nothing of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierError {
    /// The trust domain is missing, has a character beyond `a-z 0-9 . - _`, or is a
    /// user, a port or an IPv6 literal.
    Authority,
    /// `.` or `..` as a segment of the path.
    DotSegment,
    /// Two slashes in a row, or one at the end.
    EmptySegment,
    /// No path where one workload is to be named.
    NoPath,
    /// A path where a trust domain is to be named.
    Path,
    /// A character that may not stand in a path, or percent-encoding that is malformed, in
    /// lower case or not needed.
    PathCharacter,
    /// A query or a fragment.
    QueryOrFragment,
    /// No scheme followed by `://`, one in upper case, or another than the profile's.
    Scheme,
    /// Longer than [`MAX_IDENTIFIER_BYTES`], or a trust domain beyond
    /// [`MAX_TRUST_DOMAIN_BYTES`].
    TooLong,
}

impl fmt::Display for IdentifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => {
                "the trust domain is missing or has other characters than `a-z 0-9 . - _`"
            }
            Self::DotSegment => "the path has a segment `.` or `..`",
            Self::EmptySegment => "the path has an empty segment or ends with `/`",
            Self::NoPath => "the identifier names no workload: it has no path",
            Self::Path => "a trust domain has no path",
            Self::PathCharacter => {
                "the path has a character that may not stand there, or needless percent-encoding"
            }
            Self::QueryOrFragment => "the identifier has a query or a fragment",
            Self::Scheme => "the scheme is missing, in upper case or not the expected one",
            Self::TooLong => "the identifier is too long",
        })
    }
}

impl std::error::Error for IdentifierError {}

/// A trust domain with its scheme: the origin of an identifier, for example
/// `spiffe://example.org`.
///
/// ```
/// use keybound_proto::workload::TrustDomain;
///
/// let domain = TrustDomain::parse("spiffe://example.org")?;
/// assert_eq!((domain.scheme(), domain.name()), ("spiffe", "example.org"));
/// assert_ne!(domain, TrustDomain::parse("wimse://example.org")?);
/// # Ok::<(), keybound_proto::workload::IdentifierError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain {
    // INVARIANT: scheme, `://` and name, nothing else.
    text: String,
}

impl TrustDomain {
    /// Parses scheme and trust domain, without a path.
    ///
    /// # Errors
    /// [`IdentifierError`]
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let parts = Parts::split(text)?;
        if !parts.path.is_empty() {
            return Err(IdentifierError::Path);
        }
        Ok(Self {
            text: text.to_owned(),
        })
    }

    /// The trust domain `name` of this scheme.
    ///
    /// # Errors
    /// [`IdentifierError`]
    pub fn new(scheme: &str, name: &str) -> Result<Self, IdentifierError> {
        Self::parse(&format!("{scheme}://{name}"))
    }

    /// The scheme, for example `spiffe`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.split().0
    }

    /// The name, for example `example.org`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.split().1
    }

    /// Scheme and name as a URI: `spiffe://example.org`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn split(&self) -> (&str, &str) {
        self.text.split_once("://").unwrap_or_default()
    }
}

/// The URI of one workload, equal only to the same text.
///
/// ```
/// use keybound_proto::workload::WorkloadIdentifier;
///
/// let id = WorkloadIdentifier::parse("wimse://example.com/service/pay")?;
/// assert_eq!(id.trust_domain().as_str(), "wimse://example.com");
/// assert_eq!(id.path(), "/service/pay");
/// assert!(WorkloadIdentifier::parse("wimse://example.com/service/./pay").is_err());
/// # Ok::<(), keybound_proto::workload::IdentifierError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadIdentifier {
    text: String,
    /// INVARIANT: where the path begins, on a character boundary; determined by `text`.
    path_start: usize,
}

impl WorkloadIdentifier {
    /// Parses an absolute URI with a trust domain and a path.
    ///
    /// # Errors
    /// [`IdentifierError`]
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let parts = Parts::split(text)?;
        if parts.path.is_empty() {
            return Err(IdentifierError::NoPath);
        }
        check_path(parts.path, parts.scheme == SPIFFE)?;
        Ok(Self {
            text: text.to_owned(),
            path_start: parts.origin_bytes,
        })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme and trust domain as a URI.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.text.get(..self.path_start).unwrap_or_default()
    }

    /// The trust domain, with its scheme.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        TrustDomain {
            text: self.origin().to_owned(),
        }
    }

    /// Whether scheme and trust domain are exactly these.
    #[must_use]
    pub fn is_in(&self, domain: &TrustDomain) -> bool {
        self.origin() == domain.text
    }

    /// The path, with its leading `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.path_start..).unwrap_or_default()
    }
}

/// An identifier of a workload in SPIFFE (SPIFFE ID section 2).
///
/// Beside what holds for every [`WorkloadIdentifier`], the scheme is `spiffe` and the path is
/// made of `a-z A-Z 0-9 . - _` only.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId(WorkloadIdentifier);

impl SpiffeId {
    /// Parses the identifier of one workload.
    ///
    /// # Errors
    /// [`IdentifierError`]
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        Self::try_from(WorkloadIdentifier::parse(text)?)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The trust domain, with its scheme.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        self.0.trust_domain()
    }

    /// The identifier as one among those of other schemes.
    #[must_use]
    pub const fn as_workload(&self) -> &WorkloadIdentifier {
        &self.0
    }
}

impl TryFrom<WorkloadIdentifier> for SpiffeId {
    type Error = IdentifierError;

    fn try_from(id: WorkloadIdentifier) -> Result<Self, IdentifierError> {
        if id.as_str().split_once("://").map(|(scheme, _)| scheme) == Some(SPIFFE) {
            Ok(Self(id))
        } else {
            Err(IdentifierError::Scheme)
        }
    }
}

macro_rules! text_forms {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = IdentifierError;

            fn from_str(text: &str) -> Result<Self, IdentifierError> {
                Self::parse(text)
            }
        }
    )+};
}

text_forms!(TrustDomain, WorkloadIdentifier, SpiffeId);

/// A URI cut where its parts end; the path is not judged yet.
struct Parts<'a> {
    scheme: &'a str,
    path: &'a str,
    origin_bytes: usize,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, IdentifierError> {
        if text.len() > MAX_IDENTIFIER_BYTES {
            return Err(IdentifierError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(IdentifierError::Scheme)?;
        if !is_scheme(scheme) {
            return Err(IdentifierError::Scheme);
        }
        if rest.contains(['?', '#']) {
            return Err(IdentifierError::QueryOrFragment);
        }
        let path_at = rest.find('/').unwrap_or(rest.len());
        let (name, path) = rest
            .split_at_checked(path_at)
            .ok_or(IdentifierError::Authority)?;
        if name.len() > MAX_TRUST_DOMAIN_BYTES {
            return Err(IdentifierError::TooLong);
        }
        if name.is_empty() || !name.bytes().all(is_trust_domain_byte) {
            return Err(IdentifierError::Authority);
        }
        Ok(Self {
            scheme,
            path,
            origin_bytes: text.len().saturating_sub(path.len()),
        })
    }
}

/// RFC 3986 section 3.1, in lower case.
fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.')
        })
}

/// SPIFFE ID section 2.1.
const fn is_trust_domain_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
}

fn check_path(path: &str, spiffe: bool) -> Result<(), IdentifierError> {
    let segments = path
        .strip_prefix('/')
        .ok_or(IdentifierError::PathCharacter)?;
    for segment in segments.split('/') {
        match segment {
            "" => return Err(IdentifierError::EmptySegment),
            "." | ".." => return Err(IdentifierError::DotSegment),
            _ if spiffe && segment.bytes().all(is_spiffe_byte) => {}
            _ if !spiffe && is_canonical_segment(segment.as_bytes()) => {}
            _ => return Err(IdentifierError::PathCharacter),
        }
    }
    Ok(())
}

/// SPIFFE ID section 2.2.
const fn is_spiffe_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// `pchar` of RFC 3986 section 3.3 with one spelling for each octet.
fn is_canonical_segment(mut rest: &[u8]) -> bool {
    while let [byte, after @ ..] = rest {
        rest = match byte {
            b'%' => match after {
                [high, low, after @ ..] if needs_encoding(*high, *low) => after,
                _ => return false,
            },
            byte if is_unreserved(*byte) || is_sub_delimiter(*byte) => after,
            b':' | b'@' => after,
            _ => return false,
        };
    }
    true
}

/// Whether two upper-case hex digits stand for an octet that cannot stand for itself. Slashes,
/// backslashes and control characters are refused in any spelling.
fn needs_encoding(high: u8, low: u8) -> bool {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'F' => char::from(byte).to_digit(16),
        _ => None,
    };
    let (Some(high), Some(low)) = (digit(high), digit(low)) else {
        return false;
    };
    let octet = u8::try_from((high << 4) | low).unwrap_or_default();
    !octet.is_ascii_control()
        && !matches!(octet, b'/' | b'\\' | b':' | b'@')
        && !is_unreserved(octet)
        && !is_sub_delimiter(octet)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn is_sub_delimiter(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    )
}

#[cfg(test)]
mod tests {
    use super::{IdentifierError, SpiffeId, TrustDomain, WorkloadIdentifier};

    fn refused(text: &str) -> IdentifierError {
        WorkloadIdentifier::parse(text).expect_err(text)
    }

    #[test]
    fn what_is_not_one_workload_is_refused() {
        for (text, error) in [
            ("", IdentifierError::Scheme),
            ("example.org/a", IdentifierError::Scheme),
            ("spiffe:/example.org/a", IdentifierError::Scheme),
            ("SPIFFE://example.org/a", IdentifierError::Scheme),
            ("1x://example.org/a", IdentifierError::Scheme),
            ("spiffe:///a", IdentifierError::Authority),
            ("spiffe://Example.org/a", IdentifierError::Authority),
            ("spiffe://user@example.org/a", IdentifierError::Authority),
            ("spiffe://example.org:443/a", IdentifierError::Authority),
            ("wimse://[::1]/a", IdentifierError::Authority),
            ("wimse://ex%61mple.org/a", IdentifierError::Authority),
            ("spiffe://example.org", IdentifierError::NoPath),
            ("spiffe://example.org/", IdentifierError::EmptySegment),
            ("spiffe://example.org/a/", IdentifierError::EmptySegment),
            ("spiffe://example.org//a", IdentifierError::EmptySegment),
            ("spiffe://example.org/a/../b", IdentifierError::DotSegment),
            ("wimse://example.org/./b", IdentifierError::DotSegment),
            ("spiffe://example.org/a?x", IdentifierError::QueryOrFragment),
            ("wimse://example.org/a#x", IdentifierError::QueryOrFragment),
            ("spiffe://example.org/%61", IdentifierError::PathCharacter),
            ("spiffe://example.org/a~b", IdentifierError::PathCharacter),
            ("wimse://example.org/a b", IdentifierError::PathCharacter),
            ("wimse://example.org/a\\b", IdentifierError::PathCharacter),
            ("wimse://example.org/é", IdentifierError::PathCharacter),
            ("wimse://example.org/%", IdentifierError::PathCharacter),
            ("wimse://example.org/%2", IdentifierError::PathCharacter),
            ("wimse://example.org/%C3%a9", IdentifierError::PathCharacter),
        ] {
            assert_eq!(refused(text), error, "{text}");
        }
        let long = format!("spiffe://example.org/{}", "a".repeat(2028));
        assert_eq!(refused(&long), IdentifierError::TooLong);
        assert!(WorkloadIdentifier::parse(&long[..2048]).is_ok());
        let domain = "a".repeat(256);
        assert_eq!(
            refused(&format!("spiffe://{domain}/a")),
            IdentifierError::TooLong
        );
        assert!(TrustDomain::new("spiffe", &domain[1..]).is_ok());
    }

    /// Texts that some parser somewhere decodes to another workload's identifier.
    #[test]
    fn sc_178_percent_decoding_never_collapses_two_identifiers() {
        for text in [
            "wimse://example.org/service%2Fpay",
            "wimse://example.org/service/p%61y",
            "wimse://example.org/service/%70ay",
            "wimse://example.org/%2E%2E/pay",
            "wimse://example.org/pay%00",
            "wimse://example.org/pay%5C",
            "wimse://example.org/pay%0A",
        ] {
            assert_eq!(refused(text), IdentifierError::PathCharacter, "{text}");
        }
        let encoded = WorkloadIdentifier::parse("wimse://example.org/caf%C3%A9%20x").unwrap();
        assert_eq!(encoded.path(), "/caf%C3%A9%20x");
    }

    #[test]
    fn sc_178_scheme_and_trust_domain_are_one_origin() {
        let id = WorkloadIdentifier::parse("wimse://example.org/pay").unwrap();
        for other in [
            "spiffe://example.org",
            "wimse://example.org.evil.com",
            "wimse://sub.example.org",
            "wimse://example.or",
        ] {
            assert!(!id.is_in(&TrustDomain::parse(other).unwrap()), "{other}");
        }
        let own = TrustDomain::new("wimse", "example.org").unwrap();
        assert!(id.is_in(&own));
        assert_eq!(id.trust_domain(), own);
    }

    #[test]
    fn a_spiffe_id_is_of_that_scheme_only() {
        assert_eq!(
            SpiffeId::parse("wimse://example.org/a").unwrap_err(),
            IdentifierError::Scheme
        );
        let id: SpiffeId = "spiffe://example.org/ns/prod/sa/api".parse().unwrap();
        assert_eq!(id.trust_domain().name(), "example.org");
        assert_eq!(id.to_string(), "spiffe://example.org/ns/prod/sa/api");
        assert_eq!(
            format!("{id:?}"),
            "SpiffeId(spiffe://example.org/ns/prod/sa/api)"
        );
    }

    #[test]
    fn a_trust_domain_has_no_path() {
        for (text, error) in [
            ("spiffe://example.org/", IdentifierError::Path),
            ("spiffe://example.org/a", IdentifierError::Path),
            ("example.org", IdentifierError::Scheme),
            ("spiffe://", IdentifierError::Authority),
            ("spiffe://exämple.org", IdentifierError::Authority),
        ] {
            assert_eq!(TrustDomain::parse(text), Err(error), "{text}");
        }
    }
}
