//! What is wrong with a configuration, where, and what to do about it. All
//! problems of a file are reported at once, in the order of the file.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A line of the file, both counted from 1.
    File {
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
    /// Not written anywhere.
    Default,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The key, such as `gateway.route[0].upstream`.
    pub(crate) key: String,
    /// Where it stands.
    pub(crate) place: Place,
    /// What is wrong with it.
    pub(crate) message: String,
    /// What to write instead, or do.
    pub(crate) help: Option<String>,
}

/// A problem as data.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProblemDocument {
    /// The key, such as `gateway.route[0].upstream`.
    pub(crate) key: String,
    /// `file`, `variable` or `default`.
    pub(crate) place: &'static str,
    /// The file's name, or the variable's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    /// The column in characters, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<usize>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead, or do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

impl Problem {
    /// A problem with the value of a key.
    pub(crate) fn new(key: impl Into<String>, place: Place, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            place,
            message: message.into(),
            help: None,
        }
    }

    /// Adds what to write instead.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The problem as one line of text, `file:line:column: message (help)`.
    pub(crate) fn line(&self, file: &str) -> String {
        let at = self.place.at(file);
        match &self.help {
            Some(help) => format!("{at}: {}; {help}", self.message),
            None => format!("{at}: {}", self.message),
        }
    }

    /// The problem as data.
    pub(crate) fn document(&self, file: &str) -> ProblemDocument {
        let (place, name, line, column) = match &self.place {
            Place::File { line, column } => {
                ("file", Some(file.to_owned()), Some(*line), Some(*column))
            }
            Place::Variable(name) => ("variable", Some(name.clone()), None, None),
            Place::Default => ("default", None, None, None),
        };
        ProblemDocument {
            key: self.key.clone(),
            place,
            name,
            line,
            column,
            message: self.message.clone(),
            help: self.help.clone(),
        }
    }
}

impl Place {
    /// The place as the start of a message or the end of a line of `show`.
    pub(crate) fn at(&self, file: &str) -> String {
        match self {
            Self::File { line, column } => format!("{file}:{line}:{column}"),
            Self::Variable(name) => name.clone(),
            Self::Default => "default".to_owned(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.at("file"))
    }
}
