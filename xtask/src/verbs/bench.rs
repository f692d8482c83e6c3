//! `bench`: the figures, each printed beside the baseline measured in the same run.
//!
//! Each benchmark is a crate under `bench/`, outside the workspace, so that what it compares with
//! never enters the product's dependency tree. `figures` is the one that the documentation quotes;
//! others belong to a decision and are run by name.

use crate::command::Run;
use crate::failure::Failure;
use crate::paths;

const DEFAULT: &str = "figures";

/// Runs `bench/figures`, or the benchmark named first; other options go to it.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let (name, rest) = match options.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (first.as_str(), rest),
        _ => (DEFAULT, options),
    };
    let known = names();
    if !known.iter().any(|known| known == name) {
        return Err(Failure::Usage(format!(
            "there is no benchmark `{name}`; there are: {}",
            known.join(", ")
        )));
    }
    Run::cargo()
        .arguments(["run", "--release", "--locked", "--manifest-path"])
        .arguments([format!("bench/{name}/Cargo.toml")])
        .arguments(["--"])
        .arguments(rest)
        .wait()
}

/// The folders of `bench/` that are crates.
fn names() -> Vec<String> {
    let directory = paths::root().join("bench");
    paths::files_under(&directory, "Cargo.toml")
        .iter()
        .filter_map(|manifest| manifest.parent()?.strip_prefix(&directory).ok())
        .map(|folder| folder.to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_benchmark_is_refused_with_the_known_names() {
        let failure = run(&["no-such-benchmark".to_owned()]).expect_err("must be refused");
        assert!(failure.to_string().contains("no-such-benchmark"));
    }
}
