//! Building `keybound` and learning where cargo put it.

use std::path::PathBuf;

use serde_json::Value;

use crate::command::Run;
use crate::failure::Failure;

/// The executables that a build made and that other verbs run.
#[derive(Debug, Default)]
pub(crate) struct Built {
    /// The program itself.
    pub(crate) keybound: PathBuf,
    /// The program that computes the test vectors, where the build included examples.
    pub(crate) vectors: Option<PathBuf>,
}

/// Runs a cargo build with the given arguments and gives back the executables it made.
pub(crate) fn build(arguments: &[&str]) -> Result<Built, Failure> {
    let mut keybound = None;
    let mut vectors = None;
    Run::cargo()
        .arguments(arguments)
        .arguments(["--message-format=json-render-diagnostics"])
        .wait_for_lines(|line| {
            keybound = executable(line, "keybound", "bin").or_else(|| keybound.take());
            vectors = executable(line, "vectors", "example").or_else(|| vectors.take());
        })?;
    match keybound {
        Some(keybound) => Ok(Built { keybound, vectors }),
        None => Err(Failure::Findings(vec![format!(
            "`cargo {}` built no executable named keybound",
            arguments.join(" ")
        )])),
    }
}

/// The path in cargo's message about this target itself, not about its test harness.
fn executable(message: &str, name: &str, kind: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_wanted = message.get("reason")?.as_str()? == "compiler-artifact"
        && message.pointer("/target/name")?.as_str()? == name
        && message.pointer("/target/kind/0")?.as_str()? == kind
        && message.pointer("/profile/test")?.as_bool() == Some(false);
    if !is_wanted {
        return None;
    }
    message.get("executable")?.as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, kind: &str, test: bool) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","target":{{"name":"{name}","kind":["{kind}"]}},"profile":{{"test":{test}}},"executable":"/t/{name}"}}"#
        )
    }

    #[test]
    fn the_program_and_nothing_else() {
        let program = |message: &str| executable(message, "keybound", "bin");
        assert_eq!(program(&message("keybound", "bin", true)), None);
        assert_eq!(program(&message("keybound", "example", false)), None);
        assert_eq!(program(&message("xtask", "bin", false)), None);
        assert_eq!(program("warning: text"), None);
        let path = program(&message("keybound", "bin", false));
        assert_eq!(path, Some(PathBuf::from("/t/keybound")));
    }
}
