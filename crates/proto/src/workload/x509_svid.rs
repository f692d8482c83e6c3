//! X.509-SVIDs (SPIFFE X509-SVID): who a certificate says its holder is.
//!
//! A certificate counts for the SPIFFE ID in its only URI name, if it is a leaf fit for
//! signing (section 4), and leads by RFC 5280 path validation to an authority of that
//! very trust domain's bundle: the system's trust store and other trust domains say
//! nothing. Every certificate between is one that may sign, and names no workload.
//!
//! The handshake proved possession of the key before there was a [`PeerCertificate`].
//! This module reads no revocation lists: X.509-SVIDs live for hours, and an empty
//! bundle revokes a whole trust domain.

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime as PathTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::bundle::TrustBundle;
use super::{SpiffeId, TrustDomain};
use crate::cause::Cause;
use crate::certificate::{CertificateInForce, PeerCertificate};
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::token::{AccessToken, TokenHash, WorkloadClaims, WorkloadProvenBy};

/// A certificate that was found to be a trust domain's word about one workload.
#[derive(Clone, Debug)]
pub struct X509Svid {
    id: SpiffeId,
    certificate: PeerCertificate,
}

impl X509Svid {
    /// Whose word to ask for: the identity a certificate claims. The trust domain's bundle must
    /// then [verify](Self::verify) it.
    ///
    /// # Errors
    /// `spiffe.certificate.id` unless there is exactly one URI name and it is a SPIFFE ID.
    pub fn claimed_id(certificate: &PeerCertificate) -> Result<SpiffeId, Rejection> {
        let [uri] = certificate.uris() else {
            return Err(Rejection::new(Cause::X509SvidId)
                .expected("exactly one URI name")
                .got(format!("{} URI names", certificate.uris().len())));
        };
        SpiffeId::parse(uri).map_err(|error| {
            Rejection::new(Cause::X509SvidId)
                .expected(error.to_string())
                .got(uri)
        })
    }

    /// Checks the leaf, those that came with it, the path, and the validity at `now`.
    ///
    /// # Errors
    /// A [`Rejection`] with a `spiffe.*` or `certificate.*` cause.
    pub fn verify(
        certificate: &PeerCertificate,
        domain: &TrustDomain,
        bundle: &TrustBundle,
        now: UnixTime,
    ) -> Result<Self, Rejection> {
        let id = Self::claimed_id(certificate)?;
        if !id.as_workload().is_in(domain) {
            return Err(Rejection::new(Cause::SpiffeTrustDomain)
                .expected(domain.as_str())
                .got(id.as_workload().origin()));
        }
        let in_force = certificate.check_time(now)?;
        let fit = check_leaf(certificate)?;
        check_signers(certificate, domain)?;
        check_path(certificate, bundle, now, (in_force, fit))?;
        Ok(Self {
            id,
            certificate: certificate.clone(),
        })
    }

    /// The workload.
    #[must_use]
    pub const fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The certificate as a credential like others: issued by its trust domain for no audience,
    /// bound to this very certificate. Its handle is the certificate's thumbprint.
    #[must_use]
    pub fn credential(&self) -> AccessToken {
        AccessToken::of_workload(WorkloadClaims {
            hash: TokenHash::of(self.certificate.der()),
            issuer: self.id.as_workload().origin().to_owned(),
            subject: self.id.as_str().to_owned(),
            token_id: Some(self.certificate.thumbprint().to_string()),
            issued_at: self.certificate.not_before(),
            // The last second of a certificate is still within its validity.
            expires_at: self.certificate.not_after().plus(1),
            not_before: None,
            kid: None,
            proven_by: WorkloadProvenBy::Certificate(self.certificate.thumbprint()),
        })
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &PeerCertificate {
        &self.certificate
    }
}

/// Says that a certificate is a leaf that may authenticate.
struct FitLeaf(());

/// Section 4: no authority, signs neither certificates nor revocation lists, signs handshakes,
/// and, if it names purposes, both of them.
fn check_leaf(certificate: &PeerCertificate) -> Result<FitLeaf, Rejection> {
    let usage = certificate.usage();
    let wrong = if usage.is_ca {
        "no certificate authority"
    } else if usage.signs_certificates || usage.signs_revocation_lists {
        "a key usage without keyCertSign and cRLSign"
    } else if usage.key_usage_is_critical != Some(true) {
        "a critical key usage"
    } else if !usage.digital_signature {
        "a key usage with digitalSignature"
    } else if usage.client_purpose == Some(false) || usage.server_purpose == Some(false) {
        "an extended key usage with clientAuth and serverAuth"
    } else {
        return Ok(FitLeaf(()));
    };
    Err(Rejection::new(Cause::X509SvidUsage).expected(wrong))
}

/// Sections 3.2 and 4.3: a signing certificate is an authority, and names its trust domain or
/// nobody.
fn check_signers(certificate: &PeerCertificate, domain: &TrustDomain) -> Result<(), Rejection> {
    for der in certificate.intermediates() {
        let signer = PeerCertificate::from_der(der, Vec::new()).map_err(Cause::from)?;
        let usage = signer.usage();
        if !usage.is_ca || !usage.signs_certificates {
            return Err(Rejection::new(Cause::X509SvidUsage)
                .expected("signing certificates with cA and keyCertSign"));
        }
        let names_domain = match signer.uris() {
            [] => true,
            [uri] => uri == domain.as_str(),
            _ => false,
        };
        if !names_domain {
            return Err(Rejection::new(Cause::X509SvidId)
                .expected("signing certificates that name their trust domain only"));
        }
    }
    Ok(())
}

/// RFC 5280 section 6.1, from the leaf to an authority of the bundle.
fn check_path(
    certificate: &PeerCertificate,
    bundle: &TrustBundle,
    now: UnixTime,
    _checked: (CertificateInForce, FitLeaf),
) -> Result<(), Rejection> {
    let broken = || Rejection::new(Cause::X509SvidChain);
    let authorities: Vec<_> = bundle
        .authorities()
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    // One that cannot be read is none; the others still count.
    let anchors: Vec<TrustAnchor<'_>> = authorities
        .iter()
        .filter_map(|der| anchor_from_trusted_cert(der).ok())
        .collect();
    let chain: Vec<_> = certificate
        .intermediates()
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let leaf = CertificateDer::from(certificate.der());
    let leaf = EndEntityCert::try_from(&leaf).map_err(|_| broken())?;
    let time = PathTime::since_unix_epoch(std::time::Duration::from_secs(now.as_secs()));
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &chain,
        time,
        KeyUsage::client_auth(),
        None,
        None,
    )
    .map(|_| ())
    .map_err(|error| broken().got(error.to_string()))
}
