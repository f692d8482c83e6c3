//! Building `keybound` and learning where cargo put it.

use std::path::PathBuf;

use serde_json::Value;

use crate::command::Run;
use crate::failure::Failure;

/// Runs a cargo build with the given arguments and gives back the `keybound` executable it made.
pub(crate) fn build(arguments: &[&str]) -> Result<PathBuf, Failure> {
    let mut executable = None;
    Run::cargo()
        .arguments(arguments)
        .arguments(["--message-format=json-render-diagnostics"])
        .wait_for_lines(|line| {
            if let Some(path) = keybound_executable(line) {
                executable = Some(path);
            }
        })?;
    executable.ok_or_else(|| {
        Failure::Findings(vec![format!(
            "`cargo {}` built no executable named keybound",
            arguments.join(" ")
        )])
    })
}

/// The path in cargo's message about the program itself, not about its test harness.
fn keybound_executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_program = message.get("reason")?.as_str()? == "compiler-artifact"
        && message.pointer("/target/name")?.as_str()? == "keybound"
        && message.pointer("/target/kind/0")?.as_str()? == "bin"
        && message.pointer("/profile/test")?.as_bool() == Some(false);
    if !is_program {
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
        assert_eq!(keybound_executable(&message("keybound", "bin", true)), None);
        assert_eq!(keybound_executable(&message("xtask", "bin", false)), None);
        assert_eq!(keybound_executable("warning: text"), None);
        let path = keybound_executable(&message("keybound", "bin", false));
        assert_eq!(path, Some(PathBuf::from("/t/keybound")));
    }
}
