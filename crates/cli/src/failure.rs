//! What a command that did not succeed says: what went wrong, what to do next,
//! and which exit code that is.
//!
//! Text mode prints `error:` and `next:` lines on stderr; `--json` prints
//! `{"error":{"code","message","next","request_id"}}` there.

use serde::Serialize;

use crate::exit::Exit;

/// The end of a command that could not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    code: &'static str,
    message: String,
    next: Option<String>,
    request_id: Option<String>,
}

/// The shape of a failure in `--json` mode.
#[derive(Debug, Serialize)]
pub(crate) struct FailureDocument<'a> {
    error: FailureBody<'a>,
}

#[derive(Debug, Serialize)]
struct FailureBody<'a> {
    /// Stable name of the kind of failure.
    code: &'a str,
    /// What went wrong.
    message: &'a str,
    /// What to do next, when there is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    /// The server's id for the request that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// The result of a command.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            exit,
            code,
            message: message.into(),
            next: None,
            request_id: None,
        }
    }

    /// Wrong arguments.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// A configuration or profile that does not hold.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "config", message)
    }

    /// A key or credential that cannot be used, or that the server does not know.
    pub(crate) fn authentication(message: impl Into<String>) -> Self {
        Self::new(Exit::Authentication, "authentication", message)
    }

    /// Something that does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, "not_found", message)
    }

    /// A server that understood and refused.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, "refused", message)
    }

    /// Nobody answered.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, "unreachable", message)
    }

    /// A server that failed, or answered what no server should.
    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self::new(Exit::Server, "server", message)
    }

    /// A service that could not start or stop cleanly.
    pub(crate) fn lifecycle(message: impl Into<String>) -> Self {
        Self::new(Exit::Lifecycle, "lifecycle", message)
    }

    /// A fault of this program.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Internal, "internal", message)
    }

    /// The failure that an HTTP status stands for.
    pub(crate) fn of_status(status: u16, message: impl Into<String>) -> Self {
        match Exit::of_status(status) {
            Exit::Authentication => Self::authentication(message),
            Exit::NotFound => Self::not_found(message),
            Exit::Refused => Self::refused(message),
            _ => Self::server(message),
        }
    }

    /// Adds what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Adds the server's id of the request.
    pub(crate) fn request_id(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id;
        self
    }

    /// How the process ends.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// What went wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do next.
    pub(crate) fn next_step(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// The server's id of the request.
    pub(crate) fn request(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The failure as data.
    pub(crate) fn document(&self) -> FailureDocument<'_> {
        FailureDocument {
            error: FailureBody {
                code: self.code,
                message: &self.message,
                next: self.next.as_deref(),
                request_id: self.request_id.as_deref(),
            },
        }
    }
}

/// An error and everything beneath it, outermost first, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let said = inner.to_string();
        // Some libraries repeat the inner message in the outer one.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = inner.source();
    }
    text
}
