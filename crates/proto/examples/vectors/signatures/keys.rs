//! Keys, signatures, nonces and content.

use keybound_proto::signature::{DigestAlgorithm, content_digest, signature_key};
use keybound_proto::structured::BareItem;
use serde_json::{Value, json};

use super::{BODY, Draft, component, presentation, vector};
use crate::make::{NOW, Who, public};

#[expect(clippy::too_many_lines, reason = "one table")]
pub(super) fn keys() -> Vec<Value> {
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
            &runtime(|draft| draft.keyid = Some("agent".to_owned())),
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
        after_restart(
            "nonce-epoch",
            "made before the replay log began",
            "httpsig.epoch",
            NOW - 5,
        ),
        after_restart(
            "nonce-epoch-after",
            "made after the replay log began",
            "ok",
            NOW - 4,
        ),
    ]
}

/// For a server whose replay log began five seconds ago and does not know what was used before.
fn after_restart(id: &str, comment: &str, expect: &str, created: u64) -> Value {
    let draft = Draft::presentation().change(|draft| draft.created = Some(created));
    let mut vector = presentation(id, comment, expect, draft.sign());
    vector["epoch"] = (NOW - 5).into();
    vector
}

#[expect(clippy::too_many_lines, reason = "one table")]
pub(super) fn content() -> Vec<Value> {
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
