//! `keybound`, the one binary: the only place that reads arguments, the
//! environment and the clock, and that starts runtimes.
//!
//! What tokens, proofs and locks mean is decided in the other crates; here
//! they are wired together and explained to people.

mod arguments;
mod client;
mod clock;
mod commands;
mod config;
mod context;
mod environment;
mod exit;
mod failure;
mod input;
mod moment;
mod operator;
mod output;
mod profile;
mod world;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use crate::context::Context;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    let arguments = match arguments::parse(&line) {
        Ok(arguments) => arguments,
        Err(error) => return unparsed(&line, &error),
    };
    let global = arguments.global;
    if global.no_color {
        anstream::ColorChoice::Never.write_global();
    }
    let output = Output::new(global.json, global.quiet);
    let context = Context::new(output, Environment::read());
    let run = || commands::run(arguments.command, &context);
    // A panic is a fault of this program, and scripts tell it from others by
    // its exit code. The hook has printed where it happened.
    let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(fault()));
    finish(output, outcome)
}

fn finish(output: Output, outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit().into()
        }
    }
}

/// A line that is no command: help and version end well, the rest is usage.
fn unparsed(line: &[OsString], error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        drop(error.print());
        return Exit::Success.into();
    }
    if arguments::asks_for_json(line) {
        let message = error.render().to_string();
        let first = message.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
        let failure = Failure::usage(message).next("see `keybound --help`");
        return finish(Output::new(true, false), Err(failure));
    }
    drop(error.print());
    Exit::Usage.into()
}

fn fault() -> Failure {
    Failure::internal("keybound met a fault of its own")
        .next("report it with the lines above; they hold no secrets")
}
