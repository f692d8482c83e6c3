//! `keybound request METHOD URL [items]`: one signed request, like HTTPie.

mod items;
mod printed;

use std::io::{self, Write};

use clap::Args;
use http::Method;
use keybound_holder::{HolderError, Presentation, Request, Response};
use keybound_proto::Cause;
use keybound_proto::uri::HttpUrl;
use schemars::JsonSchema;
use serde::Serialize;

use crate::client::{Client, Identity, failure};
use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::output::{Report, ink, styled};
use items::Items;
pub(crate) use items::encoded;

/// Arguments of `keybound request`.
#[derive(Debug, Args)]
#[command(after_help = format!("{ITEMS_HELP}\n\n{}", codes(&[
    Exit::Success, Exit::Authentication, Exit::NotFound, Exit::Refused, Exit::Unreachable, Exit::Server,
])))]
pub(crate) struct RequestArguments {
    /// The method
    method: String,

    /// The URL
    url: String,

    /// Headers, query parameters and JSON members, as below
    items: Vec<String>,

    /// The body: `-` or `@file`
    #[arg(long, short, value_name = "INPUT")]
    data: Option<Input>,

    /// Print status and headers before the body
    #[arg(long, short)]
    include: bool,

    /// Print the signed request and do not send it
    #[arg(long, conflicts_with = "curl")]
    offline: bool,

    /// Print a curl command that sends the signed request once
    #[arg(long)]
    curl: bool,

    /// Sign the request and its body with an HTTP message signature (RFC 9421) instead of a
    /// DPoP proof
    #[arg(long)]
    httpsig: bool,

    /// Let the DPoP proof cover the body too (claim `content_digest`), for routes with
    /// `cover_content`
    #[arg(long, conflicts_with = "httpsig")]
    cover_content: bool,

    #[command(flatten)]
    identity: Identity,
}

/// The answer of `keybound request`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// The HTTP status.
    status: u16,
    /// The headers; a repeated one has its values joined by `, `.
    headers: std::collections::BTreeMap<String, String>,
    /// The body: a JSON value when it is JSON, else text.
    body: serde_json::Value,
    /// How many times the request was sent: more than once after a nonce
    /// challenge or with a token that had ended.
    attempts: u8,
    /// Thumbprint of the key that signed.
    jkt: String,
}

pub(crate) fn run(arguments: &RequestArguments, context: &Context) -> Outcome {
    let request = request(arguments)?;
    context.block_on(async {
        let client = client_for(arguments, &request.url, context).await?;
        let signs_only = arguments.offline || arguments.curl;
        if signs_only {
            return sign(arguments, &client, &request, context).await;
        }
        match client.holder.send(request.clone()).await {
            Err(error) if client.forgets_registration(&error) => {
                context
                    .output
                    .note("the issuer does not know this client any more; registering again");
                let client = client_for(arguments, &request.url, context).await?;
                answer(
                    arguments,
                    client.holder.send(request).await,
                    &client,
                    context,
                )
            }
            sent => answer(arguments, sent, &client, context),
        }
    })
}

/// The client whose token is good for the URL, presenting it as the arguments say.
async fn client_for(
    arguments: &RequestArguments,
    url: &HttpUrl,
    context: &Context,
) -> Result<Client, Failure> {
    let mut client = Client::for_url(url, &arguments.identity, context).await?;
    if arguments.httpsig {
        client.holder = client.holder.presenting(Presentation::HttpSignature);
    }
    if arguments.cover_content {
        client.holder = client.holder.presenting(Presentation::DpopWithContent);
    }
    Ok(client)
}

fn request(arguments: &RequestArguments) -> Result<Request, Failure> {
    let method = Method::from_bytes(arguments.method.as_bytes())
        .ok()
        .filter(|_| !arguments.method.contains(':') && !arguments.method.contains('/'))
        .ok_or_else(|| {
            Failure::usage(format!("`{}` is no HTTP method", arguments.method))
                .next("write `keybound request GET URL`")
        })?;
    let mut items = Items::parse(&arguments.items)?;
    if let Some(data) = &arguments.data {
        items.set_body(data.read_bytes()?.to_vec())?;
    }
    let address = items.address(&arguments.url);
    let url = HttpUrl::parse(&address)
        .map_err(|error| Failure::usage(format!("`{address}` is no http or https URL: {error}")))?;
    let (headers, body) = items.into_parts();
    Ok(Request {
        method,
        url,
        headers,
        body: body.into(),
    })
}

async fn sign(
    arguments: &RequestArguments,
    client: &Client,
    request: &Request,
    context: &Context,
) -> Outcome {
    let signed = client.holder.sign_message(request).await.map_err(failure)?;
    let text = if arguments.curl {
        printed::curl(request, &signed)
    } else {
        printed::raw(request, &signed)
    };
    context.output.text(text.trim_end_matches('\n'))?;
    context.output.warning("the proof or signature is good for one request within about a minute; a second one is refused as a replay");
    Ok(Exit::Success)
}

fn answer(
    arguments: &RequestArguments,
    sent: Result<Response, HolderError>,
    client: &Client,
    context: &Context,
) -> Outcome {
    let response = sent.map_err(failure)?;
    let status = response.status.as_u16();
    if context.output.is_json() {
        context.output.report(&Answer::of(&response, client))?;
    } else {
        print(arguments, &response, context)?;
    }
    Ok(Exit::of_status(status))
}

fn print(
    arguments: &RequestArguments,
    response: &Response,
    context: &Context,
) -> Result<(), Failure> {
    let good = response.status.is_success();
    let style = if good { ink::GOOD } else { ink::BAD };
    if arguments.include {
        let mut head = format!("HTTP {}\n", response.status);
        for (name, value) in &response.headers {
            head.push_str(&format!(
                "{name}: {}\n",
                String::from_utf8_lossy(value.as_bytes())
            ));
        }
        context.output.text(head)?;
    } else {
        context
            .output
            .note(styled(style, format_args!("HTTP {}", response.status)));
    }
    context.output.bytes(&response.body)?;
    if !response.body.is_empty() && !response.body.ends_with(b"\n") {
        context.output.bytes(b"\n")?;
    }
    if !good {
        explain_refusal(response, context);
    }
    Ok(())
}

/// Says what a person wants to know of a refusal: the check that failed, where
/// the server tells, and what its headers ask for.
fn explain_refusal(response: &Response, context: &Context) {
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let cause = body
        .get("cause")
        .and_then(serde_json::Value::as_str)
        .and_then(Cause::from_id);
    if let Some(cause) = cause {
        let refused = styled(ink::BAD, "refused:");
        context
            .output
            .note(format_args!("{refused} {} ({cause})", cause.summary()));
        context.output.note(format_args!(
            "{} {}",
            styled(ink::BOLD, "next:"),
            cause.next_step()
        ));
    }
    for name in ["www-authenticate", "retry-after", "x-request-id"] {
        if let Some(value) = response
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
        {
            context
                .output
                .note(styled(ink::DIM, format_args!("{name}: {value}")));
        }
    }
}

impl Answer {
    fn of(response: &Response, client: &Client) -> Self {
        let mut headers = std::collections::BTreeMap::<String, String>::new();
        for (name, value) in &response.headers {
            let text = String::from_utf8_lossy(value.as_bytes());
            headers
                .entry(name.to_string())
                .and_modify(|all| {
                    all.push_str(", ");
                    all.push_str(&text);
                })
                .or_insert_with(|| text.to_string());
        }
        let body = serde_json::from_slice(&response.body)
            .unwrap_or_else(|_| String::from_utf8_lossy(&response.body).into());
        Self {
            status: response.status.as_u16(),
            headers,
            body,
            attempts: response.attempts,
            jkt: client.holder.jkt().to_string(),
        }
    }
}

impl Report for Answer {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.body)
    }
}

const ITEMS_HELP: &str = "\
Items:
  Header:value   a header
  name==value    a query parameter
  name=value     a JSON member with a string
  name:=value    a JSON member with any JSON value
Members make a JSON body; --data sends a body as it is.";
