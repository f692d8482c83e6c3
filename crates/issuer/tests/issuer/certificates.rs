//! RFC 8705 at the issuer: clients known by certificate, tokens bound to one.
//!
//! The connection is stood in for: what a TLS listener adds to a request, and nothing else does,
//! is a `PeerCertificate` among its extensions. Real handshakes are tested with the listeners.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use keybound_issuer::config::{
    CertificateRenewal, CertificateUse, CertificatesConfig, ClientAuthentication, ClientConfig,
    IssuerConfig,
};
use keybound_proto::certificate::{ClientName, PeerCertificate, TrustAnchors};
use keybound_proto::uri::HttpUrl;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, SerialNumber,
};
use serde_json::{Value, json};

use crate::world::{self, ISSUER, MAIN, Reply, World, claims, encode};

pub(crate) const ALIAS: &str = "https://127.0.0.1:9443";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = dated("authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// In force for a year around the world's time.
fn dated(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2026, 7, 1);
    params.not_after = rcgen::date_time_ymd(2027, 7, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn client(serial: u64) -> CertificateParams {
    let mut params = dated("batch");
    params.serial_number = Some(SerialNumber::from(serial));
    params.subject_alt_names = vec![SanType::DnsName("batch.example.com".try_into().unwrap())];
    params
}

fn peer(params: &CertificateParams, key: &KeyPair, by: &Authority) -> PeerCertificate {
    let certificate = params.signed_by(key, by).unwrap();
    PeerCertificate::from_der(certificate.der(), Vec::new()).unwrap()
}

pub(crate) fn self_signed(name: &str, key: &KeyPair) -> PeerCertificate {
    let certificate = dated(name).self_signed(key).unwrap();
    PeerCertificate::from_der(certificate.der(), Vec::new()).unwrap()
}

pub(crate) const REQUIRED: CertificateUse = CertificateUse {
    required: true,
    sufficient: true,
    renewal: CertificateRenewal::Refused,
};

/// A world that asks for certificates, with one client more: `tls`.
async fn world_with(authentication: ClientAuthentication, certificate: CertificateUse) -> World {
    World::with(|config| change(config, authentication, certificate)).await
}

fn change(config: &mut IssuerConfig, with: ClientAuthentication, certificate: CertificateUse) {
    world::full(config);
    config.certificates = Some(CertificatesConfig {
        alias: Some(HttpUrl::parse(ALIAS).unwrap()),
    });
    let plain = config.clients.last().unwrap().clone();
    config.clients.push(ClientConfig {
        id: "tls".to_owned(),
        identity: None,
        authentication: with,
        certificate,
        ..plain
    });
}

fn by_name(by: &Authority, member: &str, value: &str) -> ClientAuthentication {
    ClientAuthentication::TlsClientAuth {
        name: ClientName::read(member, value).unwrap(),
        anchors: Arc::new(TrustAnchors::from_der([by.der().as_ref()]).unwrap()),
    }
}

fn by_dns(by: &Authority) -> ClientAuthentication {
    by_name(by, "tls_client_auth_san_dns", "batch.example.com")
}

fn with_keys(jwks: &Value) -> ClientAuthentication {
    ClientAuthentication::SelfSignedTlsClientAuth {
        jwks: jwks.to_string(),
    }
}

const FORM: [(&str, &str); 3] = [
    ("grant_type", "client_credentials"),
    ("client_id", "tls"),
    ("resource", MAIN),
];

/// A request as the listener of a connection with this certificate hands it on.
pub(crate) fn request(
    path: &str,
    form: &[(&str, &str)],
    headers: &[(&str, &str)],
    certificate: Option<&PeerCertificate>,
) -> Request<Body> {
    let mut request =
        Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(certificate) = certificate {
        request = request.extension(certificate.clone());
    }
    request.body(Body::from(encode(form))).unwrap()
}

async fn token(world: &World, certificate: Option<&PeerCertificate>) -> Reply {
    world.send(request("/token", &FORM, &[], certificate)).await
}

fn granted(reply: &Reply) -> (Value, Value) {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let answer = reply.json();
    let token = claims(answer["access_token"].as_str().unwrap());
    (answer, token)
}

#[tokio::test]
async fn a_certificate_of_another_authority_key_or_name_authenticates_nobody() {
    let (mine, other) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let world = world_with(by_dns(&mine), REQUIRED).await;
    token(&world, None).await.cause("certificate.absent");
    let impostor = peer(&client(1), &key, &other);
    token(&world, Some(&impostor))
        .await
        .cause("certificate.untrusted");
    let nobody = peer(&dated("batch"), &key, &mine);
    token(&world, Some(&nobody))
        .await
        .cause("certificate.subject");
    let mut server = client(1);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    token(&world, Some(&peer(&server, &key, &mine)))
        .await
        .cause("certificate.purpose");
    let mut old = client(1);
    old.not_after = rcgen::date_time_ymd(2027, 1, 1);
    token(&world, Some(&peer(&old, &key, &mine)))
        .await
        .cause("certificate.expired");
    let refused = token(&world, Some(&impostor)).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["error"], "invalid_client");
    assert_eq!(world.events("token_issued").await.len(), 0);
}

#[tokio::test]
async fn sc_161_certificate_headers_are_not_looked_at() {
    use base64::Engine as _;
    let mine = authority();
    let world = world_with(by_dns(&mine), REQUIRED).await;
    let good = peer(&client(1), &KeyPair::generate().unwrap(), &mine);
    let der = base64::engine::general_purpose::STANDARD.encode(good.der());
    for (name, value) in [
        ("client-cert", format!(":{der}:")),
        (
            "x-forwarded-client-cert",
            format!("Cert=\"{der}\";Subject=\"CN=batch\""),
        ),
        ("x-ssl-client-cert", der.clone()),
        ("x-client-cert", der.clone()),
        ("x-amzn-mtls-clientcert", der.clone()),
    ] {
        let reply = world
            .send(request("/token", &FORM, &[(name, &value)], None))
            .await;
        reply.cause("certificate.absent");
    }
}

#[tokio::test]
async fn each_of_the_five_names_denies_and_allows() {
    let mine = authority();
    let key = KeyPair::generate().unwrap();
    let mut params = client(1);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Example, Inc.");
    params.subject_alt_names.extend([
        SanType::URI("spiffe://example.com/batch".try_into().unwrap()),
        SanType::Rfc822Name("batch@example.com".try_into().unwrap()),
        SanType::IpAddress([192, 0, 2, 1].into()),
    ]);
    let good = peer(&params, &key, &mine);
    for (member, wrong, right) in [
        (
            "tls_client_auth_subject_dn",
            "CN=batch,O=Example\\, Inc.",
            "O=Example\\, Inc.,CN=batch",
        ),
        (
            "tls_client_auth_san_dns",
            "example.com",
            "batch.example.com",
        ),
        (
            "tls_client_auth_san_uri",
            "spiffe://example.com/",
            "spiffe://example.com/batch",
        ),
        ("tls_client_auth_san_ip", "192.0.2.10", "192.0.2.1"),
        (
            "tls_client_auth_san_email",
            "x@example.com",
            "batch@example.com",
        ),
    ] {
        let denied = world_with(by_name(&mine, member, wrong), REQUIRED).await;
        token(&denied, Some(&good))
            .await
            .cause("certificate.subject");
        let allowed = world_with(by_name(&mine, member, right), REQUIRED).await;
        granted(&token(&allowed, Some(&good)).await);
    }
}

#[tokio::test]
async fn sc_165_a_name_inside_a_name_is_another_name() {
    let mine = authority();
    let world = world_with(
        by_name(&mine, "tls_client_auth_subject_dn", "CN=a"),
        REQUIRED,
    )
    .await;
    let key = KeyPair::generate().unwrap();
    for hidden in ["b,CN=a", "a\\,CN=a", "a,CN=b", "a+CN=b", "a\0b", "\u{430}"] {
        let mut params = dated(hidden);
        params.subject_alt_names = Vec::new();
        token(&world, Some(&peer(&params, &key, &mine)))
            .await
            .cause("certificate.subject");
    }
    granted(&token(&world, Some(&peer(&dated("A"), &key, &mine))).await);
}

#[tokio::test]
async fn a_token_is_bound_to_the_certificate_and_introspection_says_so() {
    let mine = authority();
    let world = world_with(by_dns(&mine), REQUIRED).await;
    let certificate = peer(&client(1), &KeyPair::generate().unwrap(), &mine);
    let (answer, token) = granted(&token(&world, Some(&certificate)).await);
    let x5t = certificate.thumbprint().to_string();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(token["cnf"], json!({"x5t#S256": x5t}));
    let text = answer["access_token"].as_str().unwrap();
    let form = [("client_id", "tls"), ("token", text)];
    let without = world.send(request("/introspect", &form, &[], None)).await;
    without.cause("certificate.absent");
    let told = world
        .send(request("/introspect", &form, &[], Some(&certificate)))
        .await
        .json();
    assert_eq!(told["active"], true);
    assert_eq!(told["cnf"], json!({"x5t#S256": x5t}));
    assert_eq!(told["token_type"], "Bearer");
}

#[tokio::test]
async fn a_client_that_must_be_bound_never_gets_an_unbound_token() {
    let world = World::with(|config| {
        world::full(config);
        config.certificates = Some(CertificatesConfig::default());
        for client in &mut config.clients {
            client.certificate = REQUIRED;
        }
    })
    .await;
    // By assertion, with a proof, and exempted: without a certificate there is nothing.
    let reply = world.token(&world.assertion(), Some(&world.proof())).await;
    reply.cause("client.certificate_required");
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"], "invalid_request");
    let authorization = world::basic("exempt", "secret-of-exempt");
    let form = [("grant_type", "client_credentials"), ("resource", MAIN)];
    let exempt = world
        .post("/token", &form, &[("authorization", &authorization)])
        .await;
    exempt.cause("client.certificate_required");
}

#[tokio::test]
async fn sc_118_with_a_proof_beside_the_certificate_the_token_names_both() {
    let key = KeyPair::generate().unwrap();
    let any = self_signed("anybody", &key);
    let both = CertificateUse {
        sufficient: false,
        ..REQUIRED
    };
    for (wanted, alone) in [(both, 400), (REQUIRED, 200)] {
        let world = World::with(|config| {
            world::full(config);
            config.certificates = Some(CertificatesConfig::default());
            config.clients.last_mut().unwrap().certificate = wanted;
        })
        .await;
        let assertion = world.assertion();
        let form = world::token_form(&assertion);
        let reply = world.send(request("/token", &form, &[], Some(&any))).await;
        assert_eq!(reply.status, alone, "{}", reply.text);
        let assertion = world.assertion();
        let form = world::token_form(&assertion);
        let proof = world.proof();
        let reply = world
            .send(request("/token", &form, &[("dpop", &proof)], Some(&any)))
            .await;
        let (answer, token) = granted(&reply);
        assert_eq!(answer["token_type"], "DPoP");
        assert_eq!(token["cnf"]["x5t#S256"], any.thumbprint().to_string());
        assert!(token["cnf"]["jkt"].is_string());
    }
}

#[tokio::test]
async fn sc_176_renewal_is_in_the_token_only_where_the_client_has_it() {
    let mine = authority();
    let key = KeyPair::generate().unwrap();
    let renewing = CertificateUse {
        renewal: CertificateRenewal::SamePublicKey,
        ..REQUIRED
    };
    let strict = world_with(by_dns(&mine), REQUIRED).await;
    let lenient = world_with(by_dns(&mine), renewing).await;
    let (first, renewed) = (peer(&client(1), &key, &mine), peer(&client(2), &key, &mine));
    assert_ne!(first.thumbprint(), renewed.thumbprint());
    let (_, token_of_strict) = granted(&token(&strict, Some(&first)).await);
    let members = token_of_strict["cnf"].as_object().unwrap();
    assert_eq!(members.len(), 1);
    let (_, token_of_lenient) = granted(&token(&lenient, Some(&first)).await);
    let cnf = &token_of_lenient["cnf"];
    // Whoever knows RFC 8705 only still asks for the certificate of the issuance.
    assert_eq!(cnf["x5t#S256"], first.thumbprint().to_string());
    let spki = cnf["urn:keybound:cnf:renewal"]["spki"].as_str().unwrap();
    assert_eq!(spki, renewed.spki_thumbprint().to_string());
}

/// The window begins with the certificate and ends so long after the token; a certificate without
/// exactly one SPIFFE ID has none that could stand in for it.
#[tokio::test]
async fn renewal_by_spiffe_id_names_the_workload_and_the_window() {
    let (mine, key) = (authority(), KeyPair::generate().unwrap());
    let renewing = CertificateUse {
        renewal: CertificateRenewal::SameSpiffeId { window: 600 },
        ..REQUIRED
    };
    let world = world_with(by_dns(&mine), renewing).await;
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let id = "spiffe://example.org/batch";
    for more in [
        vec![],
        vec![uri(id), uri("spiffe://example.org/other")],
        vec![uri("https://example.org/batch")],
    ] {
        let mut params = client(1);
        params.subject_alt_names.extend(more);
        let (_, strict) = granted(&token(&world, Some(&peer(&params, &key, &mine))).await);
        assert_eq!(strict["cnf"].as_object().unwrap().len(), 1, "{strict}");
    }
    let mut params = client(2);
    params.subject_alt_names.push(uri(id));
    let certificate = peer(&params, &key, &mine);
    let (_, token) = granted(&token(&world, Some(&certificate)).await);
    let expected = json!({
        "spiffe_id": id,
        "issued_from": certificate.not_before().as_secs(),
        "issued_until": token["iat"].as_u64().unwrap() + 600,
    });
    assert_eq!(token["cnf"]["urn:keybound:cnf:renewal"], expected);
    assert_eq!(
        token["cnf"]["x5t#S256"],
        certificate.thumbprint().to_string()
    );
}

#[tokio::test]
async fn self_signed_certificates_are_known_by_themselves_or_by_their_key() {
    use base64::Engine as _;
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (mine, renewed) = (self_signed("batch", &key), self_signed("renewed", &key));
    let stranger = self_signed("batch", &other);
    let jwk: Value = serde_json::from_str(&mine.public_key().unwrap().to_jwk()).unwrap();
    let mut with_x5c = jwk.clone();
    let der = base64::engine::general_purpose::STANDARD.encode(mine.der());
    with_x5c["x5c"] = json!([der]);
    let by_key = world_with(with_keys(&json!({"keys": [jwk]})), REQUIRED).await;
    let by_certificate = world_with(with_keys(&json!({"keys": [with_x5c]})), REQUIRED).await;
    for world in [&by_key, &by_certificate] {
        token(world, None).await.cause("certificate.absent");
        token(world, Some(&stranger))
            .await
            .cause("certificate.unregistered");
        granted(&token(world, Some(&mine)).await);
    }
    granted(&token(&by_key, Some(&renewed)).await);
    token(&by_certificate, Some(&renewed))
        .await
        .cause("certificate.unregistered");
}

#[tokio::test]
async fn sc_303_the_registered_method_is_the_only_one() {
    let mine = authority();
    let certificate = peer(&client(1), &KeyPair::generate().unwrap(), &mine);
    let world = world_with(by_dns(&mine), REQUIRED).await;
    // The certificate of `tls` is no authentication of anybody else.
    for id in ["batch", "basic"] {
        let form = [("grant_type", "client_credentials"), ("client_id", id)];
        let reply = world
            .send(request("/token", &form, &[], Some(&certificate)))
            .await;
        reply.cause("client.authentication.method");
    }
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "nobody"),
    ];
    let unknown = world
        .send(request("/token", &form, &[], Some(&certificate)))
        .await;
    unknown.cause("client.unknown");
    let none = [("grant_type", "client_credentials")];
    let without_id = world
        .send(request("/token", &none, &[], Some(&certificate)))
        .await;
    without_id.cause("client.authentication.absent");
    let authorization = world::basic("tls", "guess");
    let headers = [("authorization", authorization.as_str())];
    let with_secret = world
        .send(request("/token", &none, &headers, Some(&certificate)))
        .await;
    with_secret.cause("client.authentication.method");
}

#[tokio::test]
async fn a_locked_key_gets_no_token_by_its_certificate() {
    use keybound_proto::signal::Subject;
    let mine = authority();
    let key = KeyPair::generate().unwrap();
    let world = world_with(by_dns(&mine), REQUIRED).await;
    let certificate = peer(&client(1), &key, &mine);
    granted(&token(&world, Some(&certificate)).await);
    let subject = Subject::Key(certificate.jkt().unwrap());
    let locked = world.store.lock(subject, "operator", None, None).await;
    locked.unwrap();
    let renewed = peer(&client(2), &key, &mine);
    token(&world, Some(&renewed)).await.cause("key.locked");
}

/// The thumbprint of one certificate locks that certificate, and no other of its key.
#[tokio::test]
async fn a_locked_certificate_gets_no_token_and_its_tokens_are_not_active() {
    use keybound_proto::signal::Subject;
    let mine = authority();
    let key = KeyPair::generate().unwrap();
    let world = world_with(by_dns(&mine), REQUIRED).await;
    let certificate = peer(&client(1), &key, &mine);
    let (issued, _) = granted(&token(&world, Some(&certificate)).await);
    let renewed = peer(&client(2), &key, &mine);
    let subject = Subject::certificate(certificate.thumbprint());
    let locked = world.store.lock(subject, "operator", None, None).await;
    locked.unwrap();
    token(&world, Some(&certificate)).await.cause("key.locked");
    granted(&token(&world, Some(&renewed)).await);
    let form = [
        ("client_id", "tls"),
        ("token", issued["access_token"].as_str().unwrap()),
    ];
    let answer = world
        .send(request("/introspect", &form, &[], Some(&renewed)))
        .await;
    assert_eq!(answer.json(), json!({ "active": false }));
}

#[tokio::test]
async fn metadata_names_the_methods_and_the_aliases() {
    let mine = authority();
    let world = world_with(by_dns(&mine), REQUIRED).await;
    let metadata = world
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    assert_eq!(
        metadata["mtls_endpoint_aliases"],
        json!({
            "token_endpoint": format!("{ALIAS}/token"),
            "introspection_endpoint": format!("{ALIAS}/introspect"),
            "revocation_endpoint": format!("{ALIAS}/revoke"),
        })
    );
    let methods = metadata["token_endpoint_auth_methods_supported"]
        .as_array()
        .unwrap();
    for method in ["tls_client_auth", "self_signed_tls_client_auth"] {
        assert!(methods.contains(&json!(method)), "{method}");
    }
    let plain = World::new().await;
    let metadata = plain
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert!(metadata.get("mtls_endpoint_aliases").is_none());
    assert!(!metadata.to_string().contains("tls_client"));
}

/// `htu` is the URL of the address the request came in by, and only that.
#[tokio::test]
async fn a_proof_for_one_address_is_none_for_the_other() {
    use tower::ServiceExt;
    let mine = authority();
    let world = world_with(by_dns(&mine), REQUIRED).await;
    let certificate = peer(&client(1), &KeyPair::generate().unwrap(), &mine);
    let alias = world.issuer.alias_router();
    for (htu, at_alias, expected) in [
        (format!("{ISSUER}/token"), false, 200),
        (format!("{ISSUER}/token"), true, 400),
        (format!("{ALIAS}/token"), true, 200),
        (format!("{ALIAS}/token"), false, 400),
    ] {
        let proof = world.proof_with(|claims| claims["htu"] = json!(htu));
        let request = request("/token", &FORM, &[("dpop", &proof)], Some(&certificate));
        let router = if at_alias { &alias } else { &world.router };
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected, "{htu} at alias: {at_alias}");
    }
}

#[tokio::test]
async fn a_client_registers_with_one_name_or_with_its_certificate() {
    let mine = authority();
    let key = KeyPair::generate().unwrap();
    let certificate = peer(&client(1), &key, &mine);
    let anchors = Arc::new(TrustAnchors::from_der([mine.der().as_ref()]).unwrap());
    let world = World::with(|config| {
        world::full(config);
        config.certificates = Some(CertificatesConfig::default());
        config.registration.client_anchors = Some(anchors);
    })
    .await;
    let register = async |metadata: Value| {
        world
            .post_json("/register", metadata.to_string(), &[])
            .await
    };
    let dns = json!({
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "batch.example.com",
        "tls_client_certificate_bound_access_tokens": true,
        "use_mtls_endpoint_aliases": true,
    });
    for (member, value) in [
        ("tls_client_auth_san_ip", json!("192.0.2.1")),
        ("tls_client_auth_san_dns", json!("*.example.com")),
        ("tls_client_auth_san_dns", json!(null)),
        ("tls_client_auth_subject_dn", json!("CN=a, O=b")),
        ("tls_client_certificate_bound_access_tokens", json!("yes")),
        ("use_mtls_endpoint_aliases", json!(1)),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
    ] {
        let mut changed = dns.clone();
        changed[member] = value;
        register(changed).await.cause("registration.metadata");
    }
    let registered = register(dns).await;
    assert_eq!(registered.status, 201, "{}", registered.text);
    let registered = registered.json();
    assert_eq!(registered["tls_client_auth_san_dns"], "batch.example.com");
    assert_eq!(
        registered["tls_client_certificate_bound_access_tokens"],
        true
    );
    assert_eq!(registered["dpop_bound_access_tokens"], false);
    assert_eq!(registered["use_mtls_endpoint_aliases"], true);
    let id = registered["client_id"].as_str().unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("resource", MAIN),
    ];
    let reply = world.send(request("/token", &form, &[], None)).await;
    reply.cause("certificate.absent");
    let reply = world
        .send(request("/token", &form, &[], Some(&certificate)))
        .await;
    let (_, token) = granted(&reply);
    assert_eq!(
        token["cnf"]["x5t#S256"],
        certificate.thumbprint().to_string()
    );

    let jwk: Value = serde_json::from_str(&certificate.public_key().unwrap().to_jwk()).unwrap();
    let by_key = register(json!({
        "token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": {"keys": [jwk]},
    }))
    .await;
    // Not asked for, so bound as everybody is.
    assert_eq!(
        by_key.json()["dpop_bound_access_tokens"],
        true,
        "{}",
        by_key.text
    );
    let without = World::with(world::full).await;
    let refused = json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example"});
    let reply = without
        .post_json("/register", refused.to_string(), &[])
        .await;
    reply.cause("registration.metadata");
}
