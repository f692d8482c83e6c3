//! Access tokens that were verified before, by the hash of their text.
//!
//! A token's signature and claims do not change, so they are verified once;
//! every request still checks its own proof, and proto checks expiry, issuer
//! and audience for the route on each hit. The cache belongs to one [`Guard`]
//! and so to one verification profile and one list of issuers. An entry counts
//! only while the issuer's current key set holds the very key that signed the
//! token, and never beyond `exp`.
//!
//! Holds no token text. Knows nothing of revocation but forgets what it is told
//! to; the view of revocations is asked on every request anyway.
//!
//! [`Guard`]: crate::Guard

use std::fmt;
use std::sync::Arc;

use keybound_proto::jose::PublicKey;
use keybound_proto::signal::Subject;
use keybound_proto::time::UnixTime;
use keybound_proto::token::{AccessToken, TokenHash};
use quick_cache::sync::Cache;

use crate::introspection::Answers;

/// A bounded cache of verified tokens, and the answers about introspected ones.
pub(crate) struct TokenCache {
    entries: Cache<TokenHash, Known>,
    answers: Arc<Answers>,
}

/// A token that was verified, and the key that signed it.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) token: Arc<AccessToken>,
    pub(crate) signed_by: PublicKey,
}

impl TokenCache {
    /// A cache for this many tokens.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: Cache::new(capacity.max(1)),
            answers: Arc::new(Answers::new(capacity)),
        }
    }

    /// The answers of issuers that are asked.
    pub(crate) fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }

    /// The token, if it was verified and has not expired.
    pub(crate) fn find(&self, hash: TokenHash, now: UnixTime) -> Option<Known> {
        let known = self.entries.get(&hash)?;
        if now >= known.token.expires_at() {
            self.entries.remove(&hash);
            return None;
        }
        Some(known)
    }

    /// Remembers a token that has just been verified with this key.
    pub(crate) fn remember(&self, token: Arc<AccessToken>, signed_by: PublicKey) {
        self.entries
            .insert(token.hash(), Known { token, signed_by });
    }

    /// Forgets one token.
    pub(crate) fn forget(&self, hash: TokenHash) {
        self.entries.remove(&hash);
    }

    /// Forgets every token that a lock or revocation is about.
    pub(crate) fn forget_subject(&self, subject: &Subject) {
        self.answers.forget_subject(subject);
        if let Subject::TokenHash(hash) = subject {
            self.forget(*hash);
            return;
        }
        self.entries
            .retain(|_, known| !is_about(subject, &known.token));
    }

    /// Forgets refusals of issuers that are asked: a lock was released.
    pub(crate) fn forget_refusals(&self) {
        self.answers.forget_refusals();
    }

    /// How many tokens are remembered.
    pub(crate) fn len(&self) -> usize {
        self.entries.len().saturating_add(self.answers.len())
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

pub(crate) fn is_about(subject: &Subject, token: &AccessToken) -> bool {
    match subject {
        Subject::Identity { issuer, subject } => {
            token.issuer() == issuer && token.subject() == subject
        }
        Subject::Key(key) => {
            let cnf = token.confirmation();
            let certificate = cnf.certificate().map(|bound| bound.thumbprint().as_key());
            cnf.jkt() == Some(*key) || certificate == Some(*key)
        }
        Subject::Token { issuer, token_id } => {
            token.issuer() == issuer && token.token_id() == Some(token_id.as_str())
        }
        Subject::TokenHash(hash) => token.hash() == *hash,
    }
}
