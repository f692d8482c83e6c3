//! Vectors about HTTP message signatures (RFC 9421) and digests (RFC 9530).

mod agents;
mod fields;
mod keys;
mod parameters;

use keybound_proto::base64url;
use keybound_proto::signature::{
    Component, DigestAlgorithm, SignatureAlgorithm, SignatureInput, SignatureParameters,
    SignedRequest, content_digest,
};
use keybound_proto::structured::BareItem;
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;
use serde_json::{Value, json};

use crate::make::{NOW, Who, pair, public};

const ORIGIN: &str = "https://api.example.com";
const BODY: &str = "{\"id\":\"1\",\"decision\":\"approve\"}";
const TOKEN: &str = "HTTPSig mF_9.B5f-4.1JqM";

/// A request to be signed.
#[derive(Clone)]
struct Draft {
    method: &'static str,
    target: &'static str,
    fields: Vec<(String, String)>,
    body: &'static str,
    covered: Vec<Component>,
    created: Option<u64>,
    expires: Option<u64>,
    nonce: Option<String>,
    algorithm: Option<SignatureAlgorithm>,
    keyid: Option<String>,
    tag: Option<&'static str>,
    more: Vec<(&'static str, BareItem)>,
    signer: Who,
}

fn component(name: &str) -> Component {
    Component::new(name).expect("a component")
}

impl Draft {
    /// What presents a token.
    fn presentation() -> Self {
        Self {
            method: "POST",
            target: "/approvals?state=open",
            fields: vec![("authorization".to_owned(), TOKEN.to_owned())],
            body: "",
            covered: ["@method", "@target-uri", "authorization"]
                .map(component)
                .to_vec(),
            created: Some(NOW),
            expires: None,
            nonce: Some("b1946ac92492d2347c6235b4".to_owned()),
            algorithm: None,
            keyid: None,
            tag: Some("httpsig-oauth"),
            more: Vec::new(),
            signer: Who::Agent,
        }
    }

    fn with_body() -> Self {
        let mut draft = Self::presentation();
        draft.body = BODY;
        draft.field(
            "content-digest",
            &content_digest(DigestAlgorithm::Sha256, BODY.as_bytes()),
        );
        draft.covered.push(component("content-digest"));
        draft
    }

    /// What asks for a token with a key introduced at runtime.
    fn token_request() -> Self {
        let mut draft = Self::with_body();
        draft.tag = Some("httpsig-oauth-token-request");
        draft.algorithm = Some(SignatureAlgorithm::Ed25519);
        let jwk: Value = serde_json::from_str(&public(Who::Agent).to_jwk()).expect("JSON");
        let key = base64url::decode(jwk["x"].as_str().expect("x").as_bytes()).expect("base64url");
        draft.more = vec![("pub", BareItem::Bytes(key))];
        draft
    }

    fn workload() -> Self {
        let mut draft = Self::presentation();
        draft.fields = vec![("workload-identity-token".to_owned(), "a.b.c".to_owned())];
        draft.covered = ["@method", "@request-target", "workload-identity-token"]
            .map(component)
            .to_vec();
        draft.tag = Some("wimse-workload-to-workload");
        draft.expires = Some(NOW + 300);
        draft.more = vec![("wimse-aud", BareItem::String(format!("{ORIGIN}/approvals")))];
        draft
    }

    fn change(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn field(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    fn without(&mut self, name: &str) {
        self.covered.retain(|component| component.name() != name);
    }

    fn sign(mut self) -> Signed {
        let origin = Origin::parse(ORIGIN).expect("an origin");
        let lines: Vec<(&str, &[u8])> = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let request = SignedRequest {
            method: self.method,
            origin: &origin,
            request_target: self.target,
            fields: &lines.as_slice(),
            trailers: None,
        };
        let parameters = SignatureParameters {
            created: self.created.map(UnixTime::from_secs),
            expires: self.expires.map(UnixTime::from_secs),
            nonce: self.nonce.as_deref(),
            algorithm: self.algorithm,
            keyid: self.keyid.as_deref(),
            tag: self.tag,
            more: &self.more,
        };
        let input = SignatureInput::new(request, &self.covered, parameters).expect("a base");
        let signature = pair(self.signer).sign(input.bytes());
        let fields = input.attach("sig1", signature.as_ref());
        self.field("signature-input", &fields.signature_input);
        self.field("signature", &fields.signature);
        Signed {
            method: self.method.to_owned(),
            target: self.target.to_owned(),
            fields: self.fields,
            body: self.body.to_owned(),
        }
    }
}

/// A signed request, which may be changed on its way.
#[derive(Clone)]
struct Signed {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: String,
}

impl Signed {
    fn change(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn replace(self, name: &str, from: &str, to: &str) -> Self {
        self.on(name, |value| {
            assert!(value.contains(from), "{value}");
            *value = value.replace(from, to);
        })
    }

    fn on(mut self, name: &str, change: impl FnOnce(&mut String)) -> Self {
        let mut fields = self.fields.iter_mut();
        let (_, value) = fields.find(|(known, _)| known == name).expect("the field");
        change(value);
        self
    }

    fn to_json(&self) -> Value {
        let fields: Vec<Value> = self
            .fields
            .iter()
            .map(|(name, value)| json!([name, value]))
            .collect();
        json!({"method": self.method, "target": self.target, "headers": fields, "body": self.body})
    }
}

fn vector(id: &str, comment: &str, expect: &str, profile: &str, signed: &Signed) -> Value {
    json!({"id": id, "comment": comment, "expect": expect, "now": NOW, "profile": profile,
           "request": signed.to_json()})
}

fn presentation(id: &str, comment: &str, expect: &str, signed: Signed) -> Value {
    vector(id, comment, expect, "presentation", &signed)
}

pub(crate) fn file() -> Value {
    json!({
        "about": "Signed requests. `profile` names the policy that is asked; the key is the agent's, \
                  or the one in `Signature-Key` where there is one. After the signature the body is held against \
                  the digest that is covered, and the nonce against those seen before in the same vector; with `epoch`, \
                  when the replay log began, a signature not made after it may have been used before. For `web_bot_auth` \
                  the keys are those of `directory`: what the agent's origin answers.",
        "server": {"origin": ORIGIN, "window": {"past": 60, "ahead": 10}, "max_lifetime": 300,
                   "algorithms": ["ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384"]},
        "groups": [
            {"name": "signature fields", "section": "RFC 9421 section 4", "vectors": fields::form()},
            {"name": "covered components", "section": "RFC 9421 sections 2 and 7.2", "vectors": fields::coverage()},
            {"name": "parameters", "section": "RFC 9421 section 3.2.1", "vectors": parameters::parameters()},
            {"name": "key and signature", "section": "RFC 9421 section 3.2", "vectors": keys::keys()},
            {"name": "content", "section": "RFC 9530", "vectors": keys::content()},
            {"name": "agents without a token", "section": "draft-ietf-webbotauth-httpsig-protocol", "vectors": agents::agents()},
        ],
    })
}
