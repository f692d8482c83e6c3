//! Signing in two phases: build the input here, sign it wherever the key lives.

use std::{borrow::Cow, fmt};

use super::{Algorithm, PublicKey};
use crate::base64url;

/// Header and payload of a JWS that waits for its signature (RFC 7515 section 5.1).
///
/// ```
/// use keybound_proto::jose::SigningInput;
///
/// let input = SigningInput::new(r#"{"alg":"ES256"}"#, "{}");
/// assert_eq!(input.bytes(), b"eyJhbGciOiJFUzI1NiJ9.e30");
/// // The signature comes from a `Signer`, now or after a round trip to hardware.
/// assert_eq!(input.attach(&[0xff; 3]), "eyJhbGciOiJFUzI1NiJ9.e30.____");
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct SigningInput {
    text: String,
}

impl SigningInput {
    /// Encodes the two JSON texts. They are not checked: only our own code writes them.
    #[must_use]
    pub fn new(header_json: &str, payload_json: &str) -> Self {
        let mut text = String::new();
        base64url::encode_onto(header_json.as_bytes(), &mut text);
        text.push('.');
        base64url::encode_onto(payload_json.as_bytes(), &mut text);
        Self { text }
    }

    /// What has to be signed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The compact JWS with a signature over [`SigningInput::bytes`] in JOSE form.
    #[must_use]
    pub fn attach(self, signature: &[u8]) -> String {
        let mut text = self.text;
        text.push('.');
        base64url::encode_onto(signature, &mut text);
        text
    }

    /// Signs with `signer` and gives the compact JWS.
    ///
    /// # Errors
    /// [`SignError`] when the signer cannot sign.
    pub fn sign(self, signer: &dyn Signer) -> Result<String, SignError> {
        let signature = signer.sign(self.bytes())?;
        Ok(self.attach(&signature))
    }
}

impl fmt::Debug for SigningInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningInput")
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// A private key that signs, wherever it lives.
pub trait Signer: Send + Sync + fmt::Debug {
    /// The one algorithm this signer signs with.
    fn algorithm(&self) -> Algorithm;

    /// The public key that verifies its signatures.
    fn public_key(&self) -> &PublicKey;

    /// Signs `message` and gives the signature in the form of JWS: for ECDSA
    /// `r || s` of fixed length (RFC 7518 section 3.4), never DER.
    ///
    /// # Errors
    /// [`SignError`] when the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A signer could not sign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignError {
    reason: Cow<'static, str>,
}

impl SignError {
    /// An error with its reason in words, which must not hold key material.
    #[must_use]
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key could not sign: {}", self.reason)
    }
}

impl std::error::Error for SignError {}
