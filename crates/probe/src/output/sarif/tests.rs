use proptest::prelude::*;

use super::*;
use crate::report::tests::{every_verdict, finding, report, with_text};

fn log(report: &Report) -> Value {
    serde_json::from_str(&sarif(report)).expect("JSON")
}

/// What the standard asks of a log and this module could get wrong.
fn faults(log: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    let run = &log["runs"][0];
    must(log["version"] == "2.1.0", "3.13.2 version");
    let rules = run["tool"]["driver"]["rules"].as_array().cloned();
    let rules = rules.unwrap_or_default();
    for (place, rule) in rules.iter().enumerate() {
        let others = rules.iter().skip(place + 1);
        must(
            others.into_iter().all(|other| other["id"] != rule["id"]),
            "3.49.3 id twice",
        );
        let score = rule["properties"]["security-severity"].as_str();
        let score = score.and_then(|score| score.parse::<f64>().ok());
        must(
            score.is_some_and(|score| (0.0..=10.0).contains(&score)),
            "score",
        );
    }
    let results = run["results"].as_array().cloned().unwrap_or_default();
    let with_state = results
        .iter()
        .filter(|one| one.get("baselineState").is_some());
    let with_state = with_state.count();
    must(
        with_state == 0 || with_state == results.len(),
        "3.27.24 all or none",
    );
    for result in &results {
        let index = result["ruleIndex"]
            .as_u64()
            .and_then(|index| usize::try_from(index).ok());
        let rule = index.and_then(|index| rules.get(index));
        must(
            rule.is_some_and(|rule| rule["id"] == result["ruleId"]),
            "3.27.6 rule index",
        );
        let level = result["level"].as_str().unwrap_or_default();
        must(
            ["error", "warning", "note"].contains(&level),
            "3.27.10 level",
        );
        let text = result["message"]["text"].as_str().unwrap_or_default();
        must(!text.is_empty(), "3.11.8 text");
        let place = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        let place = place.as_str().unwrap_or(" ");
        must(
            place.bytes().all(|byte| byte.is_ascii_graphic()),
            "3.4.3 URI",
        );
    }
    faults
}

#[test]
fn every_open_case_is_a_result_and_nothing_else_is() {
    let log = log(&every_verdict());
    assert_eq!(faults(&log), Vec::<String>::new());
    let results = log["runs"][0]["results"].as_array().expect("results");
    let states: Vec<(&str, &str)> = results
        .iter()
        .map(|result| {
            let id = result["partialFingerprints"]["keyboundCase/v1"].as_str();
            (
                id.expect("an id"),
                result["baselineState"].as_str().expect("a state"),
            )
        })
        .collect();
    assert_eq!(
        states,
        [("RS-06.at-once", "new"), ("RS-06.after-2s", "unchanged")]
    );
    let notes = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"];
    assert_eq!(
        notes[1]["message"]["text"],
        "RS-07.parallel is inconclusive: the server limits the rate (429)."
    );
}

#[test]
fn without_a_baseline_nothing_has_a_state() {
    let open = finding("RS-06.at-once", Severity::Medium, Verdict::NotEnforced);
    let log = log(&report(vec![open]));
    assert_eq!(faults(&log), Vec::<String>::new());
    insta::assert_json_snapshot!(log["runs"][0]["results"]);
    insta::assert_json_snapshot!(log["runs"][0]["tool"]);
}

#[test]
fn the_section_leads_to_its_document() {
    let rfc = |section| help_uri(section).unwrap_or_default();
    let base = "https://www.rfc-editor.org/rfc";
    assert_eq!(
        rfc("RFC 9449 sections 4.3 (12) and 6.1"),
        format!("{base}/rfc9449#section-4.3")
    );
    assert_eq!(
        rfc("RFC 9449; RFC 6750 section 2"),
        format!("{base}/rfc9449")
    );
    assert_eq!(rfc("FAPI 2.0 section 5.3.2.1"), "");
    assert_eq!(rfc("RFC x\" onclick"), "");
}

#[test]
fn a_path_with_spaces_is_a_reference() {
    assert_eq!(uri("tmp/a b\"é.har"), "tmp/a%20b%22%C3%A9.har");
    assert_eq!(uri("https://a.example/x?y=1"), "https://a.example/x?y=1");
}

proptest! {
    #[test]
    fn any_text_gives_a_log_that_holds(text in any::<String>()) {
        prop_assert_eq!(faults(&log(&with_text(&text))), Vec::<String>::new());
    }
}
