//! The figures of the design, each beside a baseline measured in the same run:
//! `cargo xtask bench`, or
//! `cargo bench -p keybound-testkit --bench performance -- [--keybound PROGRAM] [--quick] [--only PART]`,
//! where PART is `checks`, `certificate-headers`, `replay`, `replay-stores`, `gateway`, `million`,
//! `connections`, `issuance` or `process`.
//!
//! One line of JSON a row on stdout, talk on stderr. CPU figures are user and system time of the
//! measured process; everything that makes load runs in another one.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a measuring program prints and reads the clock"
)]

mod apache;
mod bare;
mod certificate_headers;
mod checks;
mod connections;
mod gateway;
mod issuance;
mod load;
mod methods;
mod million;
mod process;
mod replay;
mod roles;
mod row;
mod shared_replay;

use std::path::PathBuf;

/// A name for `--only`, a title, and what measures it; quickly if told so.
type Part = (&'static str, &'static str, fn(bool));

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    if let Some(role) = value("--role") {
        roles::run(&role, &arguments);
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let only = value("--only");
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let parts: [Part; 8] = [
        ("checks", "One check in the guard", checks::run),
        (
            "certificate-headers",
            "Client certificates from a TLS terminator's fields",
            certificate_headers::run,
        ),
        ("replay", "The replay log in memory", replay::run),
        (
            "replay-stores",
            "Replay logs under load, on loopback",
            shared_replay::run,
        ),
        ("gateway", "The gateway", gateway::run),
        (
            "million",
            "The gateway with a full replay log",
            million::run,
        ),
        ("connections", "Idle connections", connections::run),
        ("issuance", "Token issuance", issuance::run),
    ];
    for (part, title, run) in parts {
        if wanted(part) {
            row::begin(title);
            run(quick);
        }
    }
    match value("--keybound").map(PathBuf::from) {
        _ if !wanted("process") => {}
        Some(program) => {
            row::begin("The program");
            process::run(&program);
        }
        None => eprintln!("left out: cold start and idle memory need --keybound PROGRAM"),
    }
}
