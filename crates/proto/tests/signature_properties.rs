//! What holds for every signature: what was signed verifies, and nothing else does.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use keybound_proto::dpop::ProofWindow;
use keybound_proto::jose::PublicKey;
use keybound_proto::signature::{
    Component, HttpSignature, Select, SignatureInput, SignatureParameters, SignatureRules,
    SignedRequest,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;
use proptest::prelude::*;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap()
}

fn public() -> PublicKey {
    PublicKey::from_ed25519(pair().public_key().as_ref()).unwrap()
}

#[derive(Clone, Debug)]
struct Message {
    method: String,
    target: String,
    values: Vec<String>,
}

impl Message {
    fn lines(&self) -> Vec<(&str, &[u8])> {
        self.values
            .iter()
            .map(|value| ("x-field", value.as_bytes()))
            .collect()
    }
}

fn message() -> impl Strategy<Value = Message> {
    let values = proptest::collection::vec("[ -~]{0,12}", 1..4);
    (
        "[A-Z]{1,8}",
        "/[a-z0-9%2f./]{0,10}(\\?[a-z=&%20+]{0,12})?",
        values,
    )
        .prop_map(|(method, target, values)| Message {
            method,
            target,
            values,
        })
}

/// The two fields for a message, and whether other fields still verify beside it.
fn sign(message: &Message, covered: &[&str], nonce: &str) -> Option<(String, String)> {
    let origin = Origin::parse("https://api.example.com").unwrap();
    let lines = message.lines();
    let request = SignedRequest {
        method: &message.method,
        origin: &origin,
        request_target: &message.target,
        fields: &lines.as_slice(),
        trailers: None,
    };
    let covered: Vec<_> = covered
        .iter()
        .map(|name| Component::new(name).unwrap())
        .collect();
    let parameters = SignatureParameters {
        created: Some(NOW),
        nonce: Some(nonce),
        tag: Some("t"),
        ..SignatureParameters::default()
    };
    let input = SignatureInput::new(request, &covered, parameters).ok()?;
    let signature = pair().sign(input.bytes());
    let fields = input.attach("s", signature.as_ref());
    Some((fields.signature_input, fields.signature))
}

fn verifies(message: &Message, fields: &(String, String), now: UnixTime) -> bool {
    let origin = Origin::parse("https://api.example.com").unwrap();
    let mut lines = message.lines();
    lines.push(("signature-input", fields.0.as_bytes()));
    lines.push(("signature", fields.1.as_bytes()));
    let request = SignedRequest {
        method: &message.method,
        origin: &origin,
        request_target: &message.target,
        fields: &lines.as_slice(),
        trailers: None,
    };
    let rules = SignatureRules {
        select: Select::Tag("t"),
        cover: &[],
        require: &["created", "nonce"],
        window: ProofWindow {
            past: 60,
            ahead: 10,
        },
        ..SignatureRules::default()
    };
    HttpSignature::read(&rules, request, now)
        .and_then(|signature| signature.verify(&public()))
        .is_ok()
}

const COVERED: [&str; 4] = ["@method", "@target-uri", "x-field", "@query"];

proptest! {
    #[test]
    fn what_was_signed_verifies(message in message(), nonce in "[ !#-\\[\\]-~]{1,40}") {
        let fields = sign(&message, &COVERED, &nonce).unwrap();
        prop_assert!(verifies(&message, &fields, NOW));
    }

    /// One changed byte of either field makes it another signature, or none, except where the
    /// byte is in the label, which nobody signs, and changes in both fields.
    #[test]
    fn one_changed_byte_of_the_fields_is_refused(
        message in message(),
        at in any::<prop::sample::Index>(),
        to in b' '..=b'~',
        in_signature in any::<bool>(),
    ) {
        let good = sign(&message, &COVERED, "nonce").unwrap();
        let mut fields = good.clone();
        let text = if in_signature { &mut fields.1 } else { &mut fields.0 };
        let at = at.index(text.len());
        text.replace_range(at..=at, &char::from(to).to_string());
        if fields != good {
            prop_assert!(!verifies(&message, &fields, NOW), "{fields:?}");
        }
    }

    #[test]
    fn another_message_is_refused(message in message(), other in message()) {
        let fields = sign(&message, &COVERED, "nonce").unwrap();
        let joined = |message: &Message| {
            let values: Vec<_> = message.values.iter().map(|value| value.trim()).collect();
            (message.method.clone(), message.target.clone(), values.join(", "))
        };
        let same = joined(&message) == joined(&other);
        prop_assert_eq!(verifies(&other, &fields, NOW), same);
    }

    /// At every second from the first to the last that the window gives, and at no other.
    #[test]
    fn time_decides_to_the_second(offset in -200_i64..200) {
        let message = Message { method: "GET".into(), target: "/".into(), values: vec!["v".into()] };
        let fields = sign(&message, &COVERED, "nonce").unwrap();
        let now = UnixTime::from_secs(NOW.as_secs().saturating_add_signed(offset));
        prop_assert_eq!(verifies(&message, &fields, now), (-10..=60).contains(&offset));
    }

    #[test]
    fn no_fields_make_the_reader_panic(
        input in proptest::collection::vec(any::<u8>(), 0..80),
        signature in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let origin = Origin::parse("https://api.example.com").unwrap();
        let lines: &[(&str, &[u8])] =
            &[("signature-input", &input), ("signature", &signature)];
        let request = SignedRequest {
            method: "GET",
            origin: &origin,
            request_target: "/",
            fields: &lines,
            trailers: None,
        };
        let rules = SignatureRules { cover: &[], require: &[], ..SignatureRules::default() };
        let _ = HttpSignature::read(&rules, request, NOW);
    }
}
