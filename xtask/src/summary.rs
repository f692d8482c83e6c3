//! The table at the end of a long run: what ran, how it ended, how long it took.

use std::fmt;
use std::time::Duration;

use crate::failure::Failure;

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    Passed,
    Failed(String),
    /// The step was not run; the text says why.
    NotRun(String),
}

/// The steps of one run, in order.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    steps: Vec<(String, Ending, Duration)>,
}

impl Summary {
    /// Runs a step now, prints a failure at once and keeps going.
    pub(crate) fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Option<T> {
        println!("\n==== {name} ====");
        let (outcome, took) = timed(work);
        match outcome {
            Ok(value) => {
                self.record(name, Ending::Passed, took);
                Some(value)
            }
            Err(failure) => {
                eprintln!("error: {failure}");
                let first_line = failure.to_string();
                let first_line = first_line.lines().next().unwrap_or_default().to_owned();
                self.record(name, Ending::Failed(first_line), took);
                None
            }
        }
    }

    pub(crate) fn not_run(&mut self, name: &str, why: &str) {
        self.record(name, Ending::NotRun(why.to_owned()), Duration::ZERO);
    }

    fn record(&mut self, name: &str, ending: Ending, took: Duration) {
        self.steps.push((name.to_owned(), ending, took));
    }

    /// Prints the table; an error when any step failed.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        println!("\n==== summary ====\n{self}");
        let failed: Vec<String> = self
            .steps
            .iter()
            .filter(|(_, ending, _)| matches!(ending, Ending::Failed(_)))
            .map(|(name, _, _)| name.clone())
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        Err(Failure::Steps(failed))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.steps.iter().map(|(name, _, _)| name.len()).max();
        let width = width.unwrap_or(0);
        let mut total = Duration::ZERO;
        for (name, ending, took) in &self.steps {
            total = total.saturating_add(*took);
            let (word, why) = match ending {
                Ending::Passed => ("ok", ""),
                Ending::Failed(why) => ("FAILED", why.as_str()),
                Ending::NotRun(why) => ("not run", why.as_str()),
            };
            let line = format!(
                "{name:width$}  {word:7}  {:>7.1} s  {why}",
                took.as_secs_f64()
            );
            writeln!(formatter, "{}", line.trim_end())?;
        }
        write!(
            formatter,
            "{:width$}  {:7}  {:>7.1} s",
            "total",
            "",
            total.as_secs_f64()
        )
    }
}

/// What `work` gave and how long it took.
#[expect(
    clippy::disallowed_methods,
    reason = "a build tool measures how long its steps take; nothing is decided by it"
)]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = std::time::Instant::now();
    let value = work();
    (value, started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_run_and_later_steps_still_run() {
        let mut summary = Summary::default();
        let first: Option<()> = summary.step("first", || {
            Err(Failure::Findings(vec!["a finding".to_owned()]))
        });
        let second = summary.step("second", || Ok(7));
        assert!(first.is_none());
        assert_eq!(second, Some(7));
        let failure = summary.finish().expect_err("the first step failed");
        assert_eq!(failure.to_string(), "failed: first");
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn a_step_that_was_not_run_is_shown_with_its_reason() {
        let mut summary = Summary::default();
        summary.not_run("interop", "left out on request");
        let table = summary.to_string();
        assert!(table.contains("not run"), "{table}");
        assert!(table.contains("left out on request"), "{table}");
        assert!(summary.finish().is_ok());
    }
}
