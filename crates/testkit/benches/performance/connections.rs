//! Memory of an idle connection to the gateway: with TLS and a client certificate, with TLS
//! alone, and without TLS. Each kind has a gateway of its own, and each connection has had one
//! request.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::load::{KeyServer, Server, resident, start_upstream};
use crate::row::{REPORTED, print};

/// Files of the server's certificate and key in the folder that a gateway is given.
pub(crate) const SERVER_CERTIFICATE: &str = "server.pem";
pub(crate) const SERVER_KEY: &str = "server.key";

/// Who connects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Tls,
    TlsWithCertificate,
}

pub(crate) fn run(quick: bool) {
    let count = if quick { 200 } else { 2_000 };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let per_connection = |kind| runtime.block_on(kibibytes(kind, count));
    let [plain, tls, certificate] =
        [Kind::Plain, Kind::Tls, Kind::TlsWithCertificate].map(per_connection);
    let what = "memory of an idle TLS connection to the gateway, with a client certificate";
    let baseline = ("the same without TLS", plain);
    print(what, "KiB", certificate, baseline, REPORTED);
    let what = "memory of an idle TLS connection to the gateway, without one";
    print(what, "KiB", tls, baseline, REPORTED);
}

/// Resident memory that each of `count` idle connections adds.
async fn kibibytes(kind: Kind, count: usize) -> f64 {
    let folder = TempDir::new().expect("a temporary directory");
    let connector = connector(folder.path(), kind);
    let issuer = keybound_custody::SoftwareKey::generate(keybound_proto::jose::Algorithm::Es256);
    let keys = KeyServer::start(&issuer.expect("a key"));
    let server = Server::start("gateway", &options(kind, &keys.url, folder.path()));
    // The first ones make what all share: buffers of the allocator, cached keys.
    let mut held = open(&connector, server.address, count / 10).await;
    let before = resident(server.id());
    held.extend(open(&connector, server.address, count).await);
    let added = resident(server.id()) - before;
    drop(held);
    added / count as f64
}

fn options(kind: Kind, issuer: &str, folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("UTF-8");
    let upstream = format!("http://{}", start_upstream());
    let mut options = vec!["--upstream", &upstream, "--issuer", issuer];
    options.extend(["--enforcement", "require"]);
    match kind {
        Kind::Plain => {}
        Kind::Tls => options.extend(["--tls", folder]),
        Kind::TlsWithCertificate => options.extend(["--tls", folder, "--client-certificates"]),
    }
    options.into_iter().map(str::to_owned).collect()
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

async fn open(
    connector: &Option<TlsConnector>,
    address: SocketAddr,
    count: usize,
) -> Vec<Box<dyn Stream>> {
    let mut held = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        let mut stream: Box<dyn Stream> = match connector {
            None => Box::new(stream),
            Some(connector) => {
                let name = ServerName::try_from("localhost").expect("a name");
                Box::new(connector.connect(name, stream).await.expect("a handshake"))
            }
        };
        ask(&mut stream, address).await;
        held.push(stream);
    }
    held
}

/// One request without a token: its answer shows that the connection is served.
async fn ask(stream: &mut Box<dyn Stream>, address: SocketAddr) {
    let host = format!("localhost:{}", address.port());
    let request = format!("GET /approvals HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut buffer = vec![0; 16_384];
    let mut held = 0;
    while !crate::load::is_whole(&buffer[..held]) {
        let length = stream.read(&mut buffer[held..]).await.expect("an answer");
        assert!(length > 0, "the server closed");
        held += length;
    }
    assert!(
        buffer.starts_with(b"HTTP/1.1 401"),
        "a token was not asked for"
    );
}

/// Writes the server's files into the folder and trusts them; `None` without TLS.
fn connector(folder: &Path, kind: Kind) -> Option<TlsConnector> {
    if kind == Kind::Plain {
        return None;
    }
    let (server, server_key) = certificate(&["localhost"]);
    let write = |name: &str, label: &str, der: &[u8]| {
        let path = folder.join(name);
        let text = STANDARD.encode(der);
        let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
        std::fs::write(&path, pem).expect("a writable directory");
        keep_private(&path);
    };
    write(SERVER_CERTIFICATE, "CERTIFICATE", server.der());
    write(SERVER_KEY, "PRIVATE KEY", &server_key.serialize_der());
    let mut roots = RootCertStore::empty();
    roots.add(server.der().clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match kind {
        Kind::TlsWithCertificate => {
            let (client, key) = certificate(&["batch"]);
            let chain: Vec<CertificateDer<'static>> = vec![client.der().clone()];
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
            builder
                .with_client_auth_cert(chain, key)
                .expect("a certificate and its key")
        }
        Kind::Plain | Kind::Tls => builder.with_no_client_auth(),
    };
    Some(TlsConnector::from(Arc::new(config)))
}

fn certificate(names: &[&str]) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let params = CertificateParams::new(names).expect("parameters");
    (params.self_signed(&key).expect("a certificate"), key)
}

fn keep_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, owner_only).expect("our own file");
}
