//! The in-memory replay log: inserts per second and bytes per entry.

use std::time::Instant;

use keybound_guard::replay::{MemoryLog, ReplayConfig, ReplayMode, ReplayStart};
use keybound_proto::time::UnixTime;
use keybound_proto::verify::ReplayQuery;

use crate::row::{REPORTED, print, print_absolute};

const NOW: u64 = 1_800_000_000;
/// Live entries of the comparison "does the cost grow?".
const SMALL: u64 = 10_000;

pub(crate) fn run(quick: bool) {
    let sizes: &[u64] = if quick {
        &[200_000]
    } else {
        &[1_000_000, 10_000_000]
    };
    let (small, _) = fill(SMALL);
    for size in sizes {
        let (nanoseconds, bytes) = fill(*size);
        let million = nanoseconds.recip() * 1e3;
        let what = format!("replay log inserts per second on one core, {size} live entries");
        print_absolute(
            &what,
            "million/s",
            million,
            ("at least 5 million/s", million >= 5.0),
        );
        let what = format!("replay log memory per entry, {size} live entries");
        print_absolute(
            &what,
            "bytes",
            bytes,
            ("at most 40 bytes at 10 million", bytes <= 40.0),
        );
        let what = format!("cost of one insert, {size} live entries");
        let baseline = ("the same with 10,000 live entries", small);
        print(&what, "ns", nanoseconds, baseline, REPORTED);
    }
}

/// Nanoseconds per insert of the last tenth, and bytes per entry.
fn fill(size: u64) -> (f64, f64) {
    let capacity = usize::try_from(size).expect("a 64-bit machine") + 1_000;
    let config = ReplayConfig {
        mode: ReplayMode::BestEffort,
        capacity,
        per_sender: capacity,
        first_run: true,
    };
    let now = UnixTime::from_secs(NOW);
    let start = ReplayStart {
        now,
        window: 70,
        ahead: 10,
        random: 7,
    };
    let log = MemoryLog::new(&config, start);
    let epoch = log.epoch();
    let query = |number: u64| {
        // Keys are keyed hashes in real use: spread them as such.
        let spread = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let made = UnixTime::from_secs(NOW - number % 60);
        ReplayQuery::for_tests(spread, number % 5_000, made, made.plus(61))
    };
    let tail = size - size / 10;
    for number in 0..tail {
        log.record(query(number), epoch, now).expect("room");
    }
    let begin = Instant::now();
    for number in tail..size {
        log.record(query(number), epoch, now).expect("room");
    }
    let nanoseconds = begin.elapsed().as_secs_f64() * 1e9 / (size - tail) as f64;
    (nanoseconds, log.approximate_bytes() as f64 / size as f64)
}
