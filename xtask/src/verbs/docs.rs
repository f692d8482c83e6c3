//! `docs`: API documentation without warnings, and documents whose links lead somewhere.

use std::path::{Path, PathBuf};

use crate::command::Run;
use crate::failure::Failure;
use crate::paths;
use crate::refusals;
use crate::summary::Summary;

/// With `--check` nothing is written and no compiler runs.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    match options {
        [] => {}
        [only] if only == "--check" => return check(),
        _ => {
            return Err(Failure::Usage(
                "`cargo xtask docs` knows the option `--check` only".to_owned(),
            ));
        }
    }
    let mut summary = Summary::default();
    summary.step("refusals", refusals::write);
    summary.step("reference", reference);
    summary.step("links", links);
    summary.step("API documentation", || {
        Run::cargo()
            .arguments(["doc", "--workspace", "--no-deps", "--locked"])
            .environment("RUSTDOCFLAGS", "-D warnings")
            .wait()
    });
    summary.finish()
}

/// What can be checked without a compiler. That the pages made from the program are current is a
/// test of the program.
pub(crate) fn check() -> Result<(), Failure> {
    refusals::check()?;
    links()
}

/// The pages of the reference that the program writes about itself.
fn reference() -> Result<(), Failure> {
    Run::cargo()
        .arguments(["run", "--locked", "--package", "keybound", "--"])
        .arguments(["reference", "docs/reference"])
        .wait()
}

/// Every relative link of every document names a file that exists and, where it has a fragment, a
/// heading of that file.
fn links() -> Result<(), Failure> {
    let documents = paths::files_under(&paths::root(), ".md");
    let mut findings = Vec::new();
    let mut count = 0_usize;
    for document in &documents {
        let text = paths::read(document)?;
        for target in link_targets(&text) {
            count = count.saturating_add(1);
            if let Some(problem) = problem_with(document, &text, &target) {
                let shown = document.strip_prefix(paths::root()).unwrap_or(document);
                findings.push(format!("{}: `{target}` {problem}", shown.display()));
            }
        }
    }
    if findings.is_empty() {
        println!("{} documents, {count} links", documents.len());
        return Ok(());
    }
    Err(Failure::Findings(findings))
}

fn problem_with(document: &Path, text: &str, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, fragment) = match target.split_once('#') {
        Some((file, fragment)) => (file, Some(fragment)),
        None => (target, None),
    };
    let linked: PathBuf = if file.is_empty() {
        document.to_path_buf()
    } else {
        document.parent()?.join(file)
    };
    if !linked.exists() {
        return Some("does not exist");
    }
    let fragment = fragment?;
    let linked_text = if file.is_empty() {
        text.to_owned()
    } else {
        std::fs::read_to_string(&linked).ok()?
    };
    let known = headings(&linked_text).any(|anchor| anchor == fragment);
    (!known).then_some("names no heading of that file")
}

/// The targets of `[text](target)` links outside code.
fn link_targets(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in prose_lines(text) {
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for part in prose.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                targets.push(target.to_owned());
            }
        }
    }
    targets
}

/// The lines that are not inside a fenced block.
fn prose_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut inside_fence = false;
    text.lines().filter(move |line| {
        if line.trim_start().starts_with("```") {
            inside_fence = !inside_fence;
            return false;
        }
        !inside_fence
    })
}

/// The anchors that common renderers give to headings: lower case, spaces become hyphens, other
/// punctuation falls away.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose_lines(text)
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|character| match character {
                    ' ' => Some('-'),
                    '-' | '_' => Some(character),
                    other if other.is_alphanumeric() => Some(other),
                    _ => None,
                })
                .collect()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_prose_are_found_and_code_is_left_alone() {
        let text = "see [a](a.md) and `[b](b.md)`\n```\n[c](c.md)\n```\n[d](d.md#part-two)\n";
        assert_eq!(link_targets(text), ["a.md", "d.md#part-two"]);
    }

    #[test]
    fn a_link_to_nothing_is_a_problem() {
        let document = paths::root().join("Cargo.toml");
        let text = "# Part one\n";
        assert!(problem_with(&document, text, "no-such-file.md").is_some());
        assert!(problem_with(&document, text, "#part-two").is_some());
        assert!(problem_with(&document, text, "#part-one").is_none());
        assert!(problem_with(&document, text, "https://example.com/x").is_none());
    }
}
