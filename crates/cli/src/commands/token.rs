//! `keybound token get|exchange|inspect|introspect|revoke`.

mod exchange;
mod inspect;
mod remote;

use std::io::{self, Write};

use clap::{Args, Subcommand};
use keybound_holder::BoundToken;
use keybound_proto::uri::HttpUrl;
use schemars::JsonSchema;
use serde::Serialize;

use crate::client::{Client, Identity, failure};
use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::moment;
use crate::output::{Report, ink, styled};
use crate::profile::Profile;

pub(crate) use inspect::Inspection;
pub(crate) use remote::Revocation;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Get a token bound to this machine's key
    #[command(after_help = codes(&[Exit::Authentication, Exit::NotFound, Exit::Refused, Exit::Unreachable, Exit::Server]))]
    Get(GetArguments),
    /// Exchange a token for a narrower one, or one for this machine's key (RFC 8693); or lend one
    #[command(after_help = codes(&[Exit::Authentication, Exit::NotFound, Exit::Refused, Exit::Unreachable, Exit::Server]))]
    Exchange(exchange::ExchangeArguments),
    /// Say what a token is, offline: bound or not, to what, for whom, how long
    #[command(after_help = codes(&[]))]
    Inspect {
        /// The token: `-` or `@file`
        #[arg(default_value = "-")]
        token: Input,
    },
    /// Ask the issuer about a token (RFC 7662), or control by its handle, as the operator
    #[command(after_help = codes(&[Exit::Authentication, Exit::Refused, Exit::Unreachable, Exit::Server]))]
    Introspect(remote::IntrospectArguments),
    /// Revoke a token: one's own at its issuer (RFC 7009), or any by its handle, as the operator
    #[command(after_help = codes(&[Exit::Authentication, Exit::Refused, Exit::Unreachable, Exit::Server]))]
    Revoke(remote::RevokeArguments),
}

/// Arguments of `keybound token get`.
#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// A URL of the resource the token is for; a profile with a resource needs none
    url: Option<String>,

    /// Print the token itself instead of what it is
    #[arg(long)]
    raw: bool,

    #[command(flatten)]
    identity: Identity,
}

/// The answer of `keybound token get`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TokenDescription {
    /// The handle: names the token and cannot be used as one. Left out for
    /// issuers whose tokens have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    /// SHA-256 of the token, hexadecimal.
    sha256: String,
    /// `DPoP`, or `httpsig` where the profile says `token_request`.
    token_type: &'static str,
    /// Thumbprint of the key the token is bound to.
    jkt: String,
    /// Thumbprint of the certificate the token is bound to as well (`cnf.x5t#S256`).
    #[serde(skip_serializing_if = "Option::is_none")]
    x5t_s256: Option<String>,
    /// The scopes granted, when the issuer said.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Unix time in seconds.
    expires_at: u64,
    #[serde(skip)]
    now: u64,
}

pub(crate) fn run(command: &TokenCommand, context: &Context) -> Outcome {
    match command {
        TokenCommand::Get(arguments) => get(arguments, context),
        TokenCommand::Exchange(arguments) => exchange::run(arguments, context),
        TokenCommand::Inspect { token } => inspect::run(token, context),
        TokenCommand::Introspect(arguments) => remote::introspect(arguments, context),
        TokenCommand::Revoke(arguments) => remote::revoke(arguments, context),
    }
}

fn get(arguments: &GetArguments, context: &Context) -> Outcome {
    let token = context.block_on(async {
        let client = client(arguments, context).await?;
        match client.holder.token().await {
            Err(error) if client.forgets_registration(&error) => {
                let client = self::client(arguments, context).await?;
                client.holder.token().await.map_err(failure)
            }
            got => got.map_err(failure),
        }
    })?;
    if arguments.raw {
        context.output.text(token.expose())?;
        return Ok(Exit::Success);
    }
    context
        .output
        .report(&TokenDescription::of(&token, context))?;
    Ok(Exit::Success)
}

async fn client(arguments: &GetArguments, context: &Context) -> Result<Client, Failure> {
    if let Some(text) = &arguments.url {
        let url = HttpUrl::parse(text).map_err(|error| {
            Failure::usage(format!("`{text}` is no http or https URL: {error}"))
        })?;
        return Client::for_url(&url, &arguments.identity, context).await;
    }
    match Profile::named(arguments.identity.profile.as_deref(), context)? {
        Some(profile) => Client::of_profile(profile, &arguments.identity, context),
        None => Err(Failure::usage("nothing says what the token is for")
            .next("name a URL of the resource (`keybound token get http://127.0.0.1:9401/approvals`), or a profile")),
    }
}

impl TokenDescription {
    fn of(token: &BoundToken, context: &Context) -> Self {
        Self {
            token_id: inspect::token_id(token.expose()),
            sha256: token.hash().to_hex(),
            token_type: token.token_type(),
            jkt: token.jkt().to_string(),
            x5t_s256: inspect::certificate(token.expose()),
            scope: token.scope().map(str::to_owned),
            expires_at: token.expires_at().as_secs(),
            now: context.clock.now().as_secs(),
        }
    }
}

impl Report for TokenDescription {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let expires = format!(
            "{} ({})",
            moment::rfc3339(self.expires_at),
            moment::relative(self.expires_at, self.now)
        );
        let certificate = self.x5t_s256.as_ref();
        let certificate = certificate.map(|x5t| format!("the certificate {x5t}"));
        let rows = [
            ("handle", self.token_id.clone()),
            ("bound to", Some(format!("the key {}", self.jkt))),
            ("and to", certificate),
            ("scope", self.scope.clone()),
            ("expires", Some(expires)),
            ("sha256", Some(self.sha256.clone())),
        ];
        for (name, value) in rows {
            if let Some(value) = value {
                writeln!(
                    out,
                    "{}  {value}",
                    styled(ink::DIM, format_args!("{name:>9}"))
                )?;
            }
        }
        Ok(())
    }
}
