use super::*;
use crate::report::tests::{finding, report};
use crate::verdict::Severity;

fn today(text: &str) -> UnixTime {
    let days = (0..40_000)
        .map(|day| UnixTime::from_secs(day * DAY + 5))
        .find(|time| Date::of(*time).to_string() == text);
    days.expect("a day")
}

fn refused(text: &str) -> String {
    Baseline::parse(text).expect_err("no baseline").to_string()
}

#[test]
fn a_known_finding_is_marked_until_its_last_day() {
    let text = "[[known]]\nid = \"RS-06.at-once\"\nreason = \"later\"\nuntil = \"2027-01-31\"\n";
    let baseline = Baseline::parse(text).expect("a baseline");
    let open = report(vec![finding(
        "RS-06.at-once",
        Severity::High,
        Verdict::NotEnforced,
    )]);
    assert_eq!(open.exit_code(), 1);

    let mut on_the_last_day = open.clone();
    baseline.apply(&mut on_the_last_day, today("2027-01-31"));
    let marked = &on_the_last_day.findings[0];
    assert!(marked.known && on_the_last_day.baseline);
    assert_eq!(marked.known_reason.as_deref(), Some("later"));
    assert_eq!(marked.known_until.as_deref(), Some("2027-01-31"));
    assert_eq!(on_the_last_day.summary.known, 1);
    assert_eq!(on_the_last_day.exit_code(), 0);
    assert_eq!(on_the_last_day.grade, open.grade);

    let mut a_day_later = open;
    baseline.apply(&mut a_day_later, today("2027-02-01"));
    assert!(!a_day_later.findings[0].known);
    assert_eq!(a_day_later.exit_code(), 1);
    let warning = a_day_later.warnings.last().expect("a warning");
    assert!(warning.contains("expired on 2027-01-31"), "{warning}");
}

#[test]
fn an_entry_whose_case_is_enforced_is_reported_as_stale() {
    let text = "[[known]]\nid = \"RS-06.at-once\"\nreason = \"later\"\n";
    let baseline = Baseline::parse(text).expect("a baseline");
    let mut report = report(vec![finding(
        "RS-06.at-once",
        Severity::High,
        Verdict::Enforced,
    )]);
    baseline.apply(&mut report, today("2026-12-01"));
    assert!(!report.findings[0].known);
    let warning = report.warnings.last().expect("a warning");
    assert!(warning.contains("enforced by now"), "{warning}");
}

#[test]
fn a_finding_nobody_named_stays_open() {
    let text = "[[known]]\nid = \"RS-06.after-2s\"\nreason = \"later\"\n";
    let baseline = Baseline::parse(text).expect("a baseline");
    let mut report = report(vec![finding(
        "RS-06.at-once",
        Severity::High,
        Verdict::NotEnforced,
    )]);
    baseline.apply(&mut report, today("2026-12-01"));
    assert!(!report.findings[0].known);
    assert_eq!(report.exit_code(), 1);
}

#[test]
fn mistakes_are_named_with_their_line_and_the_nearest_id() {
    let entry = |id: &str, rest: &str| format!("# c\n\n[[known]]\nid = \"{id}\"\n{rest}\n");
    let reason = "reason = \"later\"";
    let table = [
        (
            entry("RS-06.atonce", reason),
            "line 4: no case has the id `RS-06.atonce`; did you mean `RS-06.at-once`?",
        ),
        (
            entry("nothing like it at all", reason),
            "line 4: no case has the id `nothing like it at all`; a report lists the ids",
        ),
        (
            entry("RS-02", reason),
            "line 4: `RS-02` is a check; name its cases, each with an entry: `RS-02.absent`",
        ),
        (
            entry("RS-06.at-once", "reason = \" \""),
            "line 5: `reason` of `RS-06.at-once` is empty; say why the finding is accepted",
        ),
        (
            entry("RS-06.at-once", "reason = \"x\"\nuntil = \"tomorrow\""),
            "line 6: `until` is `tomorrow`, not a day like `2027-01-31`",
        ),
        (
            entry("RS-06.at-once", "reason = \"x\"\nuntil = 2027-02-29"),
            "line 6:",
        ),
        (
            entry("RS-06.at-once", "reason = \"x\"\nsince = 1"),
            "line 6: unknown field `since`",
        ),
        (entry("RS-06.at-once", ""), "line 3: missing field `reason`"),
        ("\n[[knwon]]\n".to_owned(), "line 2: unknown field `knwon`"),
        ("[[known]\n".to_owned(), "line 1:"),
        (
            format!("{0}{0}", entry("RS-06.at-once", reason)),
            "line 9: `RS-06.at-once` is named on line 4 already; keep one entry",
        ),
    ];
    for (text, begins) in table {
        let problem = refused(&text);
        assert!(problem.starts_with(begins), "{problem}\n{text}");
    }
}

#[test]
fn a_day_may_be_written_without_quotes() {
    let text = "[[known]]\nid = \"RS-06.at-once\"\nreason = \"x\"\nuntil = 2027-01-31\n";
    let baseline = Baseline::parse(text).expect("a baseline");
    assert_eq!(baseline.entries[0].until, Date::parse("2027-01-31"));
}

#[test]
fn an_empty_file_names_nothing() {
    assert_eq!(Baseline::parse(""), Ok(Baseline::default()));
}

#[test]
fn what_is_written_reads_back_and_makes_the_run_pass() {
    let mut hostile = finding("RS-06.at-once", Severity::High, Verdict::NotEnforced);
    hostile.sent = "x\n[[known]]\u{1b}".to_owned();
    let mut report = report(vec![
        hostile,
        finding("RS-06.same-jti", Severity::High, Verdict::Enforced),
        finding("RS-08.htu-path", Severity::High, Verdict::NotEnforced),
    ]);
    let text = Baseline::from_report(&report);
    let baseline = Baseline::parse(&text).expect("a baseline");
    assert_eq!(baseline.entries.len(), 2, "{text}");
    let run = UnixTime::from_secs(report.started_at);
    baseline.apply(&mut report, run);
    assert_eq!((report.summary.known, report.exit_code()), (2, 0));

    let renewed = Baseline::from_report(&report);
    assert_eq!(renewed, text, "reasons and days are kept");
}
