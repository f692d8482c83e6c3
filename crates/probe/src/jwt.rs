//! A JWT to be: good by default, with one defect where a case says so.
//!
//! The same draft makes DPoP proofs (RFC 9449 section 4.2), client assertions
//! (RFC 7523) and, with an issuer's key at hand, access tokens (RFC 9068). It
//! signs whatever it is told to, which nothing outside a probe should do.

use std::sync::Arc;

use aws_lc_rs::hmac;
use keybound_proto::base64url;
use keybound_proto::jose::Signer;
use serde_json::{Map, Value, json};

/// How the signature part is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Signature {
    /// By the signer.
    #[default]
    Good,
    /// By the signer, with one bit of the signature flipped.
    Flipped,
    /// By the signer; afterwards one claim's bytes are changed.
    OverOtherClaims,
    /// Zero bytes of the right length.
    Zeros,
    /// No bytes at all.
    Empty,
    /// HMAC-SHA-256 keyed with the JSON text of the public key.
    HmacOfPublicKey,
}

/// How the three parts become text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// RFC 7515 section 7.1.
    #[default]
    Compact,
    /// With `=` padding.
    Padded,
    /// With unused bits of the last character of the signature set.
    LooseBits,
    /// Four parts.
    FourParts,
    /// Only header and payload.
    TwoParts,
    /// JSON serialisation, flattened (RFC 7515 section 7.2.2).
    Flattened,
    /// A member name of the claims stands twice.
    DuplicateMember,
    /// Longer than 16 KiB.
    Oversize,
}

/// A JWT to be.
#[derive(Clone, Debug)]
pub(crate) struct JwtDraft {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) signature: Signature,
    pub(crate) encoding: Encoding,
    /// The text, once it must not change any more: a signature by ECDSA is another one each time.
    fixed: Option<String>,
}

impl JwtDraft {
    /// Header `typ` and `alg`, no claims yet.
    pub(crate) fn new(typ: &str, signer: &Arc<dyn Signer>) -> Self {
        let mut draft = Self {
            header: Map::new(),
            claims: Map::new(),
            signer: Arc::clone(signer),
            signature: Signature::Good,
            encoding: Encoding::Compact,
            fixed: None,
        };
        draft.member("typ", typ);
        draft.member("alg", signer.algorithm().name());
        draft
    }

    /// Sets a header member.
    pub(crate) fn member(&mut self, name: &str, value: impl Into<Value>) {
        self.header.insert(name.to_owned(), value.into());
    }

    /// Sets a claim.
    pub(crate) fn claim(&mut self, name: &str, value: impl Into<Value>) {
        self.claims.insert(name.to_owned(), value.into());
    }

    /// Removes a claim.
    pub(crate) fn without_claim(&mut self, name: &str) {
        self.claims.remove(name);
    }

    /// Removes a header member.
    pub(crate) fn without_member(&mut self, name: &str) {
        self.header.remove(name);
    }

    /// Adds a member to the `jwk` of the header.
    pub(crate) fn jwk_member(&mut self, name: &str, value: impl Into<Value>) {
        if let Some(Value::Object(jwk)) = self.header.get_mut("jwk") {
            jwk.insert(name.to_owned(), value.into());
        }
    }

    /// Puts another key in charge: it signs, and `jwk` and `alg` say so.
    pub(crate) fn of_key(&mut self, signer: &Arc<dyn Signer>) {
        self.signer = Arc::clone(signer);
        self.member("alg", signer.algorithm().name());
        if self.header.contains_key("jwk") {
            self.member("jwk", public_jwk(signer.as_ref()));
        }
    }

    /// Signs now, so that every later [`JwtDraft::seal`] gives the same text.
    ///
    /// # Errors
    /// When the key cannot sign, in words.
    pub(crate) fn fix(&mut self) -> Result<(), String> {
        self.fixed = Some(self.seal()?);
        Ok(())
    }

    /// The text as it goes out.
    ///
    /// # Errors
    /// When the key cannot sign, in words.
    pub(crate) fn seal(&self) -> Result<String, String> {
        if let Some(text) = &self.fixed {
            return Ok(text.clone());
        }
        let mut header = Value::Object(self.header.clone()).to_string();
        if self.encoding == Encoding::Oversize {
            header.truncate(header.len() - 1);
            header.push_str(&format!(",\"x-filler\":\"{}\"}}", "x".repeat(16 * 1024)));
        }
        let mut claims = Value::Object(self.claims.clone()).to_string();
        if self.encoding == Encoding::DuplicateMember {
            claims.insert_str(1, "\"jti\":\"first-of-two\",");
        }
        let encoded = |text: &str| base64url::encode(text.as_bytes());
        let (head, payload) = (encoded(&header), encoded(&claims));
        let input = format!("{head}.{payload}");
        let signature = self.signature(input.as_bytes())?;
        let payload = if self.signature == Signature::OverOtherClaims {
            let mut changed = self.claims.clone();
            changed.insert("x-added-later".to_owned(), json!(true));
            encoded(&Value::Object(changed).to_string())
        } else {
            payload
        };
        Ok(self.encoded(&head, &payload, &signature))
    }

    fn signature(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let signed = || self.signer.sign(input).map_err(|error| error.to_string());
        Ok(match self.signature {
            Signature::Good | Signature::OverOtherClaims => signed()?,
            Signature::Flipped => {
                let mut bytes = signed()?;
                if let Some(byte) = bytes.get_mut(10) {
                    *byte ^= 1;
                }
                bytes
            }
            Signature::Zeros => vec![0; signed()?.len()],
            Signature::Empty => Vec::new(),
            Signature::HmacOfPublicKey => {
                let secret = self.signer.public_key().to_jwk();
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                hmac::sign(&key, input).as_ref().to_vec()
            }
        })
    }

    fn encoded(&self, head: &str, payload: &str, signature: &[u8]) -> String {
        let tail = base64url::encode(signature);
        match self.encoding {
            Encoding::Compact | Encoding::DuplicateMember | Encoding::Oversize => {
                format!("{head}.{payload}.{tail}")
            }
            Encoding::Padded => format!("{head}.{payload}.{tail}{}", padding(tail.len())),
            Encoding::LooseBits => format!("{head}.{payload}.{}", loosened(&tail)),
            Encoding::FourParts => format!("{head}.{payload}.{tail}.{tail}"),
            Encoding::TwoParts => format!("{head}.{payload}"),
            Encoding::Flattened => {
                json!({"protected": head, "payload": payload, "signature": tail}).to_string()
            }
        }
    }

    /// Header and claims for people: what a reader may see of a JWT that still works.
    pub(crate) fn shown(&self) -> String {
        let header = Value::Object(public_only(&self.header));
        let claims = Value::Object(self.claims.clone());
        format!("{header} {claims}")
    }
}

/// The public key as a JSON object.
pub(crate) fn public_jwk(signer: &dyn Signer) -> Value {
    serde_json::from_str(&signer.public_key().to_jwk()).unwrap_or(Value::Null)
}

/// The header with any private member of its key left out.
fn public_only(header: &Map<String, Value>) -> Map<String, Value> {
    let mut header = header.clone();
    if let Some(Value::Object(jwk)) = header.get_mut("jwk") {
        for name in ["d", "k", "p", "q"] {
            if let Some(value) = jwk.get_mut(name) {
                *value = json!("(private)");
            }
        }
    }
    header
}

fn padding(length: usize) -> &'static str {
    match length % 4 {
        2 => "==",
        3 => "=",
        // No part of this length needs padding, so one sign too many is the defect.
        _ => "====",
    }
}

/// Sets the unused low bits of the last character, so that a lax decoder reads the same bytes.
/// A text without unused bits gets a line end instead, which lax decoders skip.
fn loosened(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = text.as_bytes().to_vec();
    let unused = match text.len() % 4 {
        2 => 4,
        3 => 2,
        _ => 0,
    };
    if unused == 0 {
        return format!("{text}=");
    }
    if let Some(last) = bytes.last_mut()
        && let Some(index) = ALPHABET.iter().position(|byte| byte == last)
        && let Some(other) = ALPHABET.get(index ^ 1)
    {
        *last = *other;
    }
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use keybound_custody::SoftwareKey;
    use keybound_proto::jose::{Algorithm, Jws};

    use super::*;

    fn draft() -> JwtDraft {
        let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
        let signer: Arc<dyn Signer> = Arc::new(key);
        let mut draft = JwtDraft::new("dpop+jwt", &signer);
        draft.member("jwk", public_jwk(signer.as_ref()));
        draft.claim("jti", "one");
        draft
    }

    #[test]
    fn a_draft_without_defect_verifies_and_every_defect_breaks_it() {
        let good = draft();
        let verifies = |draft: &JwtDraft| {
            let text = draft.seal().expect("a text");
            Jws::parse(text.as_bytes(), 8 * 1024).is_ok_and(|jws| {
                let claims = jws.claims().is_ok();
                let valid = jws.verify(Algorithm::Es256, good.signer.public_key());
                claims && valid.is_ok()
            })
        };
        assert!(verifies(&good));
        for signature in [
            Signature::Flipped,
            Signature::OverOtherClaims,
            Signature::Zeros,
            Signature::Empty,
            Signature::HmacOfPublicKey,
        ] {
            let mut bad = good.clone();
            bad.signature = signature;
            assert!(!verifies(&bad), "{signature:?}");
        }
        for encoding in [
            Encoding::Padded,
            Encoding::LooseBits,
            Encoding::FourParts,
            Encoding::TwoParts,
            Encoding::Flattened,
            Encoding::DuplicateMember,
            Encoding::Oversize,
        ] {
            let mut bad = good.clone();
            bad.encoding = encoding;
            assert!(!verifies(&bad), "{encoding:?}");
        }
    }

    #[test]
    fn a_fixed_draft_is_the_same_to_the_byte() {
        let mut draft = draft();
        let loose = draft.seal().expect("a text");
        assert_ne!(loose, draft.seal().expect("a text"), "ECDSA signs anew");
        draft.fix().expect("a text");
        assert_eq!(draft.seal(), draft.seal());
    }

    #[test]
    fn nothing_private_is_shown() {
        let mut draft = draft();
        draft.jwk_member("d", "a-private-value");
        assert!(!draft.shown().contains("a-private-value"));
    }
}
