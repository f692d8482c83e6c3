//! A profile: who the command line is towards an issuer. A small TOML file
//! that names a key and never holds one.
//!
//! Used: the one named with `--profile`, else by `KEYBOUND_PROFILE`, else, for
//! commands of an operator, the one that `keybound dev` wrote.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keybound_proto::jose::Signer;
use keybound_proto::uri::HttpUrl;
use serde::{Deserialize, Serialize};

use crate::commands::key;
use crate::config::secret::write_private;
use crate::context::Context;
use crate::failure::Failure;

/// A profile as its file says it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileFile {
    /// The issuer identifier.
    pub(crate) issuer: String,
    /// The `client_id`.
    pub(crate) client_id: String,
    /// The key that authenticates the client and binds its tokens: `file:` and
    /// a path that starts from the profile's directory.
    pub(crate) key: String,
    /// The resource tokens are for, when the command does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    /// The scope to ask for, when the command does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    /// How token requests show possession of the key: `dpop` (the default), `httpsig` with a key the
    /// request brings, or `httpsig-registered` with one the issuer knows by its thumbprint as `kid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_request: Option<TokenRequestName>,
    /// Origin of the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) control: Option<String>,
}

/// How token requests show possession of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TokenRequestName {
    /// By a DPoP proof.
    Dpop,
    /// By a signature over the request, which brings the key.
    Httpsig,
    /// By a signature over the request, with a registered key.
    HttpsigRegistered,
}

/// A profile that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// What the file says.
    pub(crate) file: ProfileFile,
    /// The issuer identifier.
    pub(crate) issuer: HttpUrl,
    /// The key.
    pub(crate) key: Arc<dyn Signer>,
    /// Where the profile stands.
    pub(crate) path: PathBuf,
}

impl ProfileFile {
    /// Writes the profile into a new file of mode 0600.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = toml::to_string(self).map_err(|error| Failure::internal(error.to_string()))?;
        let text = format!(
            "# Who `keybound` is towards this issuer. The key stays in its own file.\n{text}"
        );
        write_private(path, text.as_bytes()).map_err(|error| crate::input::unwritable(path, &error))
    }
}

impl Profile {
    /// The profile a command names, or the variable; `None` where neither does.
    pub(crate) fn named(flag: Option<&Path>, context: &Context) -> Result<Option<Self>, Failure> {
        let variable = context.environment.path("KEYBOUND_PROFILE");
        match flag.map(Path::to_path_buf).or(variable) {
            Some(path) => Self::read(&path).map(Some),
            None => Ok(None),
        }
    }

    /// The operator's profile: the one named, or that of `keybound dev`.
    pub(crate) fn operator(flag: Option<&Path>, context: &Context) -> Result<Self, Failure> {
        if let Some(profile) = Self::named(flag, context)? {
            return Ok(profile);
        }
        let path = context.dev_directory()?.join(ADMIN_PROFILE);
        if path.exists() {
            return Self::read(&path);
        }
        Err(Failure::usage("no profile says who the operator is")
            .next("name one with --profile or KEYBOUND_PROFILE; `keybound init` and `keybound dev` write `admin.toml`"))
    }

    /// Reads a profile and opens its key.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::config(format!("cannot read the profile `{shown}`: {error}"))
        })?;
        let file: ProfileFile = toml::from_str(&text).map_err(|error| {
            Failure::config(format!(
                "the profile `{shown}` does not hold: {}",
                error.message()
            ))
        })?;
        let issuer = HttpUrl::parse(&file.issuer).map_err(|error| {
            Failure::config(format!("the profile `{shown}` has a bad `issuer`: {error}"))
        })?;
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        let key_path = keybound_custody::file_path(&file.key).map_err(|error| {
            Failure::config(format!("the profile `{shown}` has a bad `key`: {error}"))
        })?;
        let key = Arc::new(key::load(&directory.join(key_path))?);
        Ok(Self {
            file,
            issuer,
            key,
            path: path.to_path_buf(),
        })
    }
}

/// The file name of the operator's profile.
pub(crate) const ADMIN_PROFILE: &str = "admin.toml";
