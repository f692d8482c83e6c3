//! Revocation (RFC 7009).

use serde_json::json;

use crate::world::{ASSERTION_TYPE, Reply, World, basic, claims};

async fn revoke(world: &World, id: &str, secret: &str, form: &[(&str, &str)]) -> Reply {
    world
        .post("/revoke", form, &[("authorization", &basic(id, secret))])
        .await
}

async fn is_active(world: &World, token: &str) -> bool {
    let authorization = basic("auditor", "secret-of-auditor");
    let reply = world
        .post(
            "/introspect",
            &[("token", token)],
            &[("authorization", &authorization)],
        )
        .await;
    reply.json()["active"] == json!(true)
}

async fn revoke_own(world: &World, token: &str, hint: &str) -> Reply {
    let assertion = world.assertion();
    let form = [
        ("token", token),
        ("token_type_hint", hint),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &assertion),
    ];
    world.post("/revoke", &form, &[]).await
}

#[tokio::test]
async fn sc_216_another_clients_token_is_refused_and_stays_good() {
    let world = World::new().await;
    let token = world.bound_token().await;
    let reply = revoke(&world, "auditor", "secret-of-auditor", &[("token", &token)]).await;
    reply.refused(400, "invalid_request");
    assert!(is_active(&world, &token).await);
    world
        .post("/revoke", &[("token", &token)], &[])
        .await
        .refused(401, "invalid_client");
    revoke(&world, "auditor", "wrong", &[("token", &token)])
        .await
        .refused(401, "invalid_client");
    revoke(&world, "auditor", "secret-of-auditor", &[])
        .await
        .refused(400, "invalid_request");
    assert!(is_active(&world, &token).await);
}

#[tokio::test]
async fn sc_216_unknown_tokens_are_a_success() {
    let world = World::new().await;
    for token in ["x", "a.b.c", &World::new().await.bound_token().await] {
        assert_eq!(
            revoke(&world, "auditor", "secret-of-auditor", &[("token", token)])
                .await
                .status,
            200
        );
    }
    assert!(world.events("token_revoked").await.is_empty());
}

#[tokio::test]
async fn sc_216_a_wrong_hint_does_not_hide_a_token() {
    for hint in ["refresh_token", "access_token", "nonsense"] {
        let world = World::new().await;
        let token = world.bound_token().await;
        assert_eq!(revoke_own(&world, &token, hint).await.status, 200);
        assert!(!is_active(&world, &token).await, "{hint}");
    }
}

#[tokio::test]
async fn sc_218_revoking_tells_the_gates_and_the_log() {
    let world = World::new().await;
    let stream = world
        .store
        .create_stream("gateway-1", "http://127.0.0.1:9401")
        .await
        .unwrap();
    let token = world.bound_token().await;
    let id = claims(&token)["jti"].clone();
    assert_eq!(revoke_own(&world, &token, "").await.status, 200);
    let page = world
        .store
        .pending_signals(&stream.stream_id, 10)
        .await
        .unwrap();
    assert_eq!(page.signals.len(), 1);
    assert!(format!("{:?}", page.signals[0].subject).contains(id.as_str().unwrap()));
    let events = world.events("token_revoked").await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["token_id"], &events[0]["by"]),
        (&id, &json!("payments-batch"))
    );

    // Again: still a success, and nothing new to tell.
    assert_eq!(revoke_own(&world, &token, "").await.status, 200);
    assert_eq!(world.events("token_revoked").await.len(), 1);
}
