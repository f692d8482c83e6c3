//! The tower layer and the axum extractor, over real HTTP semantics.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt as _;
use keybound_guard::layer::{Caller, GuardLayer};
use keybound_guard::{MethodScopes, NonceRule, Route};
use keybound_proto::uri::Origin;
use tower::ServiceExt as _;

use crate::support::World;

async fn whoami(caller: Caller) -> String {
    caller.identity().to_owned()
}

fn app(world: &World, route: Route) -> Router {
    let origin = Origin::parse("https://api.example.com").unwrap();
    Router::new()
        .route("/approvals", get(whoami).post(whoami))
        .layer(GuardLayer::new(world.guard.clone(), origin, route))
        .route("/unguarded", get(whoami))
}

async fn send(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.unwrap()
}

fn request(token: &str, proof: &str) -> http::request::Builder {
    Request::get("/approvals?state=open")
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof)
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn refusal_is_the_standard_answer() {
    let world = World::start().await;
    let app = app(&world, world.route.clone());
    let bare = send(
        &app,
        Request::get("/approvals").body(Body::empty()).unwrap(),
    )
    .await;
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        header(&bare, "www-authenticate"),
        Some(r#"DPoP algs="ES256 EdDSA""#)
    );
    let token = world.token();
    let bearer = Request::get("/approvals").header("authorization", format!("Bearer {token}"));
    let response = send(&app, bearer.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(
        header(&response, "www-authenticate")
            .unwrap()
            .starts_with(r#"DPoP error="invalid_token""#)
    );
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    let request_id = header(&response, "x-request-id").unwrap().to_owned();
    let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body["error"], "invalid_token");
    assert_eq!(body["request_id"], request_id);
    assert!(
        body.get("cause").is_none(),
        "the caller is not told which check failed"
    );
    assert_eq!(
        world.sink.take().pop().unwrap().request_id,
        Some(request_id)
    );
}

#[tokio::test]
async fn sc_002_sc_113_repeated_headers_are_refused() {
    let world = World::start().await;
    let app = app(&world, world.route.clone());
    let token = world.token();
    let proofs = request(&token, &world.proof(&token)).header("dpop", world.proof(&token));
    let response = send(&app, proofs.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(
        header(&response, "www-authenticate")
            .unwrap()
            .contains("invalid_dpop_proof")
    );
    let both =
        request(&token, &world.proof(&token)).header("authorization", format!("Bearer {token}"));
    let response = send(&app, both.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn sc_062_host_and_forwarding_headers_do_not_move_the_target() {
    let world = World::start().await;
    let app = app(&world, world.route.clone());
    let token = world.token();
    let elsewhere = world.proof_with(&token, |proof| {
        proof.htu = "https://evil.example.com/approvals"
    });
    let spoofed = request(&token, &elsewhere)
        .header("host", "evil.example.com")
        .header("x-forwarded-host", "evil.example.com")
        .header("forwarded", "host=evil.example.com;proto=https");
    let response = send(&app, spoofed.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn ambiguous_path_is_refused() {
    let world = World::start().await;
    let app = Router::new().fallback(whoami).layer(GuardLayer::new(
        world.guard.clone(),
        Origin::parse("https://api.example.com").unwrap(),
        world.route.clone(),
    ));
    let token = world.token();
    for path in [
        "/public/..%2fapprovals",
        "/public/../approvals",
        "/a\\b",
        "/%2e%2e/approvals",
    ] {
        let Ok(uri) = path.parse::<http::Uri>() else {
            continue;
        };
        let request = request(&token, &world.proof(&token))
            .uri(uri)
            .body(Body::empty())
            .unwrap();
        assert_eq!(
            send(&app, request).await.status(),
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    assert_eq!(world.replay_entries(), 0);
}

#[tokio::test]
async fn handler_without_a_guard_does_not_run() {
    let world = World::start().await;
    let app = app(&world, world.route.clone());
    let response = send(
        &app,
        Request::get("/unguarded").body(Body::empty()).unwrap(),
    )
    .await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn method_that_is_not_listed_names_those_that_are() {
    let world = World::start().await;
    let mut route = world.route.clone();
    route.scopes = MethodScopes::default().with("GET", ["approvals:read"]);
    let app = app(&world, route);
    let token = world.token();
    let proof = world.proof_with(&token, |proof| proof.method = "POST");
    let request = request(&token, &proof)
        .method("POST")
        .body(Body::empty())
        .unwrap();
    let response = send(&app, request).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(header(&response, "allow"), Some("GET"));
}

#[tokio::test]
async fn sc_272_challenge_and_nonce_are_exposed_to_scripts() {
    let world = World::start().await;
    let mut route = world.route.clone();
    route.nonce = NonceRule::Everybody;
    let app = app(&world, route);
    let token = world.token();
    let from_script =
        request(&token, &world.proof(&token)).header("origin", "https://app.example.com");
    let response = send(&app, from_script.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let exposed = header(&response, "access-control-expose-headers").unwrap();
    assert!(exposed.contains("WWW-Authenticate") && exposed.contains("DPoP-Nonce"));
    let nonce = header(&response, "dpop-nonce").unwrap().to_owned();
    let proof = world.proof_with(&token, |proof| proof.nonce = Some(nonce));
    let response = send(&app, request(&token, &proof).body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(
        header(&response, "dpop-nonce").is_some(),
        "offered with success as well"
    );
    assert!(header(&response, "access-control-expose-headers").is_none());
}

#[tokio::test]
async fn good_request_reaches_the_handler_also_when_nested() {
    let world = World::start().await;
    let flat = app(&world, world.route.clone());
    let token = world.token();
    let response = send(
        &flat,
        request(&token, &world.proof(&token))
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(
        header(&response, "dpop-nonce").is_none(),
        "not offered where not required"
    );
    assert_eq!(text(response).await, "agent-7");
    let nested = Router::new().nest("/v1", flat);
    let proof = world.proof_with(&token, |proof| {
        proof.htu = "https://api.example.com/v1/approvals"
    });
    let request = request(&token, &proof)
        .uri("/v1/approvals")
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(&nested, request).await.status(), StatusCode::OK);
}
