//! Secrets in files: 32 bytes as base64url on one line, readable by their
//! owner only.
//!
//! Private keys are PEM files and belong to `keybound-custody`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use keybound_proto::base64url;
use zeroize::Zeroizing;

/// A secret of 32 bytes.
pub(crate) type Secret32 = Zeroizing<[u8; 32]>;

/// Why a secret file cannot be used. The message names the path, never the
/// content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// Others can read the file.
    #[error(
        "`{path}` can be read by others than its owner (mode {mode:04o}); run `chmod 600 {path}`"
    )]
    Exposed {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The content is not 32 bytes in base64url.
    #[error("{whence} does not hold 32 bytes in base64url (43 characters)")]
    Malformed {
        /// The file in backticks, or the variable.
        whence: String,
    },
    /// The content is empty.
    #[error("`{path}` is empty")]
    Empty {
        /// The file.
        path: String,
    },
}

/// Reads a file that only its owner may read, without its last line end.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let shown = path.display().to_string();
    let unreadable = |error| SecretError::Unreadable {
        path: shown.clone(),
        error,
    };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { path: shown, mode });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(unreadable)?);
    let trimmed = text.trim_end_matches(['\n', '\r']);
    if trimmed.is_empty() {
        return Err(SecretError::Empty { path: shown });
    }
    Ok(Zeroizing::new(trimmed.to_owned()))
}

/// Reads a secret of 32 bytes from a file.
pub(crate) fn read_secret32(path: &Path) -> Result<Secret32, SecretError> {
    let text = read_private(path)?;
    decode_secret32(&text, || format!("`{}`", path.display()))
}

/// Reads secrets of 32 bytes from a file, one on each line: the current one
/// first.
pub(crate) fn read_secrets32(path: &Path) -> Result<(Secret32, Vec<Secret32>), SecretError> {
    let text = read_private(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut secrets = lines
        .map(|line| decode_secret32(line, || format!("`{}`", path.display())))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter();
    let empty = || SecretError::Empty {
        path: path.display().to_string(),
    };
    let current = secrets.next().ok_or_else(empty)?;
    Ok((current, secrets.collect()))
}

/// Decodes a secret of 32 bytes.
pub(crate) fn decode_secret32(
    text: &str,
    whence: impl FnOnce() -> String,
) -> Result<Secret32, SecretError> {
    base64url::decode_exact::<32>(text.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| SecretError::Malformed { whence: whence() })
}

/// A new secret, or `None` when the machine has no randomness to give.
pub(crate) fn random32() -> Option<Secret32> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).ok()?;
    Some(bytes)
}

/// Writes a new file that only its owner can read. Fails when it exists.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes a directory, and those above it, that only the owner can enter. One
/// that exists already stays as it is.
pub(crate) fn make_private_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("kek");
        write_private(&path, base64url::encode(&[7; 32]).as_bytes()).expect("writes");
        assert!(read_secret32(&path).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changes the mode");
        assert!(matches!(
            read_secret32(&path),
            Err(SecretError::Exposed { mode: 0o640, .. })
        ));
    }

    #[test]
    fn one_malformed_line_refuses_a_file_of_several_secrets() {
        let directory = tempfile::tempdir().expect("a directory");
        let line = |byte| base64url::encode(&[byte; 32]);
        let write = |name: &str, text: String| {
            let path = directory.path().join(name);
            write_private(&path, text.as_bytes()).expect("writes");
            read_secrets32(&path)
        };
        for (name, text) in [
            ("short", format!("{}\nx\n", line(1))),
            ("comment", format!("# new\n{}\n", line(1))),
            ("blank", "\n \n".to_owned()),
        ] {
            assert!(write(name, text).is_err(), "{name}");
        }
        let (current, also) = write("good", format!("{}\n{}\n", line(1), line(2))).expect("reads");
        assert_eq!((*current, *also[0], also.len()), ([1; 32], [2; 32], 1));
    }

    #[test]
    fn the_message_about_a_malformed_secret_does_not_show_it() {
        let error =
            decode_secret32("hunter2", || "KEYBOUND_X".to_owned()).expect_err("is too short");
        assert!(!error.to_string().contains("hunter2"));
    }
}
