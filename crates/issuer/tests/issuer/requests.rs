//! The form of requests and answers: media types, sizes, methods, browsers.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::world::{self, SECRET, World, basic, full};

#[tokio::test]
async fn other_media_types_and_methods_are_refused() {
    let world = World::with(full).await;
    for media in [
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "",
    ] {
        let request = Request::post("/token")
            .header("content-type", media)
            .body(Body::from("a=b"))
            .unwrap();
        world.send(request).await.cause("parameter.invalid");
    }
    let request = Request::post("/token").body(Body::from("a=b")).unwrap();
    world.send(request).await.cause("parameter.invalid");
    let request = Request::post("/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("content-type", "application/json")
        .body(Body::from("a=b"))
        .unwrap();
    world.send(request).await.cause("parameter.invalid");

    for path in ["/token", "/introspect", "/revoke", "/register"] {
        let reply = world.get(path).await;
        assert_eq!(reply.status, 405);
        assert_eq!(reply.headers["allow"], "POST");
        reply.cause("http.method_not_allowed");
    }
    let posted = world.post("/jwks", &[], &[]).await;
    assert_eq!(
        (posted.status.as_u16(), &posted.headers["allow"]),
        (405, &"GET,HEAD".parse().unwrap())
    );
}

#[tokio::test]
async fn charset_is_tolerated() {
    let world = World::with(full).await;
    let request = Request::post("/token")
        .header(
            "content-type",
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
        )
        .body(Body::from(""))
        .unwrap();
    world
        .send(request)
        .await
        .cause("client.authentication.absent");
}

#[tokio::test]
async fn f_13_oversized_and_broken_bodies() {
    let world = World::with(full).await;
    let large = format!("a={}", "x".repeat(64 * 1024));
    let reply = world.post_raw("/token", large, &[]).await;
    assert_eq!(reply.status, 413);
    reply.cause("http.body_too_large");
    for body in ["a=1&&b=2", "a=%zz", "a=%00", "=x", "a=1&a=2"] {
        let reply = world.post_raw("/token", body.to_owned(), &[]).await;
        assert_eq!(reply.status, 400, "{body}");
        reply.cause("parameter.invalid");
    }
    let many: Vec<String> = (0..10_000).map(|n| format!("p{n}=")).collect();
    assert_eq!(
        world.post_raw("/token", many.join("&"), &[]).await.status,
        413
    );
    world
        .post_raw("/token", many[..33].join("&"), &[])
        .await
        .cause("parameter.invalid");
}

#[tokio::test]
async fn sc_150_line_ends_and_quotes_never_reach_an_answer() {
    let detailed = World::with(full).await;
    let terse = World::new().await;
    let hostile = "x\r\nset-cookie: a=b\t\"quoted\"\\";
    for world in [&detailed, &terse] {
        for form in [
            [("grant_type", hostile), ("resource", world::MAIN)],
            [("grant_type", "client_credentials"), ("resource", hostile)],
            [("grant_type", "client_credentials"), ("scope", hostile)],
        ] {
            let authorization = basic("basic", SECRET);
            let reply = world
                .post("/token", &form, &[("authorization", &authorization)])
                .await;
            assert!(reply.status.is_client_error());
            assert!(!reply.text.contains(['\r', '\n', '\t']));
            let description = reply.json()["error_description"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(!description.contains(['"', '\\']));
            assert!(!description.contains("set-cookie"));
        }
    }
    // Without control characters the text is echoed to developers only, as JSON.
    let quoted = [
        ("grant_type", "client_credentials"),
        ("resource", "x\"y\\z"),
    ];
    let authorization = [("authorization", basic("basic", SECRET))];
    let headers = authorization
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let reply = detailed.post("/token", &quoted, &headers).await;
    assert_eq!(reply.json()["got"], "x\"y\\z");
    let reply = terse.post("/token", &quoted, &headers).await;
    assert!(!reply.text.contains("x\\\"y"));
}

#[tokio::test]
async fn error_bodies() {
    let world = World::new().await;
    let mut bodies = Vec::new();
    for reply in [
        world.token("x", None).await,
        world.token(&world.assertion(), None).await,
        world
            .token_basic(&[("resource", "x:y")], &world.proof())
            .await,
        world
            .token_basic(&[("resource", world::MAIN), ("scope", "x")], &world.proof())
            .await,
        world.post_raw("/token", "a=1&a=2".to_owned(), &[]).await,
        world.get("/nothing").await,
    ] {
        let mut body = reply.json();
        assert!(body["request_id"].as_str().unwrap().starts_with("req_"));
        body["request_id"] = json!("(id)");
        bodies.push(json!({"status": reply.status.as_u16(), "body": body}));
    }
    insta::assert_json_snapshot!("error_bodies", bodies);
}

#[tokio::test]
async fn full_detail_is_for_development() {
    let world = World::with(full).await;
    let reply = world
        .token_basic(&[("resource", "x:y")], &world.proof())
        .await;
    let mut body = reply.json();
    body["request_id"] = json!("(id)");
    insta::assert_json_snapshot!("error_body_with_full_detail", body);
}

#[tokio::test]
async fn the_listeners_request_id_is_kept_when_harmless() {
    let world = World::new().await;
    for (given, kept) in [
        ("abc-1.2_3", true),
        ("a b", false),
        ("<x>", false),
        ("", false),
    ] {
        let reply = world.post("/token", &[], &[("x-request-id", given)]).await;
        assert_eq!(reply.json()["request_id"] == given, kept, "{given}");
    }
    let long = "x".repeat(65);
    let reply = world.post("/token", &[], &[("x-request-id", &long)]).await;
    assert_ne!(reply.json()["request_id"], long);
}

#[tokio::test]
async fn browsers_of_configured_origins_may_read() {
    let world = World::new().await;
    let with_origin = async |origin: &str| world.post("/token", &[], &[("origin", origin)]).await;
    for foreign in [
        "http://evil.example",
        "null",
        "http://app.example.evil",
        "http://APP.example",
    ] {
        let reply = with_origin(foreign).await;
        assert!(
            !reply.headers.contains_key("access-control-allow-origin"),
            "{foreign}"
        );
    }
    let reply = with_origin("http://app.example").await;
    assert_eq!(
        reply.headers["access-control-allow-origin"],
        "http://app.example"
    );
    assert_eq!(reply.headers["vary"], "Origin");

    let preflight = |origin: &'static str| {
        Request::options("/token")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(
        world.send(preflight("http://evil.example")).await.status,
        405
    );
    let reply = world.send(preflight("http://app.example")).await;
    assert_eq!(reply.status, 204);
    assert_eq!(
        reply.headers["access-control-allow-headers"],
        "Authorization, Content-Type, DPoP"
    );
}

#[tokio::test]
async fn counters_tell_tokens_by_binding_and_refusals_by_cause() {
    let world = World::new().await;
    world.bound_token().await;
    let exempt = [("authorization", basic("exempt", "secret-of-exempt"))];
    let exempt = exempt
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    world
        .post("/token", &[("grant_type", "client_credentials")], &exempt)
        .await;
    world.token("x", None).await;
    let metrics = world.issuer.metrics();
    for line in [
        "keybound_tokens_issued_total{grant=\"client_credentials\",binding=\"dpop\"} 1",
        "keybound_tokens_issued_total{grant=\"client_credentials\",binding=\"none\"} 1",
        "keybound_issuer_refusals_total{cause=\"assertion.malformed\"} 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} in {metrics}"
        );
    }
}
