//! The report as SARIF 2.1.0 (OASIS Standard), for code scanning.
//!
//! Checks are rules, cases that are not enforced are results. The location is
//! the target's URL, since nothing else is known of it. Severity as a number
//! is the middle of the range that scanners give to the word.

use keybound_proto::time::UnixTime;
use serde_json::{Value, json};

use super::group::{self, Group};
use super::text::clean;
use crate::calendar::rfc3339;
use crate::report::{Finding, Report, TargetKind};
use crate::verdict::{Severity, Verdict};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The report as a SARIF log.
#[must_use]
pub fn sarif(report: &Report) -> String {
    let groups = group::by_check(report);
    let rules: Vec<Value> = groups.iter().map(rule).collect();
    let results: Vec<Value> = groups
        .iter()
        .enumerate()
        .flat_map(|(index, group)| {
            group
                .with(Verdict::NotEnforced)
                .map(move |finding| result(finding, index, report))
        })
        .collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "keybound probe",
                    "semanticVersion": clean(&report.version),
                    "informationUri": env!("CARGO_PKG_REPOSITORY"),
                    "rules": rules,
                },
            },
            "invocations": [invocation(report)],
            "results": results,
            "columnKind": "unicodeCodePoints",
            "properties": {
                "grade": clean(&report.grade.to_string()),
                "requests": report.requests,
                "measures": report.measures,
            },
        }],
    });
    let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
    text.push('\n');
    text
}

/// A check. Its severity is that of its worst case.
fn rule(group: &Group<'_>) -> Value {
    let text = |take: fn(&Finding) -> &str| {
        let first = group.findings.first();
        json!({"text": sentence(first.map_or("", |finding| take(finding)))})
    };
    let severities = group.findings.iter().map(|finding| finding.severity);
    let severity = severities.max().unwrap_or(Severity::Note);
    let section = group.findings.first().map_or("", |one| &one.section);
    let mut rule = json!({
        "id": clean(group.check),
        "name": name(group.title),
        "shortDescription": {"text": sentence(group.title)},
        "fullDescription": text(|finding| &finding.why),
        "help": text(|finding| &finding.fix),
        "defaultConfiguration": {"level": level(severity)},
        "properties": {
            "security-severity": score(severity),
            "precision": "very-high",
            "tags": ["security", "sender-constrained-tokens"],
            "section": clean(section),
        },
    });
    if let (Some(uri), Some(rule)) = (help_uri(section), rule.as_object_mut()) {
        rule.insert("helpUri".to_owned(), json!(uri));
    }
    rule
}

fn result(finding: &Finding, rule: usize, report: &Report) -> Value {
    let got = if finding.got.is_empty() || super::reason(finding).is_empty() {
        String::new()
    } else {
        format!("Got: {}. ", clean(&finding.got))
    };
    let sent = if report.kind == TargetKind::HttpArchive {
        "Looked for"
    } else {
        "Sent"
    };
    let message = format!(
        "{sent}: {}. {got}{}",
        clean(&finding.sent),
        sentence(&finding.reason)
    );
    let mut result = json!({
        "ruleId": clean(&finding.check),
        "ruleIndex": rule,
        "kind": "fail",
        "level": level(finding.severity),
        "message": {"text": message},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": uri(&report.target)}},
        }],
        "partialFingerprints": {"keyboundCase/v1": clean(&finding.id)},
        "properties": {
            "case": clean(&finding.id),
            "severity": finding.severity.as_str(),
            "attack": clean(&finding.attack),
        },
    });
    if let Some(members) = result.as_object_mut() {
        if report.baseline {
            let state = if finding.known { "unchanged" } else { "new" };
            members.insert("baselineState".to_owned(), json!(state));
        }
        if finding.known {
            let justification = clean(&super::known_line(finding));
            let accepted = json!([{"kind": "external", "justification": justification}]);
            members.insert("suppressions".to_owned(), accepted);
        }
    }
    result
}

/// The run itself; what could not be decided is said here, since it is no result.
fn invocation(report: &Report) -> Value {
    let note = |level: &str, text: &str| json!({"level": level, "message": {"text": text}});
    let mut notes: Vec<Value> = report
        .warnings
        .iter()
        .map(|warning| note("warning", &sentence(warning)))
        .collect();
    let undecided = report
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Inconclusive);
    notes.extend(undecided.map(|finding| {
        let text = format!("{} is inconclusive: {}", finding.id, finding.reason);
        note("warning", &sentence(&text))
    }));
    let ended = report.started_at.saturating_add(
        std::time::Duration::try_from_secs_f64(report.seconds).map_or(0, |d| d.as_secs()),
    );
    json!({
        "executionSuccessful": true,
        "exitCode": report.exit_code(),
        "startTimeUtc": rfc3339(UnixTime::from_secs(report.started_at)),
        "endTimeUtc": rfc3339(UnixTime::from_secs(ended)),
        "toolExecutionNotifications": notes,
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Note => "note",
    }
}

/// From 0 to 10, as text, which is how scanners read it.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Note => "0.0",
    }
}

/// The title as one word of a programmer: `TheSameProofTwice`.
fn name(title: &str) -> String {
    title
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{}{rest}", first.to_ascii_uppercase())
        })
        .collect()
}

/// Text as SARIF asks for it: with a full stop, and never empty.
fn sentence(text: &str) -> String {
    let text = clean(text);
    if text.is_empty() {
        return "Nothing is said.".to_owned();
    }
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    let stop = if text.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{}{}{stop}", first.unwrap_or_default(), letters.as_str())
}

/// The first RFC a section names: `RFC 9449 section 7.2`.
fn help_uri(section: &str) -> Option<String> {
    let mut words = section.strip_prefix("RFC ")?.split([' ', ';', ',']);
    let number = words.next()?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let part = match words.next() {
        Some("section" | "sections") => words.next().filter(|part| {
            let digits = |byte: u8| byte.is_ascii_digit() || byte == b'.';
            !part.is_empty() && part.bytes().all(digits)
        }),
        _ => None,
    };
    is_number.then(|| {
        let anchor = part.map_or_else(String::new, |part| format!("#section-{part}"));
        format!("https://www.rfc-editor.org/rfc/rfc{number}{anchor}")
    })
}

/// The target as a URI reference (RFC 3986): what may not stand in one is escaped.
fn uri(target: &str) -> String {
    const ALLOWED: &[u8] = b"-._~:/?#[]@!$&'()*+,;=%";
    let mut uri = String::with_capacity(target.len());
    for byte in target.bytes() {
        if byte.is_ascii_alphanumeric() || ALLOWED.contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests;
