//! Which file is read, and which variables lie over it.
//!
//! A variable `KEYBOUND_SECTION__KEY` overrides `section.key`; deeper keys have
//! more `__`. A text key takes the variable as it is; any other takes a TOML
//! value, so `KEYBOUND_GATEWAY__ROUTE='[{path = "/", …}]'` replaces the list.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::ConfigError;
use super::problem::{Place, Problem};
use super::shape::{Shape, list, nearest};
use super::tree::{Node, Value, child};
use crate::environment::Environment;

/// A document to read.
#[derive(Debug)]
pub(crate) struct Source {
    /// What messages call it.
    pub(crate) name: String,
    /// What relative paths in it start from.
    pub(crate) directory: PathBuf,
    /// The TOML text.
    pub(crate) text: String,
}

/// Secrets given in the environment. `Debug` shows none of them.
#[derive(Default)]
pub(crate) struct SecretVariables {
    pub(crate) key_encryption_key: Option<Zeroizing<String>>,
    pub(crate) gateway_nonce_secret: Option<Zeroizing<String>>,
    pub(crate) issuer_nonce_secret: Option<Zeroizing<String>>,
    pub(crate) registration_token: Option<Zeroizing<String>>,
}

/// The variable with the key that encrypts signing keys.
pub(crate) const KEY_ENCRYPTION_KEY: &str = "KEYBOUND_STORE__KEY_ENCRYPTION_KEY";
/// The variable with the gateway's nonce secret.
pub(crate) const GATEWAY_NONCE_SECRET: &str = "KEYBOUND_GATEWAY__NONCE_SECRET";
/// The variable with the issuer's nonce secret.
pub(crate) const ISSUER_NONCE_SECRET: &str = "KEYBOUND_ISSUER__NONCE_SECRET";
/// The variable with the initial access token of registration.
pub(crate) const REGISTRATION_TOKEN: &str = "KEYBOUND_ISSUER__REGISTRATION__TOKEN";

impl Source {
    /// Finds the document and reads it.
    pub(crate) fn find(
        flag: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        if let Some(path) = flag {
            return Self::read(path);
        }
        if let Some(path) = environment.path("KEYBOUND_CONFIG") {
            return Self::read(&path);
        }
        if let Some(text) = environment.text("KEYBOUND_CONFIG_TOML") {
            return Ok(Self {
                name: "KEYBOUND_CONFIG_TOML".to_owned(),
                directory: PathBuf::from("."),
                text: text.to_owned(),
            });
        }
        let usual = usual_places(environment);
        match usual.iter().find(|path| path.exists()) {
            Some(path) => Self::read(path),
            None => Err(ConfigError::Unreadable {
                message: format!(
                    "there is no configuration; looked for {}",
                    usual
                        .iter()
                        .map(|path| format!("`{}`", path.display()))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                next: "make one with `keybound init`, name one with --config, or run `keybound dev`, which needs none".to_owned(),
            }),
        }
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            message: format!(
                "cannot read the configuration `{}`: {error}",
                path.display()
            ),
            next: match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "make one with `keybound init`, or name another with --config"
                }
                std::io::ErrorKind::PermissionDenied => {
                    "run as the user who owns the file, or change its owner"
                }
                _ => "name a readable TOML file with --config",
            }
            .to_owned(),
        })?;
        let directory = path.parent().unwrap_or_else(|| Path::new("")).to_path_buf();
        Ok(Self {
            name: path.display().to_string(),
            directory,
            text,
        })
    }
}

impl SecretVariables {
    /// Takes the secrets out of the environment.
    pub(crate) fn read(environment: &Environment) -> Self {
        let secret = |name| {
            environment
                .text(name)
                .map(|text| Zeroizing::new(text.to_owned()))
        };
        Self {
            key_encryption_key: secret(KEY_ENCRYPTION_KEY),
            gateway_nonce_secret: secret(GATEWAY_NONCE_SECRET),
            issuer_nonce_secret: secret(ISSUER_NONCE_SECRET),
            registration_token: secret(REGISTRATION_TOKEN),
        }
    }
}

impl std::fmt::Debug for SecretVariables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecretVariables(…)")
    }
}

/// Lays the variables over the document; answers with those that do not fit.
pub(crate) fn overlay(
    document: &mut Node,
    shape: Shape<'_>,
    environment: &Environment,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, text) in environment.iter() {
        let Some(path) = override_path(name) else {
            continue;
        };
        if text.is_empty() {
            continue;
        }
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        match node(name, &parts, shape, text) {
            Ok(value) => {
                if let Err(part) = document.put(&parts, value) {
                    let message = format!(
                        "{name} cannot reach beneath `{part}`, which is no table in the file"
                    );
                    problems.push(Problem::new(
                        parts.join("."),
                        Place::Variable(name.to_owned()),
                        message,
                    ));
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    problems
}

/// The path of keys a variable overrides, when it is an override.
fn override_path(name: &str) -> Option<Vec<String>> {
    let secrets = [
        KEY_ENCRYPTION_KEY,
        GATEWAY_NONCE_SECRET,
        ISSUER_NONCE_SECRET,
        REGISTRATION_TOKEN,
    ];
    if secrets.contains(&name) {
        return None;
    }
    let path = name.strip_prefix("KEYBOUND_")?;
    path.contains("__")
        .then(|| path.split("__").map(str::to_lowercase).collect())
}

/// The value of a variable, of the kind its key takes.
fn node(name: &str, path: &[&str], shape: Shape<'_>, text: &str) -> Result<Node, Problem> {
    let place = || Place::Variable(name.to_owned());
    let mut here = shape;
    let mut walked = String::new();
    for part in path {
        // Only known names are walked, so a variable with a typo says so
        // instead of being ignored.
        let Some(next) = here.member(part) else {
            let full = child(&walked, part);
            let known = here.members();
            let help = match nearest(part, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("valid there: {}", list(&known)),
            };
            return Err(
                Problem::new(full.clone(), place(), format!("unknown key `{full}`")).help(help),
            );
        };
        walked = child(&walked, part);
        here = next;
    }
    if here.is_text() {
        return Ok(Node {
            place: place(),
            value: Value::String(text.to_owned()),
        });
    }
    Node::parse_variable(name, text).ok_or_else(|| {
        Problem::new(
            walked.clone(),
            place(),
            format!("`{walked}` takes {} here", here.wanted()),
        )
        .help(r#"write it as TOML: 300, true, ["a", "b"]"#)
    })
}

fn usual_places(environment: &Environment) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("/etc/keybound/keybound.toml")];
    places.extend(
        environment
            .config_home()
            .map(|home| home.join("config.toml")),
    );
    places.push(PathBuf::from("keybound.toml"));
    places
}
