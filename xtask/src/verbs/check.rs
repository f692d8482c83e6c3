//! `check`: format, lints and, where cargo-deny is installed, the dependency rules.

use super::docs;
use crate::command::Run;
use crate::failure::Failure;
use crate::needs::{self, Consent};
use crate::summary::Summary;

pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    needs::satisfy(&needs::rust_components(), Consent::from_options(options))?;
    let mut summary = Summary::default();
    format_and_lints(&mut summary);
    summary.step("documents", docs::check);
    if Run::cargo()
        .arguments(["deny", "--version"])
        .answer()
        .is_some()
    {
        summary.step("dependency rules", dependency_rules);
    } else {
        summary.not_run("dependency rules", "cargo-deny is not installed");
    }
    summary.finish()
}

/// The two steps that `check` and `test` share.
pub(crate) fn format_and_lints(summary: &mut Summary) {
    summary.step("format", || {
        Run::cargo().arguments(["fmt", "--all", "--check"]).wait()
    });
    summary.step("lints", || {
        Run::cargo()
            .arguments(["clippy", "--workspace", "--all-targets", "--locked"])
            .arguments(["--", "-D", "warnings"])
            .wait()
    });
}

/// Advisories need the network and a fresh database, so they are asked for by name, not here.
fn dependency_rules() -> Result<(), Failure> {
    Run::cargo()
        .arguments(["deny", "check", "bans", "licenses", "sources"])
        .wait()
}
