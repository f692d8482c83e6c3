//! Configurations that contradict themselves, each with the key at fault.

use std::sync::Arc;

use keybound_control::Store;
use keybound_custody::SoftwareKey;
use keybound_issuer::config::{ClientAuthentication, Exemption, IssuerConfig, Rotation};
use keybound_issuer::{Issuer, IssuerStartError};
use keybound_proto::jose::Algorithm;
use keybound_proto::time::ManualClock;

use crate::world::{self, NOW};

type Change = fn(&mut IssuerConfig);

const CHANGES: [(Change, &str); 16] = [
    (|c| c.access_ttl = 0, "tokens.access_ttl"),
    (|c| c.access_ttl = 86_401, "tokens.access_ttl"),
    (
        |c| c.signing_algorithm = Algorithm::Rs256,
        "tokens.signing_alg",
    ),
    (
        |c| {
            c.rotation = Rotation {
                every: 1000,
                overlap: 1000,
            }
        },
        "rotation.every",
    ),
    (
        |c| {
            c.rotation = Rotation {
                every: 1000,
                overlap: 299,
            }
        },
        "rotation.overlap",
    ),
    (|c| c.nonce.lifetime = 0, "nonce.lifetime"),
    (
        |c| c.resources[0].identifier = "/relative".to_owned(),
        "resource",
    ),
    (
        |c| c.resources[0].identifier = "http://a/#f".to_owned(),
        "resource",
    ),
    (
        |c| c.resources[1].identifier = c.resources[0].identifier.clone(),
        "resource",
    ),
    (|c| c.clients[1].id = "basic".to_owned(), "client[basic].id"),
    (
        |c| c.clients[0].scopes.push("nonsense".to_owned()),
        "client[basic].scopes",
    ),
    (
        |c| c.clients[0].resources.push("http://other/".to_owned()),
        "client[basic].resources",
    ),
    (
        |c| {
            c.clients[0].unconstrained = Some(Exemption {
                reason: " ".to_owned(),
            })
        },
        "client[basic].unconstrained",
    ),
    (
        |c| {
            c.clients[0].authentication = ClientAuthentication::PrivateKeyJwt {
                jwks: "{}".to_owned(),
            }
        },
        "client[basic].jwks",
    ),
    (
        |c| c.registration.scopes.push("nonsense".to_owned()),
        "registration.scopes",
    ),
    (
        |c| c.cors_origins.push("http://app.example/".to_owned()),
        "cors_origins",
    ),
];

#[tokio::test]
async fn contradictory_configurations_do_not_start() {
    let key = SoftwareKey::generate(Algorithm::Es256).unwrap();
    for (change, place) in CHANGES {
        let clock = Arc::new(ManualClock::at(NOW));
        let store = Store::in_memory(clock.clone()).unwrap();
        let mut config = world::config(&key);
        change(&mut config);
        match Issuer::start(config, store, clock).await {
            Err(IssuerStartError::Config(error)) => assert_eq!(error.place(), place, "{error}"),
            other => panic!("{place}: {other:?}"),
        }
    }
}
