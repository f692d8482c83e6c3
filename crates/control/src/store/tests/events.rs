use keybound_proto::event::{Event, EventKind};

use super::super::events::EventFilter;
use super::*;

fn event(number: u8, node: &str) -> Event {
    Event::new(&[number; 16], NOW * 1000, node, EventKind::RequestRefused)
        .with_jkt(jkt(number % 2).to_string())
}

async fn sequences(store: &Store, after: u64, limit: usize, filter: EventFilter) -> Vec<u64> {
    let events = store.events(after, limit, filter).await.unwrap();
    events.into_iter().map(|(sequence, _)| sequence).collect()
}

#[tokio::test]
async fn a_changed_event_breaks_its_chain() {
    let (store, _) = memory();
    for number in 0..6 {
        let node = if number % 2 == 0 {
            "gateway-1"
        } else {
            "gateway-2"
        };
        store.append_event(&event(number, node)).await.unwrap();
    }
    assert_eq!(store.verify_events().await.unwrap(), None);
    store
        .write(|work| {
            work.connection.execute(
                "UPDATE events SET json = replace(json, 'request_refused', 'token_refused') WHERE sequence = 4",
                [],
            )?;
            Ok(())
        })
        .await
        .unwrap();
    let broken = store.verify_events().await.unwrap().unwrap();
    assert_eq!((broken.node.as_str(), broken.sequence), ("gateway-2", 4));
}

#[tokio::test]
async fn a_removed_event_breaks_its_chain() {
    let (store, _) = memory();
    for number in 0..3 {
        store
            .append_event(&event(number, "gateway-1"))
            .await
            .unwrap();
    }
    store
        .write(|work| {
            Ok(work
                .connection
                .execute("DELETE FROM events WHERE sequence = 2", [])?)
        })
        .await
        .unwrap();
    assert_eq!(store.verify_events().await.unwrap().unwrap().sequence, 3);
}

#[tokio::test]
async fn f_21_what_is_delivered_twice_is_stored_once() {
    let (store, _) = memory();
    let events: Vec<_> = (0..3).map(|number| event(number, "gateway-1")).collect();
    assert_eq!(
        store
            .deliver_events("gateway-1", &events[..2])
            .await
            .unwrap(),
        2
    );
    assert_eq!(store.deliver_events("gateway-1", &events).await.unwrap(), 1);
    let twice_in_one = [event(9, "gateway-1"), event(9, "gateway-1")];
    assert_eq!(
        store
            .deliver_events("gateway-1", &twice_in_one)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        sequences(&store, 0, 10, EventFilter::default()).await,
        [1, 2, 3, 4]
    );
    assert_eq!(store.verify_events().await.unwrap(), None);
}

#[tokio::test]
async fn one_reporter_cannot_take_ids_or_chains_of_another() {
    let (store, _) = memory();
    store.append_event(&event(1, "control")).await.unwrap();
    // Says it is the control plane, and uses its event's id.
    assert_eq!(
        store
            .deliver_events("gateway-1", &[event(1, "control")])
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        store
            .deliver_events("gateway-2", &[event(1, "control")])
            .await
            .unwrap(),
        1
    );
    let page = store
        .event_page(0, 10, EventFilter::default())
        .await
        .unwrap();
    let reporters: Vec<_> = page
        .events
        .iter()
        .map(|stored| stored.reported_by.as_deref())
        .collect();
    assert_eq!(reporters, [None, Some("gateway-1"), Some("gateway-2")]);
    store.append_event(&event(2, "control")).await.unwrap();
    assert_eq!(store.verify_events().await.unwrap(), None);
    assert!(
        store
            .deliver_events("", &[event(3, "control")])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_page_says_where_to_go_on() {
    let (store, _) = memory();
    for number in 0..4 {
        store
            .append_event(&event(number, "gateway-1"))
            .await
            .unwrap();
    }
    let page = |after, limit, filter| store.event_page(after, limit, filter);
    let next = async |after, limit, filter| page(after, limit, filter).await.unwrap().next;
    assert_eq!(next(0, 2, EventFilter::default()).await, 2);
    assert_eq!(next(2, 9, EventFilter::default()).await, 4);
    assert_eq!(next(9, 9, EventFilter::default()).await, 9);
    let nothing = EventFilter {
        token_id: Some(token_id(1)),
        ..EventFilter::default()
    };
    assert_eq!(next(0, 9, nothing).await, 4);
}

#[tokio::test]
async fn too_many_events_at_once_are_refused() {
    let (store, _) = memory();
    let events = vec![event(1, "gateway-1"); 1001];
    assert!(store.deliver_events("gateway-1", &events).await.is_err());
    assert_eq!(store.last_event(), 0);
}

#[tokio::test]
async fn filters_find_the_same_before_and_after_filing() {
    let (store, _) = memory();
    for number in 0..10 {
        store
            .append_event(&event(number, "gateway-1"))
            .await
            .unwrap();
    }
    let by_key = || EventFilter {
        jkt: Some(jkt(1).to_string()),
        ..EventFilter::default()
    };
    assert_eq!(sequences(&store, 0, 10, by_key()).await, [2, 4, 6, 8, 10]);
    store.maintain();
    store.append_event(&event(11, "gateway-1")).await.unwrap();
    assert_eq!(
        sequences(&store, 0, 10, by_key()).await,
        [2, 4, 6, 8, 10, 11]
    );
    assert_eq!(sequences(&store, 5, 2, by_key()).await, [6, 8]);
    assert_eq!(sequences(&store, 9, 10, by_key()).await, [10, 11]);
    let nothing = EventFilter {
        kind: Some(EventKind::Locked),
        ..by_key()
    };
    assert_eq!(sequences(&store, 0, 10, nothing).await, [0_u64; 0]);
    let unknown = EventFilter {
        token_id: Some(token_id(1)),
        ..EventFilter::default()
    };
    assert_eq!(sequences(&store, 0, 10, unknown).await, [0_u64; 0]);
}

#[tokio::test]
async fn whoever_waits_is_woken_by_the_commit() {
    let (store, _) = memory();
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.wait_for_events(0).await })
    };
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    store.append_event(&event(1, "gateway-1")).await.unwrap();
    waiting.await.unwrap();
    store.wait_for_events(0).await;
}

#[tokio::test]
async fn numbers_and_chains_go_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    for number in 0..3 {
        let store = open(&file);
        assert_eq!(store.last_event(), u64::from(number));
        store
            .append_event(&event(number, "gateway-1"))
            .await
            .unwrap();
    }
    assert_eq!(open(&file).verify_events().await.unwrap(), None);
}
