//! The form of the fields, and what they cover.

use serde_json::Value;

use super::{Draft, component, presentation};
use crate::make::NOW;

#[expect(clippy::too_many_lines, reason = "one table")]
pub(super) fn form() -> Vec<Value> {
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
            "signature-many",
            "nine signatures",
            "httpsig.size",
            good().change(|signed| {
                for index in 0..8 {
                    let input = format!("x{index}=();tag=\"x\"");
                    signed.fields.push(("signature-input".to_owned(), input));
                    let bytes = format!("x{index}=:AAAA:");
                    signed.fields.push(("signature".to_owned(), bytes));
                }
            }),
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

#[expect(clippy::too_many_lines, reason = "one table")]
pub(super) fn coverage() -> Vec<Value> {
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
