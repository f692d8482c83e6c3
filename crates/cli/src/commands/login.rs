//! `keybound login`: a single-use link that logs a browser in to the issuer's pages.

use std::io::{self, Write};

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::exit::{Exit, codes};
use crate::failure::Outcome;
use crate::operator::{Operator, OperatorArguments};
use crate::output::Report;

/// Arguments of `keybound login`.
#[derive(Debug, Args)]
#[command(after_help = codes(&[Exit::Authentication, Exit::Refused, Exit::Unreachable, Exit::Server]))]
pub(crate) struct LoginArguments {
    #[command(flatten)]
    operator: OperatorArguments,
}

/// The answer of `keybound login`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct LogInLink {
    /// What to open. It is a secret until it is used.
    url: String,
    /// As whom it logs in.
    identity: String,
    /// How long it works, in seconds.
    expires_in: u64,
}

pub(crate) fn run(arguments: &LoginArguments, context: &Context) -> Outcome {
    let link: LogInLink = context.block_on(async {
        let operator = Operator::new(&arguments.operator, context)?;
        let nothing = serde_json::json!({});
        operator.post("/v1/log-in-links", &nothing).await
    })?;
    context.output.report(&link)?;
    context.output.note(format_args!(
        "open it in the browser that is to be logged in as {}; it works once, for {} minutes",
        link.identity,
        link.expires_in / 60
    ));
    Ok(Exit::Success)
}

impl Report for LogInLink {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.url)
    }
}
