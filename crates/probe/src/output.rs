//! A [`Report`] as text: for a terminal, for programs, for people.
//!
//! Every function here is pure: it takes a report and gives the whole text.
//! Texts of a report come in part from the target, so each form escapes
//! everything, and control characters never reach a terminal or a page.
//!
//! This module does not print, write files or choose the form.

mod group;
mod html;
mod json;
mod junit;
mod markdown;
mod sarif;
mod spans;
mod table;
mod text;
mod xml;

pub use self::html::html;
pub use self::json::{json, schema};
pub use self::junit::junit;
pub use self::markdown::markdown;
pub use self::sarif::sarif;
pub use self::table::{Style, table};
pub(crate) use self::text::clean;

use crate::report::{Exchange, Finding, Label, Measure, Report, TargetKind};

/// What the grade of a report means, in one sentence.
#[must_use]
pub const fn grade_meaning(grade: char) -> &'static str {
    match grade {
        'A' => "every protection that was asked about is enforced",
        'B' => "what is missing needs another weakness to be used",
        'C' => "a thief gains something in special circumstances",
        'D' => "a thief who has more than the token can use it",
        'F' => "a stolen token works",
        _ => "too little was decided to grade",
    }
}

/// How grades are given, in one sentence.
const GRADES: &str = "The worst case that is not enforced decides the grade, known or not: critical \
F, high D, medium C, low B, otherwise A; what could not be decided never improves it, and where too \
little was decided there is none.";

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
    let when = text::date_time(report.started_at);
    let version = clean(&report.version);
    if report.kind == TargetKind::HttpArchive {
        return format!("{when} UTC · keybound {version}");
    }
    let requests = text::count(report.requests, "request");
    let seconds = report.seconds;
    format!("{when} UTC · {seconds:.1} s · {requests} · keybound {version}")
}

/// What `sent` and `got` of a case are called: recorded traffic was sent by others.
const fn sides(kind: TargetKind) -> (&'static str, &'static str) {
    match kind {
        TargetKind::HttpArchive => ("Looked for", "Seen"),
        TargetKind::ResourceServer | TargetKind::AuthorizationServer | TargetKind::McpServer => {
            ("What we sent", "What we got")
        }
    }
}

/// Why the verdict follows, where that is not said by what came back.
fn reason(finding: &Finding) -> &str {
    if finding.reason == finding.got {
        ""
    } else {
        &finding.reason
    }
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

/// The number of a measure with its unit.
fn value(measure: &Measure) -> String {
    let Some(value) = measure.value.filter(|value| value.is_finite()) else {
        return "–".to_owned();
    };
    let number = if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    };
    match measure.unit.as_str() {
        "1" => number,
        unit => format!("{number} {unit}"),
    }
}

/// Whether a claim and what was seen agree, in words.
const fn agreement(label: &Label) -> &'static str {
    match label.agrees {
        Some(true) => "agrees",
        Some(false) => "differs",
        None => "not seen",
    }
}

/// A request and its answer, a line each: `>` was sent, `<` came back.
fn exchange_lines(exchange: &Exchange) -> Vec<String> {
    let mut lines = vec![format!("> {}", exchange.request)];
    let fields = |mark: char, fields: &[(String, String)]| -> Vec<String> {
        let shown = fields.iter();
        shown
            .map(|(name, value)| format!("{mark} {name}: {value}"))
            .collect()
    };
    lines.extend(fields('>', &exchange.headers));
    let status = exchange
        .status
        .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    lines.push(format!("< {status} ({} ms)", exchange.milliseconds));
    lines.extend(fields('<', &exchange.answer));
    if !exchange.body.is_empty() {
        lines.push(format!("< {}", exchange.body));
    }
    lines
}
