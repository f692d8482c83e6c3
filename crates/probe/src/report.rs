//! What a run found: the data behind every form of output.
//!
//! A [`Report`] holds no token, no secret and no proof that still verifies:
//! proofs are shown as their decoded header and claims, tokens as the first
//! characters of their hash. Its JSON form has a published schema
//! (`docs/reference/probe.schema.json`).
//!
//! This module does not print; `crate::output` does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verdict::{Severity, Verdict};

/// The version of the shape of [`Report`] in JSON.
pub const SCHEMA: &str = "keybound-probe/1";

/// What was probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// An API that takes access tokens.
    ResourceServer,
    /// A server that issues them.
    AuthorizationServer,
    /// A server of the Model Context Protocol over HTTP.
    McpServer,
    /// Recorded traffic in an HTTP archive.
    HttpArchive,
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Always `keybound-probe/1`.
    pub schema: String,
    /// The version of Keybound that probed.
    pub version: String,
    /// What was probed.
    pub kind: TargetKind,
    /// The URL or file, as given.
    pub target: String,
    /// When the run began, in seconds since 1970.
    pub started_at: u64,
    /// How long it took.
    pub seconds: f64,
    /// Requests that were sent.
    pub requests: u32,
    /// `A` (everything asked was enforced) to `F` (a stolen token works); `?` when too little was decided.
    pub grade: char,
    /// How many cases ended how.
    pub summary: Summary,
    /// Numbers.
    pub measures: Vec<Measure>,
    /// What the target says of itself, beside what was seen.
    pub labels: Vec<Label>,
    /// Whether a baseline of known findings was held against the run.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub baseline: bool,
    /// What weakens the run as a whole, for example a target that refuses good requests.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// Every case, in the order of the check list.
    pub findings: Vec<Finding>,
}

/// How many cases ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Cases the target enforces.
    pub enforced: u32,
    /// Cases it does not enforce, without those a baseline names.
    pub not_enforced: u32,
    /// Cases that prove neither.
    pub inconclusive: u32,
    /// Cases that do not concern the target.
    pub not_applicable: u32,
    /// Cases that are not enforced and that the baseline names.
    pub known: u32,
}

/// One case: what was sent, what came, what follows.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable id, for example `RS-10.jti-absent`.
    pub id: String,
    /// The check it belongs to, for example `RS-10`.
    pub check: String,
    /// The check in a few words.
    pub title: String,
    /// How much it matters when it is not enforced.
    pub severity: Severity,
    /// What follows.
    pub verdict: Verdict,
    /// Why that follows.
    pub reason: String,
    /// What was sent, in words.
    pub sent: String,
    /// What came back, in words.
    pub got: String,
    /// Why it matters.
    pub why: String,
    /// How to fix it.
    pub fix: String,
    /// Document and section that asks for it.
    pub section: String,
    /// The attack it stands for.
    pub attack: String,
    /// The id Keybound's own guard and issuer give to this refusal, where they have one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// Whether the baseline names it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub known: bool,
    /// Why the baseline names it, in the words of who wrote it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub known_reason: Option<String>,
    /// The last day on which the baseline's entry counts, where it has one: `2027-01-31`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub known_until: Option<String>,
    /// The messages themselves, without anything secret.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub evidence: Vec<Exchange>,
}

/// One request and what came back.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// The method and URL.
    pub request: String,
    /// Header fields as sent; credentials replaced by what they are.
    pub headers: Vec<(String, String)>,
    /// The status, or nothing when no answer came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// Header fields of the answer that matter here.
    pub answer: Vec<(String, String)>,
    /// The beginning of the answer's body when it is short text, or what went wrong.
    pub body: String,
    /// Milliseconds until the answer was there.
    pub milliseconds: u64,
}

/// A number the run measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measure {
    /// Stable name, for example `replay_window_past`.
    pub name: String,
    /// The number; nothing where it could not be measured.
    pub value: Option<f64>,
    /// `s`, `ms` or `1`.
    pub unit: String,
    /// The same in words.
    pub text: String,
}

/// A claim of the target about itself, beside what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Label {
    /// Where it is claimed: the document or the challenge.
    pub source: String,
    /// What is claimed.
    pub claim: String,
    /// What was seen.
    pub seen: String,
    /// Whether both agree; nothing where nothing was seen.
    pub agrees: Option<bool>,
}

impl Report {
    /// Counts the findings and grades them. Called once all findings are there,
    /// and again when a baseline has marked some as known.
    pub fn conclude(&mut self) {
        let mut summary = Summary::default();
        for finding in &self.findings {
            let count = match finding.verdict {
                Verdict::Enforced => &mut summary.enforced,
                Verdict::NotEnforced if finding.known => &mut summary.known,
                Verdict::NotEnforced => &mut summary.not_enforced,
                Verdict::Inconclusive => &mut summary.inconclusive,
                Verdict::NotApplicable => &mut summary.not_applicable,
            };
            *count += 1;
        }
        self.summary = summary;
        self.grade = grade(&self.findings, self.kind);
    }

    /// The exit code of the command line: 1 when a case is not enforced that no baseline names;
    /// otherwise 6 when a case is inconclusive, or when nothing was decided at all; otherwise 0.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        let summary = &self.summary;
        let decided = summary.enforced > 0 || summary.known > 0;
        if summary.not_enforced > 0 {
            1
        } else if summary.inconclusive > 0 || !decided {
            6
        } else {
            0
        }
    }

    /// The cases that are not enforced and that no baseline names.
    pub fn open_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::NotEnforced && !finding.known)
    }
}

/// The grade of a run. The worst case that is not enforced decides, known or not, since a baseline
/// changes what is new and not what is true. What is undecided never improves a grade: where
/// nothing bad was found, undecided critical or high cases leave no grade, and lesser ones at most
/// `B`. A run that was asked nothing critical has no good grade either; recorded traffic, which
/// cannot be asked, is graded on what it shows.
fn grade(findings: &[Finding], kind: TargetKind) -> char {
    let worst_of = |verdict: Verdict| {
        let of_verdict = findings.iter().filter(|finding| finding.verdict == verdict);
        of_verdict.map(|finding| finding.severity).max()
    };
    let undecided = worst_of(Verdict::Inconclusive);
    let asked = match worst_of(Verdict::Enforced) {
        None => false,
        Some(severity) => severity == Severity::Critical || kind == TargetKind::HttpArchive,
    };
    match worst_of(Verdict::NotEnforced) {
        Some(Severity::Critical) => 'F',
        Some(Severity::High) => 'D',
        _ if undecided >= Some(Severity::High) || !asked => '?',
        Some(Severity::Medium) => 'C',
        Some(Severity::Low) => 'B',
        _ if undecided >= Some(Severity::Low) => 'B',
        Some(Severity::Note) | None => 'A',
    }
}

#[cfg(test)]
pub(crate) mod tests;
