//! Proofs and assertions as drafts: good by default, bad where a test says so.

use keybound_custody::SoftwareKey;
use keybound_proto::base64url;
use keybound_proto::jose::Signer;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use serde_json::{Value, json};

/// Signs any header over any payload, whatever they say.
#[must_use]
pub fn sign_with(key: &SoftwareKey, header: &Value, payload: &Value) -> String {
    let input = format!(
        "{}.{}",
        base64url::encode(header.to_string().as_bytes()),
        base64url::encode(payload.to_string().as_bytes())
    );
    let signature = key.sign(input.as_bytes()).expect("a software key signs");
    format!("{input}.{}", base64url::encode(&signature))
}

/// A proof to be: change any member of header or claims before it is signed.
#[derive(Clone, Debug)]
pub struct ProofDraft {
    /// The JOSE header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
}

impl ProofDraft {
    /// A good proof for this request.
    #[must_use]
    pub fn new(key: &SoftwareKey, method: &str, htu: &str, now: UnixTime) -> Self {
        let jwk: Value = serde_json::from_str(&key.public_key().to_jwk()).expect("a JWK is JSON");
        Self {
            header: json!({"typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": jwk}),
            claims: json!({"jti": unique(), "htm": method, "htu": htu, "iat": now.as_secs()}),
        }
    }

    /// Names the access token.
    #[must_use]
    pub fn ath(self, token: &str) -> Self {
        self.claim("ath", TokenHash::of(token.as_bytes()).to_ath())
    }

    /// Sets a claim; `null` removes it.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.claims, name, value.into());
        self
    }

    /// Sets a header member; `null` removes it.
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.header, name, value.into());
        self
    }

    /// Signs with `key`, be it the one in the header or not.
    #[must_use]
    pub fn sign(&self, key: &SoftwareKey) -> String {
        sign_with(key, &self.header, &self.claims)
    }
}

/// A client assertion to be.
#[derive(Clone, Debug)]
pub struct AssertionDraft {
    /// The JOSE header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
}

impl AssertionDraft {
    /// A good assertion.
    #[must_use]
    pub fn new(key: &SoftwareKey, client_id: &str, issuer: &str, now: UnixTime) -> Self {
        Self {
            header: json!({"typ": "JWT", "alg": key.algorithm().name()}),
            claims: json!({
                "iss": client_id, "sub": client_id, "aud": issuer, "jti": unique(),
                "iat": now.as_secs(), "exp": now.plus(60).as_secs(),
            }),
        }
    }

    /// Sets a claim; `null` removes it.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.claims, name, value.into());
        self
    }

    /// Sets a header member; `null` removes it.
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.header, name, value.into());
        self
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, key: &SoftwareKey) -> String {
        sign_with(key, &self.header, &self.claims)
    }
}

/// A `jti` no other draft of this process has.
fn unique() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    base64url::encode(&bytes)
}

fn set(object: &mut Value, name: &str, value: Value) {
    let members = object.as_object_mut().expect("an object");
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
}
