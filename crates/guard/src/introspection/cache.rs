//! Answers of issuers, kept for a while (SC-211, SC-212).
//!
//! An answer counts for one issuer and endpoint, one token and one resource. It
//! is kept no longer than configured and never beyond `exp`. Answers that a
//! token is not acceptable are kept apart, for seconds, so that a flood of
//! made-up tokens cannot push genuine ones out.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use keybound_proto::Rejection;
use keybound_proto::jose::PublicKey;
use keybound_proto::signal::Subject;
use keybound_proto::time::UnixTime;
use keybound_proto::token::{AccessToken, TokenHash};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use crate::tokens::is_about;

/// How many refusals are remembered; the oldest make room.
const MAX_REFUSALS: usize = 10_000;

/// What an answer is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The issuer, by its place in the configuration.
    pub(crate) issuer: usize,
    pub(crate) hash: TokenHash,
    pub(crate) resource: Arc<str>,
}

/// The same, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuestionRef<'a> {
    pub(crate) issuer: usize,
    pub(crate) hash: TokenHash,
    pub(crate) resource: &'a str,
}

/// An active token.
#[derive(Clone)]
pub(crate) struct Active {
    pub(crate) token: Arc<AccessToken>,
    /// The key that signed the answer, where answers are signed.
    pub(crate) signed_by: Option<PublicKey>,
    /// Which of the issuer's endpoints answered, counted from the start.
    pub(crate) endpoint: u64,
    pub(crate) kept: Kept,
}

#[derive(Clone)]
struct Refused {
    rejection: Rejection,
    kept: Kept,
}

/// From when to when an answer counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) since: UnixTime,
    pub(crate) until: UnixTime,
}

/// The answers of every issuer of a guard.
pub(crate) struct Answers {
    active: Cache<Question, Active>,
    refused: Cache<Question, Refused>,
}

impl Answers {
    /// Room for this many active tokens.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            active: Cache::new(capacity.max(1)),
            refused: Cache::new(MAX_REFUSALS),
        }
    }

    /// The token, if it was active when last asked about and the answer still counts.
    pub(crate) fn active(&self, question: QuestionRef<'_>, now: UnixTime) -> Option<Active> {
        let active = self.active.get(&question)?;
        if active.kept.covers(now) && now < active.token.expires_at() {
            return Some(active);
        }
        self.active.remove(&question);
        None
    }

    /// Why the token was refused when last asked about, if that still counts.
    pub(crate) fn refused(&self, question: QuestionRef<'_>, now: UnixTime) -> Option<Rejection> {
        let refused = self.refused.get(&question)?;
        if refused.kept.covers(now) {
            return Some(refused.rejection);
        }
        self.refused.remove(&question);
        None
    }

    pub(crate) fn keep_active(&self, question: Question, active: Active) {
        self.refused.remove(&question);
        self.active.insert(question, active);
    }

    pub(crate) fn keep_refused(&self, question: Question, rejection: Rejection, kept: Kept) {
        self.active.remove(&question);
        self.refused.insert(question, Refused { rejection, kept });
    }

    pub(crate) fn forget(&self, question: QuestionRef<'_>) {
        self.active.remove(&question);
    }

    /// Forgets every active token that a lock or revocation is about.
    pub(crate) fn forget_subject(&self, subject: &Subject) {
        self.active
            .retain(|_, active| !is_about(subject, &active.token));
    }

    /// Forgets every refusal: a lock was released, and nobody knows whose they are.
    pub(crate) fn forget_refusals(&self) {
        self.refused.clear();
    }

    /// How many active tokens are remembered.
    pub(crate) fn len(&self) -> usize {
        self.active.len()
    }
}

impl Kept {
    /// An answer from the future was kept before the clock was set back: its age is not known.
    fn covers(self, now: UnixTime) -> bool {
        self.since <= now && now < self.until
    }
}

impl Question {
    pub(crate) fn as_ref(&self) -> QuestionRef<'_> {
        QuestionRef {
            issuer: self.issuer,
            hash: self.hash,
            resource: &self.resource,
        }
    }
}

impl QuestionRef<'_> {
    pub(crate) fn to_owned(self) -> Question {
        Question {
            issuer: self.issuer,
            hash: self.hash,
            resource: self.resource.into(),
        }
    }
}

// Both forms must hash alike to find the same entry.
impl Hash for Question {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl Hash for QuestionRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.issuer.hash(state);
        self.hash.hash(state);
        self.resource.hash(state);
    }
}

impl Equivalent<Question> for QuestionRef<'_> {
    fn equivalent(&self, other: &Question) -> bool {
        self.issuer == other.issuer && self.hash == other.hash && self.resource == &*other.resource
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers")
            .field("active", &self.active.len())
            .field("refused", &self.refused.len())
            .finish()
    }
}
