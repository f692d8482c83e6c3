//! `interop`: other people's OAuth clients and servers against ours.

use std::path::Path;

use super::{binary, spire};
use crate::command::Run;
use crate::failure::Failure;
use crate::needs::{self, Consent};
use crate::paths;

pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    if let [peer, rest @ ..] = options
        && peer == "spire"
    {
        return spire::run(rest);
    }
    needs::satisfy(&needs::interop(), Consent::from_options(options))?;
    let built = binary::build(&["build", "--locked", "--package", "keybound"])?;
    against(&built.keybound)
}

/// Runs every interop test against this executable. Each test file starts and ends its own servers
/// on free ports with a temporary data directory.
pub(crate) fn against(keybound: &Path) -> Result<(), Failure> {
    let directory = paths::root().join("interop");
    let tests = paths::files_under(&directory.join("tests"), ".test.mjs");
    if tests.is_empty() {
        return Err(Failure::Findings(vec![
            "interop/tests has no *.test.mjs file".to_owned(),
        ]));
    }
    Run::new("node")
        .arguments(["--test", "--test-reporter=spec"])
        .arguments(&tests)
        .environment("KEYBOUND_BIN", keybound)
        .directory(&directory)
        .wait()
}
