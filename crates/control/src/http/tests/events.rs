use std::time::Duration;

use keybound_proto::event::{Event, EventKind};

use super::*;

fn event(number: u8, kind: EventKind) -> Event {
    Event::new(&[number; 16], NOW * 1000, "gateway-1", kind).with_cause("dpop.replayed")
}

#[tokio::test]
async fn a_gateway_cannot_report_what_it_cannot_have_seen() {
    let world = World::new().await;
    let gateway = world.party("gateway-1", GATEWAY_SCOPE);
    for kind in EventKind::ALL {
        let body = json!({ "events": [event(1, EventKind::RequestRefused), event(2, kind)] });
        let answer = world.post(&gateway, "/v1/events", &body).await;
        let expected = match kind {
            EventKind::CertificateHeaderIgnored
            | EventKind::GatewayConnected
            | EventKind::LockApplied
            | EventKind::RefusalsAggregated
            | EventKind::ReplayLogLost
            | EventKind::ReplayLogRestored
            | EventKind::RequestRefused => 200,
            _ => 400,
        };
        assert_eq!(answer.status, expected, "{kind}");
    }
}

#[tokio::test]
async fn malformed_deliveries_are_refused_whole() {
    let world = World::new().await;
    let gateway = world.party("gateway-1", GATEWAY_SCOPE);
    let before = world.store.last_event();
    let good = event(1, EventKind::RequestRefused);
    for body in [
        json!({}),
        json!({ "events": {} }),
        json!({ "events": [good.clone(), { "id": "x" }] }),
        json!({ "events": [good.clone()], "more": 1 }),
        json!({ "events": vec![good.clone(); 1001] }),
    ] {
        world.post(&gateway, "/v1/events", &body).await.expect(400);
    }
    assert_eq!(world.store.last_event(), before);
}

#[tokio::test]
async fn delivered_events_are_read_back_with_their_reporter() {
    let world = World::new().await;
    let gateway = world.party("gateway-1", GATEWAY_SCOPE);
    let reader = world.party("alice", READ_SCOPE);
    let body = json!({ "events": [event(1, EventKind::RequestRefused)] });
    let first = world.post(&gateway, "/v1/events", &body).await.expect(200);
    assert_eq!(first, json!({ "accepted": 1, "new": 1 }));
    let again = world.post(&gateway, "/v1/events", &body).await.expect(200);
    assert_eq!(again, json!({ "accepted": 1, "new": 0 }));
    let page = world
        .get(&reader, "/v1/events?kind=request_refused&limit=5")
        .await
        .expect(200);
    let events = page["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["reported_by"], "gateway-1");
    assert_eq!(events[0]["cause"], "dpop.replayed");
    assert!(events[0]["sequence"].is_u64());
    assert_eq!(page["next"], world.store.last_event());
}

#[tokio::test]
async fn queries_with_mistakes_are_refused() {
    let world = World::new().await;
    let reader = world.party("alice", READ_SCOPE);
    for query in [
        "after=x",
        "after=1&after=2",
        "kind=nonsense",
        "surprise=1",
        "limit=-1",
    ] {
        world
            .get(&reader, &format!("/v1/events?{query}"))
            .await
            .expect(400);
    }
}

#[tokio::test]
async fn a_long_poll_ends_with_the_event_or_with_time() {
    let world = Arc::new(World::new().await);
    tokio::time::pause();
    let reader = world.party("alice", READ_SCOPE);
    let after = world.store.last_event();
    let target = format!("/v1/events?after={after}&wait=30&kind=request_refused");
    let started = tokio::time::Instant::now();
    let empty = world.get(&reader, &target).await.expect(200);
    assert_eq!(empty, json!({ "events": [], "next": after }));
    assert_eq!(started.elapsed().as_secs(), 30);
    let waiting = {
        let (world, request) = (
            Arc::clone(&world),
            world.signed(&reader, &Method::GET, &target, None),
        );
        tokio::spawn(async move { world.send(request).await })
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    world
        .store
        .append_event(&event(1, EventKind::LockApplied))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        !waiting.is_finished(),
        "an event of another kind is no answer"
    );
    world
        .store
        .append_event(&event(2, EventKind::RequestRefused))
        .await
        .unwrap();
    let page = waiting.await.unwrap().expect(200);
    assert_eq!(page["events"][0]["sequence"], after + 2);
    assert!(started.elapsed().as_secs() < 40);
}
