//! `keybound probe rs|as|mcp|har TARGET`: assesses from outside whether a
//! server enforces binding, and says how to fix what is missing.
//!
//! What is asked and what follows is decided in `keybound-probe`. Here stand
//! the safety around it (who may be probed, how fast, with what consent), the
//! ways to credentials, and where reports go.

mod conduct;
mod consent;
mod credentials;
mod limits;
mod outputs;
mod progress;
mod rs;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::Outcome;

pub(crate) use conduct::Rehearsal;

/// What to probe.
#[derive(Debug, Subcommand)]
pub(crate) enum ProbeCommand {
    /// Probe an API that takes access tokens (a resource server)
    #[command(after_help = codes(CODES))]
    Rs(rs::RsArguments),
}

const CODES: &[Exit] = &[
    Exit::Findings,
    Exit::Authentication,
    Exit::NotFound,
    Exit::Inconclusive,
    Exit::Unreachable,
];

pub(crate) fn run(command: &ProbeCommand, context: &Context) -> Outcome {
    match command {
        ProbeCommand::Rs(arguments) => rs::run(arguments, context),
    }
}
