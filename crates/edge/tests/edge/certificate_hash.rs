//! Terminators that hand on the hash of a client certificate and nothing else.

use std::sync::Arc;

use keybound_edge::forwarded_certificate::{
    CertificateHeaderConfig, CertificateHeaders, CertificateProfile,
};
use keybound_proto::certificate::CertificateThumbprint;
use keybound_proto::time::ManualClock;
use serde_json::json;

use crate::client::ask;
use crate::world::{NOW, World};

const PRESENT: &str = "CloudFront-Viewer-Cert-Present";
const HASH: &str = "CloudFront-Viewer-Cert-Sha256";

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A world behind a terminator at this network.
async fn behind(peers: &str) -> World {
    World::start_with(|setup| {
        let config = CertificateHeaderConfig {
            profile: CertificateProfile::AwsCloudFront,
            peers: vec![peers.parse().expect("a network")],
            unverified: false,
        };
        let clock = Arc::new(ManualClock::at(NOW));
        setup.listener.certificate_headers = Some(CertificateHeaders::new(config, clock));
    })
    .await
}

/// The answer to a request with a token bound to the certificate of this digest.
async fn send(world: &World, bound: [u8; 32], fields: &[(&str, &str)]) -> (u16, String) {
    let x5t = CertificateThumbprint::from_bytes(bound).to_string();
    let audience = format!("{}/", world.url);
    let token = world.token_bound(&audience, 300, json!({"x5t#S256": x5t}));
    let authorization = format!("Bearer {token}");
    let mut all = vec![("Authorization", authorization.as_str())];
    all.extend(fields);
    let answer = ask(world.addr, world.request("GET", "/approvals", &all)).await;
    match answer.status {
        200 => (200, String::new()),
        refused => (refused, answer.member("cause")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sc_160_a_hash_confirms_the_token_of_that_certificate_only() {
    let world = behind("127.0.0.0/8").await;
    let (own, other) = (hex([1; 32]), hex([2; 32]));
    let refused = send(&world, [1; 32], &[]).await;
    assert_eq!(refused, (401, "certificate.absent".to_owned()));
    let refused = send(&world, [1; 32], &[(PRESENT, "1"), (HASH, &other)]).await;
    assert_eq!(refused, (401, "certificate.mismatch".to_owned()));
    let refused = send(&world, [1; 32], &[(PRESENT, "0"), (HASH, &own)]).await;
    assert_eq!(refused.0, 400, "{}", refused.1);
    assert!(world.upstream.requests().is_empty());
    let (status, cause) = send(&world, [1; 32], &[(PRESENT, "1"), (HASH, &own)]).await;
    assert_eq!((status, cause.as_str()), (200, ""));
    assert_eq!(
        world.upstream.last().field(HASH),
        None,
        "it is not handed on"
    );
}

/// SC-161: from anybody but the terminator the fields are nothing.
#[tokio::test(flavor = "multi_thread")]
async fn sc_161_a_hash_from_a_stranger_is_nothing() {
    let world = behind("192.0.2.0/24").await;
    let own = hex([1; 32]);
    let refused = send(&world, [1; 32], &[(PRESENT, "1"), (HASH, &own)]).await;
    assert_eq!(refused, (401, "certificate.absent".to_owned()));
}
