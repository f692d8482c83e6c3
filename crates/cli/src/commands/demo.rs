//! `keybound demo`: the story of a stolen token, told by running it, over real
//! HTTP on loopback, with a store in a directory that is removed at the end.
//!
//! Every step is judged by what came over the wire. Nothing here asks the
//! services in another way than a client, a thief or an operator could.

mod agent;
mod forgery;
mod story;
mod teller;
mod wire;

use clap::Args;
use keybound_edge::Drained;
use keybound_proto::wire::ErrorDetail;
use tracing::level_filters::LevelFilter;

use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};
use crate::operator::Operator;
use crate::profile::Profile;
use crate::world::local::{Addresses, Local, write_profile};
use crate::world::sockets::{Sockets, free_ports};
use crate::world::{Manner, World, logging};
use std::path::{Path, PathBuf};
use std::time::Duration;
use story::Stage;
pub(crate) use teller::DemoReport;
use teller::Teller;

/// Arguments of `keybound demo`.
#[derive(Debug, Args)]
#[command(after_help = codes(&[Exit::Success, Exit::Findings, Exit::Lifecycle]))]
pub(crate) struct DemoArguments {}

pub(crate) fn run(_: &DemoArguments, context: &Context) -> Outcome {
    logging::start(context, LevelFilter::OFF);
    let directory = Temporary::make(context)?;
    context.serve(async {
        let mut teller = Teller::new(context.output);
        teller.opening()?;
        let (mut world, addresses, operator) = start(&directory.path, context).await?;
        let stage = Stage {
            addresses: &addresses,
            operator: &operator,
            context,
        };
        let told = story::tell(&stage, &mut teller).await;
        let drained = world.drain(Duration::from_secs(1)).await;
        told?;
        teller.ending(drained == Drained::Clean)
    })
}

async fn start(
    directory: &Path,
    context: &Context,
) -> Result<(World, Addresses, Operator), Failure> {
    let [issuer, gateway, control, management, upstream] = free_ports().await?;
    let addresses = Addresses {
        issuer,
        gateway,
        control,
        management,
        upstream,
    };
    let local = Local::prepare(directory, &addresses)?;
    let mut sockets = Sockets::bind(&local.settings, ErrorDetail::Full).await?;
    sockets.bind_upstream(addresses.upstream).await?;
    let manner = Manner {
        error_detail: ErrorDetail::Full,
    };
    let world = World::start(
        local.settings,
        sockets,
        Some(local.upstream),
        manner,
        &context.clock,
    )
    .await?;
    world.ready_within(READY_WITHIN).await.map_err(|late| {
        Failure::lifecycle(format!(
            "not ready after {} s: {late}",
            READY_WITHIN.as_secs()
        ))
    })?;
    let profile = Profile::read(&write_profile(directory, &addresses)?)?;
    let operator = Operator::of_profile(profile, 10, context)?;
    Ok((world, addresses, operator))
}

/// A directory that is removed when it goes out of scope.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn make(context: &Context) -> Result<Self, Failure> {
        let temporary = context.environment.path("TMPDIR");
        let temporary = temporary.unwrap_or_else(|| PathBuf::from("/tmp"));
        let name = format!("keybound-demo-{}", super::proof::random_text()?);
        let path = temporary.join(name);
        crate::config::secret::make_private_directory(&path)
            .map_err(|error| crate::input::unwritable(&path, &error))?;
        Ok(Self { path })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
    }
}

const READY_WITHIN: Duration = Duration::from_secs(10);
