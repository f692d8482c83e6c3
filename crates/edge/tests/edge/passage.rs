//! What crosses the gateway: identity, fields, nonces, CORS, documents.

use keybound_proto::jose::Signer;
use keybound_proto::time::Clock;
use keybound_proto::token::identity::Identity;

use super::client::{ask, send};
use super::world::{PAGE, World};

#[tokio::test(flavor = "multi_thread")]
async fn sc_051_sc_261_the_upstream_sees_only_what_the_gateway_says() {
    let world = World::start().await;
    let token = world.token();
    let proof = world.proof("POST", "/approvals/1", &token);
    let scheme = format!("DPoP {token}");
    let fields = [
        ("Authorization", scheme.as_str()),
        ("DPoP", &proof),
        ("Keybound-Assertion", "forged"),
        ("Keybound-Subject", "root"),
        ("X-Agent-Subject", "root"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Real-IP", "203.0.113.7"),
        ("Forwarded", "for=203.0.113.7"),
        ("Client-Cert", ":evil:"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-HTTP-Method", "DELETE"),
        ("X-Method-Override", "DELETE"),
        ("X-Request-Id", "mine"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("TE", "trailers"),
        ("Accept", "text/plain"),
        (
            "Traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ];
    let answer = ask(world.addr, world.request("POST", "/approvals/1", &fields)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = world.upstream.last();
    assert_eq!(seen.line(), "POST /approvals/1 HTTP/1.1");
    for gone in [
        "authorization",
        "dpop",
        "keybound-subject",
        "x-agent-subject",
        "x-real-ip",
        "forwarded",
        "client-cert",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "proxy-authorization",
        "te",
        "connection",
    ] {
        assert_eq!(seen.field(gone), None, "{gone}");
    }
    for (name, value) in [
        ("host", world.upstream.addr.to_string()),
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-forwarded-host", world.host()),
        ("x-forwarded-proto", "http".to_owned()),
        ("accept", "text/plain".to_owned()),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        ),
    ] {
        assert_eq!(seen.field(name).as_deref(), Some(value.as_str()), "{name}");
    }
    assert_eq!(seen.field("x-request-id"), answer.field("x-request-id"));
    let assertion = seen.field("keybound-assertion").expect("an assertion");
    let upstream = format!("http://{}", world.upstream.addr);
    let key = world.gateway_key.public_key();
    let now = world.clock.now();
    let identity = Identity::verify(&assertion, &world.url, &upstream, key, now).expect("verified");
    assert_eq!(identity.subject, "agent-7");
    assert_eq!(identity.client_id.as_deref(), Some("client-7"));
    assert_eq!(identity.jkt, Some(world.holder.public_key().thumbprint()));
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_261_an_open_route_hands_on_no_identity_at_all() {
    let world = World::start().await;
    let fields = [
        ("Keybound-Assertion", "forged"),
        ("Keybound-Subject", "root"),
        ("Authorization", "Bearer anything"),
        ("DPoP", "x"),
    ];
    let answer = ask(world.addr, world.request("GET", "/open/x?y=%2F", &fields)).await;
    assert_eq!(answer.status, 200);
    let seen = world.upstream.last();
    assert_eq!(seen.line(), "GET /open/x?y=%2F HTTP/1.1");
    for gone in [
        "keybound-assertion",
        "keybound-subject",
        "authorization",
        "dpop",
    ] {
        assert_eq!(seen.field(gone), None, "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_comes_in_the_form_the_route_asks_for() {
    let world = World::start().await;
    ask(world.addr, world.signed("GET", "/plain")).await;
    let seen = world.upstream.last();
    assert_eq!(seen.field("keybound-subject").as_deref(), Some("agent-7"));
    assert_eq!(
        seen.field("keybound-client-id").as_deref(),
        Some("client-7")
    );
    assert_eq!(
        seen.field("keybound-scope").as_deref(),
        Some("approvals:read approvals:write")
    );
    assert_eq!(
        seen.field("keybound-jkt"),
        Some(world.holder.public_key().thumbprint().to_string())
    );
    assert!(
        seen.field("keybound-token-id")
            .expect("a handle")
            .starts_with("tok_")
    );
    assert_eq!(seen.field("keybound-assertion"), None);

    ask(world.addr, world.signed("GET", "/silent")).await;
    let seen = world.upstream.last();
    assert!(
        !seen.head.to_lowercase().contains("keybound-"),
        "{}",
        seen.head
    );

    ask(world.addr, world.signed("GET", "/keep")).await;
    let seen = world.upstream.last();
    assert!(
        seen.field("authorization")
            .expect("kept")
            .starts_with("DPoP ")
    );
    assert!(seen.field("dpop").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_is_reused_for_its_token_and_never_outlives_it() {
    let world = World::start().await;
    let token = world.token_for(&format!("{}/", world.url), 90);
    let other = world.token_for(&format!("{}/", world.url), 90);
    let assertion = async |path: &str, token: &str| {
        let proof = world.proof("GET", path, token);
        let scheme = format!("DPoP {token}");
        let request = world.request("GET", path, &[("Authorization", &scheme), ("DPoP", &proof)]);
        assert_eq!(ask(world.addr, request).await.status, 200);
        world
            .upstream
            .last()
            .field("keybound-assertion")
            .expect("an assertion")
    };
    let claims = |assertion: &str| -> serde_json::Value {
        let payload = assertion.split('.').nth(1).expect("payload");
        let payload = keybound_proto::base64url::decode(payload.as_bytes()).expect("base64url");
        serde_json::from_slice(&payload).expect("json")
    };
    let expiry = |assertion: &str| claims(assertion)["exp"].as_u64().expect("exp");
    let first = assertion("/approvals", &token).await;
    assert_eq!(assertion("/approvals", &token).await, first, "reused");
    assert_ne!(
        assertion("/approvals", &other).await,
        first,
        "not for another token"
    );
    let each = claims(&assertion("/each/x", &token).await);
    assert_eq!(
        (each["htm"].as_str(), each["htu"].as_str()),
        (Some("GET"), Some(&*format!("{}/each/x", world.url)))
    );
    assert_eq!(claims(&first).get("htu"), None);
    assert_eq!(expiry(&first), world.clock.now().as_secs() + 60);
    world.clock.advance_secs(56);
    let later = assertion("/approvals", &token).await;
    assert_ne!(later, first, "renewed before it expires");
    assert_eq!(
        expiry(&later),
        world.clock.now().as_secs() + 34,
        "ends with the token"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_096_sc_098_nonces_are_demanded_offered_and_taken() {
    let world = World::start().await;
    let token = world.token();
    let scheme = format!("DPoP {token}");
    let htu = format!("{}/nonce", world.url);
    let without = world.proof("GET", "/nonce", &token);
    let answer = ask(
        world.addr,
        world.request(
            "GET",
            "/nonce",
            &[("Authorization", &scheme), ("DPoP", &without)],
        ),
    )
    .await;
    assert_eq!(answer.status, 401);
    assert!(
        answer
            .field("www-authenticate")
            .expect("challenge")
            .contains("use_dpop_nonce")
    );
    assert_eq!(answer.field("cache-control").as_deref(), Some("no-store"));
    let nonce = answer.field("dpop-nonce").expect("a nonce");
    assert!(!nonce.contains(','), "exactly one");
    let with = world.proof_with(&world.holder, "GET", &htu, &token, Some(&nonce));
    let answer = ask(
        world.addr,
        world.request(
            "GET",
            "/nonce",
            &[("Authorization", &scheme), ("DPoP", &with)],
        ),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert!(answer.field("dpop-nonce").is_some(), "also on success");
    let again = world.proof("GET", "/nonce", &token);
    let answer = ask(
        world.addr,
        world.request(
            "GET",
            "/nonce",
            &[("Authorization", &scheme), ("DPoP", &again)],
        ),
    )
    .await;
    assert_eq!(answer.status, 401, "a nonce once given stays demanded");
    // Not where it is not demanded, and not the upstream's own.
    let answer = ask(world.addr, world.signed("GET", "/approvals/fields")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("dpop-nonce"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_272_pages_can_read_the_challenge_when_cors_is_on() {
    let world = World::start_with(|setup| setup.cors = true).await;
    let refused = ask(
        world.addr,
        world.request("GET", "/nonce", &[("Origin", PAGE)]),
    )
    .await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.field("access-control-allow-origin").as_deref(),
        Some(PAGE)
    );
    let exposed = refused
        .field("access-control-expose-headers")
        .expect("exposed");
    assert!(
        exposed.contains("WWW-Authenticate") && exposed.contains("DPoP-Nonce"),
        "{exposed}"
    );
    let preflight = [
        ("Origin", PAGE),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,dpop"),
    ];
    let answer = ask(
        world.addr,
        world.request("OPTIONS", "/approvals", &preflight),
    )
    .await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.field("access-control-allow-methods").as_deref(),
        Some("POST")
    );
    assert!(
        answer
            .field("access-control-allow-headers")
            .expect("fields")
            .contains("dpop")
    );
    assert!(world.upstream.requests().is_empty());
    // A preflight from elsewhere does not get in, and one that is none is checked like any.
    let foreign = [
        ("Origin", "https://evil.example"),
        ("Access-Control-Request-Method", "POST"),
    ];
    assert_eq!(
        ask(world.addr, world.request("OPTIONS", "/approvals", &foreign))
            .await
            .status,
        403
    );
    let with_credentials = [&preflight[..], &[("Authorization", "DPoP x")]].concat();
    let request = world.request("OPTIONS", "/approvals", &with_credentials);
    assert_eq!(ask(world.addr, request).await.status, 401);
    let no_preflight = ask(
        world.addr,
        world.request("OPTIONS", "/reports", &[("Origin", PAGE)]),
    )
    .await;
    assert_eq!(no_preflight.status, 401);
    let mut signed = world.signed("GET", "/approvals");
    signed = signed.replacen("\r\n", &format!("\r\nOrigin: {PAGE}\r\n"), 1);
    let answer = ask(world.addr, signed).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.field("access-control-allow-origin").as_deref(),
        Some(PAGE)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cors_no_page_gets_in() {
    let world = World::start().await;
    let answer = ask(
        world.addr,
        world.request("GET", "/open", &[("Origin", PAGE)]),
    )
    .await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (403, "http.origin_foreign")
    );
    let own = ask(
        world.addr,
        world.request("GET", "/open", &[("Origin", &world.url)]),
    )
    .await;
    assert_eq!(own.status, 200);
    assert_eq!(own.field("access-control-allow-origin"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_names_each_resource_exactly() {
    let world = World::start().await;
    for (path, resource) in [
        (
            "/.well-known/oauth-protected-resource",
            format!("{}/", world.url),
        ),
        (
            "/.well-known/oauth-protected-resource/reports",
            format!("{}/reports", world.url),
        ),
    ] {
        let answer = ask(world.addr, world.request("GET", path, &[])).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.field("content-type").as_deref(),
            Some("application/json")
        );
        let document: serde_json::Value = serde_json::from_slice(&answer.body).expect("json");
        assert_eq!(document["resource"], resource);
        assert_eq!(document["dpop_bound_access_tokens_required"], true);
        assert_eq!(
            document["dpop_signing_alg_values_supported"],
            serde_json::json!(["ES256", "EdDSA"])
        );
        assert!(
            document["authorization_servers"][0]
                .as_str()
                .expect("url")
                .starts_with("http://127.0.0.1:")
        );
    }
    let challenge = ask(world.addr, world.request("GET", "/reports", &[])).await;
    let challenge = challenge.field("www-authenticate").expect("challenge");
    let named = format!(
        "resource_metadata=\"{}/.well-known/oauth-protected-resource/reports\"",
        world.url
    );
    assert!(challenge.contains(&named), "{challenge}");
    let keys = ask(
        world.addr,
        world.request("GET", "/.well-known/keybound-jwks", &[]),
    )
    .await;
    let keys: serde_json::Value = serde_json::from_slice(&keys.body).expect("json");
    assert!(
        keys["keys"][0]["kid"]
            .as_str()
            .expect("kid")
            .starts_with("kb-")
    );
    assert_eq!(keys["keys"][0].get("d"), None);
    assert!(world.upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_keep_what_is_end_to_end() {
    let world = World::start().await;
    let answer = ask(world.addr, world.request("GET", "/open/fields", &[])).await;
    assert_eq!(answer.field("etag").as_deref(), Some("\"1\""));
    for gone in ["x-hop", "keep-alive"] {
        assert_eq!(answer.field(gone), None, "{gone}");
    }
    assert!(
        answer
            .field("x-request-id")
            .expect("ours")
            .starts_with("req_")
    );
    let head = send(
        world.addr,
        world.request("HEAD", "/open/x", &[("Connection", "close")]),
    )
    .await;
    assert_eq!(head[0].status, 200);
    assert_eq!(head[0].field("content-length").as_deref(), Some("77"));
    assert!(head[0].body.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_and_readiness_show_what_happened() {
    let world = World::start().await;
    ask(world.addr, world.request("GET", "/open", &[])).await;
    ask(world.addr, world.request("GET", "/approvals", &[])).await;
    let metrics = world.gateway.metrics();
    for line in [
        "keybound_gateway_requests_total{route=\"open\",outcome=\"forwarded\"} 1\n",
        "keybound_gateway_requests_total{route=\"approvals\",outcome=\"refused\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    let checks = world.gateway.readiness();
    assert!(checks.iter().all(|check| check.ok), "{checks:?}");
    let open = checks
        .iter()
        .find(|check| check.name == "gateway.route open")
        .expect("named");
    assert!(open.detail.contains("enforcement is off"));
}
