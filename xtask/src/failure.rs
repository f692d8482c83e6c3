//! Why a verb stopped.

use std::fmt;
use std::path::PathBuf;

/// The one error of this tool; each variant names what to do next where that is not obvious.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line was not understood.
    Usage(String),
    /// Something the verb needs is not installed and may not be installed without consent.
    Missing(String),
    /// A command could not be started.
    Start {
        command: String,
        source: std::io::Error,
    },
    /// A command ran and said no.
    Command { command: String, status: String },
    /// A file could not be read or written.
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    /// What was checked is not as it must be; each line is one finding.
    Findings(Vec<String>),
    /// Some steps of a longer run failed; their output is above.
    Steps(Vec<String>),
}

impl Failure {
    /// 2 for usage and missing tools, 1 for everything that ran and failed.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Missing(_) => 2,
            Self::Start { .. }
            | Self::Command { .. }
            | Self::File { .. }
            | Self::Findings(_)
            | Self::Steps(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Missing(message) => formatter.write_str(message),
            Self::Start { command, source } => {
                write!(formatter, "cannot start `{command}`: {source}")
            }
            Self::Command { command, status } => write!(formatter, "`{command}` failed: {status}"),
            Self::File { path, source } => write!(formatter, "`{}`: {source}", path.display()),
            Self::Findings(findings) => {
                write!(formatter, "{} finding(s)", findings.len())?;
                for finding in findings {
                    write!(formatter, "\n  {finding}")?;
                }
                Ok(())
            }
            Self::Steps(steps) => write!(formatter, "failed: {}", steps.join(", ")),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { source, .. } | Self::File { source, .. } => Some(source),
            Self::Usage(_)
            | Self::Missing(_)
            | Self::Command { .. }
            | Self::Findings(_)
            | Self::Steps(_) => None,
        }
    }
}
