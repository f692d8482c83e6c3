//! What a token says, and which audience and scopes it is minted for.

use keybound_proto::jose::{Algorithm, Jws, PublicKey};
use serde_json::{Value, json};

use crate::world::{self, ISSUER, MAIN, NOW, REPORTS, World, claims, full};
use keybound_custody::Signer;

#[tokio::test]
async fn unknown_foreign_and_repeated_parameters() {
    let world = World::with(full).await;
    let refusals = [
        (
            vec![("resource", "http://127.0.0.1:9401")],
            400,
            "resource.invalid",
        ),
        (
            vec![("resource", "https://elsewhere.example/")],
            400,
            "resource.invalid",
        ),
        (
            vec![
                ("resource", MAIN),
                ("resource", "https://elsewhere.example/"),
            ],
            400,
            "resource.invalid",
        ),
        // Two resources allowed and none named.
        (vec![], 400, "resource.invalid"),
        (
            vec![("resource", MAIN), ("scope", "approvals:write")],
            400,
            "scope.invalid",
        ),
        (
            vec![("resource", MAIN), ("scope", "reports:read")],
            400,
            "scope.invalid",
        ),
        (
            vec![
                ("resource", MAIN),
                ("scope", "approvals:read  approvals:read"),
            ],
            400,
            "scope.invalid",
        ),
        (
            vec![
                ("resource", MAIN),
                ("scope", "approvals:read"),
                ("scope", "approvals:read"),
            ],
            400,
            "parameter.invalid",
        ),
        (
            vec![("resource", MAIN), ("unknown", "1"), ("unknown", "2")],
            400,
            "parameter.invalid",
        ),
        (
            vec![("resource", MAIN), ("grant_type", "client_credentials")],
            400,
            "parameter.invalid",
        ),
    ];
    for (form, status, cause) in refusals {
        let reply = world.token_basic(&form, &world.proof()).await;
        assert_eq!(reply.status.as_u16(), status, "{form:?}");
        reply.cause(cause);
    }
    assert!(world.events("token_issued").await.is_empty());
}

#[tokio::test]
async fn other_grants_are_refused() {
    let world = World::with(full).await;
    for grant in [
        "password",
        "authorization_code",
        "refresh_token",
        "CLIENT_CREDENTIALS",
        "",
    ] {
        let assertion = world.assertion();
        let form = world::token_form(&assertion).map(|(name, value)| match name {
            "grant_type" => (name, grant),
            _ => (name, value),
        });
        let reply = world
            .post("/token", &form, &[("dpop", &world.proof())])
            .await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.json()["error"], "unsupported_grant_type");
        reply.cause("grant.unsupported");
    }
    let authorization = world::basic("main-api", "secret-of-main");
    let headers = [
        ("authorization", authorization.as_str()),
        ("dpop", &world.proof()),
    ];
    let reply = world
        .post("/token", &[("grant_type", "client_credentials")], &headers)
        .await;
    assert_eq!(reply.json()["error"], "unauthorized_client");
    reply.cause("client.grant_refused");
}

#[tokio::test]
async fn sc_313_a_flood_of_scopes_is_refused() {
    let world = World::with(full).await;
    let many = vec!["approvals:read"; 65].join(" ");
    world
        .token_basic(&[("resource", MAIN), ("scope", &many)], &world.proof())
        .await
        .cause("scope.invalid");
    let flood = vec!["a"; 500_000].join(" ");
    let reply = world
        .token_basic(&[("resource", MAIN), ("scope", &flood)], &world.proof())
        .await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn the_audience_is_what_was_asked_and_the_scopes_are_its_own() {
    let world = World::new().await;
    let audience = async |form: &[(&str, &str)]| {
        let reply = world.token_basic(form, &world.proof()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let body = reply.json();
        let claims = claims(body["access_token"].as_str().unwrap());
        assert_eq!(body.get("scope"), claims.get("scope"));
        (claims["aud"].clone(), claims["scope"].clone())
    };
    assert_eq!(
        audience(&[("resource", MAIN)]).await,
        (json!(MAIN), json!("approvals:read"))
    );
    assert_eq!(
        audience(&[("resource", REPORTS)]).await,
        (json!(REPORTS), json!("reports:read"))
    );
    let both = [("resource", REPORTS), ("resource", MAIN)];
    assert_eq!(
        audience(&both).await,
        (json!([REPORTS, MAIN]), json!("approvals:read reports:read"))
    );
    let narrowed = [
        ("resource", REPORTS),
        ("resource", MAIN),
        ("scope", "reports:read"),
    ];
    assert_eq!(
        audience(&narrowed).await,
        (json!([REPORTS, MAIN]), json!("reports:read"))
    );
}

#[tokio::test]
async fn a_token_is_plain_at_jwt_that_the_published_keys_verify() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let world = World::with(|config| config.signing_algorithm = algorithm).await;
        let token = world.bound_token().await;
        let jwks = world.get("/jwks").await.json();
        let key = PublicKey::from_jwk(jwks["keys"][0].to_string().as_bytes()).unwrap();
        let jws = Jws::parse(token.as_bytes(), 8192).unwrap();
        assert!(jws.verify(algorithm, &key).is_ok());

        let head = token.split('.').next().unwrap();
        let head = keybound_proto::base64url::decode(head.as_bytes()).unwrap();
        let expected = format!(
            "{{\"typ\":\"at+jwt\",\"alg\":\"{}\",\"kid\":\"kb-",
            algorithm.name()
        );
        assert!(head.starts_with(expected.as_bytes()));
        assert_eq!(jwks["keys"][0]["kid"], world::part(&token, 0)["kid"]);
    }
}

#[tokio::test]
async fn the_answer_and_the_claims() {
    let world = World::new().await;
    let reply = world.token(&world.assertion(), Some(&world.proof())).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert!(!reply.headers.contains_key("dpop-nonce"));
    let mut body = reply.json();
    let token = body["access_token"].take();
    let mut claims = claims(token.as_str().unwrap());
    assert_eq!(
        claims["cnf"]["jkt"],
        world.key.public_key().thumbprint().to_string()
    );
    assert!(claims["jti"].as_str().unwrap().starts_with("tok_"));
    claims["cnf"]["jkt"] = json!("(thumbprint)");
    claims["jti"] = json!("tok_(handle)");
    body["access_token"] = json!("(token)");
    insta::assert_json_snapshot!("token_answer", body);
    insta::assert_json_snapshot!("token_claims", claims);
}

#[tokio::test]
async fn every_token_has_a_record_and_an_event() {
    let world = World::new().await;
    let token = world.bound_token().await;
    let claims = claims(&token);
    let id = claims["jti"].as_str().unwrap();
    let record = world.store.token_by_id(id).await.unwrap().unwrap();
    assert_eq!(record.issuer, ISSUER);
    assert_eq!(
        (record.client_id.as_str(), record.identity.as_str()),
        ("batch", "payments-batch")
    );
    assert_eq!(record.jkt.unwrap(), world.key.public_key().thumbprint());
    assert_eq!(record.audience, [MAIN]);
    assert_eq!(record.scope, "approvals:read approvals:write");
    assert_eq!(
        (record.issued_at.as_secs(), record.expires_at.as_secs()),
        (NOW, NOW + 300)
    );
    let events = world.events("token_issued").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["token_id"], id);
    assert!(events[0]["request_id"].is_string());
}

#[tokio::test]
async fn refusals_of_authenticated_clients_are_recorded_and_others_are_not() {
    let world = World::new().await;
    world
        .token("x", Some(&world.proof()))
        .await
        .refused(401, "invalid_client");
    world
        .token_basic(
            &[("resource", "https://elsewhere.example/")],
            &world.proof(),
        )
        .await
        .refused(400, "invalid_target");
    let events: Vec<Value> = world.events("token_refused").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["client_id"], "basic");
    assert_eq!(events[0]["cause"], "resource.invalid");
    assert_eq!(events[0]["got"], "https://elsewhere.example/");
}
