//! TLS to a shared store: rustls over aws-lc-rs, the system's authorities or
//! those the address names. No client certificates.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::StoreAddress;
use super::shared::store::StoreError;

/// What TLS needs for an address; nothing where it is cleartext.
pub(super) fn config(address: &StoreAddress) -> Result<Option<Arc<ClientConfig>>, String> {
    if !address.tls {
        return Ok(None);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match &address.authorities {
        None => builder
            .with_platform_verifier()
            .map_err(|error| error.to_string())?
            .with_no_client_auth(),
        Some(pem) => builder
            .with_root_certificates(roots(pem)?)
            .with_no_client_auth(),
    };
    Ok(Some(Arc::new(config)))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("`ca_file`: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("`ca_file`: {error}"))?;
    }
    if roots.is_empty() {
        return Err(String::from("`ca_file` holds no certificate"));
    }
    Ok(roots)
}

/// Makes a connection confidential.
pub(super) async fn connect(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, StoreError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| StoreError::Lost(format!("`{host}` is no name a certificate could have")))?;
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector.connect(name, stream).await;
    stream.map_err(|error| StoreError::Lost(format!("TLS with {host}: {error}")))
}
