//! Key files: PKCS#8 PEM that only its owner can read. A key that others
//! could have read is refused rather than used with a warning, because no
//! later check can tell who holds a copy.
//!
//! Symbolic links are followed when reading (secret mounts are made of
//! them) and never when writing. Ownership of the directory is not judged.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::software::{ExportKeyError, ParseKeyError, SoftwareKey};

/// No key this crate reads comes near this size.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// Why a key file could not be read or written. Messages name the file and
/// what to do; no variant carries any content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// A link that leads nowhere.
    #[error("`{path}` is a symbolic link to `{target}`, which does not exist")]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// What it points to, as stored in the link.
        target: PathBuf,
    },
    /// A file of that name exists and is not overwritten.
    #[error("`{path}` exists already, choose another name or move it away first")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The key could not be encoded for writing.
    #[error("the key for `{path}` could not be exported")]
    Export {
        /// The file that was to be written.
        path: PathBuf,
        /// The backend's failure.
        source: ExportKeyError,
    },
    /// Reading or writing failed.
    #[error("`{path}` could not be {action}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// `read`, `created` or `written`.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A directory where a file was expected.
    #[error("`{path}` is a directory, name the key file in it")]
    IsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The file's content is not a usable key.
    #[error("`{path}` is no usable private key")]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ParseKeyError,
    },
    /// No file of that name.
    #[error("`{path}` does not exist, make a key with `keybound key new`")]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// A pipe, socket or device.
    #[error("`{path}` is not a regular file, store the key in one")]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// Group or others have access to the file.
    #[error(
        "`{path}` has mode {mode:04o}, so users other than its owner may have read the key; \
         run `chmod 600 '{path}'`, and make a new key if one of them should not have it"
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than any key.
    #[error("`{path}` is larger than 16 KiB, which no private key is")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl SoftwareKey {
    /// Reads a key file: PKCS#8 PEM, a regular file or a link to one, at
    /// most 16 KiB, without any permission for group and others.
    ///
    /// # Errors
    /// [`KeyFileError`]; [`KeyFileError::Permissions`] names the command that
    /// mends the mode.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        // Looked at before it is opened, because opening a pipe would block.
        check_kind(path, &fs::metadata(path).map_err(|e| missing(path, e))?)?;
        let file = File::open(path).map_err(|source| io_error(path, "read", source))?;
        // SECURITY: the mode of the opened file counts; the name may meanwhile
        // belong to another one.
        let metadata = file
            .metadata()
            .map_err(|source| io_error(path, "read", source))?;
        check_kind(path, &metadata)?;
        check_mode(path, &metadata)?;
        let text = read(path, file)?;
        Self::from_pkcs8_pem(&text).map_err(|source| KeyFileError::NotAKey {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes the key into a new file of mode 0600, making missing parent
    /// directories with mode 0700. Nothing is ever overwritten. The key is on
    /// disk when this returns.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`] also for a symbolic link of that name,
    /// whatever it points to.
    pub fn create(&self, path: &Path) -> Result<(), KeyFileError> {
        let text = self.to_pkcs8_pem().map_err(|source| KeyFileError::Export {
            path: path.to_owned(),
            source,
        })?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(|source| io_error(parent, "created", source))?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| occupied(path, source))?;
        write(file, parent, &text).map_err(|source| {
            // Half a key is of no use to anybody; the first failure is the one
            // to report.
            let _ = fs::remove_file(path);
            io_error(path, "written", source)
        })
    }
}

fn check_kind(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyFileError> {
    if metadata.is_dir() {
        return Err(KeyFileError::IsDirectory {
            path: path.to_owned(),
        });
    }
    if !metadata.is_file() {
        return Err(KeyFileError::NotRegular {
            path: path.to_owned(),
        });
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(KeyFileError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(())
}

fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyFileError> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

fn read(path: &Path, file: File) -> Result<Zeroizing<String>, KeyFileError> {
    // Reserved at once, so that growing leaves no copies of the key behind.
    let capacity = usize::try_from(MAX_FILE_BYTES).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| io_error(path, "read", source))?;
    if bytes.len() >= capacity {
        return Err(KeyFileError::TooLarge {
            path: path.to_owned(),
        });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| KeyFileError::NotAKey {
        path: path.to_owned(),
        source: ParseKeyError::NotPem,
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn write(mut file: File, parent: &Path, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // The new name itself must survive a power loss, too.
    File::open(parent)?.sync_all()
}

fn missing(path: &Path, source: io::Error) -> KeyFileError {
    if source.kind() != io::ErrorKind::NotFound {
        return io_error(path, "read", source);
    }
    match fs::read_link(path) {
        Ok(target) => KeyFileError::DanglingLink {
            path: path.to_owned(),
            target,
        },
        Err(_) => KeyFileError::NotFound {
            path: path.to_owned(),
        },
    }
}

fn occupied(path: &Path, source: io::Error) -> KeyFileError {
    match source.kind() {
        io::ErrorKind::AlreadyExists if path.is_dir() => KeyFileError::IsDirectory {
            path: path.to_owned(),
        },
        io::ErrorKind::AlreadyExists => KeyFileError::Exists {
            path: path.to_owned(),
        },
        _ => io_error(path, "created", source),
    }
}

fn io_error(path: &Path, action: &'static str, source: io::Error) -> KeyFileError {
    KeyFileError::Io {
        path: path.to_owned(),
        action,
        source,
    }
}

#[cfg(test)]
mod tests;
