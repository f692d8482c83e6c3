//! The certificate of a connection's peer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::read::{self, Facts};
use super::{
    CertificateThumbprint, DistinguishedName, MAX_CERTIFICATE_BYTES, MAX_INTERMEDIATES,
    SpkiThumbprint,
};
use crate::cause::Cause;
use crate::jose::{Jkt, PublicKey};
use crate::time::UnixTime;

/// The end-entity certificate of a TLS handshake and the chain that came with it. Parsed once;
/// cloning shares it.
///
/// ```
/// use keybound_proto::certificate::PeerCertificate;
///
/// assert!(PeerCertificate::from_der(b"no certificate", Vec::new()).is_err());
/// ```
#[derive(Clone)]
pub struct PeerCertificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    intermediates: Vec<Vec<u8>>,
    thumbprint: CertificateThumbprint,
    facts: Facts,
}

/// What the certificate's key may be used for (RFC 5280 sections 4.2.1.3, 4.2.1.9, 4.2.1.12).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CertificateUsage {
    /// `basicConstraints` says `cA`.
    pub is_ca: bool,
    /// Whether `keyUsage` is critical; `None` without `keyUsage`.
    pub key_usage_is_critical: Option<bool>,
    /// `keyUsage` has `digitalSignature`.
    pub digital_signature: bool,
    /// `keyUsage` has `keyCertSign`.
    pub signs_certificates: bool,
    /// `keyUsage` has `cRLSign`.
    pub signs_revocation_lists: bool,
    /// Whether `extKeyUsage` names `clientAuth`; `None` without `extKeyUsage`.
    pub client_purpose: Option<bool>,
    /// Whether `extKeyUsage` names `serverAuth`; `None` without `extKeyUsage`.
    pub server_purpose: Option<bool>,
}

/// The witness that a certificate was within its validity at the moment of the check.
#[derive(Clone, Copy, Debug)]
pub struct CertificateInForce(());

/// Why bytes are not a certificate that can be used here. It holds nothing of the input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CertificateError {
    /// More intermediate certificates than [`MAX_INTERMEDIATES`].
    ChainTooLong,
    /// Not exactly one certificate in strict DER, or one with ambiguous or malformed contents.
    Malformed,
    /// A certificate beyond [`MAX_CERTIFICATE_BYTES`].
    TooLarge,
    /// More alternative names than [`super::MAX_NAMES`].
    TooManyNames,
}

impl PeerCertificate {
    /// Reads the end-entity certificate. The others are kept as they came, for path validation.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn from_der(leaf: &[u8], intermediates: Vec<Vec<u8>>) -> Result<Self, CertificateError> {
        if intermediates.len() > MAX_INTERMEDIATES {
            return Err(CertificateError::ChainTooLong);
        }
        let mut sizes = intermediates.iter().map(Vec::len).chain([leaf.len()]);
        if sizes.any(|size| size > MAX_CERTIFICATE_BYTES) {
            return Err(CertificateError::TooLarge);
        }
        Ok(Self(Arc::new(Inner {
            facts: read::facts(leaf)?,
            thumbprint: CertificateThumbprint::of(leaf),
            der: leaf.to_vec(),
            intermediates,
        })))
    }

    /// `x5t#S256` of the end-entity certificate.
    #[must_use]
    pub fn thumbprint(&self) -> CertificateThumbprint {
        self.0.thumbprint
    }

    /// SHA-256 of the end-entity certificate's `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki_thumbprint(&self) -> SpkiThumbprint {
        self.0.facts.spki
    }

    /// The end-entity certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The certificates that came with it, in the order of the handshake.
    #[must_use]
    pub fn intermediates(&self) -> &[Vec<u8>] {
        &self.0.intermediates
    }

    /// The certificate's key; `None` for a kind or size JOSE does not know here (P-521, Ed448,
    /// RSA beyond 4096 bits).
    #[must_use]
    pub fn public_key(&self) -> Option<&PublicKey> {
        self.0.facts.key.as_ref()
    }

    /// The JWK thumbprint of [`Self::public_key`].
    #[must_use]
    pub fn jkt(&self) -> Option<Jkt> {
        self.public_key().map(PublicKey::thumbprint)
    }

    /// The first second of its validity.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        self.0.facts.not_before
    }

    /// The last second of its validity.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.0.facts.not_after
    }

    /// Validity at `now`, both ends included (RFC 5280 section 4.1.2.5). Checked for each
    /// request: a connection may outlive its certificate.
    ///
    /// # Errors
    /// [`Cause::CertificateExpired`], [`Cause::CertificateNotYetValid`]
    pub fn check_time(&self, now: UnixTime) -> Result<CertificateInForce, Cause> {
        if now < self.not_before() {
            return Err(Cause::CertificateNotYetValid);
        }
        if now > self.not_after() {
            return Err(Cause::CertificateExpired);
        }
        Ok(CertificateInForce(()))
    }

    /// The subject; its `Display` is RFC 4514 text.
    #[must_use]
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.facts.subject
    }

    /// The subject as the certificate has it.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.0.facts.subject_der
    }

    /// What the key may be used for.
    #[must_use]
    pub fn usage(&self) -> CertificateUsage {
        self.0.facts.usage
    }

    /// Alternative names of type `dNSName`, as written.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.0.facts.names.dns
    }

    /// Alternative names of type `uniformResourceIdentifier`, as written.
    #[must_use]
    pub fn uris(&self) -> &[String] {
        &self.0.facts.names.uris
    }

    /// Alternative names of type `iPAddress`.
    #[must_use]
    pub fn ip_addresses(&self) -> &[IpAddr] {
        &self.0.facts.names.ips
    }

    /// Alternative names of type `rfc822Name`, as written.
    #[must_use]
    pub fn emails(&self) -> &[String] {
        &self.0.facts.names.emails
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate")
            .field("thumbprint", &self.thumbprint())
            .field("subject", self.subject())
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}

impl PartialEq for PeerCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for PeerCertificate {}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChainTooLong => "more certificates than are accepted",
            Self::Malformed => "not exactly one well-formed certificate in DER",
            Self::TooLarge => "the certificate is larger than is accepted",
            Self::TooManyNames => "the certificate has more alternative names than are accepted",
        })
    }
}

impl std::error::Error for CertificateError {}

impl From<CertificateError> for Cause {
    fn from(_: CertificateError) -> Self {
        Self::CertificateInvalid
    }
}
