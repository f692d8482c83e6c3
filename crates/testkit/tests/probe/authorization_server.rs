//! Mutants of the issuer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use keybound_custody::SoftwareKey;
use keybound_holder::Secret;
use keybound_probe::{AuthorizationServer, Client, Options, Report, Silent, Verdict};
use keybound_proto::Cause;
use keybound_proto::jose::Algorithm;
use keybound_proto::uri::HttpUrl;
use keybound_testkit::{Agent, Lenient, World, WorldOptions};
use tokio::task::JoinSet;

/// Causes of the registry that a stranger cannot bring about at an authorization server, and why.
const UNSEEN: &[(&str, &str)] = &[
    ("identity.locked", "an operator's decision"),
    ("key.locked", "an operator's decision"),
    ("issuer.clock", "the issuer's clock would have to go back"),
    ("store.unavailable", "the disk would have to be full"),
    ("replay.flood", "takes more requests than a probe may send"),
    ("replay.full", "takes more requests than a probe may send"),
    (
        "replay.unavailable",
        "the gateway would have to lose a shared log",
    ),
    (
        "registration.closed",
        "a server that registers whoever asks is open, which is its operator's decision",
    ),
    (
        "http.body_timeout",
        "takes a request that is never finished",
    ),
    ("authorization.details", NEEDS_A_PERSON),
    ("authorization.dpop_jkt", NEEDS_A_PERSON),
    ("authorization.redirect_uri", NEEDS_A_PERSON),
    ("authorization.request_uri", NEEDS_A_PERSON),
    ("authorization.response_type", NEEDS_A_PERSON),
    ("exchange.actor_token", NOT_ASKED),
    ("exchange.binding", NOT_ASKED),
    ("exchange.delegation_refused", NOT_ASKED),
    ("exchange.depth", NOT_ASKED),
    ("exchange.subject_token", NOT_ASKED),
    ("exchange.subject_unproven", NOT_ASKED),
    ("grant.code_verifier", NEEDS_A_PERSON),
    ("grant.invalid", NEEDS_A_PERSON),
    ("grant.key_mismatch", NEEDS_A_PERSON),
    ("grant.reused", NEEDS_A_PERSON),
    ("http.body_too_large", "says nothing about tokens"),
    (
        "http.connection_header",
        "concerns proxies, which are asked at resource servers",
    ),
    (
        "http.framing",
        "takes bytes that are no HTTP; the issuer's own tests send them",
    ),
    ("http.header_too_large", "says nothing about tokens"),
    (
        "http.origin_foreign",
        "concerns web pages that call a loopback server",
    ),
    ("http.route_unknown", "says nothing about tokens"),
    (
        "http.target_ambiguous",
        "the token endpoint has one fixed path",
    ),
    ("http.target_too_long", "says nothing about tokens"),
    (
        "http.upgrade_refused",
        "the issuer serves no upgrade, good or bad",
    ),
];

const NOT_ASKED: &str = "the probe exchanges no tokens";
const NEEDS_A_PERSON: &str = "codes come from people, and a probe has none to ask";

/// Causes only a resource server or its gateway has; its own tests cover them.
const OF_RESOURCE_SERVERS: &[&str] = &[
    "authorization.absent",
    "dpop.absent",
    "dpop.ath.",
    "digest.",
    "httpsig.",
    "introspection.",
    "spiffe.",
    "status_list.",
    "token.",
    "wimse.",
    "workload.",
    "scope.insufficient",
    "keys.unavailable",
    "replay.epoch",
    "revocation.stale",
    "upstream.",
];

/// Beginnings of causes that take a client with a certificate; the probe has none at an issuer
/// and asks about certificates at resource servers.
const OF_CERTIFICATES: &[&str] = &[
    "certificate.",
    "certificate_header.",
    "client.certificate_required",
];

/// A world as the issuer's configuration makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Everybody may register, no nonces.
    Open,
    /// An initial access token and nonces are demanded.
    Guarded,
}

const KINDS: [Kind; 2] = [Kind::Guarded, Kind::Open];

async fn world(kind: Kind) -> World {
    let guarded = kind == Kind::Guarded;
    let registration = if guarded { "token" } else { "open" };
    World::with(WorldOptions {
        issuer_nonce: guarded,
        registration: registration.to_owned(),
        ..WorldOptions::default()
    })
    .await
}

fn probed(world: &World, client: Client) -> AuthorizationServer {
    let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let issuer = HttpUrl::parse(&world.issuer).expect("a URL");
    let mut server = AuthorizationServer::new(issuer, client, Arc::new(key));
    server.resource = Some(format!("{}/", world.gateway));
    let no_grant = Agent::new("no-grant");
    server.without_grant = Some(Client::PrivateKeyJwt(no_grant.id, no_grant.client_key));
    server
}

async fn report_as(world: &World, client: Client, without: Option<Cause>) -> Report {
    let lenient = Lenient::start(&world.issuer, without).await;
    let options = Options {
        rate: 0.0,
        connect_to: Some(lenient.address),
        ..Options::default()
    };
    let server = probed(world, client);
    server
        .probe(&options, &world.timing(), &Silent)
        .await
        .expect("a report")
}

/// A run in a world of its own: it turns the clock.
async fn report(kind: Kind, without: Option<Cause>) -> Report {
    let initial = (kind == Kind::Guarded).then(|| Secret::new("initial"));
    report_as(&world(kind).await, Client::Register(initial), without).await
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
            let of_cause = cases.entry(cause.clone()).or_default();
            of_cause.insert(finding.id.clone());
        }
    }
    cases
}

fn assert_strict(report: &Report) {
    assert_eq!(ids(report, Verdict::NotEnforced), BTreeSet::new());
    assert_eq!(ids(report, Verdict::Inconclusive), BTreeSet::new());
    assert_eq!(report.grade, 'A');
    let wrong: Vec<_> = report
        .labels
        .iter()
        .filter(|label| label.agrees == Some(false))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn a_strict_issuer_yields_nothing() {
    for kind in KINDS {
        assert_strict(&report(kind, None).await);
    }
}

#[tokio::test]
async fn a_strict_issuer_yields_nothing_to_clients_it_knows() {
    let world = world(Kind::Open).await;
    let agent = Agent::new("agent");
    let by_key = Client::PrivateKeyJwt(agent.id, agent.client_key);
    assert_strict(&report_as(&world, by_key, None).await);
    let (id, secret) = world.secret_client.clone();
    let by_secret = Client::Secret(id, Secret::new(secret));
    assert_strict(&report_as(&world, by_secret, None).await);
}

/// An exemption is the operator's right; from outside it is a client that gets bearer tokens.
#[tokio::test]
async fn a_client_that_may_go_without_proofs_is_found() {
    let world = world(Kind::Open).await;
    let exempt = Agent::new("exempt");
    let client = Client::PrivateKeyJwt(exempt.id, exempt.client_key);
    let report = report_as(&world, client, None).await;
    let found = ids(&report, Verdict::NotEnforced);
    assert_eq!(found, BTreeSet::from(["AS-02.without-proof".to_owned()]));
    assert_eq!(report.grade, 'F');
}

/// What a full run costs; more is to be noticed.
#[tokio::test]
async fn a_full_run_of_an_issuer_stays_within_its_requests() {
    let report = report(Kind::Open, None).await;
    assert!(report.requests <= 310, "{}", report.requests);
}

/// The ids are stable: users name them in baselines and options.
#[tokio::test]
async fn every_published_case_of_an_issuer_is_asked() {
    let report = report(Kind::Open, None).await;
    let mut asked: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.id.as_str())
        .collect();
    asked.sort_unstable();
    let published: Vec<&str> = keybound_probe::case_ids()
        .filter(|id| id.starts_with("AS-"))
        .collect();
    assert_eq!(asked, published);
}

/// Removing a case from the probe leaves its cause without one.
#[tokio::test]
async fn every_cause_of_an_issuer_has_a_case_or_a_reason() {
    let mut asked = BTreeSet::new();
    for kind in KINDS {
        asked.extend(cases(&report(kind, None).await).into_keys());
    }
    let excused: BTreeSet<&str> = UNSEEN.iter().map(|(cause, _)| *cause).collect();
    for cause in Cause::ALL {
        let id = cause.id();
        let elsewhere = OF_RESOURCE_SERVERS
            .iter()
            .chain(OF_CERTIFICATES)
            .any(|prefix| id.starts_with(prefix));
        let ways = [asked.contains(id), excused.contains(id), elsewhere];
        assert_eq!(ways.iter().filter(|way| **way).count(), 1, "{id}: {ways:?}");
    }
}

/// What one mutant showed.
async fn assess(cause: String, cases: BTreeSet<String>, kind: Kind) {
    let without = Cause::from_id(&cause).expect("a cause of the registry");
    let report = report(kind, Some(without)).await;
    let found = ids(&report, Verdict::NotEnforced);
    assert!(!found.is_empty(), "{cause} was not found");
    // A case that was not asked any more says that another has shown it already.
    let spared = ids(&report, Verdict::NotApplicable);
    let asked: BTreeSet<String> = cases.difference(&spared).cloned().collect();
    assert_eq!(found, asked, "{cause}");
    let checks: BTreeSet<&str> = found.iter().filter_map(|id| id.split('.').next()).collect();
    assert_eq!(checks.len(), 1, "{cause} was found by {found:?}");
    assert_eq!(
        ids(&report, Verdict::Inconclusive),
        BTreeSet::new(),
        "{cause}"
    );
}

/// An issuer without one check is found by the cases of that check and by no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutant_of_the_issuer_is_found_by_its_cases_alone() {
    let mut mutants = BTreeMap::new();
    for kind in KINDS {
        for (cause, cases) in cases(&report(kind, None).await) {
            mutants.insert(cause, (cases, kind));
        }
    }
    assert!(mutants.len() >= 40, "{}", mutants.len());
    let mut running = JoinSet::new();
    let mut failures = Vec::new();
    for (cause, (cases, kind)) in mutants {
        if running.len() == 4 {
            failures.extend(running.join_next().await.and_then(Result::err));
        }
        running.spawn(assess(cause, cases, kind));
    }
    while let Some(done) = running.join_next().await {
        failures.extend(done.err());
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
