//! 1D: binding of the token and downgrade.

use keybound_testkit::{Agent, World};
use serde_json::json;

use crate::expect::{refused_at_issuer, refused_at_resource, served};

#[tokio::test]
async fn sc_110_a_bound_token_as_bearer() {
    let world = World::start().await;
    let token = world.token().await;
    let bearer = format!("Bearer {token}");
    let answer = world
        .send("GET", "/approvals", &[("authorization", &bearer)])
        .await;
    refused_at_resource("sc_110", &answer, "invalid_token", "token.scheme.downgrade");
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&world.agent.proof_key);
    let answer = world
        .send(
            "GET",
            "/approvals",
            &[("authorization", &bearer), ("dpop", &proof)],
        )
        .await;
    refused_at_resource(
        "sc_110_with_proof",
        &answer,
        "invalid_token",
        "token.scheme.downgrade",
    );
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn sc_111_a_proof_by_another_key() {
    let world = World::start().await;
    let token = world.token().await;
    let thief = Agent::new("thief");
    let proof = world
        .proof_of(&thief, "GET", "/approvals")
        .ath(&token)
        .sign(&thief.proof_key);
    let answer = world.get("/approvals", &token, &[&proof]).await;
    refused_at_resource("sc_111", &answer, "invalid_token", "token.key_mismatch");
}

#[tokio::test]
async fn sc_112_an_unbound_token_is_refused_under_either_scheme() {
    let world = World::start().await;
    let token = world.unbound_token().await;
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&world.agent.proof_key);
    let answer = world.get("/approvals", &token, &[&proof]).await;
    refused_at_resource("sc_112", &answer, "invalid_token", "token.unbound");
    let bearer = format!("Bearer {token}");
    let answer = world
        .send("GET", "/approvals", &[("authorization", &bearer)])
        .await;
    refused_at_resource("sc_112_bearer", &answer, "invalid_token", "token.unbound");
}

#[tokio::test]
async fn sc_113_two_authorizations() {
    let world = World::start().await;
    let token = world.token().await;
    let proof = world
        .proof("GET", "/approvals")
        .ath(&token)
        .sign(&world.agent.proof_key);
    let (dpop, bearer) = (format!("DPoP {token}"), format!("Bearer {token}"));
    for second in [&bearer, &dpop] {
        let headers = [
            ("authorization", dpop.as_str()),
            ("authorization", second),
            ("dpop", &proof),
        ];
        let answer = world.send("GET", "/approvals", &headers).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.json()["error"], "invalid_request");
    }
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test]
async fn sc_115_a_token_in_query_or_body_is_not_read() {
    let world = World::start().await;
    let token = world.token().await;
    let answer = world
        .send("GET", &format!("/approvals?access_token={token}"), &[])
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause().as_str()),
        (401, "authorization.absent")
    );
    let body = format!("access_token={token}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = keybound_testkit::send(
        &world.gateway,
        "POST",
        "/approvals",
        &headers,
        body.as_bytes(),
    )
    .await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause().as_str()),
        (401, "authorization.absent")
    );
    assert!(!world.logs().contains(&token), "the token was logged");
}

#[tokio::test]
async fn sc_116_scheme_case_and_spaces() {
    let world = World::start().await;
    let token = world.token().await;
    for authorization in [format!("dPoP {token}"), format!("DPOP   {token}")] {
        let proof = world
            .proof("GET", "/approvals")
            .ath(&token)
            .sign(&world.agent.proof_key);
        let headers = [("authorization", authorization.as_str()), ("dpop", &proof)];
        served("sc_116", &world.send("GET", "/approvals", &headers).await);
    }
}

#[tokio::test]
async fn sc_120_every_resource_of_the_product_itself_enforces_the_binding() {
    let world = World::start().await;
    let token = world.admin_token().await;
    let bearer = format!("Bearer {token}");
    for (method, path) in [
        ("GET", "/v1/locks"),
        ("POST", "/v1/locks"),
        ("DELETE", "/v1/locks/key/x"),
        ("POST", "/v1/tokens/revoke"),
        ("GET", "/v1/tokens/tok_x"),
        ("GET", "/v1/events"),
        ("POST", "/v1/events"),
        ("POST", "/ssf/streams"),
        ("POST", "/ssf/poll"),
    ] {
        for headers in [vec![], vec![("authorization", bearer.as_str())]] {
            let body: &[u8] = if method == "GET" { b"" } else { b"{}" };
            let answer = keybound_testkit::send(&world.control, method, path, &headers, body).await;
            assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn sc_122_a_client_that_must_be_bound_gets_nothing_without_a_proof() {
    let world = World::start().await;
    let issued = world.issued_tokens().await;
    let answer = world.token_form().send(&world.issuer, "/token").await;
    refused_at_issuer(
        "sc_122",
        &answer,
        400,
        "invalid_dpop_proof",
        "client.binding_required",
    );
    assert_eq!(world.issued_tokens().await, issued);
}

#[tokio::test]
async fn sc_123_a_failed_proof_changes_nothing() {
    let world = World::start().await;
    let form = world.token_form();
    let bad = world
        .token_proof()
        .claim("htm", "GET")
        .sign(&world.agent.proof_key);
    let answer = form
        .clone()
        .header("dpop", bad)
        .send(&world.issuer, "/token")
        .await;
    refused_at_issuer(
        "sc_123",
        &answer,
        400,
        "invalid_dpop_proof",
        "dpop.htm.mismatch",
    );
    assert_eq!(world.issued_tokens().await, 0);
    // The very same client assertion still works: the failed attempt did not spend it.
    let good = world.token_proof().sign(&world.agent.proof_key);
    served(
        "sc_123",
        &form
            .header("dpop", good)
            .send(&world.issuer, "/token")
            .await,
    );
}

#[tokio::test]
async fn sc_124_the_token_type_of_a_bound_token() {
    let world = World::start().await;
    let proof = world.token_proof().sign(&world.agent.proof_key);
    let answer = world
        .token_form()
        .header("dpop", proof)
        .send(&world.issuer, "/token")
        .await;
    served("sc_124", &answer);
    assert_eq!(answer.json()["token_type"], "DPoP");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_token_for_another_resource() {
    let world = World::start().await;
    let token = world.token().await;
    let proof = world
        .proof("GET", "/reports")
        .ath(&token)
        .sign(&world.agent.proof_key);
    let answer = world.get("/reports", &token, &[&proof]).await;
    refused_at_resource(
        "audience",
        &answer,
        "invalid_token",
        "token.audience.mismatch",
    );
}

#[tokio::test]
async fn a_scope_the_token_lacks() {
    let world = World::start().await;
    let token = world.token_with_scope("approvals:read").await;
    let proof = world
        .proof("POST", "/approvals")
        .ath(&token)
        .sign(&world.agent.proof_key);
    let authorization = format!("DPoP {token}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("dpop", &proof),
        ("content-type", "application/json"),
    ];
    let body = json!({"id": "1", "decision": "approve"}).to_string();
    let answer = keybound_testkit::send(
        &world.gateway,
        "POST",
        "/approvals",
        &headers,
        body.as_bytes(),
    )
    .await;
    assert_eq!(
        (answer.status.as_u16(), answer.cause().as_str()),
        (403, "scope.insufficient")
    );
    assert!(
        answer
            .header("www-authenticate")
            .unwrap()
            .contains("scope=\"approvals:write\"")
    );
    assert!(world.upstream.requests().is_empty());
}
