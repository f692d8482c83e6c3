//! Client certificates that a TLS terminator in front hands on in header fields.
//!
//! Each terminator has its own form (RFC 9440 is the standard one), so a listener is told the
//! [`CertificateProfile`] and the peers that may speak it; nothing is guessed from what arrives.
//! For every request:
//!
//! - Every field of every profile is removed before a service sees the request, whoever sent it.
//! - From a listed peer the profile's fields are the client's certificate, and the certificate
//!   of the peer's own TLS connection is not.
//! - From anybody else they are nothing but a reason to count: [`CertificateHeaders::take_ignored`].
//! - What cannot be read is invalid, never absent; so are fields sent twice, and fields of a
//!   profile that contradict each other.
//!
//! Some forms carry only the certificate's hash, which confirms a token (`x5t#S256`, RFC 8705
//! section 3.1) and nothing else: [`ForwardedCertificate::Thumbprint`].
//!
//! A terminator that hands on certificates whose chain it did not verify says so, and those are
//! refused unless the listener is told that possession is enough (`unverified`).
//!
//! Not here: signed certificate fields (RFC 9421 appendix B.3), the PROXY protocol, and chain
//! validation; the terminator's word is taken for possession.

mod forms;
mod network;
mod profile;
mod xfcc;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName};
use keybound_proto::cause::Cause;
use keybound_proto::certificate::{CertificateThumbprint, PeerCertificate};
use keybound_proto::rejection::Rejection;
use keybound_proto::time::Clock;
use parking_lot::Mutex;
use quick_cache::sync::Cache;

pub use self::network::{NetworkError, PeerNetwork};
pub use self::profile::{CertificateProfile, HeaderFault};

/// Certificates remembered by the exact text they came in.
const REMEMBERED: usize = 1024;

/// What fields said of the client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardedCertificate {
    /// The client has none.
    Absent,
    /// Only its hash is known.
    Thumbprint(CertificateThumbprint),
    /// The certificate itself.
    Whole(PeerCertificate),
}

/// From whom, and in which form, certificates are taken.
#[derive(Debug, Clone)]
pub struct CertificateHeaderConfig {
    /// The terminator's form.
    pub profile: CertificateProfile,
    /// Networks of the terminators. Nobody else is believed.
    pub peers: Vec<PeerNetwork>,
    /// Takes certificates whose chain the terminator did not verify: possession of the key is
    /// all that is asked.
    pub unverified: bool,
}

/// The policy of one listener. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct CertificateHeaders {
    inner: Arc<Inner>,
}

struct Inner {
    config: CertificateHeaderConfig,
    clock: Arc<dyn Clock>,
    known: Cache<Box<[u8]>, PeerCertificate>,
    ignored: AtomicU64,
    last: Mutex<Option<SocketAddr>>,
}

/// Certificate fields that came from peers which are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ignored {
    /// How many requests carried some.
    pub requests: u64,
    /// Where the last of them came from.
    pub last_peer: SocketAddr,
}

impl CertificateHeaders {
    /// The policy of a listener.
    #[must_use]
    pub fn new(config: CertificateHeaderConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                clock,
                known: Cache::new(REMEMBERED),
                ignored: AtomicU64::new(0),
                last: Mutex::new(None),
            }),
        }
    }

    /// Takes every certificate field out of a request. `None`: the peer is not one of the
    /// terminators, so that its own connection counts.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] when a terminator's fields cannot be read or contradict each other, when
    /// the certificate is not in force, or its chain was not verified and has to be.
    pub fn take(
        &self,
        headers: &mut HeaderMap,
        peer: SocketAddr,
    ) -> Result<Option<ForwardedCertificate>, Rejection> {
        let found = self.read(headers, peer);
        strip(headers);
        found
    }

    fn read(
        &self,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Result<Option<ForwardedCertificate>, Rejection> {
        let inner = &self.inner;
        let config = &inner.config;
        if !config
            .peers
            .iter()
            .any(|network| network.contains(peer.ip()))
        {
            if headers.keys().any(|name| config.profile.reads(name)) {
                self.ignore(peer);
            }
            return Ok(None);
        }
        let found = config
            .profile
            .read(headers, config.unverified, &inner.known)
            .map_err(|fault| {
                Rejection::new(fault.cause())
                    .expected(format!("the fields of profile {}", config.profile))
                    .got(fault.to_string())
            })?;
        if let ForwardedCertificate::Whole(certificate) = &found {
            certificate
                .check_time(inner.clock.now())
                .map_err(Rejection::new)?;
        }
        Ok(Some(found))
    }

    fn ignore(&self, peer: SocketAddr) {
        self.inner.ignored.fetch_add(1, Ordering::Relaxed);
        *self.inner.last.lock() = Some(peer);
        tracing::debug!(%peer, "certificate fields from a peer that is no terminator are ignored");
    }

    /// The requests since the last call whose certificate fields were ignored because their
    /// sender is not listed; `None` if there were none. Strangers can cause any number of them,
    /// so they are told in sums.
    #[must_use]
    pub fn take_ignored(&self) -> Option<Ignored> {
        let requests = self.inner.ignored.swap(0, Ordering::Relaxed);
        let last_peer = self.inner.last.lock().take()?;
        (requests > 0).then_some(Ignored {
            requests,
            last_peer,
        })
    }
}

impl fmt::Debug for CertificateHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateHeaders")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

/// Removes every certificate field of every profile.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let is_there = headers
        .keys()
        .any(|name| is_certificate_field(name.as_str()));
    if !is_there {
        return;
    }
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_certificate_field(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether a field, named in lower case, speaks of a client's certificate in any profile.
pub(crate) fn is_certificate_field(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'c') => {
            matches!(name, "client-cert" | "client-cert-chain")
                || name.starts_with("cf-cert-")
                || name.starts_with("cf-client-cert-")
                || name.starts_with("cloudfront-viewer-cert-")
        }
        Some(b's') => name.starts_with("ssl-client-"),
        Some(b'x') => {
            name == "x-forwarded-client-cert"
                || name.starts_with("x-forwarded-tls-client-cert")
                || name.starts_with("x-ssl-client-")
                || name.starts_with("x-amzn-mtls-clientcert")
                || name.starts_with("x-client-cert")
        }
        _ => false,
    }
}

impl HeaderFault {
    const fn cause(self) -> Cause {
        match self {
            Self::Unverified => Cause::CertificateUntrusted,
            _ => Cause::CertificateHeaderInvalid,
        }
    }
}

#[cfg(test)]
mod tests;
