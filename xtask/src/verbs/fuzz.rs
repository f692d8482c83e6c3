//! `fuzz`: explore every parser of outside bytes.
//!
//! Exploring needs a nightly compiler and cargo-fuzz. The corpus it leaves behind is replayed by
//! the ordinary tests on the ordinary compiler, so nothing found here is forgotten.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::Value;

use crate::command::Run;
use crate::failure::Failure;
use crate::paths;

const DEFAULT_SECONDS: u64 = 60;

/// What was asked for on the command line.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    seconds: u64,
    targets: Vec<String>,
}

pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let plan = read_options(options)?;
    // The rustup proxy is asked on purpose: only it understands `+nightly`.
    let tool = Run::new("cargo").arguments(["+nightly", "fuzz", "--version"]);
    if tool.answer().is_none() {
        return Err(Failure::Missing(
            "fuzzing needs a nightly compiler and cargo-fuzz; run \
             `rustup toolchain install nightly && cargo install --locked cargo-fuzz`"
                .to_owned(),
        ));
    }
    let known = targets()?;
    let chosen = choose(&known, &plan.targets)?;
    let seeds = seeds()?;
    for target in chosen {
        // libFuzzer writes what it finds into the first folder and only reads the others.
        let found = paths::root().join("fuzz/target/found").join(&target);
        fs::create_dir_all(&found).map_err(|source| unreadable(&found, source))?;
        Run::new("cargo")
            .arguments(["+nightly", "fuzz", "run", target.as_str()])
            .arguments([&found])
            .arguments(&seeds)
            .arguments(["--".to_owned(), format!("-max_total_time={}", plan.seconds)])
            .wait()?;
    }
    Ok(())
}

/// The folders of the corpus. A family is given all of them: what one parser refuses is often
/// what another one is for.
fn seeds() -> Result<Vec<PathBuf>, Failure> {
    let corpus = paths::root().join("fuzz/corpus");
    let entries = fs::read_dir(&corpus).map_err(|source| unreadable(&corpus, source))?;
    let folders: Result<Vec<_>, _> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    folders.map_err(|source| unreadable(&corpus, source))
}

fn unreadable(path: &Path, source: io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        source,
    }
}

fn read_options(options: &[String]) -> Result<Plan, Failure> {
    let mut plan = Plan {
        seconds: DEFAULT_SECONDS,
        targets: Vec::new(),
    };
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        if option == "--seconds" {
            let value = rest.next().and_then(|value| value.parse().ok());
            plan.seconds = value.ok_or_else(|| {
                Failure::Usage("`--seconds` needs a number of seconds per target".to_owned())
            })?;
        } else if option.starts_with('-') {
            return Err(Failure::Usage(format!(
                "`{option}` is not an option of `cargo xtask fuzz`; it knows `--seconds N`"
            )));
        } else {
            plan.targets.push(option.clone());
        }
    }
    Ok(plan)
}

/// The fuzz targets, which are the executables of the crate in `fuzz/`.
fn targets() -> Result<Vec<String>, Failure> {
    let arguments = ["metadata", "--format-version=1", "--no-deps"];
    let answer = Run::cargo()
        .arguments(arguments)
        .arguments(["--manifest-path", "fuzz/Cargo.toml"])
        .answer();
    let unreadable = || Failure::Findings(vec!["fuzz/Cargo.toml cannot be read".to_owned()]);
    let document: Value =
        serde_json::from_str(&answer.ok_or_else(unreadable)?).map_err(|_| unreadable())?;
    let list = document.pointer("/packages/0/targets");
    let list = list.and_then(Value::as_array).ok_or_else(unreadable)?;
    Ok(list
        .iter()
        .filter(|target| target.pointer("/kind/0").and_then(Value::as_str) == Some("bin"))
        .filter_map(|target| target.get("name")?.as_str().map(str::to_owned))
        .collect())
}

fn choose(known: &[String], wanted: &[String]) -> Result<Vec<String>, Failure> {
    if wanted.is_empty() {
        return Ok(known.to_vec());
    }
    match wanted.iter().find(|name| !known.contains(name)) {
        None => Ok(wanted.to_vec()),
        Some(name) => Err(Failure::Usage(format!(
            "there is no fuzz target `{name}`; there are {}",
            known.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_are_read_and_unknown_ones_refused() {
        assert!(read_options(&words("--seconds")).is_err());
        assert!(read_options(&words("--seconds soon")).is_err());
        assert!(read_options(&words("--jobs 4")).is_err());
        let plan = read_options(&words("--seconds 5 jws")).expect("two good options");
        assert_eq!((plan.seconds, plan.targets), (5, words("jws")));
    }

    #[test]
    fn an_unknown_target_is_refused() {
        let known = words("jws proof");
        assert!(choose(&known, &words("json")).is_err());
        assert_eq!(choose(&known, &[]).expect("all of them"), known);
    }
}
