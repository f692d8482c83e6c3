//! Every interleaving of the log's critical parts, by loom:
//! a step of `cargo xtask test`, built with `--cfg keybound_loom`.

use loom::sync::Arc;
use loom::thread;

use super::*;

const START: u64 = 1_700_000_000;

fn log(capacity: usize, per_sender: usize) -> MemoryLog {
    let config = ReplayConfig {
        mode: ReplayMode::Strict,
        capacity,
        per_sender,
        first_run: true,
    };
    let start = ReplayStart {
        now: UnixTime::from_secs(START),
        window: 71,
        ahead: 10,
        random: 7,
    };
    let shape = Shape {
        shards: 2,
        cells: 1,
    };
    MemoryLog::with_shape(&config, start, shape)
}

fn proof(id: u128, iat: u64) -> Entry {
    Entry {
        key: id << 64 | id << SHARD_SHIFT,
        sender: 1,
        issued_at: iat,
        expires_at: iat + 61,
        nonce_epoch: None,
    }
}

/// Inserts each entry from a thread of its own and counts the successes.
fn race(log: &Arc<MemoryLog>, entries: &[(Entry, u64)]) -> usize {
    let threads: Vec<_> = entries
        .iter()
        .map(|(entry, now)| {
            let (log, entry, now) = (Arc::clone(log), *entry, UnixTime::from_secs(*now));
            thread::spawn(move || log.insert_entry(&entry, now).is_ok())
        })
        .collect();
    let outcomes = threads.into_iter().map(|thread| thread.join().unwrap());
    outcomes.filter(|won| *won).count()
}

#[test]
fn one_proof_by_three_threads_succeeds_once() {
    loom::model(|| {
        let log = Arc::new(log(100, 100));
        let entry = (proof(1, START), START);
        assert_eq!(race(&log, &[entry, entry, entry]), 1);
        assert_eq!(log.len(), 1);
    });
}

#[test]
fn capacity_is_never_exceeded() {
    loom::model(|| {
        let log = Arc::new(log(1, 100));
        let wins = race(&log, &[(proof(1, START), START), (proof(2, START), START)]);
        assert_eq!(wins, 1);
        assert_eq!(log.len(), 1);
    });
}

#[test]
fn limit_of_one_sender_is_never_exceeded() {
    loom::model(|| {
        // A quarter at the first level and one at the second: two of three.
        let log = Arc::new(log(100, 4));
        let now = UnixTime::from_secs(START);
        let first = log.insert_entry(&proof(1, START), now).is_ok();
        let others = race(&log, &[(proof(2, START), START), (proof(3, START), START)]);
        assert_eq!((first, others), (true, 1));
    });
}

#[test]
fn sweep_beside_a_replay_reopens_nothing() {
    loom::model(|| {
        let log = Arc::new(log(100, 100));
        let used = proof(1, START);
        assert!(log.insert_entry(&used, UnixTime::from_secs(START)).is_ok());
        // One thread's clock has gone ahead and drops the record, another's has
        // been set back and sees the proof as fresh.
        let ahead = (proof(2, START + 3600), START + 3600);
        let back = (used, START + 1);
        assert_eq!(race(&log, &[ahead, back]), 1);
    });
}
