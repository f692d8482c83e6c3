//! `keybound key new|list|show`: key files (PKCS#8 PEM, mode 0600).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use keybound_custody::{KeyFileError, OpenKeyError, SoftwareKey};
use keybound_proto::jose::{Algorithm, PublicKey, Signer};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome, chain};
use crate::input::unreadable;
use crate::output::{Report, ink, styled};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key file
    #[command(after_help = codes(&[Exit::Success, Exit::Usage]))]
    New(NewArguments),
    /// List the keys of a directory
    #[command(after_help = codes(&[Exit::Success, Exit::NotFound]))]
    List(ListArguments),
    /// Show a key: thumbprint, public JWK, where it lives
    #[command(after_help = codes(&[Exit::Success, Exit::Authentication, Exit::NotFound]))]
    Show(ShowArguments),
}

/// Arguments of `keybound key new`.
#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The key's algorithm
    #[arg(long, value_enum, default_value_t = KeyAlgorithm::Es256)]
    alg: KeyAlgorithm,

    /// The file to make [default: ~/.local/share/keybound/keys/THUMBPRINT.pem]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Arguments of `keybound key list`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// The directory [default: ~/.local/share/keybound, with everything beneath]
    directory: Option<PathBuf>,
}

/// Arguments of `keybound key show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The key: `file:PATH`, or a path
    key: String,

    /// Print a JWK set with the public key, as `jwks` of a client takes it
    #[arg(long)]
    jwks: bool,
}

/// Algorithms of keys that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyAlgorithm {
    /// ECDSA with P-256
    #[value(name = "ES256")]
    Es256,
    /// Ed25519
    #[value(name = "EdDSA")]
    EdDsa,
    /// ECDSA with P-384
    #[value(name = "ES384")]
    Es384,
}

/// A key file, public half only.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyDescription {
    /// The file.
    path: PathBuf,
    /// Where the private key lives: `file`.
    storage: &'static str,
    /// The algorithm it signs with.
    alg: &'static str,
    /// The RFC 7638 thumbprint, base64url of SHA-256.
    jkt: String,
    /// The public key as a JWK.
    jwk: serde_json::Value,
}

/// The answer of `keybound key list`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyList {
    /// The keys that can be used.
    keys: Vec<KeyDescription>,
    /// Files that look like keys and cannot be used.
    unusable: Vec<UnusableKey>,
}

/// A file that looks like a key and cannot be used.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UnusableKey {
    /// The file.
    path: PathBuf,
    /// Why it cannot be used.
    problem: String,
}

pub(crate) fn run(command: &KeyCommand, context: &Context) -> Outcome {
    match command {
        KeyCommand::New(arguments) => new(arguments, context),
        KeyCommand::List(arguments) => list(arguments, context),
        KeyCommand::Show(arguments) => show(arguments, context),
    }
}

/// A key by its URI, or by a bare path.
pub(crate) fn open(key: &str) -> Result<SoftwareKey, Failure> {
    let path = keybound_custody::file_path(key).or_else(|error| match error {
        OpenKeyError::SchemeMissing { uri } => Ok(PathBuf::from(uri)),
        other => Err(unusable(&other)),
    })?;
    load(&path)
}

/// A key file.
pub(crate) fn load(path: &Path) -> Result<SoftwareKey, Failure> {
    SoftwareKey::load(path).map_err(|error| {
        let message = chain(&error);
        match error {
            KeyFileError::NotFound { .. } => Failure::not_found(message),
            _ => Failure::authentication(message),
        }
    })
}

fn unusable(error: &OpenKeyError) -> Failure {
    Failure::authentication(chain(error))
}

/// A new key of an algorithm.
pub(crate) fn generate(algorithm: Algorithm) -> Result<SoftwareKey, Failure> {
    SoftwareKey::generate(algorithm).map_err(|error| Failure::internal(chain(&error)))
}

/// Writes a key into a new file with mode 0600.
pub(crate) fn create(key: &SoftwareKey, path: &Path) -> Result<(), Failure> {
    key.create(path)
        .map_err(|error| Failure::usage(chain(&error)))
}

/// A public key as a JWK set.
pub(crate) fn jwks(key: &PublicKey) -> String {
    let kid = key.thumbprint().to_string();
    format!(
        "{{\"keys\":[{}]}}\n",
        key.to_jwk_with(&kid, key.default_algorithm())
    )
}

fn new(arguments: &NewArguments, context: &Context) -> Outcome {
    let key = generate(arguments.alg.algorithm())?;
    let path = match &arguments.out {
        Some(path) => path.clone(),
        None => {
            let name = format!("{}.pem", key.public_key().thumbprint());
            context.data_home()?.join("keys").join(name)
        }
    };
    create(&key, &path)?;
    context.output.report(&KeyDescription::of(&key, path))?;
    context.output.note(
        "the file holds the private key: it never leaves this machine, and nobody else needs it",
    );
    Ok(Exit::Success)
}

fn list(arguments: &ListArguments, context: &Context) -> Outcome {
    let directory = match &arguments.directory {
        Some(directory) => directory.clone(),
        None => context.data_home()?,
    };
    if arguments.directory.is_some() && !directory.is_dir() {
        return Err(Failure::not_found(format!(
            "`{}` is no directory",
            directory.display()
        )));
    }
    let mut files = Vec::new();
    pem_files(&directory, &mut files)?;
    let mut found = KeyList {
        keys: Vec::new(),
        unusable: Vec::new(),
    };
    for path in files {
        match SoftwareKey::load(&path) {
            Ok(key) => found.keys.push(KeyDescription::of(&key, path)),
            Err(error) => found.unusable.push(UnusableKey {
                path,
                problem: chain(&error),
            }),
        }
    }
    context.output.report(&found)?;
    if found.keys.is_empty() && found.unusable.is_empty() {
        let shown = directory.display();
        context.output.note(format_args!(
            "no keys in {shown}; make one with `keybound key new`"
        ));
    }
    Ok(Exit::Success)
}

fn show(arguments: &ShowArguments, context: &Context) -> Outcome {
    let key = open(&arguments.key)?;
    if arguments.jwks {
        context.output.text(jwks(key.public_key()).trim_end())?;
        return Ok(Exit::Success);
    }
    let path = keybound_custody::file_path(&arguments.key)
        .unwrap_or_else(|_| PathBuf::from(&arguments.key));
    context.output.report(&KeyDescription::of(&key, path))?;
    Ok(Exit::Success)
}

/// The `.pem` files of a directory and those beneath it, by name. A directory
/// that does not exist has none.
fn pem_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let shown = format!("`{}`", directory.display());
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(&shown, &error)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.is_symlink() {
            pem_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    Ok(())
}

impl KeyAlgorithm {
    const fn algorithm(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::Es256,
            Self::EdDsa => Algorithm::EdDsa,
            Self::Es384 => Algorithm::Es384,
        }
    }
}

impl KeyDescription {
    fn of(key: &SoftwareKey, path: PathBuf) -> Self {
        let public = key.public_key();
        Self {
            path,
            storage: "file",
            alg: key.algorithm().name(),
            jkt: public.thumbprint().to_string(),
            jwk: serde_json::from_str(&public.to_jwk()).unwrap_or_default(),
        }
    }
}

impl Report for KeyDescription {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "jkt      {}", styled(ink::COPY, &self.jkt))?;
        writeln!(out, "alg      {}", self.alg)?;
        writeln!(out, "storage  {} (PKCS#8 PEM, mode 0600)", self.storage)?;
        writeln!(out, "path     {}", self.path.display())?;
        writeln!(out, "jwk      {}", self.jwk)
    }
}

impl Report for KeyList {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for key in &self.keys {
            writeln!(
                out,
                "{}  {:<5}  {}",
                styled(ink::COPY, &key.jkt),
                key.alg,
                key.path.display()
            )?;
        }
        for file in &self.unusable {
            writeln!(out, "{} {}", styled(ink::BAD, "unusable:"), file.problem)?;
        }
        Ok(())
    }
}
