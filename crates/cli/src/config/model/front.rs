//! The ways into issuer and gateway beside the plain listener: TLS, and a TLS
//! terminator in front.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CertificateProfileName, ClientCertificatesName};

/// A listener with TLS 1.3 and 1.2. Its files are read again when they change,
/// and at once on SIGHUP.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSection {
    /// Address to listen on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// PEM file with the server's certificate, then its chain.
    pub certificate: String,
    /// PEM file with the certificate's private key, mode 0600.
    pub key: String,
    /// Whether clients are asked for a certificate.
    #[serde(default)]
    pub client_certificates: ClientCertificatesName,
    /// PEM file with the authorities that client certificates must come from.
    /// Without it the handshake proves possession of the certificate's key and
    /// nothing else, and what the certificate is good for is judged later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<String>,
    /// Files with revocation lists, PEM or DER. When there is any, a certificate
    /// whose status no current list tells is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_crl: Vec<String>,
}

/// Client certificates that a TLS terminator in front hands on in header
/// fields. From everybody else these fields are removed unread.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateHeaderSection {
    /// The terminator's form.
    pub profile: CertificateProfileName,
    /// Addresses or networks of the terminators, such as `127.0.0.1/32`.
    pub peers: Vec<String>,
    /// Takes certificates whose chain the terminator did not verify: possession
    /// of the key is all that is asked.
    #[serde(default)]
    pub unverified: bool,
}
