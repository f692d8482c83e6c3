//! The two drawings: how many cases ended how, and how old and how new a proof may be.

use super::Markup;
use crate::report::{Finding, Measure, Report};
use crate::verdict::Verdict;

/// The width of a drawing in its own units.
const WIDTH: f64 = 1000.0;
/// Seconds up to which a window is called short: five minutes, and some for the clocks.
const SHORT: f64 = 310.0;

/// A bar with a part for every way a case can end, and the same in words and numbers.
pub(super) fn counts(page: &mut Markup, report: &Report) {
    let summary = &report.summary;
    let parts = [
        ("good", "enforced", summary.enforced),
        ("bad", "not enforced", summary.not_enforced),
        ("care", "known", summary.known),
        ("care", "inconclusive", summary.inconclusive),
        ("calm", "not applicable", summary.not_applicable),
    ];
    let total: u32 = parts.iter().map(|(_, _, number)| number).sum();
    if total > 0 {
        page.raw("<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
        let mut from = 0.0;
        for (class, _, number) in parts.iter().filter(|(_, _, number)| *number > 0) {
            let width = WIDTH * f64::from(*number) / f64::from(total);
            // A gap tells neighbours of one colour apart.
            rectangle(page, class, [from, 0.0, (width - 3.0).max(2.0), 10.0]);
            from += width;
        }
        page.raw("</svg>\n");
    }
    page.raw("<ul class=\"legend\">\n");
    for (class, word, number) in parts {
        page.raw("<li><span class=\"swatch ");
        page.raw(class);
        page.raw("\"></span><b>");
        page.text(&number.to_string());
        page.raw("</b> ");
        page.raw(word);
        page.raw("</li>\n");
    }
    page.raw("</ul>\n");
}

/// How far to one side proofs are accepted.
#[derive(Clone, Copy)]
enum Reach {
    Seconds(f64),
    Unlimited,
    Unclear,
}

/// The time line of accepted proofs, where it was measured.
pub(super) fn window(page: &mut Markup, report: &Report) {
    let reach = |name: &str, case: &str| {
        let measure = report.measures.iter().find(|one| one.name == name);
        measure.map(|measure| reach(measure, finding(report, case)))
    };
    let past = reach("replay_window_past", ".iat-past");
    let future = reach("replay_window_future", ".iat-future");
    if past.is_none() && future.is_none() {
        return;
    }
    let (past, future) = (
        past.unwrap_or(Reach::Unclear),
        future.unwrap_or(Reach::Unclear),
    );
    page.raw("<p>A proof is accepted ");
    page.text(&sentence(past, "after it was made"));
    page.raw(", and ");
    page.text(&sentence(future, "before"));
    page.raw(".</p>\n");
    draw(page, past, future);
    page.raw("<div class=\"ends\"><span>");
    page.text(&end(past, "old"));
    page.raw("</span><span>now</span><span>");
    page.text(&end(future, "early"));
    page.raw("</span></div>\n");
}

fn draw(page: &mut Markup, past: Reach, future: Reach) {
    // Both sides have the same scale, so that their lengths compare; what has no end goes to the edge.
    let seconds = |reach: Reach| match reach {
        Reach::Seconds(seconds) => seconds,
        Reach::Unlimited | Reach::Unclear => 0.0,
    };
    let longest = seconds(past).max(seconds(future)).max(30.0) * 1.1;
    let half = WIDTH / 2.0;
    let length = |reach: Reach| match reach {
        Reach::Seconds(seconds) => half * seconds / longest,
        Reach::Unlimited => half,
        Reach::Unclear => 0.0,
    };
    page.raw("<svg class=\"window\" viewBox=\"0 0 1000 30\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    rectangle(page, "line", [0.0, 14.0, WIDTH, 2.0]);
    rectangle(
        page,
        ink(past),
        [half - length(past), 6.0, length(past), 18.0],
    );
    rectangle(page, ink(future), [half, 6.0, length(future), 18.0]);
    rectangle(page, "text", [half - 1.5, 0.0, 3.0, 30.0]);
    page.raw("</svg>\n");
}

fn reach(measure: &Measure, finding: Option<&Finding>) -> Reach {
    match measure.value {
        Some(seconds) if seconds.is_finite() && seconds >= 0.0 => Reach::Seconds(seconds),
        // Without a number, a case that was decided says that no end was found.
        _ if finding.is_some_and(|one| one.verdict != Verdict::Inconclusive) => Reach::Unlimited,
        _ => Reach::Unclear,
    }
}

fn finding<'a>(report: &'a Report, case: &str) -> Option<&'a Finding> {
    report.findings.iter().find(|one| one.id.ends_with(case))
}

fn sentence(reach: Reach, when: &str) -> String {
    match reach {
        Reach::Seconds(seconds) => format!("until {seconds:.0} seconds {when}"),
        Reach::Unlimited => format!("an hour {when} and more"),
        Reach::Unclear => format!("for a time {when} that could not be measured"),
    }
}

fn end(reach: Reach, word: &str) -> String {
    match reach {
        Reach::Seconds(seconds) => format!("{seconds:.0} s {word}"),
        Reach::Unlimited => format!("an hour {word} and more"),
        Reach::Unclear => "not measured".to_owned(),
    }
}

fn ink(reach: Reach) -> &'static str {
    match reach {
        Reach::Seconds(seconds) if seconds <= SHORT => "good",
        Reach::Seconds(_) => "care",
        Reach::Unlimited => "bad",
        Reach::Unclear => "calm",
    }
}

/// A rectangle: x, y, width, height.
fn rectangle(page: &mut Markup, class: &'static str, place: [f64; 4]) {
    let [x, y, width, height] = place;
    page.raw("<rect class=\"");
    page.raw(class);
    for (name, number) in [
        ("\" x=\"", x),
        ("\" y=\"", y),
        ("\" width=\"", width),
        ("\" height=\"", height),
    ] {
        page.raw(name);
        page.number(number);
    }
    page.raw("\"/>");
}
