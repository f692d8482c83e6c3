//! What an issuer gives the probe of a resource server.

use std::sync::Arc;

use keybound_custody::SoftwareKey;
use keybound_holder::Secret;
use keybound_probe::{
    AuthorizationServer, Client, IssuerAccess, Options, ProbeError, ResourceServer, Silent, Verdict,
};
use keybound_proto::jose::Algorithm;
use keybound_proto::uri::HttpUrl;
use keybound_testkit::{Agent, World, WorldOptions};

fn options() -> Options {
    Options {
        rate: 0.0,
        ..Options::default()
    }
}

fn issuer(world: &World, client: Client) -> AuthorizationServer {
    let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let issuer = HttpUrl::parse(&world.issuer).expect("a URL");
    AuthorizationServer::new(issuer, client, Arc::new(key))
}

/// With tokens of its issuer, more of a gateway is decided, and a strict one enforces all of it.
#[tokio::test]
async fn a_resource_server_is_probed_with_what_its_issuer_gives() {
    for issuer_nonce in [false, true] {
        let world = World::with(WorldOptions {
            issuer_nonce,
            ..WorldOptions::default()
        })
        .await;
        let mut server = issuer(&world, Client::Register(None));
        server.resource = Some(format!("{}/reports", world.gateway));
        let access = IssuerAccess::open(&server, &options(), &world.timing())
            .await
            .expect("access");
        assert!(access.has_two_clients());
        let resource = format!("{}/", world.gateway);
        let credentials = access
            .credentials(&resource, Some("approvals:read"))
            .await
            .expect("credentials");
        assert!(credentials.unbound.is_none());
        let url = HttpUrl::parse(&format!("{}/approvals", world.gateway)).expect("a URL");
        let mut target = ResourceServer::new(url, credentials);
        target.revoker = Some(Arc::new(access));
        let report = target
            .probe(&options(), &world.timing(), &Silent)
            .await
            .expect("a report");
        for id in [
            "RS-05.others-token",
            "RS-05.other-audience",
            "RS-17.revoked",
            "TK-05.lesser-scope",
        ] {
            let finding = report.findings.iter().find(|finding| finding.id == id);
            let verdict = finding.map(|finding| finding.verdict);
            assert_eq!(verdict, Some(Verdict::Enforced), "{finding:?}");
        }
        let undecided = [Verdict::NotEnforced, Verdict::Inconclusive];
        let wrong = report
            .findings
            .iter()
            .find(|finding| undecided.contains(&finding.verdict));
        assert!(wrong.is_none(), "{wrong:?}");
    }
}

#[tokio::test]
async fn an_issuer_that_gives_unbound_tokens_is_asked_for_one() {
    let world = World::start().await;
    let exempt = Agent::new("exempt");
    let client = Client::PrivateKeyJwt(exempt.id, exempt.client_key);
    let access = IssuerAccess::open(&issuer(&world, client), &options(), &world.timing())
        .await
        .expect("access");
    assert!(!access.has_two_clients());
    let resource = format!("{}/", world.gateway);
    let credentials = access
        .credentials(&resource, None)
        .await
        .expect("credentials");
    assert!(credentials.unbound.is_some());
    assert!(credentials.other.is_some());
    assert!(credentials.other_audience.is_none());
    assert!(credentials.lesser_scope.is_none());
}

#[tokio::test]
async fn a_client_the_issuer_refuses_is_said_plainly() {
    let world = World::start().await;
    let (id, _) = world.secret_client.clone();
    let client = Client::Secret(id, Secret::new("wrong"));
    let access = IssuerAccess::open(&issuer(&world, client), &options(), &world.timing())
        .await
        .expect("access");
    let refused = access.credentials("https://api.example/", None).await;
    assert!(
        matches!(refused, Err(ProbeError::CredentialsRefused { .. })),
        "{refused:?}"
    );
}
