//! Documents on top of RFC 9421: OAuth presentation, Web Bot Auth, WIMSE.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keybound_proto::dpop::ProofWindow;
use keybound_proto::jose::PublicKey;
use keybound_proto::signature::profile::{self, KeyIntroduction};
use keybound_proto::signature::{
    HttpSignature, SignatureAlgorithms, SignatureRules, SignedMessage, SignedRequest,
    SignedResponse,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;

use crate::printed::{CREATED, Printed, anything, field_lines, load, public, text, views};

#[test]
fn oauth_httpsig_messages() {
    let file = load("oauth_httpsig_draft.json");
    let ed25519 = public(&file["ed25519_client_key"]);
    let point = p256_point(text(&file["p256_key_pem"]));
    let p256 = PublicKey::from_ec_point(keybound_proto::jose::Curve::P256, &point).unwrap();
    let window = ProofWindow::default();
    let curves = SignatureAlgorithms::CURVES;
    for vector in file["vectors"].as_array().unwrap() {
        let name = text(&vector["file"]);
        let printed = Printed::parse(text(&vector["http"]));
        let (rules, created) = match name {
            "token-request-signed.http" => (
                profile::token_request(KeyIntroduction::Runtime, window, curves),
                CREATED,
            ),
            "token-request-prereg-signed.http" => (
                profile::token_request(KeyIntroduction::Preregistered, window, curves),
                CREATED,
            ),
            _ => (profile::presentation(window, curves), 1_776_650_875),
        };
        let key = if text(&vector["alg"]) == "ed25519" {
            &ed25519
        } else {
            &p256
        };
        let other = if key == &p256 { &ed25519 } else { &p256 };
        let read = |now| printed.read(&rules, now);
        assert_eq!(read(created + 61).err(), Some("httpsig.created.past"));
        assert_eq!(read(created - 11).err(), Some("httpsig.created.future"));
        let signature = || read(created).unwrap();
        assert_eq!(
            signature().signature_base(),
            text(&vector["signature_base"])
        );
        assert!(signature().verify(other).is_err(), "{name}");
        if name == "token-request-signed.http" {
            assert_eq!(signature().inline_key(), Some(&ed25519));
            let digest = signature().content_digest().cloned().unwrap();
            assert!(digest.check(b"").is_err());
            assert!(
                digest
                    .check(text(&file["token_request_body"]).as_bytes())
                    .is_ok()
            );
        }
        assert!(signature().verify(key).is_ok(), "{name}");
    }
}

/// The point at the end of a PKCS#8 document of a P-256 key (RFC 5915).
fn p256_point(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let document = STANDARD.decode(body).unwrap();
    document[document.len() - 65..].to_vec()
}

#[test]
fn web_bot_auth_messages() {
    let keys = &load("rfc9421_httpsig.json")["keys"];
    let file = load("web_bot_auth.json");
    for vector in file["vectors"].as_array().unwrap() {
        let fields = field_lines(text(&vector["headers"]));
        let lines = views(&fields);
        let is_directory = text(&vector["name"]).contains("Directory");
        let authority = if is_directory {
            "signature-agent.test"
        } else {
            "example.com"
        };
        let origin = Origin::parse(&format!("https://{authority}")).unwrap();
        let request = SignedRequest {
            method: "GET",
            origin: &origin,
            request_target: "/",
            fields: &lines.as_slice(),
            trailers: None,
        };
        let message = if is_directory {
            SignedMessage::Response(SignedResponse {
                status: 200,
                fields: &lines.as_slice(),
                trailers: None,
                request: Some(request),
            })
        } else {
            SignedMessage::Request(request)
        };
        let rules = SignatureRules {
            window: ProofWindow {
                past: 86_400,
                ahead: 0,
            },
            ..anything()
        };
        let created = 1_735_689_600;
        let read = |now| HttpSignature::read(&rules, message, UnixTime::from_secs(now));
        assert!(read(created - 1).is_err(), "made in the future");
        let signature = read(created).unwrap();
        assert_eq!(signature.signature_base(), text(&vector["signature_base"]));
        let key = if text(&vector["alg"]) == "ed25519" {
            public(&keys["test-key-ed25519"])
        } else {
            public(&keys["test-key-rsa-pss"])
        };
        assert_eq!(signature.keyid().unwrap(), key.thumbprint().to_string());
        assert!(signature.verify(&key).is_ok(), "{}", vector["name"]);
    }
}

#[test]
fn wimse_messages() {
    let file = load("wimse.json");
    let messages = &file["http_signature"];
    let window = ProofWindow {
        past: 600,
        ahead: 10,
    };
    let rules = profile::wimse_request(window, 300, SignatureAlgorithms::CURVES);
    let printed = Printed::parse(text(&messages["request"]));
    let created = 1_785_155_797;
    assert_eq!(
        printed.read(&rules, created + 300).err(),
        Some("httpsig.expired")
    );
    let signature = printed.read(&rules, created).unwrap();
    assert_eq!(
        signature.signature_base(),
        text(&messages["request_signature_base"])
    );
    assert_eq!(
        signature.text_parameter("wimse-aud"),
        Some("https://svcb.example.com/gimme-ice-cream")
    );
    assert!(signature.flag_parameter("wimse-sign-response"));
    assert!(!signature.flag_parameter("wimse-aud"));
    let nonce = signature.nonce().unwrap().to_owned();
    assert!(
        printed
            .read(&rules, created)
            .unwrap()
            .verify(&public(&messages["callee_jwk"]))
            .is_err()
    );
    assert!(signature.verify(&public(&messages["caller_jwk"])).is_ok());

    let answer = Printed::parse(text(&messages["response"]));
    let origin = Origin::parse("https://svcb.example.com").unwrap();
    let (asked, lines) = (views(&printed.fields), views(&answer.fields));
    let (asked, lines) = (asked.as_slice(), lines.as_slice());
    let response = |request_target| SignedResponse {
        status: 404,
        fields: &lines,
        trailers: None,
        request: Some(SignedRequest {
            method: "GET",
            origin: &origin,
            request_target,
            fields: &asked,
            trailers: None,
        }),
    };
    // The printed answer lives two seconds longer than its request.
    let rules = profile::wimse_response(window, 302, SignatureAlgorithms::CURVES);
    let read = |target| {
        HttpSignature::read(&rules, response(target), UnixTime::from_secs(created)).unwrap()
    };
    let key = public(&messages["callee_jwk"]);
    assert!(
        read("/other").verify(&key).is_err(),
        "an answer to another request"
    );
    let signature = read("/gimme-ice-cream?flavor=vanilla");
    assert_eq!(
        signature.signature_base(),
        text(&messages["response_signature_base"])
    );
    assert_eq!(
        signature.text_parameter("wimse-req-nonce"),
        Some(nonce.as_str())
    );
    let digest = signature.content_digest().cloned().unwrap();
    assert!(
        digest.check(answer.body.as_bytes()).is_err(),
        "printed without its line ends"
    );
    assert!(
        digest
            .check(text(&messages["response_body_exact"]).as_bytes())
            .is_ok()
    );
    assert!(signature.verify(&key).is_ok());
}
