//! Everything that is signed by somebody the verifier already knows.

use keybound_proto::{
    jose::{Algorithm, AlgorithmSet},
    signal::{ReceiverRules, UnverifiedSignal},
    token::{
        AccessToken, IssuerRules, Leniency, UnverifiedToken,
        assertion::{AssertionRules, ClientKey, UnverifiedAssertion},
        identity::Identity,
    },
};

use super::{NOW, PUBLIC_KEY, text_or_signed};

pub(crate) const ISSUER: &str = "https://auth.example.com";
const CONTROL: &str = "https://control.example.com";

/// An access token of a lenient issuer (RFC 9068).
pub(crate) fn access_token(input: &[u8]) -> bool {
    verified_token(&text_or_signed(input), true).is_some()
}

/// The token, if the issuer signed it; with `lenient`, claims that RFC 9068 requires may be missing.
pub(crate) fn verified_token(text: &[u8], lenient: bool) -> Option<AccessToken> {
    let mut rules = IssuerRules::new(ISSUER, AlgorithmSet::FOREIGN_TOKEN_DEFAULT);
    rules.leniency = Leniency {
        missing_client_id: lenient,
        missing_jti: lenient,
        missing_kid: lenient,
        ..Leniency::default()
    };
    let unverified = UnverifiedToken::parse(text, 8192).ok()?;
    let token = unverified.verify(&rules, &PUBLIC_KEY, NOW).ok()?;
    assert_eq!(token.issuer(), ISSUER);
    assert_eq!(unverified.query().algorithm, Algorithm::EdDsa);
    assert!(token.expires_at() > NOW, "an expired token is valid");
    assert!(lenient || token.token_id().is_some());
    Some(token)
}

/// A client assertion (RFC 7523).
pub(crate) fn client_assertion(input: &[u8]) -> bool {
    let text = text_or_signed(input);
    let Ok(text) = std::str::from_utf8(&text) else {
        return false;
    };
    let Ok(assertion) = UnverifiedAssertion::parse(text) else {
        return false;
    };
    let keys = [ClientKey {
        kid: Some("client-key".to_owned()),
        key: PUBLIC_KEY.clone(),
    }];
    let rules = AssertionRules {
        issuer: ISSUER,
        algorithms: AlgorithmSet::TOKEN_DEFAULT,
        max_lifetime: 300,
        ahead: 10,
    };
    let Ok(verified) = assertion.verify(&keys, &rules, NOW) else {
        return false;
    };
    assert_eq!(verified.client_id(), assertion.client_id());
    assert!(!verified.client_id().is_empty());
    true
}

/// A security event token (RFC 8417).
pub(crate) fn signal(input: &[u8]) -> bool {
    let text = text_or_signed(input);
    let Ok(unverified) = UnverifiedSignal::parse(&text) else {
        return false;
    };
    let rules = ReceiverRules {
        issuer: CONTROL,
        audience: "gateway-1",
        algorithms: AlgorithmSet::TOKEN_DEFAULT,
        skew: 10,
    };
    let Ok(event) = unverified.verify(&rules, &PUBLIC_KEY, NOW) else {
        return false;
    };
    // What was understood can be sent on and is understood the same way.
    let input = event.signing_input(Algorithm::EdDsa, "kb-1");
    let signature = super::KEY.sign(input.bytes());
    let again = input.attach(signature.as_ref());
    let again = UnverifiedSignal::parse(again.as_bytes()).expect("our own form is readable");
    assert_eq!(again.verify(&rules, &PUBLIC_KEY, NOW), Ok(event));
    true
}

/// What a gateway tells an upstream.
pub(crate) fn keybound_assertion(input: &[u8]) -> bool {
    let text = text_or_signed(input);
    let Ok(text) = std::str::from_utf8(&text) else {
        return false;
    };
    let gateway = "https://api.example.com";
    Identity::verify(text, gateway, "http://127.0.0.1:8080", &PUBLIC_KEY, NOW).is_ok()
}
