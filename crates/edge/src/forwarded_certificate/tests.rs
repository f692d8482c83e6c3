//! The vectors of `vectors/certificate_headers.json`, the listing of peers, and properties of
//! every profile.

use std::sync::Arc;

use base64::Engine as _;
use http::{HeaderName, HeaderValue};
use keybound_proto::time::ManualClock;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const VECTORS: &str = include_str!("../../../../vectors/certificate_headers.json");
const TERMINATOR: &str = "127.0.0.1:1000";

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(VECTORS).expect("JSON");
    file["vectors"].as_array().expect("vectors").clone()
}

fn text<'v>(vector: &'v Value, member: &str) -> &'v str {
    vector[member].as_str().unwrap_or_default()
}

fn profile(name: &str) -> CertificateProfile {
    CertificateProfile::ALL
        .into_iter()
        .find(|profile| profile.name() == name)
        .expect("a profile")
}

fn policy(profile: CertificateProfile, unverified: bool, now: u64) -> CertificateHeaders {
    let config = CertificateHeaderConfig {
        profile,
        peers: vec!["127.0.0.1/32".parse().expect("a network")],
        unverified,
    };
    CertificateHeaders::new(config, Arc::new(ManualClock::at(now)))
}

fn fields(vector: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in vector["fields"].as_array().expect("fields") {
        let part = |index: usize| field[index].as_str().expect("text");
        headers.append(
            HeaderName::try_from(part(0)).expect("a name"),
            HeaderValue::try_from(part(1)).expect("a value"),
        );
    }
    headers
}

fn take(
    policy: &CertificateHeaders,
    mut headers: HeaderMap,
    peer: &str,
) -> Result<Option<ForwardedCertificate>, Cause> {
    let taken = policy.take(&mut headers, peer.parse().expect("an address"));
    let left = headers
        .keys()
        .find(|name| is_certificate_field(name.as_str()));
    assert_eq!(left, None, "no service may see it");
    taken.map_err(|rejection| rejection.cause())
}

fn of(vector: &Value) -> CertificateHeaders {
    let unverified = vector["unverified"].as_bool().unwrap_or(false);
    let now = vector["now"].as_u64().expect("a time");
    policy(profile(text(vector, "profile")), unverified, now)
}

#[test]
fn every_vector_gets_what_it_expects() {
    for vector in vectors() {
        let id = text(&vector, "id");
        let policy = of(&vector);
        // The second reading is answered from memory.
        for _ in 0..2 {
            let taken = take(&policy, fields(&vector), TERMINATOR);
            let expected = text(&vector, "expect");
            match taken {
                Err(cause) => assert_eq!(cause.id(), expected, "{id}"),
                Ok(found) => {
                    assert_eq!(expected, "ok", "{id}: {found:?}");
                    let (kind, thumbprint) = match found.expect("a listed peer") {
                        ForwardedCertificate::Absent => ("absent", String::new()),
                        ForwardedCertificate::Thumbprint(hash) => ("hash", hash.to_string()),
                        ForwardedCertificate::Whole(one) => ("whole", one.thumbprint().to_string()),
                    };
                    assert_eq!(kind, text(&vector, "certificate"), "{id}");
                    assert_eq!(thumbprint, text(&vector, "x5t#S256"), "{id}");
                }
            }
        }
        assert_eq!(policy.take_ignored(), None, "{id}");
    }
}

#[test]
fn sc_161_nobody_else_is_believed_and_each_attempt_is_counted() {
    for vector in vectors() {
        let id = text(&vector, "id");
        let policy = of(&vector);
        let headers = fields(&vector);
        let is_speaking = headers
            .keys()
            .any(|name| policy.inner.config.profile.reads(name));
        for peer in ["127.0.0.2:1000", "[::1]:1000", "203.0.113.9:1"] {
            let taken = take(&policy, headers.clone(), peer);
            assert_eq!(taken, Ok(None), "{id} {peer}");
        }
        let ignored = policy.take_ignored();
        assert_eq!(
            ignored.map(|one| one.requests),
            is_speaking.then_some(3),
            "{id}"
        );
        assert_eq!(policy.take_ignored(), None, "{id}");
    }
}

#[test]
fn sc_161_a_terminator_speaks_its_own_profile_only() {
    for vector in vectors() {
        let whole = text(&vector, "certificate") == "whole";
        for other in CertificateProfile::ALL {
            let headers = fields(&vector);
            let understands = headers.keys().any(|name| other.reads(name));
            if !whole || understands {
                continue;
            }
            let now = vector["now"].as_u64().expect("a time");
            let taken = take(&policy(other, true, now), headers, TERMINATOR);
            let id = text(&vector, "id");
            assert_eq!(
                taken,
                Ok(Some(ForwardedCertificate::Absent)),
                "{id} as {other}"
            );
        }
    }
}

#[test]
fn what_is_no_certificate_field_stays() {
    let policy = policy(CertificateProfile::Nginx, false, 0);
    let mut headers = HeaderMap::new();
    for name in [
        "client",
        "x-ssl-cipher",
        "cf-ray",
        "x-forwarded-for",
        "x-amzn-trace-id",
    ] {
        headers.append(name, HeaderValue::from_static("kept"));
    }
    let before = headers.clone();
    policy
        .take(&mut headers, TERMINATOR.parse().expect("an address"))
        .expect("nothing to refuse");
    assert_eq!(headers, before);
}

/// A certificate of a vector.
fn der() -> Vec<u8> {
    let all = vectors();
    let vector = all
        .iter()
        .find(|one| text(one, "id") == "rfc9440")
        .expect("there");
    let field = vector["fields"][0][1].as_str().expect("text");
    forms::byte_sequence(field).expect("a certificate")
}

fn now() -> u64 {
    vectors()[0]["now"].as_u64().expect("a time")
}

fn percent(text: &str, keep: impl Fn(char) -> bool) -> String {
    text.chars()
        .map(|letter| match keep(letter) {
            true => letter.to_string(),
            false => format!("%{:02x}", u32::from(letter)),
        })
        .collect()
}

proptest! {
    /// Whatever a terminator sends, it is a certificate, absence, or a refusal; and only an
    /// absent field is absence.
    #[test]
    fn any_value_is_judged_and_only_nothing_is_absent(
        number in 0..CertificateProfile::ALL.len(),
        value in "[ -~]{0,200}",
        unverified: bool,
    ) {
        let profile = CertificateProfile::ALL[number];
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static(profile.fields()[0]);
        headers.append(name, HeaderValue::try_from(&value).expect("visible"));
        let taken = take(&policy(profile, unverified, now()), headers, TERMINATOR);
        let is_blank = value.trim().is_empty();
        let blank_is_nothing = matches!(
            profile,
            CertificateProfile::Nginx | CertificateProfile::AwsCloudFront
        );
        if taken == Ok(Some(ForwardedCertificate::Absent)) {
            prop_assert!(is_blank && blank_is_nothing, "{profile}: {value:?}");
        }
    }

    /// A certificate with any one letter of its field changed is refused, or is the same one.
    #[test]
    fn a_changed_letter_never_makes_another_certificate(
        at in 0_usize..2_000,
        letter in "[ -~]",
    ) {
        let field = format!(":{}:", base64::engine::general_purpose::STANDARD.encode(der()));
        let at = at % field.len();
        let mut changed = field.clone();
        changed.replace_range(at..=at, &letter);
        let mut headers = HeaderMap::new();
        headers.append("client-cert", HeaderValue::try_from(&changed).expect("visible"));
        let policy = policy(CertificateProfile::Rfc9440, false, now());
        if let Ok(Some(ForwardedCertificate::Whole(found))) = take(&policy, headers, TERMINATOR) {
            let same = found.der() == der();
            prop_assert_eq!(same, changed == field || forms::byte_sequence(&changed) == Ok(der()));
        }
    }

    /// Escapes say what they stand for, whichever letters a terminator leaves alone.
    #[test]
    fn escaped_pem_is_read_whatever_is_escaped(keep in "[A-Za-z0-9+/=-]{0,40}", lines in 1_usize..100) {
        let text = base64::engine::general_purpose::STANDARD.encode(der());
        let body: Vec<String> = text
            .as_bytes()
            .chunks(lines)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            body.join("\n")
        );
        let escaped = percent(&pem, |letter| keep.contains(letter));
        prop_assert_eq!(forms::escaped_pem(&escaped), Ok(vec![der()]));
    }

    /// The nearest hop of an XFCC is read whatever others wrote before it.
    #[test]
    fn earlier_elements_of_an_xfcc_decide_nothing(before in "[a-zA-Z=;, ]{0,60}", subject in "[ -~]{0,40}") {
        let hash = "ab".repeat(32);
        let subject = subject.replace('\\', "\\\\").replace('"', "\\\"");
        let line = format!("{before},Hash={hash};Subject=\"{subject}\"");
        let element = xfcc::last_element(&[&line]).expect("readable");
        prop_assert_eq!(element.hash, Some([0xab; 32]));
    }

    /// Any bytes are read without a panic, and never as two different things.
    #[test]
    fn hex_is_exact(text in "[0-9a-fA-F]{64}") {
        let digest = forms::sha256_hex(&text).expect("readable");
        let again: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        prop_assert_eq!(again, text.to_ascii_lowercase());
    }
}
