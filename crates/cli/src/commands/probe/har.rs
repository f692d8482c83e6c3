//! `keybound probe har FILE`: recorded traffic. Nothing is sent.

use std::path::PathBuf;

use clap::Args;
use keybound_probe::assess_archive;

use super::conduct::failure;
use super::outputs::Outputs;
use crate::context::Context;
use crate::failure::Outcome;
use crate::input::unreadable;

/// Arguments of `keybound probe har`.
#[derive(Debug, Args)]
pub(crate) struct HarArguments {
    /// The HTTP archive, as browsers and proxies save it
    file: PathBuf,

    #[command(flatten)]
    outputs: Outputs,
}

pub(super) fn run(arguments: &HarArguments, context: &Context) -> Outcome {
    let outputs = arguments.outputs.prepare()?;
    let name = arguments.file.display().to_string();
    let bytes =
        std::fs::read(&arguments.file).map_err(|error| unreadable(&format!("`{name}`"), &error))?;
    let report = assess_archive(&name, &bytes, context.clock.now()).map_err(failure)?;
    outputs.finish(report, context)
}
