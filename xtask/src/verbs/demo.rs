//! `demo`: the story of a stolen token, told by running it.

use crate::command::Run;
use crate::failure::Failure;

/// The same as the README's first command; options go to `keybound demo`.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    Run::cargo()
        .arguments(["run", "--release", "--locked", "--", "demo"])
        .arguments(options)
        .wait()
}
