//! The maps behind the view. No clock, no feed, no lock.

use std::collections::HashMap;

use keybound_proto::cause::Cause;
use keybound_proto::jose::Jkt;
use keybound_proto::signal::Subject;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::verify::RevocationQuery;

use super::FORGET_SKEW;

/// Names that mean something within one issuer.
#[derive(Default)]
struct PerIssuer(HashMap<String, HashMap<String, Option<UnixTime>>>);

#[derive(Default)]
pub(super) struct Entries {
    hashes: HashMap<TokenHash, Option<UnixTime>>,
    identities: PerIssuer,
    keys: HashMap<Jkt, Option<UnixTime>>,
    tokens: PerIssuer,
}

impl Entries {
    /// Adds a subject; whether that changed anything. The later end counts.
    pub(super) fn insert(&mut self, subject: &Subject, end: Option<UnixTime>) -> bool {
        match subject {
            Subject::Identity { issuer, subject } => self.identities.insert(issuer, subject, end),
            Subject::Key(jkt) => prolong(self.keys.entry(*jkt).or_insert(BEFORE_ALL), end),
            Subject::Token { issuer, token_id } => self.tokens.insert(issuer, token_id, end),
            Subject::TokenHash(hash) => {
                prolong(self.hashes.entry(*hash).or_insert(BEFORE_ALL), end)
            }
        }
    }

    /// Removes a subject; whether it was there.
    pub(super) fn remove(&mut self, subject: &Subject) -> bool {
        match subject {
            Subject::Identity { issuer, subject } => self.identities.remove(issuer, subject),
            Subject::Key(jkt) => self.keys.remove(jkt).is_some(),
            Subject::Token { issuer, token_id } => self.tokens.remove(issuer, token_id),
            Subject::TokenHash(hash) => self.hashes.remove(hash).is_some(),
        }
    }

    /// The cause a request falls under, if any.
    pub(super) fn find(&self, query: &RevocationQuery, now: UnixTime) -> Option<Cause> {
        let token = &query.token;
        let is_live = |end: Option<&Option<UnixTime>>| end.is_some_and(|end| !has_ended(*end, now));
        let by_handle = |handle: &str| is_live(self.tokens.find(token.issuer(), handle));
        let withdrawn = token.token_id().is_some_and(by_handle)
            || token.ancestors().iter().any(|handle| by_handle(handle));
        if withdrawn || is_live(self.hashes.get(&token.hash())) {
            return Some(Cause::TokenRevoked);
        }
        if query.keys().any(|key| is_live(self.keys.get(&key))) {
            return Some(Cause::KeyLocked);
        }
        let by_identity = self.identities.find(token.issuer(), token.subject());
        is_live(by_identity).then_some(Cause::IdentityLocked)
    }

    /// Drops what has ended.
    pub(super) fn forget(&mut self, now: UnixTime) {
        self.hashes.retain(|_, end| !has_ended(*end, now));
        self.keys.retain(|_, end| !has_ended(*end, now));
        self.identities.forget(now);
        self.tokens.forget(now);
    }

    pub(super) fn len(&self) -> usize {
        let fixed = self.hashes.len().saturating_add(self.keys.len());
        let named = self.identities.len().saturating_add(self.tokens.len());
        fixed.saturating_add(named)
    }

    /// Every subject and its end.
    pub(super) fn subjects(&self) -> Vec<(Subject, Option<UnixTime>)> {
        let mut all = Vec::with_capacity(self.len());
        all.extend(
            self.hashes
                .iter()
                .map(|(hash, end)| (Subject::TokenHash(*hash), *end)),
        );
        all.extend(
            self.keys
                .iter()
                .map(|(jkt, end)| (Subject::Key(*jkt), *end)),
        );
        all.extend(self.identities.iter().map(|(issuer, subject, end)| {
            let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
            (Subject::Identity { issuer, subject }, end)
        }));
        all.extend(self.tokens.iter().map(|(issuer, token_id, end)| {
            let (issuer, token_id) = (issuer.to_owned(), token_id.to_owned());
            (Subject::Token { issuer, token_id }, end)
        }));
        all
    }
}

impl PerIssuer {
    fn insert(&mut self, issuer: &str, name: &str, end: Option<UnixTime>) -> bool {
        let names = self.0.entry(issuer.to_owned()).or_default();
        prolong(names.entry(name.to_owned()).or_insert(BEFORE_ALL), end)
    }

    fn remove(&mut self, issuer: &str, name: &str) -> bool {
        let Some(names) = self.0.get_mut(issuer) else {
            return false;
        };
        let removed = names.remove(name).is_some();
        if names.is_empty() {
            self.0.remove(issuer);
        }
        removed
    }

    fn find(&self, issuer: &str, name: &str) -> Option<&Option<UnixTime>> {
        self.0.get(issuer)?.get(name)
    }

    fn forget(&mut self, now: UnixTime) {
        self.0.retain(|_, names| {
            names.retain(|_, end| !has_ended(*end, now));
            !names.is_empty()
        });
    }

    fn len(&self) -> usize {
        self.0
            .values()
            .map(HashMap::len)
            .fold(0, usize::saturating_add)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str, Option<UnixTime>)> {
        self.0.iter().flat_map(|(issuer, names)| {
            names
                .iter()
                .map(move |(name, end)| (issuer.as_str(), name.as_str(), *end))
        })
    }
}

/// The end of an entry that is not there yet.
const BEFORE_ALL: Option<UnixTime> = Some(UnixTime::from_secs(0));

/// Moves an end later; whether it moved.
fn prolong(end: &mut Option<UnixTime>, to: Option<UnixTime>) -> bool {
    let later = match (*end, to) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(end), Some(to)) => to > end,
    };
    if later {
        *end = to;
    }
    later
}

fn has_ended(end: Option<UnixTime>, now: UnixTime) -> bool {
    end.is_some_and(|end| now > end.plus(FORGET_SKEW))
}
