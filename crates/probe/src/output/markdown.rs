//! The report as Markdown (CommonMark with the tables of GitHub).
//!
//! What is not enforced stands open, the rest is folded. Words are escaped,
//! and what the target said stands in code, so that nothing of it is markup.

use std::fmt::Write as _;

use super::group::{self, Group};
use super::spans::{Span, spans};
use super::text::clean;
use super::xml;
use crate::report::{Exchange, Finding, Report};
use crate::verdict::Verdict;

/// The report as a Markdown document.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut page = Page {
        text: String::new(),
        sides: super::sides(report.kind),
    };
    page.head(report);
    page.numbers(report);
    page.measures(report);
    page.labels(report);
    let chosen = |keep: fn(&Finding) -> bool| group::of(report.findings.iter().filter(|f| keep(f)));
    let open = chosen(|one| one.verdict == Verdict::NotEnforced && !one.known);
    let known = chosen(|one| one.verdict == Verdict::NotEnforced && one.known);
    let undecided = chosen(|one| one.verdict == Verdict::Inconclusive);
    page.findings("Findings", &open);
    page.findings("Known findings", &known);
    page.undecided(&undecided);
    page.enforced(&chosen(|one| one.verdict == Verdict::Enforced));
    page.not_asked(&chosen(|one| one.verdict == Verdict::NotApplicable));
    page.text
}

struct Page {
    text: String,
    /// What `sent` and `got` are called.
    sides: (&'static str, &'static str),
}

impl Page {
    fn head(&mut self, report: &Report) {
        self.line("# Probe report");
        self.line("");
        let kind = super::kind_name(report.kind);
        self.line(&format!("**Target**: {} ({kind})", code(&report.target)));
        self.line("");
        let grade = words(&report.grade.to_string());
        let meaning = super::grade_meaning(report.grade);
        self.line(&format!("**Grade {grade}**: {meaning}."));
        self.line("");
        self.line(super::GRADES);
        self.line("");
        self.line(&words(&super::run_line(report)));
        for warning in &report.warnings {
            self.line("");
            self.line(&format!("> **Warning**: {}", words(warning)));
        }
    }

    fn numbers(&mut self, report: &Report) {
        let summary = &report.summary;
        self.heading(2, "Summary");
        self.line("| enforced | not enforced | known | inconclusive | not applicable |");
        self.line("|---:|---:|---:|---:|---:|");
        let numbers = [
            summary.enforced,
            summary.not_enforced,
            summary.known,
            summary.inconclusive,
            summary.not_applicable,
        ];
        self.row(&numbers.map(|number| number.to_string()));
    }

    fn measures(&mut self, report: &Report) {
        if report.measures.is_empty() {
            return;
        }
        self.heading(2, "Measured");
        self.line("| measure | value | in words |");
        self.line("|---|---:|---|");
        for measure in &report.measures {
            self.row(&[
                code(&measure.name),
                words(&super::value(measure)),
                words(&measure.text),
            ]);
        }
    }

    fn labels(&mut self, report: &Report) {
        if report.labels.is_empty() {
            return;
        }
        self.heading(2, "Label and behaviour");
        self.line("| claimed | seen | | source |");
        self.line("|---|---|---|---|");
        for label in &report.labels {
            self.row(&[
                words(&label.claim),
                words(&label.seen),
                super::agreement(label).to_owned(),
                code(&label.source),
            ]);
        }
    }

    fn findings(&mut self, title: &str, groups: &[Group<'_>]) {
        if groups.is_empty() {
            return;
        }
        self.heading(2, title);
        for group in groups {
            self.heading(3, &check_title(group));
            for finding in &group.findings {
                self.finding(finding);
            }
            if let Some(finding) = group.findings.first() {
                self.item("Why it matters", &words(&finding.why));
                self.item("How to fix", &words(&finding.fix));
                self.item("Attack", &words(&finding.attack));
                self.item("Asked for by", &words(&finding.section));
            }
        }
    }

    fn finding(&mut self, finding: &Finding) {
        self.line(&format!("**{}** · {}", code(&finding.id), finding.severity));
        self.line("");
        let (sent, got) = self.sides;
        self.item(sent, &words(&finding.sent));
        self.item(got, &code(&finding.got));
        self.item("Reason", &words(super::reason(finding)));
        self.item("Known", &words(&super::known_line(finding)));
        self.line("");
        self.evidence(&finding.evidence);
    }

    fn evidence(&mut self, exchanges: &[Exchange]) {
        if exchanges.is_empty() {
            return;
        }
        let mut lines = Vec::new();
        for exchange in exchanges {
            lines.extend(super::exchange_lines(exchange));
        }
        self.folded("Evidence", |page| page.block(&lines));
    }

    fn undecided(&mut self, groups: &[Group<'_>]) {
        if groups.is_empty() {
            return;
        }
        self.heading(2, "Not decided");
        self.line("| case | sent | got | reason |");
        self.line("|---|---|---|---|");
        for finding in groups.iter().flat_map(|group| &group.findings) {
            self.row(&[
                code(&finding.id),
                words(&finding.sent),
                code(&finding.got),
                words(&finding.reason),
            ]);
        }
    }

    fn enforced(&mut self, groups: &[Group<'_>]) {
        let number: usize = groups.iter().map(|group| group.findings.len()).sum();
        if number == 0 {
            return;
        }
        self.heading(2, "Enforced");
        self.folded(&format!("{number} enforced"), |page| {
            page.line("| case | sent | got |");
            page.line("|---|---|---|");
            for finding in groups.iter().flat_map(|group| &group.findings) {
                page.row(&[code(&finding.id), words(&finding.sent), code(&finding.got)]);
            }
        });
    }

    fn not_asked(&mut self, groups: &[Group<'_>]) {
        let number: usize = groups.iter().map(|group| group.findings.len()).sum();
        if number == 0 {
            return;
        }
        self.heading(2, "Not asked");
        self.folded(&format!("{number} not applicable"), |page| {
            page.line("| case | sent | why not |");
            page.line("|---|---|---|");
            for finding in groups.iter().flat_map(|group| &group.findings) {
                page.row(&[
                    code(&finding.id),
                    words(&finding.sent),
                    words(&finding.reason),
                ]);
            }
        });
    }

    /// A part that opens on demand; the title is ours.
    fn folded(&mut self, title: &str, inside: impl FnOnce(&mut Self)) {
        let title = xml::escape(title);
        self.line(&format!("<details><summary>{title}</summary>"));
        self.line("");
        inside(self);
        self.line("");
        self.line("</details>");
        self.line("");
    }

    /// Lines as they are, in a fence longer than any row of backticks among them.
    fn block(&mut self, lines: &[String]) {
        let longest = lines.iter().map(|line| longest_row(line)).max();
        let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
        self.line(&format!("{fence}text"));
        for line in lines {
            self.line(&clean(line));
        }
        self.line(&fence);
    }

    fn heading(&mut self, level: usize, text: &str) {
        if !self.text.ends_with("\n\n") {
            self.line("");
        }
        self.line(&format!("{} {text}", "#".repeat(level)));
        self.line("");
    }

    fn item(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.line(&format!("- {name}: {text}"));
        }
    }

    /// A row of a table. In a cell, code too is cut at a bar unless a backslash stands before it.
    fn row(&mut self, cells: &[String]) {
        let mut row = String::from("|");
        for cell in cells {
            row.push(' ');
            let mut escaped = false;
            for c in cell.chars() {
                if c == '|' && !escaped {
                    row.push('\\');
                }
                escaped = c == '\\' && !escaped;
                row.push(c);
            }
            row.push_str(" |");
        }
        self.line(&row);
    }

    fn line(&mut self, line: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }
}

fn check_title(group: &Group<'_>) -> String {
    format!("{} {}", words(group.check), words(group.title))
}

/// Words with their names as code, everything else escaped.
fn words(text: &str) -> String {
    let spans = spans(text);
    spans
        .iter()
        .map(|span| match span {
            Span::Text(text) => escaped(text),
            Span::Code(name) => code(name),
        })
        .collect()
}

/// A backslash before everything that could be markup. Words never begin a line here, so that what
/// is markup only there stays as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        // Addresses become links by themselves, names after `@` and numbers after `#` may.
        let is_markup = match c {
            ':' => letters.peek() == Some(&'/'),
            '.' => escaped.ends_with(['w', 'W']),
            c => "\\`*_[]<>&|~$@#".contains(c),
        };
        if is_markup {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Text as code, between as many backticks as it takes.
fn code(text: &str) -> String {
    let text = clean(text);
    if text.trim().is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_row(&text) + 1);
    let padding = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{padding}{text}{padding}{fence}")
}

/// The length of the longest row of backticks.
fn longest_row(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::tests::{every_verdict, with_text};

    #[test]
    fn every_verdict_has_its_place() {
        insta::assert_snapshot!(markdown(&every_verdict()));
    }

    #[test]
    fn markup_in_a_text_is_text() {
        let hostile = "<b>[x](javascript:y) **z** | # `";
        assert_eq!(
            words(hostile),
            "\\<b\\>\\[x\\](javascript:y) \\*\\*z\\*\\* \\| \\# \\`"
        );
        assert_eq!(words("no `cnf|` here"), "no `cnf|` here");
        assert_eq!(code("a`b``"), "``` a`b`` ```");
        assert_eq!(words("see www.example.com"), "see www\\.example.com");
        assert_eq!(words("see https://a.example"), "see https\\://a.example");
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_line(text in any::<String>()) {
            let lines = |text: &str| markdown(&with_text(text)).lines().count();
            let plain = lines("plain");
            let clean_is_blank = clean(&text).trim().is_empty();
            prop_assert!(clean_is_blank || lines(&text) == plain);
        }

        #[test]
        fn outside_of_code_no_bracket_stands_bare(text in "[<>`a-c |&\\\\\\[\\]]{0,12}") {
            let shown = words(&text);
            prop_assert!(!bare_bracket(&shown), "{}", shown);
        }
    }

    /// Whether a `<` stands outside of code spans without a backslash, read as CommonMark does.
    fn bare_bracket(text: &str) -> bool {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if c == '\\' {
                let mut letters = rest.chars();
                letters.nth(1);
                rest = letters.as_str();
                continue;
            }
            if c == '`' {
                let row = rest.len() - rest.trim_start_matches('`').len();
                let (fence, after) = rest.split_at(row);
                // The closing row is exactly as long; without one the row is text.
                let mut from = 0;
                let mut closing = None;
                while let Some(at) = after[from..].find('`') {
                    let start = from + at;
                    let length =
                        after[start..].len() - after[start..].trim_start_matches('`').len();
                    if length == fence.len() {
                        closing = Some(start + length);
                        break;
                    }
                    from = start + length;
                }
                rest = closing.map_or(after, |end| &after[end..]);
                continue;
            }
            if c == '<' {
                return true;
            }
            rest = &rest[c.len_utf8()..];
        }
        false
    }
}
