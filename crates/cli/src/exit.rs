//! The exit codes, in one place. Scripts rely on them, so each has one meaning
//! over every command; `docs/reference/exit-codes.md` is made from this table.
//!
//! This module does not decide which failure has which code; that is
//! [`crate::failure`].

use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything asked for was done.
    Success = 0,
    /// The command ran, and what it looked for went wrong: a demo step that
    /// differs, a proof that does not hold.
    Findings = 1,
    /// Wrong arguments or a configuration that does not hold.
    Usage = 2,
    /// The other side does not know us, or our key cannot be used: HTTP 401.
    Authentication = 3,
    /// What was asked for does not exist: HTTP 404, a missing key file.
    NotFound = 4,
    /// The server understood and refused: HTTP 403 and other 4xx.
    Refused = 5,
    /// The command ran and could not decide: a probe whose controls failed.
    Inconclusive = 6,
    /// Nobody answered, or not in time.
    Unreachable = 7,
    /// The server failed: HTTP 5xx.
    Server = 8,
    /// A service could not start, or could not stop cleanly.
    Lifecycle = 9,
    /// A fault of this program.
    Internal = 70,
}

impl Exit {
    /// Every code, in the order of the reference.
    pub(crate) const ALL: [Self; 11] = [
        Self::Success,
        Self::Findings,
        Self::Usage,
        Self::Authentication,
        Self::NotFound,
        Self::Refused,
        Self::Inconclusive,
        Self::Unreachable,
        Self::Server,
        Self::Lifecycle,
        Self::Internal,
    ];

    /// The number the shell sees.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// What the code means, as printed in `--help` and the reference.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Findings => "ran fine, and what it checked is not in order",
            Self::Usage => "wrong arguments or configuration",
            Self::Authentication => "not authenticated (HTTP 401), or a key that cannot be used",
            Self::NotFound => "not found (HTTP 404, a missing file)",
            Self::Refused => "refused by the server (HTTP 403 and other 4xx)",
            Self::Inconclusive => "ran, and could not decide",
            Self::Unreachable => "unreachable, or no answer in time",
            Self::Server => "server error (HTTP 5xx)",
            Self::Lifecycle => "a service could not start or stop cleanly",
            Self::Internal => "a fault of keybound itself",
        }
    }

    /// The code for the answer to a request the user sent: 2xx and 3xx are
    /// answers, everything else names who has to act.
    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            0..=399 => Self::Success,
            401 => Self::Authentication,
            404 => Self::NotFound,
            400..=499 => Self::Refused,
            _ => Self::Server,
        }
    }
}

/// The codes a command can end with, for its `--help`. Those that every command
/// has (2 for wrong arguments, 70 for a fault) are always among them.
pub(crate) fn codes(of_command: &[Exit]) -> String {
    let mut text = String::from("Exit codes:");
    for exit in Exit::ALL {
        if of_command.contains(&exit)
            || matches!(exit, Exit::Success | Exit::Usage | Exit::Internal)
        {
            text.push_str(&format!("\n  {:<3}{}", exit.code(), exit.meaning()));
        }
    }
    text
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_maps_to_who_has_to_act() {
        let table = [
            (200, 0),
            (204, 0),
            (304, 0),
            (400, 5),
            (401, 3),
            (403, 5),
            (404, 4),
            (409, 5),
            (429, 5),
            (500, 8),
            (503, 8),
        ];
        for (status, code) in table {
            assert_eq!(Exit::of_status(status).code(), code, "status {status}");
        }
    }

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
    }
}
