//! What a command prints: data on stdout, talk on stderr. `--json` makes the
//! data one JSON document (or one per line where it streams) and the failure
//! an object; `--quiet` silences the talk, never the data or an error.
//!
//! Colour appears on a terminal only and never when `NO_COLOR` is set; the
//! streams of anstream strip it otherwise.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::Failure;

/// Where and how this command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

/// Something a command answers with.
pub(crate) trait Report: Serialize {
    /// Prints the answer for a person.
    fn human(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// The few styles in use; text must read the same without them.
pub(crate) mod ink {
    use super::{AnsiColor, Style};

    /// Headings and names.
    pub(crate) const BOLD: Style = Style::new().bold();
    /// What went as it should.
    pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
    /// What did not.
    pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
    /// What wants attention.
    pub(crate) const CARE: Style = AnsiColor::Yellow.on_default();
    /// What to look at second.
    pub(crate) const DIM: Style = Style::new().dimmed();
    /// Something to copy: a command, an address, an id.
    pub(crate) const COPY: Style = AnsiColor::Cyan.on_default();
}

/// Text in a style, reset at its end.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

impl Output {
    /// Output of one invocation.
    pub(crate) const fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether data is printed as JSON.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Whether anything is said on stderr beside errors.
    pub(crate) const fn talks(self) -> bool {
        !self.quiet
    }

    /// Prints the answer of a command on stdout.
    pub(crate) fn report(self, report: &impl Report) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        let written = if self.json {
            write_json(&mut out, report, true)
        } else {
            report.human(&mut out)
        };
        finish(written.and_then(|()| out.flush()))
    }

    /// Prints one element of a stream on stdout: a JSON line or a text line.
    pub(crate) fn stream(self, report: &impl Report) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        let written = if self.json {
            write_json(&mut out, report, false)
        } else {
            report.human(&mut out)
        };
        finish(written.and_then(|()| out.flush()))
    }

    /// Prints text that is data in every mode, such as a token or a script.
    pub(crate) fn text(self, text: impl Display) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        finish(writeln!(out, "{text}").and_then(|()| out.flush()))
    }

    /// Prints bytes as they are, such as a response body.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        finish(out.write_all(bytes).and_then(|()| out.flush()))
    }

    /// Says something on stderr that is not data.
    pub(crate) fn note(self, text: impl Display) {
        if !self.quiet {
            say(text);
        }
    }

    /// Warns on stderr.
    pub(crate) fn warning(self, text: impl Display) {
        if !self.quiet {
            say(format_args!("{} {text}", styled(ink::CARE, "warning:")));
        }
    }

    /// Says why the command failed and what to do next.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            let document = serde_json::to_string(&failure.document());
            say(document.unwrap_or_else(|_| failure.message().to_owned()));
            return;
        }
        say(format_args!(
            "{} {}",
            styled(ink::BAD, "error:"),
            failure.message()
        ));
        if let Some(request) = failure.request() {
            say(format_args!(
                "{} {request}",
                styled(ink::BOLD, "request id:")
            ));
        }
        if let Some(next) = failure.next_step() {
            say(format_args!("{} {next}", styled(ink::BOLD, "next:")));
        }
    }
}

/// Columns of the terminal that a stream goes to, where it goes to one.
pub(crate) fn width(stream: &impl std::os::fd::AsFd) -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(stream)?;
    Some(usize::from(width.0))
}

/// Pretty for one document, one line for a stream.
fn write_json(out: &mut impl Write, value: &impl Serialize, pretty: bool) -> io::Result<()> {
    if pretty {
        serde_json::to_writer_pretty(&mut *out, value)?;
    } else {
        serde_json::to_writer(&mut *out, value)?;
    }
    writeln!(out)
}

/// A reader that went away (`keybound … | head`) ends the program quietly.
fn finish(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::internal(format!(
            "cannot write to stdout: {error}"
        ))),
    }
}

/// Writes a line to stderr. When even that fails there is nobody left to tell.
fn say(text: impl Display) {
    drop(writeln!(anstream::stderr().lock(), "{text}"));
}
