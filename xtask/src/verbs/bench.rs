//! `bench`: the figures, each printed beside the baseline measured in the same run, and written to
//! `docs/reference/performance.md`.
//!
//! The figures come from `crates/testkit/benches/performance`, which runs the release build. Other
//! benchmarks stand under `bench/`, outside the workspace, so that what they compare with never
//! enters the product's dependency tree; they belong to a decision and are run by name.

use std::fmt::Write as _;

use serde_json::Value;

use super::binary;
use crate::command::Run;
use crate::failure::Failure;
use crate::paths;

const PAGE: &str = "docs/reference/performance.md";
const HEAD: &str = "| what | figure | baseline | ratio | target | met |\n|---|---|---|---|---|---|";

/// Measures the figures, or runs the benchmark named first; other options go to it.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    match options.split_first() {
        Some((name, rest)) if !name.starts_with('-') => named(name, rest),
        _ => figures(options),
    }
}

fn figures(options: &[String]) -> Result<(), Failure> {
    let built = binary::build(&["build", "--release", "--locked", "--package", "keybound"])?;
    let mut rows = Vec::new();
    Run::cargo()
        .arguments(["bench", "--locked", "--package", "keybound-testkit"])
        .arguments(["--bench", "performance", "--", "--keybound"])
        .arguments([&built.keybound])
        .arguments(options)
        .wait_for_lines(|line| rows.extend(serde_json::from_str::<Value>(line)))?;
    if options.iter().any(|option| option == "--only") {
        // A part of the figures is for reading, not for the page.
        return Ok(());
    }
    if !rows.iter().any(|row| row.get("what").is_some()) {
        return Err(Failure::Findings(vec![
            "the benchmark printed no figure".to_owned(),
        ]));
    }
    paths::write(&paths::root().join(PAGE), &page(&rows))
}

fn page(rows: &[Value]) -> String {
    let mut page = format!(
        "# Performance\n\n\
         Written by `cargo xtask bench`; every figure stands beside a baseline of the same run. Ratios carry over\n\
         to other machines, absolute figures do not. CPU is user and system time of the measured process;\n\
         load is made by another one.\n\n\
         Command: `cargo xtask bench`. Machine: {}.\n\n\
         What the figures mean, and what stands in the way of those that miss their target:\n\
         [performance-notes.md](performance-notes.md).\n",
        machine()
    );
    for row in rows {
        if let Some(section) = row.get("section").and_then(Value::as_str) {
            let _ = writeln!(page, "\n## {section}\n\n{HEAD}");
            continue;
        }
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| row.get(name).and_then(Value::as_f64);
        let unit = text("unit");
        if let Some(install) = row.get("missing").and_then(Value::as_str) {
            let (what, target) = (text("what"), text("target"));
            let _ = writeln!(
                page,
                "| {what} | not installed: `{install}` |  |  | {target} | not measured |"
            );
            continue;
        }
        let figure = number("value").map_or_else(String::new, |value| format!("{value:.2} {unit}"));
        let baseline = number("baseline_value").map_or_else(String::new, |value| {
            format!("{value:.2} {unit} ({})", text("baseline"))
        });
        let ratio = number("ratio").map_or_else(String::new, |ratio| format!("{ratio:.3}"));
        let met = match row.get("met").and_then(Value::as_bool) {
            _ if text("target").is_empty() => "",
            Some(true) => "yes",
            Some(false) | None => "no",
        };
        let _ = writeln!(
            page,
            "| {} | {figure} | {baseline} | {ratio} | {} | {met} |",
            text("what"),
            text("target"),
        );
    }
    page
}

/// Processor, cores and memory, as Linux tells them.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = value(&read("/proc/cpuinfo"), "model name")
        .unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = value(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    format!("{processor}, {cores} cores, memory {memory}")
}

fn named(name: &str, options: &[String]) -> Result<(), Failure> {
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
        .arguments(options)
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
        assert!(failure.to_string().contains("store-choice"));
    }

    #[test]
    fn a_peer_that_is_not_there_is_not_hidden() {
        let row = serde_json::json!({"what": "w", "target": "t", "missing": "apt-get install p"});
        let page = page(&[row]);
        assert!(
            page.contains("| w | not installed: `apt-get install p` |  |  | t | not measured |"),
            "{page}"
        );
    }

    #[test]
    fn a_section_has_a_table_of_its_own() {
        let rows = [
            serde_json::json!({"section": "First"}),
            serde_json::json!({"what": "w", "unit": "us", "value": 3.0, "target": "", "met": true}),
        ];
        let page = page(&rows);
        let table = format!("## First\n\n{HEAD}\n| w | 3.00 us |  |  |  |  |\n");
        assert!(page.contains(&table), "{page}");
    }

    #[test]
    fn a_missed_target_is_not_hidden() {
        let row = serde_json::json!({"what": "w", "unit": "us", "value": 3.0, "baseline": "b",
            "baseline_value": 2.0, "ratio": 1.5, "target": "at most 1.1 x", "met": false});
        let page = page(&[row]);
        assert!(
            page.contains("| w | 3.00 us | 2.00 us (b) | 1.500 | at most 1.1 x | no |"),
            "{page}"
        );
    }
}
