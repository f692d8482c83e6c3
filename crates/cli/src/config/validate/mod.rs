//! From the configuration as written to values that fit together. Every
//! problem is collected, so one run of `keybound config validate` shows all.
//!
//! Reads the files the configuration names (keys, secrets, key sets), because
//! a file that cannot be read is a problem like any other. Asks no network.

mod authorization;
mod checker;
mod client_certificate;
mod delegation;
mod front;
mod gateway;
mod introspection;
mod issuer;
mod workloads;

use std::net::SocketAddr;

use super::model::{ControlSection, StoreSection};
use super::problem::Problem;
use super::settings::{ControlSettings, Settings, StoreSettings};
use super::{ConfigError, Loaded};
use checker::Checker;
pub(crate) use issuer::CONTROL_SCOPES;

/// Judges a configuration. The warnings of the second value do not keep it from
/// being used.
pub(crate) fn validate(loaded: &Loaded) -> Result<(Settings, Vec<Problem>), ConfigError> {
    let mut checker = Checker::new(loaded);
    let settings = settings(&mut checker);
    let (mut problems, warnings) = checker.finish();
    match settings {
        Some(settings) if problems.is_empty() => Ok((settings, warnings)),
        _ => {
            problems.sort_by(|one, other| one.place.cmp(&other.place));
            Err(ConfigError::Invalid {
                name: loaded.name.clone(),
                problems,
            })
        }
    }
}

/// The settings, or `None` where a part of them has a problem. All sections are
/// looked at before the first missing one ends it.
fn settings(checker: &mut Checker<'_>) -> Option<Settings> {
    let file = &checker.loaded().file;
    if file.issuer.is_none() && file.gateway.is_none() && file.control.is_none() {
        let message = "nothing to serve: the file has none of `[issuer]`, `[gateway]`, `[control]`";
        checker.problem(
            "",
            message,
            Some("make one that has all three with `keybound init`"),
        );
    }
    let store = file.store.as_ref().map(|section| store(checker, section));
    if store.is_none() {
        needs_store(checker);
    }
    let issuer = file
        .issuer
        .as_ref()
        .map(|section| issuer::check(checker, section));
    let gateway = file
        .gateway
        .as_ref()
        .map(|section| gateway::check(checker, section));
    let control = file
        .control
        .as_ref()
        .map(|section| control(checker, section));
    let management = file
        .management
        .as_ref()
        .map(|section| checker.listen("management.listen", &section.listen));
    let settings = Settings {
        store: whole(store)?,
        issuer: whole(issuer)?,
        gateway: whole(gateway)?,
        control: whole(control)?,
        management: whole(management)?,
    };
    distinct_listeners(checker, &settings);
    Some(settings)
}

/// An absent section is fine; one with a problem is not.
fn whole<T>(section: Option<Option<T>>) -> Option<Option<T>> {
    match section {
        None => Some(None),
        Some(checked) => checked.map(Some),
    }
}

fn needs_store(checker: &mut Checker<'_>) {
    let file = &checker.loaded().file;
    for (present, name) in [
        (file.issuer.is_some(), "issuer"),
        (file.control.is_some(), "control"),
    ] {
        if present {
            let help = "add `[store]` with `url` and `key_encryption_key_file`";
            checker.problem(name, format!("`[{name}]` needs a `[store]`"), Some(help));
        }
    }
}

fn store(checker: &mut Checker<'_>, section: &StoreSection) -> Option<StoreSettings> {
    let key = checker.store_key(section);
    let Some(path) = section.url.strip_prefix("sqlite:") else {
        let problem = match super::later::value("url", &section.url) {
            Some(instead) => (
                "`store.url` names a store that is not in this release",
                instead,
            ),
            None => (
                "`store.url` is no store address",
                "write `sqlite:` and a path",
            ),
        };
        checker.problem("store.url", problem.0, Some(problem.1));
        return None;
    };
    // `sqlite:///var/lib/x.db` is how other tools write an absolute path.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.starts_with(":memory:") {
        let help = "write `sqlite:` and the path of a file";
        checker.problem("store.url", "`store.url` names no file", Some(help));
        return None;
    }
    let path = checker.loaded().resolve(path);
    checker.directory_of("store.url", &path);
    Some(StoreSettings {
        path,
        key_encryption_key: key?,
    })
}

fn control(checker: &mut Checker<'_>, section: &ControlSection) -> Option<ControlSettings> {
    let listen = checker.listen("control.listen", &section.listen);
    let url = checker.origin("control.url", section.url.as_deref().unwrap_or_default());
    let Some(issuer) = section.issuer.as_deref() else {
        let help = "add `issuer = \"https://…\"` to `[control]`, or an `[issuer]` section";
        checker.problem(
            "control",
            "`[control]` does not know whose tokens to accept",
            Some(help),
        );
        return None;
    };
    let issuer = checker.url("control.issuer", issuer);
    Some(ControlSettings {
        listen: listen?,
        url: url?,
        issuer: issuer?,
    })
}

/// Two sections on one address would fail at start; say so before.
fn distinct_listeners(checker: &mut Checker<'_>, settings: &Settings) {
    let mut seen: Vec<(&str, SocketAddr)> = Vec::new();
    for (name, address) in settings.listeners() {
        let taken = seen
            .iter()
            .find(|(_, other)| *other == address && address.port() != 0);
        if let Some((other, _)) = taken {
            let message = format!("`{name}` and `{other}` both listen on {address}");
            checker.problem(name, message, Some("give each its own port"));
        }
        seen.push((name, address));
    }
}
