use std::sync::Mutex as StdMutex;
use std::time::Duration;

use keybound_proto::event::EventKind;
use keybound_proto::time::ManualClock;
use tempfile::TempDir;

use bytes::Bytes;

use super::*;
use crate::shutdown::Shutdown;

fn event(number: u8) -> Event {
    Event::new(&[number; 16], 1, "gateway-1", EventKind::RequestRefused).with_cause("dpop.replayed")
}

fn open(config: &SpoolConfig) -> Spool {
    Spool::open(config, Arc::new(ManualClock::at(1_700_000_000))).expect("spool")
}

fn config(directory: &TempDir) -> SpoolConfig {
    SpoolConfig::new(directory.path().join("spool"), "gateway-1")
}

/// Delivers until `wanted` events were accepted; gives them.
async fn deliver(spool: &Spool, wanted: usize, mut outcomes: Vec<Delivery>) -> Vec<Event> {
    let received = StdMutex::new(Vec::new());
    let (trigger, shutdown) = Shutdown::new();
    outcomes.reverse();
    let outcomes = StdMutex::new(outcomes);
    let post = async |body: Bytes| {
        let outcome = outcomes
            .lock()
            .expect("lock")
            .pop()
            .unwrap_or(Delivery::Accepted);
        if outcome == Delivery::Accepted {
            let body: serde_json::Value = serde_json::from_slice(&body).expect("json");
            let mut received = received.lock().expect("lock");
            for event in body["events"].as_array().expect("events") {
                received.push(Event::from_json(event.to_string().as_bytes()).expect("event"));
            }
            if received.len() >= wanted {
                trigger.drain(Duration::ZERO);
            }
        }
        outcome
    };
    let delivering = spool.deliver(post, shutdown);
    tokio::time::timeout(Duration::from_secs(20), delivering)
        .await
        .expect("delivered in time");
    received.into_inner().expect("lock")
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let directory = TempDir::new().expect("directory");
    let file = directory.path().join("spool");
    std::fs::write(&file, b"not a directory").expect("write");
    let error =
        Spool::open(&config(&directory), Arc::new(ManualClock::at(1))).expect_err("refused");
    assert!(error.to_string().contains(file.to_str().expect("path")));
}

#[tokio::test]
async fn strangers_cannot_fill_the_disk() {
    let directory = TempDir::new().expect("directory");
    let limits = SpoolConfig {
        max_bytes: 4_000,
        segment_bytes: 1_000,
        ..config(&directory)
    };
    let spool = open(&limits);
    for number in 0..200 {
        spool.push(event(number));
    }
    spool.flush().await;
    // All of them, so that there is room for the report again.
    let waiting = 200 - usize::try_from(spool.status().lost).expect("a small number");
    assert!(waiting >= 10, "{waiting}");
    let stored = deliver(&spool, waiting, Vec::new()).await;
    let on_disk: u64 = std::fs::read_dir(&limits.directory)
        .expect("directory")
        .map(|entry| entry.expect("entry").metadata().expect("metadata").len())
        .sum();
    assert!(on_disk <= 4_000 + 64, "{on_disk}");
    assert!(stored.len() < 200);
    // The earliest are kept, and the rest is reported with its count once there is room.
    assert_eq!(stored[0], event(0));
    spool.push(event(201));
    spool.flush().await;
    let later = deliver(&spool, 2, Vec::new()).await;
    let mut all = stored;
    all.extend(later);
    let aggregated: Vec<_> = all
        .iter()
        .filter(|event| event.kind == EventKind::RefusalsAggregated)
        .collect();
    let told: u64 = aggregated.iter().map(|event| event.count).sum();
    let kept = all.len() - aggregated.len();
    assert_eq!(
        told as usize + kept,
        201,
        "every event is delivered or counted"
    );
}

#[tokio::test(start_paused = true)]
async fn what_control_did_not_acknowledge_is_sent_again() {
    let directory = TempDir::new().expect("directory");
    let spool = open(&config(&directory));
    for number in 0..3 {
        spool.push(event(number));
    }
    // The writer is a thread of its own, for which the stopped clock does not wait.
    spool.flush().await;
    let outcomes = vec![Delivery::Failed, Delivery::Failed, Delivery::Failed];
    let received = deliver(&spool, 3, outcomes).await;
    assert_eq!(received, [event(0), event(1), event(2)]);
}

#[tokio::test]
async fn an_event_that_control_refuses_does_not_hold_up_the_others() {
    let directory = TempDir::new().expect("directory");
    let spool = open(&config(&directory));
    for number in 0..4 {
        spool.push(event(number));
    }
    spool.flush().await;
    let outcomes = vec![
        Delivery::Refused,
        Delivery::Accepted,
        Delivery::Refused,
        Delivery::Refused,
    ];
    let received = deliver(&spool, 3, outcomes).await;
    assert_eq!(received, [event(0), event(2), event(3)]);
}

#[tokio::test]
async fn a_crash_loses_nothing_and_repeats_at_most_what_was_not_acknowledged() {
    let directory = TempDir::new().expect("directory");
    let limits = SpoolConfig {
        segment_bytes: 300,
        ..config(&directory)
    };
    let spool = open(&limits);
    for number in 0..6 {
        spool.push(event(number));
    }
    assert_eq!(deliver(&spool, 6, Vec::new()).await.len(), 6);
    for number in 6..9 {
        spool.push(event(number));
    }
    spool.flush().await;
    drop(spool);
    // A crash in the middle of a line.
    let last = std::fs::read_dir(&limits.directory)
        .expect("directory")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "events"))
        .max()
        .expect("a segment");
    let mut text = std::fs::read(&last).expect("read");
    text.extend_from_slice(br#"{"id":"evt_torn"#);
    std::fs::write(&last, text).expect("write");
    let spool = open(&limits);
    assert_eq!(
        deliver(&spool, 3, Vec::new()).await,
        [event(6), event(7), event(8)]
    );
    assert_eq!(spool.status().waiting_bytes, 0);
}
