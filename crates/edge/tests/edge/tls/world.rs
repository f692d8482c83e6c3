//! A TLS listener whose service says what the handshake told, and clients for it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use keybound_edge::listener::tls::{ClientCertificates, Tls, TlsConfig, TlsPeer};
use keybound_edge::listener::{Listener, ListenerConfig, ListenerKind};
use keybound_edge::{Drained, Shutdown, ShutdownTrigger};
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::time::ManualClock;
use keybound_proto::uri::Origin;
use keybound_proto::wire::ErrorDetail;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::pki::PKI;
use crate::client::{Answer, PATIENCE, answers};
use crate::world::NOW;

/// A listener and its TLS.
pub(crate) struct TlsWorld {
    pub(crate) addr: SocketAddr,
    pub(crate) tls: Tls,
    pub(crate) clock: ManualClock,
    trigger: ShutdownTrigger,
    serving: JoinHandle<Drained>,
}

impl TlsWorld {
    pub(crate) async fn start(clients: ClientCertificates) -> Self {
        Self::start_with(PKI.config(clients), |_| {}).await
    }

    pub(crate) async fn start_with(
        config: TlsConfig,
        change: impl FnOnce(&mut ListenerConfig),
    ) -> Self {
        let clock = ManualClock::at(NOW);
        let tls = Tls::load(config, Arc::new(clock.clone())).expect("the files are good");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listener = ListenerConfig::new(any, ListenerKind::Gateway, Vec::new());
        listener.tls = Some(tls.clone());
        listener.error_detail = ErrorDetail::Full;
        change(&mut listener);
        let mut bound = Listener::bind(listener).await.expect("bind");
        let addr = bound.local_addr();
        for host in ["localhost", "other.localhost", "127.0.0.1"] {
            let origin = format!("https://{host}:{}", addr.port());
            bound = bound.with_origin(Origin::parse(&origin).expect("origin"));
        }
        let router = axum::Router::new().fallback(whoami);
        let (trigger, shutdown) = Shutdown::new();
        let serving = tokio::spawn(bound.serve(router, shutdown));
        Self {
            addr,
            tls,
            clock,
            trigger,
            serving,
        }
    }

    /// Waits until so many handshakes succeeded and failed; the last alert travels ahead of
    /// the count.
    pub(crate) async fn counts(&self, wanted: (u64, u64)) {
        let reached = async {
            while self.tls.handshakes() != wanted {
                tokio::task::yield_now().await;
            }
        };
        let reached = timeout(PATIENCE, reached).await;
        assert!(
            reached.is_ok(),
            "{:?} instead of {wanted:?}",
            self.tls.handshakes()
        );
    }

    pub(crate) async fn drain(self, patience: Duration) -> Drained {
        self.trigger.drain(patience);
        self.serving.await.expect("listener ends")
    }

    /// A request that leaves the connection open.
    pub(crate) fn get(&self) -> String {
        format!(
            "GET /who HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
            self.addr.port()
        )
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, client: &Client) -> std::io::Result<Answer> {
        let mut stream = client.connect(self.addr).await?;
        let request = self
            .get()
            .replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        stream.write_all(request.as_bytes()).await?;
        let mut received = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut received))
            .await
            .expect("the server ends the connection")?;
        Ok(answers(&received).remove(0))
    }

    /// Whether a client with this certificate is turned away by the handshake. With TLS 1.3
    /// the client has to read to learn of it.
    pub(crate) async fn refuses(&self, client: &Client) -> String {
        match self.ask(client).await {
            Ok(answer) => panic!("accepted: {answer:?}"),
            Err(error) => error.to_string(),
        }
    }
}

/// What the service found in the request: thumbprint and server name.
async fn whoami(
    Extension(peer): Extension<TlsPeer>,
    certificate: Option<Extension<PeerCertificate>>,
) -> String {
    let alone = certificate.map(|Extension(certificate)| certificate);
    assert_eq!(alone.as_ref(), peer.certificate());
    let thumbprint = alone.map_or_else(|| "nobody".to_owned(), |one| one.thumbprint().to_string());
    format!("{thumbprint} at {}", peer.server_name().unwrap_or("-"))
}

/// A client with or without a certificate.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) config: ClientConfig,
    pub(crate) name: &'static str,
}

impl Client {
    pub(crate) fn anonymous() -> Self {
        Self::made(None, &[&rustls::version::TLS13, &rustls::version::TLS12])
    }

    /// With `name.pem` and `name.key`.
    pub(crate) fn with(name: &str) -> Self {
        Self::with_chain(&[name], name)
    }

    /// With these certificates, leaf first, and the key of one of them.
    pub(crate) fn with_chain(chain: &[&str], key: &str) -> Self {
        let chain = chain.iter().flat_map(|name| certificates(name)).collect();
        Self::with_der(chain, key)
    }

    pub(crate) fn with_der(chain: Vec<CertificateDer<'static>>, key: &str) -> Self {
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        Self::made(Some((chain, private_key(key))), &versions)
    }

    /// The same over TLS 1.2 only.
    pub(crate) fn tls12(name: &str) -> Self {
        let identity = (certificates(name), private_key(name));
        Self::made(Some(identity), &[&rustls::version::TLS12])
    }

    fn made(
        identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates("first/ca") {
            roots.add(certificate).expect("an authority");
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .expect("verifier");
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_webpki_verifier(verifier);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = provider.key_provider.load_private_key(key).expect("a key");
                // No look at whether they belong together, or are in force.
                let certified = CertifiedKey::new(chain, key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
        };
        config.resumption = Resumption::in_memory_sessions(8);
        config.enable_early_data = true;
        Self {
            config,
            name: "localhost",
        }
    }

    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols
            .iter()
            .map(|one| one.as_bytes().to_vec())
            .collect();
        self
    }

    pub(crate) const fn naming(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) async fn connect(&self, addr: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        let name = ServerName::try_from(self.name).expect("a name");
        timeout(PATIENCE, connector.connect(name, stream))
            .await
            .expect("the server answers")
    }
}

/// The certificates in a file.
pub(crate) fn certificates(name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(PKI.file(&format!("{name}.pem")))
        .expect("readable")
        .collect::<Result<_, _>>()
        .expect("certificates")
}

/// `x5t#S256` of a file's first certificate.
pub(crate) fn thumbprint(name: &str) -> String {
    let leaf = certificates(name).remove(0);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &leaf);
    keybound_proto::base64url::encode(digest.as_ref())
}

fn private_key(name: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(Path::new(&PKI.file(&format!("{name}.key")))).expect("a key")
}

/// Reads one answer of known length from a connection that stays open.
pub(crate) async fn one_answer(stream: &mut TlsStream<TcpStream>) -> Answer {
    let mut received = Vec::new();
    let mut part = [0; 4096];
    loop {
        let count = timeout(PATIENCE, stream.read(&mut part))
            .await
            .expect("an answer in time")
            .expect("readable");
        assert!(count > 0, "closed after {received:?}");
        received.extend_from_slice(&part[..count]);
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next())
            .map_or(0, |length| length.parse::<usize>().expect("length"));
        if received.len() >= end + 4 + length {
            return answers(&received).remove(0);
        }
    }
}
