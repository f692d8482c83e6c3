//! Workloads that call through the gateway with an identity token and a proof.

use std::sync::Arc;

use keybound_custody::SoftwareKey;
use keybound_holder::workload::WorkloadCredential;
use keybound_proto::jose::Algorithm;
use keybound_proto::time::Clock;
use keybound_proto::token::identity::Identity;
use keybound_proto::uri::HttpUrl;

use super::client::ask;
use super::world::World;

const PAY: &str = "wimse://example.com/ns/prod/pay";

/// The two fields of a request, made as a holder makes them.
fn fields(world: &World, subject: &str, path: &str) -> [(String, String); 2] {
    let key = Arc::new(SoftwareKey::generate(Algorithm::EdDsa).expect("key"));
    let token = world.identity_token(subject, &key);
    let credential = WorkloadCredential::new(token, key).expect("a credential");
    let url = HttpUrl::parse(&format!("{}{path}", world.url)).expect("url");
    let headers = credential.headers(&url, world.clock.now(), None);
    let headers = headers.expect("signed");
    ["workload-identity-token", "workload-proof-token"].map(|name| {
        let value = headers[name].to_str().expect("text").to_owned();
        (name.to_owned(), value)
    })
}

async fn send(world: &World, path: &str, fields: &[(String, String); 2]) -> super::client::Answer {
    let fields = fields.each_ref();
    let fields = fields.map(|(name, value)| (name.as_str(), value.as_str()));
    ask(world.addr, world.request("GET", path, &fields)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_listed_or_proves_another_target_is_refused() {
    let world = World::start().await;
    let other = fields(&world, "wimse://example.com/ns/dev/pay", "/mesh");
    let answer = send(&world, "/mesh", &other).await;
    assert_eq!(
        (answer.status, &*answer.member("cause")),
        (403, "workload.identity")
    );
    let elsewhere = fields(&world, PAY, "/reports");
    let answer = send(&world, "/mesh", &elsewhere).await;
    assert_eq!(
        (answer.status, &*answer.member("cause")),
        (400, "wimse.wpt.audience")
    );
    assert_eq!(
        answer.field("content-type").as_deref(),
        Some("application/problem+json")
    );
    assert_eq!(answer.field("www-authenticate"), None);
    let unlisted = fields(&world, PAY, "/approvals");
    let answer = send(&world, "/approvals", &unlisted).await;
    assert_eq!(
        (answer.status, &*answer.member("cause")),
        (403, "workload.identity")
    );
    assert!(world.upstream.requests().is_empty(), "nothing reaches it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_learns_who_calls_and_sees_neither_token_nor_proof() {
    let world = World::start().await;
    let pay = fields(&world, PAY, "/mesh/1");
    let answer = send(&world, "/mesh/1", &pay).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = world.upstream.last();
    for name in [
        "workload-identity-token",
        "workload-proof-token",
        "authorization",
    ] {
        assert_eq!(received.field(name), None, "{name}");
    }
    let assertion = received.field("keybound-assertion").expect("an assertion");
    let upstream = format!("http://{}", world.upstream.addr);
    let identity = Identity::verify(
        &assertion,
        &world.url,
        &upstream,
        world.gateway_key.public_key(),
        world.clock.now(),
    )
    .expect("a good assertion");
    assert_eq!(identity.subject, PAY);
    let again = send(&world, "/mesh/1", &pay).await;
    assert_eq!(
        (again.status, &*again.member("cause")),
        (400, "wimse.wpt.replayed")
    );
}
