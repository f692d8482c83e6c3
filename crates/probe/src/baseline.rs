//! A file of findings that are known and accepted for now.
//!
//! ```toml
//! [[known]]
//! id = "RS-06.at-once"
//! reason = "the shared replay store is rolled out in January"
//! until = "2027-01-31"
//! ```
//!
//! An entry names one case and says why it is accepted; `until` is its last
//! day, in UTC, and may be left out. A known finding is still reported and
//! still counts for the grade, since a baseline changes what is new and not
//! what is true; it no longer makes a run fail.
//!
//! This module does not read or write files.

use std::fmt::Write as _;

use keybound_proto::time::UnixTime;
use serde::Deserialize;
use toml::Spanned;

use crate::calendar::{DAY, Date};
use crate::cases::{case_ids, check_of, is_check, nearest_id};
use crate::report::{Finding, Report};
use crate::verdict::Verdict;

/// How long an entry written by [`Baseline::from_report`] counts, in days.
const DAYS: u64 = 90;

/// Known findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    entries: Vec<Entry>,
}

/// Why a text is no baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BaselineError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there, and what to do.
    pub problem: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    id: String,
    reason: String,
    until: Option<Date>,
    line: usize,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    known: Vec<Spanned<Known>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    id: Spanned<String>,
    reason: Spanned<String>,
    until: Option<Spanned<toml::Value>>,
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    /// [`BaselineError`] with the line: no TOML, a member that is not known or missing, an id that
    /// no case has, an id that stands twice, no reason, or a date that is none.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            BaselineError {
                line: line_of(text, at),
                problem: error.message().to_owned(),
            }
        })?;
        let mut entries: Vec<Entry> = Vec::new();
        for known in file.known {
            let entry = entry(text, known.into_inner())?;
            if let Some(first) = entries.iter().find(|held| held.id == entry.id) {
                return Err(BaselineError {
                    line: entry.line,
                    problem: format!(
                        "`{}` is named on line {} already; keep one entry",
                        entry.id, first.line
                    ),
                });
            }
            entries.push(entry);
        }
        Ok(Self { entries })
    }

    /// Marks the findings of the report that are known on this day, and concludes it anew. Entries
    /// that have expired, or whose case is enforced by now, become warnings.
    pub fn apply(&self, report: &mut Report, today: UnixTime) {
        report.baseline = true;
        let today = Date::of(today);
        for entry in &self.entries {
            let Some(finding) = report
                .findings
                .iter_mut()
                .find(|finding| finding.id == entry.id)
            else {
                continue;
            };
            if let Some(warning) = entry.mark(finding, today) {
                report.warnings.push(warning);
            }
        }
        report.conclude();
    }

    /// A baseline that names every case of the report that is not enforced. New entries count for
    /// 90 days from the day of the run, and their reasons are for the reader to write.
    #[must_use]
    pub fn from_report(report: &Report) -> String {
        let mut text = String::from(HEAD);
        let until = Date::of(UnixTime::from_secs(
            report.started_at.saturating_add(DAYS * DAY),
        ));
        let open = report
            .findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::NotEnforced);
        for finding in open {
            let sent = crate::output::clean(&finding.sent);
            let reason = finding.known_reason.as_deref().unwrap_or(REASON);
            let until = match (&finding.known_until, finding.known) {
                (Some(date), _) => Some(date.clone()),
                (None, true) => None,
                (None, false) => Some(until.to_string()),
            };
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "\n# {}: {sent}\n[[known]]\nid = {}\nreason = {}\n",
                finding.severity,
                quoted(&finding.id),
                quoted(reason)
            );
            if let Some(until) = until {
                let _ = writeln!(text, "until = {}", quoted(&until));
            }
        }
        text
    }
}

impl Entry {
    /// Marks the finding; otherwise says what is wrong with the entry.
    fn mark(&self, finding: &mut Finding, today: Date) -> Option<String> {
        let (id, line) = (&self.id, self.line);
        match finding.verdict {
            Verdict::NotEnforced => match self.until {
                Some(until) if until < today => Some(format!(
                    "the baseline's entry `{id}` (line {line}) expired on {until} and no longer counts"
                )),
                until => {
                    finding.known = true;
                    finding.known_reason = Some(self.reason.clone());
                    finding.known_until = until.map(|date| date.to_string());
                    None
                }
            },
            Verdict::Enforced => Some(format!(
                "the baseline names `{id}` (line {line}), which is enforced by now; remove the entry"
            )),
            Verdict::Inconclusive | Verdict::NotApplicable => None,
        }
    }
}

fn entry(text: &str, known: Known) -> Result<Entry, BaselineError> {
    let line = line_of(text, known.id.span().start);
    let id = known.id.into_inner();
    if !case_ids().any(|case| case == id) {
        return Err(BaselineError {
            line,
            problem: unknown(&id),
        });
    }
    if known.reason.get_ref().trim().is_empty() {
        return Err(BaselineError {
            line: line_of(text, known.reason.span().start),
            problem: format!("`reason` of `{id}` is empty; say why the finding is accepted"),
        });
    }
    let until = match known.until {
        None => None,
        Some(value) => {
            let line = line_of(text, value.span().start);
            Some(date(value.get_ref()).map_err(|problem| BaselineError { line, problem })?)
        }
    };
    Ok(Entry {
        id,
        reason: known.reason.into_inner(),
        until,
        line,
    })
}

fn unknown(id: &str) -> String {
    if is_check(id) {
        let cases: Vec<String> = case_ids()
            .filter(|case| check_of(case) == id)
            .map(|case| format!("`{case}`"))
            .collect();
        return format!(
            "`{id}` is a check; name its cases, each with an entry: {}",
            cases.join(", ")
        );
    }
    match nearest_id(id) {
        Some(nearest) => format!("no case has the id `{id}`; did you mean `{nearest}`?"),
        None => format!("no case has the id `{id}`; a report lists the ids"),
    }
}

/// A date, as TOML has it or as text.
fn date(value: &toml::Value) -> Result<Date, String> {
    let text = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Datetime(date) => date.to_string(),
        other => other.to_string(),
    };
    Date::parse(&text).ok_or_else(|| format!("`until` is `{text}`, not a day like `2027-01-31`"))
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// A TOML string, escaped.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

const REASON: &str = "not reviewed yet: say why this is accepted";

const HEAD: &str = "\
# Known findings of `keybound probe --baseline FILE`. Each entry names one case and says why it is
# accepted; after the day in `until` (UTC) it no longer counts.
";

#[cfg(test)]
mod tests;
