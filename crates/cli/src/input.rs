//! Text that is given as `-` (stdin) or `@file`, never as an argument: what
//! stands on a command line is in the shell's history and the process list.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::failure::Failure;

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl FromStr for Input {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('@') {
            Some("" | "-") => Ok(Self::Stdin),
            Some(path) => Ok(Self::File(PathBuf::from(path))),
            None if text == "-" => Ok(Self::Stdin),
            None => Err(
                "give `-` for standard input or `@file`; what stands on the command line is readable by others",
            ),
        }
    }
}

impl Input {
    /// Reads the text, without white space around it.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, Failure> {
        let bytes = self.read_bytes()?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Failure::usage(format!("{} is not UTF-8 text", self.shown())))?;
        Ok(Zeroizing::new(text.trim().to_owned()))
    }

    /// Reads the bytes as they are.
    pub(crate) fn read_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut bytes = Zeroizing::new(Vec::new());
        match self {
            Self::Stdin => std::io::stdin().lock().read_to_end(&mut bytes).map(drop),
            Self::File(path) => std::fs::File::open(path)
                .and_then(|mut file| file.read_to_end(&mut bytes))
                .map(drop),
        }
        .map_err(|error| unreadable(&self.shown(), &error))?;
        Ok(bytes)
    }

    fn shown(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) => format!("`{}`", path.display()),
        }
    }
}

/// The failure of a file that cannot be read.
pub(crate) fn unreadable(shown: &str, error: &std::io::Error) -> Failure {
    let message = format!("cannot read {shown}: {error}");
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::not_found(message),
        _ => Failure::usage(message),
    }
}

/// The failure of a file that cannot be written.
pub(crate) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot write `{}`: {error}", path.display()))
}
