//! Running other programs and saying what was run.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::paths;

/// A program to run from the repository's root, shown before it runs.
#[derive(Debug)]
pub(crate) struct Run {
    command: Command,
    shown: String,
}

impl Run {
    pub(crate) fn new(program: &str) -> Self {
        let mut command = Command::new(program);
        command.current_dir(paths::root());
        Self {
            command,
            shown: program.to_owned(),
        }
    }

    /// The cargo that started this tool, so that a toolchain override holds for what it starts.
    pub(crate) fn cargo() -> Self {
        let program = option_env!("CARGO").filter(|path| Path::new(path).exists());
        let mut run = Self::new(program.unwrap_or("cargo"));
        "cargo".clone_into(&mut run.shown);
        // The parent cargo's variables describe this crate and would make a nested build differ
        // from the same command typed by hand.
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
            run.command.env_remove(name);
        }
        run
    }

    pub(crate) fn arguments<I, S>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        for argument in arguments {
            self.shown.push(' ');
            self.shown.push_str(&argument.as_ref().to_string_lossy());
            self.command.arg(argument);
        }
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs with the terminal's output and no input; any exit status but 0 is an error.
    pub(crate) fn wait(mut self) -> Result<(), Failure> {
        println!("\n$ {}", self.shown);
        let status = self
            .command
            .stdin(Stdio::null())
            .status()
            .map_err(|source| self.not_started(source))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::Command {
            command: self.shown,
            status: status.to_string(),
        })
    }

    /// Runs and hands each line of standard output to `each_line`; errors stay on the terminal.
    pub(crate) fn wait_for_lines(mut self, mut each_line: impl FnMut(&str)) -> Result<(), Failure> {
        println!("\n$ {}", self.shown);
        self.command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = self
            .command
            .spawn()
            .map_err(|source| self.not_started(source))?;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).lines() {
                each_line(&line.map_err(|source| self.not_started(source))?);
            }
        }
        let status = child.wait().map_err(|source| self.not_started(source))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::Command {
            command: self.shown,
            status: status.to_string(),
        })
    }

    /// Runs silently and gives back standard output, or nothing when the program is missing or
    /// fails. For questions such as "which version is installed".
    pub(crate) fn answer(mut self) -> Option<String> {
        let output = self
            .command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        if !output.status.success() {
            return None;
        }
        String::from_utf8(output.stdout)
            .ok()
            .map(|text| text.trim().to_owned())
    }

    fn not_started(&self, source: std::io::Error) -> Failure {
        Failure::Start {
            command: self.shown.clone(),
            source,
        }
    }
}
