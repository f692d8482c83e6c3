//! The report as one HTML file.
//!
//! The page loads nothing and runs nothing: its policy allows its own style,
//! by hash, and nothing else. Texts of a report come in part from the target;
//! [`Markup`] takes markup as `&'static str` alone and escapes the rest, so
//! that no text of a report can become a tag.
//!
//! Words carry every status; colour only repeats them. Bars and the timeline
//! are drawn, and said in words beside the drawing.

mod drawing;
mod findings;
mod markup;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::markup::Markup;
use crate::report::{Label, Report, TargetKind};

/// The style of the page, with nothing to fill in, so that its hash is known.
const STYLE: &str = include_str!("html/report.css");

/// The report as a page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = Markup::default();
    begin(&mut page, report);
    head(&mut page, report);
    page.raw("<main id=\"report\">\n");
    grade(&mut page, report);
    drawing::counts(&mut page, report);
    warnings(&mut page, report);
    measures(&mut page, report);
    labels(&mut page, report);
    findings::all(&mut page, report);
    page.raw("</main>\n");
    end(&mut page, report);
    page.finish()
}

fn begin(page: &mut Markup, report: &Report) {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()).as_ref());
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ");
    page.raw("base-uri 'none'; form-action 'none'; style-src 'sha256-");
    page.text(&hash);
    page.raw("'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"referrer\" content=\"no-referrer\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    page.text(&format!("Grade {}: {}", report.grade, report.target));
    page.raw("</title>\n<style>");
    page.raw(STYLE);
    page.raw("</style>\n</head>\n<body>\n");
    page.raw("<a class=\"skip\" href=\"#findings\">Skip to the findings</a>\n");
}

fn head(page: &mut Markup, report: &Report) {
    page.raw("<header>\n<h1>Sender-constraint by behaviour: ");
    page.text(super::kind_name(report.kind));
    page.raw("</h1>\n<p class=\"target\">");
    page.text(&report.target);
    page.raw("</p>\n<p class=\"soft\">");
    page.text(&super::run_line(report));
    page.raw("</p>\n</header>\n");
}

fn grade(page: &mut Markup, report: &Report) {
    page.raw("<div class=\"verdict\">\n<div class=\"grade ");
    page.raw(match report.grade {
        'A' | 'B' => "good",
        'D' | 'F' => "bad",
        _ => "care",
    });
    page.raw("\" role=\"img\" aria-label=\"Grade ");
    page.text(&report.grade.to_string());
    page.raw("\">");
    page.text(&report.grade.to_string());
    page.raw("</div>\n<div>\n<p class=\"means\">");
    page.words(&capital(super::grade_meaning(report.grade)));
    page.raw(".</p>\n<p class=\"soft\">");
    page.words(super::GRADES);
    page.raw("</p>\n</div>\n</div>\n");
}

fn warnings(page: &mut Markup, report: &Report) {
    for warning in &report.warnings {
        page.raw("<p class=\"notice\"><strong>Warning:</strong> ");
        page.words(warning);
        page.raw("</p>\n");
    }
}

fn measures(page: &mut Markup, report: &Report) {
    if report.measures.is_empty() {
        return;
    }
    page.raw("<h2>Measured</h2>\n");
    drawing::window(page, report);
    page.raw(
        "<div class=\"scroll\"><table class=\"stack\">\n<thead><tr><th scope=\"col\">Measure</th>",
    );
    page.raw("<th scope=\"col\">Value</th><th scope=\"col\">In words</th></tr></thead>\n<tbody>\n");
    for measure in &report.measures {
        page.raw("<tr><td>");
        page.code(&measure.name);
        page.raw("</td><td class=\"number\">");
        page.text(&super::value(measure));
        page.raw("</td><td>");
        page.words(&measure.text);
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table></div>\n");
}

fn labels(page: &mut Markup, report: &Report) {
    if report.labels.is_empty() {
        return;
    }
    page.raw(
        "<h2>Label and behaviour</h2>\n<div class=\"scroll\"><table class=\"stack\">\n<thead><tr>",
    );
    page.raw("<th scope=\"col\">Claimed</th><th scope=\"col\">Seen</th>");
    page.raw("<th scope=\"col\" class=\"fixed\">Verdict</th></tr></thead>\n<tbody>\n");
    for label in &report.labels {
        claim(page, label);
    }
    page.raw("</tbody></table></div>\n");
}

fn claim(page: &mut Markup, label: &Label) {
    page.raw("<tr><td>");
    page.words(&label.claim);
    page.raw("<br><span class=\"soft\">");
    page.text(&label.source);
    page.raw("</span></td><td>");
    page.words(&label.seen);
    page.raw("</td><td class=\"fixed\"><strong class=\"");
    page.raw(match label.agrees {
        Some(true) => "good",
        Some(false) => "bad",
        None => "calm",
    });
    page.raw("\">");
    page.raw(super::agreement(label));
    page.raw("</strong></td></tr>\n");
}

fn end(page: &mut Markup, report: &Report) {
    page.raw("<footer>\n<p>");
    page.raw(match report.kind {
        TargetKind::HttpArchive => "Nothing was sent: this is what the recorded traffic shows.",
        TargetKind::ResourceServer | TargetKind::AuthorizationServer | TargetKind::McpServer => {
            "Where a refusal counts as enforced, a good request was served before and after it."
        }
    });
    page.raw(
        " Tokens appear as the beginning of their hash, proofs as header and claims.</p>\n<p>",
    );
    page.text(&format!("{} · {}", super::run_line(report), report.schema));
    page.raw("</p>\n</footer>\n</body>\n</html>\n");
}

/// The text with a capital letter first.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first
        .map(|first| first.chain(letters.as_str().chars()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
