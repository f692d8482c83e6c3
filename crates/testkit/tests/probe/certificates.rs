//! Mutants of a resource server that takes certificate-bound tokens (RFC 8705).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use keybound_custody::SoftwareKey;
use keybound_holder::Secret;
use keybound_probe::{
    BoundToken, ClientIdentity, Credentials, Options, ResourceServer, Silent, Verdict,
};
use keybound_proto::base64url;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::ManualClock;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;
use keybound_testkit::TurnedClock;

mod authority;
mod server;

use authority::Authority;
use server::{Lax, start};

/// A target, everything the probe may present there, and where it listens.
struct Setting {
    server: ResourceServer,
    options: Options,
}

async fn setting(lax: Lax) -> Setting {
    let authority = Authority::new();
    let owner = authority.client("the-owner");
    let thumbprint = TokenHash::of(owner.identity.chain[0].as_ref()).to_ath();
    let claims = format!("{{\"cnf\":{{\"x5t#S256\":\"{thumbprint}\"}}}}");
    let token = format!("e30.{}.AAAA", base64url::encode(claims.as_bytes()));
    let address = start(&authority, &owner, &token, lax).await;
    let key: Arc<dyn Signer> = Arc::new(SoftwareKey::generate(Algorithm::Es256).expect("a key"));
    let token = Secret::new(token);
    let mut server = ResourceServer::new(url(address), Credentials::new(BoundToken { token, key }));
    server.certificates.other = Some(Arc::new(authority.client("another").identity));
    server.certificates.renewed = Some(Arc::new(authority.renewed(&owner)));
    let mut options = Options {
        rate: 0.0,
        ..Options::default()
    };
    options.only = (1..=7).map(|number| format!("MT-0{number}")).collect();
    options.tls.authorities = vec![authority.certificate.clone()];
    options.tls.identity = Some(Arc::new(owner.identity));
    Setting { server, options }
}

fn url(address: SocketAddr) -> HttpUrl {
    HttpUrl::parse(&format!("https://localhost:{}/things", address.port())).expect("a URL")
}

async fn verdicts(setting: &Setting) -> Vec<(String, Verdict, String)> {
    let clock = ManualClock::at(1_790_000_000);
    let timing = Arc::new(TurnedClock(clock)) as _;
    let report = setting
        .server
        .probe(&setting.options, &timing, &Silent)
        .await
        .expect("a report");
    let line = |finding: keybound_probe::Finding| {
        let text = format!("{} [{}]", finding.reason, finding.got);
        (finding.id, finding.verdict, text)
    };
    report.findings.into_iter().map(line).collect()
}

fn with(found: &[(String, Verdict, String)], verdict: Verdict) -> BTreeSet<&str> {
    found
        .iter()
        .filter(|(_, each, _)| *each == verdict)
        .map(|(id, ..)| id.as_str())
        .collect()
}

#[tokio::test]
async fn a_server_that_compares_certificates_yields_nothing() {
    let mut setting = setting(Lax::Nowhere).await;
    let elsewhere = self::setting(Lax::Nowhere).await;
    setting.server.other_origins = vec![elsewhere.server.url.clone()];
    // Another authority's server cannot be asked over TLS; the same one's can.
    let found = verdicts(&setting).await;
    assert_eq!(with(&found, Verdict::NotEnforced), BTreeSet::new());
    assert_eq!(
        with(&found, Verdict::Inconclusive),
        BTreeSet::from(["MT-05.other-origins"]),
        "TLS fails there, which proves nothing"
    );
    assert_eq!(with(&found, Verdict::NotApplicable), BTreeSet::new());
    assert_eq!(with(&found, Verdict::Enforced).len(), 14);
}

#[tokio::test]
async fn each_mutant_is_found_by_its_case_alone() {
    let mutants: &[(Lax, &[&str])] = &[
        (Lax::Absent, &["MT-01.absent"]),
        (
            Lax::Any,
            &["MT-02.other-client", "MT-03.same-subject", "MT-07.renewed"],
        ),
        (Lax::Subject, &["MT-03.same-subject", "MT-07.renewed"]),
        (Lax::Unsigned, &["MT-03.without-its-key"]),
        (Lax::Header("client-cert:"), &["MT-04.client-cert"]),
        (Lax::Header("x-client-cert:"), &["MT-04.x-client-cert"]),
        (
            Lax::Header("x-forwarded-client-cert:"),
            &["MT-04.x-forwarded-client-cert"],
        ),
        (
            Lax::Header("x-ssl-client-cert:"),
            &["MT-04.x-ssl-client-cert"],
        ),
        (Lax::Header("ssl-client-cert:"), &["MT-04.ssl-client-cert"]),
        (
            Lax::Resumed,
            &["MT-06.foreign-session-tls12", "MT-06.foreign-session-tls13"],
        ),
        (
            Lax::Forgetful,
            &["MT-06.own-session-tls12", "MT-06.own-session-tls13"],
        ),
        (Lax::Key, &["MT-07.renewed"]),
    ];
    for (lax, expected) in mutants {
        let found = verdicts(&setting(*lax).await).await;
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        assert_eq!(with(&found, Verdict::NotEnforced), expected, "{lax:?}");
        assert_eq!(
            with(&found, Verdict::Inconclusive),
            BTreeSet::new(),
            "{lax:?}"
        );
    }
}

#[tokio::test]
async fn an_origin_without_mutual_tls_is_found() {
    let mut setting = setting(Lax::Nowhere).await;
    let open = self::setting(Lax::Absent).await;
    let port = open.server.url.origin().port();
    let origin = HttpUrl::parse(&format!("https://localhost:{port}")).expect("a URL");
    setting.server.other_origins = vec![origin];
    setting.server.credentials.bound = open.server.credentials.bound.clone();
    // The token of the open server: what counts is that it asks for no certificate.
    let authorities = open.options.tls.authorities.clone();
    setting.options.tls.authorities.extend(authorities);
    setting.server.url = open.server.url.clone();
    setting
        .options
        .tls
        .identity
        .clone_from(&open.options.tls.identity);
    let found = verdicts(&setting).await;
    assert!(with(&found, Verdict::NotEnforced).contains("MT-05.other-origins"));
}

#[tokio::test]
async fn without_a_client_certificate_nothing_is_concluded() {
    let mut setting = setting(Lax::Absent).await;
    setting.options.tls.identity = None;
    let found = verdicts(&setting).await;
    assert_eq!(with(&found, Verdict::NotApplicable).len(), found.len());
}

#[test]
fn an_identity_does_not_show_its_key() {
    let identity: ClientIdentity = Authority::new().client("the-owner").identity;
    assert_eq!(
        format!("{identity:?}"),
        "ClientIdentity { certificates: 1, .. }"
    );
}
