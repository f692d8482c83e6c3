//! `mutants`: change or delete code of the deciding crates and see that a test falls.

use crate::command::Run;
use crate::failure::Failure;

/// Options go to `cargo mutants`, for instance `--file crates/proto/src/verify.rs`.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let is_installed = Run::cargo().arguments(["mutants", "--version"]).answer();
    if is_installed.is_none() {
        return Err(Failure::Missing(
            "cargo-mutants is not installed; run `cargo install --locked cargo-mutants`".to_owned(),
        ));
    }
    Run::cargo()
        .arguments(["mutants", "--package", "keybound-proto"])
        .arguments(["--package", "keybound-guard"])
        .arguments(options)
        .wait()
}
