use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Counter, Ordering as Order};

use proptest::prelude::*;

use super::*;

const START: u64 = 1_700_000_000;
const PAST: u64 = 60;
const AHEAD: u64 = 10;
const SECRET: u64 = 0x1234_5678_9abc_def0;

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds)
}

fn log(config: ReplayConfig) -> MemoryLog {
    MemoryLog::new(&config, start())
}

fn start() -> ReplayStart {
    ReplayStart {
        now: at(START),
        window: PAST + AHEAD + 1,
        ahead: AHEAD,
        random: SECRET,
    }
}

const ROOMY: ReplayConfig = ReplayConfig {
    mode: ReplayMode::Strict,
    capacity: 1_000_000,
    per_sender: 1_000_000,
    first_run: true,
};

/// A proof as the guard would present it: number `id` of `sender`, made at `iat`.
fn proof(id: u64, sender: u64, iat: u64) -> Entry {
    Entry {
        key: spread(id, sender),
        sender,
        issued_at: iat,
        expires_at: iat + PAST + 1,
        nonce_epoch: None,
    }
}

/// Stands for the keyed hash: distinct numbers, all bits stirred.
fn spread(id: u64, sender: u64) -> u128 {
    let mix = |mut x: u64| {
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let high = mix(id ^ mix(sender));
    u128::from(high) << 64 | u128::from(mix(high))
}

fn refusal(log: &MemoryLog, entry: Entry, now: u64) -> Option<ReplayRefusal> {
    log.insert_entry(&entry, at(now)).err()
}

#[test]
fn sc_080_same_proof_twice() {
    let log = log(ROOMY);
    let entry = proof(1, 1, START);
    assert_eq!(refusal(&log, entry, START), None);
    assert_eq!(refusal(&log, entry, START), Some(ReplayRefusal::Replayed));
    assert_eq!(log.len(), 1);
}

#[test]
fn sc_081_other_iat_is_still_a_replay() {
    let log = log(ROOMY);
    assert_eq!(refusal(&log, proof(1, 1, START), START), None);
    for iat in START - 50..=START + AHEAD {
        let again = proof(1, 1, iat);
        assert_eq!(
            refusal(&log, again, START),
            Some(ReplayRefusal::Replayed),
            "{iat}"
        );
    }
}

#[test]
fn sc_083_same_jti_of_another_key_is_new() {
    let log = log(ROOMY);
    assert_eq!(refusal(&log, proof(1, 1, START), START), None);
    assert_eq!(refusal(&log, proof(1, 2, START), START), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever its age at first use, a proof is refused in every second in
    /// which its window is still open, with other traffic going on.
    #[test]
    fn sc_086_refused_at_every_second_of_the_window(
        start in START..START + 30,
        iat_offset in -(PAST as i64)..=AHEAD as i64,
        per_second in 0_u64..20,
    ) {
        let log = log(ROOMY);
        let iat = start.saturating_add_signed(iat_offset);
        let entry = proof(u64::MAX, 9, iat);
        prop_assert_eq!(refusal(&log, entry, start), None);
        for second in start..entry.expires_at {
            for noise in 0..per_second {
                prop_assert_eq!(refusal(&log, proof(second << 8 | noise, noise, second), second), None);
            }
            prop_assert_eq!(refusal(&log, entry, second), Some(ReplayRefusal::Replayed));
        }
    }

    /// A record is gone at most one bucket after its end.
    #[test]
    fn record_lives_at_most_one_bucket_longer(start in START..START + 30, age in 0_u64..=PAST) {
        let log = log(ROOMY);
        let entry = proof(1, 1, start - age);
        prop_assert_eq!(refusal(&log, entry, start), None);
        log.sweep(at(entry.expires_at));
        log.sweep(at(entry.expires_at + BUCKET_SECONDS));
        prop_assert_eq!(log.len(), 0);
    }
}

#[test]
fn sc_087_foreign_proofs_push_nothing_out() {
    let log = log(ROOMY);
    let victim = proof(1, 1, START);
    assert_eq!(refusal(&log, victim, START), None);
    for id in 0..1001 {
        assert_eq!(refusal(&log, proof(id, 1000 + id, START), START), None);
    }
    assert_eq!(refusal(&log, victim, START), Some(ReplayRefusal::Replayed));
}

#[test]
fn sc_087_full_log_refuses_and_keeps_what_it_has() {
    let log = log(ReplayConfig {
        capacity: 100,
        ..ROOMY
    });
    for id in 0..100 {
        assert_eq!(refusal(&log, proof(id, id, START), START), None);
    }
    for id in 100..200 {
        assert_eq!(
            refusal(&log, proof(id, id, START), START),
            Some(ReplayRefusal::Full)
        );
    }
    for id in 0..100 {
        assert_eq!(
            refusal(&log, proof(id, id, START), START),
            Some(ReplayRefusal::Replayed)
        );
    }
    // Room comes back by itself when the window has passed.
    let later = START + PAST + 1 + BUCKET_SECONDS;
    assert_eq!(refusal(&log, proof(300, 300, later), later), None);
    log.sweep(at(later));
    assert_eq!(log.len(), 1);
}

#[test]
fn f_11_flooding_key_is_stopped_and_others_are_served() {
    let log = log(ReplayConfig {
        capacity: 10_000,
        per_sender: 1000,
        ..ROOMY
    });
    let flood = (0..100_000).filter_map(|id| refusal(&log, proof(id, 7, START), START));
    assert!(
        flood
            .into_iter()
            .all(|refused| refused == ReplayRefusal::Flood)
    );
    assert!(log.len() <= 1000, "{}", log.len());
    for sender in 100..1000 {
        assert_eq!(refusal(&log, proof(sender, sender, START), START), None);
    }
}

#[test]
fn f_11_replays_are_not_charged_to_the_owner() {
    let log = log(ReplayConfig {
        per_sender: 40,
        ..ROOMY
    });
    let captured = proof(1, 7, START);
    assert_eq!(refusal(&log, captured, START), None);
    for _ in 0..10_000 {
        assert_eq!(
            refusal(&log, captured, START),
            Some(ReplayRefusal::Replayed)
        );
    }
    assert_eq!(refusal(&log, proof(2, 7, START), START), None);
}

#[test]
fn sc_090_restart_inside_the_window() {
    let restarted = log(ReplayConfig {
        first_run: false,
        ..ROOMY
    });
    for iat in START - PAST..=START + AHEAD + EPOCH_SKEW {
        let now = iat.clamp(START, START + PAST);
        let refused = refusal(&restarted, proof(iat, 1, iat), now);
        assert_eq!(refused, Some(ReplayRefusal::Epoch), "{iat}");
    }
    let fresh = START + AHEAD + EPOCH_SKEW + 1;
    assert_eq!(refusal(&restarted, proof(1, 1, fresh), fresh), None);
    let vouched = Entry {
        nonce_epoch: Some(restarted.epoch()),
        ..proof(2, 1, START)
    };
    assert_eq!(refusal(&restarted, vouched, START), None);
    assert_eq!(
        refusal(&restarted, vouched, START),
        Some(ReplayRefusal::Replayed)
    );
    let other_run = Entry {
        nonce_epoch: Some(restarted.epoch() ^ 1),
        ..proof(3, 1, START)
    };
    assert_eq!(
        refusal(&restarted, other_run, START),
        Some(ReplayRefusal::Epoch)
    );
    assert!(restarted.len() <= 2);
}

#[test]
fn epoch_rule_is_not_applied_on_first_run_or_best_effort() {
    for config in [
        ROOMY,
        ReplayConfig {
            mode: ReplayMode::BestEffort,
            first_run: false,
            ..ROOMY
        },
    ] {
        assert_eq!(
            refusal(&log(config), proof(1, 1, START - PAST), START),
            None
        );
    }
}

#[test]
fn f_08_clock_set_back_reopens_nothing() {
    let log = log(ROOMY);
    let entry = proof(1, 1, START);
    assert_eq!(refusal(&log, entry, START), None);
    // An hour ahead, by mistake: the record is dropped.
    let wrong = START + 3600;
    assert_eq!(refusal(&log, proof(2, 1, wrong), wrong), None);
    log.sweep(at(wrong));
    // Back: the proof is inside its window again, and still refused.
    let before = log.epoch();
    for _ in 0..3 {
        assert_eq!(refusal(&log, entry, START + 1), Some(ReplayRefusal::Epoch));
    }
    assert_ne!(log.epoch(), before, "nonces must be made anew");
    // A nonce of the old epoch proves nothing, one of the new epoch does.
    let old = Entry {
        nonce_epoch: Some(before),
        ..proof(3, 1, START + 1)
    };
    assert_eq!(refusal(&log, old, START + 1), Some(ReplayRefusal::Epoch));
    let new = Entry {
        nonce_epoch: Some(log.epoch()),
        ..proof(4, 1, START + 1)
    };
    assert_eq!(refusal(&log, new, START + 1), None);
    assert_eq!(refusal(&log, new, START + 2), Some(ReplayRefusal::Replayed));
    // When the clock has caught up nobody needs a nonce any more.
    let caught_up = wrong + 1;
    assert_eq!(refusal(&log, proof(5, 1, caught_up), caught_up), None);
}

#[test]
fn f_08_second_step_back_reopens_nothing_either() {
    let log = log(ROOMY);
    log.sweep(at(START + 3600));
    let _ = refusal(&log, proof(1, 1, START), START);
    let used = Entry {
        nonce_epoch: Some(log.epoch()),
        ..proof(2, 1, START)
    };
    assert_eq!(refusal(&log, used, START), None);
    log.sweep(at(START + 200));
    assert_eq!(log.len(), 0);
    assert_eq!(refusal(&log, used, START + 1), Some(ReplayRefusal::Epoch));
    assert_eq!(refusal(&log, used, START + 1), Some(ReplayRefusal::Epoch));
}

#[test]
fn small_step_back_keeps_the_epoch() {
    let log = log(ROOMY);
    log.sweep(at(START + 10));
    let before = log.epoch();
    assert_eq!(refusal(&log, proof(1, 1, START + 8), START + 8), None);
    assert_eq!(
        refusal(&log, proof(2, 1, START - 55), START),
        Some(ReplayRefusal::Epoch)
    );
    assert_eq!(log.epoch(), before);
}

#[test]
fn f_08_what_ended_in_the_last_dropped_second_counts_as_dropped() {
    let log = log(ROOMY);
    log.sweep(at(START + 200));
    let dropped = (START + 200) / BUCKET_SECONDS * BUCKET_SECONDS - 1;
    let ends = |end: u64| proof(end, 1, end - PAST - 1);
    let now = dropped - 15;
    for nonce_epoch in [None, Some(log.epoch())] {
        let last = Entry {
            nonce_epoch,
            ..ends(dropped)
        };
        assert_eq!(refusal(&log, last, now), Some(ReplayRefusal::Epoch));
    }
    assert_eq!(refusal(&log, ends(dropped + 1), now), None);
}

#[test]
fn f_08_epoch_ends_when_the_clock_is_more_than_two_buckets_back() {
    let log = log(ROOMY);
    log.sweep(at(START + 200));
    let dropped = (START + 200) / BUCKET_SECONDS * BUCKET_SECONDS - 1;
    let before = log.epoch();
    let entry = proof(1, 1, dropped - PAST - 20);
    let edge = dropped - 2 * BUCKET_SECONDS;
    assert_eq!(refusal(&log, entry, edge), Some(ReplayRefusal::Epoch));
    assert_eq!(log.epoch(), before, "exactly two buckets are a small step");
    assert_eq!(refusal(&log, entry, edge - 1), Some(ReplayRefusal::Epoch));
    assert_ne!(log.epoch(), before);
}

#[test]
fn log_says_how_full_it_is_and_may_be() {
    let log = log(ROOMY);
    assert!(log.is_empty());
    assert_eq!(log.capacity(), ROOMY.capacity);
    assert_eq!(refusal(&log, proof(1, 1, START), START), None);
    assert!(!log.is_empty());
}

#[test]
fn sc_088_one_success_among_threads() {
    let log = Arc::new(log(ROOMY));
    for round in 0..200 {
        let wins = Counter::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    if refusal(&log, proof(round, 1, START), START).is_none() {
                        wins.fetch_add(1, Order::SeqCst);
                    }
                });
            }
        });
        assert_eq!(wins.into_inner(), 1);
    }
}

#[test]
fn memory_per_record_stays_within_its_promise() {
    let log = log(ReplayConfig {
        capacity: 2_000_000,
        per_sender: 100_000,
        ..ROOMY
    });
    let empty = log.approximate_bytes();
    let mut worst = 0.0_f64;
    for id in 0..600_000 {
        assert_eq!(refusal(&log, proof(id, id % 1000, START), START), None);
        if id > 100_000 && id % 5000 == 0 {
            let bytes = (log.approximate_bytes() - empty) as f64;
            worst = worst.max(bytes / log.len() as f64);
        }
    }
    assert!(worst <= 40.0, "{worst} bytes per record");
}

#[test]
fn steady_load_over_many_windows_does_not_grow() {
    let log = log(ReplayConfig {
        per_sender: 1_000_000,
        ..ROOMY
    });
    let mut peak = 0;
    for second in 0..600 {
        for id in 0..2000 {
            let entry = proof(second << 16 | id, id, START + second);
            assert_eq!(refusal(&log, entry, START + second), None);
        }
        if second > 100 {
            peak = peak.max(log.approximate_bytes());
        }
    }
    let live = 2000 * (PAST + 1 + BUCKET_SECONDS);
    assert!(log.len() as u64 <= live + 20_000, "{}", log.len());
    let fixed = 400_000;
    assert!(
        peak as u64 <= live * 48 + fixed,
        "{peak} bytes for about {live} records"
    );
}
