//! SHA-256 thumbprints of certificates (RFC 8705 section 3.1) and of their public keys.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest;

use crate::base64url;
use crate::jose::Jkt;

/// SHA-256 of a certificate's DER encoding: `x5t#S256` (RFC 8705 section 3.1).
///
/// `Display`, `Debug` and [`FromStr`] use the 43 characters of base64url that stand in `cnf`. A
/// thumbprint is public: it may be logged.
///
/// ```
/// use keybound_proto::certificate::CertificateThumbprint;
///
/// let text = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
/// let thumbprint: CertificateThumbprint = text.parse().unwrap();
/// assert_eq!(thumbprint.to_string(), text);
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CertificateThumbprint([u8; 32]);

/// SHA-256 of a certificate's `SubjectPublicKeyInfo` in DER: the same for every certificate of
/// one key, whatever the kind of the key.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpkiThumbprint([u8; 32]);

macro_rules! thumbprint {
    ($name:ident, $hashed:literal) => {
        impl $name {
            #[doc = concat!("Hashes ", $hashed, ".")]
            #[must_use]
            pub fn of(der: &[u8]) -> Self {
                Self(sha256(der))
            }

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
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&base64url::encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ThumbprintError;

            fn from_str(text: &str) -> Result<Self, ThumbprintError> {
                base64url::decode_exact(text.as_bytes())
                    .map(Self)
                    .map_err(|_| ThumbprintError)
            }
        }
    };
}

thumbprint!(CertificateThumbprint, "a certificate in DER");
thumbprint!(SpkiThumbprint, "a `SubjectPublicKeyInfo` in DER");

impl CertificateThumbprint {
    /// The same digest in the place of a key's: locks find keys and certificates by one name.
    #[must_use]
    pub const fn as_key(&self) -> Jkt {
        Jkt::from_bytes(self.0)
    }
}

/// A text is not the canonical base64url form of a SHA-256 thumbprint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ThumbprintError;

impl fmt::Display for ThumbprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SHA-256 thumbprint is 43 characters of unpadded base64url")
    }
}

impl std::error::Error for ThumbprintError {}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut copy = [0; 32];
    for (to, from) in copy.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    copy
}
