//! Judges client certificates, in the handshake and again while the connection lives.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use keybound_proto::cause::Cause;
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::rejection::Rejection;
use keybound_proto::time::{Clock, UnixTime};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime as TlsTime,
};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::{TlsError, files};

/// Seconds after which a live connection's certificate is judged anew.
pub(super) const VERDICT_LIFETIME: u64 = 60;

/// The product's clock, as the TLS library asks for it.
#[derive(Debug)]
pub(super) struct HandshakeClock(pub(super) Arc<dyn Clock>);

impl TimeProvider for HandshakeClock {
    fn current_time(&self) -> Option<TlsTime> {
        Some(tls_time(self.0.now()))
    }
}

fn tls_time(now: UnixTime) -> TlsTime {
    TlsTime::since_unix_epoch(Duration::from_secs(now.as_secs()))
}

/// One authority that is not past its end.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    pub(super) anchor: TrustAnchor<'static>,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
}

/// The authorities of a listener, with their revocation lists.
pub(super) struct Authorities {
    path: PathBuf,
    all: Vec<Authority>,
    crls: Vec<CertificateRevocationListDer<'static>>,
    /// The verifier over the authorities in force, remade when one of them begins or ends:
    /// path validation itself does not look at the validity of its anchors.
    in_force: ArcSwapOption<InForce>,
}

struct InForce {
    from: UnixTime,
    /// The last second in which the same authorities are in force.
    until: UnixTime,
    /// `None` where no authority is in force.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Authorities {
    pub(super) fn new(
        path: PathBuf,
        all: Vec<Authority>,
        crls: Vec<CertificateRevocationListDer<'static>>,
    ) -> Self {
        Self {
            path,
            all,
            crls,
            in_force: ArcSwapOption::empty(),
        }
    }

    /// The names sent to clients so that they can choose a certificate.
    fn subjects(&self) -> Vec<DistinguishedName> {
        let mut roots = RootCertStore::empty();
        roots.roots = self.all.iter().map(|one| one.anchor.clone()).collect();
        roots.subjects()
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let in_force = self.in_force(now)?;
        match &in_force.verifier {
            Some(verifier) => verifier.verify_client_cert(leaf, intermediates, tls_time(now)),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn in_force(&self, now: UnixTime) -> Result<Arc<InForce>, Error> {
        if let Some(found) = self.in_force.load_full()
            && (found.from..=found.until).contains(&now)
        {
            return Ok(found);
        }
        let made = self
            .make(now)
            .map_err(|error| Error::General(error.to_string()))?;
        let made = Arc::new(made);
        self.in_force.store(Some(Arc::clone(&made)));
        Ok(made)
    }

    fn make(&self, now: UnixTime) -> Result<InForce, TlsError> {
        let mut until = UnixTime::from_secs(u64::MAX);
        let mut roots = RootCertStore::empty();
        for one in &self.all {
            if now < one.not_before {
                let before = one.not_before.as_secs().saturating_sub(1);
                until = until.min(UnixTime::from_secs(before));
            } else if now <= one.not_after {
                until = until.min(one.not_after);
                roots.roots.push(one.anchor.clone());
            }
        }
        let verifier = if roots.roots.is_empty() {
            tracing::error!(
                file = %self.path.display(),
                "no authority for client certificates is in force; every client is refused"
            );
            None
        } else {
            Some(self.verifier(roots)?)
        };
        Ok(InForce {
            from: now,
            until,
            verifier,
        })
    }

    fn verifier(&self, roots: RootCertStore) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        // The defaults deny what no list knows, for every certificate of the chain.
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), files::provider())
            .with_crls(self.crls.iter().cloned())
            .enforce_revocation_expiration()
            .build()
            .map_err(|_| TlsError::AuthorityInvalid {
                path: self.path.clone(),
            })
    }
}

/// The verifier of a listener that asks for certificates.
pub(super) struct ClientVerifier {
    is_required: bool,
    subjects: Vec<DistinguishedName>,
    authorities: Option<Authorities>,
    algorithms: WebPkiSupportedAlgorithms,
    clock: Arc<dyn Clock>,
}

impl ClientVerifier {
    pub(super) fn new(
        is_required: bool,
        authorities: Option<Authorities>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        if let Some(authorities) = &authorities {
            // Shows at start what a handshake would find.
            authorities.make(clock.now())?;
        }
        Ok(Self {
            is_required,
            subjects: authorities
                .as_ref()
                .map(Authorities::subjects)
                .unwrap_or_default(),
            authorities,
            algorithms: files::provider().signature_verification_algorithms,
            clock,
        })
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<ClientCertVerified, Error> {
        let chain = intermediates.iter().map(|one| one.to_vec()).collect();
        // Bounds sizes and the length of the chain before anything walks it.
        let peer = PeerCertificate::from_der(leaf, chain)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let now = self.clock.now();
        if let Err(cause) = peer.check_time(now) {
            return Err(Error::InvalidCertificate(match cause {
                Cause::CertificateNotYetValid => CertificateError::NotValidYet,
                _ => CertificateError::Expired,
            }));
        }
        match &self.authorities {
            Some(authorities) => authorities.verify(leaf, intermediates, now),
            None => Ok(ClientCertVerified::assertion()),
        }
    }

    /// Judges the certificate of a live connection as its handshake would be judged now. Gives
    /// the moment until which the verdict may stand.
    pub(super) fn judge(
        &self,
        certificate: &PeerCertificate,
        now: UnixTime,
    ) -> Result<UnixTime, Rejection> {
        certificate.check_time(now).map_err(Rejection::new)?;
        let leaf = CertificateDer::from(certificate.der());
        let chain: Vec<_> = certificate
            .intermediates()
            .iter()
            .map(|der| CertificateDer::from(der.as_slice()))
            .collect();
        match self.verify(&leaf, &chain) {
            Ok(_) => Ok(now.plus(VERDICT_LIFETIME)),
            Err(error) => Err(Rejection::new(Cause::CertificateUntrusted).got(error.to_string())),
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: TlsTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerifier")
            .field("is_required", &self.is_required)
            .field("has_authorities", &self.authorities.is_some())
            .finish_non_exhaustive()
    }
}
