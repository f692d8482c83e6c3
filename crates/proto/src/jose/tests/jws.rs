use std::time::Duration;

use super::*;
use crate::{
    base64url::{Base64UrlError, encode},
    json::{JsonError, Object},
};

const LIMIT: usize = 8192;

/// A JWS with this header; the signature is 64 arbitrary bytes.
fn with_header(header: &str) -> String {
    SigningInput::new(header, "{}").attach(&[1; 64])
}

fn header_error(header: &str) -> JwsError {
    let text = with_header(header);
    let jws = Jws::parse(text.as_bytes(), LIMIT).unwrap();
    match jws.header() {
        Ok(header) => header.alg().expect_err("accepted header"),
        Err(error) => error,
    }
}

fn parse_error(text: &str) -> JwsError {
    Jws::parse(text.as_bytes(), LIMIT).expect_err(text)
}

#[test]
fn sc_006_not_a_compact_jws() {
    for text in [
        "",
        ".",
        "a",
        "e30",
        "e30.e30",
        "e30.e30.AA.AA",
        "e30.e30.e30.e30.e30",
        "....",
        // A flattened and a general JSON serialization have no dots.
        r#"{"protected":"e30","payload":"e30","signature":"AA"}"#,
        r#"{"payload":"e30","signatures":[{"protected":"e30","signature":"AA"}]}"#,
    ] {
        let error = parse_error(text);
        assert!(
            matches!(error, JwsError::NotThreeSegments | JwsError::EmptySegment),
            "{text} {error:?}"
        );
    }
    // Detached payload, missing header, missing signature.
    for text in ["e30..AA", ".e30.AA", "e30.e30.", ".."] {
        assert_eq!(parse_error(text), JwsError::EmptySegment, "{text}");
    }
}

#[test]
fn sc_003_two_texts_joined_by_a_comma() {
    let text = with_header(r#"{"alg":"ES256"}"#);
    for joined in [format!("{text},{text}"), format!("{text}, {text}")] {
        assert_eq!(parse_error(&joined), JwsError::NotThreeSegments);
    }
    assert_eq!(
        parse_error(&format!("{text},")),
        JwsError::Encoding(Base64UrlError::Character)
    );
}

#[test]
fn sc_009_alg_none_in_any_spelling() {
    for name in ["none", "None", "nOnE", "NONE"] {
        assert_eq!(
            header_error(&format!(r#"{{"alg":"{name}"}}"#)),
            JwsError::Algorithm(AlgorithmFault::None)
        );
    }
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":1}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"ALG":"ES256"}"#,
    ] {
        assert_eq!(
            header_error(header),
            JwsError::Algorithm(AlgorithmFault::Missing),
            "{header}"
        );
    }
    for name in [
        "",
        " none",
        "es256",
        "ES256 ",
        "ES512",
        "ES256K",
        "RS384",
        "RS512",
        "PS512",
        "RS1",
        "Ed448",
        "eddsa",
        "ED25519",
        "RSA-OAEP",
        "dir",
        "A128KW",
        "ML-DSA-44",
        "HS257",
        "hs256",
        "PBES2-HS256+A128KW",
    ] {
        assert_eq!(
            header_error(&format!(r#"{{"alg":"{name}"}}"#)),
            JwsError::Algorithm(AlgorithmFault::Unknown),
            "{name}"
        );
    }
}

#[test]
fn sc_010_a_mac_is_no_algorithm() {
    for name in ["HS256", "HS384", "HS512"] {
        assert_eq!(
            header_error(&format!(r#"{{"alg":"{name}"}}"#)),
            JwsError::Algorithm(AlgorithmFault::Symmetric)
        );
    }
}

/// A MAC over the token with the public key as secret, in each of the forms a
/// careless verifier might use.
#[test]
fn sc_011_the_public_key_is_no_secret() {
    use aws_lc_rs::hmac;

    let key = TestKey::p256().public();
    let jwk = key.to_jwk();
    let x = Object::parse(jwk.as_bytes()).unwrap();
    let x = crate::base64url::decode(x.string("x").unwrap().unwrap().as_bytes()).unwrap();
    for secret in [jwk.as_bytes(), &x] {
        let input = SigningInput::new(r#"{"alg":"HS256"}"#, "{}");
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.bytes());
        let text = input.attach(mac.as_ref());
        let jws = Jws::parse(text.as_bytes(), LIMIT).unwrap();
        assert_eq!(
            jws.header().unwrap().alg(),
            Err(JwsError::Algorithm(AlgorithmFault::Symmetric))
        );
        for algorithm in Algorithm::ALL {
            assert!(jws.verify(algorithm, &key).is_err());
        }
    }
}

#[test]
fn sc_015_jwk_of_another_type() {
    for jwk in ["null", "[]", "\"{}\"", "1", "true"] {
        assert_eq!(
            header_error(&format!(r#"{{"alg":"ES256","jwk":{jwk}}}"#)),
            JwsError::HeaderMember { member: "jwk" },
            "{jwk}"
        );
    }
}

#[test]
fn sc_018_crit_is_never_understood() {
    for crit in [
        "[\"exp\"]",
        "[\"must-understand\"]",
        "[]",
        "\"exp\"",
        "null",
        "{}",
        "[1]",
        "[\"a\",\"a\"]",
        "[\"b64\"]",
        "false",
    ] {
        assert_eq!(
            header_error(&format!(r#"{{"alg":"ES256","crit":{crit}}}"#)),
            JwsError::Critical,
            "{crit}"
        );
    }
    assert_eq!(
        header_error(r#"{"alg":"ES256","cr\u0069t":["exp"]}"#),
        JwsError::Critical
    );
}

#[test]
fn sc_019_unencoded_payloads() {
    for header in [
        r#"{"alg":"ES256","b64":false}"#,
        r#"{"alg":"ES256","b64":true}"#,
        r#"{"alg":"ES256","b64":null}"#,
    ] {
        assert_eq!(header_error(header), JwsError::UnencodedPayload);
    }
    assert_eq!(
        header_error(r#"{"alg":"ES256","b64":false,"crit":["b64"]}"#),
        JwsError::Critical
    );
}

#[test]
fn sc_028_segments_have_one_spelling() {
    let text = with_header(r#"{"alg":"ES256"}"#);
    let [header, payload, signature]: [&str; 3] =
        text.split('.').collect::<Vec<_>>().try_into().unwrap();
    for spoil in [
        |segment: &str| format!("{segment}="),
        |segment: &str| format!("{segment}=="),
        |segment: &str| format!(" {segment}"),
        |segment: &str| format!("{segment}\n"),
        |segment: &str| format!("{}+", &segment[1..]),
        |segment: &str| format!("{}/", &segment[1..]),
        |segment: &str| format!("{}?{}", &segment[..1], &segment[1..]),
        |segment: &str| format!("{segment}\0"),
        |segment: &str| format!("{segment}é"),
    ] {
        for text in [
            format!("{}.{payload}.{signature}", spoil(header)),
            format!("{header}.{}.{signature}", spoil(payload)),
            format!("{header}.{payload}.{}", spoil(signature)),
        ] {
            let error = parse_error(&text);
            assert!(matches!(error, JwsError::Encoding(_)), "{text:?} {error:?}");
        }
    }
    // 64 bytes leave four unused bits in the last character.
    let last = if signature.ends_with('Q') { 'R' } else { 'B' };
    let text = format!("{header}.{payload}.{}{last}", &signature[..85]);
    assert_eq!(
        parse_error(&text),
        JwsError::Encoding(Base64UrlError::TrailingBits)
    );
}

/// Wycheproof's JWS vectors 372 and 373 call a literal `?` inside a segment
/// valid, which holds only for a decoder that skips it. This one refuses.
#[test]
fn sc_029_a_question_mark_is_not_skipped() {
    let text = with_header(r#"{"alg":"ES256"}"#);
    for at in 1..text.len() {
        let text = format!("{}?{}", &text[..at], &text[at..]);
        let error = parse_error(&text);
        assert!(matches!(error, JwsError::Encoding(_)), "{text} {error:?}");
    }
}

#[test]
fn sc_030_duplicate_members() {
    for header in [
        r#"{"alg":"ES256","alg":"none"}"#,
        r#"{"alg":"ES256","\u0061lg":"none"}"#,
        r#"{"alg":"ES256","jwk":{"kty":"EC","kty":"RSA"}}"#,
    ] {
        assert_eq!(
            header_error(header),
            JwsError::HeaderJson(JsonError::DuplicateMember)
        );
    }
    for payload in [
        r#"{"htm":"GET","htm":"POST"}"#,
        r#"{"cnf":{"jkt":"a","jkt":"b"}}"#,
    ] {
        let text = SigningInput::new(r#"{"alg":"ES256"}"#, payload).attach(&[1; 64]);
        let jws = Jws::parse(text.as_bytes(), LIMIT).unwrap();
        assert_eq!(
            jws.claims().unwrap_err(),
            JwsError::PayloadJson(JsonError::DuplicateMember)
        );
    }
}

#[test]
fn header_members_of_a_wrong_type() {
    for (member, value) in [
        ("typ", "1"),
        ("typ", "null"),
        ("typ", "[\"dpop+jwt\"]"),
        ("kid", "1"),
        ("kid", "null"),
        ("kid", "{}"),
    ] {
        assert_eq!(
            header_error(&format!(r#"{{"alg":"ES256","{member}":{value}}}"#)),
            JwsError::HeaderMember { member }
        );
    }
    for header in ["[]", "\"ES256\"", "null"] {
        assert_eq!(
            header_error(header),
            JwsError::HeaderJson(JsonError::NotAnObject)
        );
    }
    for header in ["", " ", "{} {}", "\u{feff}{}"] {
        let text = format!("{}.e30.AA", encode(header.as_bytes()));
        let error = Jws::parse(text.as_bytes(), LIMIT)
            .and_then(|jws| jws.header().map(|_| ()))
            .unwrap_err();
        assert!(
            matches!(error, JwsError::HeaderJson(_) | JwsError::EmptySegment),
            "{header:?}"
        );
    }
}

#[test]
fn kid_is_bounded() {
    let kid = "k".repeat(MAX_KID_BYTES + 1);
    assert_eq!(
        header_error(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#)),
        JwsError::HeaderMember { member: "kid" }
    );
    let text = with_header(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, &kid[1..]));
    let jws = Jws::parse(text.as_bytes(), LIMIT).unwrap();
    assert_eq!(jws.header().unwrap().kid(), Some(&kid[1..]));
}

#[test]
fn sc_036_size_comes_first() {
    let text = with_header(r#"{"alg":"ES256"}"#);
    assert_eq!(
        Jws::parse(text.as_bytes(), text.len() - 1).unwrap_err(),
        JwsError::TooLarge
    );
    assert!(Jws::parse(text.as_bytes(), text.len()).is_ok());

    let dots = ".".repeat(1_000_000);
    assert_eq!(parse_error(&dots), JwsError::TooLarge);
    assert_eq!(
        Jws::parse(dots.as_bytes(), usize::MAX).unwrap_err(),
        JwsError::NotThreeSegments
    );
    let garbage = format!("{}.a.b", "=".repeat(LIMIT));
    assert_eq!(parse_error(&garbage), JwsError::TooLarge);
}

/// The bound is a hundred times what it takes here, so that it fails for a
/// quadratic parser and not for a busy machine.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the time that hostile input costs is what is tested"
)]
fn sc_032_sc_036_hostile_input_is_cheap() {
    let hostile = [
        ".".repeat(1_000_000),
        format!(
            "{}.e30.AA",
            encode(format!("{{\"a\":{}", "[".repeat(100_000)).as_bytes())
        ),
        format!("{}.e30.AA", encode("[".repeat(100_000).as_bytes())),
    ];
    for text in hostile {
        let start = std::time::Instant::now();
        let refused = Jws::parse(text.as_bytes(), usize::MAX)
            .and_then(|jws| jws.header().map(|_| ()))
            .is_err();
        assert!(refused);
        assert!(start.elapsed() < Duration::from_millis(500));
    }
}

#[test]
fn sc_037_an_encrypted_text_is_not_a_signed_one() {
    let jwe = format!(
        "{}.AA.AA.AA.AA",
        encode(br#"{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"enc":"A128GCM","zip":"DEF"}"#)
    );
    assert_eq!(parse_error(&jwe), JwsError::NotThreeSegments);
    assert_eq!(
        header_error(r#"{"alg":"dir","enc":"A128GCM","zip":"DEF"}"#),
        JwsError::Algorithm(AlgorithmFault::Unknown)
    );
}

#[test]
fn sc_016_sc_038_unknown_members_are_ignored() {
    let key = TestKey::p256();
    let header = format!(
        r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{},"kid":"a","jku":"https://evil.example","x5u":"https://evil.example","x5c":["AA"],"new":{{"a":[1]}}}}"#,
        key.public().to_jwk_with("b", Algorithm::Es256)
    );
    let text = key.jws(
        Algorithm::Es256,
        &header,
        r#"{"jti":"a","other":[null,1.5]}"#,
    );
    let jws = Jws::parse(text.as_bytes(), LIMIT).unwrap();
    let header = jws.header().unwrap();
    assert_eq!(header.typ(), Some("dpop+jwt"));
    assert_eq!(header.alg(), Ok(Algorithm::Es256));
    assert_eq!(header.kid(), Some("a"));
    let found = PublicKey::from_jwk_object(header.jwk().unwrap()).unwrap();
    assert_eq!(found, key.public());
    assert!(jws.verify(Algorithm::Es256, &found).is_ok());
    assert_eq!(jws.claims().unwrap().string("jti"), Ok(Some("a")));
    assert_eq!(jws.text(), text.as_bytes());
}

#[test]
fn sc_026_both_names_of_ed25519_are_read() {
    for name in ["EdDSA", "Ed25519"] {
        let text = with_header(&format!(r#"{{"alg":"{name}"}}"#));
        let jws = Jws::parse(text.as_bytes(), LIMIT).unwrap();
        assert_eq!(jws.header().unwrap().alg(), Ok(Algorithm::EdDsa));
    }
}

#[test]
fn error_messages_follow_the_rules() {
    for error in [
        header_error(r#"{"alg":"none"}"#).to_string(),
        header_error("{}").to_string(),
        header_error(r#"{"alg":"HS256"}"#).to_string(),
        header_error(r#"{"alg":"x"}"#).to_string(),
        header_error(r#"{"crit":[]}"#).to_string(),
        header_error(r#"{"b64":true}"#).to_string(),
        header_error(r#"{"typ":1}"#).to_string(),
        header_error("[]").to_string(),
        parse_error("a").to_string(),
        parse_error("..").to_string(),
        parse_error("e30.e30.+").to_string(),
        parse_error(&".".repeat(LIMIT + 1)).to_string(),
    ] {
        assert!(!error.ends_with('.') || error.ends_with("`.`"), "{error}");
        assert!(
            !error.starts_with(char::is_uppercase) || error.starts_with("JSON"),
            "{error}"
        );
    }
}
