//! 1I: keys, issuers and outbound fetches.

use keybound_testkit::{Agent, World, sign_with};
use serde_json::{Value, json};

use crate::expect::{refused_at_resource, served};

/// The claims of a good token of this world.
fn claims(world: &World) -> Value {
    let now = world.now().as_secs();
    json!({
        "iss": world.issuer, "sub": "agent", "client_id": "agent", "aud": format!("{}/", world.gateway),
        "scope": "approvals:read approvals:write", "jti": "tok_forged", "iat": now, "exp": now + 300,
        "cnf": {"jkt": world.agent.jkt()},
    })
}

async fn present(world: &World, token: &str) -> keybound_testkit::Answer {
    let proof = world
        .proof("GET", "/approvals")
        .ath(token)
        .sign(&world.agent.proof_key);
    world.get("/approvals", token, &[&proof]).await
}

#[tokio::test]
async fn sc_230_and_231_a_token_brings_no_key_of_its_own() {
    let world = World::start().await;
    let thief = Agent::new("thief");
    let (jwk, thief) = (thief.proof_jwk(), thief.proof_key);
    let kid = world.issuer_kid().to_owned();
    let mut header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid, "jwk": jwk});
    header["jku"] = json!(format!("{}/jwks", world.upstream.origin));
    header["x5u"] = json!(format!("{}/x5u", world.upstream.origin));
    let answer = present(&world, &sign_with(&thief, &header, &claims(&world))).await;
    assert!(
        matches!(
            answer.cause().as_str(),
            "token.signature.invalid" | "token.alg.unacceptable"
        ),
        "{answer:?}"
    );
    assert_eq!(answer.status, 401);
    assert!(
        world.upstream.requests().is_empty(),
        "a URL of the token's header was fetched"
    );
}

#[tokio::test]
async fn sc_232_and_235_strange_kids_cost_at_most_one_fetch() {
    let world = World::start().await;
    served("warm", &present(&world, &world.token().await).await);
    let before = world.jwks_fetches();
    let thief = Agent::new("thief").proof_key;
    let mut kids = vec![
        "../../etc/passwd".to_owned(),
        "' OR 1=1 --".to_owned(),
        "\u{0}".to_owned(),
    ];
    kids.extend((0..100).map(|number| format!("kb-random-{number}")));
    for kid in kids {
        let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid});
        let answer = present(&world, &sign_with(&thief, &header, &claims(&world))).await;
        refused_at_resource(&kid, &answer, "invalid_token", "token.key_unknown");
    }
    let fetches = world.jwks_fetches() - before;
    assert!(fetches <= 1, "{fetches} fetches");
    served(
        "the cache was kept",
        &present(&world, &world.token().await).await,
    );
}

#[tokio::test]
async fn sc_234_known_keys_are_kept_to_a_stated_age_then_503() {
    let mut world = World::start().await;
    let token = world.token().await;
    served("warm", &present(&world, &token).await);
    world.stop_issuer().await;
    world.clock.advance_secs(200);
    served("issuer down, key known", &present(&world, &token).await);
    world.clock.advance_secs(200);
    let answer = present(&world, &token).await;
    refused_at_resource(
        "expired, not unavailable",
        &answer,
        "invalid_token",
        "token.expired",
    );
    world.clock.advance_secs(90_000);
    let late = world.token_signed_now(&claims(&world));
    let answer = present(&world, &late).await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause().as_str()),
        (503, "keys.unavailable"),
        "{answer:?}"
    );
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn sc_240_other_jwts_are_no_access_tokens() {
    let world = World::start().await;
    for typ in ["JWT", "dpop+jwt", "secevent+jwt", "at+jwt+x"] {
        let token = world.token_signed_with_header(&json!({"typ": typ}), &claims(&world));
        let answer = present(&world, &token).await;
        refused_at_resource(typ, &answer, "invalid_token", "token.typ");
    }
    served(
        "at+jwt",
        &present(&world, &world.token_signed_now(&claims(&world))).await,
    );
}

#[tokio::test]
async fn sc_241_and_foreign_issuers() {
    let world = World::start().await;
    let mut foreign = claims(&world);
    foreign["iss"] = json!("https://other.example");
    let answer = present(&world, &world.token_signed_now(&foreign)).await;
    refused_at_resource("sc_241", &answer, "invalid_token", "token.issuer.unknown");
}

#[tokio::test]
async fn sc_147_a_registration_makes_no_fetch() {
    let world = World::start().await;
    for (member, value) in [
        ("jwks_uri", json!(format!("{}/jwks", world.upstream.origin))),
        ("redirect_uris", json!(["javascript:alert(1)"])),
        ("scope", json!("approvals:read root")),
    ] {
        let mut body = json!({
            "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [world.agent.client_jwk()]},
        });
        body[member] = value;
        let headers = [("content-type", "application/json")];
        let answer = keybound_testkit::send(
            &world.issuer,
            "POST",
            "/register",
            &headers,
            body.to_string().as_bytes(),
        )
        .await;
        assert_eq!(answer.status, 400, "{member}: {answer:?}");
        assert_eq!(
            answer.json()["error"],
            "invalid_client_metadata",
            "{member}"
        );
    }
    assert!(
        world.upstream.requests().is_empty(),
        "a URL of a stranger was fetched"
    );
}
