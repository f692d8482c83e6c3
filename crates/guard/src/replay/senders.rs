//! Fairness between the keys that send proofs: none may fill the replay log.
//!
//! Two levels, both the generic cell rate algorithm with room for a burst:
//!
//! 1. A fixed array of cells, shared by all senders that hash to them. While a
//!    cell is within its limit nobody in it can be over theirs, and nothing
//!    about single senders is stored. That is the usual case: one atomic word.
//! 2. In a cell over its limit, each sender is counted exactly, in a map that
//!    holds only senders with a record of the last window.
//!
//! Each level admits a quarter of the limit at once and a quarter per window,
//! so within any window a sender gets at most the limit, a steady sender is
//! served up to half of it, and an innocent neighbour in a flooded cell still
//! has a level of its own. Cells are chosen by a hash under a random key, so
//! that nobody can aim at a neighbour.
//!
//! Knows nothing of proofs; a sender is 64 bits of its key's thumbprint.

use hashbrown::HashTable;

use super::sync::{AtomicU64, Mutex, Ordering};

/// Binary places of a point in time below one second.
const FRACTION_BITS: u32 = 20;

/// How many maps the exact level is split into.
const EXACT_SHARDS: usize = 16;

/// Below this size an exact map is not searched for senders to forget.
const SMALL: usize = 64;

/// Per-sender limits.
pub(super) struct Senders {
    cells: Box<[AtomicU64]>,
    exact: Box<[Mutex<Exact>]>,
    secret: u64,
    pace: Pace,
}

/// How fast one cell or sender may go, in fractions of a second.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Between two records at the steady rate.
    interval: u64,
    /// How far ahead of now the schedule may run: the burst.
    ahead: u64,
}

/// One map of the exact level.
#[derive(Default)]
struct Exact {
    schedule: HashTable<(u64, u64)>,
    /// Forget idle senders when the map has grown to this size.
    forget_at: usize,
}

impl Senders {
    /// Limits each sender to `limit` records per `window` seconds. `cells` is a
    /// power of two; `secret` is random.
    pub(super) fn new(limit: usize, window: u64, cells: usize, secret: u64) -> Self {
        let exact = (0..EXACT_SHARDS.min(cells)).map(|_| Mutex::new(Exact::default()));
        Self {
            cells: (0..cells.max(1)).map(|_| AtomicU64::new(0)).collect(),
            exact: exact.collect(),
            secret,
            pace: Pace::new(limit / 4, window),
        }
    }

    /// Counts one record of `sender` at `now` (seconds), unless that is too many.
    #[inline]
    pub(super) fn admit(&self, sender: u64, now: u64) -> bool {
        let now = now.saturating_mul(1 << FRACTION_BITS);
        let mixed = mix(self.secret, sender);
        let Some(cell) = pick(&self.cells, mixed) else {
            return false;
        };
        let pace = self.pace;
        let within = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |schedule| {
            pace.next(schedule, now)
        });
        within.is_ok() || self.admit_exactly(sender, mixed, now)
    }

    /// Whether [`Senders::admit`] would count one more record now.
    pub(super) fn has_room(&self, sender: u64, now: u64) -> bool {
        let now = now.saturating_mul(1 << FRACTION_BITS);
        let mixed = mix(self.secret, sender);
        let Some(cell) = pick(&self.cells, mixed) else {
            return false;
        };
        let is_within = |schedule| self.pace.next(schedule, now).is_some();
        if is_within(cell.load(Ordering::Relaxed)) {
            return true;
        }
        let of_sender = mix(self.secret, sender).rotate_right(32);
        pick(&self.exact, mixed).is_some_and(|map| {
            let map = map.lock();
            let known = map.schedule.find(of_sender, |(known, _)| *known == sender);
            known.is_none_or(|(_, schedule)| is_within(*schedule))
        })
    }

    /// Bytes on the heap.
    pub(super) fn allocated_bytes(&self) -> usize {
        let exact = self.exact.iter();
        let exact: usize = exact.map(|map| map.lock().schedule.allocation_size()).sum();
        exact.saturating_add(size_of_val(&*self.cells))
    }

    #[cold]
    fn admit_exactly(&self, sender: u64, mixed: u64, now: u64) -> bool {
        let hash = |sender| mix(self.secret, sender).rotate_right(32);
        pick(&self.exact, mixed).is_some_and(|map| map.lock().admit(self.pace, sender, now, hash))
    }
}

impl Exact {
    fn admit(&mut self, pace: Pace, sender: u64, now: u64, hash: impl Fn(u64) -> u64) -> bool {
        let of_sender = hash(sender);
        let known = self
            .schedule
            .find_mut(of_sender, |(known, _)| *known == sender);
        if let Some((_, schedule)) = known {
            let next = pace.next(*schedule, now);
            *schedule = next.unwrap_or(*schedule);
            return next.is_some();
        }
        if self.schedule.len() >= self.forget_at.max(SMALL) {
            self.forget_idle(now);
        }
        let Some(next) = pace.next(0, now) else {
            return false;
        };
        self.schedule
            .insert_unique(of_sender, (sender, next), |(known, _)| hash(*known));
        true
    }

    fn forget_idle(&mut self, now: u64) {
        self.schedule.retain(|(_, schedule)| *schedule > now);
        self.forget_at = self.schedule.len().saturating_mul(2);
    }
}

impl Pace {
    fn new(records: usize, window: u64) -> Self {
        let ahead = window.max(1).saturating_mul(1 << FRACTION_BITS);
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        Self {
            interval: ahead.checked_div(records).unwrap_or(ahead).max(1),
            ahead,
        }
    }

    /// The schedule after one more record, or nothing if that would run too far ahead.
    fn next(self, schedule: u64, now: u64) -> Option<u64> {
        // A schedule further ahead than it could get was made before the clock
        // was set back; nobody is made to wait for that.
        let made_before_clock_change = schedule > now.saturating_add(self.ahead.saturating_mul(2));
        let from = if made_before_clock_change {
            now
        } else {
            schedule.max(now)
        };
        let next = from.saturating_add(self.interval);
        (next.saturating_sub(now) <= self.ahead).then_some(next)
    }
}

/// Folded multiplication with a secret odd number: cheap, and unpredictable to
/// those who choose their keys.
fn mix(secret: u64, sender: u64) -> u64 {
    let product = u128::from(sender ^ secret).wrapping_mul(u128::from(secret | 1));
    (product >> 64) as u64 ^ product as u64
}

/// The element chosen by the low bits of a mixed value.
fn pick<T>(from: &[T], mixed: u64) -> Option<&T> {
    let mask = from.len().checked_sub(1)?;
    from.get(usize::try_from(mixed & u64::try_from(mask).ok()?).ok()?)
}

#[cfg(all(test, not(keybound_loom)))]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn admitted(senders: &Senders, sender: u64, now: u64, attempts: usize) -> usize {
        (0..attempts).filter(|_| senders.admit(sender, now)).count()
    }

    #[test]
    fn flooding_sender_never_exceeds_its_limit_in_any_window() {
        let senders = Senders::new(1000, 70, 64, 0x9e37_79b9_7f4a_7c15);
        let mut per_second = Vec::new();
        for second in 0..700 {
            per_second.push(admitted(&senders, 7, NOW + second, 100));
            let window: usize = per_second.iter().rev().take(70).sum();
            assert!(window <= 1000, "{window} at {second}");
        }
        let last: usize = per_second.iter().rev().take(70).sum();
        assert!(
            last >= 480,
            "a steady sender is served to half of its limit: {last}"
        );
    }

    #[test]
    fn asking_for_room_says_what_admitting_would_and_counts_nothing() {
        let senders = Senders::new(400, 70, 1, 1);
        for second in 0..100 {
            for sender in [1, 1, 1, 1, 1, 2] {
                let room = senders.has_room(sender, NOW + second);
                assert_eq!(room, senders.has_room(sender, NOW + second));
                assert_eq!(room, senders.admit(sender, NOW + second));
            }
        }
        assert!(!senders.has_room(1, NOW + 99));
    }

    #[test]
    fn neighbours_in_a_flooded_cell_are_served() {
        // One cell: every sender is everybody's neighbour.
        let senders = Senders::new(400, 70, 1, 1);
        assert_eq!(admitted(&senders, 1, NOW, 100_000), 200);
        for neighbour in 2..1000 {
            assert_eq!(admitted(&senders, neighbour, NOW, 50), 50);
        }
    }

    #[test]
    fn idle_senders_are_forgotten() {
        let senders = Senders::new(4, 70, 1, 1);
        for sender in 0..100_000 {
            senders.admit(sender, NOW + sender);
        }
        assert!(
            senders.allocated_bytes() < 64 * 1024,
            "{}",
            senders.allocated_bytes()
        );
    }

    #[test]
    fn clock_set_back_does_not_lock_senders_out() {
        let senders = Senders::new(400, 70, 1, 1);
        admitted(&senders, 1, NOW + 86_400, 1000);
        assert!(senders.admit(1, NOW));
    }
}
