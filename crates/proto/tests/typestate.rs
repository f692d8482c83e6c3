//! Answers about another request are worth nothing, and minted text stays inside.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use keybound_proto::binding::BindingMethods;
use keybound_proto::dpop::{NonceKey, NoncePolicy, NonceRole, ProofRequest, signing_input};
use keybound_proto::jose::{Algorithm, AlgorithmSet, PublicKey};
use keybound_proto::time::UnixTime;
use keybound_proto::token::identity::{self, Identity, IdentityError, IdentityRequest};
use keybound_proto::token::{
    AccessToken, AccessTokenClaims, Binding, Delegation, IssuanceRecorded, IssuerRules, TokenHash,
    UnsignedToken, UnverifiedToken, danger,
};
use keybound_proto::uri::Htu;
use keybound_proto::verify::{
    HeaderField, Message, NotRevoked, Presented, Profile, ProofPresented, Received, Recorded,
    ReplayHashKey, Requirements, RevocationQuery, Unjudged, Verified, begin_proof,
};
use keybound_proto::{Cause, Rejection};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const ISSUER: &str = "https://auth.example.com";

struct Key(Ed25519KeyPair);

impl Key {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn public(&self) -> PublicKey {
        PublicKey::from_ed25519(self.0.public_key().as_ref()).unwrap()
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.sign(bytes).as_ref().to_vec()
    }

    fn proof(&self, htu: &str, jti: &str, token: Option<&str>) -> String {
        let ath = token.map(|token| TokenHash::of(token.as_bytes()));
        let request = ProofRequest {
            method: "POST",
            htu,
            iat: NOW,
            jti,
            ath: ath.as_ref(),
            nonce: None,
            content_digest: None,
        };
        let input = signing_input(&request, &self.public(), Algorithm::EdDsa);
        let signature = self.sign(input.bytes());
        input.attach(&signature)
    }
}

fn nonces() -> NonceKey {
    NonceKey::new(&[0; 32], NonceRole::ResourceServer, 0, 300)
}

/// A token bound to `key`, minted the way an issuer must.
fn token_for(key: &Key, token_id: &str) -> String {
    let target = Htu::parse("https://auth.example.com/token").unwrap();
    let text = key.proof("https://auth.example.com/token", "j", None);
    let presented = ProofPresented {
        method: "POST",
        target: &target,
        proof: HeaderField::One(text.as_bytes()),
    };
    let nonces = nonces();
    let policy = NoncePolicy {
        key: &nonces,
        required: false,
    };
    let proof = begin_proof(&Profile::default(), &presented, &policy, NOW).unwrap();
    let claims = AccessTokenClaims {
        issuer: ISSUER,
        subject: "agent",
        client_id: "agent",
        audience: &["https://api.example.com/".to_owned()],
        scope: "",
        token_id,
        issued_at: NOW,
        expires_at: NOW.plus(300),
        delegation: &Delegation::default(),
    };
    let binding = Binding::Constrained(proof.constraint().clone());
    assert_eq!((binding.token_type(), binding.method()), ("DPoP", "dpop"));
    let unsigned = UnsignedToken::new(&claims, &binding, "kb-1", Algorithm::EdDsa);
    let signature = Key::new(3).sign(unsigned.bytes());
    let minted = unsigned.attach(&signature);
    let hash = minted.hash();
    minted.release(&IssuanceRecorded::assertion(hash)).unwrap()
}

fn verified_token(text: &str) -> Arc<AccessToken> {
    let rules = IssuerRules::new(ISSUER, AlgorithmSet::TOKEN_DEFAULT);
    let unverified = UnverifiedToken::parse(text.as_bytes(), 8192).unwrap();
    Arc::new(
        unverified
            .verify(&rules, &Key::new(3).public(), NOW)
            .unwrap(),
    )
}

/// Everything up to possession, for one request.
fn unjudged(key: &Key, jti: &str, token: &str) -> Result<Unjudged<'static>, Rejection> {
    with_other_token(key, jti, token, verified_token(token))
}

fn with_other_token(
    key: &Key,
    jti: &str,
    token: &str,
    verified: Arc<AccessToken>,
) -> Result<Unjudged<'static>, Rejection> {
    let requirements = Requirements {
        audience: "https://api.example.com/",
        issuers: None,
        scopes: &[],
        nonce_clients: &[],
        methods: BindingMethods::ALL,
        cover_content: false,
    };
    on_route(key, jti, token, verified, &requirements)
}

fn on_route<'r>(
    key: &Key,
    jti: &str,
    token: &str,
    verified: Arc<AccessToken>,
    requirements: &Requirements<'r>,
) -> Result<Unjudged<'r>, Rejection> {
    let target = Htu::parse("https://api.example.com/x").unwrap();
    let authorization = format!("DPoP {token}");
    let proof = key.proof("https://api.example.com/x", jti, Some(token));
    let presented = Presented {
        method: "POST",
        target: &target,
        authorization: HeaderField::One(authorization.as_bytes()),
        proof: HeaderField::One(proof.as_bytes()),
        message: Message::default(),
    };
    let nonces = nonces();
    let policy = NoncePolicy {
        key: &nonces,
        required: false,
    };
    let profile = Profile::default();
    Received::read(&profile, presented)?
        .begin(&profile, None, &policy, NOW)?
        .with_token(verified, requirements, NOW)
}

fn verified(key: &Key, token: &str) -> Verified {
    let replay = ReplayHashKey::new(&[1; 32]);
    let unjudged = unjudged(key, "v", token).unwrap();
    let not_revoked = NotRevoked::assertion(&unjudged.revocation_query());
    let unredeemed = unjudged.judge(&not_revoked, &replay).unwrap();
    let recorded = unredeemed.replay_query().map(Recorded::assertion);
    unredeemed.redeem(recorded, None).unwrap()
}

#[test]
fn another_tokens_verification_is_refused() {
    let key = Key::new(1);
    let (token, other) = (token_for(&key, "tok_1"), token_for(&key, "tok_2"));
    let refused = with_other_token(&key, "j", &token, verified_token(&other)).unwrap_err();
    assert_eq!(refused.cause(), Cause::TokenSignatureInvalid);
}

#[test]
fn a_route_takes_tokens_of_its_issuers_only() {
    let key = Key::new(1);
    let token = token_for(&key, "tok_1");
    let route = |issuers: &[String]| {
        let requirements = Requirements {
            audience: "https://api.example.com/",
            issuers: Some(issuers),
            scopes: &[],
            nonce_clients: &[],
            methods: BindingMethods::ALL,
            cover_content: false,
        };
        on_route(&key, "j", &token, verified_token(&token), &requirements).map(drop)
    };
    for others in [&[][..], &["https://other.example".to_owned()]] {
        assert_eq!(
            route(others).unwrap_err().cause(),
            Cause::TokenIssuerUnknown
        );
    }
    let ours = ["https://other.example".to_owned(), ISSUER.to_owned()];
    assert!(route(&ours).is_ok());
}

#[test]
fn a_client_that_must_use_nonces_is_held_to_it() {
    let key = Key::new(1);
    let token = token_for(&key, "tok_1");
    let route = |clients: &[String]| {
        let requirements = Requirements {
            audience: "https://api.example.com/",
            issuers: None,
            scopes: &[],
            nonce_clients: clients,
            methods: BindingMethods::ALL,
            cover_content: false,
        };
        on_route(&key, "j", &token, verified_token(&token), &requirements).map(drop)
    };
    let refused = route(&["agent".to_owned()]).unwrap_err();
    assert_eq!(refused.cause(), Cause::DpopNonceAbsent);
    assert!(route(&["another".to_owned()]).is_ok());
}

#[test]
fn a_known_token_is_believed_for_its_own_text_only() {
    let key = Key::new(1);
    let other = verified_token(&token_for(&key, "tok_2"));
    let target = Htu::parse("https://api.example.com/x").unwrap();
    let proof = key.proof("https://api.example.com/x", "j", Some("not-a-token"));
    let presented = Presented {
        method: "POST",
        target: &target,
        authorization: HeaderField::One(b"DPoP not-a-token"),
        proof: HeaderField::One(proof.as_bytes()),
        message: Message::default(),
    };
    let (nonces, profile) = (nonces(), Profile::default());
    let policy = NoncePolicy {
        key: &nonces,
        required: false,
    };
    let refused = Received::read(&profile, presented)
        .unwrap()
        .begin(&profile, Some(&other), &policy, NOW)
        .unwrap_err();
    assert_eq!(refused.cause(), Cause::TokenMalformed);
    assert!(refused.token().is_none(), "the other token is not blamed");
}

#[test]
fn another_tokens_revocation_answer_is_refused() {
    let key = Key::new(1);
    let (token, other) = (token_for(&key, "tok_1"), token_for(&key, "tok_2"));
    let query = RevocationQuery {
        token: verified_token(&other),
        jkt: Some(key.public().thumbprint()),
        certificate: None,
    };
    let replay = ReplayHashKey::new(&[1; 32]);
    let refused = unjudged(&key, "j", &token)
        .unwrap()
        .judge(&NotRevoked::assertion(&query), &replay)
        .unwrap_err();
    assert_eq!(refused.cause(), Cause::TokenRevoked);
    let query = RevocationQuery {
        token: verified_token(&token),
        jkt: Some(Key::new(2).public().thumbprint()),
        certificate: None,
    };
    let refused = unjudged(&key, "j", &token)
        .unwrap()
        .judge(&NotRevoked::assertion(&query), &replay)
        .unwrap_err();
    assert_eq!(refused.cause(), Cause::TokenRevoked);
}

#[test]
fn another_proofs_record_is_refused() {
    let key = Key::new(1);
    let (replay, foreign) = (ReplayHashKey::new(&[1; 32]), ReplayHashKey::new(&[2; 32]));
    let token = token_for(&key, "tok_1");
    let ready = |jti, replay| {
        let unjudged = unjudged(&key, jti, &token).unwrap();
        let answer = NotRevoked::assertion(&unjudged.revocation_query());
        unjudged.judge(&answer, replay).unwrap()
    };
    let another_jti = ready("other", &replay).replay_query();
    let another_secret = ready("mine", &foreign).replay_query();
    for other in [another_jti, another_secret, None] {
        let refused = ready("mine", &replay)
            .redeem(other.map(Recorded::assertion), None)
            .unwrap_err();
        assert_eq!(refused.cause(), Cause::DpopReplayed);
        assert!(
            refused.token().is_some(),
            "the refusal names the genuine token"
        );
    }
}

#[test]
fn minted_text_is_released_only_for_its_own_record() {
    let claims = AccessTokenClaims {
        issuer: ISSUER,
        subject: "batch",
        client_id: "batch",
        audience: &["https://a/".to_owned(), "https://b/".to_owned()],
        scope: "x",
        token_id: "tok_1",
        issued_at: NOW,
        expires_at: NOW.plus(300),
        delegation: &Delegation::default(),
    };
    let binding = Binding::Unconstrained(danger::Unconstrained::operator_exemption("batch"));
    assert_eq!(
        (binding.token_type(), binding.method(), binding.jkt()),
        ("Bearer", "none", None)
    );
    let mint = || {
        let unsigned = UnsignedToken::new(&claims, &binding, "kb-1", Algorithm::EdDsa);
        let signature = Key::new(3).sign(unsigned.bytes());
        unsigned.attach(&signature)
    };
    let wrong = IssuanceRecorded::assertion(TokenHash::of(b"another"));
    assert!(mint().release(&wrong).is_none());
    let minted = mint();
    assert!(
        !format!("{minted:?}").contains("eyJ"),
        "no token text in Debug"
    );
    let right = IssuanceRecorded::assertion(minted.hash());
    let text = minted.release(&right).unwrap();
    let token = verified_token(&text);
    assert_eq!(token.audience(), ["https://a/", "https://b/"]);
    assert!(
        text.starts_with("eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6ImtiL"),
        "{text}"
    );
}

#[test]
fn an_identity_assertion_works_for_its_upstream_and_time_only() {
    let key = Key::new(1);
    let caller = verified(&key, &token_for(&key, "tok_1"));
    let request = IdentityRequest {
        gateway: "https://api.example.com",
        upstream: "http://127.0.0.1:8080",
        kid: "kb-gw",
        now: NOW.plus(280),
        request: None,
    };
    let (input, expires_at) = identity::signing_input(&request, &caller, Algorithm::EdDsa);
    assert_eq!(expires_at, NOW.plus(300), "never beyond the token's end");
    let gateway_key = Key::new(7);
    let signature = gateway_key.sign(input.bytes());
    let text = input.attach(&signature);
    let verify = |gateway, upstream, key: &Key, now| {
        Identity::verify(&text, gateway, upstream, &key.public(), now)
    };
    let (gateway, upstream) = (request.gateway, request.upstream);
    assert_eq!(
        verify(gateway, "http://other", &gateway_key, NOW),
        Err(IdentityError::Addressee)
    );
    assert_eq!(
        verify("https://other", upstream, &gateway_key, NOW),
        Err(IdentityError::Addressee)
    );
    assert_eq!(
        verify(gateway, upstream, &key, NOW),
        Err(IdentityError::Signature)
    );
    assert_eq!(
        verify(gateway, upstream, &gateway_key, NOW.plus(300)),
        Err(IdentityError::Time)
    );
    let identity = verify(gateway, upstream, &gateway_key, NOW.plus(299)).unwrap();
    assert_eq!(
        (identity.subject.as_str(), identity.token_id.as_deref()),
        ("agent", Some("tok_1"))
    );
    assert_eq!(identity.jkt, Some(key.public().thumbprint()));
    assert_eq!(
        (identity.binding.as_str(), identity.certificate),
        ("dpop", None)
    );
}

#[test]
fn sc_311_nothing_shows_a_token_or_a_proof_in_debug() {
    let key = Key::new(1);
    let token = token_for(&key, "tok_1");
    let authorization = format!("DPoP {token}");
    let proof = key.proof("https://api.example.com/x", "j", Some(&token));
    let target = Htu::parse("https://api.example.com/x").unwrap();
    let presented = Presented {
        method: "POST",
        target: &target,
        authorization: HeaderField::One(authorization.as_bytes()),
        proof: HeaderField::One(proof.as_bytes()),
        message: Message::default(),
    };
    let nonces = nonces();
    let policy = NoncePolicy {
        key: &nonces,
        required: false,
    };
    let profile = Profile::default();
    let received = Received::read(&profile, presented).unwrap();
    let mut shown = format!("{presented:?}{received:?}{policy:?}");
    let unkeyed = received.begin(&profile, None, &policy, NOW).unwrap();
    shown.push_str(&format!("{unkeyed:?}"));
    shown.push_str(&format!("{:?}", unjudged(&key, "j", &token).unwrap()));
    shown.push_str(&format!("{:?}", verified(&key, &token)));
    for secret in [&token, &proof] {
        for part in secret.split('.') {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}
