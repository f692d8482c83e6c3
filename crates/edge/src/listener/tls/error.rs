//! Why TLS material cannot be used. Each message names the file and the next step, and none
//! shows what a file holds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a TLS listener does not start, or keeps its earlier files.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TlsError {
    /// Every authority has expired.
    #[error(
        "every authority in `{}` has expired, so no client could connect; put the authorities' current certificates there", path.display()
    )]
    AuthoritiesExpired {
        /// The file.
        path: PathBuf,
    },
    /// An authority's certificate is none.
    #[error(
        "`{}` holds a certificate that cannot be an authority; it takes certificates of certification authorities in PEM", path.display()
    )]
    AuthorityInvalid {
        /// The file.
        path: PathBuf,
    },
    /// A certificate file holds something else, or nothing.
    #[error(
        "`{}` holds no certificate; it takes one or more PEM blocks `BEGIN CERTIFICATE`", path.display()
    )]
    CertificateMissing {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be read.
    #[error(
        "the first certificate in `{}` is malformed; make it anew or export it again as PEM", path.display()
    )]
    CertificateInvalid {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the private key.
    #[error(
        "`{}` has mode {mode:04o}, so users other than its owner may have read the key; make a new key with mode 0600, or run `chmod 600 {}` if nobody else had access", path.display(), path.display()
    )]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No private key in the file.
    #[error(
        "`{}` holds no private key; it takes one unencrypted PEM block (PKCS#8, SEC1 or PKCS#1)", path.display()
    )]
    KeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// The key is not the certificate's.
    #[error(
        "the key in `{}` is not the key of the certificate in `{}`, or of a kind TLS does not know; name the files that belong together", key.display(), certificate.display()
    )]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The cryptographic provider has no protocol version in common with the listener.
    #[error("the cryptographic backend offers neither TLS 1.3 nor TLS 1.2")]
    Provider,
    /// A revocation list is past its `nextUpdate`.
    #[error(
        "the revocation list in `{}` is out of date, so every client would be refused; fetch the authority's current list", path.display()
    )]
    RevocationListExpired {
        /// The file.
        path: PathBuf,
    },
    /// A revocation list cannot be read.
    #[error(
        "`{}` holds no usable revocation list; it takes X.509 CRLs in PEM or DER, with `nextUpdate`", path.display()
    )]
    RevocationListInvalid {
        /// The file.
        path: PathBuf,
    },
    /// A file that is larger than any honest one.
    #[error("`{}` is larger than {limit} bytes; name the right file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file cannot be read.
    #[error("cannot read `{}`; make it readable for the user that runs this, or name another", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl TlsError {
    /// The file it is about; the key's where it is about two.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::AuthoritiesExpired { path }
            | Self::AuthorityInvalid { path }
            | Self::CertificateInvalid { path }
            | Self::CertificateMissing { path }
            | Self::KeyExposed { path, .. }
            | Self::KeyMissing { path }
            | Self::RevocationListExpired { path }
            | Self::RevocationListInvalid { path }
            | Self::TooLarge { path, .. }
            | Self::Unreadable { path, .. } => Some(path),
            Self::KeyMismatch { key, .. } => Some(key),
            Self::Provider => None,
        }
    }
}
