//! What a listener refuses to start with, and reading its files again.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use keybound_edge::listener::tls::{
    ClientCertificates, ClientTrust, Reloaded, Tls, TlsConfig, TlsError,
};
use keybound_edge::listener::{Listener, ListenerConfig, ListenerKind};
use keybound_proto::time::ManualClock;

use super::pki::{FAR, PAST, PKI, SOON_SECONDS, openssl};
use super::world::{Client, TlsWorld, thumbprint};
use crate::world::NOW;

fn load(config: TlsConfig) -> Result<Tls, TlsError> {
    Tls::load(config, Arc::new(ManualClock::at(NOW)))
}

fn refused(config: TlsConfig) -> TlsError {
    load(config).map(|_| ()).expect_err("refused")
}

fn with_ca(ca: PathBuf, crls: Vec<PathBuf>) -> TlsConfig {
    let trust = ClientTrust::Authorities { ca, crls };
    PKI.config(ClientCertificates::Required(trust))
}

#[test]
fn sc_168_a_file_of_authorities_that_trusts_nobody_or_cannot_be_read_refuses_to_start() {
    let missing = PKI.file("no-such-file.pem");
    let folder = PKI.file("first");
    let empty = PKI.write("empty-ca.pem", "");
    let text = PKI.write("text-ca.pem", "these are not certificates\n");
    let broken = PKI.write(
        "broken-ca.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let keys_only = PKI.file("first/owner.key");
    for (path, wanted) in [
        (missing, "cannot read"),
        (folder, "cannot read"),
        (empty, "holds no certificate"),
        (text, "holds no certificate"),
        (keys_only, "holds no certificate"),
        (broken, "cannot be an authority"),
        (PKI.file("gone/ca.pem"), "has expired"),
    ] {
        let error = refused(with_ca(path.clone(), Vec::new())).to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(error.contains(path.to_str().expect("text")), "{error}");
    }
}

#[test]
fn one_expired_authority_beside_a_current_one_is_left_out() {
    let mut both = fs::read(PKI.file("gone/ca.pem")).expect("reads");
    both.extend(fs::read(PKI.file("second/ca.pem")).expect("reads"));
    let path = PKI.write("both-ca.pem", both);
    load(with_ca(path, Vec::new())).expect("starts");
}

#[test]
fn sc_172_a_revocation_list_that_says_nothing_refuses_to_start() {
    let ca = PKI.file("first/ca.pem");
    let text = PKI.write("text.crl", "no list\n");
    let der = PKI.write("broken.der", [0x30, 0x03, 0x02, 0x01, 0x00]);
    for (path, wanted) in [
        (PKI.file("no-such.crl"), "cannot read"),
        (text, "holds no usable revocation list"),
        (der, "holds no usable revocation list"),
        (PKI.file("first/ca.pem"), "holds no usable revocation list"),
        (PKI.file("first/old.crl"), "is out of date"),
    ] {
        let error = refused(with_ca(ca.clone(), vec![path.clone()])).to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(error.contains(path.to_str().expect("text")), "{error}");
    }
    for good in ["first/current.crl", "first/current.der"] {
        load(with_ca(ca.clone(), vec![PKI.file(good)])).expect("starts");
    }
}

#[test]
fn a_server_certificate_or_key_that_cannot_be_used_refuses_to_start() {
    let exposed = PKI.file("exposed.key");
    fs::copy(PKI.file("first/localhost.key"), &exposed).expect("copies");
    fs::set_permissions(&exposed, Permissions::from_mode(0o640)).expect("mode");
    let good = || PKI.config(ClientCertificates::None);
    let key = |path: PathBuf| TlsConfig {
        key: path,
        ..good()
    };
    let certificate = |path: PathBuf| TlsConfig {
        certificate: path,
        ..good()
    };
    let empty = PKI.write("empty.key", "");
    fs::set_permissions(&empty, Permissions::from_mode(0o600)).expect("mode");
    let large = PKI.write("large.pem", vec![b'a'; 1024 * 1024 + 1]);
    for (config, wanted) in [
        (key(exposed), "has mode 0640"),
        (key(PKI.file("first/owner.key")), "is not the key of"),
        (key(empty), "holds no private key"),
        (key(PKI.file("no-such.key")), "cannot read"),
        (certificate(PKI.file("no-such.pem")), "cannot read"),
        (
            certificate(PKI.file("first/localhost.key")),
            "holds no certificate",
        ),
        (certificate(large), "is larger than"),
    ] {
        let error = refused(config).to_string();
        assert!(error.contains(wanted), "{error}");
    }
    load(good()).expect("starts");
}

#[test]
fn messages_show_nothing_of_a_key() {
    let pem = fs::read_to_string(PKI.file("first/localhost.key")).expect("reads");
    let path = PKI.write("cut.key", pem.replace("-----END", "-----ENDE"));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("mode");
    let mut config = PKI.config(ClientCertificates::None);
    config.key = path;
    let error = refused(config);
    let body = pem.lines().nth(1).expect("a line of the key");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains(body), "{text}");
    }
    let tls = load(PKI.config(ClientCertificates::None)).expect("starts");
    assert!(!format!("{tls:?}").contains(body));
}

#[tokio::test]
async fn only_a_tls_listener_binds_off_loopback() {
    let addr = SocketAddr::from(([0, 0, 0, 0], 0));
    let plain = ListenerConfig::new(addr, ListenerKind::Gateway, Vec::new());
    let error = Listener::bind(plain.clone()).await.expect_err("refused");
    assert!(error.to_string().contains("without TLS"), "{error}");
    let tls = load(PKI.config(ClientCertificates::None)).expect("starts");
    let mut secure = plain.clone();
    secure.tls = Some(tls);
    Listener::bind(secure).await.expect("binds");
    let mut knowingly = plain;
    knowingly.unsafe_plain_off_loopback = true;
    Listener::bind(knowingly).await.expect("binds");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_again_and_a_bad_one_leaves_the_earlier_in_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    fs::copy(PKI.file("first/ca.pem"), &ca).expect("copies");
    let trust = ClientTrust::Authorities {
        ca: ca.clone(),
        crls: Vec::new(),
    };
    let config = PKI.config(ClientCertificates::Required(trust));
    let world = TlsWorld::start_with(config, |_| {}).await;
    let (owner, stranger) = (Client::with("first/owner"), Client::with("second/stranger"));
    assert_eq!(world.tls.reload().expect("readable"), Reloaded::Unchanged);
    world.refuses(&stranger).await;

    fs::write(&ca, "").expect("writes");
    world.tls.reload().expect_err("an empty file");
    let check = world.tls.readiness("gateway.tls");
    assert!(
        !check.ok && check.detail.contains("holds no certificate"),
        "{check:?}"
    );
    world
        .ask(&owner)
        .await
        .expect("the earlier authority stands");
    world.refuses(&stranger).await;

    fs::copy(PKI.file("second/ca.pem"), &ca).expect("copies");
    assert_eq!(world.tls.reload().expect("readable"), Reloaded::Changed);
    assert!(world.tls.readiness("gateway.tls").ok);
    world.refuses(&owner).await;
    let answer = world.ask(&stranger).await.expect("accepted");
    assert!(answer.text().contains(&thumbprint("second/stranger")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_server_certificate_is_served_to_new_connections() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    for name in ["localhost.pem", "localhost.key"] {
        fs::copy(PKI.file(&format!("first/{name}")), file(name)).expect("copies");
    }
    let mut config = PKI.config(ClientCertificates::None);
    config.certificate = file("localhost.pem");
    config.key = file("localhost.key");
    let world = TlsWorld::start_with(config, |_| {}).await;
    let served = async || {
        let stream = Client::anonymous()
            .connect(world.addr)
            .await
            .expect("connects");
        stream.get_ref().1.peer_certificates().expect("some")[0].clone()
    };
    let before = served().await;
    let renewed = file("localhost.pem");
    openssl(
        &PKI.file("first"),
        &[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.conf",
            "-in",
            "localhost.csr",
            "-out",
            renewed.to_str().expect("text"),
            "-startdate",
            PAST,
            "-enddate",
            FAR,
            "-extensions",
            "server",
        ],
    );
    assert_eq!(world.tls.reload().expect("readable"), Reloaded::Changed);
    assert_ne!(served().await, before);
}

#[test]
fn readiness_tells_of_an_expired_server_certificate() {
    let clock = ManualClock::at(NOW);
    let mut config = PKI.config(ClientCertificates::None);
    config.certificate = PKI.file("first/short.pem");
    config.key = PKI.file("first/short.key");
    let tls = Tls::load(config, Arc::new(clock.clone())).expect("starts");
    assert!(tls.readiness("gateway.tls").ok);
    clock.set(SOON_SECONDS + 1);
    let check = tls.readiness("gateway.tls");
    assert!(
        !check.ok && check.detail.contains("has expired"),
        "{check:?}"
    );
}
