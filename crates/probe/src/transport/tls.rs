//! TLS of the way out: whom to trust, and what to show of oneself.
//!
//! What is shown can change between two connections of one configuration
//! ([`Shown::change`]), because a session is resumed only under the
//! configuration it began with, and a probe wants to see what a server makes
//! of a session that began with somebody else's certificate.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{SignatureScheme, SupportedProtocolVersion};
use rustls_platform_verifier::BuilderVerifierExt;

/// How TLS is spoken.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Certificates of an authority to trust instead of the system's, DER.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Certificate chain and key to show as client.
    pub identity: Option<Arc<ClientIdentity>>,
}

/// A client certificate with its chain, and its key.
pub struct ClientIdentity {
    /// The certificate, then those between it and the authority, DER.
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS#8, SEC1 or PKCS#1.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// What the client shows when a server asks for a certificate.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<Option<Arc<CertifiedKey>>>);

impl Shown {
    /// No certificate, or this one.
    ///
    /// # Errors
    /// What is wrong with the key, in words.
    pub(crate) fn new(identity: Option<&ClientIdentity>) -> Result<Arc<Self>, String> {
        let shown = Self::default();
        shown.change(identity)?;
        Ok(Arc::new(shown))
    }

    /// From the next connection on: no certificate, or this one. Whether the key is the
    /// certificate's is not looked at, since a thief who has only the certificate would not either.
    ///
    /// # Errors
    /// What is wrong with the key, in words.
    pub(crate) fn change(&self, identity: Option<&ClientIdentity>) -> Result<(), String> {
        let certified = match identity {
            None => None,
            Some(identity) => {
                let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&identity.key)
                    .map_err(|error| format!("the key of the client certificate: {error}"))?;
                Some(Arc::new(CertifiedKey::new(identity.chain.clone(), key)))
            }
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Whether the key is the certificate's.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn check(identity: &ClientIdentity) -> Result<(), String> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(identity.chain.clone(), identity.key.clone_key(), &provider)
        .map(|_| ())
        .map_err(|error| format!("the client certificate: {error}"))
}

/// A configuration that trusts as `options` say and shows what `shown` says.
///
/// # Errors
/// What is wrong with the certificates, in words.
pub(crate) fn config(
    options: &TlsOptions,
    shown: &Arc<Shown>,
    version: Option<&'static SupportedProtocolVersion>,
) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = match version {
        None => builder.with_safe_default_protocol_versions(),
        Some(version) => builder.with_protocol_versions(&[version]),
    }
    .map_err(|error| error.to_string())?;
    let builder = if options.authorities.is_empty() {
        builder
            .with_platform_verifier()
            .map_err(|error| error.to_string())?
    } else {
        let mut roots = rustls::RootCertStore::empty();
        for authority in &options.authorities {
            roots
                .add(authority.clone())
                .map_err(|error| format!("the authority's certificate: {error}"))?;
        }
        builder.with_root_certificates(roots)
    };
    Ok(builder.with_client_cert_resolver(Arc::<Shown>::clone(shown)))
}
