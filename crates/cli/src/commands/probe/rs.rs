//! `keybound probe rs URL`.

use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Method};
use keybound_probe::{Credentials, ResourceServer};
use keybound_proto::uri::HttpUrl;

use super::conduct::{self, Target};
use super::consent::{self, Plan};
use super::credentials::{self, CredentialArguments};
use super::limits::Limits;
use super::outputs;
use crate::client::Identity;
use crate::context::Context;
use crate::exit::Exit;
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
    credentials: CredentialArguments,

    /// Scope of the tokens, separated by spaces
    #[arg(long, help_heading = "Credentials")]
    scope: Option<String>,

    #[command(flatten)]
    limits: Limits,
}

pub(super) fn run(arguments: &RsArguments, context: &Context) -> Outcome {
    let url = url(&arguments.url)?;
    let options = arguments.limits.options()?;
    let given = arguments
        .credentials
        .given(arguments.scope.as_deref(), context)?;
    let rehearsed = match &given {
        Some(given) => given.clone(),
        None => credentials::stand_in()?,
    };
    let server = arguments.server(&url, rehearsed)?;
    context.block_on(async {
        let target = Target::ResourceServer(server.clone());
        let rehearsal = conduct::rehearse(&target, &options, context).await?;
        if arguments.limits.dry_run {
            context.output.report(&rehearsal)?;
            return Ok(Exit::Success);
        }
        consent::ask(
            &plan(&server, rehearsal.requests),
            &arguments.limits,
            context,
        )?;
        let server = match given {
            Some(_) => server,
            None => {
                let credentials = arguments.obtained(&url, context).await?;
                ResourceServer {
                    credentials,
                    ..server
                }
            }
        };
        let target = Target::ResourceServer(server);
        let report = conduct::run(&target, &options, rehearsal.requests, context).await?;
        outputs::finish(report, context)
    })
}

impl RsArguments {
    fn server(&self, url: &HttpUrl, credentials: Credentials) -> Result<ResourceServer, Failure> {
        let mut server = ResourceServer::new(url.clone(), credentials);
        server.method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| Failure::usage(format!("`{}` is no HTTP method", self.method)))?;
        server.canary.clone_from(&self.canary);
        for line in &self.header {
            server.headers.push(header(line)?);
        }
        if let Some(body) = &self.body {
            if server.method == Method::GET || server.method == Method::HEAD {
                return Err(Failure::usage(format!("a {} has no body", server.method))
                    .next("name the method with --method"));
            }
            server.body = Bytes::from(body.read_bytes()?.to_vec());
        }
        for origin in &self.other_origin {
            server.other_origins.push(self::url(origin)?);
        }
        Ok(server)
    }

    async fn obtained(&self, url: &HttpUrl, context: &Context) -> Result<Credentials, Failure> {
        let identity = Identity {
            profile: None,
            scope: self.scope.clone(),
            resource: None,
            timeout: self.limits.timeout,
        };
        credentials::discovered(url, &identity, context).await
    }
}

fn plan(server: &ResourceServer, requests: u32) -> Plan<'_> {
    let mut places = vec![server.url.origin()];
    places.extend(server.other_origins.iter().map(HttpUrl::origin));
    let is_safe = server.method.is_safe();
    Plan {
        places,
        requests,
        unsafe_method: (!is_safe).then(|| server.method.to_string()),
    }
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

pub(super) fn url(text: &str) -> Result<HttpUrl, Failure> {
    HttpUrl::parse(text)
        .map_err(|error| Failure::usage(format!("`{text}` is no http or https URL: {error}")))
}
