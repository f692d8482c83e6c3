//! A workload's tokens outlive its certificate, key included, and nobody else's.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use super::gateway::rule;
use super::pki::{self, Wanted};
use super::world::{Setting, World};
use crate::program::Home;

const CLIENT: &str = "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_san_uri = \"spiffe://example.org/batch\"\ncertificate_binding = \"spiffe_id\"";

/// What an X.509-SVID has.
fn svid(id: &str) -> String {
    format!(
        "subjectAltName=URI:{id}\nkeyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:false\nextendedKeyUsage=clientAuth,serverAuth\n"
    )
}

fn home() -> Home {
    let home = Home::new();
    pki::begin(&home);
    pki::authority(&home, "other-ca", "/CN=our clients");
    let (own, other) = (
        svid("spiffe://example.org/batch"),
        svid("spiffe://example.org/batch/2"),
    );
    let bare = "subjectAltName=URI:spiffe://example.org/batch\nextendedKeyUsage=clientAuth\n";
    let batch = Wanted {
        extensions: &own,
        validity: ["1 hour ago", "2 days"],
        ..Wanted::client("/CN=batch")
    };
    for (name, wanted) in [
        ("batch", batch),
        (
            "rekeyed",
            Wanted {
                validity: ["1 minute ago", "2 days"],
                ..batch
            },
        ),
        (
            "earlier",
            Wanted {
                validity: ["2 hours ago", "2 days"],
                ..batch
            },
        ),
        (
            "neighbour",
            Wanted {
                extensions: &other,
                ..batch
            },
        ),
        (
            "impostor",
            Wanted {
                by: Some("other-ca"),
                ..batch
            },
        ),
        ("selfmade", Wanted { by: None, ..batch }),
        (
            "no-svid",
            Wanted {
                extensions: bare,
                ..batch
            },
        ),
    ] {
        pki::make(&home, name, wanted);
    }
    let authority = CertificateDer::from_pem_file(pki::file(&home, "ca", "pem")).expect("reads");
    let bundle = json!({"keys": [{"use": "x509-svid", "x5c": [STANDARD.encode(&authority)]}]});
    home.write("bundle.json", &bundle.to_string());
    home
}

const DOMAIN: &str =
    "[[gateway.trust_domain]]\nname = \"example.org\"\nbundle_file = \"bundle.json\"";

#[test]
fn only_the_same_workload_stands_in_for_a_certificate() {
    let clients = [("batch", CLIENT)];
    let world = World::start(
        home(),
        &Setting {
            clients: &clients,
            tables: DOMAIN,
            ..Setting::default()
        },
    );
    let token = world.token("batch", "batch");
    let strangers = ["neighbour", "impostor", "selfmade", "no-svid", "earlier"];
    for stranger in [None].into_iter().chain(strangers.map(Some)) {
        let answer = world.call(&token, stranger, &[]).expect("answers");
        assert_eq!(answer.status, 401, "{stranger:?}");
        answer.is_refused_at_the_gateway();
    }
    assert!(world.upstream.heads().is_empty());
    let refused = world.events("request_refused", |event| {
        event["cause"] == "certificate.mismatch"
    });
    assert!(!refused.is_empty());
    for (certificate, by) in [("batch", "thumbprint"), ("rekeyed", "spiffe_id")] {
        let answer = world.call(&token, Some(certificate), &[]).expect("answers");
        assert_eq!(
            answer.status,
            200,
            "{certificate}: {answer:?}\n{}",
            world.service.log()
        );
        assert_eq!(rule(&world), by);
    }
}

/// A gateway that knows no trust domain has nobody who could vouch for another certificate.
#[test]
fn without_the_trust_domain_it_is_the_very_certificate() {
    let clients = [("batch", CLIENT)];
    let world = World::start(
        home(),
        &Setting {
            clients: &clients,
            ..Setting::default()
        },
    );
    let token = world.token("batch", "batch");
    world
        .call(&token, Some("rekeyed"), &[])
        .expect("answers")
        .is_refused_at_the_gateway();
    assert_eq!(
        world
            .call(&token, Some("batch"), &[])
            .expect("answers")
            .status,
        200
    );
}

#[test]
fn a_certificate_that_was_issued_after_the_window_is_another_workloads() {
    let brief = format!("{CLIENT}\ncertificate_renewal_window = \"1s\"");
    let clients = [("batch", brief.as_str())];
    let world = World::start(
        home(),
        &Setting {
            clients: &clients,
            tables: DOMAIN,
            ..Setting::default()
        },
    );
    let token = world.token("batch", "batch");
    let own = svid("spiffe://example.org/batch");
    let late = Wanted {
        extensions: &own,
        validity: ["3 seconds", "2 days"],
        ..Wanted::client("/CN=batch")
    };
    pki::make(&world.home, "late", late);
    // Until it is in force, there is no handshake with it.
    let answer = (0..1_000).find_map(|_| {
        let answer = world.call(&token, Some("late"), &[]);
        if answer.is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        answer
    });
    answer
        .expect("is in force soon")
        .is_refused_at_the_gateway();
    let within = world.token("batch", "late");
    let answer = world.call(&within, Some("late"), &[]).expect("answers");
    assert_eq!(answer.status, 200, "a token of its own is good: {answer:?}");
    let answer = world.call(&token, Some("rekeyed"), &[]).expect("answers");
    assert_eq!(answer.status, 200, "within the window: {answer:?}");
}

#[test]
fn the_rule_needs_a_client_that_is_known_by_its_spiffe_id() {
    for (lines, key, says) in [
        (
            CLIENT.replace("spiffe://example.org/batch", "https://example.org/batch"),
            "certificate_binding",
            "SPIFFE ID",
        ),
        (
            CLIENT.replace(
                "san_uri = \"spiffe://example.org/batch\"",
                "san_dns = \"batch.example.org\"",
            ),
            "certificate_binding",
            "SPIFFE ID",
        ),
        (
            CLIENT.replace(
                "\"spiffe_id\"",
                "\"public_key\"\ncertificate_renewal_window = \"1h\"",
            ),
            "certificate_renewal_window",
            "belongs to",
        ),
        (
            format!("{CLIENT}\ncertificate_renewal_window = \"2h\""),
            "certificate_renewal_window",
            "it takes",
        ),
    ] {
        let home = home();
        home.run(&["init"]).ends_with(0);
        let toml = std::fs::read_to_string(home.path("keybound.toml")).expect("reads");
        let client = format!(
            "[[issuer.client]]\nid = \"batch\"\ntls_client_certificate_bound_access_tokens = true\n{lines}"
        );
        let tls = "[issuer.tls]\nlisten = \"127.0.0.1:0\"\ncertificate = \"pki/server.pem\"\nkey = \"pki/server.key\"\nclient_certificates = \"optional\"";
        home.write("keybound.toml", &format!("{toml}\n{tls}\n{client}\n"));
        let ended = home.run(&["config", "validate"]).ends_with(2);
        assert!(
            ended.stderr.contains(key) && ended.stderr.contains(says),
            "{ended:?}"
        );
    }
}
