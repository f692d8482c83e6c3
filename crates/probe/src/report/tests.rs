//! Grades and exit codes, and the report that other tests begin with.

use super::*;

/// A finding with a text in every field.
pub(crate) fn finding(id: &str, severity: Severity, verdict: Verdict) -> Finding {
    let check = id.split('.').next().unwrap_or(id);
    Finding {
        id: id.to_owned(),
        check: check.to_owned(),
        title: "the same proof twice".to_owned(),
        severity,
        verdict,
        reason: "the request was served like a good one".to_owned(),
        sent: "a served request again, byte by byte".to_owned(),
        got: "200".to_owned(),
        why: "whoever sees one request can repeat it".to_owned(),
        fix: "remember the `jti` of every proof".to_owned(),
        section: "RFC 9449 section 11.1".to_owned(),
        attack: "a captured request is sent again".to_owned(),
        cause: None,
        known: false,
        known_reason: None,
        known_until: None,
        evidence: vec![Exchange {
            request: "GET https://api.example/orders".to_owned(),
            headers: vec![("authorization".to_owned(), "DPoP (token)".to_owned())],
            status: Some(200),
            answer: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: "{}".to_owned(),
            milliseconds: 12,
        }],
    }
}

/// A concluded report of these findings.
pub(crate) fn report(findings: Vec<Finding>) -> Report {
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        version: "0.1.0".to_owned(),
        kind: TargetKind::ResourceServer,
        target: "https://api.example/orders".to_owned(),
        started_at: 1_790_035_200,
        seconds: 2.5,
        requests: 31,
        grade: '?',
        summary: Summary::default(),
        measures: vec![
            Measure {
                name: "replay_window_past".to_owned(),
                value: Some(60.0),
                unit: "s".to_owned(),
                text: "proofs are accepted up to 60 s old".to_owned(),
            },
            Measure {
                name: "replay_window_future".to_owned(),
                value: Some(10.0),
                unit: "s".to_owned(),
                text: "proofs are accepted up to 10 s early".to_owned(),
            },
        ],
        labels: vec![Label {
            source: "https://api.example/.well-known/oauth-protected-resource".to_owned(),
            claim: "dpop_bound_access_tokens_required: true".to_owned(),
            seen: "a bound token passes as Bearer".to_owned(),
            agrees: Some(false),
        }],
        baseline: false,
        warnings: vec!["the target's clock is 7 s ahead".to_owned()],
        findings,
    };
    report.conclude();
    report
}

/// Every verdict once, and one known finding.
pub(crate) fn every_verdict() -> Report {
    let mut known = finding("RS-06.after-2s", Severity::High, Verdict::NotEnforced);
    known.known = true;
    known.known_reason = Some("the shared store comes in January".to_owned());
    known.known_until = Some("2027-01-31".to_owned());
    let mut limited = finding("RS-07.parallel", Severity::High, Verdict::Inconclusive);
    limited.title = "one proof at once from many".to_owned();
    limited.reason = "the server limits the rate (429)".to_owned();
    limited.got = "429".to_owned();
    let mut alone = finding("RS-07.addresses", Severity::High, Verdict::NotApplicable);
    alone.title.clone_from(&limited.title);
    alone.reason = "the host's name has one address".to_owned();
    alone.evidence.clear();
    let mut report = report(vec![
        finding("RS-06.at-once", Severity::High, Verdict::NotEnforced),
        known,
        finding("RS-06.same-jti", Severity::High, Verdict::Enforced),
        limited,
        alone,
    ]);
    report.baseline = true;
    report
}

fn graded(findings: &[(Severity, Verdict)]) -> char {
    let findings = findings
        .iter()
        .map(|(severity, verdict)| finding("RS-06.at-once", *severity, *verdict));
    report(findings.collect()).grade
}

#[test]
fn the_worst_case_that_is_not_enforced_decides() {
    use Severity::{Critical, High, Low, Medium, Note};
    let good = (Critical, Verdict::Enforced);
    let table = [
        (Critical, 'F'),
        (High, 'D'),
        (Medium, 'C'),
        (Low, 'B'),
        (Note, 'A'),
    ];
    for (severity, grade) in table {
        let bad = (severity, Verdict::NotEnforced);
        assert_eq!(graded(&[good, bad]), grade, "{severity}");
        assert_eq!(
            graded(&[good, bad, (Note, Verdict::NotEnforced)]),
            grade,
            "{severity}"
        );
    }
    assert_eq!(graded(&[good]), 'A');
}

#[test]
fn what_is_undecided_never_improves_a_grade() {
    use Severity::{Critical, High, Low, Medium, Note};
    let good = (Critical, Verdict::Enforced);
    for (severity, grade) in [
        (Critical, '?'),
        (High, '?'),
        (Medium, 'B'),
        (Low, 'B'),
        (Note, 'A'),
    ] {
        let open = (severity, Verdict::Inconclusive);
        assert_eq!(graded(&[good, open]), grade, "{severity}");
        let thief = (Critical, Verdict::NotEnforced);
        assert_eq!(graded(&[good, open, thief]), 'F', "{severity}");
    }
}

#[test]
fn a_run_that_asked_nothing_critical_has_no_good_grade() {
    use Severity::{Critical, High, Medium};
    assert_eq!(graded(&[]), '?');
    assert_eq!(graded(&[(High, Verdict::Enforced)]), '?');
    assert_eq!(graded(&[(Critical, Verdict::NotApplicable)]), '?');
    assert_eq!(graded(&[(Medium, Verdict::NotEnforced)]), '?');
    assert_eq!(graded(&[(High, Verdict::NotEnforced)]), 'D');
}

#[test]
fn a_known_finding_counts_for_the_grade_and_not_for_the_exit_code() {
    let mut known = finding("RS-06.at-once", Severity::High, Verdict::NotEnforced);
    known.known = true;
    let report = report(vec![known]);
    assert_eq!((report.grade, report.exit_code()), ('D', 0));
    assert_eq!(report.open_findings().count(), 0);
}

#[test]
fn open_findings_come_before_what_is_undecided() {
    let of = |verdicts: &[Verdict]| {
        let findings = verdicts
            .iter()
            .map(|verdict| finding("RS-06.at-once", Severity::Low, *verdict));
        report(findings.collect()).exit_code()
    };
    use Verdict::{Enforced, Inconclusive, NotApplicable, NotEnforced};
    assert_eq!(of(&[Enforced, NotApplicable]), 0);
    assert_eq!(of(&[Enforced, Inconclusive]), 6);
    assert_eq!(of(&[Enforced, Inconclusive, NotEnforced]), 1);
    assert_eq!(of(&[NotApplicable]), 6, "nothing was decided");
    assert_eq!(of(&[]), 6, "nothing was asked");
}

/// Every verdict, with this text in every field that is text.
pub(crate) fn with_text(text: &str) -> Report {
    let mut report = every_verdict();
    let text = || text.to_owned();
    report.schema = text();
    report.version = text();
    report.target = text();
    for measure in &mut report.measures {
        measure.text = text();
        measure.unit = text();
    }
    for label in &mut report.labels {
        (label.source, label.claim, label.seen) = (text(), text(), text());
    }
    report.warnings.push(text());
    for finding in &mut report.findings {
        for field in [
            &mut finding.id,
            &mut finding.check,
            &mut finding.title,
            &mut finding.reason,
            &mut finding.sent,
            &mut finding.got,
            &mut finding.why,
            &mut finding.fix,
            &mut finding.section,
            &mut finding.attack,
        ] {
            *field = text();
        }
        finding.cause = Some(text());
        finding.known_reason = Some(text());
        finding.known_until = Some(text());
        for exchange in &mut finding.evidence {
            exchange.request = text();
            exchange.headers = vec![(text(), text())];
            exchange.answer = vec![(text(), text())];
            exchange.body = text();
        }
    }
    report
}
