//! The project's verbs: `cargo xtask <verb>`.
//!
//! Every check that a change must pass is a verb here, so that a workstation and a build server
//! run the same commands. Logic longer than a few lines lives in this crate rather than in shell.
//!
//! What this crate does not do: it imports nothing of the product but `keybound-proto` (for the
//! check registry); everything else it runs as a command, as a user would.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer tool talks to its terminal"
)]

mod command;
mod failure;
mod needs;
mod paths;
mod refusals;
mod summary;
mod verbs;

use std::process::ExitCode;

use failure::Failure;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let Some((verb, rest)) = arguments.split_first() else {
        print!("{USAGE}");
        return Err(Failure::Usage("a verb is missing".to_owned()));
    };
    match verb.as_str() {
        "test" => verbs::test::run(rest),
        "check" => verbs::check::run(rest),
        "demo" => verbs::demo::run(rest),
        "interop" => verbs::interop::run(rest),
        "bench" => verbs::bench::run(rest),
        "fuzz" => verbs::fuzz::run(rest),
        "mutants" => verbs::mutants::run(rest),
        "vectors" => verbs::vectors::run(rest),
        "docs" => verbs::docs::run(rest),
        "dist" => verbs::dist::run(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(Failure::Usage(format!(
            "there is no verb `{other}`; `cargo xtask help` lists them"
        ))),
    }
}

const USAGE: &str = "\
usage: cargo xtask <verb> [options]

  test [--yes] [--without-interop]   all of it: format, lints, tests, other people's clients, the demo
  check                              format, lints, dependency rules (no tests)
  demo [options]                     the story of a stolen token, release build
  interop [--yes]                    other people's OAuth clients and servers against ours
  interop spire                      a SPIRE server and agent, built with Go, against ours (not part of `test`)
  bench [NAME] [options]             the figures, each beside its baseline (bench/figures unless named)
  fuzz [--seconds N] [TARGET ...]    explore every parser of outside bytes (needs nightly, cargo-fuzz)
  mutants [options]                  delete the checks one by one and see that a test falls (needs cargo-mutants)
  vectors [--check]                  vectors/README.md from the vectors; every cause has one
  docs [--check]                     API documentation without warnings; every link in the documents resolves
  dist                               the release archive for this machine

Exit status: 0 all good, 1 something failed, 2 usage or something is missing.
";
