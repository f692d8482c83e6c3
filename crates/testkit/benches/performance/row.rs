//! One figure, its baseline and its target.

use serde_json::json;

/// What is said in the target's place where there is none.
pub(crate) const REPORTED: (&str, bool) = ("", true);

/// Begins a section of the page.
pub(crate) fn begin(section: &str) {
    eprintln!("\n{section}");
    println!("{}", json!({ "section": section }));
}

/// Prints a row: `value` and `baseline` in `unit`, the ratio of the two, and the target as text.
/// `met` is the verdict.
pub(crate) fn print(
    what: &str,
    unit: &str,
    value: f64,
    baseline: (&str, f64),
    target: (&str, bool),
) {
    let ratio = if baseline.1 > 0.0 {
        value / baseline.1
    } else {
        0.0
    };
    eprintln!(
        "{what}: {value:.2} {unit}; {}: {:.2} {unit}; ratio {ratio:.3}; target {:?}",
        baseline.0, baseline.1, target.0
    );
    let row = json!({
        "what": what, "unit": unit, "value": value, "baseline": baseline.0,
        "baseline_value": baseline.1, "ratio": ratio, "target": target.0, "met": target.1,
    });
    println!("{row}");
}

/// Prints a row that has a limit instead of a baseline.
pub(crate) fn print_absolute(what: &str, unit: &str, value: f64, target: (&str, bool)) {
    eprintln!("{what}: {value:.2} {unit}; target {}", target.0);
    println!(
        "{}",
        json!({"what": what, "unit": unit, "value": value, "target": target.0, "met": target.1})
    );
}

/// Prints a row whose other side is not installed.
pub(crate) fn print_missing(what: &str, target: &str, install: &str) {
    eprintln!("{what}: not installed: {install}");
    println!(
        "{}",
        json!({"what": what, "target": target, "missing": install})
    );
}

/// The middle one of some samples.
pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}
