//! What a list must not get away with, then what the draft's own lists say.

use std::io::Write as _;
use std::path::PathBuf;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};

use super::{ListFault, MAX_LIST_BYTES, Status, StatusClaim, StatusList, UnverifiedStatusList};
use crate::base64url;
use crate::jose::{AlgorithmSet, PublicKey};
use crate::json::Object;
use crate::time::UnixTime;
use crate::token::IssuerRules;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://auth.example.com";
const URI: &str = "https://auth.example.com/status/1";

fn key(seed: u8) -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = PublicKey::from_ed25519(pair.public_key().as_ref()).unwrap();
    (pair, public)
}

fn zlib(bytes: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    base64url::encode(&encoder.finish().unwrap())
}

fn header() -> Value {
    json!({"typ": "statuslist+jwt", "alg": "EdDSA", "kid": "k1"})
}

fn claims(lst: &str) -> Value {
    json!({"sub": URI, "iat": NOW, "exp": NOW + 600, "ttl": 60, "status_list": {"bits": 1, "lst": lst}})
}

fn sign(header: &Value, claims: &Value, seed: u8) -> String {
    let encode = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = key(seed).0.sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(signature.as_ref()))
}

fn verify_at(text: &str, now: u64) -> Result<StatusList, ListFault> {
    let rules = IssuerRules::new(ISSUER, AlgorithmSet::TOKEN_DEFAULT);
    let list = UnverifiedStatusList::parse(text.as_bytes(), &rules)?;
    list.verify(URI, 10, &key(1).1, UnixTime::from_secs(now))
}

fn verify(text: &str) -> Result<StatusList, ListFault> {
    verify_at(text, NOW)
}

fn with(member: &str, value: Value) -> Result<StatusList, ListFault> {
    let mut changed = claims(&zlib(&[0b10]));
    changed[member] = value;
    verify(&sign(&header(), &changed, 1))
}

#[test]
fn sc_221_a_list_that_inflates_without_end_is_refused() {
    let bomb = zlib(&vec![0; MAX_LIST_BYTES + 1]);
    assert!(bomb.len() < 8192, "{} bytes", bomb.len());
    let refused = verify(&sign(&header(), &claims(&bomb), 1));
    assert_eq!(refused, Err(ListFault::Inflate));
    let largest = verify(&sign(
        &header(),
        &claims(&zlib(&vec![0; MAX_LIST_BYTES])),
        1,
    ));
    assert!(largest.is_ok());
    let mut trailing = base64url::decode(zlib(&[1]).as_bytes()).unwrap();
    trailing.push(0);
    for lst in [
        "",
        "AAAA",
        "x",
        &base64url::encode(&trailing),
        &zlib(&[1])[..8],
    ] {
        let refused = verify(&sign(&header(), &claims(lst), 1));
        assert_eq!(refused, Err(ListFault::Inflate), "{lst}");
    }
}

#[test]
fn sc_221_lists_of_another_kind_issuer_place_or_time_are_refused() {
    let good = claims(&zlib(&[0b10]));
    for (member, value, fault) in [
        ("typ", json!("JWT"), ListFault::Type),
        ("typ", json!("at+jwt"), ListFault::Type),
        ("typ", json!(null), ListFault::Type),
        ("alg", json!("RS256"), ListFault::Algorithm),
    ] {
        let mut header = header();
        if value.is_null() {
            header.as_object_mut().unwrap().remove(member);
        } else {
            header[member] = value;
        }
        assert_eq!(verify(&sign(&header, &good, 1)), Err(fault), "{member}");
    }
    assert_eq!(
        verify(&sign(&header(), &good, 2)),
        Err(ListFault::Signature)
    );
    for (member, value, fault) in [
        ("iss", json!("https://other.example"), ListFault::Issuer),
        ("iss", json!(1), ListFault::Claim("iss")),
        (
            "sub",
            json!("https://auth.example.com/status/2"),
            ListFault::Subject,
        ),
        ("sub", json!(null), ListFault::Subject),
        ("iat", json!(NOW + 11), ListFault::Time),
        ("iat", json!("now"), ListFault::Claim("iat")),
        ("exp", json!(NOW), ListFault::Time),
        ("exp", json!("later"), ListFault::Claim("exp")),
        ("ttl", json!(0), ListFault::Claim("ttl")),
        ("ttl", json!("60"), ListFault::Claim("ttl")),
        ("status_list", json!([]), ListFault::Claim("status_list")),
        (
            "status_list",
            json!({"bits": 3, "lst": "AA"}),
            ListFault::Claim("bits"),
        ),
        (
            "status_list",
            json!({"bits": 0, "lst": "AA"}),
            ListFault::Claim("bits"),
        ),
        (
            "status_list",
            json!({"bits": "1", "lst": "AA"}),
            ListFault::Claim("bits"),
        ),
        ("status_list", json!({"bits": 1}), ListFault::Claim("lst")),
    ] {
        assert_eq!(with(member, value.clone()), Err(fault), "{member} {value}");
    }
    assert!(with("iss", json!(ISSUER)).is_ok());
    // Without `exp` a list counts for a day.
    let mut endless = claims(&zlib(&[0]));
    endless.as_object_mut().unwrap().remove("exp");
    let text = sign(&header(), &endless, 1);
    assert!(verify_at(&text, NOW + 86_399).is_ok());
    assert_eq!(verify_at(&text, NOW + 86_400), Err(ListFault::Time));
}

#[test]
fn a_place_beyond_the_end_has_no_status() {
    let list = with("ttl", json!(60)).unwrap();
    assert_eq!(list.status(0), Some(Status::Valid));
    assert_eq!(list.status(1), Some(Status::Invalid));
    for index in [8, 9, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(list.status(index), None, "{index}");
    }
}

#[test]
fn ttl_and_exp_bound_the_use_of_a_list() {
    let fetched = UnixTime::from_secs(NOW);
    let until = |member: &str, value: u64| {
        let list = with(member, json!(value)).unwrap();
        list.usable_until(fetched).as_secs() - NOW
    };
    assert_eq!(until("ttl", 30), 30);
    assert_eq!(until("ttl", 9_999_999), 600);
    assert_eq!(until("exp", NOW + 20), 20);
}

#[test]
fn a_status_that_cannot_be_read_is_never_absent() {
    let read = |claims: &str| StatusClaim::read(&Object::parse(claims.as_bytes()).unwrap());
    for status in [
        "null",
        "{}",
        "\"valid\"",
        r#"{"status_list":{}}"#,
        r#"{"status_list":{"uri":"","idx":1}}"#,
        r#"{"status_list":{"uri":"https://a/","idx":-1}}"#,
        r#"{"status_list":{"uri":"https://a/","idx":"1"}}"#,
        r#"{"status_list":{"idx":1}}"#,
    ] {
        let claims = format!(r#"{{"status":{status}}}"#);
        assert_eq!(read(&claims), StatusClaim::Unreadable, "{status}");
    }
    assert_eq!(read("{}"), StatusClaim::Absent);
}

/// `vectors/rfc/token_status_list.json`: the lists the draft prints.
#[test]
fn the_lists_of_the_draft_say_what_it_says() {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/rfc/token_status_list.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let list = |vector: &Value| {
        let mut claims = claims(vector["lst"].as_str().unwrap());
        claims["status_list"]["bits"] = vector["bits"].clone();
        verify(&sign(&header(), &claims, 1)).unwrap()
    };
    let value = |status: Status| match status {
        Status::Valid => 0,
        Status::Invalid => 1,
        Status::Suspended => 2,
        Status::Other(other) => other,
    };
    for vector in file["small"].as_array().unwrap() {
        let list = list(vector);
        let statuses = vector["statuses"].as_array().unwrap();
        for (index, expected) in (0_u64..).zip(statuses) {
            let got = value(list.status(index).unwrap());
            assert_eq!(Some(u64::from(got)), expected.as_u64(), "{index}");
        }
        let end = u64::try_from(statuses.len()).unwrap();
        assert_eq!(list.status(end), None);
    }
    for vector in file["long"].as_array().unwrap() {
        let list = list(vector);
        let listed = vector["statuses"].as_object().unwrap();
        for (index, expected) in listed {
            let got = value(list.status(index.parse().unwrap()).unwrap());
            assert_eq!(Some(u64::from(got)), expected.as_u64(), "{index}");
        }
        let size = vector["size"].as_u64().unwrap();
        let others = (0..size)
            .filter(|index| list.status(*index) != Some(Status::Valid))
            .count();
        let expected = listed.values().filter(|value| **value != json!(0)).count();
        assert_eq!(others, expected, "{} bits", vector["bits"]);
        assert_eq!(list.status(size), None);
    }
    let printed = file["status_list_token_jwt"]["jwt"].as_str().unwrap();
    let rules = IssuerRules::new("https://example.com", AlgorithmSet::TOKEN_DEFAULT);
    let list = UnverifiedStatusList::parse(printed.as_bytes(), &rules).unwrap();
    assert_eq!(list.query().kid.as_deref(), Some("12"));
}
