use super::*;
use crate::store::tests::{issuance, jkt, token_id};

fn bad_locks() -> Vec<Value> {
    let long = "x".repeat(2049);
    vec![
        json!({}),
        json!({ "kind": "key" }),
        json!({ "kind": "key", "value": "" }),
        json!({ "kind": "key", "value": "not a thumbprint" }),
        json!({ "kind": "token", "value": "sha256:12" }),
        json!({ "kind": "identity", "value": "a\nb" }),
        json!({ "kind": "identity", "value": long }),
        json!({ "kind": "identity", "value": "a", "issuer": "" }),
        json!({ "kind": "identity", "value": 7 }),
        json!({ "kind": "issuer", "value": "https://a" }),
        json!({ "kind": "identity", "value": "a", "expires": 7 }),
        json!([]),
    ]
}

#[tokio::test]
async fn malformed_locks_are_refused_and_change_nothing() {
    let world = World::new().await;
    let party = world.party("alice", ALL_SCOPES);
    let before = world.store.last_event();
    for body in bad_locks() {
        for target in ["/v1/locks", "/v1/locks/release"] {
            let answer = world.post(&party, target, &body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.cause()),
                (400, "parameter.invalid"),
                "{body}"
            );
        }
    }
    let duplicate = r#"{"kind":"identity","value":"a","value":"b"}"#;
    let mut request = world.signed(&party, &Method::POST, "/v1/locks", Some(&json!({})));
    *request.body_mut() = Body::from(duplicate);
    world.send(request).await.expect(400);
    let mut request = world.signed(&party, &Method::POST, "/v1/locks", Some(&json!({})));
    *request.body_mut() = Body::from("x".repeat(16 * 1024 + 1));
    let answer = world.send(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (413, "http.body_too_large")
    );
    let mut request = world.signed(&party, &Method::POST, "/v1/locks", Some(&json!({})));
    request.headers_mut().remove("content-type");
    world.send(request).await.expect(400);
    assert_eq!(world.store.last_event(), before);
}

#[tokio::test]
async fn a_lock_is_made_listed_and_released() {
    let world = World::new().await;
    let party = world.party("alice", ALL_SCOPES);
    let lock = json!({ "kind": "identity", "value": "agent-1", "reason": "odd hours" });
    let made = world.post(&party, "/v1/locks", &lock).await.expect(201);
    assert_eq!(made["by"], "alice");
    assert_eq!(made["issuer"], world.issuer.url);
    assert_eq!(made["reason"], "odd hours");
    assert_eq!(made["state"], "locked");
    assert_eq!(made["time_ms"], NOW * 1000);
    // Once more changes nothing.
    assert_eq!(
        world.post(&party, "/v1/locks", &lock).await.expect(200),
        made
    );
    assert_eq!(
        world.get(&party, "/v1/locks").await.expect(200),
        json!({ "locks": [made] })
    );
    let elsewhere = "/v1/locks/identity/agent-1?issuer=https%3A%2F%2Fother.example";
    world.delete(&party, elsewhere).await.expect(404);
    assert_eq!(
        world
            .delete(&party, "/v1/locks/identity/agent-1")
            .await
            .expect(200),
        made
    );
    world
        .delete(&party, "/v1/locks/identity/agent-1")
        .await
        .expect(404);
    assert_eq!(
        world.get(&party, "/v1/locks").await.expect(200),
        json!({ "locks": [] })
    );
}

#[tokio::test]
async fn an_identity_with_slashes_is_released_by_body() {
    let world = World::new().await;
    let party = world.party("alice", ALL_SCOPES);
    let lock = json!({ "kind": "identity", "value": "spiffe://example.com/a" });
    world.post(&party, "/v1/locks", &lock).await.expect(201);
    world
        .post(&party, "/v1/locks/release", &lock)
        .await
        .expect(200);
    assert!(world.store.locks().await.unwrap().is_empty());
}

#[tokio::test]
async fn every_kind_of_subject_can_be_named() {
    let world = World::new().await;
    let party = world.party("alice", ALL_SCOPES);
    let hash = TokenHash::of(b"found in a log").to_hex();
    for (kind, value) in [
        ("key", jkt(1).to_string()),
        ("token", "tok_1".to_owned()),
        ("token", format!("sha256:{hash}")),
        ("identity", "agent-1".to_owned()),
    ] {
        let made = world
            .post(
                &party,
                "/v1/locks",
                &json!({ "kind": kind, "value": value }),
            )
            .await
            .expect(201);
        assert_eq!(
            (&made["kind"], &made["value"]),
            (&json!(kind), &json!(value))
        );
        world
            .delete(&party, &format!("/v1/locks/{kind}/{value}"))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn sc_216_revoking_the_unknown_or_unclear_is_refused() {
    let world = World::new().await;
    let party = world.party("alice", ALL_SCOPES);
    world
        .post(&party, "/v1/tokens/revoke", &json!({ "token_id": "tok_9" }))
        .await
        .expect(404);
    for body in [
        json!({}),
        json!({ "token_id": "tok_1", "token_sha256": "00" }),
        json!({ "token_sha256": "00" }),
        json!({ "token_id": 1 }),
    ] {
        world
            .post(&party, "/v1/tokens/revoke", &body)
            .await
            .expect(400);
    }
    world.get(&party, "/v1/tokens/tok_9").await.expect(404);
    world.get(&party, "/v1/tokens/sha256:00").await.expect(400);
}

#[tokio::test]
async fn a_token_is_shown_and_revoked_for_good() {
    let world = World::new().await;
    let party = world.party("alice", ALL_SCOPES);
    let issued = issuance(1);
    let hash = issued.token_hash.to_hex();
    world.store.record_issuance(issued).await.unwrap();
    let shown = world
        .get(&party, &format!("/v1/tokens/sha256:{hash}"))
        .await
        .expect(200);
    assert_eq!(shown["token_id"], token_id(1));
    assert_eq!(shown["jkt"], jkt(1).to_string());
    assert_eq!(shown.get("withheld"), None);
    let revoke = json!({ "token_id": token_id(1), "reason": "found in a log" });
    let revoked = world
        .post(&party, "/v1/tokens/revoke", &revoke)
        .await
        .expect(200);
    assert_eq!(revoked["state"], "revoked");
    let by_hash = json!({ "token_sha256": hash });
    assert_eq!(
        world
            .post(&party, "/v1/tokens/revoke", &by_hash)
            .await
            .expect(200),
        revoked
    );
    let shown = world
        .get(&party, &format!("/v1/tokens/{}", token_id(1)))
        .await
        .expect(200);
    assert_eq!(shown["withheld"], revoked);
    let path = format!("/v1/locks/token/{}", token_id(1));
    // The test's tokens are of another issuer than the one the API takes as its own.
    let own = format!("{path}?issuer=https%3A%2F%2Fauth.example.com");
    world.delete(&party, &own).await.expect(409);
}

#[tokio::test]
async fn sc_215_a_store_that_cannot_write_answers_503() {
    let world = World::new().await;
    let party = world.party("alice", ALL_SCOPES);
    world.store.record_issuance(issuance(1)).await.unwrap();
    world.store.fill_for_test().await;
    let body = json!({ "token_id": token_id(1) });
    let answer = world.post(&party, "/v1/tokens/revoke", &body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause()),
        (503, "store.unavailable")
    );
    assert!(answer.headers.contains_key("retry-after"));
    assert!(
        !answer.body.to_string().contains(":memory:"),
        "{}",
        answer.body
    );
    world.get(&party, "/v1/locks").await.expect(200);
    world.store.unfill_for_test().await;
    world
        .post(&party, "/v1/tokens/revoke", &body)
        .await
        .expect(200);
}
