//! Servers that are slow, flaky, limited, redirecting, hanging or no API at all: the probe says so
//! and judges nothing by them.

mod issuer;
mod pages;
mod tls;
mod unsteady;

use std::sync::Arc;
use std::time::Duration;

use keybound_custody::SoftwareKey;
use keybound_holder::Secret;
use keybound_probe::{
    BoundToken, Credentials, NoAnswer, Options, ProbeError, Report, ResourceServer, Silent, Timing,
    Verdict,
};
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::ManualClock;
use keybound_proto::uri::HttpUrl;
use keybound_testkit::{Act, Hostile, Turn, TurnedClock, World, answer};

/// Quick, and with little patience.
fn options() -> Options {
    Options {
        rate: 0.0,
        timeout: Duration::from_millis(150),
        ..Options::default()
    }
}

/// A clock of its own for servers outside a world.
fn timing() -> Arc<dyn Timing> {
    Arc::new(TurnedClock(ManualClock::at(1_800_000_000)))
}

/// A target with credentials nobody knows.
fn target(origin: &str) -> ResourceServer {
    let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let key: Arc<dyn Signer> = Arc::new(key);
    let token = Secret::new("a-token-that-must-not-be-told".to_owned());
    let url = HttpUrl::parse(&format!("{origin}/approvals")).expect("a URL");
    ResourceServer::new(url, Credentials::new(BoundToken { token, key }))
}

/// Probes a server that stands alone.
async fn probe(server: &Hostile) -> Result<Report, ProbeError> {
    target(&server.origin())
        .probe(&options(), &timing(), &Silent)
        .await
}

/// Probes a world's gateway through a server that stands before it.
async fn through(world: &World, server: &Hostile) -> Report {
    let mut options = options();
    // What is behind needs its time on a busy machine.
    options.timeout = Duration::from_secs(5);
    options.connect_to = Some(server.address);
    let target = world.probed().await;
    target
        .probe(&options, &world.timing(), &Silent)
        .await
        .expect("a report")
}

fn count(report: &Report, verdict: Verdict) -> usize {
    let of = report.findings.iter();
    of.filter(|finding| finding.verdict == verdict).count()
}

/// Every case is open or does not concern the target, some are open, and each says why.
fn undecided(report: &Report, reason: &str) {
    for finding in &report.findings {
        assert!(
            matches!(
                finding.verdict,
                Verdict::Inconclusive | Verdict::NotApplicable
            ),
            "{} is {}: {}",
            finding.id,
            finding.verdict,
            finding.reason
        );
    }
    let open: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Inconclusive)
        .collect();
    assert!(open.len() > 30, "{} cases are open", open.len());
    assert!(
        open.iter().any(|finding| finding.reason.contains(reason)),
        "no reason says `{reason}`: {:?}",
        open.first().map(|finding| &finding.reason)
    );
    assert_eq!(report.grade, '?');
    assert_eq!(report.summary.enforced + report.summary.not_enforced, 0);
}

#[tokio::test]
async fn a_slow_server_is_asked_three_times() {
    let slow = |_: Turn| Act::Late(Duration::from_millis(400), answer("200 OK", "", "{}"));
    let server = Hostile::alone(slow).await;
    let report = probe(&server).await.expect("a report");
    undecided(&report, "did not answer 3 times in a row");
    assert!(report.requests <= 4, "{} requests", report.requests);
}

#[tokio::test]
async fn a_hanging_server_is_asked_three_times() {
    let heads: [&[u8]; 3] = [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
    ];
    for head in heads {
        let server = Hostile::alone(move |_| Act::Hang(head.to_vec())).await;
        let report = probe(&server).await.expect("a report");
        undecided(&report, "did not answer 3 times in a row");
        assert!(report.requests <= 4, "{} requests", report.requests);
    }
}

#[tokio::test]
async fn a_server_that_closes_is_an_error_with_a_next_step() {
    let ends: [&[u8]; 3] = [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ];
    for end in ends {
        let server = Hostile::alone(move |_| Act::Close(end.to_vec())).await;
        let error = probe(&server).await.expect_err("no report");
        assert!(
            matches!(error, ProbeError::NoAnswer(NoAnswer::Broken(_))),
            "{error:?}"
        );
        assert!(error.next_step().contains("speaks HTTP"), "{error}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let result = target(&origin).probe(&options(), &timing(), &Silent).await;
    let error = result.expect_err("no report");
    assert!(matches!(error, ProbeError::NoAnswer(NoAnswer::Connect(..))));
    assert!(error.next_step().contains("target runs"));
}

#[tokio::test]
async fn credentials_that_are_refused_are_an_error_that_tells_no_token() {
    let refusal = answer("401 Unauthorized", "www-authenticate: DPoP\r\n", "");
    let server = Hostile::alone(move |_| Act::Answer(refusal.clone())).await;
    let error = probe(&server).await.expect_err("no report");
    assert!(matches!(error, ProbeError::CredentialsRefused { .. }));
    assert!(error.next_step().contains("check that the token"));
    assert!(!format!("{error} {error:?}").contains("must-not-be-told"));
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let world = World::start().await;
    let endless = |turn: Turn| match turn.good {
        Some(_) => Act::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        None => turn.pass(),
    };
    let server = Hostile::before(&world.gateway, endless).await;
    let mut options = options();
    options.timeout = Duration::from_secs(5);
    options.connect_to = Some(server.address);
    options.only = vec!["RS-01".to_owned(), "RS-02".to_owned()];
    let target = world.probed().await;
    let report = target.probe(&options, &world.timing(), &Silent).await;
    let report = report.expect("a report");
    assert_eq!(count(&report, Verdict::Enforced), report.findings.len());
}
