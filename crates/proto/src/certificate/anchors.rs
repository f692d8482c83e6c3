//! Path validation for client authentication (RFC 5280 section 6, RFC 8705 section 2.1).
//!
//! rustls-webpki builds and checks the path, with signatures by the one cryptographic backend:
//! bounded effort, CA flag, path length, name constraints, purpose `clientAuth`. Added here: an
//! anchor is in force itself, `keyUsage` allows signatures where it is present, and where
//! revocation lists are given, a certificate whose status they do not tell is refused.
//!
//! The system's trust store is never looked at: a client is known by the few anchors an
//! operator named for it. Nothing is fetched; revocation lists come in as bytes.

use std::fmt;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime as WebpkiTime,
};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationOptions, RevocationOptionsBuilder,
};

use super::PeerCertificate;
use crate::cause::Cause;
use crate::time::UnixTime;

/// The authorities whose certificates are believed for one purpose.
pub struct TrustAnchors {
    anchors: Vec<Anchor>,
    revocation_lists: Vec<CertRevocationList<'static>>,
}

struct Anchor {
    trust: TrustAnchor<'static>,
    certificate: PeerCertificate,
}

/// A certificate with a valid path to one of the [`TrustAnchors`] at the moment of the check.
#[derive(Clone, Debug)]
pub struct TrustedCertificate(PeerCertificate);

/// Why authorities or revocation lists cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TrustAnchorError {
    /// No certificate at all.
    Empty,
    /// A certificate that is not in force now.
    Expired,
    /// Not a certificate, or not PEM.
    Malformed,
    /// A certificate that may not sign others.
    NotAnAuthority,
    /// Not a revocation list.
    RevocationList,
}

impl TrustAnchors {
    /// Reads authorities in DER. Each must be a CA certificate.
    ///
    /// # Errors
    /// [`TrustAnchorError`]
    pub fn from_der<'a>(
        certificates: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, TrustAnchorError> {
        let anchors = certificates
            .into_iter()
            .map(Anchor::read)
            .collect::<Result<Vec<_>, _>>()?;
        if anchors.is_empty() {
            return Err(TrustAnchorError::Empty);
        }
        Ok(Self {
            anchors,
            revocation_lists: Vec::new(),
        })
    }

    /// Reads the `CERTIFICATE` blocks of PEM text.
    ///
    /// # Errors
    /// [`TrustAnchorError`]
    ///
    /// ```
    /// use keybound_proto::certificate::{TrustAnchorError, TrustAnchors};
    ///
    /// assert_eq!(TrustAnchors::from_pem(b"").err(), Some(TrustAnchorError::Empty));
    /// ```
    pub fn from_pem(text: &[u8]) -> Result<Self, TrustAnchorError> {
        let certificates = CertificateDer::pem_slice_iter(text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| TrustAnchorError::Malformed)?;
        Self::from_der(certificates.iter().map(AsRef::as_ref))
    }

    /// Adds revocation lists in DER. From now on every certificate of a path, the anchor's own
    /// excepted, needs one that is in force and covers it.
    ///
    /// # Errors
    /// [`TrustAnchorError::RevocationList`]
    pub fn with_revocation_lists<'a>(
        mut self,
        lists: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, TrustAnchorError> {
        for list in lists {
            let list = OwnedCertRevocationList::from_der(list)
                .map_err(|_| TrustAnchorError::RevocationList)?;
            self.revocation_lists.push(list.into());
        }
        Ok(self)
    }

    /// The same, with the `X509 CRL` blocks of PEM text, of which there is at least one.
    ///
    /// # Errors
    /// [`TrustAnchorError::RevocationList`]
    pub fn with_revocation_lists_pem(self, text: &[u8]) -> Result<Self, TrustAnchorError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(text)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|lists| !lists.is_empty())
            .ok_or(TrustAnchorError::RevocationList)?;
        self.with_revocation_lists(lists.iter().map(AsRef::as_ref))
    }

    /// Whether every authority is in force, for whoever starts with them.
    ///
    /// # Errors
    /// [`TrustAnchorError::Expired`]
    pub fn check_time(&self, now: UnixTime) -> Result<(), TrustAnchorError> {
        let mut anchors = self.anchors.iter();
        match anchors.all(|anchor| anchor.certificate.check_time(now).is_ok()) {
            true => Ok(()),
            false => Err(TrustAnchorError::Expired),
        }
    }

    /// Validates a client's certificate with the chain that came with it.
    ///
    /// # Errors
    /// [`Cause::CertificateExpired`] and [`Cause::CertificateNotYetValid`] for any certificate
    /// of the path, [`Cause::CertificatePurpose`], [`Cause::CertificateRevoked`],
    /// [`Cause::CertificateStatusUnknown`], [`Cause::CertificateUntrusted`].
    pub fn verify_client(
        &self,
        peer: &PeerCertificate,
        now: UnixTime,
    ) -> Result<TrustedCertificate, Cause> {
        let usage = peer.usage();
        if usage.key_usage_is_critical.is_some() && !usage.digital_signature {
            return Err(Cause::CertificatePurpose);
        }
        let in_force = |anchor: &&Anchor| anchor.certificate.check_time(now).is_ok();
        let anchors: Vec<_> = self
            .anchors
            .iter()
            .filter(in_force)
            .map(|anchor| anchor.trust.clone())
            .collect();
        let intermediates: Vec<_> = peer
            .intermediates()
            .iter()
            .map(|der| CertificateDer::from(der.as_slice()))
            .collect();
        let leaf = CertificateDer::from(peer.der());
        let leaf = EndEntityCert::try_from(&leaf).map_err(|_| Cause::CertificateUntrusted)?;
        let lists: Vec<_> = self.revocation_lists.iter().collect();
        let time = WebpkiTime::since_unix_epoch(std::time::Duration::from_secs(now.as_secs()));
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &intermediates,
            time,
            KeyUsage::client_auth(),
            revocation(&lists),
            None,
        )
        .map(|_path| TrustedCertificate(peer.clone()))
        .map_err(|error| cause(&error))
    }
}

impl Anchor {
    fn read(der: &[u8]) -> Result<Self, TrustAnchorError> {
        let certificate =
            PeerCertificate::from_der(der, Vec::new()).map_err(|_| TrustAnchorError::Malformed)?;
        let usage = certificate.usage();
        let may_sign = usage.key_usage_is_critical.is_none() || usage.signs_certificates;
        if !usage.is_ca || !may_sign {
            return Err(TrustAnchorError::NotAnAuthority);
        }
        let trust = webpki::anchor_from_trusted_cert(&CertificateDer::from(der))
            .map_err(|_| TrustAnchorError::Malformed)?
            .to_owned();
        Ok(Self { trust, certificate })
    }
}

impl TrustedCertificate {
    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &PeerCertificate {
        &self.0
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subjects = self.anchors.iter().map(|a| a.certificate.subject());
        f.debug_struct("TrustAnchors")
            .field("authorities", &subjects.collect::<Vec<_>>())
            .field("revocation_lists", &self.revocation_lists.len())
            .finish()
    }
}

impl fmt::Display for TrustAnchorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no certificate in it",
            Self::Expired => "a certificate in it is not in force now",
            Self::Malformed => "it is not certificates in PEM or DER",
            Self::NotAnAuthority => "a certificate in it is not a certification authority's",
            Self::RevocationList => "it is not certificate revocation lists",
        })
    }
}

impl std::error::Error for TrustAnchorError {}

/// Lists must be in force and tell the status of every certificate of the path: webpki's
/// default for the latter, ours for the former.
fn revocation<'a>(lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    let options = RevocationOptionsBuilder::new(lists).ok()?;
    Some(
        options
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build(),
    )
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other fault of a path means that nobody vouches for the certificate"
)]
fn cause(error: &Error) -> Cause {
    match error {
        Error::CertExpired { .. } => Cause::CertificateExpired,
        Error::CertNotValidYet { .. } => Cause::CertificateNotYetValid,
        Error::CertRevoked => Cause::CertificateRevoked,
        Error::CrlExpired { .. } | Error::UnknownRevocationStatus => {
            Cause::CertificateStatusUnknown
        }
        Error::CaUsedAsEndEntity
        | Error::EmptyEkuExtension
        | Error::RequiredEkuNotFoundContext(_) => Cause::CertificatePurpose,
        _ => Cause::CertificateUntrusted,
    }
}
