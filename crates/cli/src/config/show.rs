//! The effective configuration: every value with where it came from. Secrets
//! are shown as the place they come from, never as content.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use super::Loaded;
use super::problem::Place;
use super::source;
use super::tree::child;
use crate::output::{Report, ink, styled};

/// The answer of `keybound config show`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EffectiveConfig {
    /// The file that was read, or the variable.
    file: String,
    /// Every value, in the order of sections and keys.
    values: Vec<EffectiveValue>,
    /// Secrets that come from the environment.
    secrets: Vec<SecretOrigin>,
}

/// One value and its origin.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EffectiveValue {
    /// The key, such as `gateway.route[0].path`.
    key: String,
    /// The value.
    value: Json,
    /// `default`, the file and line, or the name of a variable.
    origin: String,
}

/// A secret and the variable it comes from.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SecretOrigin {
    /// What it is for.
    key: &'static str,
    /// The variable; its content is never shown.
    variable: &'static str,
}

impl EffectiveConfig {
    /// Collects the values of a configuration.
    pub(crate) fn of(loaded: &Loaded) -> Self {
        let document = serde_json::to_value(&loaded.file).unwrap_or(Json::Null);
        let mut values = Vec::new();
        for section in SECTIONS {
            if let Some(value) = document.get(section) {
                leaves(loaded, section, value, &mut values);
            }
        }
        Self {
            file: loaded.name.clone(),
            values,
            secrets: secrets(loaded),
        }
    }
}

impl Report for EffectiveConfig {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", styled(ink::DIM, format_args!("# {}", self.file)))?;
        let lines: Vec<(String, String)> = self
            .values
            .iter()
            .map(|value| {
                (
                    value.key.clone(),
                    format!("{} = {}", value.key, toml_value(&value.value)),
                )
            })
            .collect();
        let width = lines
            .iter()
            .map(|(_, line)| line.chars().count())
            .max()
            .unwrap_or(0)
            .min(64);
        let mut section = String::new();
        for ((key, line), value) in lines.iter().zip(&self.values) {
            let own = section_of(key);
            if own != section {
                writeln!(out)?;
                own.clone_into(&mut section);
            }
            let origin = styled(ink::DIM, format_args!("# {}", value.origin));
            writeln!(out, "{line:<width$}  {origin}")?;
        }
        for secret in &self.secrets {
            writeln!(
                out,
                "\n{} = …  # {} (not shown)",
                secret.key, secret.variable
            )?;
        }
        Ok(())
    }
}

fn secrets(loaded: &Loaded) -> Vec<SecretOrigin> {
    let variables = &loaded.secrets;
    let table = [
        (
            variables.key_encryption_key.is_some(),
            "store.key_encryption_key",
            source::KEY_ENCRYPTION_KEY,
        ),
        (
            variables.issuer_nonce_secret.is_some(),
            "issuer.nonce_secret",
            source::ISSUER_NONCE_SECRET,
        ),
        (
            variables.registration_token.is_some(),
            "issuer.registration.token",
            source::REGISTRATION_TOKEN,
        ),
        (
            variables.gateway_nonce_secret.is_some(),
            "gateway.nonce_secret",
            source::GATEWAY_NONCE_SECRET,
        ),
    ];
    table
        .into_iter()
        .filter(|(present, ..)| *present)
        .map(|(_, key, variable)| SecretOrigin { key, variable })
        .collect()
}

fn leaves(loaded: &Loaded, path: &str, value: &Json, values: &mut Vec<EffectiveValue>) {
    match value {
        Json::Object(members) => {
            // Keys of a table come before its tables, as TOML wants it.
            let is_table = |value: &Json| match value {
                Json::Array(items) => items.iter().any(Json::is_object),
                other => other.is_object(),
            };
            let (tables, keys): (Vec<_>, Vec<_>) =
                members.iter().partition(|(_, value)| is_table(value));
            for (key, member) in keys.into_iter().chain(tables) {
                leaves(loaded, &child(path, key), member, values);
            }
        }
        Json::Array(items) if items.iter().any(Json::is_object) => {
            for (position, item) in items.iter().enumerate() {
                leaves(loaded, &format!("{path}[{position}]"), item, values);
            }
        }
        leaf => values.push(EffectiveValue {
            key: path.to_owned(),
            value: leaf.clone(),
            origin: origin(loaded, path),
        }),
    }
}

fn origin(loaded: &Loaded, path: &str) -> String {
    match loaded.origin(path) {
        Place::File { line, .. } => format!("{}:{line}", loaded.name),
        other => other.at(&loaded.name),
    }
}

/// A value as TOML writes it; for strings, numbers, booleans and lists of them
/// that is how JSON writes it.
fn toml_value(value: &Json) -> String {
    match value {
        Json::Array(items) => {
            let inner: Vec<String> = items.iter().map(toml_value).collect();
            format!("[{}]", inner.join(", "))
        }
        other => other.to_string(),
    }
}

/// `gateway.route[0].path` is of the section `gateway.route[0]`.
fn section_of(key: &str) -> &str {
    key.rfind('.').map_or("", |end| &key[..end])
}

/// The sections of the file, in the order they are written.
pub(crate) const SECTIONS: [&str; 5] = ["store", "issuer", "gateway", "control", "management"];
