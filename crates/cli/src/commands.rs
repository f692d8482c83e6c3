//! The commands, one module each.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod events;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod lock;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod probe;
pub(crate) mod proof;
pub(crate) mod reference;
pub(crate) mod request;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod version;

use crate::arguments::Command;
use crate::context::Context;
use crate::failure::Outcome;

/// Runs a command.
pub(crate) fn run(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Demo(arguments) => demo::run(&arguments, context),
        Command::Dev(arguments) => dev::run(&arguments, context),
        Command::Serve(arguments) => serve::run(&arguments, context),
        Command::Init(arguments) => init::run(&arguments, context),
        Command::Key(command) => key::run(&command, context),
        Command::Token(command) => token::run(&command, context),
        Command::Lock(arguments) => lock::lock(&arguments, context),
        Command::Unlock(arguments) => lock::unlock(&arguments, context),
        Command::Login(arguments) => login::run(&arguments, context),
        Command::Request(arguments) => request::run(&arguments, context),
        Command::Proof(command) => proof::run(&command, context),
        Command::Probe(command) => probe::run(&command, context),
        Command::Config(command) => config::run(&command, context),
        Command::Events(command) => events::run(&command, context),
        Command::Version => version::run(context),
        Command::Completions(arguments) => completions::run(&arguments, context),
        Command::Man(arguments) => man::run(&arguments, context),
        Command::Reference(arguments) => reference::run(&arguments, context),
    }
}
