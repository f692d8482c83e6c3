//! Requests signed by HTTP Message Signatures (RFC 9421), with a digest of the
//! body (RFC 9530): what a good one is, and how it is made.
//!
//! Signatures are over requests, by the key of the token, with the components
//! and parameters a [`SignatureProfile`] names. Fields are covered as they
//! stand; the parameters `sf`, `key`, `bs`, `tr` and `req` of components are
//! not made.

mod base;
mod cases;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::UnixTime;

pub(crate) use self::base::Message;
pub(crate) use self::cases::ask;

/// What the target wants signed, and how.
#[derive(Clone, Debug)]
pub struct SignatureProfile {
    /// The label of the signature in both fields: `sig1`.
    pub label: String,
    /// The covered components, in order: `@method`, `@target-uri`, `authorization`, `content-digest`.
    /// `content-digest` is left out where the request has no body.
    pub components: Vec<String>,
    /// `tag`, if the target tells signatures apart by it.
    pub tag: Option<String>,
    /// `keyid`, if the target wants one.
    pub keyid: Option<String>,
    /// Whether `alg` is sent.
    pub names_algorithm: bool,
    /// Whether a `nonce` is sent.
    pub has_nonce: bool,
    /// Seconds from `created` to `expires`; nothing for no `expires`.
    pub lifetime: Option<u64>,
    /// The scheme the token is sent under. With `DPoP`, a proof is sent as well.
    pub scheme: String,
}

impl Default for SignatureProfile {
    /// Method, target, token and body, for a minute, with a nonce.
    fn default() -> Self {
        let components = ["@method", "@target-uri", "authorization", "content-digest"];
        Self {
            label: "sig1".to_owned(),
            components: components.map(str::to_owned).to_vec(),
            tag: None,
            keyid: None,
            names_algorithm: false,
            has_nonce: true,
            lifetime: Some(60),
            scheme: "Bearer".to_owned(),
        }
    }
}

impl SignatureProfile {
    /// A good signature at this moment.
    pub(crate) fn draft(&self, signer: &Arc<dyn Signer>, now: UnixTime) -> SignatureDraft {
        let algorithm = name_of(signer.algorithm());
        SignatureDraft {
            label: self.label.clone(),
            components: self.components.clone(),
            created: Some(now.as_secs()),
            expires: self.lifetime.map(|seconds| now.plus(seconds).as_secs()),
            nonce: self.has_nonce.then(crate::draft::unique),
            algorithm: self.names_algorithm.then(|| algorithm.to_owned()),
            keyid: self.keyid.clone(),
            tag: self.tag.clone(),
            signer: Arc::clone(signer),
            made: Made::Good,
            method: None,
            path: None,
        }
    }
}

/// How the signature's bytes are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Made {
    /// By the signer.
    #[default]
    Good,
    /// With one bit flipped.
    Flipped,
    /// HMAC-SHA-256 keyed with the JSON text of the public key.
    HmacOfPublicKey,
}

/// A signature to be.
#[derive(Clone, Debug)]
pub(crate) struct SignatureDraft {
    pub(crate) label: String,
    pub(crate) components: Vec<String>,
    pub(crate) created: Option<u64>,
    pub(crate) expires: Option<u64>,
    pub(crate) nonce: Option<String>,
    pub(crate) algorithm: Option<String>,
    pub(crate) keyid: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) made: Made,
    /// Signed instead of the request's own.
    pub(crate) method: Option<http::Method>,
    /// Signed instead of the request's own.
    pub(crate) path: Option<String>,
}

/// All signatures of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signatures {
    pub(crate) drafts: Vec<SignatureDraft>,
    /// The label in `Signature`, where it differs from that in `Signature-Input`.
    pub(crate) label: Option<String>,
    /// The body the digest is made of, where it is not the one that is sent.
    pub(crate) digest_of: Option<bytes::Bytes>,
    /// The fields, once they must not change any more.
    fixed: Option<Vec<(HeaderName, HeaderValue)>>,
}

impl Signatures {
    /// The only signature, or the first, for a case to change.
    pub(crate) fn on_first(&mut self, change: impl FnOnce(&mut SignatureDraft)) {
        if let Some(first) = self.drafts.first_mut() {
            change(first);
        }
    }

    /// Signs now, so that every later [`Signatures::seal`] gives the same fields.
    pub(crate) fn fix(&mut self, message: &Message<'_>) -> Result<(), String> {
        self.fixed = Some(self.seal(message)?);
        Ok(())
    }

    /// The fields to add to a request with these parts.
    ///
    /// # Errors
    /// What cannot be covered or signed, in words.
    pub(crate) fn seal(
        &self,
        message: &Message<'_>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let mut headers = message.headers.to_vec();
        let mut added = Vec::new();
        if !message.body.is_empty() {
            let body = self.digest_of.as_ref().map_or(message.body, AsRef::as_ref);
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
            let text = format!("sha-256=:{}:", STANDARD.encode(digest));
            let field = (HeaderName::from_static("content-digest"), value(&text)?);
            headers.push(field.clone());
            added.push(field);
        }
        let (mut inputs, mut texts) = (Vec::new(), Vec::new());
        for draft in &self.drafts {
            let message = Message {
                method: draft.method.as_ref().unwrap_or(message.method),
                path: draft.path.as_deref().or(message.path),
                headers: &headers,
                ..*message
            };
            let (parameters, base) = draft.base(&message)?;
            let signature = STANDARD.encode(draft.signature(base.as_bytes())?);
            inputs.push(format!("{}={parameters}", draft.label));
            let label = self.label.as_ref().unwrap_or(&draft.label);
            texts.push(format!("{label}=:{signature}:"));
        }
        if !inputs.is_empty() {
            for (name, texts) in [("signature-input", inputs), ("signature", texts)] {
                let mut text = value(&texts.join(", "))?;
                text.set_sensitive(name == "signature");
                added.push((HeaderName::from_static(name), text));
            }
        }
        Ok(added)
    }
}

impl SignatureDraft {
    /// The parameters as in `Signature-Input`, and the signature base (RFC 9421 section 2.5).
    fn base(&self, message: &Message<'_>) -> Result<(String, String), String> {
        let covered: Vec<&str> = self
            .components
            .iter()
            .map(String::as_str)
            .filter(|name| *name != "content-digest" || !message.body.is_empty())
            .collect();
        let parameters = self.parameters(&covered);
        let base = base::base(message, &covered, &parameters)?;
        Ok((parameters, base))
    }

    fn parameters(&self, covered: &[&str]) -> String {
        let quoted: Vec<String> = covered.iter().map(|name| format!("\"{name}\"")).collect();
        let mut text = format!("({})", quoted.join(" "));
        for (name, number) in [("created", self.created), ("expires", self.expires)] {
            if let Some(number) = number {
                text.push_str(&format!(";{name}={number}"));
            }
        }
        for (name, string) in [
            ("nonce", &self.nonce),
            ("alg", &self.algorithm),
            ("keyid", &self.keyid),
            ("tag", &self.tag),
        ] {
            if let Some(string) = string {
                text.push_str(&format!(";{name}=\"{string}\""));
            }
        }
        text
    }

    fn signature(&self, base: &[u8]) -> Result<Vec<u8>, String> {
        if self.made == Made::HmacOfPublicKey {
            let secret = self.signer.public_key().to_jwk();
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
            return Ok(aws_lc_rs::hmac::sign(&key, base).as_ref().to_vec());
        }
        let mut bytes = self.signer.sign(base).map_err(|error| error.to_string())?;
        if self.made == Made::Flipped
            && let Some(byte) = bytes.get_mut(10)
        {
            *byte ^= 1;
        }
        Ok(bytes)
    }
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "a signature field is not printable".to_owned())
}

/// The name in the registry of RFC 9421 section 6.2.2; JOSE's where that registry has none.
const fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::EdDsa => "ed25519",
        Algorithm::Es256 => "ecdsa-p256-sha256",
        Algorithm::Es384 => "ecdsa-p384-sha384",
        Algorithm::Rs256 => "rsa-v1_5-sha256",
        Algorithm::Ps256 => "PS256",
    }
}
