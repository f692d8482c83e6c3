use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;
use crate::jose::{AlgorithmSet, PublicKey};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const ISSUER: &str = "https://control.example.com";
const RULES: ReceiverRules<'_> = ReceiverRules {
    issuer: ISSUER,
    audience: "gateway-1",
    algorithms: AlgorithmSet::TOKEN_DEFAULT,
    skew: 10,
};

struct Transmitter(Ed25519KeyPair);

impl Transmitter {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn key(&self) -> PublicKey {
        PublicKey::from_ed25519(self.0.public_key().as_ref()).unwrap()
    }

    fn sign(&self, input: SigningInput) -> String {
        let signature = self.0.sign(input.bytes());
        input.attach(signature.as_ref())
    }

    /// A SET with these header members and claims, whatever they are.
    fn raw(&self, header: &Value, claims: &Value) -> String {
        self.sign(SigningInput::new(&header.to_string(), &claims.to_string()))
    }
}

fn header() -> Value {
    json!({"typ": "secevent+jwt", "alg": "EdDSA", "kid": "kb-1"})
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "gateway-1", "jti": "1", "iat": NOW.as_secs(),
        "sub_id": {"format": "jwt_id", "iss": "https://auth.example.com", "jti": "tok_1"},
        "events": {(SESSION_REVOKED): {"event_timestamp": 1_799_999_999}},
    })
}

fn receive(text: &str) -> Result<SecurityEventToken, SignalError> {
    UnverifiedSignal::parse(text.as_bytes())?.verify(&RULES, &Transmitter::new(1).key(), NOW)
}

fn receive_claims(change: impl FnOnce(&mut Value)) -> Result<SecurityEventToken, SignalError> {
    let mut claims = claims();
    change(&mut claims);
    receive(&Transmitter::new(1).raw(&header(), &claims))
}

fn subjects() -> Vec<Subject> {
    let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    vec![
        Subject::Identity {
            issuer: "https://auth.example.com".into(),
            subject: "agent \"7\"\n".into(),
        },
        Subject::Key(jkt.parse().unwrap()),
        Subject::Token {
            issuer: "https://auth.example.com".into(),
            token_id: "tok_1".into(),
        },
        Subject::TokenHash(TokenHash::of(b"token")),
    ]
}

#[test]
fn sc_219_wrong_type_is_refused() {
    for typ in [
        json!("JWT"),
        json!("at+jwt"),
        json!("secevent+jwt+x"),
        Value::Null,
    ] {
        let mut header = header();
        header["typ"] = typ;
        let text = Transmitter::new(1).raw(&header, &claims());
        let error = receive(&text).unwrap_err();
        assert!(
            matches!(error, SignalError::Type | SignalError::Malformed),
            "{error}"
        );
    }
}

#[test]
fn sc_219_wrong_issuer_or_audience_is_refused() {
    let refused =
        |name: &str, value: Value| receive_claims(|claims| claims[name] = value).unwrap_err();
    assert_eq!(
        refused("iss", json!("https://control.example.com/")),
        SignalError::Issuer
    );
    assert_eq!(refused("aud", json!("gateway-2")), SignalError::Audience);
    assert_eq!(
        refused("aud", json!(["gateway-2", "gateway-12"])),
        SignalError::Audience
    );
    assert_eq!(refused("aud", json!([])), SignalError::Audience);
    assert_eq!(refused("aud", json!({})), SignalError::Malformed);
    assert!(receive_claims(|claims| claims["aud"] = json!(["other", "gateway-1"])).is_ok());
}

#[test]
fn sc_219_exp_or_sub_is_refused() {
    for name in ["exp", "sub"] {
        for value in [json!(1_900_000_000), json!("agent"), Value::Null] {
            let refused = receive_claims(|claims| claims[name] = value);
            assert_eq!(refused.unwrap_err(), SignalError::ForbiddenClaim, "{name}");
        }
    }
}

#[test]
fn sc_219_other_than_one_event_is_refused() {
    let two = json!({(SESSION_REVOKED): {}, (LOCK_RELEASED): {}});
    for events in [two, json!({}), json!([]), json!("x"), Value::Null] {
        let refused = receive_claims(|claims| claims["events"] = events);
        assert_eq!(refused.unwrap_err(), SignalError::EventCount);
    }
}

#[test]
fn sc_219_event_from_the_future_is_refused() {
    let at = |seconds: u64| receive_claims(|claims| claims["iat"] = json!(seconds));
    assert_eq!(
        at(NOW.as_secs() + 11).unwrap_err(),
        SignalError::FromTheFuture
    );
    assert_eq!(at(u64::MAX).unwrap_err(), SignalError::FromTheFuture);
    assert!(at(NOW.as_secs() + 10).is_ok());
    assert!(at(1).is_ok(), "an old event is still an event");
}

#[test]
fn missing_and_mistyped_claims_are_refused() {
    for (name, value) in [
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("jti", json!("x".repeat(3000))),
        ("iat", json!("1800000000")),
        ("iat", json!(1.5)),
        ("iss", json!(1)),
    ] {
        let refused = receive_claims(|claims| claims[name] = value);
        assert_eq!(refused.unwrap_err(), SignalError::Malformed, "{name}");
    }
}

#[test]
fn subject_or_event_not_understood_is_refused() {
    for sub_id in [
        json!({"format": "email", "email": "a@example.com"}),
        json!({"format": "uri", "uri": "spiffe://example.com/a"}),
        json!({"format": "opaque", "id": "sha256:00"}),
        json!({"format": "jwt_id", "iss": "https://auth.example.com"}),
        json!({"iss": "x", "jti": "y"}),
        json!("tok_1"),
    ] {
        let refused = receive_claims(|claims| claims["sub_id"] = sub_id);
        assert_eq!(refused.unwrap_err(), SignalError::SubjectNotUnderstood);
    }
    for uri in [CREDENTIAL_CHANGE, "https://example.com/other"] {
        let refused =
            receive_claims(|claims| claims["events"] = json!({uri: {"change_type": "revoke"}}));
        assert_eq!(refused.unwrap_err(), SignalError::EventNotUnderstood);
    }
    let refused = receive_claims(|claims| {
        claims["sub_id"] = Subject::to_json(&subjects()[1]);
        claims["events"] = json!({(CREDENTIAL_CHANGE): {"change_type": "update"}});
    });
    assert_eq!(refused.unwrap_err(), SignalError::EventNotUnderstood);
}

#[test]
fn forged_changed_and_unacceptable_signatures_are_refused() {
    let stranger = Transmitter::new(2).raw(&header(), &claims());
    assert_eq!(receive(&stranger).unwrap_err(), SignalError::Signature);
    let rules = ReceiverRules {
        algorithms: AlgorithmSet::of(&[Algorithm::Es256]),
        ..RULES
    };
    let text = Transmitter::new(1).raw(&header(), &claims());
    let signal = UnverifiedSignal::parse(text.as_bytes()).unwrap();
    let refused = signal.verify(&rules, &Transmitter::new(1).key(), NOW);
    assert_eq!(refused.unwrap_err(), SignalError::Algorithm);
    for text in ["", "a.b", "a.b.c.d", "e30.e30.AA"] {
        assert!(receive(text).is_err());
    }
    let large = receive_claims(|claims| claims["pad"] = json!("x".repeat(MAX_SET_BYTES)));
    assert_eq!(large.unwrap_err(), SignalError::Malformed);
}

#[test]
fn every_subject_and_event_survives_the_way() {
    for subject in subjects() {
        for event in [SignalEvent::Locked, SignalEvent::Released] {
            let set = SecurityEventToken {
                issuer: ISSUER.into(),
                audience: "gateway-1".into(),
                id: "id-1".into(),
                issued_at: NOW,
                subject: subject.clone(),
                event,
                expires_at: (event == SignalEvent::Locked).then_some(NOW.plus(300)),
                time_ms: 1_799_999_999_123,
            };
            let transmitter = Transmitter::new(1);
            let text = transmitter.sign(set.signing_input(Algorithm::EdDsa, "kb-1"));
            let unverified = UnverifiedSignal::parse(text.as_bytes()).unwrap();
            assert_eq!(unverified.kid(), Some("kb-1"));
            assert_eq!(unverified.verify(&RULES, &transmitter.key(), NOW), Ok(set));
        }
    }
}

#[test]
fn other_transmitters_time_is_read() {
    assert_eq!(receive_claims(|_| ()).unwrap().time_ms, 1_799_999_999_000);
    let bare = receive_claims(|claims| claims["events"] = json!({(SESSION_REVOKED): {}})).unwrap();
    assert_eq!(
        (bare.time_ms, bare.expires_at),
        (NOW.as_secs() * 1000, None)
    );
}
