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
            rectangle(page, class, [from, (width - 3.0).max(2.0)]);
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
}

/// The ends of the axis, in seconds from now.
const SCALES: [f64; 7] = [30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// Places are in percent of the width, so that the words keep their size on every screen.
fn draw(page: &mut Markup, past: Reach, future: Reach) {
    let seconds = |reach: Reach| match reach {
        Reach::Seconds(seconds) => seconds,
        Reach::Unlimited | Reach::Unclear => 0.0,
    };
    let longest = seconds(past).max(seconds(future));
    let scale = SCALES.iter().find(|scale| **scale > longest);
    let scale = scale.copied().unwrap_or(longest * 1.2);
    let length = |reach: Reach| match reach {
        Reach::Seconds(seconds) => 50.0 * seconds / scale,
        Reach::Unlimited => 50.0,
        Reach::Unclear => 0.0,
    };
    page.raw("<svg class=\"window\" aria-hidden=\"true\">");
    part(page, "line", [0.0, 100.0], ["30", "2"]);
    part(
        page,
        ink(past),
        [50.0 - length(past), length(past)],
        ["22", "18"],
    );
    part(page, ink(future), [50.0, length(future)], ["22", "18"]);
    part(page, "text", [49.8, 0.4], ["18", "26"]);
    word(page, [48.5, 14.0], "end", &end(past, "old"));
    word(page, [51.5, 14.0], "start", &end(future, "early"));
    word(page, [0.0, 58.0], "start", &format!("−{scale:.0} s"));
    word(page, [50.0, 58.0], "middle", "now");
    word(page, [100.0, 58.0], "end", &format!("+{scale:.0} s"));
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
        Reach::Unlimited => format!("over 1 h {word}"),
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

/// A rectangle of the bar: from where and how long, of a thousand.
fn rectangle(page: &mut Markup, class: &'static str, [x, width]: [f64; 2]) {
    page.raw("<rect class=\"");
    page.raw(class);
    page.raw("\" x=\"");
    page.number(x);
    page.raw("\" y=\"0\" width=\"");
    page.number(width);
    page.raw("\" height=\"10\"/>");
}

/// A rectangle of the time line: from where and how long in percent, top and height in pixels.
fn part(
    page: &mut Markup,
    class: &'static str,
    [x, width]: [f64; 2],
    [y, height]: [&'static str; 2],
) {
    page.raw("<rect class=\"");
    page.raw(class);
    page.raw("\" x=\"");
    page.number(x);
    page.raw("%\" y=\"");
    page.raw(y);
    page.raw("\" width=\"");
    page.number(width);
    page.raw("%\" height=\"");
    page.raw(height);
    page.raw("\"/>");
}

/// A word of the time line: in percent from the left and pixels from the top.
fn word(page: &mut Markup, [x, y]: [f64; 2], anchor: &'static str, text: &str) {
    page.raw("<text class=\"text\" x=\"");
    page.number(x);
    page.raw("%\" y=\"");
    page.number(y);
    page.raw("\" text-anchor=\"");
    page.raw(anchor);
    page.raw("\">");
    page.text(text);
    page.raw("</text>");
}
