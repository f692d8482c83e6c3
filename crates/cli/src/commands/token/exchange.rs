//! `keybound token exchange`: a token for another one (RFC 8693), and lending one's own.

use clap::Args;
use keybound_holder::Exchange;
use keybound_proto::jose::Jkt;

use super::TokenDescription;
use crate::client::{Client, Identity, failure};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::profile::Profile;

/// Arguments of `keybound token exchange`.
#[derive(Debug, Args)]
pub(crate) struct ExchangeArguments {
    /// The token: `-` or `@file`
    #[arg(default_value = "-")]
    token: Input,

    /// The proof by which the token's holder lent it: `@file`
    #[arg(long, value_name = "INPUT", conflicts_with = "lend_to")]
    lent: Option<Input>,

    /// Exchange nothing: print the proof that lends this token to the key with this thumbprint
    #[arg(long, value_name = "JKT", allow_hyphen_values = true)]
    lend_to: Option<Jkt>,

    /// Print the token itself instead of what it is
    #[arg(long)]
    raw: bool,

    #[command(flatten)]
    identity: Identity,
}

pub(super) fn run(arguments: &ExchangeArguments, context: &Context) -> Outcome {
    let token = arguments.token.read()?;
    let lent = arguments.lent.as_ref().map(Input::read).transpose()?;
    let profile = Profile::named(arguments.identity.profile.as_deref(), context)?;
    let profile = profile.ok_or_else(|| {
        Failure::authentication("an exchange needs a client".to_owned())
            .next("name a profile with --profile")
    })?;
    let client = Client::of_profile(profile, &arguments.identity, context)?;
    if let Some(to) = arguments.lend_to {
        let proof = context.block_on(async {
            let lent = client.holder.lend(token.trim(), to).await;
            lent.map_err(failure)
        })?;
        context.output.text(&proof)?;
        return Ok(Exit::Success);
    }
    let exchange = Exchange {
        subject_token: token.trim(),
        lent_by: lent.as_deref().map(|proof| proof.trim()),
    };
    let token = context.block_on(async {
        let exchanged = client.holder.exchange(&exchange).await;
        exchanged.map_err(failure)
    })?;
    if arguments.raw {
        context.output.text(token.expose())?;
        return Ok(Exit::Success);
    }
    let described = TokenDescription::of(&token, context);
    context.output.report(&described)?;
    Ok(Exit::Success)
}
