//! Servers whose TLS is not in order: each gets an error that names the fault and the next step.

use std::net::SocketAddr;
use std::sync::Arc;

use keybound_probe::{
    CertificateFault, NoAnswer, ProbeError, ResourceServer, Silent, TlsOptions, Verdict,
};
use keybound_proto::uri::HttpUrl;
use keybound_testkit::answer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{options, target, timing};

/// An authority made for one test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A server's certificate and key for this name, changed as the test wants.
    fn server(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        (certificate.der().clone(), key)
    }
}

/// Answers every connection with one refusal, over TLS.
struct Serving(SocketAddr, JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.1.abort();
    }
}

async fn serve(identity: (CertificateDer<'static>, PrivateKeyDer<'static>)) -> Serving {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.0], identity.1)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&answer("500 Bad", "", "")).await;
            let _ = stream.shutdown().await;
        }
    });
    Serving(address, task)
}

/// Probes the name `api.example` at this address, trusting this authority.
async fn probe(address: SocketAddr, authority: &Authority) -> Result<(), ProbeError> {
    let server = ResourceServer {
        url: HttpUrl::parse("https://api.example/approvals").expect("a URL"),
        ..target("https://api.example")
    };
    let mut options = options();
    options.connect_to = Some(address);
    options.tls = TlsOptions {
        authorities: vec![authority.certificate()],
        ..TlsOptions::default()
    };
    let report = server.probe(&options, &timing(), &Silent).await?;
    let decided = |verdict| matches!(verdict, Verdict::Enforced | Verdict::NotEnforced);
    assert!(!report.findings.iter().any(|found| decided(found.verdict)));
    Ok(())
}

fn fault(result: Result<(), ProbeError>) -> (CertificateFault, String) {
    let error = result.expect_err("an error");
    let next = error.next_step();
    match error {
        ProbeError::NoAnswer(NoAnswer::Certificate(_, fault)) => (fault, next),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_good_certificate_is_taken() {
    let authority = Authority::new();
    let server = serve(authority.server("api.example", |_| {})).await;
    probe(server.0, &authority).await.expect("a report");
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_next_step() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    };
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2200, 1, 1);
    for (identity, expected, told) in [
        (
            theirs.server("api.example", |_| {}),
            CertificateFault::UnknownAuthority,
            "--ca-cert",
        ),
        (
            ours.server("api.example", expired),
            CertificateFault::Expired,
            "renew",
        ),
        (
            ours.server("api.example", early),
            CertificateFault::NotYetValid,
            "clocks",
        ),
        (
            ours.server("other.example", |_| {}),
            CertificateFault::OtherName,
            "host name",
        ),
    ] {
        let server = serve(identity).await;
        let (fault, next) = fault(probe(server.0, &ours).await);
        assert_eq!(fault, expected);
        assert!(next.contains(told), "{next}");
    }
}

#[tokio::test]
async fn plain_http_where_tls_is_expected() {
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = plain.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(&answer("400 Bad Request", "", "")).await;
        }
    });
    let error = probe(address, &Authority::new())
        .await
        .expect_err("an error");
    assert!(
        matches!(error, ProbeError::NoAnswer(NoAnswer::NoTls(_))),
        "{error:?}"
    );
    assert!(error.next_step().contains("http://"));
    task.abort();
}

#[tokio::test]
async fn tls_where_plain_http_is_expected() {
    let authority = Authority::new();
    let server = serve(authority.server("127.0.0.1", |_| {})).await;
    let result = target(&format!("http://{}", server.0))
        .probe(&options(), &timing(), &Silent)
        .await;
    let error = result.expect_err("an error");
    assert!(
        matches!(error, ProbeError::NoAnswer(NoAnswer::Broken(_))),
        "{error:?}"
    );
    assert!(error.next_step().contains("with or without TLS"));
}
