//! Client certificates: which handshakes fail, and what a connection's certificate is worth
//! while the connection lives.

use std::fs;

use keybound_edge::listener::tls::{ClientCertificates, ClientTrust, Reloaded};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::pki::{PKI, SOON_SECONDS};
use super::world::{Client, TlsWorld, certificates, one_answer, thumbprint};

fn possession() -> ClientCertificates {
    ClientCertificates::Required(ClientTrust::Possession)
}

fn authorities(name: &str, crls: &[&str]) -> ClientCertificates {
    ClientCertificates::Required(PKI.trust(name, crls))
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_160_without_a_certificate_no_handshake_where_one_is_required() {
    for clients in [possession(), authorities("first", &[])] {
        let world = TlsWorld::start(clients).await;
        let error = world.refuses(&Client::anonymous()).await;
        assert!(error.contains("CertificateRequired"), "{error}");
        world.counts((0, 1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_160_a_certificate_without_its_key_proves_nothing() {
    let thief = || Client::with_chain(&["first/owner"], "first/another");
    for clients in [possession(), authorities("first", &[])] {
        let world = TlsWorld::start(clients).await;
        let error = world.refuses(&thief()).await;
        assert!(
            error.contains("DecryptError") || error.contains("Decrypt"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_174_what_is_no_client_certificate_of_the_authority_fails_the_handshake() {
    let world = TlsWorld::start(authorities("first", &[])).await;
    for (name, alert) in [
        ("second/stranger", "UnknownCA"),
        ("alone/ca", "UnknownCA"),
        ("first/misused", "ertificate"),
        ("first/as-authority", "ertificate"),
        ("first/ended", "CertificateExpired"),
        ("first/future", "ertificate"),
        ("first/ca", "ertificate"),
    ] {
        for client in [Client::with(name), Client::tls12(name)] {
            let error = world.refuses(&client).await;
            assert!(error.contains(alert), "{name}: {error}");
        }
    }
    world.counts((0, 14)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_174_outside_its_validity_a_certificate_is_refused_without_authorities_too() {
    let world = TlsWorld::start(possession()).await;
    for name in ["first/ended", "first/future"] {
        world.refuses(&Client::with(name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_172_revoked_unknown_and_outdated_are_all_refused() {
    let world = TlsWorld::start(authorities("first", &["first/current.crl"])).await;
    world.refuses(&Client::with("first/revoked")).await;
    // No list of the intermediate authority: its certificates' status is unknown.
    let below = Client::with_chain(&["middle/below", "middle/ca"], "middle/below");
    world.refuses(&below).await;
    world
        .ask(&Client::with("first/owner"))
        .await
        .expect("accepted");

    let other = TlsWorld::start(authorities("first", &["second/second.crl"])).await;
    other.refuses(&Client::with("first/owner")).await;

    let outdated = TlsWorld::start(authorities("first", &["first/short.crl"])).await;
    let owner = Client::with("first/owner");
    outdated.ask(&owner).await.expect("accepted");
    outdated.clock.set(SOON_SECONDS + 1);
    outdated.refuses(&owner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_173_names_outside_the_constraints_of_an_authority_are_refused() {
    let world = TlsWorld::start(authorities("constrained", &[])).await;
    world.refuses(&Client::with("constrained/wildcard")).await;
    world
        .ask(&Client::with("constrained/good-name"))
        .await
        .expect("accepted");
    let uris = TlsWorld::start(authorities("constrained-uri", &[])).await;
    uris.refuses(&Client::with("constrained-uri/spiffe")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_175_long_chains_and_large_certificates_are_refused_before_they_are_walked() {
    let middle = certificates("middle/ca").remove(0);
    let mut chain = certificates("middle/below");
    chain.extend(std::iter::repeat_n(middle, 100));
    let long = Client::with_der(chain, "middle/below");
    let huge = Client::with("huge/ca");
    for clients in [possession(), authorities("first", &[])] {
        let world = TlsWorld::start(clients).await;
        world.refuses(&long).await;
        world.refuses(&huge).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_164_the_identity_is_the_leaf_whose_key_was_proven() {
    let world = TlsWorld::start(possession()).await;
    let client = Client::with_chain(&["first/another", "second/victim"], "first/another");
    let answer = world.ask(&client).await.expect("accepted");
    assert_eq!(
        answer.text(),
        format!("{} at localhost", thumbprint("first/another"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_ends_takes_its_clients_with_it() {
    let world = TlsWorld::start(authorities("fleeting", &[])).await;
    let client = Client::with("fleeting/fleeting-client");
    world.ask(&client).await.expect("accepted");
    let mut live = client.connect(world.addr).await.expect("connects");
    live.write_all(world.get().as_bytes()).await.expect("sends");
    assert_eq!(one_answer(&mut live).await.status, 200);
    world.clock.set(SOON_SECONDS + 1);
    world.refuses(&client).await;
    live.write_all(world.get().as_bytes()).await.expect("sends");
    let answer = one_answer(&mut live).await;
    assert_eq!(
        (answer.status, &*answer.member("cause")),
        (401, "certificate.untrusted")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_171_a_certificate_that_expires_ends_its_live_connection() {
    for clients in [possession(), authorities("first", &[])] {
        let world = TlsWorld::start(clients).await;
        let client = Client::with("first/short");
        let mut live = client.connect(world.addr).await.expect("connects");
        live.write_all(world.get().as_bytes()).await.expect("sends");
        assert_eq!(one_answer(&mut live).await.status, 200);
        world.clock.set(SOON_SECONDS);
        live.write_all(world.get().as_bytes()).await.expect("sends");
        assert_eq!(one_answer(&mut live).await.status, 200);
        world.clock.set(SOON_SECONDS + 1);
        live.write_all(world.get().as_bytes()).await.expect("sends");
        let answer = one_answer(&mut live).await;
        assert_eq!(
            (answer.status, &*answer.member("cause")),
            (401, "certificate.expired")
        );
        assert_eq!(answer.field("connection").as_deref(), Some("close"));
        let mut rest = Vec::new();
        live.read_to_end(&mut rest).await.expect("closed properly");
        assert!(rest.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_171_a_certificate_that_is_revoked_ends_its_live_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let crl = folder.path().join("list.crl");
    fs::copy(PKI.file("first/current.crl"), &crl).expect("copies");
    let trust = ClientTrust::Authorities {
        ca: PKI.file("first/ca.pem"),
        crls: vec![crl.clone()],
    };
    let config = PKI.config(ClientCertificates::Required(trust));
    let world = TlsWorld::start_with(config, |_| {}).await;
    let mut live = Client::with("first/owner")
        .connect(world.addr)
        .await
        .expect("connects");
    let mut other = Client::with("first/another")
        .connect(world.addr)
        .await
        .expect("connects");
    for stream in [&mut live, &mut other] {
        stream
            .write_all(world.get().as_bytes())
            .await
            .expect("sends");
        assert_eq!(one_answer(stream).await.status, 200);
    }
    fs::copy(PKI.file("first/later.crl"), &crl).expect("copies");
    assert_eq!(world.tls.reload().expect("readable"), Reloaded::Changed);
    live.write_all(world.get().as_bytes()).await.expect("sends");
    let answer = one_answer(&mut live).await;
    assert_eq!(
        (answer.status, &*answer.member("cause")),
        (401, "certificate.untrusted")
    );
    let mut rest = Vec::new();
    live.read_to_end(&mut rest).await.expect("closed properly");
    other
        .write_all(world.get().as_bytes())
        .await
        .expect("sends");
    assert_eq!(one_answer(&mut other).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn good_certificates_are_told_to_the_service() {
    let world = TlsWorld::start(authorities("first", &[])).await;
    for client in [Client::with("first/owner"), Client::tls12("first/owner")] {
        let answer = world.ask(&client).await.expect("accepted");
        assert_eq!(
            answer.text(),
            format!("{} at localhost", thumbprint("first/owner"))
        );
    }
    let below = Client::with_chain(&["middle/below", "middle/ca"], "middle/below");
    let answer = world.ask(&below).await.expect("accepted");
    assert_eq!(
        answer.text(),
        format!("{} at localhost", thumbprint("middle/below"))
    );

    let optional = TlsWorld::start(ClientCertificates::Optional(ClientTrust::Possession)).await;
    let answer = optional.ask(&Client::anonymous()).await.expect("accepted");
    assert_eq!(answer.text(), "nobody at localhost");
    let answer = optional
        .ask(&Client::with("alone/ca"))
        .await
        .expect("accepted");
    assert_eq!(
        answer.text(),
        format!("{} at localhost", thumbprint("alone/ca"))
    );

    let none = TlsWorld::start(ClientCertificates::None).await;
    let answer = none.ask(&Client::with("alone/ca")).await.expect("accepted");
    assert_eq!(answer.text(), "nobody at localhost");
}
