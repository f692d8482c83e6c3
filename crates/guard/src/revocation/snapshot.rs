//! The view as data, for keeping over a restart. Writes no file.

use std::fmt;

use keybound_proto::signal::Subject;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use serde::{Deserialize, Serialize};

/// Everything a [`RevocationView`](super::RevocationView) holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationSnapshot {
    /// One entry per revoked or locked subject.
    pub entries: Vec<SnapshotEntry>,
}

/// One revoked or locked subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotEntry {
    /// `token`, `token_sha256`, `key` or `identity`.
    pub kind: String,
    /// The issuer that gives the name its meaning, for tokens and identities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The handle, hash in hexadecimal, thumbprint, or subject.
    pub value: String,
    /// End of the subject, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// An entry of a snapshot is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotError {
    index: usize,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "entry {} of the revocation snapshot is not understood",
            self.index
        )
    }
}

impl std::error::Error for SnapshotError {}

impl RevocationSnapshot {
    /// A snapshot of these subjects.
    #[must_use]
    pub fn of(subjects: &[(Subject, Option<UnixTime>)]) -> Self {
        let entry = |(subject, end): &(Subject, Option<UnixTime>)| SnapshotEntry::of(subject, *end);
        Self {
            entries: subjects.iter().map(entry).collect(),
        }
    }

    /// The subjects and their ends.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] naming the first entry that is not understood.
    pub fn subjects(&self) -> Result<Vec<(Subject, Option<UnixTime>)>, SnapshotError> {
        let read = |(index, entry): (usize, &SnapshotEntry)| {
            let subject = entry.subject().ok_or(SnapshotError { index })?;
            Ok((subject, entry.expires_at.map(UnixTime::from_secs)))
        };
        self.entries.iter().enumerate().map(read).collect()
    }
}

impl SnapshotEntry {
    fn of(subject: &Subject, end: Option<UnixTime>) -> Self {
        let (kind, issuer, value) = match subject {
            Subject::Identity { issuer, subject } => ("identity", Some(issuer), subject.clone()),
            Subject::Key(jkt) => ("key", None, jkt.to_string()),
            Subject::Token { issuer, token_id } => ("token", Some(issuer), token_id.clone()),
            Subject::TokenHash(hash) => ("token_sha256", None, hash.to_hex()),
        };
        Self {
            kind: kind.to_owned(),
            issuer: issuer.cloned(),
            value,
            expires_at: end.map(UnixTime::as_secs),
        }
    }

    fn subject(&self) -> Option<Subject> {
        let value = self.value.clone();
        match (self.kind.as_str(), self.issuer.clone()) {
            ("identity", Some(issuer)) => Some(Subject::Identity {
                issuer,
                subject: value,
            }),
            ("key", None) => value.parse().ok().map(Subject::Key),
            ("token", Some(issuer)) => Some(Subject::Token {
                issuer,
                token_id: value,
            }),
            ("token_sha256", None) => TokenHash::from_hex(&value).map(Subject::TokenHash),
            _ => None,
        }
    }
}
