//! Mutants of the issuer.

use std::collections::BTreeSet;
use std::sync::Arc;

use keybound_custody::SoftwareKey;
use keybound_probe::{AuthorizationServer, Client, Options, Report, Silent, Verdict};
use keybound_proto::Cause;
use keybound_proto::jose::Algorithm;
use keybound_proto::uri::HttpUrl;
use keybound_testkit::{Lenient, World};

fn probed(world: &World, client: Client) -> AuthorizationServer {
    let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let issuer = HttpUrl::parse(&world.issuer).expect("a URL");
    let mut server = AuthorizationServer::new(issuer, client, Arc::new(key));
    server.resource = Some(format!("{}/", world.gateway));
    server
}

async fn report(world: &World, client: Client, without: Option<Cause>) -> Report {
    let lenient = Lenient::start(&world.issuer, without).await;
    let options = Options {
        rate: 0.0,
        connect_to: Some(lenient.address),
        ..Options::default()
    };
    let server = probed(world, client);
    let probe = server.probe(&options, &world.timing(), &Silent);
    // Hundreds of futures deep in one another are too large for a test's stack.
    Box::pin(probe).await.expect("a report")
}

fn ids(report: &Report, verdict: Verdict) -> BTreeSet<String> {
    report
        .findings
        .iter()
        .filter(|finding| finding.verdict == verdict)
        .map(|finding| finding.id.clone())
        .collect()
}

fn show(report: &Report) {
    for finding in &report.findings {
        eprintln!(
            "{:32} {:14} {} [{}]",
            finding.id,
            finding.verdict.to_string(),
            finding.reason,
            finding.got
        );
    }
    eprintln!("{:?}", report.measures);
    eprintln!("{:?}", report.labels);
    eprintln!("{} requests, {:?}", report.requests, report.warnings);
}

#[tokio::test]
async fn a_strict_issuer_yields_nothing() {
    let world = World::start().await;
    let report = report(&world, Client::Register(None), None).await;
    show(&report);
    assert_eq!(ids(&report, Verdict::NotEnforced), BTreeSet::new());
    assert_eq!(ids(&report, Verdict::Inconclusive), BTreeSet::new());
    assert_eq!(report.grade, 'A');
}
