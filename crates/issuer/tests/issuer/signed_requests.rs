//! Token requests that are signed as a whole (draft-richer-oauth-httpsig-03): with a key that the
//! request brings, and with a registered one.

use keybound_custody::SoftwareKey;
use keybound_issuer::config::{IssuerConfig, RequestSigningConfig};
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::signature::{
    Component, DigestAlgorithm, SignatureInput, SignatureParameters, SignedRequest, content_digest,
    runtime_parameters,
};
use keybound_proto::structured::BareItem;
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;
use serde_json::{Value, json};

use crate::world::{self, ISSUER, MAIN, NOW, Reply, SECRET, World, claims, encode};

const FORM: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("resource", MAIN)];
const COVERED: [&str; 4] = ["@method", "@target-uri", "content-digest", "authorization"];

/// One signed request, to be changed.
#[derive(Clone)]
struct Signing<'a> {
    covered: &'a [&'a str],
    created: u64,
    nonce: Option<&'a str>,
    tag: &'a str,
    keyid: Option<&'a str>,
    /// Whether `alg` and `pub` bring the key.
    brings_key: bool,
    target: &'a str,
    origin: &'a str,
    /// What is sent in place of what was signed.
    sent: Option<String>,
}

const GOOD: Signing<'static> = Signing {
    covered: &COVERED,
    created: NOW,
    nonce: Some("n-1"),
    tag: "httpsig-oauth-token-request",
    keyid: None,
    brings_key: true,
    target: "/token",
    origin: ISSUER,
    sent: None,
};

fn sign(signing: &Signing<'_>, key: &dyn Signer) -> (String, Vec<(&'static str, String)>) {
    let body = encode(&FORM);
    let digest = content_digest(DigestAlgorithm::Sha256, body.as_bytes());
    let authorization = world::basic("basic", SECRET);
    let fields: &[(&str, &[u8])] = &[
        ("authorization", authorization.as_bytes()),
        ("content-digest", digest.as_bytes()),
    ];
    let origin = Origin::parse(signing.origin).unwrap();
    let request = SignedRequest {
        method: "POST",
        origin: &origin,
        request_target: signing.target,
        fields: &fields,
        trailers: None,
    };
    let (algorithm, point) = runtime_parameters(key.public_key()).unwrap();
    let more = [("pub", BareItem::Bytes(point))];
    let parameters = SignatureParameters {
        created: Some(UnixTime::from_secs(signing.created)),
        nonce: signing.nonce,
        tag: Some(signing.tag),
        keyid: signing.keyid,
        algorithm: signing.brings_key.then_some(algorithm),
        more: if signing.brings_key { &more } else { &[] },
        ..SignatureParameters::default()
    };
    let covered: Vec<_> = signing
        .covered
        .iter()
        .map(|name| Component::new(name).unwrap())
        .collect();
    let input = SignatureInput::new(request, &covered, parameters).unwrap();
    let made = input.sign("sig1", key).unwrap();
    let headers = vec![
        ("authorization", authorization),
        ("content-digest", digest),
        ("signature-input", made.signature_input),
        ("signature", made.signature),
    ];
    (signing.sent.clone().unwrap_or(body), headers)
}

async fn ask(world: &World, signing: &Signing<'_>, key: &dyn Signer) -> Reply {
    let (body, headers) = sign(signing, key);
    send(world, body, &headers).await
}

async fn send(world: &World, body: String, headers: &[(&str, String)]) -> Reply {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    world.post_raw("/token", body, &headers).await
}

/// A world where the client `basic` signs its token requests.
async fn signing_world(jwks: Option<&Value>, optional: bool) -> World {
    let jwks = jwks.map(Value::to_string);
    World::with(|config: &mut IssuerConfig| {
        world::full(config);
        let basic = config
            .clients
            .iter_mut()
            .find(|client| client.id == "basic");
        basic.unwrap().signing = RequestSigningConfig::Taken { jwks, optional };
    })
    .await
}

fn ed25519() -> SoftwareKey {
    SoftwareKey::generate(Algorithm::EdDsa).unwrap()
}

#[track_caller]
fn granted(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json()["token_type"], "httpsig");
    claims(reply.json()["access_token"].as_str().unwrap())
}

/// Parameters of a signature that can be wrong, one at a time.
fn faulty_parameters() -> Vec<(Signing<'static>, &'static str)> {
    let mut faulty = vec![GOOD; 7];
    faulty[0].tag = "httpsig-oauth";
    faulty[1].nonce = None;
    faulty[2].brings_key = false;
    faulty[3].keyid = Some("k");
    (faulty[4].keyid, faulty[4].brings_key) = (Some("k"), false);
    faulty[5].created = NOW - 31;
    faulty[6].created = NOW + 11;
    let causes = [
        "httpsig.absent",
        "httpsig.parameter",
        "httpsig.parameter",
        "httpsig.parameter",
        "httpsig.parameter",
        "httpsig.created.past",
        "httpsig.created.future",
    ];
    faulty.into_iter().zip(causes).collect()
}

/// What a signature can cover too little of, or that can be changed under it.
fn faulty_coverage() -> Vec<(Signing<'static>, &'static str)> {
    let covering = |covered| Signing { covered, ..GOOD };
    let tampered = encode(&[FORM[0], ("resource", world::REPORTS)]);
    vec![
        (covering(&COVERED[..3]), "httpsig.coverage"),
        (
            covering(&["@method", "@target-uri", "authorization"]),
            "httpsig.coverage",
        ),
        (
            covering(&["@target-uri", "content-digest", "authorization"]),
            "httpsig.coverage",
        ),
        (
            covering(&["@method", "@path", "content-digest", "authorization"]),
            "httpsig.coverage",
        ),
        (
            Signing {
                target: "/introspect",
                ..GOOD
            },
            "httpsig.signature.invalid",
        ),
        (
            Signing {
                origin: "https://elsewhere.example",
                ..GOOD
            },
            "httpsig.signature.invalid",
        ),
        (
            Signing {
                sent: Some(tampered),
                ..GOOD
            },
            "digest.mismatch",
        ),
    ]
}

#[tokio::test]
async fn what_is_not_signed_as_it_must_be_gets_no_token() {
    let world = signing_world(None, false).await;
    let key = ed25519();
    for (signing, cause) in faulty_parameters().into_iter().chain(faulty_coverage()) {
        let reply = ask(&world, &signing, &key).await;
        assert_eq!(reply.status, 400, "{}", reply.text);
        reply.cause(cause);
    }
    let (body, mut headers) = sign(&GOOD, &key);
    let (_, other) = sign(&GOOD, &ed25519());
    headers[3].1.clone_from(&other[3].1);
    send(&world, body, &headers)
        .await
        .cause("httpsig.signature.invalid");
    let (body, mut headers) = sign(&GOOD, &key);
    let twice = |field: &str| format!("{field}, {}", field.replacen("sig1", "sig2", 1));
    headers[2].1 = twice(&headers[2].1);
    headers[3].1 = twice(&headers[3].1);
    send(&world, body, &headers).await.cause("httpsig.multiple");
    assert!(world.events("token_issued").await.is_empty());
}

#[tokio::test]
async fn one_proof_of_possession_and_one_only() {
    let (strict, lenient) = (
        signing_world(None, false).await,
        signing_world(None, true).await,
    );
    for world in [&strict, &lenient] {
        let (body, mut headers) = sign(&GOOD, &ed25519());
        headers.push(("dpop", world.proof()));
        send(world, body, &headers).await.cause("httpsig.multiple");
        let reply = world.token_basic(&[("resource", MAIN)], "no proof").await;
        assert_ne!(reply.status, 200);
    }
    // A client that has to sign is not let in by a proof of another kind, and one that may, is.
    let form = [("resource", MAIN)];
    strict
        .token_basic(&form, &strict.proof())
        .await
        .cause("httpsig.absent");
    let by_proof = lenient.token_basic(&form, &lenient.proof()).await;
    assert_eq!(by_proof.json()["token_type"], "DPoP", "{}", by_proof.text);
    // Where nobody lets a client sign, its signature is nothing.
    let world = World::with(world::full).await;
    ask(&world, &GOOD, &ed25519())
        .await
        .cause("client.binding_required");
}

#[tokio::test]
async fn a_token_is_bound_to_the_key_the_request_brings() {
    let world = signing_world(None, false).await;
    for (nonce, algorithm, name) in [
        ("n-1", Algorithm::EdDsa, "ed25519"),
        ("n-2", Algorithm::Es256, "ecdsa-p256-sha256"),
    ] {
        let key = SoftwareKey::generate(algorithm).unwrap();
        let signing = Signing {
            nonce: Some(nonce),
            ..GOOD
        };
        let reply = ask(&world, &signing, &key).await;
        let token = granted(&reply);
        let (_, point) = runtime_parameters(key.public_key()).unwrap();
        let public = keybound_proto::base64url::encode(&point);
        assert_eq!(token["cnf"], json!({"htsk": {"alg": name, "pub": public}}));
        // The nonce is spent with the token.
        ask(&world, &signing, &key).await.cause("httpsig.replayed");
        let authorization = world::basic("basic", SECRET);
        let text = reply.json()["access_token"].as_str().unwrap().to_owned();
        let facts = world
            .post(
                "/introspect",
                &[("token", &text)],
                &[("authorization", &authorization)],
            )
            .await
            .json();
        assert_eq!(
            (&facts["cnf"], &facts["token_type"]),
            (&token["cnf"], &json!("httpsig"))
        );
        let issued = world.events("token_issued").await;
        let jkt = key.public_key().thumbprint().to_string();
        let last = issued.last().unwrap();
        assert_eq!(
            (&last["binding"], &last["jkt"]),
            (&json!("httpsig"), &json!(jkt))
        );
    }
}

#[tokio::test]
async fn a_registered_key_is_named_and_no_other_counts() {
    let (key, other) = (ed25519(), ed25519());
    let mut jwk: Value = serde_json::from_str(&key.public_key().to_jwk()).unwrap();
    jwk["kid"] = json!("signer-1");
    let world = signing_world(Some(&json!({"keys": [jwk]})), false).await;
    let named = Signing {
        keyid: Some("signer-1"),
        brings_key: false,
        ..GOOD
    };
    ask(&world, &named, &other)
        .await
        .cause("httpsig.signature.invalid");
    let unknown = Signing {
        keyid: Some("signer-2"),
        ..named.clone()
    };
    ask(&world, &unknown, &key)
        .await
        .cause("httpsig.key_unknown");
    // Whoever has the client's secret cannot bind a token to a key of their own.
    ask(&world, &GOOD, &other).await.cause("httpsig.parameter");
    let token = granted(&ask(&world, &named, &key).await);
    let cnf = &token["cnf"]["jwk"];
    assert_eq!((&cnf["alg"], &cnf["x"]), (&json!("Ed25519"), &jwk["x"]));
    assert_eq!(token["cnf"].as_object().unwrap().len(), 1);
    ask(&world, &named, &key).await.cause("httpsig.replayed");
}

#[tokio::test]
async fn a_locked_key_signs_for_nothing() {
    let (world, key) = (signing_world(None, false).await, ed25519());
    let subject = keybound_proto::signal::Subject::Key(key.public_key().thumbprint());
    world
        .store
        .lock(subject, "operator", None, None)
        .await
        .unwrap();
    ask(&world, &GOOD, &key).await.cause("key.locked");
}
