//! One-time values that are still live: DPoP proof keys (RFC 9449 section 11.1)
//! and assertion keys (RFC 7523 section 3), in memory.
//!
//! The rows that carry them are only appended and committed with the token they
//! were spent for; this set answers "was it spent before" without touching the
//! disk. It belongs to the one writer, which makes check and insert one step,
//! and is rebuilt from the rows at open.
//!
//! Live entries are never evicted. Wrong answers cost this: a false "fresh"
//! mints a token for a copied proof, a false "spent" makes an honest client sign
//! again. So whatever cannot be known (an entry from before the last sweep after
//! the clock went back) is called spent.
//!
//! Not here: hashing the values, and the log of a gateway (`keybound-guard`).

use std::collections::{BTreeMap, HashMap};

use keybound_proto::time::UnixTime;
use keybound_proto::verify::ReplayQuery;

/// How many live values are kept, and how many of them one sender may own.
#[derive(Clone, Copy, Debug)]
pub(super) struct UseLimits {
    pub(super) total: usize,
    pub(super) per_sender: usize,
}

/// The set of values that must not be taken again.
#[derive(Debug)]
pub(super) struct LiveUses {
    limits: UseLimits,
    entries: HashMap<u128, Entry>,
    by_expiry: BTreeMap<UnixTime, Vec<u128>>,
    senders: HashMap<u64, usize>,
    /// What expired before this point has been forgotten.
    swept_to: UnixTime,
}

#[derive(Debug)]
struct Entry {
    sender: u64,
}

/// One value that may be spent once: a DPoP proof or a client assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneTimeUse {
    /// 128 bits of a keyed hash of the value and whom it belongs to.
    pub key: u128,
    /// Who spends it, for fairness between senders.
    pub sender: u64,
    /// The first second at which the value cannot be accepted any more.
    pub expires_at: UnixTime,
}

impl From<ReplayQuery> for OneTimeUse {
    fn from(query: ReplayQuery) -> Self {
        Self {
            key: query.key(),
            sender: query.sender(),
            expires_at: query.expires_at(),
        }
    }
}

/// Whether a value may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    /// Nobody can be served: the set is full.
    Full,
    /// This sender owns its full share.
    SenderFull,
    Spent,
}

impl LiveUses {
    pub(super) fn new(limits: UseLimits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            by_expiry: BTreeMap::new(),
            senders: HashMap::new(),
            swept_to: UnixTime::default(),
        }
    }

    /// Whether `spend` is new. Changes nothing.
    pub(super) fn judge(&self, spend: &OneTimeUse) -> Freshness {
        if spend.expires_at < self.swept_to || self.entries.contains_key(&spend.key) {
            return Freshness::Spent;
        }
        if self.senders.get(&spend.sender).copied().unwrap_or(0) >= self.limits.per_sender {
            return Freshness::SenderFull;
        }
        if self.entries.len() >= self.limits.total {
            return Freshness::Full;
        }
        Freshness::Fresh
    }

    /// Remembers a value that was judged fresh, or one read back at open.
    pub(super) fn insert(&mut self, spend: &OneTimeUse) {
        let entry = Entry {
            sender: spend.sender,
        };
        if self.entries.insert(spend.key, entry).is_none() {
            self.by_expiry
                .entry(spend.expires_at)
                .or_default()
                .push(spend.key);
            *self.senders.entry(spend.sender).or_default() += 1;
        }
    }

    /// Takes an insertion back because its transaction did not commit.
    pub(super) fn forget(&mut self, spend: &OneTimeUse) {
        if let Some(keys) = self.by_expiry.get_mut(&spend.expires_at) {
            keys.retain(|key| *key != spend.key);
        }
        self.drop_entry(spend.key);
    }

    /// Forgets what expired before `now`.
    pub(super) fn sweep(&mut self, now: UnixTime) {
        while let Some(first) = self.by_expiry.first_entry() {
            if *first.key() >= now {
                break;
            }
            for key in first.remove() {
                self.drop_entry(key);
            }
        }
        self.swept_to = self.swept_to.max(now);
    }

    fn drop_entry(&mut self, key: u128) {
        let Some(entry) = self.entries.remove(&key) else {
            return;
        };
        if let Some(count) = self.senders.get_mut(&entry.sender) {
            *count -= 1;
            if *count == 0 {
                self.senders.remove(&entry.sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    fn spend(key: u128, sender: u64, expires: u64) -> OneTimeUse {
        OneTimeUse {
            key,
            sender,
            expires_at: at(expires),
        }
    }

    fn small() -> LiveUses {
        LiveUses::new(UseLimits {
            total: 3,
            per_sender: 2,
        })
    }

    #[test]
    fn a_value_is_spent_once_until_it_expires() {
        let mut uses = small();
        let value = spend(1, 7, 100);
        assert_eq!(uses.judge(&value), Freshness::Fresh);
        uses.insert(&value);
        assert_eq!(uses.judge(&value), Freshness::Spent);
        uses.sweep(at(100));
        assert_eq!(
            uses.judge(&value),
            Freshness::Spent,
            "live in its last second"
        );
    }

    #[test]
    fn after_the_clock_went_back_the_forgotten_stays_spent() {
        let mut uses = small();
        uses.insert(&spend(1, 7, 100));
        uses.sweep(at(101));
        assert!(uses.entries.is_empty());
        assert_eq!(uses.judge(&spend(1, 7, 100)), Freshness::Spent);
        assert_eq!(uses.judge(&spend(2, 7, 101)), Freshness::Fresh);
    }

    #[test]
    fn a_flooding_sender_is_stopped_before_the_others() {
        let mut uses = small();
        uses.insert(&spend(1, 7, 100));
        uses.insert(&spend(2, 7, 100));
        assert_eq!(uses.judge(&spend(3, 7, 100)), Freshness::SenderFull);
        assert_eq!(uses.judge(&spend(3, 8, 100)), Freshness::Fresh);
        uses.insert(&spend(3, 8, 100));
        assert_eq!(uses.judge(&spend(4, 9, 100)), Freshness::Full);
        uses.sweep(at(101));
        assert_eq!(uses.judge(&spend(4, 7, 200)), Freshness::Fresh);
    }

    #[test]
    fn an_insertion_can_be_taken_back() {
        let mut uses = small();
        let value = spend(1, 7, 100);
        uses.insert(&value);
        uses.forget(&value);
        assert_eq!(uses.judge(&value), Freshness::Fresh);
        assert!(uses.senders.is_empty());
    }
}
