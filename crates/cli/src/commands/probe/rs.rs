//! `keybound probe rs URL` and `keybound probe mcp URL`: what takes tokens.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Method};
use keybound_probe::{McpServer, ResourceServer};
use keybound_proto::uri::HttpUrl;

use super::access::Access;
use super::callback::Watched;
use super::certificates::CertificateArguments;
use super::conduct::{self, Target};
use super::consent::{self, Plan};
use super::credentials;
use super::limits::Limits;
use super::outputs::Outputs;
use super::signatures::SignatureArguments;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::input::Input;

/// Arguments of `keybound probe rs`.
#[derive(Debug, Args)]
pub(crate) struct RsArguments {
    /// The URL of something the token may read
    url: String,

    /// The method of good requests; anything but GET, HEAD and OPTIONS asks first
    #[arg(long, short = 'X', default_value = "GET")]
    method: String,

    /// A header field of every request, `Name: value`, or `Name: @file` for a secret
    #[arg(long, short = 'H', value_name = "FIELD")]
    header: Vec<String>,

    /// The body of every request: `-` or `@file`
    #[arg(long, value_name = "INPUT")]
    body: Option<Input>,

    /// Text that only a good answer has
    #[arg(long, value_name = "TEXT")]
    canary: Option<String>,

    /// Another origin the same API is said to listen on
    #[arg(long, value_name = "URL")]
    other_origin: Vec<String>,

    #[command(flatten)]
    certificates: CertificateArguments,

    #[command(flatten)]
    signatures: SignatureArguments,

    #[command(flatten)]
    run: RunArguments,
}

/// Arguments of `keybound probe mcp`.
#[derive(Debug, Args)]
pub(crate) struct McpArguments {
    /// The URL of the server's endpoint
    url: String,

    /// Another origin the same server is said to listen on
    #[arg(long, value_name = "URL")]
    other_origin: Vec<String>,

    #[command(flatten)]
    run: RunArguments,
}

/// What both have.
#[derive(Debug, Args)]
struct RunArguments {
    /// Address of one node behind the name, where the name service does not tell it
    #[arg(long, value_name = "ADDRESS:PORT")]
    node: Vec<SocketAddr>,

    /// Listen here for requests that a proof makes the target send
    #[arg(long, value_name = "ADDRESS:PORT")]
    callback_listen: Option<SocketAddr>,

    /// Where the target reaches that listener [default: http:// and its address]
    #[arg(long, value_name = "URL", requires = "callback_listen")]
    callback_url: Option<String>,

    #[command(flatten)]
    access: Access,

    #[command(flatten)]
    limits: Limits,

    #[command(flatten)]
    outputs: Outputs,
}

/// `keybound probe rs`.
pub(super) fn api(arguments: &RsArguments, context: &Context) -> Outcome {
    let mut server = server(&arguments.url, &arguments.other_origin)?;
    server.method = Method::from_bytes(arguments.method.as_bytes())
        .map_err(|_| Failure::usage(format!("`{}` is no HTTP method", arguments.method)))?;
    server.canary.clone_from(&arguments.canary);
    for line in &arguments.header {
        server.headers.push(header(line)?);
    }
    if let Some(body) = &arguments.body {
        if server.method == Method::GET || server.method == Method::HEAD {
            return Err(Failure::usage(format!("a {} has no body", server.method))
                .next("name the method with --method"));
        }
        server.body = Bytes::from(body.read_bytes()?.to_vec());
    }
    let own = arguments.run.limits.options()?.tls.identity;
    server.certificates = arguments.certificates.read(own.as_deref())?;
    server.signatures = arguments.signatures.profile();
    arguments.run.run(server, Target::Api, context)
}

/// `keybound probe mcp`.
pub(super) fn mcp(arguments: &McpArguments, context: &Context) -> Outcome {
    let server = server(&arguments.url, &arguments.other_origin)?;
    let target = |server| Target::Mcp(McpServer { server });
    arguments.run.run(server, target, context)
}

impl RunArguments {
    /// Runs against `server`, whose credentials are still stand-ins.
    fn run(
        &self,
        mut server: ResourceServer,
        target: impl Fn(ResourceServer) -> Target,
        context: &Context,
    ) -> Outcome {
        let options = self.limits.options()?;
        let outputs = self.outputs.prepare()?;
        server.nodes.clone_from(&self.node);
        server.bound_to = self.access.given.binding();
        let given = self.access.given(context)?;
        if let Some(given) = &given {
            server.credentials = given.clone();
        }
        context.block_on(async {
            if let Some(address) = self.callback_listen
                && !self.limits.dry_run
            {
                let watched = Watched::listen(address, self.callback_url.as_deref()).await?;
                server.callback = Some(Arc::new(watched));
            }
            let rehearsal = conduct::rehearse(&target(server.clone()), &options, context).await?;
            if self.limits.dry_run {
                return rehearsal.print(context);
            }
            let expected = rehearsal.requests;
            consent::ask(&self.plan(&server, expected)?, &self.limits, context)?;
            if given.is_none() {
                let obtained = self.access.obtained(&server.url, &options, context).await?;
                server.credentials = obtained.credentials;
                server.revoker = Some(obtained.revoker);
            }
            let report = conduct::run(&target(server), &options, expected, context).await?;
            outputs.finish(report, context)
        })
    }

    fn plan(&self, server: &ResourceServer, requests: u32) -> Result<Plan, Failure> {
        let mut places = vec![server.url.origin().clone()];
        let others = server.other_origins.iter().map(HttpUrl::origin);
        places.extend(others.cloned());
        places.extend(self.access.issuer()?.map(|issuer| issuer.origin().clone()));
        let is_safe = server.method.is_safe();
        Ok(Plan {
            places,
            requests,
            unsafe_method: (!is_safe).then(|| server.method.to_string()),
        })
    }
}

/// A target that is read, with stand-ins for credentials.
fn server(url: &str, other_origins: &[String]) -> Result<ResourceServer, Failure> {
    let mut server = ResourceServer::new(super::url(url)?, credentials::stand_in()?);
    for origin in other_origins {
        server.other_origins.push(super::url(origin)?);
    }
    Ok(server)
}

/// `Name: value`; the value of `Name: @file` stands in the file and is not shown.
fn header(line: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let fault = || {
        Failure::usage("a header field does not hold")
            .next("write `--header 'Name: value'`, or `--header 'Name: @file'` for a secret")
    };
    let (name, value) = line.split_once(':').ok_or_else(fault)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| fault())?;
    if ["authorization", "dpop", "host", "content-length"].contains(&name.as_str()) {
        return Err(Failure::usage(format!("the probe makes `{name}` itself"))
            .next("give the token with --token and its key with --key"));
    }
    let value = value.trim();
    let Some(path) = value.strip_prefix('@') else {
        let value = HeaderValue::from_str(value).map_err(|_| fault())?;
        return Ok((name, value));
    };
    let text = Input::File(path.into()).read()?;
    let mut value = HeaderValue::from_str(&text).map_err(|_| fault())?;
    value.set_sensitive(true);
    Ok((name, value))
}
