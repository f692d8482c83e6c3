//! Telling the story: each step as it happens, and all of them as data.

use std::io::{self, Write};

use keybound_proto::Cause;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use super::wire::Seen;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Report, ink, styled};

/// The answer of `keybound demo`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DemoReport {
    /// Whether every step came out as expected.
    ok: bool,
    /// The steps, in the order they happened.
    steps: Vec<Step>,
    /// How long the story took.
    seconds: f64,
}

/// One step of the story.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Step {
    /// Stable name.
    name: &'static str,
    /// What was tried, in words.
    tried: String,
    /// What had to come.
    expected: String,
    /// What came.
    got: String,
    /// The id of the check that refused; null where nothing did.
    cause: Option<String>,
    /// Whether what came is what had to come.
    ok: bool,
}

/// What a step has to bring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) status: u16,
    pub(super) cause: Option<Cause>,
}

/// Prints and remembers.
#[derive(Debug)]
pub(super) struct Teller {
    output: Output,
    steps: Vec<Step>,
    started: Instant,
}

impl Expected {
    /// A request that succeeds.
    pub(super) const OK: Self = Self {
        status: 200,
        cause: None,
    };

    /// A request that a check refuses.
    pub(super) const fn refused(cause: Cause) -> Self {
        Self {
            status: 401,
            cause: Some(cause),
        }
    }

    fn text(self) -> String {
        answer(self.status, self.cause.map(Cause::id))
    }
}

impl Teller {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            steps: Vec::new(),
            started: Instant::now(),
        }
    }

    pub(super) fn opening(&self) -> Result<(), Failure> {
        self.say(&styled(ink::BOLD, "The story of a stolen token"))?;
        let text = "Everything below happens now, over HTTP on this machine: an issuer, a gateway in front of an API,\n\
                    a control plane, an agent, a thief and an operator.";
        self.say(&styled(ink::DIM, text))
    }

    /// Begins a part of the story.
    pub(super) fn chapter(&self, title: &str) -> Result<(), Failure> {
        self.say(&format!("\n{}", styled(ink::BOLD, title)))
    }

    /// Tells a step that was one request.
    pub(super) fn request(
        &mut self,
        name: &'static str,
        tried: impl Into<String>,
        expected: Expected,
        seen: &Seen,
    ) -> Result<(), Failure> {
        let ok = seen.status == expected.status
            && seen.cause.as_deref() == expected.cause.map(Cause::id);
        let step = Step {
            name,
            tried: tried.into(),
            expected: expected.text(),
            got: answer(seen.status, seen.cause.as_deref()),
            cause: seen.cause.clone(),
            ok,
        };
        self.tell(step)
    }

    /// Tells a step that was more than one request.
    pub(super) fn step(
        &mut self,
        name: &'static str,
        tried: impl Into<String>,
        (expected, got): (String, String),
        cause: Option<String>,
        ok: bool,
    ) -> Result<(), Failure> {
        self.tell(Step {
            name,
            tried: tried.into(),
            expected,
            got,
            cause,
            ok,
        })
    }

    /// The causes that the steps so far came to, with the steps' names.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.steps
            .iter()
            .filter_map(|step| Some((step.name, step.cause.as_deref()?)))
    }

    /// Ends the story. The exit code says whether it went as it must.
    pub(super) fn ending(mut self, clean_stop: bool) -> Outcome {
        if !clean_stop {
            let (expected, got) = (
                "every connection closed".to_owned(),
                "connections had to be cut".to_owned(),
            );
            self.step(
                "clean-stop",
                "stop everything",
                (expected, got),
                None,
                false,
            )?;
        }
        let report = DemoReport {
            ok: self.steps.iter().all(|step| step.ok),
            seconds: (self.started.elapsed().as_secs_f64() * 1_000.0).round() / 1_000.0,
            steps: self.steps,
        };
        self.output.report(&report)?;
        Ok(if report.ok {
            Exit::Success
        } else {
            Exit::Findings
        })
    }

    fn tell(&mut self, step: Step) -> Result<(), Failure> {
        let mark = if step.ok {
            styled(ink::GOOD, "✓")
        } else {
            styled(ink::BAD, "✗")
        };
        self.say(&format!("  {mark} {}", step.tried))?;
        let reason = step
            .cause
            .as_deref()
            .and_then(Cause::from_id)
            .map(Cause::summary);
        let reason = reason
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        let line = if step.expected == step.got {
            format!("{}, as expected{}", step.got, styled(ink::DIM, reason))
        } else if step.ok {
            format!(
                "{} {}",
                step.got,
                styled(ink::DIM, format_args!("(expected: {})", step.expected))
            )
        } else {
            format!(
                "{} {}, {} {}{reason}",
                styled(ink::BOLD, "expected"),
                step.expected,
                styled(ink::BAD, "got"),
                step.got
            )
        };
        self.say(&format!("      {line}"))?;
        self.steps.push(step);
        Ok(())
    }

    /// The story is the data of text mode; JSON mode prints it once, at the end.
    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.output.is_json() {
            Ok(())
        } else {
            self.output.text(text)
        }
    }
}

fn answer(status: u16, cause: Option<&str>) -> String {
    match cause {
        Some(cause) => format!("{status} {cause}"),
        None => status.to_string(),
    }
}

impl Report for DemoReport {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let right = self.steps.iter().filter(|step| step.ok).count();
        let style = if self.ok { ink::GOOD } else { ink::BAD };
        let count = format!("{right} of {} steps as expected", self.steps.len());
        writeln!(out, "\n{} in {:.1} s", styled(style, count), self.seconds)?;
        if self.ok {
            let next = styled(ink::COPY, "keybound dev");
            writeln!(out, "Try it by hand: {next}")?;
        }
        Ok(())
    }
}
