//! The cases: what is not enforced first and open, the rest folded.

use super::Markup;
use super::capital;
use crate::output::group::{self, Group};
use crate::output::{exchange_lines, known_line, reason, sides};
use crate::report::{Exchange, Finding, Report};
use crate::verdict::{Severity, Verdict};

/// What `sent` and `got` are called.
type Sides = (&'static str, &'static str);

const SEVERITIES: [Severity; 5] = [
    Severity::Critical,
    Severity::High,
    Severity::Medium,
    Severity::Low,
    Severity::Note,
];

/// Every case of the report, in its part of the page.
pub(super) fn all(page: &mut Markup, report: &Report) {
    open(page, report);
    let of = |verdict: Verdict| {
        let findings = report.findings.iter();
        group::of(findings.filter(move |finding| finding.verdict == verdict))
    };
    known(page, report);
    undecided(page, &of(Verdict::Inconclusive), sides(report.kind));
    enforced(page, &of(Verdict::Enforced));
    not_asked(page, &of(Verdict::NotApplicable));
}

fn open(page: &mut Markup, report: &Report) {
    page.raw("<h2 id=\"findings\" tabindex=\"-1\">Findings</h2>\n");
    if report.open_findings().next().is_none() {
        page.raw(if report.summary.enforced > 0 {
            "<p>No open finding: of what could be decided, everything is enforced or known.</p>\n"
        } else {
            "<p>No open finding, and nothing that was seen to be enforced.</p>\n"
        });
        return;
    }
    for severity in SEVERITIES {
        let of_severity = report
            .open_findings()
            .filter(|finding| finding.severity == severity);
        let groups = group::of(of_severity);
        let number: usize = groups.iter().map(|group| group.findings.len()).sum();
        if number == 0 {
            continue;
        }
        page.raw("<h3>");
        page.text(&format!("{} ({number})", capital(severity.as_str())));
        page.raw("</h3>\n");
        for group in &groups {
            card(page, group, ink(severity), sides(report.kind));
        }
    }
}

fn known(page: &mut Markup, report: &Report) {
    let known = report
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::NotEnforced && finding.known);
    let groups = group::of(known);
    if groups.is_empty() {
        return;
    }
    page.raw(
        "<h2>Known findings</h2>\n<p>Not enforced, and accepted for now by the baseline.</p>\n",
    );
    page.raw("<h3 class=\"soft\">By check</h3>\n");
    for group in &groups {
        card(page, group, "care", sides(report.kind));
    }
}

/// A check whose cases are not enforced.
fn card(page: &mut Markup, group: &Group<'_>, class: &'static str, sides: Sides) {
    page.raw("<article class=\"card ");
    page.raw(class);
    page.raw("\">\n<h4>");
    page.text(group.check);
    page.raw(" ");
    page.words(group.title);
    page.raw("</h4>\n");
    if let Some(finding) = group.findings.first() {
        page.raw("<dl>\n");
        row(page, "Why it matters", &finding.why);
        row(page, "How to fix", &finding.fix);
        row(page, "Attack", &finding.attack);
        row(page, "Asked for by", &finding.section);
        page.raw("</dl>\n");
    }
    for finding in &group.findings {
        case(page, finding, class, sides);
    }
    page.raw("</article>\n");
}

fn case(page: &mut Markup, finding: &Finding, class: &'static str, sides: Sides) {
    page.raw("<div class=\"case\">\n<p><span class=\"tag ");
    page.raw(class);
    page.raw("\">");
    page.raw(group::verdict_word(finding));
    page.raw(", ");
    page.raw(finding.severity.as_str());
    page.raw("</span>");
    page.code(&finding.id);
    page.raw("</p>\n<dl>\n");
    row(page, sides.0, &finding.sent);
    if !finding.got.is_empty() {
        page.raw("<dt>");
        page.raw(sides.1);
        page.raw("</dt><dd>");
        page.code(&finding.got);
        page.raw("</dd>\n");
    }
    row(page, "Reason", reason(finding));
    row(page, "Known", &known_line(finding));
    if let Some(cause) = &finding.cause {
        page.raw("<dt>Cause</dt><dd>");
        page.code(cause);
        page.raw("</dd>\n");
    }
    page.raw("</dl>\n");
    evidence(page, &finding.evidence);
    page.raw("</div>\n");
}

fn row(page: &mut Markup, name: &'static str, text: &str) {
    if text.is_empty() {
        return;
    }
    page.raw("<dt>");
    page.raw(name);
    page.raw("</dt><dd>");
    page.words(text);
    page.raw("</dd>\n");
}

fn evidence(page: &mut Markup, exchanges: &[Exchange]) {
    if exchanges.is_empty() {
        return;
    }
    page.raw("<details><summary>Evidence</summary>\n<pre>");
    for (number, line) in exchanges.iter().flat_map(exchange_lines).enumerate() {
        if number > 0 {
            page.line();
        }
        page.text(&line);
    }
    page.raw("</pre>\n</details>\n");
}

fn undecided(page: &mut Markup, groups: &[Group<'_>], sides: Sides) {
    if groups.is_empty() {
        return;
    }
    page.raw("<h2>Not decided</h2>\n<p>What came back proves neither; the reason stands with each case.</p>\n");
    for group in groups {
        title(page, group);
        for finding in &group.findings {
            case(page, finding, "care", sides);
        }
    }
}

fn enforced(page: &mut Markup, groups: &[Group<'_>]) {
    if groups.is_empty() {
        return;
    }
    page.raw("<h2>Enforced</h2>\n");
    for group in groups {
        page.raw("<details><summary><strong>");
        page.text(group.check);
        page.raw("</strong> ");
        page.words(group.title);
        page.raw(" <span class=\"good\">");
        page.text(&format!("· {} enforced", group.findings.len()));
        page.raw("</span></summary>\n<ul class=\"cases\">\n");
        for finding in &group.findings {
            page.raw("<li>");
            page.code(&finding.id);
            page.raw(" ");
            page.words(&finding.sent);
            page.raw(" <span class=\"soft\">→ ");
            page.text(&finding.got);
            page.raw("</span></li>\n");
        }
        page.raw("</ul>\n</details>\n");
    }
}

fn not_asked(page: &mut Markup, groups: &[Group<'_>]) {
    if groups.is_empty() {
        return;
    }
    page.raw("<h2>Not asked, and why</h2>\n<ul class=\"cases\">\n");
    let findings = groups
        .iter()
        .flat_map(|group| group.findings.iter().copied());
    for (reason, ids) in group::by_reason(findings, |finding| &finding.id) {
        page.raw("<li>");
        page.words(&capital(reason));
        page.raw(": ");
        for (number, id) in ids.iter().enumerate() {
            if number > 0 {
                page.raw(", ");
            }
            page.code(id);
        }
        page.raw("</li>\n");
    }
    page.raw("</ul>\n");
}

fn title(page: &mut Markup, group: &Group<'_>) {
    page.raw("<h3>");
    page.text(group.check);
    page.raw(" ");
    page.words(group.title);
    page.raw("</h3>\n");
}

const fn ink(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "bad",
        Severity::Medium | Severity::Low | Severity::Note => "care",
    }
}
