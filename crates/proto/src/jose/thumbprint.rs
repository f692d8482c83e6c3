//! JWK thumbprints (RFC 7638) with SHA-256, the `jkt` of RFC 9449 section 6.1.

use std::{fmt, str::FromStr};

use crate::base64url;

/// The SHA-256 thumbprint of a public key.
///
/// `Display`, `Debug` and [`FromStr`] use the 43 characters of base64url that
/// stand in `cnf.jkt`. A thumbprint is public: it may be logged.
///
/// ```
/// use keybound_proto::jose::Jkt;
///
/// let text = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
/// let jkt: Jkt = text.parse().unwrap();
/// assert_eq!(jkt.to_string(), text);
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Jkt([u8; 32]);

impl Jkt {
    /// The thumbprint with this digest.
    #[must_use]
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The thumbprint as a URI (RFC 9278 section 3).
    #[must_use]
    pub fn to_uri(self) -> String {
        format!("{URI_PREFIX}{self}")
    }

    /// Reads a SHA-256 thumbprint URI (RFC 9278 section 3).
    ///
    /// # Errors
    /// [`JktError`] for another prefix, another hash, or a malformed value.
    pub fn from_uri(uri: &str) -> Result<Self, JktError> {
        uri.strip_prefix(URI_PREFIX).ok_or(JktError)?.parse()
    }
}

impl fmt::Display for Jkt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for Jkt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jkt({self})")
    }
}

impl FromStr for Jkt {
    type Err = JktError;

    fn from_str(text: &str) -> Result<Self, JktError> {
        base64url::decode_exact(text.as_bytes())
            .map(Self)
            .map_err(|_| JktError)
    }
}

/// A text is not the canonical base64url form of a SHA-256 thumbprint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JktError;

impl fmt::Display for JktError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SHA-256 thumbprint is 43 characters of unpadded base64url")
    }
}

impl std::error::Error for JktError {}

const URI_PREFIX: &str = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:";
