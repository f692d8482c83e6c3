//! `keybound probe rs|as|mcp|har TARGET`: assesses from outside whether a
//! server enforces binding, and says how to fix what is missing.
//!
//! What is asked and what follows is decided in `keybound-probe`. Here stand
//! the safety around it (who may be probed, how fast, with what consent), the
//! ways to credentials, and where reports go.

mod access;
mod authorization;
mod callback;
mod certificates;
mod conduct;
mod consent;
mod credentials;
mod har;
mod issuer;
mod limits;
mod obtain;
mod outputs;
mod profiles;
mod progress;
mod rs;
mod signatures;

use clap::Subcommand;
use keybound_proto::uri::HttpUrl;

use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::{Failure, Outcome};

pub(crate) use conduct::{Rehearsal, rehearsed_findings};
pub(crate) use profiles::ProfileList;

/// What to probe.
#[derive(Debug, Subcommand)]
pub(crate) enum ProbeCommand {
    /// Probe an API that takes access tokens (a resource server)
    #[command(after_help = codes(CODES))]
    Rs(Box<rs::RsArguments>),
    /// Probe a server that issues tokens (an authorization server)
    #[command(after_help = codes(CODES))]
    As(Box<authorization::AsArguments>),
    /// Probe a server of the Model Context Protocol over HTTP
    #[command(after_help = codes(CODES))]
    Mcp(Box<rs::McpArguments>),
    /// Assess recorded traffic in an HTTP archive; nothing is sent
    #[command(after_help = codes(&[Exit::Findings, Exit::NotFound, Exit::Inconclusive]))]
    Har(har::HarArguments),
    /// List what differs at common issuers, and what to set there so that tokens are bound
    #[command(after_help = codes(&[]))]
    Profiles,
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
        ProbeCommand::Rs(arguments) => rs::api(arguments, context),
        ProbeCommand::As(arguments) => authorization::run(arguments, context),
        ProbeCommand::Mcp(arguments) => rs::mcp(arguments, context),
        ProbeCommand::Har(arguments) => har::run(arguments, context),
        ProbeCommand::Profiles => profiles::run(context),
    }
}

/// The URL of a target.
fn url(text: &str) -> Result<HttpUrl, Failure> {
    HttpUrl::parse(text)
        .map_err(|error| Failure::usage(format!("`{text}` is no http or https URL: {error}")))
}
