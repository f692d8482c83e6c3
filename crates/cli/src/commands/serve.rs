//! `keybound serve`: whichever of issuer, gateway and control the
//! configuration has.

use std::time::Duration;

use clap::Args;
use keybound_edge::Drained;
use keybound_proto::wire::ErrorDetail;
use tracing::level_filters::LevelFilter;

use super::config::{WhichConfig, load};
use crate::config::settings::Settings;
use crate::config::validate::validate;
use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::output::{ink, styled};
use crate::world::sockets::Sockets;
use crate::world::stop::StopSignals;
use crate::world::{Manner, World, logging};

/// Arguments of `keybound serve`.
#[derive(Debug, Args)]
#[command(after_help = codes(&[Exit::Success, Exit::Usage, Exit::Lifecycle]))]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    which: WhichConfig,

    /// Seconds that requests in flight may take when stopping
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,
}

pub(crate) fn run(arguments: &ServeArguments, context: &Context) -> Outcome {
    let loaded = load(&arguments.which, context)?;
    let (settings, warnings) = validate(&loaded)?;
    for warning in &warnings {
        context.output.warning(warning.line(&loaded.name));
    }
    logging::start(context, LevelFilter::INFO);
    context.serve(async {
        let stop = StopSignals::listen()?;
        let sockets = Sockets::bind(&settings, ErrorDetail::Minimal).await?;
        let lines = listening(&settings);
        let manner = Manner {
            error_detail: ErrorDetail::Minimal,
        };
        let world = World::start(settings, sockets, None, manner, &context.clock).await?;
        for line in lines {
            context.output.note(line);
        }
        let patience = Duration::from_secs(arguments.drain);
        ended(world.run_until(stop.first(context.output), patience).await)
    })
}

/// How a drain ends the process.
pub(crate) fn ended(drained: Drained) -> Outcome {
    match drained {
        Drained::Clean => Ok(Exit::Success),
        Drained::Cut { connections } => Err(Failure::lifecycle(format!(
            "{connections} connections were cut off with a request in flight"
        ))
        .next("give them longer with --drain SECONDS")),
    }
}

fn listening(settings: &Settings) -> Vec<String> {
    let issuer = settings
        .issuer
        .as_ref()
        .map(|issuer| ("issuer", issuer.config.url.to_string(), issuer.listen));
    let gateway = settings
        .gateway
        .as_ref()
        .map(|gateway| ("gateway", gateway.url.to_string(), gateway.listen));
    let control = settings
        .control
        .as_ref()
        .map(|control| ("control", control.url.to_string(), control.listen));
    let management = settings
        .management
        .map(|listen| ("management", format!("http://{listen}/readyz"), listen));
    [issuer, gateway, control, management]
        .into_iter()
        .flatten()
        .map(|(name, url, listen)| {
            let name = styled(ink::BOLD, format_args!("{name:<10}"));
            format!(
                "{name} {url}  {}",
                styled(ink::DIM, format_args!("on {listen}"))
            )
        })
        .collect()
}
