//! `bench`: the figures, each printed beside the baseline measured in the same run.

use crate::command::Run;
use crate::failure::Failure;
use crate::paths;

/// Runs each crate under `bench/`, release build; options go to all of them. They are outside the
/// workspace, so that what they compare with never enters the product's dependency tree.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let manifests = paths::files_under(&paths::root().join("bench"), "Cargo.toml");
    if manifests.is_empty() {
        return Err(Failure::Findings(vec![
            "bench/ holds no benchmark".to_owned(),
        ]));
    }
    for manifest in manifests {
        Run::cargo()
            .arguments(["run", "--release", "--locked", "--manifest-path"])
            .arguments([&manifest])
            .arguments(["--"])
            .arguments(options)
            .wait()?;
    }
    Ok(())
}
