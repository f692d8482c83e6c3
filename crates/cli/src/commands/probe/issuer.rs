//! How the probe is known to an issuer.

use std::sync::Arc;

use clap::Args;
use keybound_holder::Secret;
use keybound_probe::Client;

use crate::commands::key;
use crate::failure::Failure;
use crate::input::Input;

/// How the probe is known to an issuer.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Client at the issuer")]
pub(super) struct ClientArguments {
    /// The `client_id` [default: the probe registers itself]
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,

    /// The client's key, for `private_key_jwt`
    #[arg(
        long,
        value_name = "KEY",
        requires = "client_id",
        conflicts_with = "client_secret"
    )]
    client_key: Option<String>,

    /// The client's secret: `-` or `@file`
    #[arg(long, value_name = "INPUT", requires = "client_id")]
    client_secret: Option<Input>,

    /// The token an issuer asks of those who register: `-` or `@file`
    #[arg(long, value_name = "INPUT", conflicts_with = "client_id")]
    registration_token: Option<Input>,
}

impl ClientArguments {
    /// Whether anything is said about it.
    pub(super) const fn is_given(&self) -> bool {
        self.client_id.is_some() || self.registration_token.is_some()
    }

    /// The client, its key or secret read.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let secret = |input: &Input| Ok::<_, Failure>(Secret::new(input.read()?.as_str()));
        match (&self.client_id, &self.client_key, &self.client_secret) {
            (None, ..) => {
                let token = self.registration_token.as_ref().map(secret).transpose()?;
                Ok(Client::Register(token))
            }
            (Some(id), Some(key), _) => {
                Ok(Client::PrivateKeyJwt(id.clone(), Arc::new(key::open(key)?)))
            }
            (Some(id), None, Some(input)) => Ok(Client::Secret(id.clone(), secret(input)?)),
            (Some(id), None, None) => Err(Failure::usage(format!(
                "nothing authenticates the client `{id}`"
            ))
            .next("give its key with --client-key, or its secret with --client-secret")),
        }
    }
}
