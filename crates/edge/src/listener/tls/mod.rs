//! TLS for a listener: TLS 1.3 and 1.2 (RFC 8446, RFC 5246), ALPN (RFC 7301), and client
//! certificates as RFC 8705 needs them.
//!
//! With [`ClientTrust::Possession`] the handshake proves that the client holds the key of its
//! certificate, and nothing else is asked of the chain: who may be which client is judged later
//! (RFC 8705 sections 2.2 and 3). With [`ClientTrust::Authorities`] the chain must also end at
//! one of the configured authorities by RFC 5280 section 6, be meant for clients
//! (`extKeyUsage`), and, where revocation lists are configured, be on none of them: a status no
//! list knows, and a list past its `nextUpdate`, count as revoked.
//!
//! - **A verdict is no older than a minute.** Each request compares the certificate's validity
//!   with the clock, and a connection's chain is judged again once a minute and whenever the
//!   files were read anew. A certificate that no longer stands is refused with 401 and its
//!   connection ends.
//! - **No resumption where certificates are asked for.** No session is kept and no ticket is
//!   sent, so a certificate is never older than its handshake and never belongs to another
//!   listener. Without client certificates, sessions are kept in memory, one cache for each
//!   listener. There is no early data (RFC 8446 section 2.3) on any listener.
//! - **The server name is the host.** A request whose host is not the name of the handshake
//!   (SNI, RFC 6066 section 3) gets 421.
//!
//! Files are read at start and when [`Tls::reload`] is called; a file that cannot be used then
//! leaves the earlier ones in place.
//!
//! Not here: OCSP, fetching of certificates or lists, more than one server certificate on a
//! listener, and what a certificate's names mean.

mod accept;
mod client;
mod error;
mod files;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::time::{Clock, UnixTime};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;

pub(super) use self::accept::Session;
use self::client::ClientVerifier;
pub use self::error::TlsError;
use self::files::Loaded;
use crate::management::Check;

/// Sessions that a listener without client certificates remembers.
const SESSIONS: usize = 1024;

/// What a TLS listener is told.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// PEM file with the server's certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key; readable by its owner only.
    pub key: PathBuf,
    /// Whether clients are asked for a certificate.
    pub clients: ClientCertificates,
    /// Whether HTTP/2 is offered by ALPN, beside HTTP/1.1.
    pub http2: bool,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    None,
    /// They are asked and may have none.
    Optional(ClientTrust),
    /// The handshake fails without one.
    Required(ClientTrust),
}

/// What is asked of a client's certificate in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientTrust {
    /// Possession of its key, and that it is within its validity.
    Possession,
    /// Also a chain to one of these authorities.
    Authorities {
        /// PEM file with the authorities' certificates.
        ca: PathBuf,
        /// Files with revocation lists, PEM or DER. When there is any, every certificate of a
        /// chain needs a current list of its issuer.
        crls: Vec<PathBuf>,
    },
}

/// What a handshake told about the client. Inserted into every request of the connection.
#[derive(Debug, Clone)]
pub struct TlsPeer {
    certificate: Option<PeerCertificate>,
    server_name: Option<Arc<str>>,
}

impl TlsPeer {
    /// The client's certificate; its key was proven by the handshake.
    #[must_use]
    pub const fn certificate(&self) -> Option<&PeerCertificate> {
        self.certificate.as_ref()
    }

    /// The name the client asked for (SNI); `None` if it connected by address.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }
}

/// What [`Tls::reload`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The files hold what they held before.
    Unchanged,
    /// New connections use the new files, and live ones are judged by them.
    Changed,
}

/// The TLS side of one listener. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

struct Inner {
    config: TlsConfig,
    clock: Arc<dyn Clock>,
    current: ArcSwap<Material>,
    /// Held while files are read, so that two reloads do not overtake each other.
    reloading: Mutex<Option<TlsError>>,
    handshakes: AtomicU64,
    failures: AtomicU64,
}

/// What one reading of the files made.
pub(super) struct Material {
    generation: u64,
    fingerprint: [u8; 32],
    server: Arc<ServerConfig>,
    clients: Option<Arc<ClientVerifier>>,
    /// The last second of the server certificate.
    not_after: UnixTime,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which names the file and the next step.
    pub fn load(config: TlsConfig, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let loaded = Loaded::read(&config, clock.now())?;
        let material = Material::new(0, loaded, &config, &clock)?;
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                clock,
                current: ArcSwap::from_pointee(material),
                reloading: Mutex::new(None),
                handshakes: AtomicU64::new(0),
                failures: AtomicU64::new(0),
            }),
        })
    }

    /// Reads the files again. Reads from disk, so it is no call for an async task's own thread.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; the earlier files stay in use.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        let inner = &self.inner;
        let mut problem = inner.reloading.lock();
        let before = inner.current.load();
        let now = inner.clock.now();
        let read = Loaded::read(&inner.config, now).and_then(|loaded| {
            if loaded.fingerprint == before.fingerprint {
                return Ok(None);
            }
            let generation = before.generation.saturating_add(1);
            Material::new(generation, loaded, &inner.config, &inner.clock).map(Some)
        });
        match read {
            Ok(material) => {
                *problem = None;
                let Some(material) = material else {
                    return Ok(Reloaded::Unchanged);
                };
                inner.current.store(Arc::new(material));
                Ok(Reloaded::Changed)
            }
            Err(error) => {
                *problem = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Whether handshakes can succeed: the server's certificate is in force, and the last
    /// reading of the files found them usable.
    #[must_use]
    pub fn readiness(&self, name: impl Into<String>) -> Check {
        let name = name.into();
        if let Some(error) = &*self.inner.reloading.lock() {
            return Check {
                name,
                ok: false,
                detail: format!("{error}; the files read before stay in use"),
            };
        }
        let left = self
            .inner
            .current
            .load()
            .not_after
            .as_secs()
            .checked_sub(self.inner.clock.now().as_secs());
        let detail = match left {
            Some(left) => format!("the certificate is good for {} more days", left / 86_400),
            None => "the certificate has expired; put a new one in its place".to_owned(),
        };
        Check {
            name,
            ok: left.is_some(),
            detail,
        }
    }

    /// Handshakes that succeeded, and that did not.
    #[must_use]
    pub fn handshakes(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.inner.handshakes), count(&self.inner.failures))
    }
}

impl Material {
    fn new(
        generation: u64,
        loaded: Loaded,
        config: &TlsConfig,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let provider = files::provider();
        let is_required = matches!(config.clients, ClientCertificates::Required(_));
        let clients = match config.clients {
            ClientCertificates::None => None,
            ClientCertificates::Optional(_) | ClientCertificates::Required(_) => {
                let authorities = loaded.authorities;
                let verifier = ClientVerifier::new(is_required, authorities, Arc::clone(clock))?;
                Some(Arc::new(verifier))
            }
        };
        let builder = ServerConfig::builder_with_details(
            Arc::clone(&provider),
            Arc::new(client::HandshakeClock(Arc::clone(clock))),
        )
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|_| TlsError::Provider)?;
        let builder = match &clients {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier) as _),
            None => builder.with_no_client_auth(),
        };
        let certified = CertifiedKey::from_der(loaded.chain, loaded.key, &provider);
        let certified = certified.map_err(|_| TlsError::KeyMismatch {
            certificate: config.certificate.clone(),
            key: config.key.clone(),
        })?;
        let resolver = rustls::sign::SingleCertAndKey::from(certified);
        let mut server = builder.with_cert_resolver(Arc::new(resolver));
        server.alpn_protocols = if config.http2 {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        } else {
            vec![b"http/1.1".to_vec()]
        };
        server.max_early_data_size = 0;
        if clients.is_some() {
            // SECURITY: a resumed session would bring back the certificate of an earlier
            // handshake, judged by the rules of then.
            server.session_storage = Arc::new(NoServerSessionStorage {});
            server.send_tls13_tickets = 0;
        } else {
            server.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        }
        Ok(Self {
            generation,
            fingerprint: loaded.fingerprint,
            server: Arc::new(server),
            clients,
            not_after: loaded.not_after,
        })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}
