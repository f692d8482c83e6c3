//! Signed requests: agents that come without a token, and content that is held until its digest
//! is checked.

use axum::http::HeaderMap;
use keybound_custody::SoftwareKey;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::signature::agent::{AGENT_TAG, DIRECTORY_PATH, DIRECTORY_TAG};
use keybound_proto::signature::profile::PRESENTATION_TAG;
use keybound_proto::signature::{
    Component, DigestAlgorithm, SignatureInput, SignatureParameters, SignedRequest, SignedResponse,
    content_digest, signature_key,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;

use super::client::{Answer, ask};
use super::world::{NOW, World};

const BODY: &str = "{\"id\":\"1\",\"decision\":\"approve\"}";

type Fields = Vec<(&'static str, String)>;

fn views(fields: &Fields) -> Vec<(&str, &[u8])> {
    fields
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect()
}

/// An agent: its key, and its origin on loopback with a directory that the key signed.
struct Agent {
    key: SoftwareKey,
    origin: Origin,
}

impl Agent {
    async fn start() -> Self {
        let key = SoftwareKey::generate(Algorithm::EdDsa).expect("key");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bind");
        let address = listener.local_addr().expect("address");
        let origin = Origin::parse(&format!("http://{address}")).expect("origin");
        let (headers, content) = directory(&key, &origin);
        let answer = axum::routing::get(move || std::future::ready((headers, content)));
        let router = axum::Router::new().route(DIRECTORY_PATH, answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { key, origin }
    }

    /// The fields of a `POST` with this content, which the signature covers if `digest` says so.
    fn fields(&self, world: &World, path: &str, digest: Option<&str>) -> Fields {
        let origin = Origin::parse(&world.url).expect("origin");
        let mut fields: Fields = vec![("signature-agent", format!("me=\"{}\"", self.origin))];
        let mut covered = vec![
            Component::new("@authority").expect("component"),
            Component::new("@path").expect("component"),
            Component::member("signature-agent", "me").expect("component"),
        ];
        if let Some(content) = digest {
            let digest = content_digest(DigestAlgorithm::Sha256, content.as_bytes());
            fields.push(("content-digest", digest));
            covered.push(Component::new("content-digest").expect("component"));
        }
        let keyid = self.key.public_key().thumbprint().to_string();
        let parameters = SignatureParameters {
            created: Some(UnixTime::from_secs(NOW)),
            expires: Some(UnixTime::from_secs(NOW + 60)),
            keyid: Some(&keyid),
            tag: Some(AGENT_TAG),
            ..SignatureParameters::default()
        };
        let input = {
            let lines = views(&fields);
            let request = SignedRequest {
                method: "POST",
                origin: &origin,
                request_target: path,
                fields: &lines.as_slice(),
                trailers: None,
            };
            SignatureInput::new(request, &covered, parameters).expect("base")
        };
        let signed = input.sign("sig1", &self.key).expect("signed");
        fields.push(("signature-input", signed.signature_input));
        fields.push(("signature", signed.signature));
        fields
    }
}

fn directory(key: &SoftwareKey, origin: &Origin) -> (HeaderMap, String) {
    let content = format!("{{\"keys\":[{}]}}", key.public_key().to_jwk());
    let digest = content_digest(DigestAlgorithm::Sha256, content.as_bytes());
    let fields: &[(&str, &[u8])] = &[("content-digest", digest.as_bytes())];
    let response = SignedResponse {
        status: 200,
        fields: &fields,
        trailers: None,
        request: Some(SignedRequest {
            method: "GET",
            origin,
            request_target: DIRECTORY_PATH,
            fields: &(),
            trailers: None,
        }),
    };
    let covered = [
        Component::of_request("@authority").expect("component"),
        Component::new("content-digest").expect("component"),
    ];
    let keyid = key.public_key().thumbprint().to_string();
    let parameters = SignatureParameters {
        created: Some(UnixTime::from_secs(NOW)),
        expires: Some(UnixTime::from_secs(NOW + 3600)),
        keyid: Some(&keyid),
        tag: Some(DIRECTORY_TAG),
        ..SignatureParameters::default()
    };
    let input = SignatureInput::new(response, &covered, parameters).expect("base");
    let signed = input.sign("binding", key).expect("signed");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-digest", digest),
        ("signature-input", signed.signature_input),
        ("signature", signed.signature),
    ] {
        headers.insert(name, value.parse().expect("value"));
    }
    (headers, content)
}

async fn post(world: &World, path: &str, fields: &Fields, body: &str) -> Answer {
    let length = body.len().to_string();
    let mut all: Vec<(&str, &str)> = vec![("Content-Length", &length)];
    all.extend(fields.iter().map(|(name, value)| (*name, value.as_str())));
    let request = world.request("POST", path, &all);
    ask(world.addr, format!("{request}{body}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_without_a_good_signature_are_refused() {
    let agent = Agent::start().await;
    let stranger = Agent::start().await;
    let welcome = vec![agent.origin.clone()];
    let world = World::start_with(|setup| setup.agents = welcome).await;
    let good = agent.fields(&world, "/agents", None);
    let mut forged = good.clone();
    forged[2].1 = stranger.fields(&world, "/agents", None)[2].1.clone();
    for (name, path, fields, status, cause) in [
        (
            "no signature",
            "/agents",
            Vec::new(),
            401,
            "authorization.absent",
        ),
        (
            "another's signature",
            "/agents",
            forged,
            401,
            "httpsig.signature.invalid",
        ),
        (
            "an agent that is not welcome",
            "/agents",
            stranger.fields(&world, "/agents", None),
            401,
            "httpsig.key_unknown",
        ),
        (
            "another path",
            "/agents/1",
            good.clone(),
            401,
            "httpsig.signature.invalid",
        ),
        (
            "a route without agents",
            "/silent",
            agent.fields(&world, "/silent", None),
            401,
            "authorization.absent",
        ),
    ] {
        let answer = post(&world, path, &fields, "").await;
        assert_eq!(
            (answer.status, answer.member("cause").as_str()),
            (status, cause),
            "{name}"
        );
    }
    let mut with_token = good.clone();
    with_token.push(("authorization", format!("Bearer {}", world.token())));
    let answer = post(&world, "/agents", &with_token, "").await;
    assert_eq!(answer.status, 401, "a token is judged as a token");
    assert!(world.upstream.requests().is_empty());

    let answer = post(&world, "/agents", &good, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = world.upstream.last();
    assert_eq!(
        received.field("keybound-agent"),
        Some(agent.origin.to_string())
    );
    assert_eq!(received.field("keybound-assertion"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_says_which_agent_it_is_by_a_field() {
    let world = World::start().await;
    let fields = vec![("keybound-agent", "https://agent.example".to_owned())];
    let answer = post(&world, "/open", &fields, "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(world.upstream.last().field("keybound-agent"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_reaches_the_upstream_after_its_digest_was_checked() {
    let agent = Agent::start().await;
    let welcome = vec![agent.origin.clone()];
    let world = World::start_with(|setup| setup.agents = welcome).await;
    let good = agent.fields(&world, "/agents", Some(BODY));
    let changed = BODY.replace("approve", "decline");
    let answer = post(&world, "/agents", &good, &changed).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (400, "digest.mismatch")
    );
    let answer = post(&world, "/agents", &good, "").await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (400, "digest.mismatch")
    );
    let large = "x".repeat(65);
    let fields = agent.fields(&world, "/agents", Some(&large));
    let answer = post(&world, "/agents", &fields, &large).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (413, "http.body_too_large")
    );
    assert!(world.upstream.raw().is_empty(), "the upstream saw a byte");

    let answer = post(&world, "/agents", &good, BODY).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = world.upstream.last();
    assert_eq!(received.body, BODY.as_bytes());
    assert_eq!(
        received.field("content-length"),
        Some(BODY.len().to_string())
    );
    // Without a digest nothing is held, so the limit is the route's own.
    let unsigned = agent.fields(&world, "/agents", None);
    assert_eq!(post(&world, "/agents", &unsigned, &large).await.status, 200);
}

/// A `POST` with the holder's token under the scheme `HTTPSig`.
fn presented(world: &World, key: &SoftwareKey, token: &str, (path, body): (&str, &str)) -> Fields {
    let origin = Origin::parse(&world.url).expect("origin");
    let digest = content_digest(DigestAlgorithm::Sha256, body.as_bytes());
    let mut fields: Fields = vec![
        ("authorization", format!("HTTPSig {token}")),
        ("signature-key", signature_key("sig1", key.public_key())),
        ("content-digest", digest),
    ];
    let names = [
        "@method",
        "@target-uri",
        "authorization",
        "signature-key",
        "content-digest",
    ];
    let covered = names.map(|name| Component::new(name).expect("component"));
    let nonce = format!("n{}", world.number());
    let parameters = SignatureParameters {
        created: Some(UnixTime::from_secs(NOW)),
        nonce: Some(&nonce),
        tag: Some(PRESENTATION_TAG),
        ..SignatureParameters::default()
    };
    let input = {
        let lines = views(&fields);
        let request = SignedRequest {
            method: "POST",
            origin: &origin,
            request_target: path,
            fields: &lines.as_slice(),
            trailers: None,
        };
        SignatureInput::new(request, &covered, parameters).expect("base")
    };
    let signed = input.sign("sig1", key).expect("signed");
    fields.push(("signature-input", signed.signature_input));
    fields.push(("signature", signed.signature));
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_under_httpsig_is_refused_unless_all_of_the_request_is_signed() {
    let world = World::start().await;
    let token = world.token();
    let thief = SoftwareKey::generate(Algorithm::EdDsa).expect("key");
    let place = ("/approvals", BODY);
    let good = presented(&world, &world.holder, &token, place);
    let without = |name: &str| {
        let kept = good.iter().filter(|(known, _)| *known != name);
        kept.cloned().collect::<Fields>()
    };
    let mut downgraded = good.clone();
    downgraded[0].1 = format!("Bearer {token}");
    for (name, path, fields, cause) in [
        (
            "another's key",
            "/approvals",
            presented(&world, &thief, &token, place),
            "token.key_mismatch",
        ),
        (
            "another path",
            "/approvals/1",
            good.clone(),
            "httpsig.signature.invalid",
        ),
        (
            "no digest",
            "/approvals",
            without("content-digest"),
            "httpsig.component",
        ),
        (
            "no signature",
            "/approvals",
            without("signature"),
            "httpsig.malformed",
        ),
        (
            "as a bearer token",
            "/approvals",
            downgraded,
            "token.scheme.downgrade",
        ),
    ] {
        let answer = post(&world, path, &fields, BODY).await;
        assert_eq!(
            (answer.status, answer.member("cause").as_str()),
            (401, cause),
            "{name}"
        );
    }
    let changed = BODY.replace("approve", "decline");
    let answer = post(&world, "/approvals", &good, &changed).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (400, "digest.mismatch")
    );
    assert!(world.upstream.raw().is_empty(), "the upstream saw a byte");

    // Somebody who changed the body on the way did not use the nonce up.
    let answer = post(&world, "/approvals", &good, BODY).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(world.upstream.last().body, BODY.as_bytes());
    assert_eq!(world.upstream.last().field("authorization"), None);
    let answer = post(&world, "/approvals", &good, BODY).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (401, "httpsig.replayed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_body_is_held_up_to_a_limit() {
    let world = World::start().await;
    let token = world.token();
    let large = "x".repeat(65);
    let fields = presented(&world, &world.holder, &token, ("/agents", &large));
    let answer = post(&world, "/agents", &fields, &large).await;
    assert_eq!(
        (answer.status, answer.member("cause").as_str()),
        (413, "http.body_too_large")
    );
    let small = &large[..64];
    let fields = presented(&world, &world.holder, &token, ("/agents", small));
    assert_eq!(post(&world, "/agents", &fields, small).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_can_take_no_content_that_the_proof_does_not_cover() {
    let agent = Agent::start().await;
    let welcome = vec![agent.origin.clone()];
    let world = World::start_with(|setup| setup.agents = welcome).await;
    let token = world.token();
    let digest = content_digest(DigestAlgorithm::Sha256, BODY.as_bytes());
    let proven = |digest: Option<&str>| -> Fields {
        vec![
            ("authorization", format!("DPoP {token}")),
            ("dpop", world.proof_covering("/covered", &token, digest)),
        ]
    };
    let bare = proven(None);
    let answers = [
        (
            agent.fields(&world, "/covered", None),
            BODY,
            "digest.absent",
        ),
        (bare.clone(), BODY, "digest.absent"),
        (proven(Some(&digest)), "{}", "digest.mismatch"),
        (proven(Some(&digest)), "", "digest.mismatch"),
    ];
    for (fields, body, cause) in answers {
        let answer = post(&world, "/covered", &fields, body).await;
        assert_eq!(
            (answer.status, answer.member("cause").as_str()),
            (400, cause)
        );
    }
    assert!(
        world.upstream.requests().is_empty(),
        "the upstream saw nothing"
    );
    let covered = proven(Some(&digest));
    let answer = post(&world, "/covered", &covered, BODY).await;
    assert_eq!(answer.status, 200);
    // Without content the same proof that was refused with some is good.
    assert_eq!(post(&world, "/covered", &bare, "").await.status, 200);
    let signed = agent.fields(&world, "/covered", Some(BODY));
    assert_eq!(post(&world, "/covered", &signed, BODY).await.status, 200);
}
