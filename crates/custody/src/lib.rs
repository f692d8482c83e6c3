//! Where private keys live. A key is named by a URI and used through
//! [`Signer`]: callers hand over bytes and get a JOSE signature back, so that
//! the same code works when the key cannot leave its holder.
//!
//! This release keeps keys in files ([`SoftwareKey`], `file:PATH`): PKCS#8
//! (RFC 5208, RFC 5958) in PEM (RFC 7468), readable by their owner only.
//!
//! What this crate does not do: it keeps no passwords and reads no encrypted
//! key files, generates no RSA keys, and cannot protect a key from somebody
//! who controls the machine the process runs on.

#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod file;
mod pem;
mod software;

use std::path::PathBuf;
use std::sync::Arc;

pub use keybound_proto::jose::Signer;

pub use self::file::KeyFileError;
pub use self::software::{ExportKeyError, GenerateKeyError, ParseKeyError, SoftwareKey};

/// Why a key named by a URI could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenKeyError {
    /// The text has no scheme, as in a bare path.
    #[error("`{uri}` names no kind of key, write `file:{uri}` for a key file")]
    SchemeMissing {
        /// The text as given.
        uri: String,
    },
    /// The scheme is none this release knows.
    #[error("keys named `{scheme}:` are not supported, this release supports `file:PATH`")]
    SchemeUnsupported {
        /// The scheme as given.
        scheme: String,
    },
    /// A `file:` URI that names no local path.
    #[error("`{uri}` names no local file, write `file:PATH` or `file:///PATH`")]
    PathUnusable {
        /// The text as given.
        uri: String,
    },
    /// The file could not be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
}

/// Opens the key that `uri` names.
///
/// `file:PATH` takes the path as it stands, absolute or relative to the
/// working directory; `file:///PATH` is the absolute form. Nothing is
/// percent-decoded.
///
/// # Errors
/// [`OpenKeyError`], which names the cause and what to do.
///
/// ```no_run
/// use keybound_custody::Signer;
///
/// let key = keybound_custody::open("file:/etc/keybound/agent.pem")?;
/// println!("{}", key.public_key().thumbprint());
/// # Ok::<(), keybound_custody::OpenKeyError>(())
/// ```
pub fn open(uri: &str) -> Result<Arc<dyn Signer>, OpenKeyError> {
    let path = file_path(uri)?;
    Ok(Arc::new(SoftwareKey::load(&path)?))
}

/// The path that a `file:` URI names.
///
/// # Errors
/// Every variant of [`OpenKeyError`] but [`OpenKeyError::File`].
pub fn file_path(uri: &str) -> Result<PathBuf, OpenKeyError> {
    let Some((scheme, rest)) = split_scheme(uri) else {
        return Err(OpenKeyError::SchemeMissing {
            uri: uri.to_owned(),
        });
    };
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(OpenKeyError::SchemeUnsupported {
            scheme: scheme.to_owned(),
        });
    }
    let path = match rest.strip_prefix("//") {
        // The authority of a `file:` URI (RFC 8089 section 2) must be empty.
        Some(with_authority) if with_authority.starts_with('/') => with_authority,
        Some(_) => "",
        None => rest,
    };
    if path.is_empty() || path.contains('\0') {
        return Err(OpenKeyError::PathUnusable {
            uri: uri.to_owned(),
        });
    }
    Ok(PathBuf::from(path))
}

/// A scheme has at least two characters here, so that `C:\key.pem` is a path.
fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(letters);
    is_scheme.then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_that_name_no_key_file_say_what_to_write() {
        for (uri, message) in [
            (
                "/etc/key.pem",
                "`/etc/key.pem` names no kind of key, write `file:/etc/key.pem` for a key file",
            ),
            (
                "pkcs11:token=x",
                "keys named `pkcs11:` are not supported, this release supports `file:PATH`",
            ),
            (
                "file:",
                "`file:` names no local file, write `file:PATH` or `file:///PATH`",
            ),
            (
                "file://host/key.pem",
                "`file://host/key.pem` names no local file, write `file:PATH` or `file:///PATH`",
            ),
        ] {
            let error = open(uri).expect_err(uri);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn file_uris_name_paths() {
        for (uri, path) in [
            ("file:/etc/k.pem", "/etc/k.pem"),
            ("file:keys/k.pem", "keys/k.pem"),
            ("FILE:///etc/k.pem", "/etc/k.pem"),
            ("file:a%20b", "a%20b"),
        ] {
            assert_eq!(file_path(uri).expect(uri), PathBuf::from(path));
        }
    }
}
