//! Our side of `cargo xtask interop spire`: what a SPIRE agent hands out, through our
//! client, our checks and our guard.
//!
//! `spire SOCKET TRUST_DOMAIN SPIFFE_ID`. Fetches the X.509-SVID and a JWT-SVID of this
//! process, makes a TLS 1.3 handshake with the certificate, and has a guard whose trust
//! bundle comes from the Workload API judge requests on that connection.

#![expect(clippy::print_stdout, reason = "a program that reports to its caller")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use keybound_guard::workload::{BundleSource, TrustDomainConfig, WorkloadApi, WorkloadApiError};
use keybound_guard::{Guard, GuardConfig, HttpRequest, NullSink, RequestFacts, Route};
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::jose::Jws;
use keybound_proto::time::{Clock, ManualClock, UnixTime};
use keybound_proto::uri::Origin;
use keybound_proto::workload::api::{self, BundleKind, X509SvidMessage};
use keybound_proto::workload::{
    IdentityRule, JwtSvidRules, KeyUse, TrustBundle, TrustDomain, UnverifiedJwtSvid,
    WorkloadProfile, WorkloadTokenRules, X509Svid,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Outcome<T> = Result<T, Box<dyn Error>>;

const AUDIENCE: &str = "https://auth.example.com";

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, domain, id] = arguments.as_slice() else {
        return Err("usage: spire SOCKET TRUST_DOMAIN SPIFFE_ID".into());
    };
    let domain = TrustDomain::new("spiffe", domain)?;
    let api = WorkloadApi::new(Path::new(socket));
    let svid = first_svid(&api).await?;
    check(svid.spiffe_id.as_str() == id, "the identity is ours")?;
    let certificate = peer(&svid.chain)?;
    let now = certificate.not_before().plus(30);
    let bundle = bundle(&api, &domain).await?;
    let verified = X509Svid::verify(&certificate, &domain, &bundle, now).map_err(text)?;
    check(verified.id().as_str() == id, "the certificate names it")?;
    jwt_svid(&api, (&domain, &bundle), id).await?;
    let seen = handshake(&svid).await?;
    check(
        seen == certificate,
        "the connection showed that certificate",
    )?;
    guard((socket, &domain, id), &seen, now).await
}

/// An agent learns of an entry after some seconds; until then it says that nobody is known.
async fn first_svid(api: &WorkloadApi) -> Outcome<X509SvidMessage> {
    for _ in 0..120 {
        match api.first_message(api::method::FETCH_X509_SVID, &[]).await {
            Ok(message) => {
                let svids = api::read_x509_svids(&message)?;
                return svids.into_iter().next().ok_or_else(|| "no identity".into());
            }
            // 7: this process has no identity yet.
            Err(WorkloadApiError::Status(7)) => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err("the agent issues no identity".into())
}

fn peer(chain: &[u8]) -> Outcome<PeerCertificate> {
    let mut chain = api::split_certificates(chain)?;
    let leaf = chain.remove(0);
    Ok(PeerCertificate::from_der(&leaf, chain)?)
}

async fn bundle(api: &WorkloadApi, domain: &TrustDomain) -> Outcome<TrustBundle> {
    let mut bundle = TrustBundle::default();
    let message = api
        .first_message(api::method::FETCH_X509_BUNDLES, &[])
        .await?;
    let der = api::read_bundle(&message, BundleKind::X509, domain)?;
    for authority in api::split_certificates(der)? {
        bundle.add_authority(authority);
    }
    let message = api
        .first_message(api::method::FETCH_JWT_BUNDLES, &[])
        .await?;
    let keys = api::read_bundle(&message, BundleKind::Keys, domain)?;
    bundle.add_keys(keys, KeyUse::Jwt)?;
    check(!bundle.authorities().is_empty(), "there are authorities")?;
    check(!bundle.jwt_keys().is_empty(), "there are JWT keys")?;
    Ok(bundle)
}

async fn jwt_svid(
    api: &WorkloadApi,
    (domain, bundle): (&TrustDomain, &TrustBundle),
    id: &str,
) -> Outcome<()> {
    let request = api::jwt_svid_request(AUDIENCE);
    let message = api
        .first_message(api::method::FETCH_JWT_SVID, &request)
        .await?;
    let svids = api::read_jwt_svids(&message)?;
    let (_, token) = svids.first().ok_or("no JWT-SVID")?;
    let parsed = UnverifiedJwtSvid::parse(token.as_bytes(), 8192).map_err(text)?;
    // Nothing here reads a clock: the present is a second after the token was made.
    let claims = Jws::parse(token.as_bytes(), 8192)?;
    let issued = claims.claims()?.unsigned("iat")?.ok_or("no iat")?;
    let now = UnixTime::from_secs(issued).plus(1);
    let rules = |audience| JwtSvidRules {
        trust_domain: domain,
        audience,
        max_lifetime: 3600,
        ahead: 60,
    };
    let verified = parsed.verify(&rules(AUDIENCE), bundle, now).map_err(text)?;
    check(verified.subject().as_str() == id, "the JWT-SVID names it")?;
    let other = parsed.verify(&rules("https://other.example.com"), bundle, now);
    check(other.is_err(), "another receiver refuses the JWT-SVID")?;
    let later = parsed.verify(&rules(AUDIENCE), bundle, now.plus(7200));
    check(later.is_err(), "the JWT-SVID expires")
}

/// TLS 1.3 within this process, the SVID on both sides; gives the certificate the server saw.
async fn handshake(svid: &X509SvidMessage) -> Outcome<PeerCertificate> {
    let chain: Vec<CertificateDer<'static>> = api::split_certificates(&svid.chain)?
        .into_iter()
        .map(CertificateDer::from)
        .collect();
    let key = || PrivateKeyDer::from(PrivatePkcs8KeyDer::from(svid.key.to_vec()));
    let mut roots = rustls::RootCertStore::empty();
    for authority in api::split_certificates(&svid.bundle)? {
        roots.add(CertificateDer::from(authority))?;
    }
    let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
    let server = rustls::ServerConfig::builder()
        .with_client_cert_verifier(clients)
        .with_single_cert(chain.clone(), key())?;
    let client = rustls::ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(any_server::AnyServer))
        .with_client_auth_cert(chain, key())?;
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accept = TlsAcceptor::from(Arc::new(server)).accept(far);
    let name = ServerName::try_from("localhost")?;
    let connect = TlsConnector::from(Arc::new(client)).connect(name, near);
    let (accepted, connected) = tokio::join!(accept, connect);
    connected?;
    let accepted = accepted?;
    let (_, connection) = accepted.get_ref();
    let seen = connection
        .peer_certificates()
        .ok_or("no client certificate")?;
    let [leaf, rest @ ..] = seen else {
        return Err("an empty chain".into());
    };
    let rest = rest.iter().map(|der| der.to_vec()).collect();
    Ok(PeerCertificate::from_der(leaf, rest)?)
}

async fn guard(
    (socket, domain, id): (&str, &TrustDomain, &str),
    certificate: &PeerCertificate,
    now: UnixTime,
) -> Outcome<()> {
    let clock = ManualClock::at(now.as_secs());
    let rules = WorkloadTokenRules::new(domain.clone(), WorkloadProfile::Spiffe);
    let source = BundleSource::WorkloadApi(PathBuf::from(socket));
    let mut config = GuardConfig::new("interop", Vec::new(), [7; 32]);
    config.trust_domains = vec![TrustDomainConfig::new(rules, source)];
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let guard = Guard::new(config, shared, Arc::new(NullSink))?;
    let origin = Origin::parse("https://api.example.com")?;
    let mut route = Route::new("/approvals", "https://api.example.com/");
    let headers = HeaderMap::new();
    let request = HttpRequest {
        has_content: false,
        method: &Method::GET,
        path_and_query: "/approvals",
        headers: &headers,
        certificate: Some(certificate),
        certificate_hash: None,
    };
    let facts = RequestFacts::default();
    route.identities = vec![IdentityRule::parse(&format!("{domain}/somebody/else"))?];
    let refused = guard.check_http(&request, &origin, &route, &facts).await;
    check(refused.is_err(), "a route for somebody else refuses it")?;
    route.identities = vec![IdentityRule::parse(id)?];
    let taken = guard.check_http(&request, &origin, &route, &facts).await;
    let taken = taken.map_err(text)?;
    check(taken.token().subject() == id, "the guard knows who calls")?;
    clock.advance_secs(86_400);
    let late = guard.check_http(&request, &origin, &route, &facts).await;
    check(late.is_err(), "an expired certificate is refused")
}

fn check(holds: bool, what: &str) -> Outcome<()> {
    if !holds {
        return Err(format!("not so: {what}").into());
    }
    println!("ok: {what}");
    Ok(())
}

fn text(rejection: keybound_proto::Rejection) -> String {
    rejection.to_string()
}

/// The client of the handshake does not judge the server: an X.509-SVID has no DNS name.
mod any_server {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub(super) struct AnyServer;

    impl ServerCertVerifier for AnyServer {
        fn verify_server_cert(
            &self,
            _end_entity: &CertificateDer<'_>,
            _intermediates: &[CertificateDer<'_>],
            _server_name: &ServerName<'_>,
            _ocsp_response: &[u8],
            _now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![
                SignatureScheme::ECDSA_NISTP256_SHA256,
                SignatureScheme::ECDSA_NISTP384_SHA384,
                SignatureScheme::RSA_PSS_SHA256,
            ]
        }
    }
}
