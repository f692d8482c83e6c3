//! Mutants of the guard and the gateway.

use std::collections::BTreeSet;

use keybound_probe::{Options, Report, ResourceServer, Silent, Verdict};
use keybound_proto::Cause;
use keybound_testkit::{Lenient, World};

/// As fast as the machine allows.
fn options() -> Options {
    Options {
        rate: 0.0,
        ..Options::default()
    }
}

async fn report(world: &World, server: &ResourceServer, without: Option<Cause>) -> Report {
    let lenient = Lenient::start(&world.gateway, without).await;
    let mut options = options();
    options.connect_to = Some(lenient.address);
    server
        .probe(&options, &world.timing(), &Silent)
        .await
        .expect("a report")
}

fn ids(report: &Report, verdict: Verdict) -> BTreeSet<String> {
    report
        .findings
        .iter()
        .filter(|finding| finding.verdict == verdict)
        .map(|finding| finding.id.clone())
        .collect()
}

#[tokio::test]
async fn a_strict_gateway_yields_nothing() {
    let world = World::start().await;
    let server = world.probed().await;
    let report = report(&world, &server, None).await;
    for finding in &report.findings {
        eprintln!(
            "{:32} {:14} {} [{}]",
            finding.id,
            finding.verdict.to_string(),
            finding.reason,
            finding.got
        );
    }
    for measure in &report.measures {
        eprintln!("{measure:?}");
    }
    for label in &report.labels {
        eprintln!("{label:?}");
    }
    eprintln!(
        "requests {} warnings {:?}",
        report.requests, report.warnings
    );
    assert_eq!(ids(&report, Verdict::NotEnforced), BTreeSet::new());
    assert_eq!(ids(&report, Verdict::Inconclusive), BTreeSet::new());
    assert_eq!(report.grade, 'A');
}
