//! The report as JUnit XML, for build servers.
//!
//! One suite for each check, one test for each case: not enforced is a
//! failure, inconclusive an error, known or not applicable is skipped. Names
//! are ids and nothing else, so that build servers follow a case over runs.
//! There is no standard for this format; the members are those that build
//! servers agree on.

use keybound_proto::time::UnixTime;

use super::group::{self, Group};
use super::xml::escape;
use crate::calendar::rfc3339;
use crate::report::{Finding, Report};
use crate::verdict::Verdict;

/// The report as a JUnit document.
#[must_use]
pub fn junit(report: &Report) -> String {
    let groups = group::by_check(report);
    let all: Vec<&Finding> = report.findings.iter().collect();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str(&format!(
        "<testsuites name=\"{}\" {} time=\"{:.3}\">\n",
        escape(&format!("keybound probe {}", report.target)),
        counts(&all),
        report.seconds,
    ));
    let timestamp = rfc3339(UnixTime::from_secs(report.started_at));
    for group in &groups {
        suite(&mut xml, group, timestamp.trim_end_matches('Z'));
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, group: &Group<'_>, timestamp: &str) {
    let time: u64 = group.findings.iter().map(|finding| spent(finding)).sum();
    xml.push_str(&format!(
        "  <testsuite name=\"{}\" {} time=\"{}\" timestamp=\"{timestamp}\">\n",
        escape(&format!("{} {}", group.check, group.title)),
        counts(&group.findings),
        seconds(time),
    ));
    for finding in &group.findings {
        case(xml, finding);
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, finding: &Finding) {
    xml.push_str(&format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
        escape(&format!("keybound.probe.{}", finding.check)),
        escape(&finding.id),
        seconds(spent(finding)),
    ));
    let Some((element, kind, message)) = outcome(finding) else {
        xml.push_str("/>\n");
        return;
    };
    xml.push_str(">\n");
    xml.push_str(&format!(
        "      <{element} message=\"{}\"",
        escape(&message)
    ));
    if let Some(kind) = kind {
        xml.push_str(&format!(" type=\"{kind}\""));
    }
    if element == "skipped" {
        xml.push_str("/>\n");
    } else {
        xml.push_str(&format!(">{}</{element}>\n", details(finding)));
    }
    xml.push_str("    </testcase>\n");
}

/// The element that says how the case ended, its type, and its message.
fn outcome(finding: &Finding) -> Option<(&'static str, Option<&'static str>, String)> {
    match finding.verdict {
        Verdict::Enforced => None,
        Verdict::NotEnforced if finding.known => {
            let message = format!("known: {}", super::known_line(finding));
            Some(("skipped", None, message))
        }
        Verdict::NotEnforced => {
            let kind = Some(finding.severity.as_str());
            Some(("failure", kind, finding.reason.clone()))
        }
        Verdict::Inconclusive => Some(("error", Some("inconclusive"), finding.reason.clone())),
        Verdict::NotApplicable => {
            let message = format!("not applicable: {}", finding.reason);
            Some(("skipped", None, message))
        }
    }
}

/// What a reader of a build log needs, a line each.
fn details(finding: &Finding) -> String {
    let lines = [
        ("id", &finding.id),
        ("sent", &finding.sent),
        ("got", &finding.got),
        ("why", &finding.why),
        ("fix", &finding.fix),
        ("section", &finding.section),
    ];
    let lines = lines
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name}: {}", escape(text)));
    lines.collect::<Vec<_>>().join("\n")
}

fn counts(findings: &[&Finding]) -> String {
    let ended = |element: &str| {
        let outcomes = findings.iter().filter_map(|finding| outcome(finding));
        outcomes.filter(|(name, _, _)| *name == element).count()
    };
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        findings.len(),
        ended("failure"),
        ended("error"),
        ended("skipped"),
    )
}

/// Milliseconds that the requests of a case took.
fn spent(finding: &Finding) -> u64 {
    let spent = finding.evidence.iter().map(|one| one.milliseconds);
    spent.fold(0, u64::saturating_add)
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::output::xml::tests::malformed;
    use crate::report::tests::{every_verdict, report, with_text};

    #[test]
    fn every_verdict_has_its_element() {
        insta::assert_snapshot!(junit(&every_verdict()));
    }

    #[test]
    fn a_run_without_cases_is_a_document() {
        let empty = junit(&report(Vec::new()));
        assert_eq!(malformed(&empty), None, "{empty}");
    }

    proptest! {
        #[test]
        fn no_text_of_a_report_is_markup(text in any::<String>()) {
            let document = junit(&with_text(&text));
            prop_assert_eq!(malformed(&document), None);
        }
    }
}
