//! The configuration of `keybound serve`: found, read, checked, and turned
//! into valid types once, at start.
//!
//! Order of precedence: flag, environment, file, default. The steps are
//! [`source`] (which file, which variables), [`tree`] (values with their
//! places), [`shape`] (known keys and kinds), [`model`] (typed as written) and
//! [`validate`] (values that fit together, files that can be read).
//!
//! Nothing here opens a socket or asks the network.

pub(crate) mod duration;
mod later;
pub(crate) mod model;
pub(crate) mod problem;
pub(crate) mod reference;
pub(crate) mod secret;
pub(crate) mod settings;
mod shape;
pub(crate) mod show;
mod source;
mod tree;
pub(crate) mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::failure::Failure;
use model::{FileConfig, TlsSection};
use problem::{Place, Problem};
use shape::Shape;
use source::Source;
use tree::Node;

/// A configuration that was read, with where each value came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The values, typed as written, with defaults.
    pub(crate) file: FileConfig,
    /// What messages call the document.
    pub(crate) name: String,
    /// What relative paths in it start from.
    pub(crate) directory: PathBuf,
    /// Where each written value stands, by key.
    pub(crate) places: BTreeMap<String, Place>,
    /// Secrets given in the environment.
    pub(crate) secrets: source::SecretVariables,
}

/// A configuration that cannot be used.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// There is none, or it cannot be read.
    Unreadable {
        /// What is wrong.
        message: String,
        /// What to do.
        next: String,
    },
    /// It does not hold.
    Invalid {
        /// What messages call the document.
        name: String,
        /// All that is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
}

/// Finds and reads the configuration: `flag`, `KEYBOUND_CONFIG`,
/// `KEYBOUND_CONFIG_TOML`, then the usual places.
pub(crate) fn load(flag: Option<&Path>, environment: &Environment) -> Result<Loaded, ConfigError> {
    let source = Source::find(flag, environment)?;
    let invalid = |problems| ConfigError::Invalid {
        name: source.name.clone(),
        problems,
    };
    let schema = schema();
    let shape = Shape::of(&schema);
    let mut document = Node::parse(&source.text).map_err(|problem| invalid(vec![problem]))?;
    let mut problems = source::overlay(&mut document, shape, environment);
    problems.extend(shape.check(&document));
    if !problems.is_empty() {
        problems.sort_by(|one, other| one.place.cmp(&other.place));
        return Err(invalid(problems));
    }
    let file = serde_json::from_value(document.to_json()).map_err(|error| {
        // The shape check has passed everything serde knows, so this names a
        // difference between the two, not a mistake of the user.
        invalid(vec![Problem::new("", Place::Default, error.to_string())])
    })?;
    let mut places = BTreeMap::new();
    document.index("", &mut places);
    let mut loaded = Loaded {
        file,
        name: source.name,
        directory: source.directory,
        places,
        secrets: source::SecretVariables::read(environment),
    };
    loaded.fill_defaults();
    Ok(loaded)
}

/// The JSON Schema of the file.
pub(crate) fn schema() -> serde_json::Value {
    schemars::schema_for!(FileConfig).to_value()
}

impl Loaded {
    /// Where a key stands: its own place, or else that of the closest table
    /// around it that is written.
    pub(crate) fn place(&self, key: &str) -> Place {
        let mut path = key;
        loop {
            if let Some(place) = self.places.get(path) {
                return place.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return Place::Default,
            }
        }
    }

    /// Where a key stands, or the default when it is not written itself.
    pub(crate) fn origin(&self, key: &str) -> Place {
        self.places.get(key).cloned().unwrap_or(Place::Default)
    }

    /// A path of the file, from the file's directory.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// A key URI with the path of a `file:` key resolved.
    pub(crate) fn resolve_key(&self, uri: &str) -> String {
        match uri.strip_prefix("file:") {
            Some(path) => format!("file:{}", self.resolve(path).display()),
            None => uri.to_owned(),
        }
    }

    /// Fills the defaults that follow from other keys.
    fn fill_defaults(&mut self) {
        let tls = |section: Option<&mut TlsSection>, listen: &str| {
            if let Some(section) = section {
                section.listen.get_or_insert_with(|| listen.to_owned());
            }
        };
        tls(
            self.file.issuer.as_mut().and_then(|one| one.tls.as_mut()),
            "127.0.0.1:9443",
        );
        tls(
            self.file.gateway.as_mut().and_then(|one| one.tls.as_mut()),
            "127.0.0.1:9444",
        );
        let issuer = self.file.issuer.as_ref().map(|issuer| issuer.url.clone());
        if let Some(gateway) = &mut self.file.gateway {
            let audience = format!("{}/", gateway.url.trim_end_matches('/'));
            gateway.resource.get_or_insert(audience);
            let only = match gateway.issuer.as_slice() {
                [only] => Some(only.url.clone()),
                _ => None,
            };
            if let Some(control) = &mut gateway.control {
                control.issuer = control.issuer.take().or_else(|| issuer.clone()).or(only);
            }
        }
        if let Some(control) = &mut self.file.control {
            let own = format!("http://{}", control.listen);
            control.url.get_or_insert(own);
            control.issuer = control.issuer.take().or(issuer);
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Unreadable { message, next } => Self::config(message).next(next),
            ConfigError::Invalid { name, problems } => {
                let lines: Vec<String> =
                    problems.iter().map(|problem| problem.line(&name)).collect();
                let message = match lines.as_slice() {
                    [only] => only.clone(),
                    many => format!("{} problems in {name}\n  {}", many.len(), many.join("\n  ")),
                };
                Self::config(message)
                    .next("correct it, then check it with `keybound config validate`")
            }
        }
    }
}
