//! Binding at the token endpoint (RFC 9449 section 5): no proof, no token; a bad
//! proof changes nothing; a proof that is sent always binds.

use axum::body::Body;
use axum::http::Request;
use keybound_custody::{Signer, SoftwareKey};
use keybound_proto::jose::Algorithm;
use serde_json::{Value, json};

use crate::world::{self, ISSUER, NOW, World, basic, claims, full};

#[tokio::test]
async fn sc_122_no_proof_no_token() {
    let world = World::new().await;
    world
        .token(&world.assertion(), None)
        .await
        .refused(400, "invalid_dpop_proof");
    let detailed = World::with(full).await;
    detailed
        .token(&detailed.assertion(), None)
        .await
        .cause("client.binding_required");
    assert!(world.events("token_issued").await.is_empty());
    assert_eq!(world.events("token_refused").await.len(), 1);
}

#[tokio::test]
async fn sc_124_bound_tokens_are_of_type_dpop() {
    let world = World::new().await;
    let reply = world.token(&world.assertion(), Some(&world.proof())).await;
    assert_eq!(reply.json()["token_type"], "DPoP");
}

/// Every way a proof can be wrong, with the cause it must have.
fn bad_proofs(world: &World) -> Vec<(String, &'static str)> {
    let with = |claim: &'static str, value: Value| world.proof_with(|claims| claims[claim] = value);
    let stranger = SoftwareKey::generate(Algorithm::Es256).unwrap();
    let jwk: Value = serde_json::from_str(&world.key.public_key().to_jwk()).unwrap();
    let header = |change: &dyn Fn(&mut Value)| {
        let mut header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
        change(&mut header);
        let claims = json!({"jti": world::unique(), "htm": "POST", "htu": format!("{ISSUER}/token"), "iat": NOW});
        world::sign(&world.key, &header, &claims)
    };
    let forged = {
        let claims = json!({"jti": world::unique(), "htm": "POST", "htu": format!("{ISSUER}/token"), "iat": NOW});
        world::sign(
            &stranger,
            &json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}),
            &claims,
        )
    };
    vec![
        (with("htm", json!("GET")), "dpop.htm.mismatch"),
        (with("htm", json!("post")), "dpop.htm.mismatch"),
        (
            with("htu", json!(format!("{ISSUER}/introspect"))),
            "dpop.htu.mismatch",
        ),
        (
            with("htu", json!("https://127.0.0.1:9400/token")),
            "dpop.htu.mismatch",
        ),
        (
            with("htu", json!("http://localhost:9400/token")),
            "dpop.htu.mismatch",
        ),
        (with("htu", json!(5)), "dpop.htu.invalid"),
        (with("iat", json!(NOW - 61)), "dpop.iat.past"),
        (with("iat", json!(NOW + 11)), "dpop.iat.future"),
        (with("iat", json!("now")), "dpop.iat.invalid"),
        (with("jti", Value::Null), "dpop.jti.invalid"),
        (with("jti", json!("x".repeat(257))), "dpop.jti.invalid"),
        (with("nonce", json!(7)), "dpop.nonce.invalid"),
        (header(&|header| header["typ"] = json!("JWT")), "dpop.typ"),
        (
            header(&|header| header["alg"] = json!("none")),
            "dpop.alg.unacceptable",
        ),
        (
            header(&|header| header["alg"] = json!("RS256")),
            "dpop.alg.unacceptable",
        ),
        (
            header(&|header| header["jwk"]["d"] = json!("AAAA")),
            "dpop.jwk.private",
        ),
        (
            header(&|header| drop(header.as_object_mut().unwrap().remove("jwk"))),
            "dpop.jwk.absent",
        ),
        (forged, "dpop.signature.invalid"),
        ("x.y.z".to_owned(), "dpop.malformed"),
        ("x".repeat(8193), "dpop.size"),
    ]
}

#[tokio::test]
async fn sc_123_a_bad_proof_changes_nothing() {
    let world = World::with(full).await;
    let assertion = world.assertion();
    for (proof, cause) in bad_proofs(&world) {
        let reply = world.token(&assertion, Some(&proof)).await;
        assert_eq!(reply.status, 400, "{cause}: {}", reply.text);
        reply.cause(cause);
        assert_eq!(reply.json()["error"], "invalid_dpop_proof");
    }
    // The assertion that came with every one of them was not spent.
    assert_eq!(
        world.token(&assertion, Some(&world.proof())).await.status,
        200
    );
    assert_eq!(world.events("token_issued").await.len(), 1);
}

#[tokio::test]
async fn sc_085_a_refusal_for_another_reason_does_not_spend_the_proof() {
    let world = World::with(full).await;
    let proof = world.proof();
    let replayed = world.assertion();
    assert_eq!(
        world.token(&replayed, Some(&world.proof())).await.status,
        200
    );
    world
        .token(&replayed, Some(&proof))
        .await
        .cause("assertion.replayed");
    world
        .token("x", Some(&proof))
        .await
        .cause("assertion.malformed");
    world
        .token_basic(&[("resource", "x:y")], &proof)
        .await
        .cause("resource.invalid");
    assert_eq!(
        world.token(&world.assertion(), Some(&proof)).await.status,
        200
    );
}

#[tokio::test]
async fn two_proofs_and_a_joined_proof() {
    let world = World::with(full).await;
    let (assertion, one, two) = (world.assertion(), world.proof(), world.proof());
    let form = world::token_form(&assertion);
    let twice = [("dpop", one.as_str()), ("dpop", two.as_str())];
    world
        .post("/token", &form, &twice)
        .await
        .cause("dpop.multiple");
    let joined = format!("{one}, {two}");
    let reply = world.token(&assertion, Some(&joined)).await;
    assert_eq!(reply.json()["error"], "invalid_dpop_proof");
    world
        .token(&assertion, Some(""))
        .await
        .cause("dpop.malformed");
}

#[tokio::test]
async fn sc_080_sc_081_one_proof_mints_one_token() {
    let world = World::with(full).await;
    let proof = world.proof_with(|claims| claims["jti"] = json!("the-same"));
    assert_eq!(
        world.token(&world.assertion(), Some(&proof)).await.status,
        200
    );
    let again = world.token(&world.assertion(), Some(&proof)).await;
    assert_eq!(again.status, 400);
    again.cause("dpop.replayed");
    // Signed afresh, with another `iat`: the same `jti` of the same key is a replay.
    let afresh = world.proof_with(|claims| {
        claims["jti"] = json!("the-same");
        claims["iat"] = json!(NOW - 1);
    });
    world
        .token(&world.assertion(), Some(&afresh))
        .await
        .cause("dpop.replayed");
    // SC-083: another key may use that `jti`.
    let other = SoftwareKey::generate(Algorithm::EdDsa).unwrap();
    let theirs = world::proof(&other, "/token", NOW, |claims| {
        claims["jti"] = json!("the-same")
    });
    assert_eq!(
        world.token(&world.assertion(), Some(&theirs)).await.status,
        200
    );
}

#[tokio::test]
async fn sc_086_a_proof_is_refused_at_every_second_of_its_window() {
    let world = World::with(full).await;
    let proof = world.proof_with(|claims| claims["iat"] = json!(NOW + 10));
    assert_eq!(
        world.token(&world.assertion(), Some(&proof)).await.status,
        200
    );
    for second in 0..=90 {
        world.store.maintain();
        let reply = world.token(&world.assertion(), Some(&proof)).await;
        reply.cause(if second <= 70 {
            "dpop.replayed"
        } else {
            "dpop.iat.past"
        });
        world.clock.advance_secs(1);
    }
}

#[tokio::test]
async fn sc_088_one_proof_sent_by_many_at_once_mints_once() {
    let world = World::new().await;
    let proof = world.proof();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (router, form) = (
            world.router.clone(),
            world::encode(&world::token_form(&world.assertion())),
        );
        let request = Request::post("/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("dpop", &proof)
            .body(Body::from(form))
            .unwrap();
        tasks.spawn(async move {
            tower::ServiceExt::oneshot(router, request)
                .await
                .unwrap()
                .status()
                .as_u16()
        });
    }
    let mut statuses = tasks.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(
        statuses[1..].iter().all(|status| *status == 400),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn only_an_exempted_client_goes_without_and_a_proof_still_binds() {
    let world = World::new().await;
    let form = [("grant_type", "client_credentials")];
    let authorization = basic("exempt", "secret-of-exempt");
    let unbound = world
        .post("/token", &form, &[("authorization", &authorization)])
        .await
        .json();
    assert_eq!(unbound["token_type"], "Bearer");
    let unbound = claims(unbound["access_token"].as_str().unwrap());
    assert!(unbound.get("cnf").is_none());
    let record = world
        .store
        .token_by_id(unbound["jti"].as_str().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((record.binding.as_str(), record.jkt), ("none", None));

    let proof = world.proof();
    let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
    let bound = world.post("/token", &form, &headers).await.json();
    assert_eq!(bound["token_type"], "DPoP");
    let bound = claims(bound["access_token"].as_str().unwrap());
    assert_eq!(
        bound["cnf"]["jkt"],
        world.key.public_key().thumbprint().to_string()
    );

    // A bad proof is not "no proof", not even for an exempted client.
    let headers = [("authorization", authorization.as_str()), ("dpop", "x.y.z")];
    world
        .post("/token", &form, &headers)
        .await
        .refused(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn proofs_by_ed25519_bind_and_other_algorithms_need_configuration() {
    let world = World::with(full).await;
    for (algorithm, status) in [(Algorithm::EdDsa, 200), (Algorithm::Es384, 400)] {
        let key = SoftwareKey::generate(algorithm).unwrap();
        let proof = world::proof(&key, "/token", NOW, |_| {});
        let reply = world.token(&world.assertion(), Some(&proof)).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
    }
    let wide = World::with(|config| config.profile.proof_algorithms = world::WITH_RS256).await;
    let key = SoftwareKey::generate(Algorithm::Es384).unwrap();
    let proof = world::proof(&key, "/token", NOW, |_| {});
    assert_eq!(
        wide.token(&wide.assertion(), Some(&proof)).await.status,
        200
    );
}

#[tokio::test]
async fn sc_120_no_endpoint_takes_an_access_token_for_client_authentication() {
    let world = World::new().await;
    let token = world.bound_token().await;
    for path in ["/token", "/introspect", "/revoke"] {
        for scheme in ["Bearer", "DPoP"] {
            let proof = world::proof(&world.key, path, NOW, |_| {});
            let authorization = format!("{scheme} {token}");
            let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
            let form = [("grant_type", "client_credentials"), ("token", &token)];
            world
                .post(path, &form, &headers)
                .await
                .refused(401, "invalid_client");
        }
    }
}

#[tokio::test]
async fn sc_120_every_route_is_public_or_wants_a_client() {
    let world = World::new().await;
    for path in ["/token", "/introspect", "/revoke"] {
        world
            .post(
                path,
                &[("token", "x"), ("grant_type", "client_credentials")],
                &[],
            )
            .await
            .refused(401, "invalid_client");
    }
    for path in [
        "/userinfo",
        "/authorize",
        "/par",
        "/register/client-1",
        "/token/",
        "/admin",
        "/v1/locks",
    ] {
        assert_eq!(world.post(path, &[], &[]).await.status, 404, "{path}");
        assert_eq!(world.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn sc_121_nothing_is_issued_through_a_front_channel() {
    let world = World::new().await;
    let query =
        "/authorize?response_type=token&client_id=basic&redirect_uri=https%3A%2F%2Fa.example";
    assert_eq!(world.get(query).await.status, 404);
    let metadata = world
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(metadata["response_types_supported"], json!([]));
    assert!(metadata.get("authorization_endpoint").is_none());
}
