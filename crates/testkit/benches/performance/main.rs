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

/// A name for `--only`, and what measures it; quickly if told so.
type Part = (&'static str, fn(bool));

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
        ("checks", checks::run),
        ("certificate-headers", certificate_headers::run),
        ("replay", replay::run),
        ("replay-stores", shared_replay::run),
        ("gateway", gateway::run),
        ("million", million::run),
        ("connections", connections::run),
        ("issuance", issuance::run),
    ];
    for (part, run) in parts {
        if wanted(part) {
            run(quick);
        }
    }
    match value("--keybound").map(PathBuf::from) {
        _ if !wanted("process") => {}
        Some(program) => process::run(&program),
        None => eprintln!("left out: cold start and idle memory need --keybound PROGRAM"),
    }
}
