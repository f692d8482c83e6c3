//! Mutants of the guard and the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use keybound_probe::{Options, Report, Silent, Verdict, case_ids};
use keybound_proto::Cause;
use keybound_testkit::{Lenient, World, WorldOptions, WorldRevoker};
use tokio::task::JoinSet;

/// Causes of the registry that a stranger cannot bring about at a resource server, and why.
const UNSEEN: &[(&str, &str)] = &[
    ("identity.locked", "an operator's decision"),
    ("key.locked", "an operator's decision"),
    ("keys.unavailable", "the issuer would have to be down"),
    ("replay.epoch", "the gateway would have to restart"),
    ("replay.flood", "takes more requests than a probe may send"),
    ("replay.full", "takes more requests than a probe may send"),
    (
        "replay.unavailable",
        "the gateway would have to lose a shared log",
    ),
    (
        "revocation.stale",
        "the control plane would have to be down",
    ),
    ("store.unavailable", "the disk would have to be full"),
    (
        "http.body_timeout",
        "takes a request that is never finished",
    ),
    ("http.body_too_large", "says nothing about tokens"),
    (
        "http.framing",
        "takes bytes that are no HTTP; the gateway's own tests send them",
    ),
    ("http.header_too_large", "says nothing about tokens"),
    ("http.method_not_allowed", "says nothing about tokens"),
    (
        "http.origin_foreign",
        "concerns web pages that call a loopback server",
    ),
    ("http.route_unknown", "says nothing about tokens"),
    ("http.target_too_long", "says nothing about tokens"),
    (
        "http.upgrade_refused",
        "the gateway serves no upgrade, good or bad",
    ),
    ("upstream.timeout", "the upstream would have to be slow"),
    ("upstream.unreachable", "the upstream would have to be down"),
];

/// Causes only an authorization server has; its own tests cover them.
const OF_ISSUERS: &[&str] = &[
    "assertion.",
    "authorization.details",
    "authorization.dpop_jkt",
    "authorization.redirect_uri",
    "authorization.request_uri",
    "authorization.response_type",
    "client.",
    "exchange.",
    "grant.",
    "issuer.",
    "parameter.",
    "registration.",
    "resource.",
    "scope.invalid",
];

/// Causes of methods that a probe with a DPoP-bound token does not use at a gateway of ours; their own
/// tests cover them.
const OF_OTHER_METHODS: &[&str] = &[
    "certificate.expired",
    "certificate.invalid",
    "certificate.mismatch",
    "certificate.not_yet_valid",
    "certificate.purpose",
    "certificate.revoked",
    "certificate.status_unknown",
    "certificate.subject",
    "certificate.unregistered",
    "certificate.untrusted",
    "certificate_header.",
    "digest.",
    "httpsig.",
    "introspection.",
    "spiffe.",
    "status_list.",
    "token.cnf.unsupported",
    "token.inactive",
    "token.method.",
    "token.status.",
    "wimse.",
    "workload.",
];

async fn report(world: &Arc<World>, without: Option<Cause>) -> Report {
    let lenient = Lenient::start(&world.gateway, without).await;
    let options = Options {
        rate: 0.0,
        connect_to: Some(lenient.address),
        ..Options::default()
    };
    let mut server = world.probed().await;
    server.revoker = Some(Arc::new(WorldRevoker(Arc::clone(world))));
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

/// The cases that were asked and that stand for a cause.
fn cases(report: &Report) -> BTreeMap<String, BTreeSet<String>> {
    let mut cases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in &report.findings {
        if let (Verdict::Enforced, Some(cause)) = (finding.verdict, &finding.cause) {
            cases
                .entry(cause.clone())
                .or_default()
                .insert(finding.id.clone());
        }
    }
    cases
}

/// A world that demands nonces, or not. Each run has one of its own: a run turns the clock, which
/// the real peers of a world do not follow for long.
async fn world(route_nonce: bool) -> Arc<World> {
    let options = WorldOptions {
        route_nonce,
        ..WorldOptions::default()
    };
    Arc::new(World::with(options).await)
}

/// What one mutant showed.
async fn assess(cause: String, cases: BTreeSet<String>, route_nonce: bool) {
    let without = Cause::from_id(&cause).expect("a cause of the registry");
    let report = report(&world(route_nonce).await, Some(without)).await;
    let found = ids(&report, Verdict::NotEnforced);
    assert!(!found.is_empty(), "{cause} was not found");
    assert!(
        found.is_subset(&cases),
        "{cause} was found by {found:?}, not only {cases:?}"
    );
    // A case that was not asked any more says that another has shown it already.
    let spared = ids(&report, Verdict::NotApplicable);
    for case in &cases {
        let accounted = found.contains(case) || spared.contains(case);
        let finding = report.findings.iter().find(|finding| finding.id == *case);
        assert!(accounted, "{cause}: {finding:?}");
    }
    let checks: BTreeSet<&str> = found.iter().filter_map(|id| id.split('.').next()).collect();
    assert_eq!(checks.len(), 1, "{cause} was found by {found:?}");
    assert_eq!(
        ids(&report, Verdict::Inconclusive),
        BTreeSet::new(),
        "{cause}"
    );
}

#[tokio::test]
async fn a_strict_gateway_yields_nothing() {
    for route_nonce in [false, true] {
        let report = report(&world(route_nonce).await, None).await;
        assert_eq!(ids(&report, Verdict::NotEnforced), BTreeSet::new());
        assert_eq!(ids(&report, Verdict::Inconclusive), BTreeSet::new());
        assert_eq!(report.grade, 'A');
        assert_eq!(report.warnings, Vec::<String>::new());
    }
}

/// The ids are stable: users name them in baselines and in `--only`. Each row of the list is found by a
/// mutant or a fault in these tests, but for `RS-16` and `RS-19.options`, which only inform, and
/// `RS-15.htu-default-port`, which takes a privileged port.
#[tokio::test]
async fn the_list_of_cases_is_the_published_one() {
    let report = report(&world(false).await, None).await;
    let mut asked: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.id.as_str())
        .collect();
    asked.sort_unstable();
    let prefixes = ["MT-", "RS-", "SG-", "TK-"];
    let of_resource_servers = |id: &&str| prefixes.iter().any(|prefix| id.starts_with(prefix));
    let published: Vec<&str> = case_ids().filter(of_resource_servers).collect();
    assert_eq!(asked, published);
}

/// Removing a case from the probe leaves its cause without one.
#[tokio::test]
async fn every_cause_has_a_case_or_a_reason() {
    let mut asked = BTreeSet::new();
    for route_nonce in [false, true] {
        let report = report(&world(route_nonce).await, None).await;
        asked.extend(cases(&report).into_keys());
    }
    let excused: BTreeSet<&str> = UNSEEN.iter().map(|(cause, _)| *cause).collect();
    for cause in Cause::ALL {
        let id = cause.id();
        let of_issuers = OF_ISSUERS.iter().any(|prefix| id.starts_with(prefix));
        let begins = |prefix: &&str| id.starts_with(*prefix);
        let of_other_methods = OF_OTHER_METHODS.iter().any(begins);
        let elsewhere = of_issuers || of_other_methods;
        let ways = [asked.contains(id), excused.contains(id), elsewhere];
        assert_eq!(ways.iter().filter(|way| **way).count(), 1, "{id}: {ways:?}");
    }
}

/// A gateway without one check is found by the cases of that check and by no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutant_is_found_by_its_check_alone() {
    let mut mutants = BTreeMap::new();
    for route_nonce in [true, false] {
        let strict = report(&world(route_nonce).await, None).await;
        for (cause, cases) in cases(&strict) {
            mutants.insert(cause, (cases, route_nonce));
        }
    }
    assert!(mutants.len() >= 50, "{}", mutants.len());
    // A few at a time: each has an issuer, a control plane, a gateway and an upstream.
    let mut running = JoinSet::new();
    for (cause, (cases, route_nonce)) in mutants {
        if running.len() == 4 {
            running
                .join_next()
                .await
                .expect("one that runs")
                .expect("no panic");
        }
        running.spawn(assess(cause, cases, route_nonce));
    }
    while let Some(done) = running.join_next().await {
        done.expect("no panic");
    }
}
