//! Where the report goes: one form to stdout or a file, others beside it.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use keybound_probe::Report;
use keybound_probe::baseline::Baseline;
use keybound_probe::output::{self, Style};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::input::{unreadable, unwritable};

/// Where the report goes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Report")]
pub(super) struct Outputs {
    /// The form of the report [default: table, with --json: json]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Write the report into this file instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write another report: `junit=probe.xml`; may be given several times
    #[arg(long, value_name = "FORMAT=FILE")]
    report: Vec<Further>,

    /// Findings that are known and accepted for now: they do not make the run fail
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,

    /// Write the findings of this run as a baseline, for a person to give the reasons
    #[arg(long, value_name = "FILE")]
    write_baseline: Option<PathBuf>,

    /// Show every case and its reason in the table
    #[arg(long)]
    verbose: bool,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people, on a terminal
    Table,
    /// For programs; the shape is published
    Json,
    /// For build servers: a test case per case
    Junit,
    /// For code scanning
    Sarif,
    /// For a merge request or a wiki
    Markdown,
    /// For an auditor: one file, nothing loaded from elsewhere
    Html,
}

/// `FORMAT=FILE`.
#[derive(Debug, Clone)]
struct Further {
    format: Format,
    path: PathBuf,
}

impl FromStr for Further {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (format, path) = text
            .split_once('=')
            .filter(|(_, path)| !path.is_empty())
            .ok_or("write `FORMAT=FILE`, for example `junit=probe.xml`")?;
        Ok(Self {
            format: Format::from_str(format, false)?,
            path: PathBuf::from(path),
        })
    }
}

/// Outputs that can be written: what would fail after minutes fails before.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    outputs: &'a Outputs,
    baseline: Option<Baseline>,
}

impl Outputs {
    /// Reads the baseline, and makes sure that every file can be written.
    pub(super) fn prepare(&self) -> Result<Prepared<'_>, Failure> {
        let further = self.report.iter().map(|further| &further.path);
        let files = self.output.iter().chain(&self.write_baseline);
        for path in files.chain(further) {
            let directory = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            if directory.is_some_and(|directory| !directory.is_dir()) || path.is_dir() {
                return Err(Failure::usage(format!(
                    "`{}` cannot be written: its directory does not exist, or it is one",
                    path.display()
                )));
            }
        }
        Ok(Prepared {
            outputs: self,
            baseline: self.baseline.as_deref().map(baseline).transpose()?,
        })
    }
}

impl Prepared<'_> {
    /// Prints and writes the report, and says how the process ends.
    pub(super) fn finish(self, mut report: Report, context: &Context) -> Outcome {
        if let Some(baseline) = &self.baseline {
            baseline.apply(&mut report, context.clock.now());
        }
        let outputs = self.outputs;
        if let Some(path) = &outputs.write_baseline {
            write(path, &Baseline::from_report(&report), context)?;
        }
        let verbose = outputs.verbose;
        for Further { format, path } in &outputs.report {
            write(path, &format.of(&report, plain(verbose)), context)?;
        }
        let default = if context.output.is_json() {
            Format::Json
        } else {
            Format::Table
        };
        let format = outputs.format.unwrap_or(default);
        match &outputs.output {
            Some(path) => write(path, &format.of(&report, plain(verbose)), context)?,
            None => {
                let text = format.of(&report, on_stdout(verbose));
                context.output.text(text.trim_end_matches('\n'))?;
            }
        }
        Ok(match report.exit_code() {
            0 => Exit::Success,
            1 => Exit::Findings,
            _ => Exit::Inconclusive,
        })
    }
}

impl Format {
    fn of(self, report: &Report, style: Style) -> String {
        match self {
            Self::Table => output::table(report, style),
            Self::Json => output::json(report),
            Self::Junit => output::junit(report),
            Self::Sarif => output::sarif(report),
            Self::Markdown => output::markdown(report),
            Self::Html => output::html(report),
        }
    }
}

fn baseline(path: &Path) -> Result<Baseline, Failure> {
    let shown = format!("`{}`", path.display());
    let text = fs::read_to_string(path).map_err(|error| unreadable(&shown, &error))?;
    Baseline::parse(&text)
        .map_err(|error| Failure::config(format!("the baseline {shown} does not hold: {error}")))
}

fn plain(verbose: bool) -> Style {
    Style {
        verbose,
        ..Style::default()
    }
}

/// Colour is taken out again where stdout is no terminal or does not want it.
fn on_stdout(verbose: bool) -> Style {
    let width = crate::output::width(&std::io::stdout());
    Style {
        colour: std::io::stdout().is_terminal(),
        width: width.unwrap_or_else(|| Style::default().width),
        verbose,
    }
}

fn write(path: &Path, text: &str, context: &Context) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| unwritable(path, &error))?;
    context
        .output
        .note(format_args!("wrote {}", path.display()));
    Ok(())
}
