//! `keybound completions SHELL`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Outcome;

/// Arguments of `keybound completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "For bash: keybound completions bash > ~/.local/share/bash-completion/completions/keybound"
)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &CompletionsArguments, context: &Context) -> Outcome {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "keybound", &mut script);
    context.output.bytes(&script)?;
    Ok(Exit::Success)
}
