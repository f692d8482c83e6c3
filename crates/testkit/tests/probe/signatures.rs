//! Mutants of a server that takes signed requests (RFC 9421).

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use keybound_custody::SoftwareKey;
use keybound_holder::Secret;
use keybound_probe::{
    BoundToken, Credentials, Options, Report, ResourceServer, SignatureProfile, Silent, Verdict,
};
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::ManualClock;
use keybound_proto::uri::HttpUrl;
use keybound_testkit::TurnedClock;

mod server;

use server::Lax;

const TOKEN: &str = "a-token-bound-to-a-key";

async fn report(lax: Lax, algorithm: Algorithm) -> Report {
    let clock = ManualClock::at(1_790_000_000);
    let key: Arc<dyn Signer> = Arc::new(SoftwareKey::generate(algorithm).expect("a key"));
    let origin = server::start(TOKEN, key.as_ref(), &clock, lax).await;
    let url = HttpUrl::parse(&format!("{origin}/things?state=open")).expect("a URL");
    let token = Secret::new(TOKEN);
    let credentials = Credentials::new(BoundToken { token, key });
    let mut target = ResourceServer::new(url, credentials);
    target.method = Method::POST;
    target.body = Bytes::from_static(b"{\"hello\": \"world\"}");
    target.signatures = Some(SignatureProfile::default());
    let options = Options {
        rate: 0.0,
        only: ["SG-01", "SG-02", "SG-03"].map(str::to_owned).to_vec(),
        ..Options::default()
    };
    let timing = Arc::new(TurnedClock(clock)) as _;
    target
        .probe(&options, &timing, &Silent)
        .await
        .expect("a report")
}

fn with(report: &Report, verdict: Verdict) -> BTreeSet<&str> {
    let found = report.findings.iter();
    found
        .filter(|finding| finding.verdict == verdict)
        .map(|finding| finding.id.as_str())
        .collect()
}

#[tokio::test]
async fn a_strict_server_yields_nothing() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let report = report(Lax::Nowhere, algorithm).await;
        assert_eq!(with(&report, Verdict::NotEnforced), BTreeSet::new());
        assert_eq!(with(&report, Verdict::Inconclusive), BTreeSet::new());
        assert_eq!(with(&report, Verdict::NotApplicable), BTreeSet::new());
        assert_eq!(with(&report, Verdict::Enforced).len(), 22);
    }
}

#[tokio::test]
async fn each_mutant_is_found_by_its_cases_alone() {
    let mutants: &[(Lax, &[&str])] = &[
        (Lax::Absent, &["SG-01.absent"]),
        (Lax::Covered("@method"), &["SG-01.method-uncovered"]),
        (
            Lax::Covered("@target-uri"),
            &["SG-01.query-uncovered", "SG-01.target-uncovered"],
        ),
        (
            Lax::Covered("authorization"),
            &["SG-01.authorization-uncovered"],
        ),
        (Lax::Covered("content-digest"), &["SG-01.digest-uncovered"]),
        (Lax::Digest, &["SG-01.body-changed"]),
        (Lax::Method, &["SG-01.method-other"]),
        (Lax::Path, &["SG-01.path-other"]),
        (
            Lax::Created,
            &["SG-02.created-absent", "SG-02.created-old", "SG-02.expired"],
        ),
        (Lax::Future, &["SG-02.created-future"]),
        (Lax::Expires, &["SG-02.expired"]),
        (Lax::Nonce, &["SG-02.nonce-reused", "SG-02.replayed"]),
        (Lax::Algorithm, &["SG-03.alg-other"]),
        (Lax::Label, &["SG-03.label-other"]),
        (Lax::Any, &["SG-03.label-twice", "SG-03.two-signatures"]),
        (
            Lax::Signature,
            &[
                "SG-01.method-other",
                "SG-01.path-other",
                "SG-03.other-key",
                "SG-03.signature-flipped",
            ],
        ),
        (Lax::Hmac, &["SG-03.hmac-public-key"]),
    ];
    for (lax, expected) in mutants {
        let report = report(*lax, Algorithm::Es256).await;
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        assert_eq!(with(&report, Verdict::NotEnforced), expected, "{lax:?}");
        assert_eq!(
            with(&report, Verdict::Inconclusive),
            BTreeSet::new(),
            "{lax:?}"
        );
    }
}
