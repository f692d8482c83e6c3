//! The ways to credentials: given on the command line, or got from an issuer
//! that is named or that the target names.

use std::sync::Arc;

use clap::Args;
use keybound_holder::{HolderError, HttpClient, discovery};
use keybound_probe::{Credentials, Options, ResourceParameter};
use keybound_proto::jose::Algorithm;
use keybound_proto::uri::HttpUrl;

use super::credentials::CredentialArguments;
use super::issuer::ClientArguments;
use super::obtain::{self, Obtained, Wanted};
use super::profiles::{self, Chosen, ServerProfile};
use crate::client::{Client, Identity, failure};
use crate::commands::key;
use crate::context::Context;
use crate::failure::Failure;
use crate::profile::Profile;

/// The ways to credentials.
#[derive(Debug, Clone, Args)]
pub(super) struct Access {
    #[command(flatten)]
    pub(super) given: CredentialArguments,

    /// Get tokens from this issuer [default: the one the target names]
    #[arg(
        long,
        value_name = "URL",
        help_heading = "Client at the issuer",
        conflicts_with_all = ["token", "issuer_key"]
    )]
    issuer: Option<String>,

    #[command(flatten)]
    client: ClientArguments,

    /// The API that tokens are for [default: what the target says it is]
    #[arg(long, value_name = "URL", help_heading = "Client at the issuer")]
    resource: Option<String>,

    /// Scope of the tokens, separated by spaces
    #[arg(long, help_heading = "Client at the issuer")]
    scope: Option<String>,

    /// The kind of issuer (see `keybound probe profiles`), or a profile file of `keybound request`
    /// that says who to be [default: KEYBOUND_PROFILE]
    #[arg(long, value_name = "NAME|FILE", help_heading = "Client at the issuer")]
    profile: Vec<String>,
}

impl Access {
    /// What is given, read; nothing where an issuer is to be asked.
    pub(super) fn given(&self, context: &Context) -> Result<Option<Credentials>, Failure> {
        if self.issuer.is_some() {
            return Ok(None);
        }
        self.given.given(self.scope.as_deref(), context)
    }

    /// The issuer that is named.
    pub(super) fn issuer(&self) -> Result<Option<HttpUrl>, Failure> {
        self.issuer.as_deref().map(super::url).transpose()
    }

    /// Credentials got from an issuer.
    pub(super) async fn obtained(
        &self,
        target: &HttpUrl,
        options: &Options,
        context: &Context,
    ) -> Result<Obtained, Failure> {
        let Chosen { server, identity } = profiles::choose(&self.profile)?;
        let identity = Identity {
            profile: identity,
            scope: self.scope.clone(),
            resource: self.resource.clone(),
            timeout: options.timeout.as_secs(),
        };
        let holds = Profile::named(identity.profile.as_deref(), context)?.is_some();
        let wanted = match self.issuer()?.filter(|_| !holds) {
            Some(issuer) => {
                let client = self.client.client()?;
                if let Some(server) = &server {
                    server.client(&client)?;
                }
                let parameter = server.as_ref().map(ServerProfile::resource_parameter);
                Wanted {
                    issuer,
                    client,
                    key: Arc::new(key::generate(Algorithm::Es256)?),
                    resource: self.resource_of(target, &identity).await,
                    resource_parameter: parameter.unwrap_or(ResourceParameter::Resource),
                    scope: self.scope.clone(),
                }
            }
            None if self.client.is_given() => {
                return Err(Failure::usage("a client is named, and no issuer")
                    .next("name the issuer that knows it with --issuer"));
            }
            None => {
                if !holds {
                    self.may_ask(target, &identity).await?;
                }
                self.discovered(target, &identity, context).await?
            }
        };
        obtain::obtain(wanted, options, context).await
    }

    /// By discovery and registration, or as the profile says, as `keybound request` does.
    async fn discovered(
        &self,
        target: &HttpUrl,
        identity: &Identity,
        context: &Context,
    ) -> Result<Wanted, Failure> {
        let mut client = Client::for_url(target, identity, context).await?;
        // An issuer whose store was removed has forgotten the client, which shows here.
        if let Err(error) = client.holder.token().await {
            if !client.forgets_registration(&error) {
                return Err(failure(error));
            }
            client = Client::for_url(target, identity, context).await?;
        }
        let profile = client.profile;
        let resource = match (&self.resource, profile.file.resource) {
            (None, Some(resource)) => resource,
            _ => self.resource_of(target, identity).await,
        };
        Ok(Wanted {
            issuer: profile.issuer,
            client: keybound_probe::Client::PrivateKeyJwt(
                profile.file.client_id,
                Arc::clone(&profile.key),
            ),
            key: profile.key,
            resource,
            resource_parameter: ResourceParameter::Resource,
            scope: self.scope.clone().or(profile.file.scope),
        })
    }

    /// What the target says it is called, where the command does not say.
    async fn resource_of(&self, target: &HttpUrl, identity: &Identity) -> String {
        if let Some(resource) = &self.resource {
            return resource.clone();
        }
        let found = match HttpClient::new(identity.timeouts()) {
            Ok(http) => discovery::protected_resource(&http, target).await.ok(),
            Err(_) => None,
        };
        found.map_or_else(
            || target.without_query().to_owned(),
            |found| found.resource.as_str().to_owned(),
        )
    }

    /// An issuer that only the target names is asked when it is on this machine or where the
    /// target is; another place must have been named by the user.
    async fn may_ask(&self, target: &HttpUrl, identity: &Identity) -> Result<(), Failure> {
        let http = HttpClient::new(identity.timeouts()).map_err(failure)?;
        let found = discovery::protected_resource(&http, target)
            .await
            .map_err(|error| no_credentials(target, error))?;
        let Some(issuer) = found.authorization_servers.first() else {
            return Ok(());
        };
        let is_near = issuer.origin().is_loopback() || issuer.origin() == target.origin();
        if is_near {
            return Ok(());
        }
        let issuer = issuer.as_str();
        Err(Failure::usage(format!(
            "the target names the issuer `{issuer}`, which you did not"
        ))
        .next(format!(
            "add --issuer {issuer} if the probe may register there and get tokens"
        )))
    }
}

/// A target that names no issuer needs a token that somebody brings.
fn no_credentials(target: &HttpUrl, error: HolderError) -> Failure {
    if !matches!(
        error,
        HolderError::MetadataMissing { .. } | HolderError::Redirected { .. }
    ) {
        return failure(error);
    }
    let target = target.without_query();
    let message =
        format!("there is no token, and `{target}` does not say which issuer it trusts (RFC 9728)");
    Failure::authentication(message).next(
        "give a token and its key with --token @file --key file:PATH, or name the issuer with --issuer",
    )
}
