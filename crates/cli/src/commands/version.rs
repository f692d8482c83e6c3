//! `keybound version`.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::output::Report;

/// The answer of `keybound version`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Version {
    /// `keybound`.
    name: &'static str,
    /// The version, by semantic versioning.
    version: &'static str,
    /// Operating system and processor.
    platform: String,
}

impl Report for Version {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} {} ({})", self.name, self.version, self.platform)
    }
}

pub(crate) fn run(context: &Context) -> Outcome {
    context.output.report(&Version {
        name: "keybound",
        version: env!("CARGO_PKG_VERSION"),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
    })?;
    Ok(Exit::Success)
}
