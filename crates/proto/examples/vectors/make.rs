//! Keys, a server to meet, and the building blocks of requests.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use keybound_proto::base64url;
use keybound_proto::dpop::{NonceKey, NonceRole};
use keybound_proto::jose::PublicKey;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use serde_json::{Value, json};

/// The moment of every vector unless it says otherwise.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://auth.example.com";
pub(crate) const RESOURCE: &str = "https://api.example.com/";
pub(crate) const URL: &str = "https://api.example.com/approvals";
pub(crate) const NONCE_SECRET: [u8; 32] = [9; 32];

/// Whose key: each over a seed of one repeated byte.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    Agent = 1,
    Thief = 2,
    Issuer = 3,
    Stranger = 4,
}

pub(crate) fn pair(who: Who) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[who as u8; 32]).expect("32 bytes make a seed")
}

pub(crate) fn public(who: Who) -> PublicKey {
    PublicKey::from_ed25519(pair(who).public_key().as_ref()).expect("a real key")
}

pub(crate) fn jwk(who: Who) -> Value {
    serde_json::from_str(&public(who).to_jwk()).expect("JSON")
}

pub(crate) fn jkt(who: Who) -> String {
    public(who).thumbprint().to_string()
}

/// The private keys of the vectors, for implementations that want to sign their own.
pub(crate) fn keys() -> Value {
    let entry = |name: &str, who: Who| {
        let mut jwk = jwk(who);
        jwk["d"] = base64url::encode(&[who as u8; 32]).into();
        json!({"name": name, "jwk": jwk, "jkt": jkt(who)})
    };
    json!({
        "about": "Test keys. Private on purpose; never use them outside tests.",
        "keys": [entry("agent", Who::Agent), entry("thief", Who::Thief),
                 entry("issuer", Who::Issuer), entry("stranger", Who::Stranger)],
    })
}

/// What the verifier of the vectors is configured with.
pub(crate) fn server() -> Value {
    let mut key = jwk(Who::Issuer);
    key["kid"] = "kb-1".into();
    json!({
        "issuer": ISSUER,
        "jwks": {"keys": [key]},
        "token_algorithms": ["ES256", "EdDSA"],
        "proof_algorithms": ["ES256", "EdDSA"],
        "window": {"past": 60, "ahead": 10},
        "resource": RESOURCE,
        "scopes": ["approvals:read"],
        "nonce": {"secret": base64url::encode(&NONCE_SECRET), "epoch": 0, "lifetime": 300},
        "max_proof_bytes": 8192,
        "max_token_bytes": 8192,
    })
}

/// Signs with Ed25519 whatever the header says.
pub(crate) fn jws_of(header: &str, payload: &str, who: Who) -> String {
    let input = format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(payload.as_bytes())
    );
    let signature = pair(who).sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(signature.as_ref()))
}

pub(crate) fn jws(header: &Value, payload: &Value, who: Who) -> String {
    jws_of(&header.to_string(), &payload.to_string(), who)
}

pub(crate) fn token_header() -> Value {
    json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "kb-1"})
}

pub(crate) fn token_claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "payments-batch", "client_id": "payments-batch", "aud": RESOURCE,
        "scope": "approvals:read", "jti": "tok_0000000000000000000001",
        "iat": NOW - 10, "exp": NOW + 290, "cnf": {"jkt": jkt(Who::Agent)},
    })
}

pub(crate) fn token() -> String {
    jws(&token_header(), &token_claims(), Who::Issuer)
}

pub(crate) fn proof_header(who: Who) -> Value {
    json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk(who)})
}

pub(crate) fn proof_claims(token: &str) -> Value {
    json!({
        "jti": "b1946ac92492d2347c6235b4d2611184", "htm": "GET", "htu": URL, "iat": NOW,
        "ath": TokenHash::of(token.as_bytes()).to_ath(),
    })
}

pub(crate) fn nonce(role: NonceRole, secret: &[u8; 32], made: u64) -> String {
    NonceKey::new(secret, role, 0, 300).issue(UnixTime::from_secs(made))
}

/// Merges `change` into `base`; `null` removes a member.
pub(crate) fn with(mut base: Value, change: &Value) -> Value {
    if let (Some(base), Some(change)) = (base.as_object_mut(), change.as_object()) {
        for (name, value) in change {
            if value.is_null() {
                base.remove(name);
            } else {
                base.insert(name.clone(), value.clone());
            }
        }
    }
    base
}

/// A request with the good token and this proof.
pub(crate) fn proof_vector(
    id: &str,
    flag: &str,
    comment: &str,
    expect: &str,
    proof: &str,
) -> Value {
    request(
        id,
        flag,
        comment,
        expect,
        &[
            ("Authorization", &format!("DPoP {}", token())),
            ("DPoP", proof),
        ],
    )
}

/// A request with this token and a good proof for it.
pub(crate) fn token_vector(
    id: &str,
    flag: &str,
    comment: &str,
    expect: &str,
    token: &str,
) -> Value {
    let proof = jws(&proof_header(Who::Agent), &proof_claims(token), Who::Agent);
    request(
        id,
        flag,
        comment,
        expect,
        &[
            ("Authorization", &format!("DPoP {token}")),
            ("DPoP", &proof),
        ],
    )
}

pub(crate) fn request(
    id: &str,
    flag: &str,
    comment: &str,
    expect: &str,
    headers: &[(&str, &str)],
) -> Value {
    json!({
        "id": id, "flags": [flag], "comment": comment, "expect": expect, "now": NOW,
        "request": {"method": "GET", "url": URL, "headers": headers},
    })
}
