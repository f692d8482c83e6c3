//! Tokens presented with a signature over the request (RFC 9421), on the public check.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keybound_custody::SoftwareKey;
use keybound_guard::{Checked, Content, HttpRequest, NoContent, RequestFacts, Route};
use keybound_proto::binding::{BindingMethod, BindingMethods};
use keybound_proto::cause::Cause;
use keybound_proto::jose::{Algorithm, Signer as _};
use keybound_proto::signature::profile::PRESENTATION_TAG;
use keybound_proto::signature::{
    Component, DigestAlgorithm, ExpectedDigest, SIGNATURE_KEY, SignatureInput, SignatureParameters,
    SignedRequest, content_digest, signature_key,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::{Htu, Origin};
use keybound_proto::verify::{HeaderField, Message, Presented, Verified};
use keybound_proto::{Rejection, signature};

use crate::support::{Issuer, NOW, World, key};

const PATH: &str = "/approvals?state=open";
const CONTENT: &[u8] = b"{\"approve\":true}";

/// A request that is signed as the test wants it.
struct Draft {
    key: Arc<SoftwareKey>,
    /// The key in `Signature-Key`, if any.
    sent_key: Option<Arc<SoftwareKey>>,
    authorization: String,
    nonce: &'static str,
    created: u64,
    cover: Vec<&'static str>,
    digest: Option<String>,
}

impl Draft {
    fn new(world: &World, token: &str) -> Self {
        let owner = Arc::clone(&world.holder);
        Self {
            sent_key: Some(Arc::clone(&owner)),
            key: owner,
            authorization: format!("HTTPSig {token}"),
            nonce: "b1946ac92492d2347c6235b4d2611184",
            created: NOW,
            cover: vec!["@method", "@target-uri", "authorization", SIGNATURE_KEY],
            digest: None,
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, text: &str| {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_str(text).unwrap(),
            );
        };
        set("authorization", &self.authorization);
        if let Some(key) = &self.sent_key {
            set(SIGNATURE_KEY, &signature_key("sig", key.public_key()));
        }
        if let Some(digest) = &self.digest {
            set("content-digest", digest);
        }
        let covered: Vec<_> = self
            .cover
            .iter()
            .map(|name| Component::new(name).unwrap())
            .collect();
        let parameters = SignatureParameters {
            created: Some(UnixTime::from_secs(self.created)),
            nonce: Some(self.nonce),
            tag: Some(PRESENTATION_TAG),
            ..SignatureParameters::default()
        };
        let origin = origin();
        let fields = keybound_guard::Fields(&headers);
        let request = SignedRequest {
            method: "GET",
            origin: &origin,
            request_target: PATH,
            fields: &fields,
            trailers: None,
        };
        let input = SignatureInput::new(request, &covered, parameters).unwrap();
        let signed = input.sign("sig", &*self.key).unwrap();
        let mut set = |name: &'static str, text: &str| {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_str(text).unwrap(),
            );
        };
        set("signature-input", &signed.signature_input);
        set("signature", &signed.signature);
        headers
    }
}

fn origin() -> Origin {
    Origin::parse("https://api.example.com").unwrap()
}

async fn send(world: &World, headers: &HeaderMap) -> Result<Verified, Rejection> {
    on(world, &world.route, &Method::GET, headers).await
}

async fn on(
    world: &World,
    route: &Route,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Verified, Rejection> {
    let request = HttpRequest {
        method,
        path_and_query: PATH,
        headers,
        has_content: false,
        certificate: None,
        certificate_hash: None,
    };
    let facts = RequestFacts::default();
    world
        .guard
        .check_http(&request, &origin(), route, &facts)
        .await
}

async fn refused(world: &World, draft: &Draft) -> Cause {
    let outcome = send(world, &draft.headers()).await;
    outcome.expect_err("must be refused").cause()
}

#[tokio::test]
async fn a_token_without_its_keys_signature_is_refused() {
    let world = World::start().await;
    let token = world.token();
    let thief = key(Algorithm::EdDsa);
    let own_key = Draft {
        key: Arc::clone(&thief),
        sent_key: Some(Arc::clone(&thief)),
        ..Draft::new(&world, &token)
    };
    assert_eq!(refused(&world, &own_key).await, Cause::TokenKeyMismatch);
    let owners_key_sent = Draft {
        key: thief,
        ..Draft::new(&world, &token)
    };
    let cause = refused(&world, &owners_key_sent).await;
    assert!(
        matches!(
            cause,
            Cause::HttpsigSignatureInvalid | Cause::HttpsigAlgorithm
        ),
        "{cause:?}"
    );
    let no_key = Draft {
        sent_key: None,
        cover: vec!["@method", "@target-uri", "authorization"],
        ..Draft::new(&world, &token)
    };
    assert_eq!(refused(&world, &no_key).await, Cause::HttpsigKey);
    let mut unsigned = Draft::new(&world, &token).headers();
    unsigned.remove("signature");
    unsigned.remove("signature-input");
    let outcome = send(&world, &unsigned).await.unwrap_err();
    assert_eq!(outcome.cause(), Cause::HttpsigAbsent);
    assert_eq!(
        world.replay_entries(),
        0,
        "nothing is written for a refusal"
    );
}

#[tokio::test]
async fn a_signature_is_good_for_one_request_of_one_time() {
    let world = World::start().await;
    let token = world.token();
    let headers = Draft::new(&world, &token).headers();
    let other_method = on(&world, &world.route, &Method::HEAD, &headers).await;
    let cause = other_method.unwrap_err().cause();
    assert_eq!(cause, Cause::HttpsigSignatureInvalid);
    for (created, expected) in [
        (NOW - 61, Cause::HttpsigCreatedPast),
        (NOW + 11, Cause::HttpsigCreatedFuture),
    ] {
        let draft = Draft {
            created,
            ..Draft::new(&world, &token)
        };
        assert_eq!(refused(&world, &draft).await, expected);
    }
    let uncovered = Draft {
        cover: vec!["@method", "@target-uri", SIGNATURE_KEY],
        ..Draft::new(&world, &token)
    };
    assert_eq!(refused(&world, &uncovered).await, Cause::HttpsigCoverage);
    assert!(send(&world, &headers).await.is_ok());
    let again = send(&world, &headers).await.unwrap_err();
    assert_eq!(again.cause(), Cause::HttpsigReplayed);
    // The same nonce under a fresh signature is the same use.
    let resigned = Draft {
        created: NOW - 1,
        ..Draft::new(&world, &token)
    };
    assert_eq!(refused(&world, &resigned).await, Cause::HttpsigReplayed);
}

/// SC-090: no nonce of ours can stand in a signature, so nobody is asked for one.
#[tokio::test]
async fn sc_090_signature_that_may_have_been_used_before_a_restart_is_refused() {
    let world = World::with(Issuer::start().await, |config| {
        config.replay.first_run = false;
    });
    let token = world.token();
    let captured = Draft::new(&world, &token).headers();
    for _ in 0..2 {
        let refused = send(&world, &captured).await.unwrap_err();
        assert_eq!(refused.cause(), Cause::HttpsigEpoch);
        let answer = world.guard.answer(&refused, &world.route, "req_1");
        assert_eq!((answer.status, &answer.dpop_nonce), (503, &None));
        assert!(answer.challenge.is_none() && answer.retry_after.is_some());
    }
    world.clock.advance_secs(30);
    let refused = send(&world, &captured).await.unwrap_err();
    assert_eq!(refused.cause(), Cause::HttpsigEpoch);
    let fresh = Draft {
        created: NOW + 30,
        ..Draft::new(&world, &token)
    };
    assert!(send(&world, &fresh.headers()).await.is_ok());
}

#[tokio::test]
async fn a_route_says_which_methods_it_takes() {
    let world = World::start().await;
    let token = world.token();
    let route = Route {
        methods: BindingMethods::of(&[BindingMethod::Dpop]),
        ..world.route.clone()
    };
    let headers = Draft::new(&world, &token).headers();
    let refused = on(&world, &route, &Method::GET, &headers).await;
    assert_eq!(refused.unwrap_err().cause(), Cause::TokenMethodRefused);
    let verified = send(&world, &headers).await.unwrap();
    let possession = verified.possession();
    assert_eq!(possession.method(), BindingMethod::HttpSignature);
    assert_eq!(
        possession.jkt(),
        Some(world.holder.public_key().thumbprint())
    );
}

/// Content as a gateway has it.
struct Body(&'static [u8]);

impl Content for Body {
    fn check<'a>(&'a mut self, expected: &'a ExpectedDigest) -> Checked<'a> {
        let checked = expected.check(self.0);
        Box::pin(std::future::ready(checked))
    }
}

async fn with_content(
    world: &World,
    headers: &HeaderMap,
    content: &mut dyn Content,
) -> Result<Verified, Rejection> {
    let target = Htu::for_request(&origin(), PATH).unwrap();
    let authorization = headers.get("authorization").unwrap().as_bytes();
    let origin = origin();
    let fields = keybound_guard::Fields(headers);
    let presented = Presented {
        method: "GET",
        target: &target,
        authorization: HeaderField::One(authorization),
        proof: HeaderField::Absent,
        message: Message {
            origin: Some(&origin),
            request_target: PATH,
            fields: &fields,
            has_content: true,
            certificate: None,
            certificate_hash: None,
        },
    };
    let facts = RequestFacts::default();
    world
        .guard
        .check_with_content(&presented, &world.route, &facts, content)
        .await
}

#[tokio::test]
async fn content_that_was_changed_is_refused_and_the_signature_is_not_used_up() {
    let mut world = World::start().await;
    world.route.cover_content = true;
    let token = world.token();
    let draft = Draft {
        digest: Some(content_digest(DigestAlgorithm::Sha256, CONTENT)),
        cover: vec![
            "@method",
            "@target-uri",
            "authorization",
            SIGNATURE_KEY,
            signature::CONTENT_DIGEST,
        ],
        ..Draft::new(&world, &token)
    };
    let headers = draft.headers();
    let changed = with_content(&world, &headers, &mut Body(b"{\"approve\":null}")).await;
    assert_eq!(changed.unwrap_err().cause(), Cause::DigestMismatch);
    let unread = with_content(&world, &headers, &mut NoContent).await;
    assert_eq!(unread.unwrap_err().cause(), Cause::DigestMismatch);
    assert_eq!(world.replay_entries(), 0);
    let uncovered = Draft {
        cover: Draft::new(&world, &token).cover,
        ..draft
    };
    let uncovered = with_content(&world, &uncovered.headers(), &mut Body(CONTENT)).await;
    assert_eq!(uncovered.unwrap_err().cause(), Cause::HttpsigCoverage);
    let bare = Draft::new(&world, &token).headers();
    let unsigned = with_content(&world, &bare, &mut Body(CONTENT)).await;
    assert_eq!(unsigned.unwrap_err().cause(), Cause::DigestAbsent);
    assert_eq!(world.replay_entries(), 0);
    let good = with_content(&world, &headers, &mut Body(CONTENT)).await;
    assert!(good.is_ok(), "{good:?}");
}
