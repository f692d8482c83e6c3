use std::time::Duration;

use keybound_proto::jose::AlgorithmSet;
use keybound_proto::signal::{
    ReceiverRules, SecurityEventToken, SignalError, SignalEvent, Subject, UnverifiedSignal,
};

use super::*;
use crate::store::tests::{issuance, jkt, token_id};

async fn create(world: &World, gateway: &Party) -> (String, Value) {
    let body = json!({ "delivery": { "method": "urn:ietf:rfc:8936" } });
    let stream = world.post(gateway, "/ssf/streams", &body).await.expect(201);
    let url = stream["delivery"]["endpoint_url"].as_str().unwrap();
    (url.strip_prefix(URL).unwrap().to_owned(), stream)
}

async fn key(world: &World) -> PublicKey {
    let jwks = world
        .send(world.request(&Method::GET, "/jwks", None))
        .await
        .expect(200);
    PublicKey::from_jwk(jwks["keys"][0].to_string().as_bytes()).unwrap()
}

async fn read(world: &World, receiver: &str, set: &str) -> Result<SecurityEventToken, SignalError> {
    let rules = ReceiverRules {
        issuer: URL,
        audience: receiver,
        algorithms: AlgorithmSet::of(&[Algorithm::Es256]),
        skew: 10,
    };
    UnverifiedSignal::parse(set.as_bytes())?.verify(&rules, &key(world).await, world.clock.now())
}

async fn lock(world: &World, number: u8) {
    world
        .store
        .lock(Subject::Key(jkt(number)), "alice", None, None)
        .await
        .unwrap();
}

fn ids(page: &Value) -> Vec<String> {
    page["sets"].as_object().unwrap().keys().cloned().collect()
}

const NOW_PLEASE: &str = "returnImmediately";

#[tokio::test]
async fn another_receivers_stream_does_not_exist() {
    let world = World::new().await;
    let one = world.party("gateway-1", GATEWAY_SCOPE);
    let two = world.party("gateway-2", GATEWAY_SCOPE);
    let (poll, stream) = create(&world, &one).await;
    let show = format!(
        "/ssf/streams?stream_id={}",
        stream["stream_id"].as_str().unwrap()
    );
    world
        .post(&two, &poll, &json!({ NOW_PLEASE: true }))
        .await
        .expect(404);
    world.get(&two, &show).await.expect(404);
    world.delete(&two, &show).await.expect(404);
    assert_eq!(world.get(&one, &show).await.expect(200), stream);
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let world = World::new().await;
    let gateway = world.party("gateway-1", GATEWAY_SCOPE);
    let push =
        json!({ "delivery": { "method": "urn:ietf:rfc:8935", "endpoint_url": "https://x" } });
    world
        .post(&gateway, "/ssf/streams", &push)
        .await
        .expect(400);
    let (poll, _) = create(&world, &gateway).await;
    for body in [
        json!({ "ack": 1 }),
        json!({ "ack": [1] }),
        json!({ "maxEvents": -1 }),
        json!({ NOW_PLEASE: "yes" }),
        json!({ "setErrs": [] }),
        json!([]),
    ] {
        world.post(&gateway, &poll, &body).await.expect(400);
    }
    world
        .post(&gateway, "/ssf/poll", &json!({ NOW_PLEASE: true }))
        .await
        .expect(400);
}

#[tokio::test]
async fn sc_219_a_signal_is_for_one_receiver() {
    let world = World::new().await;
    let gateway = world.party("gateway-1", GATEWAY_SCOPE);
    let (poll, _) = create(&world, &gateway).await;
    lock(&world, 1).await;
    let page = world
        .post(&gateway, &poll, &json!({ NOW_PLEASE: true }))
        .await
        .expect(200);
    let (id, set) = page["sets"].as_object().unwrap().iter().next().unwrap();
    let set = set.as_str().unwrap();
    assert_eq!(
        read(&world, "gateway-2", set).await,
        Err(SignalError::Audience)
    );
    let signal = read(&world, "gateway-1", set).await.unwrap();
    assert_eq!(signal.id, *id);
    assert_eq!(signal.subject, Subject::Key(jkt(1)));
    assert_eq!(signal.event, SignalEvent::Locked);
    assert_eq!(signal.time_ms, NOW * 1000);
}

#[tokio::test]
async fn sc_218_every_door_reaches_the_receiver() {
    let world = World::new().await;
    let gateway = world.party("gateway-1", GATEWAY_SCOPE);
    let operator = world.party("alice", RESPOND_SCOPE);
    for number in 1..=3 {
        world.store.record_issuance(issuance(number)).await.unwrap();
    }
    let (poll, _) = create(&world, &gateway).await;
    world
        .store
        .revoke_token(crate::TokenRef::Id(token_id(1)), "agent-1", None)
        .await
        .unwrap();
    let revoke = json!({ "token_id": token_id(2) });
    world
        .post(&operator, "/v1/tokens/revoke", &revoke)
        .await
        .expect(200);
    let issuer = "https://auth.example.com";
    let lock = json!({ "kind": "token", "value": token_id(3), "issuer": issuer });
    world.post(&operator, "/v1/locks", &lock).await.expect(201);
    let lock = json!({ "kind": "identity", "value": "agent-1" });
    world.post(&operator, "/v1/locks", &lock).await.expect(201);
    world
        .delete(&operator, "/v1/locks/identity/agent-1")
        .await
        .expect(200);
    let page = world
        .post(&gateway, &poll, &json!({ NOW_PLEASE: true }))
        .await
        .expect(200);
    let mut told = Vec::new();
    for set in page["sets"].as_object().unwrap().values() {
        let signal = read(&world, "gateway-1", set.as_str().unwrap())
            .await
            .unwrap();
        told.push((signal.subject, signal.event));
    }
    let token = |number| Subject::Token {
        issuer: issuer.to_owned(),
        token_id: token_id(number),
    };
    let identity = Subject::Identity {
        issuer: world.issuer.url.clone(),
        subject: "agent-1".to_owned(),
    };
    assert_eq!(
        told,
        [
            (token(1), SignalEvent::Locked),
            (token(2), SignalEvent::Locked),
            (token(3), SignalEvent::Locked),
            (identity.clone(), SignalEvent::Locked),
            (identity, SignalEvent::Released),
        ]
    );
}

#[tokio::test]
async fn f_21_signals_come_until_acknowledged() {
    let world = World::new().await;
    let gateway = world.party("gateway-1", GATEWAY_SCOPE);
    let (poll, _) = create(&world, &gateway).await;
    for number in 1..=3 {
        lock(&world, number).await;
    }
    let page = world
        .post(
            &gateway,
            &poll,
            &json!({ NOW_PLEASE: true, "maxEvents": 2 }),
        )
        .await
        .expect(200);
    assert_eq!(
        (ids(&page).len(), &page["moreAvailable"]),
        (2, &json!(true))
    );
    let again = world
        .post(
            &gateway,
            &poll,
            &json!({ NOW_PLEASE: true, "maxEvents": 2 }),
        )
        .await
        .expect(200);
    assert_eq!(ids(&again), ids(&page));
    let rest = json!({ NOW_PLEASE: true, "ack": ids(&page) });
    let rest = world.post(&gateway, &poll, &rest).await.expect(200);
    assert_eq!(
        (ids(&rest).len(), &rest["moreAvailable"]),
        (1, &json!(false))
    );
    let last = json!({ "maxEvents": 0, "ack": ids(&rest) });
    assert_eq!(
        ids(&world.post(&gateway, &poll, &last).await.expect(200)),
        [""; 0]
    );
    let none = world
        .post(&gateway, &poll, &json!({ NOW_PLEASE: true }))
        .await
        .expect(200);
    assert_eq!(ids(&none), [""; 0]);
}

#[tokio::test]
async fn a_poll_waits_for_the_next_signal() {
    let world = Arc::new(World::new().await);
    tokio::time::pause();
    let gateway = world.party("gateway-1", GATEWAY_SCOPE);
    let (poll, _) = create(&world, &gateway).await;
    let started = tokio::time::Instant::now();
    let empty = world.post(&gateway, &poll, &json!({})).await.expect(200);
    assert_eq!(ids(&empty), [""; 0]);
    assert_eq!(started.elapsed().as_secs(), 20);
    let waiting = {
        let world = Arc::clone(&world);
        let request = world.signed(&gateway, &Method::POST, &poll, Some(&json!({})));
        tokio::spawn(async move { world.send(request).await })
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    lock(&world, 1).await;
    assert_eq!(ids(&waiting.await.unwrap().expect(200)).len(), 1);
    assert_eq!(started.elapsed().as_secs(), 23);
}

#[tokio::test]
async fn f_21_an_unusable_signal_is_kept_but_is_no_news() {
    let world = Arc::new(World::new().await);
    tokio::time::pause();
    let gateway = world.party("gateway-1", GATEWAY_SCOPE);
    let (poll, _) = create(&world, &gateway).await;
    lock(&world, 1).await;
    let page = world.post(&gateway, &poll, &json!({})).await.expect(200);
    let id = &ids(&page)[0];
    let errors = json!({ "setErrs": { id: { "err": "invalid_key", "description": "?" } } });
    let started = tokio::time::Instant::now();
    let again = world.post(&gateway, &poll, &errors).await.expect(200);
    assert_eq!(ids(&again), ids(&page));
    assert_eq!(
        started.elapsed().as_secs(),
        20,
        "a broken receiver must not spin"
    );
    lock(&world, 2).await;
    let both = world.post(&gateway, &poll, &errors).await.expect(200);
    assert_eq!(ids(&both).len(), 2);
}

#[tokio::test]
async fn a_receiver_locked_while_it_waits_gets_nothing() {
    let world = Arc::new(World::new().await);
    tokio::time::pause();
    let gateway = world.party("gateway-1", GATEWAY_SCOPE);
    let (poll, _) = create(&world, &gateway).await;
    let waiting = {
        let world = Arc::clone(&world);
        let request = world.signed(&gateway, &Method::POST, &poll, Some(&json!({})));
        tokio::spawn(async move { world.send(request).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let jkt = gateway.key.public.thumbprint();
    world
        .store
        .lock(Subject::Key(jkt), "alice", None, None)
        .await
        .unwrap();
    waiting.await.unwrap().expect(404);
}

#[tokio::test]
async fn discovery_leads_to_streams_and_keys() {
    let world = World::new().await;
    let get = async |path: &str| {
        world
            .send(world.request(&Method::GET, path, None))
            .await
            .expect(200)
    };
    let ssf = get("/.well-known/ssf-configuration").await;
    assert_eq!(ssf["spec_version"], "1_0");
    assert_eq!(ssf["issuer"], URL);
    assert_eq!(ssf["jwks_uri"], format!("{URL}/jwks"));
    assert_eq!(ssf["configuration_endpoint"], format!("{URL}/ssf/streams"));
    assert_eq!(
        ssf["delivery_methods_supported"],
        json!(["urn:ietf:rfc:8936"])
    );
    let resource = get("/.well-known/oauth-protected-resource").await;
    assert_eq!(resource["resource"], format!("{URL}/"));
    assert_eq!(resource["authorization_servers"], json!([world.issuer.url]));
    assert_eq!(resource["dpop_bound_access_tokens_required"], true);
    let jwks = get("/jwks").await;
    assert_eq!(jwks["keys"][0].get("d"), None);
    assert!(jwks["keys"][0]["kid"].as_str().unwrap().starts_with("kb-"));
}

#[tokio::test]
async fn the_signing_key_is_made_once() {
    let world = World::new().await;
    let first = key(&world).await;
    let again = SetSigner::from_store(&world.store, world.clock.now())
        .await
        .unwrap();
    let jwks: Vec<_> = again.jwks().collect();
    assert_eq!(jwks.len(), 1);
    assert_eq!(
        PublicKey::from_jwk(jwks[0].as_bytes())
            .unwrap()
            .thumbprint(),
        first.thumbprint()
    );
}
