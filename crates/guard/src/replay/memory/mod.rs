//! The in-memory replay log: a proof is accepted once (RFC 9449 section 11.1).
//!
//! - **Exact.** Records are 104 bits of a keyed hash of (`jkt`, `jti`); no
//!   filter, no false acceptance. One use per key and `jti` as long as the
//!   proof could be accepted, whatever its `iat`.
//! - **Atomic.** Looking and inserting happen under one lock, so of any number
//!   of simultaneous uses exactly one is told "new".
//! - **Never forgetful.** A live record is never evicted. A record lives at
//!   least until its `expires_at` and at most one bucket ([`BUCKET_SECONDS`])
//!   longer; then its whole bucket goes.
//! - **Bounded and fair.** At most `capacity` records, at most `per_sender` of
//!   one key. Who is over its limit is refused as a flood; only when everything
//!   is full are others refused too.
//! - **Honest about what it cannot know.** After a start in strict mode, and
//!   after the clock was set back behind what has been dropped already, proofs
//!   that might have been used before are refused until they carry a nonce of
//!   the current epoch (see [`MemoryLog::epoch`]).
//!
//! What wrong answers would cost: a false "used before" refuses an honest
//! request, a false "new" is a replay. Every doubt is answered with a refusal.
//!
//! Not here: sharing between nodes and surviving a restart. Records live in
//! this process; the epoch rule keeps a restart from opening a window.

use std::future::Future;
use std::ops::DerefMut;

use keybound_proto::time::UnixTime;
use keybound_proto::verify::{Recorded, ReplayQuery};

use self::table::{Bucket, Table};
use super::senders::Senders;
use super::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};
use super::{
    BUCKET_SECONDS, EPOCH_SKEW, LogStatus, ReplayConfig, ReplayLog, ReplayMode, ReplayRefusal,
    ReplayStart,
};

mod table;

/// The log. Shared by reference; every method takes `&self`.
pub struct MemoryLog {
    shards: Box<[Shard]>,
    senders: Senders,
    /// Records held, ended ones that are not dropped yet included.
    held: AtomicUsize,
    capacity: usize,
    /// In strict mode a proof needs an `iat` after this second, or a nonce.
    issued_after: u64,
    /// Names the run whose nonces vouch for a proof.
    epoch: AtomicU64,
    /// Everything that ended up to this second may have been dropped, ever.
    dropped: AtomicU64,
    /// The same, counted since the epoch began.
    dropped_in_epoch: AtomicU64,
    /// The bucket during which everything was last swept because the log was full.
    swept_when_full: AtomicU64,
}

/// How a log is cut up. Small shapes keep model checking feasible.
#[derive(Clone, Copy)]
struct Shape {
    shards: usize,
    cells: usize,
}

/// One slice of the key space, on cache lines of its own.
#[repr(align(64))]
struct Shard(Mutex<Table>);

impl Shard {
    fn lock(&self) -> impl DerefMut<Target = Table> {
        self.0.lock()
    }
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new(config: &ReplayConfig, start: ReplayStart) -> Self {
        let shape = Shape {
            shards: 256,
            cells: 1 << 14,
        };
        Self::with_shape(config, start, shape)
    }

    fn with_shape(config: &ReplayConfig, start: ReplayStart, shape: Shape) -> Self {
        let window = start.window.saturating_add(BUCKET_SECONDS);
        let strict = config.mode == ReplayMode::Strict && !config.first_run;
        let issued_after = start.now.plus(start.ahead).plus(EPOCH_SKEW).as_secs();
        Self {
            shards: (0..shape.shards.max(1))
                .map(|_| Shard(Mutex::new(Table::default())))
                .collect(),
            senders: Senders::new(config.per_sender, window, shape.cells, start.random),
            held: AtomicUsize::new(0),
            capacity: config.capacity,
            issued_after: if strict { issued_after } else { 0 },
            epoch: AtomicU64::new(match config.mode {
                ReplayMode::BestEffort => 0,
                ReplayMode::Strict => start.random,
            }),
            dropped: AtomicU64::new(0),
            dropped_in_epoch: AtomicU64::new(0),
            swept_when_full: AtomicU64::new(0),
        }
    }

    /// Records a proof, as the last step of its verification.
    ///
    /// `epoch` is what [`MemoryLog::epoch`] said when the proof's nonce was
    /// checked; [`ReplayQuery::recent_nonce`] counts for that epoch only.
    ///
    /// # Errors
    ///
    /// [`ReplayRefusal`]; nothing is stored then.
    #[inline]
    pub fn record(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> Result<Recorded, ReplayRefusal> {
        self.insert_entry(&Entry::of(query, epoch), now)
            .map(|Inserted| Recorded::assertion(query))
    }

    /// Answers as [`MemoryLog::record`] would, and stores nothing.
    ///
    /// # Errors
    ///
    /// [`ReplayRefusal`].
    pub fn find(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> Result<Recorded, ReplayRefusal> {
        let entry = Entry::of(query, epoch);
        let shard = self.shard(entry.key).ok_or(ReplayRefusal::Full)?;
        let mut table = shard.lock();
        self.sweep_table(&mut table, Bucket::of(now.as_secs()));
        if table.contains(entry.key) {
            return Err(ReplayRefusal::Replayed);
        }
        self.check_memory_reaches(&entry, now)?;
        Ok(Recorded::looked_up(query))
    }

    /// Names the run whose nonces prove that a proof is not older than the
    /// log's memory. Changes when the clock was set back so far that dropped
    /// records matter again; nonces must then be made anew.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// How many records are held, ended ones that are not dropped yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether no record is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most records that are held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Memory the log takes now, bytes, without the allocator's own overhead.
    #[must_use]
    pub fn approximate_bytes(&self) -> usize {
        let tables = self
            .shards
            .iter()
            .map(|shard| size_of::<Shard>().saturating_add(shard.lock().allocated_bytes()));
        tables.fold(self.senders.allocated_bytes(), usize::saturating_add)
    }

    /// Drops what has ended. Inserts do this for the tables they touch; calling
    /// it now and then gives an idle log's memory back.
    pub fn sweep(&self, now: UnixTime) {
        let current = Bucket::of(now.as_secs());
        for shard in &self.shards {
            self.sweep_table(&mut shard.lock(), current);
        }
    }

    fn shard(&self, key: u128) -> Option<&Shard> {
        let mask = u128::try_from(self.shards.len().checked_sub(1)?).ok()?;
        let index = usize::try_from((key >> SHARD_SHIFT) & mask).ok()?;
        self.shards.get(index)
    }

    #[inline]
    fn insert_entry(&self, entry: &Entry, now: UnixTime) -> Result<Inserted, ReplayRefusal> {
        loop {
            match self.try_insert(entry, now) {
                // Once per bucket of time at most, so this ends.
                Err(ReplayRefusal::Full) if self.made_room(now) => {}
                outcome => return outcome,
            }
        }
    }

    #[inline]
    fn try_insert(&self, entry: &Entry, now: UnixTime) -> Result<Inserted, ReplayRefusal> {
        let shard = self.shard(entry.key).ok_or(ReplayRefusal::Full)?;
        let mut table = shard.lock();
        self.sweep_table(&mut table, Bucket::of(now.as_secs()));
        if table.contains(entry.key) {
            return Err(ReplayRefusal::Replayed);
        }
        self.check_memory_reaches(entry, now)?;
        if !self.senders.admit(entry.sender, now.as_secs()) {
            return Err(ReplayRefusal::Flood);
        }
        if self.held.fetch_add(1, Ordering::Relaxed) >= self.capacity {
            self.held.fetch_sub(1, Ordering::Relaxed);
            return Err(ReplayRefusal::Full);
        }
        table.insert(entry.key, Bucket::of(entry.expires_at));
        Ok(Inserted)
    }

    /// Refuses a proof whose earlier use could have been forgotten, by a start
    /// or because the clock was set back behind a dropped bucket. Asked under the
    /// lock of the proof's table, so what was dropped from it is known.
    fn check_memory_reaches(&self, entry: &Entry, now: UnixTime) -> Result<(), ReplayRefusal> {
        let younger_than_start = entry.issued_at > self.issued_after;
        let outlives_dropped = entry.expires_at > self.dropped.load(Ordering::SeqCst);
        if younger_than_start && outlives_dropped {
            return Ok(());
        }
        self.check_nonce_vouches(entry, now)
    }

    /// Whether the proof carries a nonce of the current epoch, and nothing that
    /// could be this proof was dropped since that epoch began.
    #[cold]
    fn check_nonce_vouches(&self, entry: &Entry, now: UnixTime) -> Result<(), ReplayRefusal> {
        // INVARIANT: a new epoch is published before its memory starts empty
        // (`begin_epoch`), so reading in the opposite order never pairs the old
        // epoch with the new, empty memory.
        let dropped_in_epoch = self.dropped_in_epoch.load(Ordering::SeqCst);
        let epoch = self.epoch.load(Ordering::SeqCst);
        if entry.expires_at > dropped_in_epoch {
            let is_vouched_for = entry.nonce_epoch == Some(epoch);
            return is_vouched_for.then_some(()).ok_or(ReplayRefusal::Epoch);
        }
        // A small step back costs proofs in their last seconds only and is over
        // soon; a large one would refuse everybody, so memory starts anew.
        if now.plus(2 * BUCKET_SECONDS).as_secs() < dropped_in_epoch {
            self.begin_epoch(epoch);
        }
        Err(ReplayRefusal::Epoch)
    }

    fn begin_epoch(&self, seen: u64) {
        let next = seen.wrapping_add(1);
        let ordering = Ordering::SeqCst;
        if self
            .epoch
            .compare_exchange(seen, next, ordering, ordering)
            .is_ok()
        {
            self.dropped_in_epoch.store(0, ordering);
            tracing::warn!("the clock was set back; proofs need a nonce until it catches up");
        }
    }

    #[inline]
    fn sweep_table(&self, table: &mut Table, current: Bucket) {
        if !table.is_swept(current) {
            self.drop_ended(table, current);
        }
    }

    #[cold]
    fn drop_ended(&self, table: &mut Table, current: Bucket) {
        // Before the records go, so that whoever takes the lock next knows.
        let ended = current.last_ended_second();
        self.dropped.fetch_max(ended, Ordering::SeqCst);
        self.dropped_in_epoch.fetch_max(ended, Ordering::SeqCst);
        let dropped = table.drop_ended(current);
        self.held.fetch_sub(dropped, Ordering::Relaxed);
    }

    /// Sweeps everything, once per bucket of time; whether it was done now.
    #[cold]
    fn made_room(&self, now: UnixTime) -> bool {
        let bucket = now.as_secs() / BUCKET_SECONDS;
        let before = self.swept_when_full.swap(bucket, Ordering::Relaxed);
        if before != bucket {
            self.sweep(now);
        }
        before != bucket
    }
}

/// What the log needs to know of a proof.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u128,
    sender: u64,
    issued_at: u64,
    expires_at: u64,
    /// The epoch over which the proof's nonce was made, where it had a good one.
    nonce_epoch: Option<u64>,
}

impl Entry {
    fn of(query: ReplayQuery, epoch: u64) -> Self {
        Self {
            key: query.key(),
            sender: query.sender(),
            issued_at: query.issued_at().as_secs(),
            expires_at: query.expires_at().as_secs(),
            nonce_epoch: query.recent_nonce().then_some(epoch),
        }
    }
}

/// Never waits: the futures are ready when they are made.
impl ReplayLog for MemoryLog {
    #[inline]
    fn insert(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> impl Future<Output = Result<Recorded, ReplayRefusal>> + Send {
        std::future::ready(self.record(query, epoch, now))
    }

    fn look(
        &self,
        query: ReplayQuery,
        epoch: u64,
        now: UnixTime,
    ) -> impl Future<Output = Result<Recorded, ReplayRefusal>> + Send {
        std::future::ready(self.find(query, epoch, now))
    }

    fn epoch(&self) -> u64 {
        Self::epoch(self)
    }

    fn status(&self) -> LogStatus {
        LogStatus {
            ok: self.len() < self.capacity,
            detail: format!("{} of {} records", self.len(), self.capacity),
            records: Some(self.len()),
            ..LogStatus::default()
        }
    }

    fn sweep(&self, now: UnixTime) {
        Self::sweep(self, now);
    }
}

/// The record did not exist, and does now.
struct Inserted;

/// Bits of the key that choose the shard. They lie above the bits a table
/// replaces by the bucket and below those it hashes by.
const SHARD_SHIFT: u32 = 24;

impl std::fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLog")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, keybound_loom))]
mod model;
#[cfg(all(test, not(keybound_loom)))]
mod tests;
