//! `keybound serve`: whichever of issuer, gateway and control the
//! configuration has.

use std::time::Duration;

use clap::Args;
use keybound_edge::Drained;
use keybound_proto::wire::ErrorDetail;
use tracing::level_filters::LevelFilter;

use super::config::{WhichConfig, load};
use crate::config::settings::{FrontSettings, Settings};
use crate::config::validate::validate;
use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::output::{ink, styled};
use crate::world::sockets::Sockets;
use crate::world::stop::StopSignals;
use crate::world::{Manner, World, front, logging};

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
        let tls = settings.tls();
        let manner = Manner {
            error_detail: ErrorDetail::Minimal,
        };
        let world = World::start(settings, sockets, None, manner, &context.clock).await?;
        for line in lines {
            context.output.note(line);
        }
        let patience = Duration::from_secs(arguments.drain);
        let stop = stop.first(context.output, move || {
            for (name, tls) in &tls {
                front::reload(name, tls);
            }
            !tls.is_empty()
        });
        ended(world.run_until(stop, patience).await)
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
    let mut all = Vec::new();
    let mut front = |name, url: String, front: &FrontSettings| {
        if let Some(listen) = front.plain {
            all.push((name, url.clone(), format!("on {listen}")));
        }
        if let Some(with) = &front.tls {
            all.push((name, url, format!("on {} with TLS", with.listen)));
        }
    };
    if let Some(issuer) = &settings.issuer {
        front("issuer", issuer.config.url.to_string(), &issuer.front);
    }
    if let Some(gateway) = &settings.gateway {
        front("gateway", gateway.url.to_string(), &gateway.front);
    }
    if let Some(control) = &settings.control {
        let listen = control.listen;
        all.push(("control", control.url.to_string(), format!("on {listen}")));
    }
    if let Some(listen) = settings.management {
        let url = format!("http://{listen}/readyz");
        all.push(("management", url, format!("on {listen}")));
    }
    all.into_iter()
        .map(|(name, url, place)| {
            let name = styled(ink::BOLD, format_args!("{name:<10}"));
            format!(
                "{name} {url}  {}",
                styled(ink::DIM, format_args!("{place}"))
            )
        })
        .collect()
}
