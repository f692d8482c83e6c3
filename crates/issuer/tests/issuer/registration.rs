//! Dynamic registration (RFC 7591).

use keybound_custody::{Signer, SoftwareKey};
use keybound_issuer::config::{RegistrationMode, SecretDigest};
use keybound_proto::jose::Algorithm;
use keybound_proto::token::artefact;
use serde_json::{Value, json};

use crate::world::{self, INITIAL, MAIN, NOW, REPORTS, World, basic, claims, full};

fn jwks(keys: &[&SoftwareKey]) -> Value {
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| serde_json::from_str(&key.public_key().to_jwk()).unwrap())
        .collect();
    json!({ "keys": keys })
}

async fn refused(world: &World, request: Value) {
    let shown = request.to_string();
    let reply = world.post_json("/register", shown.clone(), &[]).await;
    assert_eq!(reply.status, 400, "{shown}");
    assert_eq!(reply.json()["error"], "invalid_client_metadata", "{shown}");
    assert_eq!(reply.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn sc_147_urls_are_refused_unfetched() {
    let world = World::new().await;
    let key = SoftwareKey::generate(Algorithm::Es256).unwrap();
    for member in [
        json!({"redirect_uris": ["javascript:alert(1)"]}),
        json!({"redirect_uris": ["https://app.example/cb"]}),
        json!({"jwks_uri": "http://169.254.169.254/latest/meta-data"}),
        json!({"jwks_uri": "http://169.254.169.254/", "jwks": jwks(&[&key]), "token_endpoint_auth_method": "private_key_jwt"}),
        json!({"jwks_uri": "https://app.example/jwks.json"}),
        json!({"jwks_uri": ""}),
        json!({"sector_identifier_uri": "https://app.example"}),
        json!({"request_uris": ["https://app.example"]}),
        json!({"initiate_login_uri": "https://app.example"}),
    ] {
        refused(&world, member).await;
    }
    assert!(
        world
            .events("client_registered")
            .await
            .iter()
            .all(|event| event["client_id"] != "client")
    );
}

#[tokio::test]
async fn sc_147_more_than_the_defaults_is_refused() {
    let world = World::new().await;
    for member in [
        json!({"scope": "approvals:read admin"}),
        json!({"scope": "approvals:read  approvals:write"}),
        json!({"scope": ["approvals:read"]}),
        json!({"grant_types": ["authorization_code"]}),
        json!({"grant_types": ["client_credentials", "refresh_token"]}),
        json!({"grant_types": 7}),
        json!({"response_types": ["code"]}),
        json!({"token_endpoint_auth_method": "none"}),
        json!({"token_endpoint_auth_method": "client_secret_post"}),
        json!({"token_endpoint_auth_method": "client_secret_jwt"}),
        json!({"token_endpoint_auth_method": "tls_client_auth"}),
        json!({"token_endpoint_auth_method": 1}),
        json!({"tls_client_certificate_bound_access_tokens": true}),
        json!({"dpop_bound_access_tokens": "no"}),
        json!({"client_name": "x".repeat(129)}),
        json!({"client_name": "a\nb"}),
        json!({"client_name": {}}),
    ] {
        refused(&world, member).await;
    }
}

#[tokio::test]
async fn keys_must_be_public_inline_and_usable() {
    let world = World::with(full).await;
    let key = SoftwareKey::generate(Algorithm::Es256).unwrap();
    let good = jwks(&[&key])["keys"][0].clone();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut key = good.clone();
        change(&mut key);
        json!({"keys": [key]})
    };
    let planted = "cGxhbnRlZC1wcml2YXRlLW1lbWJlci1vZi1hLWtleQ";
    for jwks in [
        changed(&|key| key["d"] = json!(planted)),
        json!({"keys": [{"kty": "oct", "k": planted}]}),
        changed(&|key| key["x"] = key["y"].clone()),
        changed(&|key| key["crv"] = json!("P-521")),
        changed(&|key| key["use"] = json!("enc")),
        changed(&|key| key["alg"] = json!("RS256")),
        changed(&|key| key["alg"] = json!("EdDSA")),
        changed(&|key| key["kid"] = json!("")),
        changed(&|key| key["kid"] = json!("x".repeat(129))),
        json!({"keys": []}),
        json!({"keys": vec![good.clone(); 9]}),
        json!({"keys": [good, {"kty": "EC"}]}),
        json!({"keys": "none"}),
        json!({}),
        json!([]),
    ] {
        let request = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks});
        let reply = world.post_json("/register", request.to_string(), &[]).await;
        assert_eq!(
            reply.json()["error"],
            "invalid_client_metadata",
            "{request}"
        );
        assert!(!reply.text.contains(planted));
    }
    refused_with_full_detail(
        &world,
        json!({"token_endpoint_auth_method": "private_key_jwt"}),
    )
    .await;
    // A key without the method would silently become a secret.
    refused_with_full_detail(&world, json!({"jwks": jwks(&[&key])})).await;
    let named = json!({"kid": "a"});
    let twice: Vec<Value> = [&key, &SoftwareKey::generate(Algorithm::Es256).unwrap()]
        .iter()
        .map(|key| {
            let mut jwk: Value = serde_json::from_str(&key.public_key().to_jwk()).unwrap();
            jwk["kid"] = named["kid"].clone();
            jwk
        })
        .collect();
    let request = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": twice}});
    refused_with_full_detail(&world, request).await;
}

async fn refused_with_full_detail(world: &World, request: Value) {
    let reply = world.post_json("/register", request.to_string(), &[]).await;
    assert_eq!(reply.status, 400);
    reply.cause("registration.metadata");
}

#[tokio::test]
async fn bodies_that_are_not_one_small_object() {
    let world = World::new().await;
    for body in [
        "",
        "[]",
        "{",
        "null",
        "{\"scope\":\"a\",\"scope\":\"b\"}",
        "{} {}",
    ] {
        let reply = world.post_json("/register", body.to_owned(), &[]).await;
        assert_eq!(reply.json()["error"], "invalid_client_metadata", "{body}");
    }
    let large = json!({"client_name": "x".repeat(16 * 1024)}).to_string();
    assert_eq!(world.post_json("/register", large, &[]).await.status, 413);
    let many: serde_json::Map<String, Value> =
        (0..200).map(|n| (format!("m{n}"), json!(n))).collect();
    refused(&world, Value::Object(many)).await;
    let form = world
        .post("/register", &[("scope", "approvals:read")], &[])
        .await;
    form.refused(400, "invalid_request");
}

#[tokio::test]
async fn closed_registration_is_closed() {
    let world = World::with(|config| config.registration.mode = RegistrationMode::Closed).await;
    world
        .post_json("/register", "{}".to_owned(), &[])
        .await
        .refused(403, "access_denied");
}

#[tokio::test]
async fn registration_by_token_takes_that_token_only() {
    let world = World::with(|config| {
        config.registration.mode = RegistrationMode::Token(SecretDigest::of(INITIAL.as_bytes()));
    })
    .await;
    let right = format!("Bearer {INITIAL}");
    let with = async |headers: &[(&str, &str)]| {
        world.post_json("/register", "{}".to_owned(), headers).await
    };
    for headers in [
        vec![],
        vec![("authorization", INITIAL)],
        vec![("authorization", "Bearer ")],
        vec![("authorization", "Bearer wrong")],
        vec![("authorization", "Basic abc")],
        vec![
            ("authorization", right.as_str()),
            ("authorization", right.as_str()),
        ],
    ] {
        let reply = with(&headers).await;
        reply.refused(401, "invalid_token");
        assert!(
            reply.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Bearer ")
        );
    }
    assert_eq!(
        with(&[("authorization", &format!("Bearer {INITIAL}x"))])
            .await
            .status,
        401
    );
    assert_eq!(with(&[("authorization", &right)]).await.status, 201);
    assert_eq!(
        with(&[("authorization", &right.replace("Bearer", "bearer"))])
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn an_open_endpoint_takes_a_limited_number() {
    let world = World::with(full).await;
    for _ in 0..8 {
        assert_eq!(
            world
                .post_json("/register", "{}".to_owned(), &[])
                .await
                .status,
            201
        );
    }
    let ninth = world.post_json("/register", "{}".to_owned(), &[]).await;
    assert_eq!(ninth.status, 403);
    ninth.cause("registration.closed");
}

#[tokio::test]
async fn a_secret_client_registers_and_gets_bound_tokens() {
    let world = World::new().await;
    let request = json!({"client_name": "An agent", "dpop_bound_access_tokens": false, "software_id": "ignored"});
    let reply = world.post_json("/register", request.to_string(), &[]).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.headers["cache-control"], "no-store");
    let mut body = reply.json();
    let (id, secret) = (body["client_id"].take(), body["client_secret"].take());
    let (id, secret) = (id.as_str().unwrap(), secret.as_str().unwrap());
    assert_eq!(artefact::parse(secret), Ok(artefact::Kind::ClientSecret));
    assert_eq!(body["dpop_bound_access_tokens"], true);
    insta::assert_json_snapshot!("registration_answer", body);

    let authorization = basic(id, secret);
    let form = [("grant_type", "client_credentials"), ("resource", MAIN)];
    let unproven = world
        .post("/token", &form, &[("authorization", &authorization)])
        .await;
    unproven.refused(400, "invalid_dpop_proof");
    let wrong = basic(id, &secret[..secret.len() - 1]);
    world
        .post(
            "/token",
            &form,
            &[("authorization", &wrong), ("dpop", &world.proof())],
        )
        .await
        .refused(401, "invalid_client");
    let headers = [
        ("authorization", authorization.as_str()),
        ("dpop", &world.proof()),
    ];
    let reply = world.post("/token", &form, &headers).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let claims = claims(reply.json()["access_token"].as_str().unwrap());
    assert_eq!(
        (&claims["sub"], &claims["client_id"]),
        (&json!(id), &json!(id))
    );
    assert_eq!(claims["scope"], "approvals:read approvals:write");
    let event = &world.events("client_registered").await;
    assert!(event.iter().any(|event| event["client_id"] == id));
}

#[tokio::test]
async fn a_key_client_registers_and_signs() {
    let world = World::new().await;
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = SoftwareKey::generate(algorithm).unwrap();
        let request = json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": algorithm.name(),
            "jwks": jwks(&[&key]),
            "scope": "reports:read",
            "grant_types": ["client_credentials"],
            "response_types": [],
            "redirect_uris": [],
        });
        let reply = world.post_json("/register", request.to_string(), &[]).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        let body = reply.json();
        assert!(
            body.get("client_secret").is_none() && body.get("client_secret_expires_at").is_none()
        );
        assert_eq!(body["jwks"]["keys"][0]["alg"], algorithm.name());
        let id = body["client_id"].as_str().unwrap();
        let assertion = world::assertion(&key, id, NOW, |_| {});
        let mut form = world::token_form(&assertion).to_vec();
        form.push(("resource", REPORTS));
        let reply = world
            .post("/token", &form, &[("dpop", &world.proof())])
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.json()["scope"], "reports:read");
    }
}

#[tokio::test]
async fn a_promised_algorithm_is_kept() {
    let world = World::with(full).await;
    let key = SoftwareKey::generate(Algorithm::Es256).unwrap();
    for name in ["EdDSA", "RS256", "none", "HS256"] {
        let request = json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": name,
            "jwks": jwks(&[&key]),
        });
        refused_with_full_detail(&world, request).await;
    }
}

#[tokio::test]
async fn a_client_that_left_the_configuration_is_gone() {
    let world = World::with(full).await;
    world.bound_token().await;
    let key = SoftwareKey::generate(Algorithm::Es256).unwrap();
    let without = World::on(world.store.clone(), world.clock.clone(), key, |config| {
        full(config);
        config.clients.retain(|client| client.id != "batch");
    })
    .await;
    let reply = without
        .token(&world.assertion(), Some(&world.proof()))
        .await;
    assert_eq!(reply.status, 401);
    reply.cause("client.unknown");
}
