//! Making signatures in two phases: what is to be signed is built here, and
//! signed wherever the key lives (RFC 9421 sections 3.1 and 4.1).
//!
//! Keys sign with `ed25519`, `ecdsa-p256-sha256`, `ecdsa-p384-sha384`, or, with
//! RSA, with the JOSE algorithm of the signer (section 3.3.7); shared keys with
//! `hmac-sha256`.

use std::fmt;

use super::algorithm::{SharedKey, SignatureAlgorithm};
use super::base;
use super::component::{Component, ComponentError};
use super::message::SignedMessage;
use crate::jose::{Algorithm, SignError, Signer};
use crate::structured::{BareItem, Parameters};
use crate::time::UnixTime;

/// The parameters of a new signature. What is `None` is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignatureParameters<'a> {
    /// When it is made.
    pub created: Option<UnixTime>,
    /// When it ends.
    pub expires: Option<UnixTime>,
    /// At least 96 random bits as text, without `"` and `\`.
    pub nonce: Option<&'a str>,
    /// The algorithm's registered name.
    pub algorithm: Option<SignatureAlgorithm>,
    /// The key's identifier.
    pub keyid: Option<&'a str>,
    /// What the signature is for.
    pub tag: Option<&'a str>,
    /// Others, after these: `wimse-aud`.
    pub more: &'a [(&'a str, BareItem)],
}

impl SignatureParameters<'_> {
    fn to_parameters(self) -> Parameters {
        let mut parameters = Parameters::default();
        for (name, time) in [("created", self.created), ("expires", self.expires)] {
            if let Some(seconds) = time.and_then(|time| i64::try_from(time.as_secs()).ok()) {
                parameters.set(name, BareItem::Integer(seconds));
            }
        }
        let algorithm = self.algorithm.and_then(SignatureAlgorithm::name);
        for (name, text) in [
            ("nonce", self.nonce),
            ("alg", algorithm),
            ("keyid", self.keyid),
            ("tag", self.tag),
        ] {
            if let Some(text) = text {
                parameters.set(name, BareItem::String(text.to_owned()));
            }
        }
        for (name, value) in self.more {
            parameters.set(name, value.clone());
        }
        parameters
    }
}

/// A component of a message that is to be signed has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotCover {
    /// Which one.
    pub component: Component,
    /// Why.
    pub reason: ComponentError,
}

impl fmt::Display for CannotCover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot sign `{}`: {}", self.component, self.reason)
    }
}

impl std::error::Error for CannotCover {}

/// A signature base that waits for its signature.
///
/// ```
/// use keybound_proto::signature::{Component, SignatureInput, SignatureParameters, SignedRequest};
/// use keybound_proto::time::UnixTime;
/// use keybound_proto::uri::Origin;
///
/// let origin = Origin::parse("https://api.example.com")?;
/// let request = SignedRequest {
///     method: "GET",
///     origin: &origin,
///     request_target: "/approvals?state=open",
///     fields: &(),
///     trailers: None,
/// };
/// let parameters = SignatureParameters {
///     created: Some(UnixTime::from_secs(1_800_000_000)),
///     ..SignatureParameters::default()
/// };
/// let covered = [Component::new("@method")?, Component::new("@path")?];
/// let input = SignatureInput::new(request, &covered, parameters)?;
/// assert_eq!(
///     input.bytes(),
///     b"\"@method\": GET\n\"@path\": /approvals\n\
///       \"@signature-params\": (\"@method\" \"@path\");created=1800000000"
/// );
/// let fields = input.attach("sig1", &[0xff; 3]);
/// assert_eq!(fields.signature, "sig1=:////:");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SignatureInput {
    base: String,
    parameters: String,
}

/// The values of the two fields. A message that has such fields already gets further lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFields {
    /// `Signature-Input`
    pub signature_input: String,
    /// `Signature`
    pub signature: String,
}

impl SignatureInput {
    /// Builds the base of a signature over these components, in this order.
    ///
    /// # Errors
    /// [`CannotCover`], also where a component is named twice.
    pub fn new<'a>(
        message: impl Into<SignedMessage<'a>>,
        covered: &[Component],
        parameters: SignatureParameters<'_>,
    ) -> Result<Self, CannotCover> {
        for (index, component) in covered.iter().enumerate() {
            if covered.iter().take(index).any(|before| before == component) {
                return Err(CannotCover {
                    component: component.clone(),
                    reason: ComponentError::Ambiguous,
                });
            }
        }
        let parameters = input_text(covered, &parameters.to_parameters());
        let base = base::write(&message.into(), covered, &parameters)
            .map_err(|(component, reason)| CannotCover { component, reason })?;
        Ok(Self { base, parameters })
    }

    /// What has to be signed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.base.as_bytes()
    }

    /// The fields with a signature over [`SignatureInput::bytes`], under a label that is a key
    /// of structured fields: `sig1`.
    #[must_use]
    pub fn attach(self, label: &str, signature: &[u8]) -> SignatureFields {
        SignatureFields {
            signature_input: format!("{label}={}", self.parameters),
            signature: format!("{label}={}", BareItem::Bytes(signature.to_vec())),
        }
    }

    /// Signs with `signer` and gives the fields.
    ///
    /// # Errors
    /// [`SignError`] when the signer cannot sign.
    pub fn sign(self, label: &str, signer: &dyn Signer) -> Result<SignatureFields, SignError> {
        let signature = signer.sign(self.bytes())?;
        Ok(self.attach(label, &signature))
    }

    /// Makes the MAC with a shared key.
    #[must_use]
    pub fn sign_shared(self, label: &str, key: &SharedKey) -> SignatureFields {
        let mac = key.sign(self.bytes());
        self.attach(label, &mac)
    }
}

impl fmt::Debug for SignatureInput {
    /// The base holds covered fields, so it may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureInput")
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

/// The registered name of the algorithm a signer signs with, for the `alg` parameter; `None` for
/// one that only JOSE names.
#[must_use]
pub fn algorithm_of(algorithm: Algorithm) -> Option<SignatureAlgorithm> {
    let algorithm = SignatureAlgorithm::from_jose(algorithm);
    algorithm.name().map(|_| algorithm)
}

/// What a peer is asked to sign (RFC 9421 section 5.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct AcceptSignature<'a> {
    /// Components that must be covered.
    pub covered: &'a [Component],
    /// Whether `created` is wanted.
    pub created: bool,
    /// Whether `expires` is wanted.
    pub expires: bool,
    /// The nonce to use.
    pub nonce: Option<&'a str>,
    /// The algorithm to use.
    pub algorithm: Option<SignatureAlgorithm>,
    /// The key to use.
    pub keyid: Option<&'a str>,
    /// The tag to use.
    pub tag: Option<&'a str>,
}

impl AcceptSignature<'_> {
    /// The value of `Accept-Signature`, under a label of the asking side.
    #[must_use]
    pub fn to_field(self, label: &str) -> String {
        let mut parameters = Parameters::default();
        for (name, wanted) in [("created", self.created), ("expires", self.expires)] {
            if wanted {
                parameters.set(name, BareItem::Boolean(true));
            }
        }
        let rest = SignatureParameters {
            nonce: self.nonce,
            algorithm: self.algorithm,
            keyid: self.keyid,
            tag: self.tag,
            ..SignatureParameters::default()
        };
        for (name, value) in rest.to_parameters().iter() {
            parameters.set(name, value.clone());
        }
        format!("{label}={}", input_text(self.covered, &parameters))
    }
}

/// The canonical text of a list of components with its parameters.
fn input_text(covered: &[Component], parameters: &Parameters) -> String {
    let names: Vec<String> = covered.iter().map(ToString::to_string).collect();
    format!("({}){parameters}", names.join(" "))
}
