//! The command line: what can be typed. Each command's own arguments stand in
//! its module; this is the tree and the global flags.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    completions, config, demo, dev, events, init, key, lock, login, man, probe, proof, reference,
    request, serve, token,
};

/// Sender-constrained tokens: a stolen token is worthless without its key.
#[derive(Debug, Parser)]
#[command(
    name = "keybound",
    version,
    propagate_version = false,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100,
    after_help = "Try `keybound demo` first: the story of a stolen token, told by running it."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct GlobalArguments {
    /// Print data as JSON on stdout, and a failure as JSON on stderr
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,

    /// Say nothing on stderr but errors
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,

    /// No colour, also on a terminal (as does the variable NO_COLOR)
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) no_color: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell the story of a stolen token by running it, then exit
    Demo(demo::DemoArguments),
    /// Run everything on loopback with no configuration, until stopped
    Dev(dev::DevArguments),
    /// Run the issuer, gateway and control plane a configuration has
    Serve(serve::ServeArguments),
    /// Write a configuration, keys and secrets into a directory
    Init(init::InitArguments),
    /// Make, list and show key files
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Get, inspect, introspect and revoke tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Refuse a token, a key or an identity at every gate
    Lock(lock::LockArguments),
    /// Release a lock
    Unlock(lock::UnlockArguments),
    /// Make a single-use link that logs a browser in to the issuer's pages
    Login(login::LoginArguments),
    /// Send one signed request
    Request(request::RequestArguments),
    /// Make, verify and explain DPoP proofs
    #[command(subcommand)]
    Proof(proof::ProofCommand),
    /// Assess from outside whether a server enforces binding
    #[command(subcommand)]
    Probe(Box<probe::ProbeCommand>),
    /// Validate and show configurations
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Follow what happens
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completions(completions::CompletionsArguments),
    /// Write manual pages into a directory
    Man(man::ManArguments),
    /// Write the generated pages of the reference into a directory
    #[command(hide = true)]
    Reference(reference::ReferenceArguments),
}

/// Parses a command line.
pub(crate) fn parse(line: &[OsString]) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line)
}

/// Whether a line that does not parse asked for JSON, so that its error can be
/// JSON too.
pub(crate) fn asks_for_json(line: &[OsString]) -> bool {
    line.iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--json")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_is_described() {
        fn walk(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let described = argument.get_help().is_some();
                assert!(described, "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Arguments::command());
    }
}
