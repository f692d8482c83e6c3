//! One line on stderr that says how far a run is, on a terminal only.
//!
//! It is overwritten with a carriage return and spaces, without control
//! sequences, so that it needs nothing of the terminal but its width.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keybound_probe::{Exchange, Finding, Progress, Verdict};
use tokio::time::Instant;

use crate::context::Context;
use crate::output::{Output, ink, styled};

/// How often the line is drawn at most.
const REDRAW: Duration = Duration::from_millis(80);

/// The line.
#[derive(Debug)]
pub(super) struct Line {
    output: Output,
    /// Columns of the terminal; nothing where there is none.
    width: Option<usize>,
    expected: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: u32,
    cases: u32,
    open: u32,
    drawn: Option<Instant>,
    shown: usize,
}

impl Line {
    /// A line for a run of about `expected` requests.
    pub(super) fn new(expected: u32, context: &Context) -> Self {
        let draws = context.output.talks()
            && std::io::stderr().is_terminal()
            && context.environment.text("TERM") != Some("dumb");
        Self {
            output: context.output,
            width: draws.then(|| crate::output::width(&std::io::stderr()).unwrap_or(80)),
            expected,
            state: Mutex::default(),
        }
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.with(Self::wipe);
    }

    fn with(&self, act: impl FnOnce(&Self, &mut State)) {
        // A panic elsewhere leaves counts that are still counts.
        act(
            self,
            &mut self.state.lock().unwrap_or_else(PoisonError::into_inner),
        );
    }

    fn draw(&self, state: &mut State) {
        let Some(width) = self.width else { return };
        let now = Instant::now();
        if state.drawn.is_some_and(|drawn| now - drawn < REDRAW) {
            return;
        }
        state.drawn = Some(now);
        let text = text(state, self.expected, width.saturating_sub(1));
        let shown = text.chars().count();
        let blank = " ".repeat(state.shown.saturating_sub(shown));
        state.shown = shown;
        write(&format!("\r{text}{blank}"));
    }

    fn wipe(&self, state: &mut State) {
        if self.width.is_some() && state.shown > 0 {
            write(&format!("\r{}\r", " ".repeat(state.shown)));
            state.shown = 0;
            state.drawn = None;
        }
    }
}

impl Progress for Line {
    fn sending(&self, count: u32, _request: &Exchange) {
        self.with(|line, state| {
            state.requests = count;
            line.draw(state);
        });
    }

    fn concluded(&self, finding: &Finding) {
        self.with(|line, state| {
            state.cases += 1;
            if finding.verdict == Verdict::NotEnforced {
                state.open += 1;
                line.wipe(state);
                // Seen at once: a run that is broken off has still said what counts.
                line.output.note(format_args!(
                    "{} {}: {}",
                    styled(ink::BAD, "not enforced:"),
                    finding.id,
                    finding.title
                ));
            }
            line.draw(state);
        });
    }
}

/// The line, no longer than `width`.
fn text(state: &State, expected: u32, width: usize) -> String {
    const CELLS: u32 = 24;
    let expected = expected.max(state.requests).max(1);
    let filled = usize::try_from(state.requests * CELLS / expected).unwrap_or_default();
    let empty = usize::try_from(CELLS).unwrap_or_default() - filled;
    let line = format!(
        "[{}{}] {} of about {expected} requests, {} cases decided, {} not enforced",
        "#".repeat(filled),
        ".".repeat(empty),
        state.requests,
        state.cases,
        state.open
    );
    line.chars().take(width).collect()
}

/// When stderr takes nothing any more there is nobody left to tell.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    drop(
        stderr
            .write_all(text.as_bytes())
            .and_then(|()| stderr.flush()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_the_terminal_and_more_requests_than_expected() {
        let state = State {
            requests: 300,
            ..State::default()
        };
        assert_eq!(text(&state, 100, 20).chars().count(), 20);
        assert!(text(&state, 100, 200).contains("300 of about 300"));
        assert!(text(&State::default(), 0, 200).contains("0 of about 1 "));
    }
}
