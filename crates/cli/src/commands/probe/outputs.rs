//! Where the report goes.

use std::io::{self, Write};

use keybound_probe::{Report, Verdict};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::output::Report as Printed;

/// Prints the report and says how the process ends.
pub(super) fn finish(report: Report, context: &Context) -> Outcome {
    let exit = if report.summary.not_enforced > 0 {
        Exit::Findings
    } else if report.summary.inconclusive > 0 {
        Exit::Inconclusive
    } else {
        Exit::Success
    };
    context.output.report(&Table(report))?;
    Ok(exit)
}

#[derive(Serialize)]
#[serde(transparent)]
struct Table(Report);

impl Printed for Table {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for finding in &self.0.findings {
            if matches!(
                finding.verdict,
                Verdict::NotEnforced | Verdict::Inconclusive
            ) {
                writeln!(
                    out,
                    "{}  {}: {} ({})",
                    finding.id, finding.verdict, finding.reason, finding.got
                )?;
            }
        }
        let summary = &self.0.summary;
        writeln!(
            out,
            "grade {}: {} enforced, {} not enforced, {} inconclusive, {} not applicable; {} requests in {:.0} s",
            self.0.grade,
            summary.enforced,
            summary.not_enforced,
            summary.inconclusive,
            summary.not_applicable,
            self.0.requests,
            self.0.seconds
        )
    }
}
