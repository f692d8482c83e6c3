//! Requests under the scheme `HTTPSig`, and signed answers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use keybound_custody::SoftwareKey;
use keybound_holder::{HolderError, Presentation, Request};
use keybound_proto::dpop::ProofWindow;
use keybound_proto::fields::FieldLines;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::signature::profile;
use keybound_proto::signature::{
    Component, DigestAlgorithm, HttpSignature, SignatureAlgorithms, SignatureInput,
    SignatureParameters, SignedRequest, SignedResponse, content_digest,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::{HttpUrl, Origin};

use crate::support::{NOW, Party, Reply, Seen, Server, party};

const BODY: &str = r#"{"id":"1","decision":"approve"}"#;

#[derive(Debug)]
struct Lines(HeaderMap);

impl FieldLines for Lines {
    fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
        let values = self.0.get_all(name).iter();
        values.map(HeaderValue::as_bytes).collect()
    }
}

async fn signer() -> (Server, Party) {
    let issuer = Server::issuer(|_| Reply::token("t1", 100_000)).await;
    let mut party = party(&issuer.url);
    party.holder = party.holder.presenting(Presentation::HttpSignature);
    (issuer, party)
}

fn post(url: HttpUrl) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Request {
        method: Method::POST,
        url,
        headers,
        body: Bytes::from_static(BODY.as_bytes()),
    }
}

/// What a resource server makes of a request.
fn read(api: &str, seen: &Seen, at: u64) -> Result<HttpSignature, &'static str> {
    let origin = Origin::parse(api).expect("an origin");
    let fields = Lines(seen.headers.clone());
    let request = SignedRequest {
        method: seen.method.as_str(),
        origin: &origin,
        request_target: seen.uri.path_and_query().expect("a target").as_str(),
        fields: &fields,
        trailers: None,
    };
    let rules = profile::presentation(ProofWindow::default(), SignatureAlgorithms::CURVES);
    HttpSignature::read(&rules, request, UnixTime::from_secs(at))
        .map_err(|rejection| rejection.cause().id())
}

#[tokio::test]
async fn a_signed_request_covers_method_url_token_key_and_body() {
    let (_issuer, party) = signer().await;
    let api = Server::start(|_| Reply::new(200, "")).await;
    let response = party
        .holder
        .send(post(api.url("/approvals?state=open")))
        .await;
    assert_eq!(response.expect("an answer").attempts, 1);
    let seen = api.seen().remove(0);
    assert_eq!(seen.header("authorization"), Some("HTTPSig t1"));
    assert_eq!(seen.header("dpop"), None);

    for change in ["method", "target", "token", "type"] {
        let mut changed = seen.clone();
        match change {
            "method" => changed.method = Method::DELETE,
            "target" => changed.uri = "/approvals?state=all".parse().expect("a URI"),
            "token" => {
                changed
                    .headers
                    .insert("authorization", HeaderValue::from_static("HTTPSig t2"));
            }
            _ => {
                changed
                    .headers
                    .insert("content-type", HeaderValue::from_static("text/plain"));
            }
        }
        let signature = read(&api.url, &changed, NOW).expect("the form");
        let key = signature.inline_key().expect("a key").clone();
        assert!(signature.verify(&key).is_err(), "another {change}");
    }
    assert_eq!(
        read(&api.url, &seen, NOW + 61).err(),
        Some("httpsig.created.past")
    );

    let signature = read(&api.url, &seen, NOW).expect("a signature");
    let key = signature.inline_key().expect("a key").clone();
    assert_eq!(key.thumbprint(), party.holder.jkt());
    let digest = signature.content_digest().expect("a digest");
    assert!(digest.check(b"{}").is_err());
    assert!(digest.check(&seen.body).is_ok());
    assert!(signature.verify(&key).is_ok());
}

#[tokio::test]
async fn every_attempt_has_a_nonce_of_its_own() {
    let (_issuer, party) = signer().await;
    let api = Server::start(|_| Reply::new(200, "")).await;
    for _ in 0..2 {
        let sent = party.holder.send(post(api.url("/"))).await;
        assert_eq!(sent.expect("an answer").status, 200);
    }
    let nonces: Vec<_> = api
        .seen()
        .iter()
        .map(|seen| {
            read(&api.url, seen, NOW)
                .expect("a signature")
                .nonce()
                .map(str::to_owned)
        })
        .collect();
    assert!(nonces[0].is_some());
    assert_ne!(nonces[0], nonces[1]);
}

#[tokio::test]
async fn fields_that_are_the_holders_are_refused() {
    let (_issuer, party) = signer().await;
    let api = Server::start(|_| Reply::new(200, "")).await;
    for name in [
        "authorization",
        "signature",
        "signature-input",
        "signature-key",
        "content-digest",
    ] {
        let mut request = post(api.url("/"));
        let field: http::HeaderName = name.parse().expect("a name");
        request.headers.insert(field, HeaderValue::from_static("x"));
        let refused = party.holder.send(request).await.expect_err("refused");
        assert!(
            matches!(refused, HolderError::ReservedHeader { .. }),
            "{name}"
        );
    }
    let mut request = post(api.url("/"));
    let binary = HeaderValue::from_bytes(b"caf\xe9").expect("a value");
    request.headers.insert("content-type", binary);
    let refused = party.holder.send(request).await.expect_err("refused");
    let component = "content-type".to_owned();
    assert_eq!(refused, HolderError::Uncoverable { component });
    assert!(api.seen().is_empty());
}

/// Signs an answer as FAPI 2.0 does: status and digest, and of the request what identifies it.
fn signed_answer(server: &SoftwareKey, api: &str, seen: &Seen, body: &'static str) -> Reply {
    let digest = content_digest(DigestAlgorithm::Sha256, body.as_bytes());
    let fields: &[(&str, &[u8])] = &[("content-digest", digest.as_bytes())];
    let origin = Origin::parse(api).expect("an origin");
    let asked = Lines(seen.headers.clone());
    let response = SignedResponse {
        status: 200,
        fields: &fields,
        trailers: None,
        request: Some(SignedRequest {
            method: seen.method.as_str(),
            origin: &origin,
            request_target: seen.uri.path_and_query().expect("a target").as_str(),
            fields: &asked,
            trailers: None,
        }),
    };
    let of_request = [
        "@method",
        "@target-uri",
        "content-digest",
        "signature",
        "signature-input",
    ];
    let mut covered = vec![
        Component::new("@status").expect("a component"),
        Component::new("content-digest").expect("a component"),
    ];
    covered.extend(of_request.map(|name| Component::of_request(name).expect("a component")));
    let parameters = SignatureParameters {
        created: Some(UnixTime::from_secs(NOW)),
        tag: Some("fapi-2-response"),
        ..SignatureParameters::default()
    };
    let input = SignatureInput::new(response, &covered, parameters).expect("a base");
    let signed = input.sign("answer", server).expect("signed");
    Reply::new(200, body)
        .with("content-digest", digest)
        .with("signature-input", signed.signature_input)
        .with("signature", signed.signature)
}

#[tokio::test]
async fn a_signed_answer_is_verified_with_the_request_it_answers() {
    let (_issuer, party) = signer().await;
    let server = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let other = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let public = server.public_key().clone();
    let api = Server::start(|_| Reply::new(500, "")).await;
    let url = api.url.clone();
    api.behave(move |seen| signed_answer(&server, &url, seen, "{\"done\":true}"));
    let request = post(api.url("/approvals"));
    let rules = profile::fapi_response(ProofWindow::default(), SignatureAlgorithms::CURVES);
    let now = UnixTime::from_secs(NOW);
    let response = party.holder.send(request.clone()).await.expect("an answer");
    let another = party.holder.send(request.clone()).await.expect("an answer");

    let refused = |change: &dyn Fn(&mut keybound_holder::Response)| {
        let mut changed = response.clone();
        change(&mut changed);
        let verified = changed.verify(&request, &rules, &public, now);
        verified.err().map(|rejection| rejection.cause().id())
    };
    let invalid = Some("httpsig.signature.invalid");
    assert_eq!(
        refused(&|answer| answer.status = http::StatusCode::CREATED),
        invalid
    );
    assert_eq!(
        refused(&|answer| answer.body = Bytes::new()),
        Some("digest.mismatch")
    );
    assert_eq!(
        refused(&|answer| answer.sent = another.sent.clone()),
        invalid,
        "replayed answer"
    );
    assert_eq!(
        refused(&|answer| drop(answer.headers.remove("content-digest"))),
        Some("httpsig.component")
    );
    assert_eq!(
        refused(&|answer| answer.headers.clear()),
        Some("httpsig.absent"),
        "an unsigned success"
    );
    assert!(
        response
            .verify(&request, &rules, other.public_key(), now)
            .is_err()
    );
    let verified = response
        .verify(&request, &rules, &public, now)
        .expect("verified");
    assert!(verified.content.is_some());
    assert_eq!(verified.signature.jkt(), Some(public.thumbprint()));
}
