//! Origins (RFC 6454 section 4): scheme, host and port in canonical form.
//! An opaque origin (`null`) has no value here and does not parse.

use std::fmt;
use std::str::FromStr;

use super::split::{self, Parts};
use super::{UriError, host};

/// The two schemes an address may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// The scheme's name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port used when none is written.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Scheme, host and port. Two origins are equal exactly when they name the
/// same server: case, a written default port and the spelling of an IPv6
/// address do not matter.
///
/// ```
/// use keybound_proto::uri::Origin;
///
/// let origin = Origin::parse("HTTPS://API.example.com:443")?;
/// assert_eq!(origin.to_string(), "https://api.example.com");
/// assert_eq!(origin.port(), 443);
/// # Ok::<(), keybound_proto::uri::UriError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// INVARIANT: `scheme://host` and `:port` unless it is the default one.
    text: String,
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    /// Parses `scheme://host[:port]` with nothing after it.
    ///
    /// # Errors
    /// [`UriError::HasPath`] for anything after the port, even a `/`; the
    /// other variants for what is no address at all.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parts = split::split(text)?;
        if !parts.path.is_empty() || parts.query.is_some() || parts.fragment.is_some() {
            return Err(UriError::HasPath);
        }
        Self::of_parts(&parts)
    }

    /// The canonical text, as in a browser's `Origin` field.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: lower case; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, written or default.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host and, unless it is the default one, the port: what a `Host`
    /// field or `:authority` says.
    pub fn authority(&self) -> &str {
        let prefix = match self.scheme {
            Scheme::Http => "http://",
            Scheme::Https => "https://",
        };
        self.text.strip_prefix(prefix).unwrap_or(&self.text)
    }

    /// Whether the host is this machine by its text alone: `localhost`,
    /// `127.0.0.0/8` or `[::1]`. Nothing is resolved.
    pub fn is_loopback(&self) -> bool {
        host::is_loopback(&self.host)
    }

    /// Whether credentials may be sent there: `https`, or `http` that does
    /// not leave this machine.
    pub fn is_confidential(&self) -> bool {
        self.scheme == Scheme::Https || self.is_loopback()
    }

    pub(super) fn of_parts(parts: &Parts<'_>) -> Result<Self, UriError> {
        let scheme = parts.scheme;
        let host = host::canonical(parts.host)?;
        let default = scheme.default_port();
        let port = host::port(parts.port)?.unwrap_or(default);
        let text = if port == default {
            format!("{}://{host}", scheme.name())
        } else {
            format!("{}://{host}:{port}", scheme.name())
        };
        Ok(Self {
            text,
            scheme,
            host,
            port,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.text)
    }
}

impl FromStr for Origin {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}
