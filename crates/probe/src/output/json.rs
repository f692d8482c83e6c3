//! The report as one JSON document.

use crate::report::Report;

/// The report as JSON, indented, with a line end. Its shape is [`crate::SCHEMA`].
#[must_use]
pub fn json(report: &Report) -> String {
    // A report is plain data with text for keys, which always has a JSON form; an empty text would
    // be no JSON, and a reader would say so.
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}
