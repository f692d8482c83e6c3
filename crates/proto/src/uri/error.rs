//! Why a text is not an address this product accepts, and the cause of the
//! registry where that text was a request's target. It knows no wire errors.

use std::fmt;

use crate::cause::Cause;

/// Why a text was refused as an `http` or `https` address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UriError {
    /// A `%` is not followed by two hexadecimal digits (RFC 3986 section 2.1).
    BadPercentEncoding,
    /// A byte stands where the grammar does not allow it: control bytes,
    /// spaces, non-ASCII, backslashes and the like.
    ForbiddenByte,
    /// A fragment is present where none is allowed.
    HasFragment,
    /// More than scheme, host and port was given for an origin.
    HasPath,
    /// Userinfo (`user@`) is present (RFC 9110 section 4.2.4).
    HasUserinfo,
    /// The host is missing or empty.
    HostEmpty,
    /// The host is no DNS-style name, dotted IPv4 address or IPv6 literal.
    HostMalformed,
    /// The port is no number from 1 to 65535.
    PortMalformed,
    /// No scheme and authority: a relative reference or a bare path.
    Relative,
    /// The scheme is neither `http` nor `https`.
    SchemeUnsupported,
    /// Longer than [`MAX_URL_BYTES`](super::MAX_URL_BYTES) or
    /// [`MAX_QUERY_BYTES`](super::MAX_QUERY_BYTES).
    TooLong,
}

impl UriError {
    fn text(self) -> &'static str {
        match self {
            Self::BadPercentEncoding => "a `%` is not followed by two hexadecimal digits",
            Self::ForbiddenByte => "it contains a byte that URLs must percent-encode",
            Self::HasFragment => "it has a fragment (`#`), remove it",
            Self::HasPath => "an origin is only scheme, host and port, remove the rest",
            Self::HasUserinfo => "it has userinfo (`user@`), remove it",
            Self::HostEmpty => "its host is empty",
            Self::HostMalformed => {
                "its host is neither a DNS name, a dotted IPv4 address nor a bracketed IPv6 address"
            }
            Self::PortMalformed => "its port is not a number from 1 to 65535",
            Self::Relative => "it is not absolute, it must begin with `https://` or `http://`",
            Self::SchemeUnsupported => "its scheme is neither `https` nor `http`",
            Self::TooLong => "it is too long, 2048 bytes before the query and 8192 after",
        }
    }
}

impl UriError {
    /// Why a request is refused whose origin and path make no `htu`: the path alone may fit
    /// where both together are too long.
    #[must_use]
    pub fn target_cause(self) -> Cause {
        if self == Self::TooLong {
            Cause::TargetTooLong
        } else {
            Cause::TargetAmbiguous
        }
    }
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for UriError {}
