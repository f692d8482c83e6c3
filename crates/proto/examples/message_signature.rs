//! Verifies and makes HTTP message signatures for another implementation: one JSON object a line
//! on standard input, one answer a line. Interop tests talk to it:
//! `cargo run -p keybound-proto --example message_signature`.
//!
//! A message is `{"method", "origin", "target", "fields": [[name, value]], "status"?, "request"?}`.
//! `verify` adds `key` (a JWK, or `{"kty": "oct", "k"}`) and `now`; `sign` adds `components` (as in
//! `Signature-Input`), `alg` and `now`, and answers with the key and two fields.

use std::error::Error;
use std::io::{self, BufRead, Write};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use keybound_proto::base64url;
use keybound_proto::dpop::ProofWindow;
use keybound_proto::jose::{Curve, PublicKey};
use keybound_proto::signature::{
    Component, HttpSignature, SharedKey, SignatureAlgorithm, SignatureAlgorithms, SignatureInput,
    SignatureParameters, SignatureRules, SignedMessage, SignedRequest, SignedResponse,
};
use keybound_proto::structured::List;
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line?)?;
        let answer = match question["do"].as_str() {
            Some("verify") => with_message(&question, |message| verify(&question, message)),
            Some("sign") => with_message(&question, |message| sign(&question, message)),
            _ => Err("`do` is `verify` or `sign`".into()),
        };
        let answer = answer.unwrap_or_else(|error| json!({"error": error.to_string()}));
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

type Answer = Result<Value, Box<dyn Error>>;

/// Names and values.
type Fields<'v> = Vec<(&'v str, &'v [u8])>;

/// Builds the views of a message, and of the request it answers if it is a response.
fn with_message(question: &Value, with: impl FnOnce(SignedMessage<'_>) -> Answer) -> Answer {
    let status = question["status"].as_u64();
    let asked = if status.is_some() {
        &question["request"]
    } else {
        question
    };
    let origin = Origin::parse(text(asked, "origin")?)?;
    let (own, of_request) = (fields(question)?, fields(asked)?);
    let (own, of_request) = (own.as_slice(), of_request.as_slice());
    let request = SignedRequest {
        method: text(asked, "method")?,
        origin: &origin,
        request_target: text(asked, "target")?,
        fields: &of_request,
        trailers: None,
    };
    match status {
        None => with(SignedMessage::Request(request)),
        Some(status) => with(SignedMessage::Response(SignedResponse {
            status: u16::try_from(status)?,
            fields: &own,
            trailers: None,
            request: Some(request),
        })),
    }
}

fn verify(question: &Value, message: SignedMessage<'_>) -> Answer {
    let rules = SignatureRules {
        cover: &[],
        require: &["created", "keyid"],
        window: ProofWindow {
            past: 60,
            ahead: 10,
        },
        algorithms: SignatureAlgorithms::ALL,
        ..SignatureRules::default()
    };
    let now = UnixTime::from_secs(question["now"].as_u64().ok_or("`now`")?);
    let verified = HttpSignature::read(&rules, message, now).and_then(|signature| {
        let key = &question["key"];
        if key["kty"] == "oct" {
            let secret = base64url::decode(key["k"].as_str().unwrap_or_default().as_bytes());
            let key = secret.ok().and_then(|secret| SharedKey::new(&secret));
            return match key {
                Some(key) => signature.verify_shared(&key),
                None => Err(keybound_proto::Cause::HttpsigKey.into()),
            };
        }
        let key = PublicKey::from_jwk(key.to_string().as_bytes())
            .map_err(|_| keybound_proto::Cause::HttpsigKey)?;
        signature.verify(&key)
    });
    Ok(match verified {
        Ok(_) => json!({"ok": true}),
        Err(rejection) => json!({"ok": false, "cause": rejection.cause().id()}),
    })
}

fn sign(question: &Value, message: SignedMessage<'_>) -> Answer {
    let algorithm = text(question, "alg")?;
    let named = SignatureAlgorithm::from_name(algorithm).ok_or("`alg`")?;
    let list = List::parse(&[text(question, "components")?.as_bytes()], 1)?;
    let list = list
        .0
        .first()
        .and_then(|member| member.as_inner_list())
        .ok_or("`components`")?;
    let covered: Vec<Component> = list
        .items
        .iter()
        .map(Component::read)
        .collect::<Result<_, _>>()?;
    let parameters = SignatureParameters {
        created: question["now"].as_u64().map(UnixTime::from_secs),
        nonce: Some("b1946ac92492d2347c6235b4"),
        algorithm: Some(named),
        keyid: Some("k"),
        tag: Some("interop"),
        ..SignatureParameters::default()
    };
    let input = SignatureInput::new(message, &covered, parameters)?;
    let (key, signed) = match named {
        SignatureAlgorithm::Ed25519 => {
            let pair = Ed25519KeyPair::generate()?;
            let key = PublicKey::from_ed25519(pair.public_key().as_ref())?;
            let signature = pair.sign(input.bytes());
            (key.to_jwk(), input.attach("sig1", signature.as_ref()))
        }
        SignatureAlgorithm::EcdsaP256Sha256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
            let key = PublicKey::from_ec_point(Curve::P256, pair.public_key().as_ref())?;
            let signature = pair.sign(&SystemRandom::new(), input.bytes())?;
            (key.to_jwk(), input.attach("sig1", signature.as_ref()))
        }
        SignatureAlgorithm::HmacSha256 => {
            let secret = [7; 32];
            let key = SharedKey::new(&secret).ok_or("a key")?;
            let jwk = json!({"kty": "oct", "k": base64url::encode(&secret)});
            (jwk.to_string(), input.sign_shared("sig1", &key))
        }
        other => return Err(format!("this program does not sign with {other}").into()),
    };
    Ok(json!({
        "key": serde_json::from_str::<Value>(&key)?,
        "fields": [["Signature-Input", signed.signature_input], ["Signature", signed.signature]],
    }))
}

fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str, Box<dyn Error>> {
    value[name]
        .as_str()
        .ok_or_else(|| format!("`{name}` is missing").into())
}

fn fields(message: &Value) -> Result<Fields<'_>, Box<dyn Error>> {
    let pairs = message["fields"].as_array().ok_or("`fields` is missing")?;
    pairs
        .iter()
        .map(|pair| match (pair[0].as_str(), pair[1].as_str()) {
            (Some(name), Some(value)) => Ok((name, value.as_bytes())),
            _ => Err("a field is a name and a value".into()),
        })
        .collect()
}
