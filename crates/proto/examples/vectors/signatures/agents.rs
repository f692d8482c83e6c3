//! Web Bot Auth: agents that come without a token.

use keybound_proto::signature::agent::{AGENT_TAG, DIRECTORY_PATH, DIRECTORY_TAG};
use keybound_proto::signature::{
    Component, DigestAlgorithm, SignatureInput, SignatureParameters, SignedRequest, SignedResponse,
    content_digest,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;
use serde_json::{Value, json};

use super::{Draft, component};
use crate::make::{NOW, Who, pair, public};

const AGENT: &str = "https://agent.example";

/// What the origin of the agent answers, signed by the key that is in it.
fn directory(who: Who, at: &str) -> Value {
    let content = format!("{{\"keys\":[{}]}}", public(who).to_jwk());
    let digest = content_digest(DigestAlgorithm::Sha256, content.as_bytes());
    let origin = Origin::parse(at).expect("an origin");
    let fields: &[(&str, &[u8])] = &[("content-digest", digest.as_bytes())];
    let response = SignedResponse {
        status: 200,
        fields: &fields,
        trailers: None,
        request: Some(SignedRequest {
            method: "GET",
            origin: &origin,
            request_target: DIRECTORY_PATH,
            fields: &(),
            trailers: None,
        }),
    };
    let covered = [
        Component::of_request("@authority").expect("a component"),
        component("content-digest"),
    ];
    let keyid = public(who).thumbprint().to_string();
    let parameters = SignatureParameters {
        created: Some(UnixTime::from_secs(NOW)),
        expires: Some(UnixTime::from_secs(NOW + 3600)),
        keyid: Some(&keyid),
        tag: Some(DIRECTORY_TAG),
        ..SignatureParameters::default()
    };
    let input = SignatureInput::new(response, &covered, parameters).expect("a base");
    let signature = pair(who).sign(input.bytes());
    let signed = input.attach("binding", signature.as_ref());
    json!({"agent": at, "body": content, "headers": [["content-digest", digest],
        ["signature-input", signed.signature_input], ["signature", signed.signature]]})
}

fn vector(
    id: &str,
    comment: &str,
    expect: &str,
    change: fn(&mut Draft),
    directory: &Value,
) -> Value {
    let mut draft = Draft::presentation();
    draft.fields = vec![("signature-agent".to_owned(), format!("me=\"{AGENT}\""))];
    draft.covered = vec![
        component("@authority"),
        Component::member("signature-agent", "me").expect("a component"),
    ];
    draft.nonce = None;
    draft.expires = Some(NOW + 60);
    draft.keyid = Some(public(Who::Agent).thumbprint().to_string());
    draft.tag = Some(AGENT_TAG);
    let signed = draft.change(change).sign();
    json!({"id": id, "comment": comment, "expect": expect, "now": NOW, "profile": "web_bot_auth",
           "request": signed.to_json(), "directory": directory})
}

pub(super) fn agents() -> Vec<Value> {
    let own = directory(Who::Agent, AGENT);
    vec![
        vector(
            "agent-key-unknown",
            "a key the directory does not have",
            "httpsig.key_unknown",
            |_| {},
            &directory(Who::Stranger, AGENT),
        ),
        vector(
            "agent-mirror",
            "the right key in another origin's directory",
            "httpsig.key_unknown",
            |_| {},
            &directory(Who::Agent, "https://mirror.example"),
        ),
        vector(
            "agent-future",
            "made one second ahead",
            "httpsig.created.future",
            |draft| draft.created = Some(NOW + 1),
            &own,
        ),
        vector(
            "agent-long",
            "lives for more than a day",
            "httpsig.lifetime",
            |draft| draft.expires = Some(NOW + 86_401),
            &own,
        ),
        vector(
            "agent-uncovered",
            "Signature-Agent is not covered",
            "httpsig.coverage",
            |draft| draft.without("signature-agent"),
            &own,
        ),
        vector(
            "agent-forged",
            "signed by a stranger",
            "httpsig.signature.invalid",
            |draft| draft.signer = Who::Stranger,
            &own,
        ),
        vector(
            "agent-good",
            "an agent and its directory",
            "ok",
            |_| {},
            &own,
        ),
    ]
}
