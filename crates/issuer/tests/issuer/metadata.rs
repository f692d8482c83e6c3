//! Discovery (RFC 8414, OpenID Connect discovery).

use keybound_issuer::config::RegistrationMode;
use keybound_proto::uri::HttpUrl;
use serde_json::Value;

use crate::world::World;

#[tokio::test]
async fn both_well_known_forms_are_one_document() {
    let world = World::new().await;
    let oauth = world.get("/.well-known/oauth-authorization-server").await;
    let openid = world.get("/.well-known/openid-configuration").await;
    assert_eq!(oauth.text, openid.text);
    assert_eq!(oauth.headers["content-type"], "application/json");
    assert_eq!(oauth.headers["cache-control"], "public, max-age=300");
    assert_eq!(oauth.headers["access-control-allow-origin"], "*");
    insta::assert_json_snapshot!("metadata", oauth.json());
}

#[tokio::test]
async fn an_issuer_with_a_path_serves_every_form_and_nothing_at_the_root() {
    let world = World::with(|config| {
        config.url = HttpUrl::parse("http://127.0.0.1:9400/tenants/one").unwrap()
    })
    .await;
    let mut texts = Vec::new();
    for path in [
        "/.well-known/oauth-authorization-server/tenants/one",
        "/.well-known/openid-configuration/tenants/one",
        "/tenants/one/.well-known/openid-configuration",
        "/tenants/one/.well-known/oauth-authorization-server",
    ] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        texts.push(reply.text);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
    let metadata: Value = serde_json::from_str(&texts[0]).unwrap();
    assert_eq!(metadata["issuer"], "http://127.0.0.1:9400/tenants/one");
    assert_eq!(
        metadata["token_endpoint"],
        "http://127.0.0.1:9400/tenants/one/token"
    );
    assert_eq!(world.get("/tenants/one/jwks").await.status, 200);
    for path in [
        "/jwks",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        assert_eq!(world.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn an_issuer_with_a_path_binds_proofs_to_that_path() {
    let world =
        World::with(|config| config.url = HttpUrl::parse("http://127.0.0.1:9400/one/").unwrap())
            .await;
    let ask = async |htu: &str| {
        let assertion =
            world.assertion_with(|claims| claims["aud"] = "http://127.0.0.1:9400/one/".into());
        let proof = world.proof_with(|claims| claims["htu"] = htu.into());
        world
            .post(
                "/one/token",
                &crate::world::token_form(&assertion),
                &[("dpop", &proof)],
            )
            .await
            .status
            .as_u16()
    };
    assert_eq!(ask("http://127.0.0.1:9400/token").await, 400);
    assert_eq!(ask("http://127.0.0.1:9400/two/token").await, 400);
    assert_eq!(ask("http://127.0.0.1:9400/one/token").await, 200);
}

#[tokio::test]
async fn only_what_exists_is_listed() {
    let world = World::with(|config| config.registration.mode = RegistrationMode::Closed).await;
    let metadata = world
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert!(metadata.get("registration_endpoint").is_none());
    for (name, url) in metadata.as_object().unwrap() {
        let Some(url) = url
            .as_str()
            .filter(|_| name.ends_with("_endpoint") || name.ends_with("_uri"))
        else {
            continue;
        };
        let path = url.strip_prefix("http://127.0.0.1:9400").unwrap();
        assert_ne!(world.get(path).await.status, 404, "{name}");
    }
}
