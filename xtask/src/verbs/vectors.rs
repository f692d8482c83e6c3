//! `vectors`: writes the test vectors and the README beside them, or checks that they are current.
//!
//! The vectors that can be computed come from an example program of `keybound-proto`; others are
//! written by hand. The README is made from all of them. A cause of the check registry that no
//! vector expects is a finding, and so is an expectation that is no cause.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use keybound_proto::cause::Cause;
use serde_json::Value;

use crate::command::Run;
use crate::failure::Failure;
use crate::paths;

/// One vector: where it stands, its id and everything it expects on the way.
#[derive(Debug, PartialEq, Eq)]
struct Vector {
    id: String,
    expects: Vec<String>,
}

/// One file of vectors.
#[derive(Debug)]
struct File {
    name: String,
    about: String,
    flags: Vec<(String, String)>,
    vectors: Vec<Vector>,
}

pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let example = || {
        Run::cargo()
            .arguments(["run", "--quiet", "--locked", "--package", "keybound-proto"])
            .arguments(["--example", "vectors", "--"])
    };
    match options {
        [] => write(example()),
        [only] if only == "--check" => check_with(example()),
        _ => Err(Failure::Usage(
            "`cargo xtask vectors` knows the option `--check` only".to_owned(),
        )),
    }
}

/// As `--check`, with a program that is built already.
pub(crate) fn check(program: &Path) -> Result<(), Failure> {
    check_with(Run::new(&program.to_string_lossy()))
}

fn directory() -> PathBuf {
    paths::root().join("vectors")
}

fn write(program: Run) -> Result<(), Failure> {
    program.arguments([directory()]).wait()?;
    let files = read_files(&directory())?;
    paths::write(&directory().join("README.md"), &describe(&files))?;
    report(&files, coverage(&files))
}

/// Computes the vectors into a temporary place and compares.
fn check_with(program: Run) -> Result<(), Failure> {
    let fresh = std::env::temp_dir().join(format!("keybound-vectors-{}", std::process::id()));
    paths::create_directory(&fresh)?;
    let made = program.arguments([&fresh]).wait();
    let mut findings = Vec::new();
    for path in paths::files_under(&fresh, ".json") {
        let committed = directory().join(path.strip_prefix(&fresh).unwrap_or(&path));
        if !same(&committed, &paths::read(&path)?) {
            findings.push(stale(&committed));
        }
    }
    // A temporary directory that stays behind harms nobody.
    let _ = std::fs::remove_dir_all(&fresh);
    made?;
    let files = read_files(&directory())?;
    let readme = directory().join("README.md");
    if !same(&readme, &describe(&files)) {
        findings.push(stale(&readme));
    }
    findings.extend(coverage(&files));
    report(&files, findings)
}

fn same(committed: &Path, text: &str) -> bool {
    std::fs::read_to_string(committed).is_ok_and(|committed| committed == text)
}

fn report(files: &[File], findings: Vec<String>) -> Result<(), Failure> {
    if !findings.is_empty() {
        return Err(Failure::Findings(findings));
    }
    let count: usize = files.iter().map(|file| file.vectors.len()).sum();
    println!("{} files, {count} vectors", files.len());
    Ok(())
}

fn stale(path: &Path) -> String {
    let shown = path.strip_prefix(paths::root()).unwrap_or(path);
    format!(
        "`{}` is not current; run `cargo xtask vectors`",
        shown.display()
    )
}

/// Our own files; what standards print is kept as they print it and has no expectations.
fn read_files(directory: &Path) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    for path in paths::files_under(directory, ".json") {
        let text = paths::read(&path)?;
        let document: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::Findings(vec![format!("`{}`: {error}", path.display())]))?;
        let name = path.strip_prefix(directory).unwrap_or(&path);
        files.push(read_file(&name.to_string_lossy(), &document));
    }
    Ok(files)
}

fn read_file(name: &str, document: &Value) -> File {
    let text = |member: &str| document.get(member).and_then(Value::as_str);
    let about = text("about").or_else(|| text("source")).unwrap_or_default();
    let flags = document.get("flags").and_then(Value::as_object);
    let flags = flags.into_iter().flatten();
    let mut vectors = Vec::new();
    collect(document, &mut vectors);
    File {
        name: name.to_owned(),
        about: about.to_owned(),
        flags: flags
            .map(|(flag, meaning)| {
                (
                    flag.clone(),
                    meaning.as_str().unwrap_or_default().to_owned(),
                )
            })
            .collect(),
        vectors,
    }
}

/// A vector is an object with an `id` and, in it or in its steps, something it expects.
fn collect(value: &Value, vectors: &mut Vec<Vector>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, vectors)),
        Value::Object(members) => {
            let mut expects = Vec::new();
            collect_expectations(value, &mut expects);
            match members.get("id").and_then(Value::as_str) {
                Some(id) if !expects.is_empty() => vectors.push(Vector {
                    id: id.to_owned(),
                    expects,
                }),
                _ => members.values().for_each(|member| collect(member, vectors)),
            }
        }
        _ => {}
    }
}

fn collect_expectations(value: &Value, expects: &mut Vec<String>) {
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_expectations(item, expects)),
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if name == "expect" => expects.push(text.to_owned()),
                    _ => collect_expectations(member, expects),
                }
            }
        }
        _ => {}
    }
}

fn coverage(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut expected = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for file in files {
        for vector in &file.vectors {
            if !ids.insert((&file.name, &vector.id)) {
                findings.push(format!(
                    "{}: the id `{}` occurs twice",
                    file.name, vector.id
                ));
            }
            for expect in &vector.expects {
                if expect != "ok" && Cause::from_id(expect).is_none() {
                    findings.push(format!(
                        "{}: `{}` expects `{expect}`, which is no cause",
                        file.name, vector.id
                    ));
                }
                expected.insert(expect.as_str());
            }
        }
    }
    for cause in Cause::ALL {
        if !expected.contains(cause.id()) {
            findings.push(format!("no vector expects `{}`", cause.id()));
        }
    }
    findings
}

const INTRODUCTION: &str = "\
# Test vectors

Made by `cargo xtask vectors`; do not edit this file. Each vector has an `id`, a comment and an `expect`: the id of the cause with
which a conforming verifier of ours refuses it (see [refusals](../docs/reference/refusals.md)), or `ok`. A vector that one message
cannot show has `steps`, each with what it expects. Time stands still at the `now` of a vector. Keys are fixed and public: never use
them for anything else. The files are plain data, for any language.

";

fn describe(files: &[File]) -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("## Files\n\n| file | vectors | about |\n|---|---|---|\n");
    for file in files {
        let count = file.vectors.len();
        let count = if count == 0 {
            "–".to_owned()
        } else {
            count.to_string()
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| [`{0}`]({0}) | {count} | {1} |",
            file.name,
            cell(&file.about)
        );
    }
    let flags: BTreeMap<&str, &str> = files
        .iter()
        .flat_map(|file| &file.flags)
        .map(|(flag, meaning)| (flag.as_str(), meaning.as_str()))
        .collect();
    if !flags.is_empty() {
        text.push_str("\n## Flags\n\n| flag | meaning |\n|---|---|\n");
        for (flag, meaning) in flags {
            let _ = writeln!(text, "| `{flag}` | {} |", cell(meaning));
        }
    }
    text.push_str("\n## Causes\n\n| cause | asked for by | vectors |\n|---|---|---|\n");
    for cause in Cause::ALL {
        let vectors = expecting(files, cause.id());
        let _ = writeln!(
            text,
            "| `{}` | {} | {vectors} |",
            cause.id(),
            cause.section()
        );
    }
    text
}

fn expecting(files: &[File], cause: &str) -> String {
    let ids: Vec<String> = files
        .iter()
        .flat_map(|file| &file.vectors)
        .filter(|vector| vector.expects.iter().any(|expect| expect == cause))
        .map(|vector| format!("`{}`", vector.id))
        .collect();
    ids.join(", ")
}

/// A vertical bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        let document = serde_json::from_str(text).expect("the test's own JSON");
        read_file("a.json", &document)
    }

    #[test]
    fn vectors_are_found_in_groups_and_steps() {
        let file = file(
            r#"{"about":"x","groups":[{"vectors":[{"id":"one","expect":"ok"},
               {"id":"two","steps":[{"expect":"ok"},{"expect":"dpop.replayed"}]},{"id":"none"}]}]}"#,
        );
        let ids: Vec<&str> = file
            .vectors
            .iter()
            .map(|vector| vector.id.as_str())
            .collect();
        assert_eq!(ids, ["one", "two"]);
        assert!(expecting(&[file], "dpop.replayed").contains("`two`"));
    }

    #[test]
    fn a_wrong_expectation_and_a_missing_cause_are_findings() {
        let files = [file(
            r#"{"vectors":[{"id":"a","expect":"dpop.typ"},{"id":"a","expect":"no.such.cause"}]}"#,
        )];
        let findings = coverage(&files);
        assert!(
            findings
                .iter()
                .any(|finding| finding.contains("occurs twice"))
        );
        assert!(
            findings
                .iter()
                .any(|finding| finding.contains("no.such.cause"))
        );
        assert!(!findings.contains(&"no vector expects `dpop.typ`".to_owned()));
        assert!(findings.contains(&"no vector expects `dpop.replayed`".to_owned()));
    }
}
