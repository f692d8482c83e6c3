//! Parameters and time.

use keybound_proto::signature::SignatureAlgorithm;
use keybound_proto::structured::BareItem;
use serde_json::Value;

use super::{Draft, presentation, vector};
use crate::make::NOW;

#[expect(clippy::too_many_lines, reason = "one table")]
pub(super) fn parameters() -> Vec<Value> {
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
            changed(|draft| draft.keyid = Some("agent".to_owned())),
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
