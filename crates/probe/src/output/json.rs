//! The report as one JSON document.

use crate::report::{Report, SCHEMA};

/// The report as JSON, indented, with a line end. Its shape is [`crate::SCHEMA`].
#[must_use]
pub fn json(report: &Report) -> String {
    // A report is plain data with text for keys, which always has a JSON form; an empty text would
    // be no JSON, and a reader would say so.
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}

/// The JSON Schema of [`json`], as `docs/reference/probe.schema.json` has it.
#[must_use]
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(Report).to_value();
    if let Some(members) = schema.as_object_mut() {
        let title = format!("Report of keybound probe, {SCHEMA}");
        members.insert("title".to_owned(), title.into());
    }
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::every_verdict;

    #[test]
    fn what_is_written_reads_back() {
        let text = json(&every_verdict());
        let report: Report = serde_json::from_str(&text).expect("a report");
        assert_eq!(json(&report), text);
    }

    #[test]
    fn the_schema_names_every_member() {
        let schema: serde_json::Value = serde_json::from_str(&schema()).expect("JSON");
        let written: serde_json::Value =
            serde_json::from_str(&json(&every_verdict())).expect("JSON");
        for name in written.as_object().expect("an object").keys() {
            assert!(schema["properties"].get(name).is_some(), "{name}");
        }
    }
}
