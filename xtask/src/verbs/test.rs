//! `test`: everything a change must pass, on one build of the workspace.
//!
//! The interop tests and the demo run the debug executable that the workspace's own tests built;
//! the release build is the business of `demo`, `bench` and `dist`.

use std::path::Path;

use super::binary::{self, Built};
use super::{check, docs, interop, model, vectors};
use crate::command::Run;
use crate::failure::Failure;
use crate::needs::{self, Consent};
use crate::summary::Summary;

pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    refuse_unknown(options)?;
    let with_interop = !options.iter().any(|option| option == "--without-interop");
    let mut needs = needs::rust_components();
    needs.push(needs::certificate_tools());
    if with_interop {
        needs.extend(needs::interop());
        needs.extend(needs::stores());
    }
    needs::satisfy(&needs, Consent::from_options(options))?;

    let mut summary = Summary::default();
    check::format_and_lints(&mut summary);
    summary.step("documents", docs::check);
    match summary.step("build", build) {
        Some(built) => after_the_build(&mut summary, &built, with_interop),
        None => {
            for name in ["tests", "replay log model", "vectors", "interop", "demo"] {
                summary.not_run(name, "the build failed");
            }
        }
    }
    summary.finish()
}

fn after_the_build(summary: &mut Summary, built: &Built, with_interop: bool) {
    summary.step("tests", workspace_tests);
    summary.step("replay log model", model::run);
    summary.step("vectors", || match &built.vectors {
        Some(program) => vectors::check(program),
        None => Err(Failure::Findings(vec![
            "the build made no example named vectors".to_owned(),
        ])),
    });
    if with_interop {
        summary.step("interop", || interop::against(&built.keybound));
    } else {
        summary.not_run("interop", "left out with --without-interop");
    }
    summary.step("demo", || demo(&built.keybound));
}

fn refuse_unknown(options: &[String]) -> Result<(), Failure> {
    let known = ["--yes", "--without-interop"];
    match options
        .iter()
        .find(|option| !known.contains(&option.as_str()))
    {
        None => Ok(()),
        Some(option) => Err(Failure::Usage(format!(
            "`{option}` is not an option of `cargo xtask test`; it knows {}",
            known.join(" and ")
        ))),
    }
}

/// Builds what the tests need, with the same features and profile that they use.
fn build() -> Result<Built, Failure> {
    binary::build(&["test", "--workspace", "--locked", "--no-run"])
}

fn workspace_tests() -> Result<(), Failure> {
    Run::cargo()
        .arguments(["test", "--workspace", "--locked", "--no-fail-fast"])
        .wait()
}

/// The demo ends with status 1 when any of its steps went otherwise than expected.
fn demo(keybound: &Path) -> Result<(), Failure> {
    Run::new(&keybound.to_string_lossy())
        .arguments(["demo"])
        .wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_is_refused() {
        let failure = refuse_unknown(&["--fast".to_owned()]).expect_err("not an option");
        assert!(failure.to_string().contains("--fast"));
        assert!(refuse_unknown(&["--yes".to_owned()]).is_ok());
    }
}
