//! Introspection (RFC 7662, RFC 9449 section 6.2).

use keybound_custody::Signer;
use keybound_proto::signal::Subject;
use serde_json::{Value, json};

use crate::world::{ASSERTION_TYPE, ISSUER, World, basic, claims};

const INACTIVE: &str = r#"{"active":false}"#;

/// Asks as a client with a secret.
async fn ask(world: &World, id: &str, secret: &str, token: &str) -> String {
    let reply = world
        .post(
            "/introspect",
            &[("token", token)],
            &[("authorization", &basic(id, secret))],
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.headers["cache-control"], "no-store");
    reply.text
}

async fn ask_auditor(world: &World, token: &str) -> String {
    ask(world, "auditor", "secret-of-auditor", token).await
}

#[tokio::test]
async fn sc_213_callers_must_authenticate() {
    let world = World::new().await;
    let token = world.bound_token().await;
    world
        .post("/introspect", &[("token", &token)], &[])
        .await
        .refused(401, "invalid_client");
    let wrong = basic("auditor", "wrong");
    let reply = world
        .post(
            "/introspect",
            &[("token", &token)],
            &[("authorization", &wrong)],
        )
        .await;
    reply.refused(401, "invalid_client");
    let authorization = basic("auditor", "secret-of-auditor");
    let reply = world
        .post("/introspect", &[], &[("authorization", &authorization)])
        .await;
    reply.refused(400, "invalid_request");
}

#[tokio::test]
async fn sc_213_callers_see_their_own_and_what_is_meant_for_them() {
    let world = World::new().await;
    let token = world.bound_token().await;
    assert_eq!(
        ask(&world, "reports-api", "secret-of-reports", &token).await,
        INACTIVE
    );
    assert_eq!(
        ask(&world, "noncer", "secret-of-noncer", &token).await,
        INACTIVE
    );
    for (id, secret) in [
        ("main-api", "secret-of-main"),
        ("auditor", "secret-of-auditor"),
    ] {
        let answer: Value = serde_json::from_str(&ask(&world, id, secret, &token).await).unwrap();
        assert_eq!(answer["active"], true, "{id}");
    }
    let assertion = world.assertion();
    let own = [
        ("token", token.as_str()),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &assertion),
    ];
    assert_eq!(
        world.post("/introspect", &own, &[]).await.json()["active"],
        true
    );
}

#[tokio::test]
async fn changed_and_foreign_tokens_are_inactive() {
    let world = World::new().await;
    let token = world.bound_token().await;
    let other = World::new().await.bound_token().await;
    let unsigned = token.rsplit_once('.').unwrap().0.to_owned() + ".";
    for stranger in [
        other.as_str(),
        "x",
        &format!("{token}x"),
        &format!(" {token}"),
        &unsigned,
        &world.proof(),
    ] {
        assert_eq!(ask_auditor(&world, stranger).await, INACTIVE);
    }
}

#[tokio::test]
async fn sc_210_the_answer_carries_the_binding() {
    let world = World::new().await;
    let token = world.bound_token().await;
    let mut answer: Value = serde_json::from_str(&ask_auditor(&world, &token).await).unwrap();
    assert_eq!(answer["token_type"], "DPoP");
    assert_eq!(
        answer["cnf"]["jkt"],
        world.key.public_key().thumbprint().to_string()
    );
    // Nothing is said that the token does not say.
    for (name, value) in claims(&token).as_object().unwrap() {
        assert_eq!(answer.get(name), Some(value), "{name}");
    }
    answer["cnf"]["jkt"] = json!("(thumbprint)");
    answer["jti"] = json!("tok_(handle)");
    insta::assert_json_snapshot!("introspection_answer", answer);
}

#[tokio::test]
async fn sc_212_expiry_ends_the_answer_at_once() {
    let world = World::new().await;
    let token = world.bound_token().await;
    world.clock.advance_secs(299);
    assert_ne!(ask_auditor(&world, &token).await, INACTIVE);
    world.clock.advance_secs(1);
    assert_eq!(ask_auditor(&world, &token).await, INACTIVE);
}

#[tokio::test]
async fn sc_152_sc_214_locks_of_token_key_and_identity_each_end_it() {
    let world = World::new().await;
    let token = world.bound_token().await;
    let id = claims(&token)["jti"].as_str().unwrap().to_owned();
    let subjects = [
        Subject::Token {
            issuer: ISSUER.to_owned(),
            token_id: id,
        },
        Subject::Key(world.key.public_key().thumbprint()),
        Subject::Identity {
            issuer: ISSUER.to_owned(),
            subject: "payments-batch".to_owned(),
        },
    ];
    for subject in subjects {
        assert_ne!(ask_auditor(&world, &token).await, INACTIVE, "{subject:?}");
        world
            .store
            .lock(subject.clone(), "operator", None, None)
            .await
            .unwrap();
        assert_eq!(ask_auditor(&world, &token).await, INACTIVE, "{subject:?}");
        world.store.unlock(subject, "operator").await.unwrap();
    }
}

#[tokio::test]
async fn sc_152_locked_identities_and_keys_get_no_new_tokens() {
    let world = World::with(crate::world::full).await;
    for (subject, cause) in [
        (
            Subject::Key(world.key.public_key().thumbprint()),
            "key.locked",
        ),
        (
            Subject::Identity {
                issuer: ISSUER.to_owned(),
                subject: "payments-batch".to_owned(),
            },
            "identity.locked",
        ),
    ] {
        world
            .store
            .lock(subject.clone(), "operator", None, None)
            .await
            .unwrap();
        let reply = world.token(&world.assertion(), Some(&world.proof())).await;
        assert!(reply.status.is_client_error());
        reply.cause(cause);
        world.store.unlock(subject, "operator").await.unwrap();
        world.bound_token().await;
    }
    let refusals = world.events("token_refused").await;
    assert_eq!(refusals.len(), 2);
    assert!(refusals.iter().all(|event| event["signal"] == "revoked"));
}

#[tokio::test]
async fn a_locked_client_key_or_identity_authenticates_nobody_on_any_endpoint() {
    let world = World::with(crate::world::full).await;
    let token = world.bound_token().await;
    let identity = Subject::Identity {
        issuer: ISSUER.to_owned(),
        subject: "payments-batch".to_owned(),
    };
    for (subject, cause) in [
        (
            Subject::Key(world.client_key.public_key().thumbprint()),
            "key.locked",
        ),
        (identity, "identity.locked"),
    ] {
        world
            .store
            .lock(subject.clone(), "operator", None, None)
            .await
            .unwrap();
        for path in ["/token", "/introspect", "/revoke"] {
            let assertion = world.assertion();
            let form = [
                ("grant_type", "client_credentials"),
                ("token", token.as_str()),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &assertion),
            ];
            let reply = world.post(path, &form, &[("dpop", &world.proof())]).await;
            assert_eq!(reply.status, 400, "{path}");
            assert_eq!(reply.json()["error"], "unauthorized_client", "{path}");
            reply.cause(cause);
        }
        world.store.unlock(subject, "operator").await.unwrap();
        world.bound_token().await;
    }
}

#[tokio::test]
async fn sc_211_two_issuers_on_one_store_know_nothing_of_each_others_tokens() {
    let one = World::new().await;
    let token = one.bound_token().await;
    let key =
        keybound_custody::SoftwareKey::generate(keybound_proto::jose::Algorithm::Es256).unwrap();
    let other = World::on(one.store.clone(), one.clock.clone(), key, |config| {
        config.url = keybound_proto::uri::HttpUrl::parse("http://127.0.0.1:9500").unwrap();
    })
    .await;
    assert_eq!(ask_auditor(&other, &token).await, INACTIVE);
    assert_ne!(ask_auditor(&one, &token).await, INACTIVE);
}

#[tokio::test]
async fn a_token_from_the_future_is_not_active() {
    let world = World::new().await;
    let token = world.bound_token().await;
    world.clock.set(crate::world::NOW - 1);
    assert_eq!(ask_auditor(&world, &token).await, INACTIVE);
}
