//! What the probe presents at a resource server, and where it comes from:
//! given, made with an issuer's key, or got from an issuer.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use keybound_holder::Secret;
use keybound_probe::{Binding, BoundToken, Credentials, TokenIssuer};
use keybound_proto::jose::{Algorithm, Signer};

use crate::commands::key;
use crate::context::Context;
use crate::failure::Failure;
use crate::input::Input;

/// Where tokens come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Credentials")]
pub(super) struct CredentialArguments {
    /// A token that is good for the target: `-` or `@file` [default: KEYBOUND_TOKEN]
    #[arg(long, value_name = "INPUT")]
    token: Option<Input>,

    /// The key the token is bound to: `file:PATH`, or a path
    #[arg(long)]
    key: Option<String>,

    /// What the token is bound to [default: what its `cnf` says, else dpop]
    #[arg(long, value_enum)]
    bound_to: Option<BoundTo>,

    /// A token of another client, bound to `--other-key`
    #[arg(long, value_name = "INPUT", requires = "other_key")]
    other_token: Option<Input>,

    /// The key of the other client
    #[arg(long, value_name = "KEY", requires = "other_token")]
    other_key: Option<String>,

    /// A token of the same key for another audience
    #[arg(long, value_name = "INPUT")]
    other_audience_token: Option<Input>,

    /// A token that is good for the target and bound to nothing
    #[arg(long, value_name = "INPUT")]
    unbound_token: Option<Input>,

    /// A token of the same key without the scope of the request
    #[arg(long, value_name = "INPUT")]
    lesser_scope_token: Option<Input>,

    /// A token of the same key that has expired
    #[arg(long, value_name = "INPUT")]
    expired_token: Option<Input>,

    #[command(flatten)]
    maker: MakerArguments,
}

/// A key the target trusts as an issuer's, for test environments.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Credentials of a test environment")]
struct MakerArguments {
    /// The key of an issuer that the target trusts: tokens of every kind are made with it
    #[arg(long, value_name = "KEY", requires_all = ["issuer_name", "audience"])]
    issuer_key: Option<String>,

    /// Its `kid`
    #[arg(long, value_name = "KID", requires = "issuer_key")]
    issuer_kid: Option<String>,

    /// The `iss` of its tokens
    #[arg(long, value_name = "URL", requires = "issuer_key")]
    issuer_name: Option<String>,

    /// The `aud` of its tokens
    #[arg(long, value_name = "URL", requires = "issuer_key")]
    audience: Option<String>,
}

/// What a token is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BoundTo {
    /// A key, shown by proofs
    Dpop,
    /// The client certificate
    Certificate,
    /// Both at once
    Both,
}

impl CredentialArguments {
    /// What the token is said to be bound to.
    pub(super) fn binding(&self) -> Option<Binding> {
        self.bound_to.map(|bound| match bound {
            BoundTo::Dpop => Binding::Dpop,
            BoundTo::Certificate => Binding::Certificate,
            BoundTo::Both => Binding::Both,
        })
    }

    fn binding_of(&self, token: &Secret) -> Binding {
        self.binding()
            .unwrap_or_else(|| Binding::of_token(token.expose()))
    }

    /// What is given, read; nothing where an issuer is to be asked.
    pub(super) fn given(
        &self,
        scope: Option<&str>,
        context: &Context,
    ) -> Result<Option<Credentials>, Failure> {
        self.stdin_once()?;
        let issuer = self.maker.issuer(scope)?;
        let Some(bound) = self.bound(issuer.as_ref(), context)? else {
            return Ok(None);
        };
        let mut credentials = Credentials::new(bound);
        credentials.other = self.other(issuer.as_ref(), context)?;
        credentials.other_audience = secret(self.other_audience_token.as_ref())?;
        credentials.unbound = secret(self.unbound_token.as_ref())?;
        credentials.lesser_scope = secret(self.lesser_scope_token.as_ref())?;
        credentials.expired = secret(self.expired_token.as_ref())?;
        credentials.issuer = issuer;
        Ok(Some(credentials))
    }

    fn bound(
        &self,
        issuer: Option<&TokenIssuer>,
        context: &Context,
    ) -> Result<Option<BoundToken>, Failure> {
        let variable = context.environment.text("KEYBOUND_TOKEN");
        let token = match (&self.token, variable) {
            (Some(input), _) => Some(Secret::new(input.read()?.as_str())),
            (None, Some(text)) => Some(Secret::new(text.trim())),
            (None, None) => None,
        };
        match (token, &self.key, issuer) {
            (Some(token), Some(key), _) if !token.expose().is_empty() => Ok(Some(BoundToken {
                token,
                key: Arc::new(key::open(key)?),
            })),
            (Some(_), Some(_), _) => Err(Failure::usage("the token is empty")
                .next("`keybound token get --raw URL` prints one")),
            // Possession is shown by the certificate; the key signs nothing that counts.
            (Some(token), None, _) if self.binding_of(&token) == Binding::Certificate => {
                let key: Arc<dyn Signer> = Arc::new(key::generate(Algorithm::Es256)?);
                Ok(Some(BoundToken { token, key }))
            }
            (Some(_), None, _) => Err(Failure::usage(
                "there is a token, and no key it is bound to",
            )
            .next("name the key with --key, or the client certificate with --client-cert and --bound-to certificate")),
            (None, key, Some(issuer)) => issued(issuer, key.as_deref(), context).map(Some),
            (None, Some(_), None) => Err(Failure::usage("a key without a token")
                .next("give the token that is bound to it with --token - or --token @file")),
            (None, None, None) => Ok(None),
        }
    }

    fn other(
        &self,
        issuer: Option<&TokenIssuer>,
        context: &Context,
    ) -> Result<Option<BoundToken>, Failure> {
        match (&self.other_token, &self.other_key, issuer) {
            (Some(token), Some(key), _) => Ok(Some(BoundToken {
                token: Secret::new(token.read()?.as_str()),
                key: Arc::new(key::open(key)?),
            })),
            (_, _, Some(issuer)) => issued(issuer, None, context).map(Some),
            _ => Ok(None),
        }
    }

    /// Standard input can be read once.
    fn stdin_once(&self) -> Result<(), Failure> {
        let inputs = [
            &self.token,
            &self.other_token,
            &self.other_audience_token,
            &self.unbound_token,
            &self.lesser_scope_token,
            &self.expired_token,
        ];
        let from_stdin = inputs
            .iter()
            .filter(|input| input.as_ref() == Some(&Input::Stdin))
            .count();
        if from_stdin > 1 {
            return Err(
                Failure::usage("two inputs are to be read from standard input")
                    .next("give all but one as `@file`"),
            );
        }
        Ok(())
    }
}

impl MakerArguments {
    fn issuer(&self, scope: Option<&str>) -> Result<Option<TokenIssuer>, Failure> {
        let (Some(key), Some(issuer), Some(audience)) =
            (&self.issuer_key, &self.issuer_name, &self.audience)
        else {
            return Ok(None);
        };
        Ok(Some(TokenIssuer {
            issuer: issuer.clone(),
            audience: audience.clone(),
            kid: self.issuer_kid.clone(),
            scope: scope.unwrap_or_default().to_owned(),
            key: Arc::new(key::open(key)?),
        }))
    }
}

/// Credentials that are good for nothing: what a rehearsal is made with.
pub(super) fn stand_in() -> Result<Credentials, Failure> {
    let key: Arc<dyn Signer> = Arc::new(key::generate(Algorithm::Es256)?);
    let token = |text: &str| Secret::new(text);
    let mut credentials = Credentials::new(BoundToken {
        token: token("stand-in"),
        key: Arc::clone(&key),
    });
    credentials.other = Some(BoundToken {
        token: token("stand-in-of-another-client"),
        key,
    });
    Ok(credentials)
}

fn issued(
    issuer: &TokenIssuer,
    key: Option<&str>,
    context: &Context,
) -> Result<BoundToken, Failure> {
    let key: Arc<dyn Signer> = Arc::new(match key {
        Some(key) => key::open(key)?,
        None => key::generate(Algorithm::Es256)?,
    });
    let token = issuer
        .issue(key.as_ref(), context.clock.now())
        .map_err(|error| Failure::authentication(error.to_string()))?;
    Ok(BoundToken { token, key })
}

fn secret(input: Option<&Input>) -> Result<Option<Secret>, Failure> {
    input
        .map(|input| Ok(Secret::new(input.read()?.as_str())))
        .transpose()
}
