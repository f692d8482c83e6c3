//! t
mod inspect;
use clap::Subcommand;
use crate::input::Input;
use crate::failure::Outcome;
use crate::context::Context;
/// t
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Inspect
    Inspect {
        /// The token: `-` or `@file`
        #[arg(default_value = "-")]
        token: Input,
    },
}
pub(crate) fn run(command: &TokenCommand, context: &Context) -> Outcome {
    match command { TokenCommand::Inspect { token } => inspect::run(token, context) }
}
