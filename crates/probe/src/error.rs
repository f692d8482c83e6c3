//! Why a run could not begin.

use crate::transport::NoAnswer;

/// Why a run could not begin, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// There was no answer at all.
    #[error("{0}")]
    NoAnswer(#[from] NoAnswer),
    /// The target refuses a good request with the credentials given.
    #[error("`{url}` refuses a good request: {got}")]
    CredentialsRefused {
        /// The target.
        url: String,
        /// What came back.
        got: String,
        /// What may be wrong, and what to try.
        next: String,
    },
    /// A document the run needs is missing or unusable.
    #[error("{url}: {reason}")]
    Document {
        /// Where it was looked for.
        url: String,
        /// What is wrong with it.
        reason: String,
        /// What to try.
        next: String,
    },
    /// Something given does not fit.
    #[error("{0}")]
    Input(String),
}

impl ProbeError {
    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::NoAnswer(error) => match error {
                NoAnswer::Name(..) => "check the host name in the URL",
                NoAnswer::Connect(..) => "check that the target runs and that the port is right",
                NoAnswer::Tls(..) => {
                    "check the server's certificate; name its authority with `--ca-cert`"
                }
                NoAnswer::Certificate(_, fault) => fault.next_step(),
                NoAnswer::NoTls(_) => {
                    "check the port, and whether the URL should begin with `http://`"
                }
                NoAnswer::Closed => "try again; the server closes connections as requests come in",
                NoAnswer::Broken(_) => {
                    "check that the port speaks HTTP, with or without TLS as the URL says"
                }
                NoAnswer::TimedOut(_) => "try again, or allow more time with `--timeout`",
                NoAnswer::Unsendable(_) => "check the URL",
            }
            .to_owned(),
            Self::CredentialsRefused { next, .. } | Self::Document { next, .. } => next.clone(),
            Self::Input(_) => "see `keybound probe --help`".to_owned(),
        }
    }
}
