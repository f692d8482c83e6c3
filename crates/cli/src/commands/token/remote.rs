//! `keybound token introspect` and `keybound token revoke`.
//!
//! A token itself goes to its issuer, with the client's own authentication
//! (RFC 7662, RFC 7009). A handle (`tok_…`) or a hash (`sha256:…`) is no
//! secret and goes to control, with the operator's profile.

use std::io::{self, Write};
use std::str::FromStr;

use clap::Args;
use keybound_holder::HttpClient;
use keybound_holder::discovery::{self, AuthorizationServer};
use keybound_proto::token::assertion::{self, AssertionRequest};
use keybound_proto::uri::HttpUrl;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::inspect;
use crate::client::{self, Identity, failure};
use crate::commands::proof::random_text;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain};
use crate::input::Input;
use crate::moment;
use crate::operator::{Operator, OperatorArguments, segment};
use crate::output::{Report, ink, styled};
use crate::profile::Profile;

/// Arguments of `keybound token introspect`.
#[derive(Debug, Args)]
pub(crate) struct IntrospectArguments {
    /// The token: `-` or `@file`; or its handle `tok_…`, or `sha256:…`
    #[arg(default_value = "-")]
    token: TokenReference,

    #[command(flatten)]
    operator: OperatorArguments,
}

/// Arguments of `keybound token revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArguments {
    /// The token: `-` or `@file`; or its handle `tok_…`, or `sha256:…`
    #[arg(default_value = "-")]
    token: TokenReference,

    /// Why, for the record
    #[arg(long)]
    reason: Option<String>,

    #[command(flatten)]
    operator: OperatorArguments,
}

/// A token, or a name of one that is no secret.
#[derive(Debug, Clone)]
pub(crate) enum TokenReference {
    /// The token itself.
    Text(Input),
    /// Its handle.
    Handle(String),
    /// SHA-256 of its text, hexadecimal.
    Hash(String),
}

impl FromStr for TokenReference {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("tok_") {
            return Ok(Self::Handle(text.to_owned()));
        }
        if let Some(hash) = text.strip_prefix("sha256:") {
            let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            return if is_hash {
                Ok(Self::Hash(hash.to_ascii_lowercase()))
            } else {
                Err("`sha256:` takes 64 hexadecimal digits")
            };
        }
        text.parse::<Input>().map(Self::Text)
    }
}

/// The answer of `keybound token introspect`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Introspection {
    /// What the issuer (RFC 7662) or control says about the token.
    answer: Value,
}

/// The answer of `keybound token revoke`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Revocation {
    /// Always true: a token that does not exist is as good as revoked
    /// (RFC 7009 section 2.2).
    revoked: bool,
    /// What control recorded, for a handle or a hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Value>,
}

pub(super) fn introspect(arguments: &IntrospectArguments, context: &Context) -> Outcome {
    let operator = &arguments.operator;
    let answer = context.block_on(async {
        match &arguments.token {
            TokenReference::Handle(handle) => by_name(operator, handle, context).await,
            TokenReference::Hash(hash) => {
                by_name(operator, &format!("sha256:{hash}"), context).await
            }
            TokenReference::Text(input) => {
                let token = input.read()?;
                let call = IssuerCall::prepare(&token, operator, context).await?;
                let endpoint = call.server.introspection_endpoint.clone();
                let body = call
                    .post(endpoint.as_ref(), "introspection", &token, context)
                    .await?;
                serde_json::from_slice(&body).map_err(|error| {
                    Failure::server(format!("the issuer gave an unusable answer: {error}"))
                })
            }
        }
    })?;
    context.output.report(&Introspection { answer })?;
    Ok(Exit::Success)
}

async fn by_name(
    operator: &OperatorArguments,
    name: &str,
    context: &Context,
) -> Result<Value, Failure> {
    let operator = Operator::new(operator, context)?;
    operator.get(&format!("/v1/tokens/{}", segment(name))).await
}

pub(super) fn revoke(arguments: &RevokeArguments, context: &Context) -> Outcome {
    let member = match &arguments.token {
        TokenReference::Handle(handle) => ("token_id", handle),
        TokenReference::Hash(hash) => ("token_sha256", hash),
        TokenReference::Text(input) => return revoke_own(input, arguments, context),
    };
    let mut document = serde_json::json!({ member.0: member.1 });
    if let Some(reason) = &arguments.reason {
        document["reason"] = reason.as_str().into();
    }
    let record = context.block_on(async {
        let operator = Operator::new(&arguments.operator, context)?;
        operator.post("/v1/tokens/revoke", &document).await
    })?;
    context.output.report(&Revocation {
        revoked: true,
        record: Some(record),
    })?;
    Ok(Exit::Success)
}

fn revoke_own(input: &Input, arguments: &RevokeArguments, context: &Context) -> Outcome {
    let token = input.read()?;
    context.block_on(async {
        let call = IssuerCall::prepare(&token, &arguments.operator, context).await?;
        let endpoint = call.server.revocation_endpoint.clone();
        call.post(endpoint.as_ref(), "revocation", &token, context)
            .await
    })?;
    context.output.report(&Revocation {
        revoked: true,
        record: None,
    })?;
    Ok(Exit::Success)
}

/// A call to an endpoint of an issuer, authenticated as a client.
struct IssuerCall {
    profile: Profile,
    server: AuthorizationServer,
    timeout: u64,
}

impl IssuerCall {
    /// Finds who to be. Without a profile that is the client this program
    /// registered at the token's issuer: only a place it has been to before is
    /// sent a token, whatever the token claims.
    async fn prepare(
        token: &str,
        arguments: &OperatorArguments,
        context: &Context,
    ) -> Result<Self, Failure> {
        let profile = match Profile::named(arguments.profile.as_deref(), context)? {
            Some(profile) => profile,
            None => client::known_at(&issuer_of(token)?, context)?,
        };
        let identity = Identity {
            profile: None,
            scope: None,
            resource: None,
            timeout: arguments.timeout,
        };
        let http = HttpClient::new(identity.timeouts()).map_err(failure)?;
        let server = discovery::authorization_server(&http, &profile.issuer)
            .await
            .map_err(failure)?;
        Ok(Self {
            profile,
            server,
            timeout: arguments.timeout,
        })
    }

    async fn post(
        &self,
        endpoint: Option<&HttpUrl>,
        name: &str,
        token: &str,
        context: &Context,
    ) -> Result<Vec<u8>, Failure> {
        let issuer = self.profile.issuer.as_str();
        let endpoint = endpoint.ok_or_else(|| {
            Failure::not_found(format!("the issuer `{issuer}` has no {name} endpoint"))
        })?;
        let assertion = self.assertion(context)?;
        let form = [
            ("token", token),
            ("token_type_hint", "access_token"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion.as_str()),
        ];
        client::post_form(endpoint, &form, self.timeout).await
    }

    fn assertion(&self, context: &Context) -> Result<String, Failure> {
        let now = context.clock.now();
        let key = &self.profile.key;
        let (jti, kid) = (random_text()?, key.public_key().thumbprint().to_string());
        let request = AssertionRequest {
            client_id: &self.profile.file.client_id,
            issuer: self.profile.issuer.as_str(),
            jti: &jti,
            issued_at: now,
            expires_at: now.plus(60),
            kid: Some(&kid),
        };
        assertion::signing_input(&request, key.algorithm())
            .sign(&**key)
            .map_err(|error| Failure::authentication(chain(&error)))
    }
}

fn issuer_of(token: &str) -> Result<HttpUrl, Failure> {
    let issuer = inspect::issuer(token).ok_or_else(|| {
        Failure::usage("this token does not say who issued it")
            .next("name a profile with --profile")
    })?;
    HttpUrl::parse(&issuer).map_err(|error| {
        Failure::usage(format!(
            "this token's issuer is no http or https URL: {error}"
        ))
    })
}

impl Report for Introspection {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.answer.get("active") == Some(&Value::Bool(false)) {
            let text =
                "not active: unknown, expired, revoked, locked, or none of this client's business";
            return writeln!(out, "{}", styled(ink::BAD, text));
        }
        let Some(members) = self.answer.as_object() else {
            return writeln!(out, "{}", self.answer);
        };
        for (name, value) in members {
            let is_moment = matches!(
                name.as_str(),
                "exp" | "iat" | "nbf" | "expires_at" | "issued_at"
            );
            let text = match (value, value.as_u64().filter(|_| is_moment)) {
                (_, Some(seconds)) => moment::rfc3339(seconds),
                (Value::String(text), None) => text.clone(),
                (other, None) => other.to_string(),
            };
            writeln!(
                out,
                "{}  {text}",
                styled(ink::DIM, format_args!("{name:>14}"))
            )?;
        }
        Ok(())
    }
}

impl Report for Revocation {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", styled(ink::GOOD, "revoked"))
    }
}
