//! The report for a terminal.
//!
//! One line per case; what is not enforced is explained where it stands. The
//! words carry the meaning: without colour the text is the same.

use super::group::{self, Group, verdict_word};
use super::text::{clean, wrap};
use crate::report::{Finding, Report};
use crate::verdict::{Severity, Verdict};

/// How the table is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are added to the words.
    pub colour: bool,
    /// Columns of the terminal. Lines are wrapped to it, and to 40 where it is less; an id is never
    /// broken.
    pub width: usize,
    /// Whether cases that do not apply have a line each, and every case its reason.
    pub verbose: bool,
}

impl Default for Style {
    /// 100 columns, without colour, not verbose.
    fn default() -> Self {
        Self {
            colour: false,
            width: 100,
            verbose: false,
        }
    }
}

/// Columns the text of a case gets at least; where that is not possible it stands on lines of its own.
const TEXT_AT_LEAST: usize = 28;
/// The longest word of a verdict.
const VERDICT_WIDTH: usize = 14;
/// The longest name of a detail.
const DETAIL_WIDTH: usize = 9;

/// The report as a table for people.
#[must_use]
pub fn table(report: &Report, style: Style) -> String {
    let mut page = Page::new(report, style);
    page.head(report);
    let folds = |group: &Group<'_>| group.is_not_asked() && !style.verbose;
    let (not_asked, asked): (Vec<_>, Vec<_>) = group::by_check(report).into_iter().partition(folds);
    for group in &asked {
        page.group(group);
    }
    page.not_asked(&not_asked);
    page.measures(report);
    page.labels(report);
    page.warnings(report);
    page.open(report);
    page.end(report);
    page.text
}

/// Colours, by meaning.
#[derive(Clone, Copy)]
enum Ink {
    Bold,
    Good,
    Bad,
    Care,
    Dim,
}

impl Ink {
    const fn start(self) -> &'static str {
        match self {
            Self::Bold => "\u{1b}[1m",
            Self::Good => "\u{1b}[32m",
            Self::Bad => "\u{1b}[1;31m",
            Self::Care => "\u{1b}[33m",
            Self::Dim => "\u{1b}[2m",
        }
    }

    const fn of(finding: &Finding) -> Self {
        match finding.verdict {
            Verdict::Enforced => Self::Good,
            Verdict::NotEnforced if finding.known || matches!(finding.severity, Severity::Note) => {
                Self::Care
            }
            Verdict::NotEnforced => Self::Bad,
            Verdict::Inconclusive => Self::Care,
            Verdict::NotApplicable => Self::Dim,
        }
    }
}

/// A page that grows line by line.
struct Page {
    text: String,
    style: Style,
    width: usize,
    ids: usize,
}

impl Page {
    fn new(report: &Report, style: Style) -> Self {
        let longest = |findings: &[Finding]| {
            let lengths = findings.iter().map(|finding| finding.id.chars().count());
            lengths.max().unwrap_or(0)
        };
        Self {
            text: String::new(),
            style,
            width: style.width.max(40),
            ids: longest(&report.findings).min(40),
        }
    }

    fn head(&mut self, report: &Report) {
        let target = clean(&report.target);
        let kind = super::kind_name(report.kind);
        self.paragraph(Some(Ink::Bold), &target, 0);
        self.paragraph(
            Some(Ink::Dim),
            &format!("{kind} · {}", super::run_line(report)),
            0,
        );
    }

    fn group(&mut self, group: &Group<'_>) {
        self.text.push('\n');
        let title = format!("{}  {}", clean(group.check), clean(group.title));
        self.paragraph(Some(Ink::Bold), &title, 0);
        let last = group.with(Verdict::NotEnforced).last();
        for finding in &group.findings {
            let folded = finding.verdict == Verdict::NotApplicable && !self.style.verbose;
            if !folded {
                self.case(finding);
            }
            // Why and how are the check's: they stand once, under its last case that needs them.
            if last.is_some_and(|last| std::ptr::eq(last, *finding)) {
                for (name, text) in [
                    ("why", &finding.why),
                    ("fix", &finding.fix),
                    ("section", &finding.section),
                ] {
                    self.detail(name, text);
                }
            }
        }
        if !self.style.verbose {
            self.folded(group);
        }
    }

    /// Verdict, id, what was sent; details where something is to be said.
    fn case(&mut self, finding: &Finding) {
        let word = match verdict_word(finding) {
            "not enforced" => "NOT ENFORCED",
            word => word,
        };
        let id = clean(&finding.id);
        let gap = |used: usize, wanted: usize| " ".repeat(wanted.saturating_sub(used));
        let mut head = format!("  {}", self.inked(Ink::of(finding), word));
        head.push_str(&gap(word.chars().count(), VERDICT_WIDTH));
        head.push_str(&format!("  {id}{}", gap(id.chars().count(), self.ids)));
        let column = 2 + VERDICT_WIDTH + 2 + self.ids + 2;
        let sent = clean(&finding.sent);
        if self.width >= column + TEXT_AT_LEAST {
            let lines = wrap(&sent, self.width - column);
            for (number, line) in lines.iter().enumerate() {
                if number == 0 {
                    self.line(format!("{head}  {line}"));
                } else {
                    self.line(format!("{}{line}", " ".repeat(column)));
                }
            }
        } else {
            self.line(head);
            self.paragraph(None, &sent, 4);
        }
        self.outcome(finding);
    }

    /// What came and what follows.
    fn outcome(&mut self, finding: &Finding) {
        match finding.verdict {
            Verdict::NotEnforced => {
                self.detail("severity", finding.severity.as_str());
                self.detail("got", &finding.got);
                self.detail("reason", super::reason(finding));
                self.detail("known", &super::known_line(finding));
            }
            Verdict::Inconclusive => {
                self.detail("reason", super::reason(finding));
                self.detail("got", &finding.got);
            }
            Verdict::Enforced | Verdict::NotApplicable if self.style.verbose => {
                self.detail("got", &finding.got);
                self.detail("reason", super::reason(finding));
            }
            Verdict::Enforced | Verdict::NotApplicable => {}
        }
    }

    /// The cases of a check that do not apply, in one line per reason.
    fn folded(&mut self, group: &Group<'_>) {
        for (reason, names) in
            group::by_reason(group.with(Verdict::NotApplicable), group::case_name)
        {
            let text = format!(
                "not applicable: {} ({})",
                clean(&names.join(", ")),
                clean(reason)
            );
            self.paragraph(Some(Ink::Dim), &text, 2);
        }
    }

    /// Checks of which no case applies, in one line per reason.
    fn not_asked(&mut self, groups: &[Group<'_>]) {
        if groups.is_empty() {
            return;
        }
        self.heading("Not asked");
        let findings = groups
            .iter()
            .flat_map(|group| group.findings.iter().copied());
        for (reason, checks) in group::by_reason(findings, |finding| &finding.check) {
            let text = format!("{}: {}", clean(&checks.join(", ")), clean(reason));
            self.paragraph(Some(Ink::Dim), &text, 2);
        }
    }

    fn measures(&mut self, report: &Report) {
        if report.measures.is_empty() {
            return;
        }
        self.heading("Measured");
        for measure in &report.measures {
            let text = format!("{}: {}", clean(&measure.name), clean(&measure.text));
            self.paragraph(None, &text, 2);
        }
    }

    fn labels(&mut self, report: &Report) {
        if report.labels.is_empty() {
            return;
        }
        self.heading("Label and behaviour");
        for label in &report.labels {
            let ink = match label.agrees {
                Some(true) => Ink::Good,
                Some(false) => Ink::Bad,
                None => Ink::Dim,
            };
            let word = self.inked(ink, super::agreement(label));
            self.line(format!("  {word}"));
            for (name, text) in [
                ("claimed", &label.claim),
                ("seen", &label.seen),
                ("source", &label.source),
            ] {
                self.detail(name, text);
            }
        }
    }

    fn warnings(&mut self, report: &Report) {
        if report.warnings.is_empty() {
            return;
        }
        self.heading("Warnings");
        for warning in &report.warnings {
            self.paragraph(Some(Ink::Care), &clean(warning), 2);
        }
    }

    /// The end of a long table is what a reader sees first: what is open stands there once more.
    fn open(&mut self, report: &Report) {
        let mut open: Vec<&Finding> = report.open_findings().collect();
        if open.is_empty() {
            return;
        }
        open.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        self.heading("Not enforced");
        for finding in open {
            let severity = format!("{:8}", finding.severity);
            let severity = self.inked(Ink::of(finding), &severity);
            let (id, ids) = (clean(&finding.id), self.ids);
            let title = clean(&finding.title);
            let row = format!("  {severity}  {id:ids$}  {title}");
            if 2 + 8 + 2 + ids + 2 + title.chars().count() <= self.width {
                self.line(row);
            } else {
                self.line(format!("  {severity}  {id}"));
            }
        }
    }

    fn end(&mut self, report: &Report) {
        self.text.push('\n');
        self.paragraph(Some(Ink::Bold), &super::summary_line(report), 0);
        let ink = match report.grade {
            'A' | 'B' => Ink::Good,
            'D' | 'F' => Ink::Bad,
            _ => Ink::Care,
        };
        let grade = format!(
            "grade {}: {}",
            clean(&report.grade.to_string()),
            super::grade_meaning(report.grade)
        );
        self.paragraph(Some(ink), &grade, 0);
    }

    fn heading(&mut self, text: &str) {
        self.text.push('\n');
        self.paragraph(Some(Ink::Bold), text, 0);
    }

    /// A named line under a case.
    fn detail(&mut self, name: &str, text: &str) {
        const INDENT: usize = 6;
        if text.is_empty() {
            return;
        }
        let column = INDENT + DETAIL_WIDTH + 1;
        let lines = wrap(&clean(text), self.width.saturating_sub(column));
        for (number, line) in lines.iter().enumerate() {
            let shown = if number == 0 { name } else { "" };
            let padded = format!("{shown:DETAIL_WIDTH$}");
            let named = self.inked(Ink::Dim, &padded);
            self.line(format!("{}{named} {line}", " ".repeat(INDENT)));
        }
    }

    /// Text on as many lines as it needs, all indented alike.
    fn paragraph(&mut self, ink: Option<Ink>, text: &str, indent: usize) {
        for line in wrap(text, self.width.saturating_sub(indent)) {
            let line = ink.map_or_else(|| line.clone(), |ink| self.inked(ink, &line));
            self.line(format!("{}{line}", " ".repeat(indent)));
        }
    }

    fn line(&mut self, line: String) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn inked(&self, ink: Ink, text: &str) -> String {
        if self.style.colour && !text.trim().is_empty() {
            format!("{}{text}\u{1b}[0m", ink.start())
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::tests::{every_verdict, with_text};

    fn plain(width: usize, verbose: bool) -> Style {
        Style {
            colour: false,
            width,
            verbose,
        }
    }

    #[test]
    fn every_verdict_has_its_line() {
        insta::assert_snapshot!(table(&every_verdict(), plain(80, false)));
    }

    #[test]
    fn a_narrow_terminal_gets_what_was_sent_on_its_own_line() {
        insta::assert_snapshot!(table(&every_verdict(), plain(40, true)));
    }

    #[test]
    fn colour_changes_no_word() {
        let report = every_verdict();
        let coloured = table(
            &report,
            Style {
                colour: true,
                ..plain(80, false)
            },
        );
        assert!(coloured.contains("\u{1b}[1;31mNOT ENFORCED\u{1b}[0m"));
        let mut words = String::new();
        for part in coloured.split('\u{1b}') {
            words.push_str(part.split_once('m').map_or(part, |(code, rest)| {
                let is_colour = code.starts_with('[');
                if is_colour { rest } else { part }
            }));
        }
        assert_eq!(words, table(&report, plain(80, false)));
    }

    proptest! {
        #[test]
        fn nothing_from_a_target_drives_the_terminal(text in any::<String>()) {
            let shown = table(&with_text(&text), plain(80, true));
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
        }

        #[test]
        fn lines_fit_the_terminal(width in 60_usize..200, verbose: bool) {
            let shown = table(&every_verdict(), plain(width, verbose));
            let longest = shown.lines().map(|line| line.chars().count()).max();
            prop_assert!(longest <= Some(width));
        }
    }
}
