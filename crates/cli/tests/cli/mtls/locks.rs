//! A stolen certificate is locked by its file, its key's thumbprint or its own.

use super::pki::{self, Wanted};
use super::world::{Answer, Setting, World};
use crate::program::Home;

fn world() -> World {
    let home = Home::new();
    pki::begin(&home);
    let batch = Wanted::client("/CN=batch");
    pki::make(&home, "batch", batch);
    pki::make(
        &home,
        "batch.renewed",
        Wanted {
            key_of: Some("batch"),
            ..batch
        },
    );
    let client = "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_subject_dn = \"CN=batch\"";
    World::start(
        home,
        &Setting {
            clients: &[("batch", client)],
            ..Setting::default()
        },
    )
}

/// Asks again until the answer fits: a lock travels to the gateway as a signal.
#[track_caller]
fn eventually(world: &World, token: &str, certificate: &str, status: u16) -> Answer {
    let mut answer = None;
    for _ in 0..250 {
        answer = world.call(token, Some(certificate), &[]);
        match answer {
            Some(answer) if answer.status == status => return answer,
            _ => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    }
    panic!("{status} was expected: {answer:?}\n{}", world.service.log())
}

#[test]
fn a_lock_on_a_certificate_stops_it_at_issuer_and_gateway_until_released() {
    let world = world();
    let (x5t, jkt) = {
        let certificate = pki::read(&world.home, "batch");
        let jkt = certificate.jkt().expect("a known kind");
        (certificate.thumbprint().to_string(), jkt.to_string())
    };
    let (token, renewed) = (
        world.token("batch", "batch"),
        world.token("batch", "batch.renewed"),
    );
    for (value, locks_renewed) in [
        (x5t.as_str(), false),
        (&jkt, true),
        ("@pki/batch.pem", true),
        ("@pki/batch.renewed.pem", true),
    ] {
        let made = world
            .operator(&["lock", "key", value, "--json", "--reason", "stolen"])
            .ends_with(0);
        let locked = made.json()["value"].clone();
        assert_eq!(
            locked,
            if locks_renewed { jkt.as_str() } else { &x5t },
            "{value}"
        );
        eventually(&world, &token, "batch", 401).is_refused_at_the_gateway();
        let refused = world.ask_token("batch", Some("batch")).expect("answers");
        assert_eq!(refused.body.get("access_token"), None, "{refused:?}");
        assert!((400..500).contains(&refused.status), "{refused:?}");
        let other = world
            .call(&renewed, Some("batch.renewed"), &[])
            .expect("answers");
        assert_eq!(
            other.status,
            if locks_renewed { 401 } else { 200 },
            "{value}"
        );
        world.operator(&["unlock", "key", value]).ends_with(0);
        eventually(&world, &token, "batch", 200);
        world.token("batch", "batch");
    }
    let no_certificate = world
        .operator(&["lock", "key", "@pki/batch.key"])
        .ends_with(2);
    assert!(
        no_certificate.stderr.contains("no certificate"),
        "{no_certificate:?}"
    );
    let events = world.events("request_refused", |event| event["cause"] == "key.locked");
    assert!(!events.is_empty(), "{}", world.service.log());
}
