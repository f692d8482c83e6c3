//! Everything that is locked or revoked, in memory, by subject.
//!
//! Two copies exist: the writer's, which sees the transaction it is in, and the
//! published one, which changes only after a commit and answers
//! [`super::Store::withheld`] without a lock being waited for on disk.
//!
//! Not here: the rows (`super::withhold`) and the gateways' own view
//! (`keybound-guard`).

use std::collections::HashMap;

use keybound_proto::cause::Cause;
use keybound_proto::jose::Jkt;
use keybound_proto::signal::Subject;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;

/// What is being asked about, borrowed from whoever asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) issuer: &'a str,
    pub(super) token_hash: Option<&'a TokenHash>,
    pub(super) token_id: Option<&'a str>,
    /// Handles of the tokens and grants it descends from.
    pub(super) ancestors: &'a [String],
    pub(super) subject: &'a str,
    /// Thumbprints of keys and certificates.
    pub(super) keys: &'a [Jkt],
}

/// How something is withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    /// Revoked for good, or locked until released.
    pub(super) revoked: bool,
    /// From when on the subject cannot be used anyway.
    pub(super) expires_at: Option<UnixTime>,
}

/// All holds.
#[derive(Debug, Default)]
pub(super) struct WithheldSet {
    keys: HashMap<Jkt, Hold>,
    hashes: HashMap<TokenHash, Hold>,
    /// By value first, so that a look-up needs no allocation.
    tokens: HashMap<String, HashMap<String, Hold>>,
    identities: HashMap<String, HashMap<String, Hold>>,
}

impl WithheldSet {
    #[cfg(test)]
    pub(super) fn get(&self, subject: &Subject) -> Option<Hold> {
        match subject {
            Subject::Identity { issuer, subject } => nested(&self.identities, subject, issuer),
            Subject::Key(jkt) => self.keys.get(jkt).copied(),
            Subject::Token { issuer, token_id } => nested(&self.tokens, token_id, issuer),
            Subject::TokenHash(hash) => self.hashes.get(hash).copied(),
        }
    }

    /// Sets or, with `None`, removes a hold; returns what was there.
    pub(super) fn put(&mut self, subject: &Subject, hold: Option<Hold>) -> Option<Hold> {
        match subject {
            Subject::Identity { issuer, subject } => {
                put_nested(&mut self.identities, subject, issuer, hold)
            }
            Subject::Key(jkt) => put(&mut self.keys, *jkt, hold),
            Subject::Token { issuer, token_id } => {
                put_nested(&mut self.tokens, token_id, issuer, hold)
            }
            Subject::TokenHash(hash) => put(&mut self.hashes, *hash, hold),
        }
    }

    /// Why the thing asked about must be refused. The narrowest reason wins, so
    /// that an operator reads "revoked" for a revoked token of a locked key.
    pub(super) fn cause(&self, question: &Question<'_>) -> Option<Cause> {
        let by_hash = question
            .token_hash
            .is_some_and(|hash| self.hashes.contains_key(hash));
        let is_withheld = |handle: &str| nested(&self.tokens, handle, question.issuer).is_some();
        let by_handle = question.token_id.is_some_and(is_withheld)
            || question.ancestors.iter().any(|handle| is_withheld(handle));
        if by_hash || by_handle {
            return Some(Cause::TokenRevoked);
        }
        if question.keys.iter().any(|key| self.keys.contains_key(key)) {
            return Some(Cause::KeyLocked);
        }
        nested(&self.identities, question.subject, question.issuer).map(|_| Cause::IdentityLocked)
    }
}

fn nested(map: &HashMap<String, HashMap<String, Hold>>, value: &str, issuer: &str) -> Option<Hold> {
    map.get(value)?.get(issuer).copied()
}

fn put<K: std::hash::Hash + Eq>(
    map: &mut HashMap<K, Hold>,
    key: K,
    hold: Option<Hold>,
) -> Option<Hold> {
    match hold {
        Some(hold) => map.insert(key, hold),
        None => map.remove(&key),
    }
}

fn put_nested(
    map: &mut HashMap<String, HashMap<String, Hold>>,
    value: &str,
    issuer: &str,
    hold: Option<Hold>,
) -> Option<Hold> {
    if let Some(hold) = hold {
        let issuers = map.entry(value.to_owned()).or_default();
        return issuers.insert(issuer.to_owned(), hold);
    }
    let issuers = map.get_mut(value)?;
    let before = issuers.remove(issuer);
    if issuers.is_empty() {
        map.remove(value);
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(issuer: &str, subject: &str) -> Subject {
        Subject::Identity {
            issuer: issuer.into(),
            subject: subject.into(),
        }
    }

    fn question<'a>(issuer: &'a str, subject: &'a str, id: &'a str) -> Question<'a> {
        Question {
            issuer,
            token_hash: None,
            token_id: Some(id),
            ancestors: &[],
            subject,
            keys: &[],
        }
    }

    const LOCKED: Hold = Hold {
        revoked: false,
        expires_at: None,
    };

    #[test]
    fn a_hold_counts_for_its_issuer_only() {
        let mut set = WithheldSet::default();
        set.put(&identity("https://a", "agent"), Some(LOCKED));
        let cause = |issuer| set.cause(&question(issuer, "agent", "tok_1"));
        assert_eq!(cause("https://a"), Some(Cause::IdentityLocked));
        assert_eq!(cause("https://b"), None);
    }

    #[test]
    fn the_narrowest_cause_is_named() {
        let mut set = WithheldSet::default();
        set.put(&identity("https://a", "agent"), Some(LOCKED));
        let token = Subject::Token {
            issuer: "https://a".into(),
            token_id: "tok_1".into(),
        };
        set.put(&token, Some(LOCKED));
        let cause = set.cause(&question("https://a", "agent", "tok_1"));
        assert_eq!(cause, Some(Cause::TokenRevoked));
    }

    #[test]
    fn sc_201_what_descends_from_a_withheld_token_is_withheld() {
        let mut set = WithheldSet::default();
        let root = Subject::Token {
            issuer: "https://a".into(),
            token_id: "grt_root".into(),
        };
        set.put(&root, Some(LOCKED));
        let ancestors = ["grt_root".to_owned(), "tok_1".to_owned()];
        let descendant = |issuer| Question {
            ancestors: &ancestors,
            ..question(issuer, "agent", "tok_2")
        };
        assert_eq!(
            set.cause(&descendant("https://a")),
            Some(Cause::TokenRevoked)
        );
        assert_eq!(set.cause(&descendant("https://b")), None);
    }

    #[test]
    fn a_removed_hold_leaves_nothing() {
        let mut set = WithheldSet::default();
        let subject = identity("https://a", "agent");
        assert_eq!(set.put(&subject, Some(LOCKED)), None);
        assert_eq!(set.put(&subject, None), Some(LOCKED));
        assert_eq!(set.get(&subject), None);
        assert!(set.identities.is_empty());
    }
}
