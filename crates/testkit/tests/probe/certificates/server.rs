//! A server over TLS that takes one token, bound to one certificate, without one of its checks.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, HandshakeKind, ServerConfig, SignatureScheme,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::authority::{Authority, Client};

/// Where a server is lax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lax {
    Nowhere,
    /// No certificate is as good as the right one.
    Absent,
    /// Any certificate is.
    Any,
    /// Any certificate of the owner's subject is.
    Subject,
    /// Any certificate of the owner's key is.
    Key,
    /// The handshake's signature is not verified.
    Unsigned,
    /// A header field of this name is taken for a certificate.
    Header(&'static str),
    /// A resumed session is not looked at again.
    Resumed,
    /// A resumed session has lost its certificate.
    Forgetful,
}

struct Rules {
    lax: Lax,
    authorization: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// Listens until the test ends.
pub(super) async fn start(
    authority: &Authority,
    owner: &Client,
    token: &str,
    lax: Lax,
) -> SocketAddr {
    let identity = authority.client("server").identity;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(Arc::new(AnyCertificate {
            signed: lax != Lax::Unsigned,
            provider,
        }))
        .with_single_cert(identity.chain, identity.key)
        .expect("a configuration");
    let rules = Arc::new(Rules {
        lax,
        authorization: format!("authorization: bearer {}\r\n", token.to_ascii_lowercase()),
        certificate: owner.identity.chain[0].clone(),
        key: owner.key.public_key_raw().to_vec(),
    });
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, rules) = (acceptor.clone(), Arc::clone(&rules));
            // A client may leave at any time.
            tokio::spawn(async move { serve(acceptor, stream, &rules).await.ok() });
        }
    });
    address
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, rules: &Rules) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let connection = stream.get_ref().1;
    let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    let status = if rules.allow(&head, certificate, resumed) {
        "200 OK"
    } else {
        "401 Unauthorized"
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

impl Rules {
    fn allow(&self, head: &str, certificate: Option<&CertificateDer<'_>>, resumed: bool) -> bool {
        if !head.contains(&self.authorization) {
            return false;
        }
        let has = |part: &[u8]| {
            certificate.is_some_and(|der| der.windows(part.len()).any(|window| window == part))
        };
        let right = certificate == Some(&self.certificate);
        match self.lax {
            Lax::Nowhere | Lax::Unsigned => right,
            Lax::Absent => right || certificate.is_none(),
            Lax::Any => certificate.is_some(),
            Lax::Subject => has(b"the-owner"),
            Lax::Key => has(&self.key),
            Lax::Header(name) => right || head.contains(&format!("\n{name} ")),
            Lax::Resumed => right || resumed,
            Lax::Forgetful => right && !resumed,
        }
    }
}

/// Asks for a certificate, takes none or any, and remembers it with the session.
#[derive(Debug)]
struct AnyCertificate {
    signed: bool,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !self.signed {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
