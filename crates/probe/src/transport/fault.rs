//! What failed when TLS failed, said so that its owner knows what to do.

use std::io;

use rustls::{CertificateError, InvalidMessage};

use super::NoAnswer;
use crate::draft::printable;

/// Why the server's certificate is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// Its time is over.
    #[error("the server's certificate has expired")]
    Expired,
    /// Its time has not begun.
    #[error("the server's certificate is not valid yet")]
    NotYetValid,
    /// It is somebody else's.
    #[error("the server's certificate is for another name")]
    OtherName,
    /// Nobody who is trusted here signed it.
    #[error("the server's certificate is signed by no authority that is trusted here")]
    UnknownAuthority,
    /// It was revoked.
    #[error("the server's certificate is revoked")]
    Revoked,
}

impl CertificateFault {
    /// What to do about it.
    pub(crate) const fn next_step(self) -> &'static str {
        match self {
            Self::Expired => "renew the server's certificate, or check this machine's clock",
            Self::NotYetValid => "check the clocks of this machine and of the server",
            Self::OtherName => "use the host name that the certificate is for",
            Self::UnknownAuthority => "name the certificate of the authority with `--ca-cert`",
            Self::Revoked => "replace the server's certificate",
        }
    }
}

/// The fault behind a failed handshake.
pub(super) fn of(error: &io::Error, authority: String) -> NoAnswer {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(found)) => match certificate(found) {
            Some(fault) => NoAnswer::Certificate(authority, fault),
            None => NoAnswer::Tls(authority, printable(found.to_string().as_bytes())),
        },
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            NoAnswer::NoTls(authority)
        }
        _ => NoAnswer::Tls(authority, printable(error.to_string().as_bytes())),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list of faults may grow, and those not named here are told in their own words"
)]
fn certificate(fault: &CertificateError) -> Option<CertificateFault> {
    Some(match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateFault::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::OtherName
        }
        // A signature by another key than that of the authority of this name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            CertificateFault::UnknownAuthority
        }
        CertificateError::Revoked => CertificateFault::Revoked,
        _ => return None,
    })
}
