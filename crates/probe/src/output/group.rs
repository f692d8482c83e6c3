//! Findings by check and by what becomes of them.

use crate::report::{Finding, Report};
use crate::verdict::Verdict;

/// The findings of one check, in the order of asking.
pub(super) struct Group<'a> {
    pub(super) check: &'a str,
    pub(super) title: &'a str,
    pub(super) findings: Vec<&'a Finding>,
}

impl<'a> Group<'a> {
    /// Whether no case of the check was asked.
    pub(super) fn is_not_asked(&self) -> bool {
        self.with(Verdict::NotApplicable).count() == self.findings.len()
    }

    /// The findings with this verdict.
    pub(super) fn with(&self, verdict: Verdict) -> impl Iterator<Item = &'a Finding> {
        self.findings
            .iter()
            .copied()
            .filter(move |finding| finding.verdict == verdict)
    }
}

/// The findings of a report by check; checks in the order of their numbers, lists in the order in
/// which they first appear.
pub(super) fn by_check(report: &Report) -> Vec<Group<'_>> {
    of(report.findings.iter())
}

/// These findings by check.
pub(super) fn of<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for finding in findings {
        let held = groups
            .iter_mut()
            .find(|group| group.check == finding.check.as_str());
        match held {
            Some(group) => group.findings.push(finding),
            None => groups.push(Group {
                check: &finding.check,
                title: &finding.title,
                findings: vec![finding],
            }),
        }
    }
    // What is asked first differs from run to run and target to target; a reader looks for numbers.
    let mut lists: Vec<&str> = Vec::new();
    for group in &groups {
        if !lists.contains(&list(group.check)) {
            lists.push(list(group.check));
        }
    }
    groups.sort_by_key(|group| {
        let place = lists.iter().position(|name| *name == list(group.check));
        (place, group.check)
    });
    groups
}

/// The list a check belongs to: `RS` of `RS-06`.
fn list(check: &str) -> &str {
    check.split_once('-').map_or(check, |(list, _)| list)
}

/// The verdict in words, with the baseline taken into account.
pub(super) const fn verdict_word(finding: &Finding) -> &'static str {
    match finding.verdict {
        Verdict::Enforced => "enforced",
        Verdict::NotEnforced if finding.known => "known",
        Verdict::NotEnforced => "not enforced",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NotApplicable => "not applicable",
    }
}

/// Reasons with the names of the cases or checks that have them, each reason and each name once.
pub(super) fn by_reason<'a>(
    findings: impl Iterator<Item = &'a Finding>,
    name: fn(&Finding) -> &str,
) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut reasons: Vec<(&'a str, Vec<&'a str>)> = Vec::new();
    for finding in findings {
        let name = name(finding);
        match reasons
            .iter_mut()
            .find(|(reason, _)| *reason == finding.reason)
        {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => reasons.push((&finding.reason, vec![name])),
        }
    }
    reasons
}

/// The part of the id after the check's.
pub(super) fn case_name(finding: &Finding) -> &str {
    finding
        .id
        .split_once('.')
        .map_or(finding.id.as_str(), |(_, name)| name)
}
