//! Dynamic registration.

use keybound_custody::{Signer, SoftwareKey};
use keybound_holder::registration::{RegisteredAuthentication, RegistrationRequest, register};
use keybound_holder::{HolderError, HttpClient, Secret, Timeouts};
use keybound_proto::jose::Algorithm;
use keybound_proto::uri::HttpUrl;
use serde_json::{Value, json};

use crate::support::{Reply, Server};

fn client() -> HttpClient {
    HttpClient::new(Timeouts::default()).expect("a client")
}

fn request(authentication: RegisteredAuthentication) -> RegistrationRequest {
    RegistrationRequest {
        client_name: Some("batch".to_owned()),
        authentication,
        scope: Some("a b".to_owned()),
        initial_access_token: Some(Secret::new("canary-iat")),
    }
}

#[tokio::test]
async fn refusals_and_unusable_answers_are_errors() {
    let server = Server::start(|seen| match seen.uri.path() {
        "/closed" => Reply::oauth_error(403, "access_denied"),
        "/empty" => Reply::new(201, r#"{"client_id":""}"#),
        "/down" => Reply::new(503, ""),
        "/moved" => Reply::new(307, "").with("location", "https://evil.example/"),
        _ => Reply::new(201, "[]"),
    })
    .await;
    let request = request(RegisteredAuthentication::ClientSecretBasic);
    for (path, text) in [
        ("/closed", "refused with status 403: access_denied"),
        ("/empty", "it has no `client_id`"),
        ("/down", "cannot serve now (status 503)"),
        ("/moved", "redirects to `https://evil.example`"),
        ("/array", "unusable answer"),
    ] {
        let url = server.url(path);
        let error = register(&client(), &url, &request).await.expect_err(path);
        assert!(error.to_string().contains(text), "{path}: {error}");
        assert!(!format!("{error:?}{request:?}").contains("canary"));
    }
    let clear = HttpUrl::parse("http://as.example/register").expect("a URL");
    let error = register(&client(), &clear, &request)
        .await
        .expect_err("clear text");
    assert!(
        matches!(error, HolderError::InsecureUrl { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_client_with_a_key_is_registered_as_bound() {
    let server = Server::start(|_| {
        Reply::new(
            201,
            r#"{"client_id":"c1","dpop_bound_access_tokens":true,"scope":"a","client_id_issued_at":1}"#,
        )
    })
    .await;
    let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let public = key.public_key().clone();
    let authentication = RegisteredAuthentication::PrivateKeyJwt(public.clone(), Algorithm::Es256);
    let url = server.url("/register");
    let done = register(&client(), &url, &request(authentication))
        .await
        .expect("a client");
    assert_eq!(done.client_id, "c1");
    assert!(done.dpop_bound_access_tokens && done.client_secret.is_none());
    assert_eq!(done.scope.as_deref(), Some("a"));

    let seen = server.seen();
    assert_eq!(seen[0].header("authorization"), Some("Bearer canary-iat"));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    let sent: Value = serde_json::from_slice(&seen[0].body).expect("JSON");
    let jwk: Value = serde_json::from_str(
        &public.to_jwk_with(&public.thumbprint().to_string(), Algorithm::Es256),
    )
    .expect("a JWK");
    assert_eq!(
        sent,
        json!({
            "client_name": "batch",
            "dpop_bound_access_tokens": true,
            "grant_types": ["client_credentials"],
            "jwks": { "keys": [jwk] },
            "response_types": [],
            "scope": "a b",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
        })
    );
}

#[tokio::test]
async fn a_client_secret_is_kept_and_not_shown() {
    let server = Server::start(|_| {
        Reply::new(
            200,
            r#"{"client_id":"c1","client_secret":"canary-secret","client_secret_expires_at":0}"#,
        )
    })
    .await;
    let request = request(RegisteredAuthentication::ClientSecretBasic);
    let done = register(&client(), &server.url("/r"), &request)
        .await
        .expect("a client");
    let secret = done.client_secret.as_ref().expect("a secret");
    assert_eq!(secret.expose(), "canary-secret");
    assert_eq!(done.client_secret_expires_at, None);
    assert!(!done.dpop_bound_access_tokens);
    assert!(!format!("{done:?}").contains("canary"), "{done:?}");
}
