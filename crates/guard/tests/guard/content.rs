//! Routes on which the proof has to cover the content of the request.

use keybound_guard::{Checked, Content, NoContent, RequestFacts, Route};
use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::signature::{DigestAlgorithm, ExpectedDigest, content_digest};
use keybound_proto::uri::Htu;
use keybound_proto::verify::{HeaderField, Message, Presented, Verified};

use crate::support::{TARGET, World};

const CONTENT: &[u8] = b"{\"id\":\"1\",\"decision\":\"approve\"}";

/// Content as a gateway has it.
struct Body(&'static [u8]);

impl Content for Body {
    fn check<'a>(&'a mut self, expected: &'a ExpectedDigest) -> Checked<'a> {
        Box::pin(std::future::ready(expected.check(self.0)))
    }
}

async fn send(
    world: &World,
    route: &Route,
    (authorization, proof): (&str, &str),
    content: Option<&'static [u8]>,
) -> Result<Verified, Rejection> {
    let target = Htu::parse(TARGET).unwrap();
    let presented = Presented {
        method: "POST",
        target: &target,
        authorization: HeaderField::One(authorization.as_bytes()),
        proof: HeaderField::One(proof.as_bytes()),
        message: Message {
            has_content: content.is_some(),
            ..Message::default()
        },
    };
    let facts = RequestFacts::default();
    let mut body: Box<dyn Content> = match content {
        Some(content) => Box::new(Body(content)),
        None => Box::new(NoContent),
    };
    let checked = world
        .guard
        .check_with_content(&presented, route, &facts, &mut *body);
    checked.await
}

fn covering(world: &World, token: &str, digest: Option<String>) -> String {
    world.proof_with(token, |proof| {
        proof.method = "POST";
        proof.content_digest = digest;
    })
}

fn digest(content: &[u8]) -> Option<String> {
    Some(content_digest(DigestAlgorithm::Sha256, content))
}

#[tokio::test]
async fn content_that_the_proof_does_not_cover_is_refused() {
    let mut world = World::start().await;
    world.route.cover_content = true;
    let (token, route) = (world.token(), world.route.clone());
    let authorization = format!("DPoP {token}");
    let refused = async |proof: &str, content: &'static [u8]| {
        let sent = send(&world, &route, (&authorization, proof), Some(content));
        sent.await.unwrap_err().cause()
    };
    let bare = covering(&world, &token, None);
    assert_eq!(refused(&bare, CONTENT).await, Cause::DigestAbsent);
    let covered = covering(&world, &token, digest(CONTENT));
    let other = b"{\"id\":\"1\",\"decision\":\"decline\"}";
    assert_eq!(refused(&covered, other).await, Cause::DigestMismatch);
    let weak = covering(
        &world,
        &token,
        Some("md5=:AAAAAAAAAAAAAAAAAAAAAA==:".into()),
    );
    assert_eq!(refused(&weak, CONTENT).await, Cause::DigestAlgorithm);
    assert_eq!(world.replay_entries(), 0, "no proof was used up");
    let good = send(&world, &route, (&authorization, &covered), Some(CONTENT));
    assert!(good.await.is_ok());
    assert_eq!(refused(&covered, CONTENT).await, Cause::DpopReplayed);
}

#[tokio::test]
async fn what_has_no_content_needs_no_digest() {
    let mut world = World::start().await;
    world.route.cover_content = true;
    let (token, route) = (world.token(), world.route.clone());
    let authorization = format!("DPoP {token}");
    let bare = covering(&world, &token, None);
    let sent = send(&world, &route, (&authorization, &bare), None).await;
    assert!(sent.is_ok(), "{sent:?}");
    // A digest is held against the content, also where there is none.
    let covered = covering(&world, &token, digest(CONTENT));
    let sent = send(&world, &route, (&authorization, &covered), None).await;
    assert_eq!(sent.unwrap_err().cause(), Cause::DigestMismatch);
}

/// RFC 9449 section 4.2: claims nobody asked for mean nothing.
#[tokio::test]
async fn a_route_that_does_not_ask_does_not_look() {
    let world = World::start().await;
    let token = world.token();
    let authorization = format!("DPoP {token}");
    for claim in [digest(b"other"), Some("no digest at all".to_owned())] {
        let proof = covering(&world, &token, claim);
        let credentials = (authorization.as_str(), proof.as_str());
        let sent = send(&world, &world.route, credentials, Some(CONTENT));
        assert!(sent.await.is_ok());
    }
}

mod layer {
    use super::*;

    use axum::Router;
    use axum::body::Body;
    use axum::routing::post;
    use http::{Request, StatusCode};
    use keybound_guard::layer::GuardLayer;
    use keybound_proto::uri::Origin;
    use tower::ServiceExt as _;

    /// Nobody reads the content before the handler does, so nobody could check it.
    #[tokio::test]
    async fn behind_the_layer_such_a_route_takes_no_content() {
        let mut world = World::start().await;
        world.route.cover_content = true;
        let origin = Origin::parse("https://api.example.com").unwrap();
        let layer = GuardLayer::new(world.guard.clone(), origin, world.route.clone());
        let app: Router = Router::new()
            .route("/approvals", post(async || "done"))
            .layer(layer);
        let token = world.token();
        let post = async |claim: Option<String>, body: &'static [u8]| {
            let request = Request::post("/approvals")
                .header("authorization", format!("DPoP {token}"))
                .header("dpop", covering(&world, &token, claim))
                .body(Body::from(body))
                .unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            response.status()
        };
        assert_eq!(post(None, CONTENT).await, StatusCode::BAD_REQUEST);
        assert_eq!(
            post(digest(CONTENT), CONTENT).await,
            StatusCode::BAD_REQUEST
        );
        assert_eq!(post(None, b"").await, StatusCode::OK);
    }
}
