//! What an answer must not get away with, then what it may say.

use super::{ActiveRules, Asked, SIGNED_TYPE, SignedAnswer};
use crate::base64url;
use crate::cause::Cause;
use crate::jose::{AlgorithmSet, PublicKey};
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::token::{AccessToken, IssuerRules, Leniency, TokenSource};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://api.example.com/";
const RECIPIENT: &str = "gateway-1";
const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const TOKEN: &[u8] = b"2YotnFZFEjr1zCsicMWpAA";

fn answer() -> Value {
    json!({
        "active": true, "iss": ISSUER, "sub": "agent", "client_id": "agent-client",
        "aud": RESOURCE, "scope": "read write", "exp": NOW + 300, "iat": NOW, "jti": "tok_1",
        "token_type": "DPoP", "cnf": {"jkt": JKT},
    })
}

fn with(member: &str, value: Value) -> Value {
    let mut changed = answer();
    changed[member] = value;
    changed
}

fn without(member: &str) -> Value {
    let mut changed = answer();
    changed.as_object_mut().unwrap().remove(member);
    changed
}

fn rules(leniency: Leniency) -> IssuerRules {
    let mut rules = IssuerRules::new(ISSUER, AlgorithmSet::TOKEN_DEFAULT);
    rules.leniency = leniency;
    rules
}

fn read_with(leniency: Leniency, answer: &str) -> Result<AccessToken, Rejection> {
    let rules = rules(leniency);
    let rules = ActiveRules {
        issuer: &rules,
        resource: RESOURCE,
        lifetime: 60,
    };
    let asked = Asked::new(TOKEN, false);
    rules.read(answer.as_bytes(), &asked, UnixTime::from_secs(NOW))
}

fn cause(answer: &Value) -> Cause {
    read_with(Leniency::default(), &answer.to_string())
        .unwrap_err()
        .cause()
}

#[test]
fn what_is_not_an_answer_is_the_issuers_fault() {
    let open = "{\"a\":".repeat(20);
    let long = format!("{{\"active\":false,\"x\":\"{}\"}}", "x".repeat(65_536));
    for text in [
        "",
        "null",
        "[]",
        "true",
        "<html>active</html>",
        "{}",
        r#"{"active":"true"}"#,
        r#"{"active":1}"#,
        r#"{"active":null}"#,
        r#"{"active":true,"active":false}"#,
        r#"{"active":false} {"active":true}"#,
        r#"{"Active":true}"#,
        open.as_str(),
        long.as_str(),
    ] {
        let rejection = read_with(Leniency::default(), text).unwrap_err();
        assert_eq!(rejection.cause(), Cause::IntrospectionInvalid, "{text:.40}");
    }
}

#[test]
fn sc_210_a_binding_that_was_lost_on_the_way_is_noticed() {
    for lost in [
        without("cnf"),
        with("cnf", json!({})),
        with("cnf", json!(null)),
        with("cnf", json!({"other": 1})),
        with("cnf", json!({"jkt": format!("{JKT}=")})),
        with("cnf", json!([JKT])),
        with("token_type", json!("Bearer")),
        with("token_type", json!(["DPoP"])),
    ] {
        assert_eq!(cause(&lost), Cause::IntrospectionInvalid, "{lost}");
    }
}

#[test]
fn inactive_and_ended_tokens_are_not_active() {
    assert_eq!(cause(&json!({"active": false})), Cause::TokenInactive);
    // Whatever else is said about it.
    assert_eq!(cause(&with("active", json!(false))), Cause::TokenInactive);
    for (member, seconds, expected) in [
        ("exp", NOW, Cause::TokenExpired),
        ("exp", 0, Cause::TokenExpired),
        ("nbf", NOW + 11, Cause::TokenNotYetValid),
        ("iat", NOW + 11, Cause::TokenNotYetValid),
    ] {
        assert_eq!(
            cause(&with(member, json!(seconds))),
            expected,
            "{member} {seconds}"
        );
    }
}

#[test]
fn another_issuers_answer_is_not_taken() {
    for issuer in [
        json!("https://other.example.com"),
        json!(format!("{ISSUER}/")),
        json!(""),
        json!([ISSUER]),
    ] {
        assert_eq!(cause(&with("iss", issuer)), Cause::IntrospectionInvalid);
    }
    assert!(read_with(Leniency::default(), &without("iss").to_string()).is_ok());
}

#[test]
fn claims_of_the_wrong_type_are_never_absent() {
    let all = Leniency {
        missing_audience: true,
        missing_client_id: true,
        missing_expiry: true,
        missing_jti: true,
        missing_kid: true,
        missing_subject: true,
        missing_type: true,
    };
    for (member, value) in [
        ("sub", json!(1)),
        ("sub", json!("")),
        ("client_id", json!([])),
        ("aud", json!(1)),
        ("aud", json!([])),
        ("aud", json!([1])),
        ("exp", json!("300")),
        ("exp", json!(-1)),
        ("exp", json!(1_800_000_300_000_u64)),
        ("nbf", json!("x")),
        ("iat", json!(1.5)),
        ("scope", json!(1)),
        ("scope", json!(["read write"])),
        ("jti", json!(7)),
        ("act", json!("agent")),
    ] {
        let text = with(member, value).to_string();
        let cause = read_with(all, &text).unwrap_err().cause();
        assert_eq!(cause, Cause::TokenClaimInvalid, "{member}: {text}");
    }
}

#[test]
fn each_lack_needs_its_own_permission() {
    type Permit = fn(&mut Leniency);
    let cases: [(&str, Permit); 4] = [
        ("aud", |lenient| lenient.missing_audience = true),
        ("client_id", |lenient| lenient.missing_client_id = true),
        ("exp", |lenient| lenient.missing_expiry = true),
        ("sub", |lenient| lenient.missing_subject = true),
    ];
    for (member, permit) in cases {
        let text = without(member).to_string();
        let mut others = Leniency::default();
        for (other, permit) in cases {
            if other != member {
                permit(&mut others);
            }
        }
        let cause = read_with(others, &text).unwrap_err().cause();
        assert_eq!(cause, Cause::TokenClaimInvalid, "{member}");
        let mut permitted = Leniency::default();
        permit(&mut permitted);
        let token = read_with(permitted, &text).unwrap();
        assert_eq!(token.audience(), [RESOURCE], "{member}");
        let end = if member == "exp" { NOW + 60 } else { NOW + 300 };
        assert_eq!(token.expires_at().as_secs(), end, "{member}");
        let subject = if member == "sub" {
            "agent-client"
        } else {
            "agent"
        };
        assert_eq!(token.subject(), subject, "{member}");
    }
}

#[test]
fn a_handle_is_never_the_token() {
    let text = std::str::from_utf8(TOKEN).unwrap();
    for jti in [text, &text[2..9], &format!("urn:token:{text}"), "2"] {
        let token = read_with(Leniency::default(), &with("jti", json!(jti)).to_string()).unwrap();
        let handle = token.token_id().unwrap();
        assert!(handle.starts_with("tok_"), "{handle}");
        assert!(!format!("{token:?}").contains(text), "{token:?}");
    }
    let own = read_with(Leniency::default(), &without("jti").to_string()).unwrap();
    let again = read_with(Leniency::default(), &without("jti").to_string()).unwrap();
    assert_eq!(own.token_id(), again.token_id());
    assert!(!format!("{:?}", Asked::new(TOKEN, false)).contains(text));
}

#[test]
fn a_good_answer_says_everything() {
    let mut good = answer();
    good["aud"] = json!([RESOURCE, "https://other.example.com/"]);
    good["act"] = json!({"sub": "helper"});
    good["extra"] = json!({"ignored": true});
    let token = read_with(Leniency::default(), &good.to_string()).unwrap();
    assert_eq!(token.source(), TokenSource::Introspection);
    assert_eq!(token.issuer(), ISSUER);
    assert_eq!(token.subject(), "agent");
    assert_eq!(token.client_id(), Some("agent-client"));
    assert_eq!(token.audience().len(), 2);
    assert!(token.has_scope("read") && token.has_scope("write"));
    assert_eq!(token.token_id(), Some("tok_1"));
    assert_eq!(token.confirmation().jkt().unwrap().to_string(), JKT);
    assert_eq!(token.actors()[0].subject, "helper");
    assert_eq!(token.kid(), None);
}

// --- RFC 9701

fn key(seed: u8) -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let x = base64url::encode(pair.public_key().as_ref());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x}).to_string();
    let public = PublicKey::from_jwk(jwk.as_bytes()).unwrap();
    (pair, public)
}

fn sign(header: &Value, claims: &Value, seed: u8) -> String {
    let encode = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = key(seed).0.sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(signature.as_ref()))
}

fn header() -> Value {
    json!({"typ": SIGNED_TYPE, "alg": "EdDSA", "kid": "k1"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": RECIPIENT, "iat": NOW, "token_introspection": answer()})
}

fn verify(text: &str) -> Result<AccessToken, Cause> {
    let rules = rules(Leniency::default());
    let active = ActiveRules {
        issuer: &rules,
        resource: RESOURCE,
        lifetime: 60,
    };
    let asked = Asked::new(TOKEN, false);
    let question = (&asked, UnixTime::from_secs(NOW));
    SignedAnswer::parse(text.as_bytes())
        .and_then(|signed| {
            signed.query(&rules)?;
            signed.verify(&active, RECIPIENT, &key(1).1, question)
        })
        .map_err(|rejection| rejection.cause())
}

#[test]
fn a_signed_answer_of_another_kind_issuer_recipient_or_time_is_refused() {
    let change = |path: &str, value: Value| {
        let (mut header, mut claims) = (header(), claims());
        match path.strip_prefix('h') {
            Some(member) => header[member] = value,
            None => claims[path] = value,
        }
        sign(&header, &claims, 1)
    };
    let cases = [
        ("htyp", json!("at+jwt")),
        ("htyp", json!("JWT")),
        ("htyp", json!(null)),
        ("halg", json!("none")),
        ("halg", json!("HS256")),
        ("halg", json!("RS256")),
        ("hcrit", json!(["x"])),
        ("iss", json!("https://other.example.com")),
        ("iss", json!(null)),
        ("aud", json!("gateway-2")),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("iat", json!(NOW - 61)),
        ("iat", json!(NOW + 11)),
        ("iat", json!("now")),
        ("iat", json!(null)),
        ("token_introspection", json!("active")),
        ("token_introspection", json!(null)),
        ("token_introspection", json!({})),
        ("token_introspection", json!([{"active": true}])),
    ];
    for (path, value) in cases {
        let text = change(path, value.clone());
        assert_eq!(
            verify(&text).unwrap_err(),
            Cause::IntrospectionInvalid,
            "{path} {value}"
        );
    }
    // An access token's claims at the top level are no answer either.
    let mut access_token = answer();
    access_token["aud"] = json!(RECIPIENT);
    let text = sign(&header(), &access_token, 1);
    assert_eq!(verify(&text).unwrap_err(), Cause::IntrospectionInvalid);
}

#[test]
fn sc_239_the_signature_is_checked() {
    let forged = sign(&header(), &claims(), 2);
    assert_eq!(verify(&forged).unwrap_err(), Cause::IntrospectionInvalid);
    let good = sign(&header(), &claims(), 1);
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let other = with("sub", json!("root"));
    let mut changed = claims();
    changed["token_introspection"] = other;
    let payload = base64url::encode(changed.to_string().as_bytes());
    let head = rest.split('.').next().unwrap();
    let swapped = format!("{head}.{payload}.{signature}");
    assert_eq!(verify(&swapped).unwrap_err(), Cause::IntrospectionInvalid);
    for text in ["", "a.b", rest, "{\"active\":true}"] {
        assert_eq!(verify(text).unwrap_err(), Cause::IntrospectionInvalid);
    }
}

#[test]
fn a_signed_answer_says_the_same_as_a_plain_one() {
    let inactive = json!({
        "iss": ISSUER, "aud": [RECIPIENT], "iat": NOW, "token_introspection": {"active": false},
    });
    let text = sign(&header(), &inactive, 1);
    assert_eq!(verify(&text).unwrap_err(), Cause::TokenInactive);
    let token = verify(&sign(&header(), &claims(), 1)).unwrap();
    assert_eq!(token.subject(), "agent");
    let mut long = header();
    long["typ"] = json!("application/token-introspection+jwt");
    assert!(verify(&sign(&long, &claims(), 1)).is_ok());
}
