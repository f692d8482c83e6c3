//! Names that look alike, revoked certificates, and HTTP/2.

use super::pki::{self, CLIENT, Wanted};
use super::world::{Setting, World};
use crate::program::Home;

/// Refused as nobody this client is known by.
#[track_caller]
fn refused(world: &World, certificate: &str) {
    let answer = world
        .ask_token("batch", Some(certificate))
        .expect("answers");
    let told = (answer.status, answer.body["error"].as_str());
    assert_eq!(
        told,
        (401, Some("invalid_client")),
        "{certificate}: {answer:?}"
    );
}

#[test]
fn sc_165_a_subject_is_compared_as_a_name_and_not_as_a_text() {
    let home = Home::new();
    pki::begin(&home);
    // OpenSSL writes a name in the order of its parts; RFC 4514 writes it backwards.
    pki::make(&home, "batch", Wanted::client("/O=Example/CN=batch"));
    let others = [
        "/CN=batch/O=Example",
        "/CN=batch,O=Example",
        "/O=Example,CN=batch",
        "/O=Example/CN=batch/CN=batch",
        "/O=Example/CN=batch\\,O=Example",
        "/O=Example/CN=batch ,O=Example",
        "/CN=batch",
    ];
    for (number, subject) in others.iter().enumerate() {
        pki::make(&home, &format!("other-{number}"), Wanted::client(subject));
    }
    let client = "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_subject_dn = \"CN=batch,O=Example\"";
    let clients = [("batch", client)];
    let world = World::start(
        home,
        &Setting {
            clients: &clients,
            ..Setting::default()
        },
    );
    for number in 0..others.len() {
        refused(&world, &format!("other-{number}"));
    }
    world.token("batch", "batch");
}

#[test]
fn sc_172_a_revoked_certificate_is_nobody_at_the_issuer_and_at_the_listeners() {
    let dns = [CLIENT, "subjectAltName=DNS:batch.example.com\n"].concat();
    let home = || {
        let home = Home::new();
        pki::begin(&home);
        for name in ["batch", "stolen"] {
            let wanted = Wanted {
                extensions: &dns,
                ..Wanted::client("/CN=batch")
            };
            pki::make(&home, name, wanted);
        }
        pki::revoke(&home, "stolen");
        home
    };
    let client = "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_san_dns = \"batch.example.com\"";
    let with_list = format!("{client}\nclient_crl = [\"pki/ca.crl\"]");
    let at_issuer = [("batch", with_list.as_str())];
    let world = World::start(
        home(),
        &Setting {
            clients: &at_issuer,
            ..Setting::default()
        },
    );
    refused(&world, "stolen");
    world.token("batch", "batch");

    let tls = "client_ca = \"pki/ca.pem\"\nclient_crl = [\"pki/ca.crl\"]";
    let clients = [("batch", client)];
    let world = World::start(
        home(),
        &Setting {
            clients: &clients,
            tls,
            ..Setting::default()
        },
    );
    assert!(world.ask_token("batch", Some("stolen")).is_none());
    let token = world.token("batch", "batch");
    assert!(world.call(&token, Some("stolen"), &[]).is_none());
    assert_eq!(
        world
            .call(&token, Some("batch"), &[])
            .expect("answers")
            .status,
        200
    );
}

#[test]
fn sc_169_http_2_has_no_rules_of_its_own() {
    let home = Home::new();
    pki::begin(&home);
    pki::make(&home, "batch", Wanted::client("/CN=batch"));
    pki::make(&home, "rival", Wanted::client("/CN=rival"));
    let client = "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_subject_dn = \"CN=batch\"";
    let clients = [("batch", client)];
    let world = World::start(
        home,
        &Setting {
            clients: &clients,
            ..Setting::default()
        },
    );
    let token = world.token("batch", "batch");
    for certificate in [None, Some("rival")] {
        let answer = world
            .call(&token, certificate, &["--http2"])
            .expect("answers");
        assert!(answer.head.starts_with("http/2 "), "{answer:?}");
        answer.is_refused_at_the_gateway();
    }
    let answer = world
        .call(&token, Some("batch"), &["--http2"])
        .expect("answers");
    assert!(answer.head.starts_with("http/2 200"), "{answer:?}");
}
