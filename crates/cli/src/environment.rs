//! The environment, read once at start. Commands receive this value, so tests
//! can give them another one, and nothing else reads the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The variables the program looks at.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the process environment. Names or values that are not Unicode are
    /// left out: none of ours can be.
    pub(crate) fn read() -> Self {
        let unicode = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            variables: std::env::vars_os().filter_map(unicode).collect(),
        }
    }

    /// An environment of exactly these variables.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            variables: variables.iter().map(own).collect(),
        }
    }

    /// The value of a variable; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of a variable that names a file or a directory.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// Every variable, in the order of names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `$XDG_DATA_HOME/keybound`, by default `~/.local/share/keybound`. An XDG
    /// variable that is not absolute is ignored, as its specification asks.
    pub(crate) fn data_home(&self) -> Option<PathBuf> {
        self.xdg("XDG_DATA_HOME", ".local/share")
    }

    /// `$XDG_CONFIG_HOME/keybound`, by default `~/.config/keybound`.
    pub(crate) fn config_home(&self) -> Option<PathBuf> {
        self.xdg("XDG_CONFIG_HOME", ".config")
    }

    fn xdg(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let named = self.path(variable).filter(|path| path.is_absolute());
        let base = named.or_else(|| self.path("HOME").map(|home| home.join(below_home)))?;
        Some(base.join("keybound"))
    }
}

// Values may be secrets, so only the names are shown.
impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_list()
            .entries(self.variables.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_xdg_variable_that_is_not_absolute_is_ignored() {
        let environment = Environment::of(&[("XDG_DATA_HOME", "data"), ("HOME", "/home/ada")]);
        let expected = PathBuf::from("/home/ada/.local/share/keybound");
        assert_eq!(environment.data_home(), Some(expected));
    }

    #[test]
    fn debug_shows_no_value() {
        let environment = Environment::of(&[("KEYBOUND_STORE__KEY_ENCRYPTION_KEY", "hunter2")]);
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
