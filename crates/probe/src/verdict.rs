//! What a check may conclude, and how much it matters.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The conclusion of one case.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The target did what the standard asks for.
    Enforced,
    /// The target did not.
    NotEnforced,
    /// What came back proves neither; the reason says why.
    Inconclusive,
    /// The case does not concern this target, or needs something that was not given.
    NotApplicable,
}

impl Verdict {
    /// The name in data: `not_enforced`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::NotEnforced => "not_enforced",
            Self::Inconclusive => "inconclusive",
            Self::NotApplicable => "not_applicable",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Enforced => "enforced",
            Self::NotEnforced => "not enforced",
            Self::Inconclusive => "inconclusive",
            Self::NotApplicable => "not applicable",
        })
    }
}

/// How much it matters when a case is not enforced.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Honest clients are refused, or are told too little. No thief gains by it.
    Note,
    /// A weakness that needs another one to be used.
    Low,
    /// A thief gains something in special circumstances.
    Medium,
    /// A thief who has more than the token can use it.
    High,
    /// A thief who has the token can use it.
    Critical,
}

impl Severity {
    /// The name in data: `critical`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
