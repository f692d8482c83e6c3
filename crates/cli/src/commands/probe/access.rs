//! The ways to credentials: given on the command line, or got from an issuer
//! that is named or that the target names.

use std::path::PathBuf;

use clap::Args;
use keybound_holder::{HolderError, HttpClient, discovery};
use keybound_probe::Credentials;
use keybound_proto::uri::HttpUrl;

use super::credentials::{self, CredentialArguments};
use super::limits::Limits;
use crate::client::{Identity, failure};
use crate::context::Context;
use crate::failure::Failure;
use crate::profile::Profile;

/// The ways to credentials.
#[derive(Debug, Clone, Args)]
pub(super) struct Access {
    #[command(flatten)]
    given: CredentialArguments,

    /// Get tokens from this issuer [default: the one the target names]
    #[arg(
        long,
        value_name = "URL",
        help_heading = "Client at the issuer",
        conflicts_with_all = ["token", "issuer_key"]
    )]
    issuer: Option<String>,

    /// `resource` of token requests [default: what the target says it is]
    #[arg(long, value_name = "URL", help_heading = "Client at the issuer")]
    resource: Option<String>,

    /// Scope of the tokens, separated by spaces
    #[arg(long, help_heading = "Client at the issuer")]
    scope: Option<String>,

    /// Who to be: a profile file of `keybound request` [default: KEYBOUND_PROFILE]
    #[arg(long, value_name = "FILE", help_heading = "Client at the issuer")]
    profile: Option<PathBuf>,
}

impl Access {
    /// What is given, read; nothing where an issuer is to be asked.
    pub(super) fn given(&self, context: &Context) -> Result<Option<Credentials>, Failure> {
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
        limits: &Limits,
        context: &Context,
    ) -> Result<Credentials, Failure> {
        let identity = Identity {
            profile: self.profile.clone(),
            scope: self.scope.clone(),
            resource: self.resource.clone(),
            timeout: limits.timeout,
        };
        if Profile::named(self.profile.as_deref(), context)?.is_none() {
            self.may_ask(target, &identity).await?;
        }
        credentials::discovered(target, &identity, context).await
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
        let named = self.issuer()?;
        let is_named = named.is_some_and(|named| named.origin() == issuer.origin());
        let is_near = issuer.origin().is_loopback() || issuer.origin() == target.origin();
        if is_named || is_near {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "the target names the issuer `{}`, which you did not",
            issuer.as_str()
        ))
        .next(format!(
            "add --issuer {} if the probe may register there and get tokens",
            issuer.as_str()
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
