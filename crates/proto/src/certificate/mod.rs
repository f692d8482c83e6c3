//! Client certificates (RFC 8705, RFC 5280): what a TLS connection proved, as facts.
//!
//! A [`PeerCertificate`] is the end-entity certificate of a handshake, parsed once for each
//! connection, with the chain that came with it. Its identity comes from that one certificate
//! and never from another of the chain. [`CertificateThumbprint`] is the `x5t#S256` of RFC 8705
//! section 3.1. [`DistinguishedName`] compares subjects as parsed names (RFC 4514, RFC 5280
//! section 7.1). [`TrustAnchors`] judge a path for client authentication.
//!
//! Parsing is strict DER with bounded sizes; a certificate has one accepted byte form. Version 1
//! certificates are read, as RFC 8705 Appendix A prints one.
//!
//! Possession of the private key is not proven here: the TLS handshake did that, before there
//! was a `PeerCertificate`. This module opens no connection and fetches no status (no OCSP, no
//! `caIssuers`), and knows no system trust store.

mod anchors;
mod client;
mod der;
mod dn;
mod peer;
mod read;
mod thumbprint;

pub use self::anchors::{TrustAnchorError, TrustAnchors, TrustedCertificate};
pub use self::client::{
    CertificateRegistered, ClientName, ClientNameError, NameMatches, RegisteredCertificates,
    RegisteredCertificatesError,
};
pub use self::dn::{DistinguishedName, DistinguishedNameError};
pub use self::peer::{CertificateError, CertificateInForce, CertificateUsage, PeerCertificate};
pub use self::thumbprint::{CertificateThumbprint, SpkiThumbprint, ThumbprintError};

/// The largest certificate that is read, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;

/// How many certificates may come with the end-entity certificate.
pub const MAX_INTERMEDIATES: usize = 8;

/// How many alternative names one certificate may have.
pub const MAX_NAMES: usize = 128;

#[cfg(test)]
mod tests;
