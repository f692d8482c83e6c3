//! What comes with a certificate: intermediates, other people's certificates, a hundred of them.

use super::pki::{self, AUTHORITY, Wanted};
use super::world::{Setting, World};
use crate::program::Home;

const CLIENT: &str = "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_subject_dn = \"CN=batch\"";

/// How many certificates come with the leaf at most.
const MOST: usize = 8;

fn home() -> Home {
    let home = Home::new();
    pki::begin(&home);
    let intermediate = Wanted {
        extensions: AUTHORITY,
        ..Wanted::client("/CN=intermediate")
    };
    pki::make(&home, "between", intermediate);
    pki::make(
        &home,
        "batch",
        Wanted {
            by: Some("between"),
            ..Wanted::client("/CN=batch")
        },
    );
    pki::make(&home, "rival", Wanted::client("/CN=rival"));
    home
}

#[test]
fn sc_164_the_identity_is_the_leafs_and_no_other_certificates_of_the_chain() {
    let home = home();
    pki::bundle(&home, "rival.with-batch", &["rival", "batch", "between"]);
    pki::bundle(&home, "batch.with-chain", &["batch", "between"]);
    pki::bundle(&home, "batch.out-of-order", &["batch", "rival", "between"]);
    let world = World::start(
        home,
        &Setting {
            clients: &[("batch", CLIENT)],
            ..Setting::default()
        },
    );
    for certificate in ["rival", "rival.with-batch", "batch"] {
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
    let token = world.token("batch", "batch.with-chain");
    let stolen = world
        .call(&token, Some("rival.with-batch"), &[])
        .expect("answers");
    stolen.is_refused_at_the_gateway();
    // Possession is of the leaf, whatever comes behind it.
    for certificate in ["batch", "batch.with-chain", "batch.out-of-order"] {
        let answer = world.call(&token, Some(certificate), &[]).expect("answers");
        assert_eq!(answer.status, 200, "{certificate}: {answer:?}");
    }
}

/// Bounded by count: the first certificate too many ends the handshake, where a path would still
/// be found, with authorities at the listener and without.
#[test]
fn sc_175_more_certificates_than_are_ever_needed_end_the_handshake() {
    for tls in ["", "client_ca = \"pki/ca.pem\""] {
        let home = home();
        let chain = |behind: usize| {
            let mut members = vec!["batch", "between"];
            members.resize(1 + behind, "rival");
            members
        };
        pki::bundle(&home, "batch.most", &chain(MOST));
        pki::bundle(&home, "batch.more", &chain(MOST + 1));
        pki::bundle(&home, "batch.hundred", &chain(100));
        let world = World::start(
            home,
            &Setting {
                clients: &[("batch", CLIENT)],
                tls,
                ..Setting::default()
            },
        );
        let token = world.token("batch", "batch.most");
        for certificate in ["batch.more", "batch.hundred"] {
            assert!(
                world.ask_token("batch", Some(certificate)).is_none(),
                "{certificate}"
            );
            assert!(
                world.call(&token, Some(certificate), &[]).is_none(),
                "{certificate}"
            );
        }
        let answer = world
            .call(&token, Some("batch.most"), &[])
            .expect("answers");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
