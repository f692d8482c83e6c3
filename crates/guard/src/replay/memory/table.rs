//! One table of replay records: an exact set of 104-bit keys, each beside the
//! time bucket in which it ends, in 16 bytes.
//!
//! A record is the upper 104 bits of the keyed hash with the number of its
//! bucket in the lower 24. The set compares the upper bits only, so a proof is
//! found again whatever bucket it would go to now. Dropping a bucket is one
//! sequential pass over the table, once per bucket and table; spread over the
//! inserts of a bucket's time that is a constant share per insert.
//!
//! Knows no clock and no sender; see the parent module for both.

use hashbrown::HashTable;

use crate::replay::BUCKET_SECONDS;

/// Bits of a record that hold its bucket's number, modulo their range (over five years).
const BUCKET_BITS: u32 = 24;

/// The bucket part of a record.
const BUCKET_MASK: u128 = (1 << BUCKET_BITS) - 1;

/// The number of a time bucket: Unix seconds divided by [`BUCKET_SECONDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket(u64);

/// Records of one slice of the key space.
#[derive(Debug, Default)]
pub(super) struct Table {
    records: HashTable<u128>,
    /// The bucket that was current when ended buckets were last dropped.
    swept: Option<Bucket>,
}

impl Bucket {
    /// The bucket that a second falls into.
    pub(super) const fn of(seconds: u64) -> Self {
        Self(seconds / BUCKET_SECONDS)
    }

    /// The last second that has ended for certain when this bucket is current.
    pub(super) const fn last_ended_second(self) -> u64 {
        self.0.saturating_mul(BUCKET_SECONDS).saturating_sub(1)
    }
}

impl Table {
    /// Whether a record with this key exists, ended or not.
    #[inline]
    pub(super) fn contains(&self, key: u128) -> bool {
        self.records
            .find(hash(key), |record| is_same_key(*record, key))
            .is_some()
    }

    /// Adds a record. The caller has seen that the key is new, under the same lock.
    #[inline]
    pub(super) fn insert(&mut self, key: u128, end: Bucket) {
        let record = (key & !BUCKET_MASK) | (u128::from(end.0) & BUCKET_MASK);
        self.records
            .insert_unique(hash(key), record, |record| hash(*record));
    }

    /// Whether [`Table::drop_ended`] has nothing to do.
    pub(super) fn is_swept(&self, current: Bucket) -> bool {
        self.swept == Some(current)
    }

    /// Drops every record whose bucket ended before `current` and says how many.
    pub(super) fn drop_ended(&mut self, current: Bucket) -> usize {
        let before = self.records.len();
        self.records.retain(|record| !has_ended(*record, current));
        self.swept = Some(current);
        let kept = self.records.len();
        // A flood's memory goes back when the flood is over; the margin keeps a
        // steady load from growing and shrinking in turn.
        if self.records.capacity() > kept.saturating_mul(4).max(64) {
            self.records
                .shrink_to(kept.saturating_mul(2), |record| hash(*record));
        }
        before.saturating_sub(kept)
    }

    /// Bytes on the heap.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.records.allocation_size()
    }
}

/// The keys are keyed hashes already; their upper half is as good as any other hash.
const fn hash(key: u128) -> u64 {
    (key >> 64) as u64
}

const fn is_same_key(record: u128, key: u128) -> bool {
    (record ^ key) <= BUCKET_MASK
}

/// Whether the record's bucket lies before `current`, on the ring of bucket numbers.
fn has_ended(record: u128, current: Bucket) -> bool {
    let ahead = u128::from(current.0).wrapping_sub(record) & BUCKET_MASK;
    ahead != 0 && ahead <= BUCKET_MASK >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: u128 = 0xfeed_0000_0000_0000_0000_0000_0000_1234 << 4;

    #[test]
    fn key_is_found_whatever_its_bucket_and_neighbours_are_not() {
        let mut table = Table::default();
        table.insert(KEY, Bucket::of(1_700_000_000));
        assert!(!table.contains(KEY ^ (1 << BUCKET_BITS)));
        assert!(!table.contains(KEY ^ (1 << 127)));
        assert!(table.contains(KEY));
        assert!(table.contains(KEY ^ 1), "the low bits belong to the bucket");
    }

    #[test]
    fn record_stays_until_its_bucket_is_over() {
        let end = 1_700_000_009;
        let mut table = Table::default();
        table.insert(KEY, Bucket::of(end));
        for second in end - 100..=end {
            table.drop_ended(Bucket::of(second));
            assert!(table.contains(KEY), "{second}");
        }
        assert_eq!(table.drop_ended(Bucket::of(end + 1)), 1);
        assert!(!table.contains(KEY));
    }

    #[test]
    fn numbering_wraps_without_losing_records() {
        let wrap = (1_u64 << BUCKET_BITS) * BUCKET_SECONDS;
        let mut table = Table::default();
        table.insert(KEY, Bucket::of(wrap + 5));
        table.drop_ended(Bucket::of(wrap - 5));
        assert!(table.contains(KEY));
        assert_eq!(table.drop_ended(Bucket::of(wrap + 10)), 1);
    }

    #[test]
    fn memory_goes_back_after_a_flood() {
        let mut table = Table::default();
        for low in 0..10_000_u128 {
            table.insert(low << 64 | low << 30, Bucket::of(100));
        }
        let full = table.allocated_bytes();
        assert_eq!(table.drop_ended(Bucket::of(200)), 10_000);
        assert!(table.allocated_bytes() < full / 20);
    }
}
