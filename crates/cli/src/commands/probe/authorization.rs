//! `keybound probe as ISSUER`.

use std::sync::Arc;

use clap::Args;
use keybound_probe::AuthorizationServer;
use keybound_proto::jose::{Algorithm, Signer};

use super::conduct::{self, Target};
use super::consent::{self, Plan};
use super::issuer::ClientArguments;
use super::limits::Limits;
use super::outputs::Outputs;
use crate::commands::key;
use crate::context::Context;
use crate::failure::Outcome;

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

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    outputs: Outputs,
}

pub(super) fn run(arguments: &AsArguments, context: &Context) -> Outcome {
    let issuer = super::url(&arguments.issuer)?;
    let options = arguments.limits.options()?;
    let outputs = arguments.outputs.prepare()?;
    let key: Arc<dyn Signer> = Arc::new(match &arguments.key {
        Some(key) => key::open(key)?,
        None => key::generate(Algorithm::Es256)?,
    });
    let client = arguments.client.client()?;
    let mut server = AuthorizationServer::new(issuer.clone(), client, key);
    server.resource.clone_from(&arguments.resource);
    server.scope.clone_from(&arguments.scope);
    let target = Target::AuthorizationServer(server);
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
