//! Vectors about HTTP message signatures (RFC 9421) and digests (RFC 9530).

use keybound_proto::base64url;
use keybound_proto::signature::{
    Component, DigestAlgorithm, SignatureAlgorithm, SignatureInput, SignatureParameters,
    SignedRequest, content_digest, signature_key,
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
    keyid: Option<&'static str>,
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
            keyid: self.keyid,
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
                  the digest that is covered, and the nonce against those seen before in the same vector.",
        "server": {"origin": ORIGIN, "window": {"past": 60, "ahead": 10}, "max_lifetime": 300,
                   "algorithms": ["ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384"]},
        "groups": [
            {"name": "signature fields", "section": "RFC 9421 section 4", "vectors": form()},
            {"name": "covered components", "section": "RFC 9421 sections 2 and 7.2", "vectors": coverage()},
            {"name": "parameters", "section": "RFC 9421 section 3.2.1", "vectors": parameters()},
            {"name": "key and signature", "section": "RFC 9421 section 3.2", "vectors": keys()},
            {"name": "content", "section": "RFC 9530", "vectors": content()},
        ],
    })
}

fn form() -> Vec<Value> {
    let good = || Draft::presentation().sign();
    let dropped = |name: &'static str| {
        good().change(|signed| signed.fields.retain(|(known, _)| known != name))
    };
    let line = |name: &'static str, value: &str| {
        good().change(|signed| signed.fields.push((name.to_owned(), value.to_owned())))
    };
    let second = || {
        let other = Draft::presentation()
            .change(|draft| draft.nonce = Some("another".to_owned()))
            .sign();
        good().change(|signed| {
            for (name, value) in other
                .fields
                .iter()
                .filter(|(name, _)| name.starts_with("signature"))
            {
                signed
                    .fields
                    .push((name.clone(), value.replacen("sig1", "sig2", 1)));
            }
        })
    };
    vec![
        presentation(
            "signature-none",
            "no signature at all",
            "httpsig.absent",
            good().change(|signed| {
                signed
                    .fields
                    .retain(|(name, _)| !name.starts_with("signature"))
            }),
        ),
        presentation(
            "signature-without-input",
            "Signature alone",
            "httpsig.malformed",
            dropped("signature-input"),
        ),
        presentation(
            "signature-input-alone",
            "Signature-Input alone",
            "httpsig.malformed",
            dropped("signature"),
        ),
        presentation(
            "signature-other-tag",
            "a signature with another tag",
            "httpsig.absent",
            Draft::presentation()
                .change(|draft| draft.tag = Some("other"))
                .sign(),
        ),
        presentation(
            "signature-no-tag",
            "a signature without a tag",
            "httpsig.absent",
            Draft::presentation()
                .change(|draft| draft.tag = None)
                .sign(),
        ),
        presentation(
            "signature-two-of-the-tag",
            "two signatures with the tag",
            "httpsig.multiple",
            second(),
        ),
        presentation(
            "signature-label-swap",
            "the labels differ",
            "httpsig.malformed",
            good().replace("signature", "sig1", "sig2"),
        ),
        presentation(
            "signature-label-twice",
            "one label twice",
            "httpsig.malformed",
            {
                let value = good()
                    .fields
                    .iter()
                    .find(|(name, _)| name == "signature")
                    .map(|(_, v)| v.clone())
                    .unwrap_or_default();
                line("signature", &value)
            },
        ),
        presentation(
            "signature-not-bytes",
            "a string for a signature",
            "httpsig.malformed",
            good().on("signature", |value| *value = "sig1=\"AAAA\"".to_owned()),
        ),
        presentation(
            "signature-not-a-list",
            "no list of components",
            "httpsig.malformed",
            good().on("signature-input", |value| {
                *value = "sig1=\"@method\"".to_owned()
            }),
        ),
        presentation(
            "signature-not-structured",
            "no structured field",
            "httpsig.malformed",
            good().on("signature-input", |value| value.push(',')),
        ),
        presentation(
            "signature-unpadded",
            "a byte sequence without padding",
            "httpsig.malformed",
            good().replace("signature", "=:", ":"),
        ),
        presentation(
            "signature-parameter-twice",
            "one parameter twice",
            "httpsig.malformed",
            good().on("signature-input", |value| {
                value.push_str(";tag=\"httpsig-oauth\"")
            }),
        ),
        presentation(
            "signature-large",
            "more than 8 KiB",
            "httpsig.size",
            line(
                "signature-input",
                &format!("sig2=();keyid=\"{}\"", "a".repeat(8192)),
            ),
        ),
        presentation(
            "signature-long",
            "a signature of 513 bytes",
            "httpsig.size",
            good().on("signature", |value| {
                *value = format!("sig1=:{}:", "AAAA".repeat(171))
            }),
        ),
        presentation(
            "signature-many-components",
            "65 components",
            "httpsig.size",
            good().on("signature-input", |value| {
                let many: Vec<String> = (0..65).map(|index| format!("\"x-{index}\"")).collect();
                *value = format!(
                    "sig1=({});created={NOW};nonce=\"n\";tag=\"httpsig-oauth\"",
                    many.join(" ")
                );
            }),
        ),
        presentation("signature-good", "a good presentation", "ok", good()),
        presentation(
            "signature-beside-another",
            "another signature for somebody else",
            "ok",
            good().change(|signed| {
                signed.fields.push((
                    "signature-input".to_owned(),
                    "proxy=(\"@path\");tag=\"proxy\"".to_owned(),
                ));
                signed
                    .fields
                    .push(("signature".to_owned(), "proxy=:AAAA:".to_owned()));
            }),
        ),
        presentation(
            "signature-other-label",
            "the label does not matter",
            "ok",
            good()
                .replace("signature", "sig1", "x")
                .replace("signature-input", "sig1", "x"),
        ),
    ]
}

fn coverage() -> Vec<Value> {
    let good = || Draft::presentation().sign();
    let input = |from: &str, to: &str| good().replace("signature-input", from, to);
    let left_out = |name: &'static str| {
        Draft::presentation()
            .change(|draft| draft.without(name))
            .sign()
    };
    vec![
        presentation(
            "cover-no-method",
            "the method is not covered",
            "httpsig.coverage",
            left_out("@method"),
        ),
        presentation(
            "cover-no-target",
            "the URL is not covered",
            "httpsig.coverage",
            left_out("@target-uri"),
        ),
        presentation(
            "cover-no-token",
            "the token is not covered",
            "httpsig.coverage",
            left_out("authorization"),
        ),
        presentation(
            "cover-no-digest",
            "a digest is there and not covered",
            "httpsig.coverage",
            Draft::with_body()
                .change(|draft| draft.without("content-digest"))
                .sign(),
        ),
        presentation(
            "cover-twice",
            "one component twice",
            "httpsig.component",
            input("\"authorization\"", "\"authorization\" \"authorization\""),
        ),
        presentation(
            "cover-unknown-derived",
            "a derived component nobody knows",
            "httpsig.component",
            input("\"@method\"", "\"@method\" \"@nothing\""),
        ),
        presentation(
            "cover-unknown-parameter",
            "a component parameter nobody knows",
            "httpsig.component",
            input("\"@method\"", "\"@method\";x"),
        ),
        presentation(
            "cover-params",
            "the parameters as a component",
            "httpsig.component",
            input("\"@method\"", "\"@method\" \"@signature-params\""),
        ),
        presentation(
            "cover-status",
            "the status of a request",
            "httpsig.component",
            input("\"@method\"", "\"@method\" \"@status\""),
        ),
        presentation(
            "cover-req",
            "`req` on a request",
            "httpsig.component",
            input("\"@method\"", "\"@method\" \"@path\";req"),
        ),
        presentation(
            "cover-upper-case",
            "a field name in upper case",
            "httpsig.component",
            input("\"@method\"", "\"@method\" \"Date\""),
        ),
        presentation(
            "cover-absent-field",
            "a field that is not there",
            "httpsig.component",
            input("\"@method\"", "\"@method\" \"date\""),
        ),
        presentation(
            "cover-absent-member",
            "a member that is not there",
            "httpsig.component",
            input("\"@method\"", "\"@method\" \"signature\";key=\"sig9\""),
        ),
        presentation(
            "cover-method-as-field",
            "`@method` read as a field",
            "httpsig.component",
            input("\"@method\"", "\"@method\";sf"),
        ),
        presentation(
            "cover-query-param-twice",
            "a query parameter that occurs twice",
            "httpsig.component",
            input("\"@method\"", "\"@method\" \"@query-param\";name=\"state\"")
                .change(|signed| signed.target.push_str("&state=all")),
        ),
        presentation(
            "cover-token-member",
            "one member of the token's field",
            "httpsig.coverage",
            input("\"authorization\"", "\"authorization\";key=\"a\""),
        ),
        presentation(
            "cover-more",
            "more than is asked for",
            "ok",
            Draft::presentation()
                .change(|draft| {
                    draft.field("date", "Tue, 20 Apr 2021 02:07:55 GMT");
                    draft.covered.push(component("date"));
                    draft.covered.push(component("@query"));
                })
                .sign(),
        ),
    ]
}

fn parameters() -> Vec<Value> {
    let changed = |change: fn(&mut Draft)| Draft::presentation().change(change).sign();
    let workload = |change: fn(&mut Draft)| Draft::workload().change(change).sign();
    let input = |from: &str, to: &str| {
        Draft::presentation()
            .sign()
            .replace("signature-input", from, to)
    };
    vec![
        presentation(
            "created-absent",
            "no created",
            "httpsig.parameter",
            changed(|draft| draft.created = None),
        ),
        presentation(
            "created-future",
            "eleven seconds ahead",
            "httpsig.created.future",
            changed(|draft| draft.created = Some(NOW + 11)),
        ),
        presentation(
            "created-past",
            "sixty-one seconds old",
            "httpsig.created.past",
            changed(|draft| draft.created = Some(NOW - 61)),
        ),
        presentation(
            "created-string",
            "created as a string",
            "httpsig.parameter",
            input(&format!("created={NOW}"), &format!("created=\"{NOW}\"")),
        ),
        presentation(
            "created-negative",
            "created before 1970",
            "httpsig.parameter",
            input(&format!("created={NOW}"), "created=-1"),
        ),
        presentation(
            "created-decimal",
            "created as a decimal",
            "httpsig.parameter",
            input(&format!("created={NOW}"), &format!("created={NOW}.0")),
        ),
        presentation(
            "nonce-absent",
            "no nonce",
            "httpsig.parameter",
            changed(|draft| draft.nonce = None),
        ),
        presentation(
            "nonce-empty",
            "an empty nonce",
            "httpsig.parameter",
            changed(|draft| draft.nonce = Some(String::new())),
        ),
        presentation(
            "nonce-long",
            "a nonce of 257 bytes",
            "httpsig.parameter",
            changed(|draft| draft.nonce = Some("n".repeat(257))),
        ),
        presentation(
            "nonce-token",
            "a nonce that is no string",
            "httpsig.parameter",
            input(
                "nonce=\"b1946ac92492d2347c6235b4\"",
                "nonce=b1946ac92492d2347c6235b4",
            ),
        ),
        presentation(
            "keyid-sent",
            "keyid, which the token decides",
            "httpsig.parameter",
            changed(|draft| draft.keyid = Some("agent")),
        ),
        presentation(
            "alg-sent",
            "alg, which the token decides",
            "httpsig.parameter",
            changed(|draft| draft.algorithm = Some(SignatureAlgorithm::Ed25519)),
        ),
        presentation(
            "pub-sent",
            "pub, which the token decides",
            "httpsig.parameter",
            changed(|draft| draft.more = vec![("pub", BareItem::Bytes(vec![9; 32]))]),
        ),
        presentation(
            "expires-now",
            "expired this very second",
            "httpsig.expired",
            changed(|draft| draft.expires = Some(NOW)),
        ),
        vector(
            "lifetime-long",
            "lives for more than five minutes",
            "httpsig.lifetime",
            "wimse_request",
            &workload(|draft| draft.expires = Some(NOW + 301)),
        ),
        vector(
            "lifetime-negative",
            "ends before it begins",
            "httpsig.lifetime",
            "wimse_request",
            &workload(|draft| {
                draft.created = Some(NOW + 5);
                draft.expires = Some(NOW + 5);
            }),
        ),
        vector(
            "workload-expires-absent",
            "no expires",
            "httpsig.parameter",
            "wimse_request",
            &workload(|draft| draft.expires = None),
        ),
        vector(
            "workload-audience-absent",
            "no wimse-aud",
            "httpsig.parameter",
            "wimse_request",
            &workload(|draft| draft.more = Vec::new()),
        ),
        vector(
            "workload-token-uncovered",
            "the identity token is not covered",
            "httpsig.coverage",
            "wimse_request",
            &workload(|draft| draft.without("workload-identity-token")),
        ),
        presentation(
            "created-oldest",
            "sixty seconds old",
            "ok",
            changed(|draft| draft.created = Some(NOW - 60)),
        ),
        presentation(
            "created-newest",
            "ten seconds ahead",
            "ok",
            changed(|draft| draft.created = Some(NOW + 10)),
        ),
        presentation(
            "nonce-longest",
            "a nonce of 256 bytes",
            "ok",
            changed(|draft| draft.nonce = Some("n".repeat(256))),
        ),
        presentation(
            "parameter-unknown",
            "a parameter nobody registered here",
            "ok",
            changed(|draft| draft.more = vec![("x", BareItem::Boolean(true))]),
        ),
        vector(
            "workload-longest",
            "lives for exactly five minutes",
            "ok",
            "wimse_request",
            &workload(|_| {}),
        ),
    ]
}

fn keys() -> Vec<Value> {
    let good = || Draft::presentation().sign();
    let inline = |signer: Who, covered: bool| {
        Draft::presentation()
            .change(|draft| {
                draft.field("signature-key", &signature_key("sig1", &public(Who::Agent)));
                if covered {
                    draft.covered.push(component("signature-key"));
                }
                draft.signer = signer;
            })
            .sign()
    };
    let runtime = |change: fn(&mut Draft)| Draft::token_request().change(change).sign();
    let twice = good();
    vec![
        presentation(
            "key-stranger",
            "signed by a stranger",
            "httpsig.signature.invalid",
            Draft::presentation()
                .change(|draft| draft.signer = Who::Stranger)
                .sign(),
        ),
        presentation(
            "changed-method",
            "another method",
            "httpsig.signature.invalid",
            good().change(|signed| signed.method = "DELETE".to_owned()),
        ),
        presentation(
            "changed-query",
            "another query",
            "httpsig.signature.invalid",
            good().change(|signed| signed.target = "/approvals?state=all".to_owned()),
        ),
        presentation(
            "changed-token",
            "another token",
            "httpsig.signature.invalid",
            good().replace("authorization", "1JqM", "1JqN"),
        ),
        presentation(
            "changed-nonce",
            "another nonce",
            "httpsig.signature.invalid",
            good().replace("signature-input", "b1946", "b1947"),
        ),
        presentation(
            "changed-order",
            "the parameters in another order",
            "httpsig.signature.invalid",
            good()
                .replace("signature-input", &format!(";created={NOW}"), "")
                .on("signature-input", |value| {
                    value.push_str(&format!(";created={NOW}"))
                }),
        ),
        presentation(
            "changed-signature",
            "one bit of the signature",
            "httpsig.signature.invalid",
            good().on("signature", |value| {
                let bit = if value.as_bytes()[12] == b'A' {
                    "B"
                } else {
                    "A"
                };
                value.replace_range(12..13, bit);
            }),
        ),
        presentation(
            "changed-empty",
            "an empty signature",
            "httpsig.signature.invalid",
            good().on("signature", |value| *value = "sig1=::".to_owned()),
        ),
        presentation(
            "inline-uncovered",
            "Signature-Key that is not covered",
            "httpsig.coverage",
            inline(Who::Agent, false),
        ),
        presentation(
            "inline-stranger",
            "Signature-Key of another key than signed",
            "httpsig.signature.invalid",
            inline(Who::Stranger, true),
        ),
        presentation(
            "inline-other-label",
            "Signature-Key under another label",
            "httpsig.key",
            inline(Who::Agent, true).replace("signature-key", "sig1", "sig2"),
        ),
        presentation(
            "inline-other-scheme",
            "a scheme that is not taken",
            "httpsig.key",
            inline(Who::Agent, true).replace("signature-key", "hwk", "jwks_uri"),
        ),
        presentation(
            "inline-private",
            "a private member",
            "httpsig.key",
            inline(Who::Agent, true).on("signature-key", |value| value.push_str(";d=\"AQEB\"")),
        ),
        vector(
            "runtime-keyid",
            "keyid beside a key introduced at runtime",
            "httpsig.parameter",
            "token_request",
            &runtime(|draft| draft.keyid = Some("agent")),
        ),
        vector(
            "runtime-no-pub",
            "no key",
            "httpsig.parameter",
            "token_request",
            &runtime(|draft| draft.more = Vec::new()),
        ),
        vector(
            "runtime-alg-unknown",
            "an algorithm nobody knows",
            "httpsig.alg",
            "token_request",
            &runtime(|_| {}).replace("signature-input", "ed25519", "ed448"),
        ),
        vector(
            "runtime-alg-mac",
            "a MAC",
            "httpsig.key",
            "token_request",
            &runtime(|_| {}).replace("signature-input", "ed25519", "hmac-sha256"),
        ),
        vector(
            "runtime-alg-other",
            "another algorithm than the key's",
            "httpsig.key",
            "token_request",
            &runtime(|_| {}).replace("signature-input", "ed25519", "ecdsa-p256-sha256"),
        ),
        vector(
            "runtime-weak",
            "a key of small order",
            "httpsig.key",
            "token_request",
            &runtime(|draft| draft.more = vec![("pub", BareItem::Bytes(vec![0; 32]))]),
        ),
        presentation(
            "inline-good",
            "the key comes along",
            "ok",
            inline(Who::Agent, true),
        ),
        vector(
            "runtime-good",
            "a key introduced at runtime",
            "ok",
            "token_request",
            &runtime(|_| {}),
        ),
        json!({"id": "nonce-replayed", "comment": "the same request twice", "now": NOW, "profile": "presentation",
               "steps": [{"request": twice.to_json(), "expect": "ok"},
                         {"request": twice.to_json(), "expect": "httpsig.replayed"}]}),
    ]
}

fn content() -> Vec<Value> {
    let good = || Draft::with_body().sign();
    let digest = |value: &str| {
        Draft::with_body()
            .change(|draft| {
                draft.fields.retain(|(name, _)| name != "content-digest");
                draft.field("content-digest", value);
            })
            .sign()
    };
    let sha256 = content_digest(DigestAlgorithm::Sha256, BODY.as_bytes());
    let sha512 = content_digest(DigestAlgorithm::Sha512, BODY.as_bytes());
    let other = content_digest(DigestAlgorithm::Sha512, b"other");
    vec![
        vector(
            "digest-none",
            "a token request without a digest",
            "digest.absent",
            "token_request",
            &Draft::token_request()
                .change(|draft| {
                    draft.fields.retain(|(name, _)| name != "content-digest");
                    draft.without("content-digest");
                })
                .sign(),
        ),
        presentation(
            "digest-changed-body",
            "another body",
            "digest.mismatch",
            good().change(|signed| signed.body = signed.body.replace("approve", "decline")),
        ),
        presentation(
            "digest-no-body",
            "no body",
            "digest.mismatch",
            good().change(|signed| signed.body = String::new()),
        ),
        presentation(
            "digest-changed-both",
            "body and digest changed",
            "httpsig.signature.invalid",
            good()
                .change(|signed| signed.body = "other".to_owned())
                .on("content-digest", |value| {
                    *value = content_digest(DigestAlgorithm::Sha256, b"other")
                }),
        ),
        presentation(
            "digest-one-wrong",
            "one of two digests is wrong",
            "digest.mismatch",
            digest(&format!("{sha256}, {other}")),
        ),
        presentation(
            "digest-weak",
            "deprecated algorithms only",
            "digest.alg",
            digest("md5=:AAAAAAAAAAAAAAAAAAAAAA==:"),
        ),
        presentation(
            "digest-short",
            "too short a digest",
            "digest.malformed",
            digest("sha-256=:AAAA:"),
        ),
        presentation(
            "digest-string",
            "a string for a digest",
            "digest.malformed",
            digest("sha-256=\"x\""),
        ),
        presentation(
            "digest-twice",
            "one algorithm twice",
            "digest.malformed",
            digest(&format!("{sha256}, {sha256}")),
        ),
        presentation("digest-good", "a body and its digest", "ok", good()),
        presentation(
            "digest-both",
            "two right digests and one that is ignored",
            "ok",
            digest(&format!("{sha256}, {sha512}, md5=:AAAA:")),
        ),
    ]
}
