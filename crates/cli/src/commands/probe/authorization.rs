//! `keybound probe as ISSUER`.

use std::sync::Arc;

use clap::Args;
use keybound_holder::Secret;
use keybound_probe::{AuthorizationServer, Client};
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::uri::HttpUrl;

use super::conduct::{self, Target};
use super::consent::{self, Plan};
use super::issuer::ClientArguments;
use super::limits::Limits;
use super::outputs::Outputs;
use super::profiles;
use crate::commands::key;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::input::Input;

/// Arguments of `keybound probe as`.
#[derive(Debug, Args)]
pub(crate) struct AsArguments {
    /// The issuer identifier
    issuer: String,

    #[command(flatten)]
    client: ClientArguments,

    /// The key of proofs [default: one made for the run]
    #[arg(long, help_heading = "Client at the issuer")]
    key: Option<String>,

    /// `resource` of token requests
    #[arg(long, value_name = "URL", help_heading = "Client at the issuer")]
    resource: Option<String>,

    /// `scope` of token requests, separated by spaces
    #[arg(long, help_heading = "Client at the issuer")]
    scope: Option<String>,

    /// A refresh token of the client: `-` or `@file`; it is spent
    #[arg(
        long,
        value_name = "INPUT",
        requires = "client_id",
        help_heading = "Client at the issuer"
    )]
    refresh_token: Option<Input>,

    /// A redirect URI of the client, for pushed requests
    #[arg(
        long,
        value_name = "URL",
        requires = "client_id",
        help_heading = "Client at the issuer"
    )]
    redirect_uri: Option<String>,

    /// A client that may not use `client_credentials`, with --limited-client-key
    #[arg(
        long,
        value_name = "ID",
        requires = "limited_client_key",
        help_heading = "Client at the issuer"
    )]
    limited_client_id: Option<String>,

    /// Its key
    #[arg(
        long,
        value_name = "KEY",
        requires = "limited_client_id",
        help_heading = "Client at the issuer"
    )]
    limited_client_key: Option<String>,

    /// The kind of issuer: see `keybound probe profiles`
    #[arg(long, value_name = "NAME", help_heading = "Client at the issuer")]
    profile: Option<String>,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    outputs: Outputs,
}

pub(super) fn run(arguments: &AsArguments, context: &Context) -> Outcome {
    let issuer = super::url(&arguments.issuer)?;
    let options = arguments.limits.options()?;
    let outputs = arguments.outputs.prepare()?;
    let target = Target::Issuer(arguments.server(issuer.clone())?);
    let plan = |requests| Plan {
        places: vec![issuer.origin().clone()],
        requests,
        unsafe_method: None,
    };
    context.block_on(async {
        let rehearsal = conduct::rehearse(&target, &options, context).await?;
        if arguments.limits.dry_run {
            return rehearsal.print(context);
        }
        consent::ask(&plan(rehearsal.requests), &arguments.limits, context)?;
        let report = conduct::run(&target, &options, rehearsal.requests, context).await?;
        outputs.finish(report, context)
    })
}

impl AsArguments {
    fn server(&self, issuer: HttpUrl) -> Result<AuthorizationServer, Failure> {
        let key: Arc<dyn Signer> = Arc::new(match &self.key {
            Some(key) => key::open(key)?,
            None => key::generate(Algorithm::Es256)?,
        });
        let mut server = AuthorizationServer::new(issuer, self.client.client()?, key);
        server.resource.clone_from(&self.resource);
        server.scope.clone_from(&self.scope);
        server.redirect_uri.clone_from(&self.redirect_uri);
        if let Some(input) = &self.refresh_token {
            server.refresh_token = Some(Secret::new(input.read()?.as_str()));
        }
        if let (Some(id), Some(key)) = (&self.limited_client_id, &self.limited_client_key) {
            let key = Arc::new(key::open(key)?);
            server.without_grant = Some(Client::PrivateKeyJwt(id.clone(), key));
        }
        let named: Vec<String> = self.profile.iter().cloned().collect();
        if let Some(profile) = profiles::choose(&named)?.server {
            profile.client(&server.client)?;
            server.resource = profile.resource(self.resource.as_deref());
            server.resource_parameter = profile.resource_parameter();
        }
        Ok(server)
    }
}
