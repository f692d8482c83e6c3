//! A [`Report`] as text: for a terminal, for programs, for people.
//!
//! Every function here is pure: it takes a report and gives the whole text.
//! Texts of a report come in part from the target, so each form escapes
//! everything, and control characters never reach a terminal or a page.
//!
//! This module does not print, write files or choose the form.

mod group;
mod json;
mod junit;
mod sarif;
mod table;
mod text;
mod xml;

pub use self::json::{json, schema};
pub use self::junit::junit;
pub use self::sarif::sarif;
pub use self::table::{Style, table};
pub(crate) use self::text::clean;

use crate::report::{Finding, Report, TargetKind};

/// What the grade of a report means, in one sentence.
#[must_use]
pub const fn grade_meaning(grade: char) -> &'static str {
    match grade {
        'A' => "everything that was asked and protects is enforced",
        'B' => "what is missing needs another weakness to be used",
        'C' => "a thief gains something in special circumstances",
        'D' => "a thief who has more than the token can use it",
        'F' => "a stolen token works",
        _ => "too little was decided to grade",
    }
}

/// What was probed, in words.
const fn kind_name(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::ResourceServer => "resource server",
        TargetKind::AuthorizationServer => "authorization server",
        TargetKind::McpServer => "MCP server",
        TargetKind::HttpArchive => "HTTP archive",
    }
}

/// When, how long and how many requests, in one line.
fn run_line(report: &Report) -> String {
    format!(
        "{} UTC · {:.1} s · {} · keybound {}",
        text::date_time(report.started_at),
        report.seconds,
        text::count(report.requests, "request"),
        clean(&report.version),
    )
}

/// The counts, in one line. Those that are zero are left out, except what a reader looks for first.
fn summary_line(report: &Report) -> String {
    let summary = &report.summary;
    let mut parts = vec![
        format!("{} enforced", summary.enforced),
        format!("{} not enforced", summary.not_enforced),
    ];
    for (number, word) in [
        (summary.known, "known"),
        (summary.inconclusive, "inconclusive"),
        (summary.not_applicable, "not applicable"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    parts.join(" · ")
}

/// Why a known finding is accepted, and until when; empty for others.
fn known_line(finding: &Finding) -> String {
    let reason = finding.known_reason.as_deref().unwrap_or_default();
    match &finding.known_until {
        _ if !finding.known => String::new(),
        Some(until) => format!("{reason} (until {until})"),
        None => reason.to_owned(),
    }
}
