//! What differs between common servers, as data: `profiles/*.toml`.
//!
//! A profile says how a server names the API a token is for, whether strangers
//! may register, and what an admin sets so that tokens are bound. It judges
//! nothing.

use std::io::{self, Write};
use std::path::PathBuf;

use keybound_probe::{Client, ResourceParameter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Report, ink, styled};

const FILES: [(&str, &str); 3] = [
    ("auth0", include_str!("../../../profiles/auth0.toml")),
    ("keycloak", include_str!("../../../profiles/keycloak.toml")),
    ("okta", include_str!("../../../profiles/okta.toml")),
];

/// What differs at one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerProfile {
    /// The name for `--profile`.
    #[serde(default)]
    name: String,
    /// The product.
    title: String,
    /// What an issuer identifier looks like.
    issuer: String,
    /// Where its metadata is.
    metadata: String,
    /// How the API a token is for is named.
    pub(super) audience: Audience,
    /// Whether strangers may register.
    pub(super) registration: Registration,
    /// The grants it knows.
    grants: Vec<String>,
    /// What an admin sets so that tokens are bound.
    set_up: Vec<String>,
    /// The public pages that say so.
    documentation: Vec<String>,
}

/// How the API a token is for is named in a token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Audience {
    /// By `resource` (RFC 8707).
    Resource,
    /// By the parameter `audience`.
    #[serde(rename = "audience")]
    Parameter,
    /// By a scope.
    Scope,
    /// Not at all: the server has one audience.
    Fixed,
}

/// Whether strangers may register (RFC 7591).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Registration {
    /// Everybody may.
    Open,
    /// Those with an initial access token may.
    Token,
    /// An admin makes clients.
    Admin,
}

/// The answer of `keybound probe profiles`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProfileList {
    /// By name.
    profiles: Vec<ServerProfile>,
}

/// What `--profile` names.
#[derive(Debug, Clone, Default)]
pub(super) struct Chosen {
    /// What differs at the server.
    pub(super) server: Option<ServerProfile>,
    /// Who to be.
    pub(super) identity: Option<PathBuf>,
}

/// `keybound probe profiles`.
pub(super) fn run(context: &Context) -> Outcome {
    context.output.report(&ProfileList { profiles: all()? })?;
    Ok(Exit::Success)
}

/// Reads what `--profile` names: a server by its name, a file that says who to be, or one of each.
pub(super) fn choose(named: &[String]) -> Result<Chosen, Failure> {
    let mut chosen = Chosen::default();
    let profiles = all()?;
    for name in named {
        let server = profiles.iter().find(|profile| profile.name == *name);
        let is_path = name.contains(['/', '.', '\\']) || PathBuf::from(name).exists();
        let again = match server {
            Some(server) => chosen.server.replace(server.clone()).is_some(),
            None if is_path => chosen.identity.replace(PathBuf::from(name)).is_some(),
            None => {
                let names: Vec<&str> = profiles.iter().map(|known| known.name.as_str()).collect();
                return Err(Failure::usage(format!(
                    "`{name}` is no file, and no server of that name has a profile"
                ))
                .next(format!("known are {}", names.join(", "))));
            }
        };
        if again {
            return Err(Failure::usage("two profiles of one kind")
                .next("name one server and one file that says who to be, at most"));
        }
    }
    Ok(chosen)
}

impl ServerProfile {
    /// `resource` of token requests at this server.
    pub(super) fn resource(&self, resource: Option<&str>) -> Option<String> {
        match self.audience {
            Audience::Resource | Audience::Parameter => resource.map(str::to_owned),
            // Nothing names it; sending what the server does not know could only confuse it.
            Audience::Scope | Audience::Fixed => None,
        }
    }

    /// The parameter that names the API.
    pub(super) const fn resource_parameter(&self) -> ResourceParameter {
        match self.audience {
            Audience::Parameter => ResourceParameter::Audience,
            Audience::Resource | Audience::Scope | Audience::Fixed => ResourceParameter::Resource,
        }
    }

    /// Whether the probe can become a client with what is given.
    pub(super) fn client(&self, client: &Client) -> Result<(), Failure> {
        let title = &self.title;
        let (has_id, has_token) = match client {
            Client::Register(token) => (false, token.is_some()),
            Client::PrivateKeyJwt(..) | Client::Secret(..) => (true, false),
        };
        match self.registration {
            Registration::Token if !has_id && !has_token => Err(Failure::usage(format!(
                "{title} registers those who have a token for it"
            ))
            .next("give it with --registration-token, or a client with --client-id; see `keybound probe profiles`")),
            Registration::Admin if !has_id => Err(Failure::usage(format!(
                "at {title} an admin makes clients"
            ))
            .next("give one with --client-id and its key or secret; see `keybound probe profiles`")),
            _ => Ok(()),
        }
    }
}

fn all() -> Result<Vec<ServerProfile>, Failure> {
    FILES
        .iter()
        .map(|(name, text)| {
            let mut profile: ServerProfile = toml::from_str(text)
                .map_err(|error| Failure::internal(format!("the profile `{name}`: {error}")))?;
            (*name).clone_into(&mut profile.name);
            Ok(profile)
        })
        .collect()
}

impl Report for ProfileList {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for (number, profile) in self.profiles.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            profile.human(out)?;
        }
        Ok(())
    }
}

impl Report for ServerProfile {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { name, title, .. } = self;
        writeln!(out, "{}  {title}", styled(ink::BOLD, name))?;
        writeln!(out, "  issuer        {}", self.issuer)?;
        writeln!(out, "  metadata      {}", self.metadata)?;
        let audience = match self.audience {
            Audience::Resource => "named by `resource`: give --resource",
            Audience::Parameter => "named by `audience`: give --resource",
            Audience::Scope => "follows from the scope: give --scope",
            Audience::Fixed => "one for each issuer, set by an admin",
        };
        writeln!(out, "  audience      {audience}")?;
        let registration = match self.registration {
            Registration::Open => "everybody may",
            Registration::Token => "with --registration-token",
            Registration::Admin => "by an admin: give --client-id",
        };
        writeln!(out, "  registration  {registration}")?;
        writeln!(out, "  so that tokens are bound")?;
        for step in &self.set_up {
            writeln!(out, "    {step}")?;
        }
        writeln!(out, "  documentation")?;
        for page in &self.documentation {
            writeln!(out, "    {}", styled(ink::COPY, page))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_holds_and_names_its_pages() {
        let all = all().expect("every profile is read");
        assert_eq!(all.len(), FILES.len());
        for profile in all {
            assert!(!profile.set_up.is_empty(), "{}", profile.name);
            let pages = &profile.documentation;
            assert!(!pages.is_empty() && pages.iter().all(|page| page.starts_with("https://")));
        }
    }

    #[test]
    fn the_api_is_named_as_the_server_wants_it() {
        let api = Some("https://api.example/");
        let named = |name: &str| {
            let chosen = choose(&[name.to_owned()]).expect("is known");
            chosen.server.expect("is a server").resource(api)
        };
        assert_eq!(named("okta"), None);
        assert_eq!(named("keycloak"), None);
        assert_eq!(named("auth0").as_deref(), api);
    }

    #[test]
    fn nobody_registers_where_an_admin_makes_clients() {
        let server = |name: &str| {
            let chosen = choose(&[name.to_owned()]).expect("is known");
            chosen.server.expect("is a server")
        };
        let token = || Some(keybound_holder::Secret::new("t"));
        assert!(server("okta").client(&Client::Register(token())).is_err());
        assert!(server("keycloak").client(&Client::Register(None)).is_err());
        assert!(
            server("keycloak")
                .client(&Client::Register(token()))
                .is_ok()
        );
    }

    #[test]
    fn a_name_is_a_server_or_a_file() {
        assert!(choose(&["acme".to_owned()]).is_err());
        let both = choose(&["okta".to_owned(), "me.toml".to_owned()]).expect("one of each");
        assert!(both.server.is_some() && both.identity.is_some());
        assert!(choose(&["okta".to_owned(), "auth0".to_owned()]).is_err());
    }
}
