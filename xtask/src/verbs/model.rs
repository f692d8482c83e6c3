//! The replay log under loom: every interleaving of its critical parts.
//!
//! The model is compiled in by `--cfg keybound_loom`, given to the guard alone so that its
//! dependencies are those of the other tests and nothing else is built again.

use serde_json::Value;

use crate::command::Run;
use crate::failure::Failure;

pub(crate) fn run() -> Result<(), Failure> {
    let mut program = None;
    Run::cargo()
        .arguments([
            "rustc",
            "--package",
            "keybound-guard",
            "--lib",
            "--profile",
            "test",
            "--locked",
        ])
        .arguments([
            "--message-format=json-render-diagnostics",
            "--",
            "--cfg",
            "keybound_loom",
        ])
        .wait_for_lines(|line| program = executable(line).or_else(|| program.take()))?;
    let Some(program) = program else {
        return Err(Failure::Findings(vec![
            "the replay log model was not built".to_owned(),
        ]));
    };
    Run::new(&program)
        .arguments(["replay::memory::model"])
        .wait()
}

fn executable(message: &str) -> Option<String> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_guard = message.pointer("/target/name")?.as_str()? == "keybound_guard";
    let path = message.get("executable")?.as_str()?;
    is_guard.then(|| path.to_owned())
}
