//! A refusal: its cause, what was expected and got, and which genuine token it
//! was about.
//!
//! What a `Rejection` holds is for the operator: events, logs, `explain`. It
//! never holds a token, a proof or a secret; thumbprints, handles and hashes
//! only. What the caller is told is made by [`crate::wire`].

use std::fmt;
use std::sync::Arc;

use crate::cause::Cause;
use crate::token::AccessToken;

/// Why a request was refused.
#[derive(Clone)]
pub struct Rejection {
    cause: Cause,
    detail: Option<Box<Detail>>,
    token: Option<Arc<AccessToken>>,
}

/// What an operator wants to know beside the cause. No member holds a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// What would have been accepted.
    pub expected: Option<String>,
    /// What came instead. Cut to 256 bytes; control bytes are replaced.
    pub got: Option<String>,
    /// Seconds the sender's clock is ahead of ours (negative: behind).
    pub clock_skew: Option<i64>,
}

/// The longest text of a [`Detail`] member, in bytes.
const MAX_DETAIL: usize = 256;

impl Rejection {
    /// A refusal with nothing to add to its cause.
    #[must_use]
    pub const fn new(cause: Cause) -> Self {
        Self {
            cause,
            detail: None,
            token: None,
        }
    }

    /// Adds what would have been accepted.
    #[must_use]
    pub fn expected(mut self, text: impl AsRef<str>) -> Self {
        self.detail_mut().expected = Some(tidy(text.as_ref()));
        self
    }

    /// Adds what came instead. Never pass a token, a proof or a secret.
    #[must_use]
    pub fn got(mut self, text: impl AsRef<str>) -> Self {
        self.detail_mut().got = Some(tidy(text.as_ref()));
        self
    }

    /// Adds how far the sender's clock is ahead of ours, in seconds.
    #[must_use]
    pub fn clock_skew(mut self, seconds: i64) -> Self {
        self.detail_mut().clock_skew = Some(seconds);
        self
    }

    /// Says which verified token the refused request carried.
    #[must_use]
    pub fn about(mut self, token: Arc<AccessToken>) -> Self {
        self.token = Some(token);
        self
    }

    /// The cause.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// What is known beside the cause.
    #[must_use]
    pub fn detail(&self) -> Detail {
        self.detail.as_deref().cloned().unwrap_or_default()
    }

    /// The genuine token the refused request carried, where that is known.
    #[must_use]
    pub const fn token(&self) -> Option<&Arc<AccessToken>> {
        self.token.as_ref()
    }

    fn detail_mut(&mut self) -> &mut Detail {
        self.detail.get_or_insert_with(Box::default)
    }
}

impl From<Cause> for Rejection {
    fn from(cause: Cause) -> Self {
        Self::new(cause)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause.id(), self.cause.summary())?;
        let Some(detail) = &self.detail else {
            return Ok(());
        };
        if let Some(expected) = &detail.expected {
            write!(f, "; expected `{expected}`")?;
        }
        if let Some(got) = &detail.got {
            write!(f, "; got `{got}`")?;
        }
        if let Some(skew) = detail.clock_skew {
            write!(f, "; sender's clock differs by {skew} s")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("cause", &self.cause)
            .field("detail", &self.detail)
            .field("token", &self.token.as_ref().map(|token| token.hash()))
            .finish()
    }
}

impl std::error::Error for Rejection {}

/// Cuts to [`MAX_DETAIL`] bytes at a character boundary and replaces control characters,
/// so that what a stranger sent cannot forge log lines.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len().min(MAX_DETAIL));
    for character in text.chars() {
        let character = if character.is_control() {
            '\u{fffd}'
        } else {
            character
        };
        if tidy.len().saturating_add(character.len_utf8()) > MAX_DETAIL {
            break;
        }
        tidy.push(character);
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::{Cause, Rejection};

    #[test]
    fn control_characters_and_length_are_tamed() {
        let rejection =
            Rejection::new(Cause::DpopHtuMismatch).got(format!("a\r\nb{}", "x".repeat(999)));
        let got = rejection.detail().got.unwrap();
        assert!(got.len() <= 256);
        assert!(!got.contains(['\r', '\n']));
    }
}
