//! Workloads that present themselves: identity token and proof, or the certificate of the
//! connection, against the vectors' trust domains.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use keybound_guard::workload::{BundleSource, TrustDomainConfig};
use keybound_guard::{Guard, GuardConfig, HttpRequest, RequestFacts, Route};
use keybound_proto::Rejection;
use keybound_proto::binding::{BindingMethod, BindingMethods};
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::signal::{SignalEvent, Subject};
use keybound_proto::time::{Clock as _, ManualClock, UnixTime};
use keybound_proto::token::TokenHash;
use keybound_proto::uri::Origin;
use keybound_proto::verify::Verified;
use keybound_proto::workload::{
    IdentityRule, TrustDomain, WorkloadProfile, WorkloadProofRequest, WorkloadTokenRules,
    proof_signing_input,
};
use serde_json::{Value, json};

use crate::support::{MemorySink, NOW};

const URL: &str = "https://api.example.com/approvals";
const PAY: &str = "wimse://example.com/ns/prod/pay";

fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors");
    serde_json::from_slice(&std::fs::read(path.join(name)).unwrap()).unwrap()
}

struct Mesh {
    guard: Guard,
    clock: ManualClock,
    sink: MemorySink,
    route: Route,
    /// The good identity token of the vectors; its key is seeded with ones.
    token: String,
    certificate: PeerCertificate,
    folder: tempfile::TempDir,
}

impl Mesh {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (workloads, svids) = (vectors("workloads.json"), vectors("x509_svids.json"));
        let vector = &workloads["groups"][0]["vectors"][0];
        let svid = &svids["vectors"][0];
        let der = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        let authority = json!({"keys": [{"use": "x509-svid", "x5c": [svid["authorities"][0]]}]});
        let domain = |name: &str, profile, bundle: &Value| {
            let name = TrustDomain::parse(name).unwrap();
            let file = folder.path().join(name.name());
            std::fs::write(&file, bundle.to_string()).unwrap();
            let rules = WorkloadTokenRules::new(name, profile);
            TrustDomainConfig::new(rules, BundleSource::File(file))
        };
        let bundle = &workloads["server"]["trust_domains"][0]["bundle"];
        let mut config = GuardConfig::new("node", Vec::new(), [7; 32]);
        config.replay.first_run = true;
        config.trust_domains = vec![
            domain("wimse://example.com", WorkloadProfile::Wimse, bundle),
            domain("spiffe://example.org", WorkloadProfile::Spiffe, &authority),
        ];
        let clock = ManualClock::at(NOW);
        let sink = MemorySink::default();
        let guard = Guard::new(config, Arc::new(clock.clone()), Arc::new(sink.clone())).unwrap();
        let mut route = Route::new("/approvals", "https://api.example.com/");
        route.identities = [
            "wimse://example.com/ns/prod/*",
            "spiffe://example.org/ns/prod/pay",
        ]
        .iter()
        .map(|text| IdentityRule::parse(text).unwrap())
        .collect();
        Self {
            guard,
            clock,
            sink,
            route,
            token: vector["headers"][0][1].as_str().unwrap().to_owned(),
            certificate: PeerCertificate::from_der(&der(&svid["chain"][0]), Vec::new()).unwrap(),
            folder,
        }
    }

    fn proof_by(&self, seed: u8, change: impl FnOnce(&mut WorkloadProofRequest<'_>)) -> String {
        let hash = TokenHash::of(self.token.as_bytes());
        let jti = format!("{:?}", self.clock.now_millis());
        let mut request = WorkloadProofRequest {
            audience: URL,
            jti: &jti,
            made_at: UnixTime::from_secs(self.clock.now_millis() / 1000),
            lifetime: 60,
            identity_token: &hash,
            access_token: None,
            transaction_token: None,
        };
        change(&mut request);
        let input = proof_signing_input(&request, "EdDSA");
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let signature = pair.sign(input.bytes());
        input.attach(signature.as_ref())
    }

    fn proof(&self) -> String {
        self.proof_by(1, |_| {})
    }

    async fn check(
        &self,
        route: &Route,
        headers: &[(&str, &str)],
        certificate: Option<&PeerCertificate>,
    ) -> Result<Verified, Rejection> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let request = HttpRequest {
            method: &Method::GET,
            path_and_query: "/approvals?state=open",
            headers: &map,
            has_content: true,
            certificate,
            certificate_hash: None,
        };
        let origin = Origin::parse("https://api.example.com").unwrap();
        let facts = RequestFacts::default();
        self.guard
            .check_http(&request, &origin, route, &facts)
            .await
    }

    async fn outcome(&self, headers: &[(&str, &str)]) -> &'static str {
        id(&self.check(&self.route, headers, None).await)
    }

    async fn with_proof(&self, proof: &str) -> &'static str {
        let headers = [
            ("workload-identity-token", &*self.token),
            ("workload-proof-token", proof),
        ];
        self.outcome(&headers).await
    }
}

fn id(outcome: &Result<Verified, Rejection>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(rejection) => rejection.cause().id(),
    }
}

#[tokio::test]
async fn a_workload_without_its_own_proof_is_refused() {
    let mesh = Mesh::new();
    let token = ("workload-identity-token", &*mesh.token);
    assert_eq!(mesh.outcome(&[]).await, "authorization.absent");
    assert_eq!(mesh.outcome(&[token]).await, "wimse.wpt.absent");
    let thief = mesh.proof_by(2, |_| {});
    assert_eq!(mesh.with_proof(&thief).await, "wimse.wpt.signature");
    let elsewhere = mesh.proof_by(1, |proof| {
        proof.audience = "https://other.example.com/approvals"
    });
    assert_eq!(mesh.with_proof(&elsewhere).await, "wimse.wpt.audience");
    const OTHER: &TokenHash = &TokenHash::from_bytes([0; 32]);
    let other = mesh.proof_by(1, |proof| proof.identity_token = OTHER);
    assert_eq!(mesh.with_proof(&other).await, "wimse.wpt.wth");
}

/// The thief of an identity token is named in an event: the token was genuine.
#[tokio::test]
async fn a_stolen_identity_token_is_an_event_about_its_workload() {
    let mesh = Mesh::new();
    mesh.with_proof(&mesh.proof_by(2, |_| {})).await;
    let events = mesh.sink.take();
    let text = events[0].to_json_line();
    assert!(text.contains(PAY), "{text}");
    assert!(text.contains("key_mismatch"), "{text}");
    assert!(!text.contains(&mesh.token), "{text}");
}

#[tokio::test]
async fn an_identity_token_is_never_an_access_token() {
    let mesh = Mesh::new();
    assert_eq!(
        mesh.with_proof(&mesh.proof()).await,
        "ok",
        "it is known now"
    );
    for scheme in ["Bearer", "DPoP"] {
        let authorization = format!("{scheme} {}", mesh.token);
        let outcome = mesh.outcome(&[("authorization", &authorization)]).await;
        assert_ne!(outcome, "ok", "{scheme}");
        let both = [
            ("authorization", &*authorization),
            ("workload-identity-token", &mesh.token),
            ("workload-proof-token", &mesh.proof()),
        ];
        assert_eq!(mesh.outcome(&both).await, "authorization.multiple");
    }
}

#[tokio::test]
async fn a_proof_is_taken_once() {
    let mesh = Mesh::new();
    let proof = mesh.proof();
    assert_eq!(mesh.with_proof(&proof).await, "ok");
    for _ in 0..3 {
        assert_eq!(mesh.with_proof(&proof).await, "wimse.wpt.replayed");
    }
    mesh.clock.advance_secs(1);
    assert_eq!(mesh.with_proof(&mesh.proof()).await, "ok");
}

#[tokio::test]
async fn routes_say_who_and_how() {
    let mesh = Mesh::new();
    let proof = mesh.proof();
    let headers = [
        ("workload-identity-token", &*mesh.token),
        ("workload-proof-token", &proof),
    ];
    let mut route = mesh.route.clone();
    route.identities.clear();
    assert_eq!(
        id(&mesh.check(&route, &headers, None).await),
        "workload.identity"
    );
    route.identities = vec![IdentityRule::parse("wimse://example.com/ns/prod/payroll").unwrap()];
    assert_eq!(
        id(&mesh.check(&route, &headers, None).await),
        "workload.identity"
    );
    let mut route = mesh.route.clone();
    route.methods = BindingMethods::of(&[BindingMethod::Dpop]);
    assert_eq!(
        id(&mesh.check(&route, &headers, None).await),
        "token.method.refused"
    );
    let verified = mesh.check(&mesh.route, &headers, None).await.unwrap();
    assert_eq!(verified.possession().method(), BindingMethod::Wimse);
    assert_eq!(verified.token().subject(), PAY);
    assert_eq!(verified.token().issuer(), "wimse://example.com");
}

#[tokio::test]
async fn a_locked_workload_is_refused() {
    let mesh = Mesh::new();
    assert_eq!(mesh.with_proof(&mesh.proof()).await, "ok");
    let subject = Subject::Identity {
        issuer: "wimse://example.com".to_owned(),
        subject: PAY.to_owned(),
    };
    mesh.guard
        .revocations()
        .apply(&subject, SignalEvent::Locked, None);
    mesh.clock.advance_secs(1);
    assert_eq!(mesh.with_proof(&mesh.proof()).await, "identity.locked");
}

#[tokio::test]
async fn an_expired_identity_token_is_refused_although_it_is_known() {
    let mesh = Mesh::new();
    assert_eq!(mesh.with_proof(&mesh.proof()).await, "ok");
    mesh.clock.advance_secs(3540);
    assert_eq!(mesh.with_proof(&mesh.proof()).await, "wimse.wit.expired");
}

#[tokio::test]
async fn a_certificate_counts_for_the_workload_it_names() {
    let mesh = Mesh::new();
    let certificate = Some(&mesh.certificate);
    let mut route = mesh.route.clone();
    route.identities.clear();
    assert_eq!(
        id(&mesh.check(&route, &[], certificate).await),
        "authorization.absent"
    );
    route.identities = vec![IdentityRule::parse("spiffe://example.org/ns/prod/admin").unwrap()];
    assert_eq!(
        id(&mesh.check(&route, &[], certificate).await),
        "workload.identity"
    );
    let mut route = mesh.route.clone();
    route.methods = BindingMethods::of(&[BindingMethod::Wimse]);
    assert_eq!(
        id(&mesh.check(&route, &[], certificate).await),
        "authorization.absent"
    );
    for _ in 0..2 {
        let verified = mesh.check(&mesh.route, &[], certificate).await.unwrap();
        assert_eq!(verified.possession().method(), BindingMethod::Mtls);
        assert_eq!(
            verified.token().subject(),
            "spiffe://example.org/ns/prod/pay"
        );
    }
    mesh.clock.advance_secs(3601);
    assert_eq!(
        id(&mesh.check(&mesh.route, &[], certificate).await),
        "certificate.expired",
        "on a connection that outlived it"
    );
}

#[tokio::test]
async fn sc_178_an_authority_of_another_domain_does_not_count() {
    let mesh = Mesh::new();
    let svids = vectors("x509_svids.json");
    for (name, expected) in [
        ("x509-svid-foreign-authority", "spiffe.certificate.chain"),
        ("x509-svid-domain", "spiffe.trust_domain"),
        ("x509-svid-two-uris", "spiffe.certificate.id"),
        ("x509-svid-ca-leaf", "spiffe.certificate.usage"),
    ] {
        let vector = svids["vectors"].as_array().unwrap().iter();
        let vector = vector.clone().find(|vector| vector["id"] == name).unwrap();
        let der = STANDARD
            .decode(vector["chain"][0].as_str().unwrap())
            .unwrap();
        let certificate = PeerCertificate::from_der(&der, Vec::new()).unwrap();
        let outcome = mesh.check(&mesh.route, &[], Some(&certificate)).await;
        assert_eq!(id(&outcome), expected, "{name}");
    }
}

/// A proof token covers no content, so a route that wants it covered takes none with it.
#[tokio::test]
async fn a_proof_token_covers_no_content() {
    let mut mesh = Mesh::new();
    mesh.route.cover_content = true;
    assert_eq!(mesh.with_proof(&mesh.proof()).await, "digest.absent");
    mesh.route.cover_content = false;
    assert_eq!(mesh.with_proof(&mesh.proof()).await, "ok");
}

/// The vectors' good token, but for the key it names.
fn by_another_key(token: &str) -> String {
    let header = json!({"alg": "EdDSA", "kid": "wi-9", "typ": "wit+jwt"});
    let header = keybound_proto::base64url::encode(header.to_string().as_bytes());
    let (_, rest) = token.split_once('.').unwrap();
    format!("{header}.{rest}")
}

#[tokio::test]
async fn a_key_that_left_the_bundle_vouches_for_nobody_it_vouched_for() {
    let mesh = Mesh::new();
    assert_eq!(mesh.with_proof(&mesh.proof()).await, "ok");
    let other = crate::support::key(keybound_proto::jose::Algorithm::EdDsa);
    let jwk = keybound_proto::jose::Signer::public_key(&*other)
        .to_jwk_with("wi-2", keybound_proto::jose::Algorithm::EdDsa);
    let file = mesh.folder.path().join("example.com");
    std::fs::write(&file, format!("{{\"keys\":[{jwk}]}}")).unwrap();
    mesh.clock.advance_secs(300);
    mesh.guard.maintain().await;
    assert_eq!(
        mesh.with_proof(&mesh.proof()).await,
        "wimse.wit.key_unknown"
    );
}

/// Whether a key is unknown shows only when the bundle can be had: else nobody knows.
#[tokio::test]
async fn an_unknown_key_is_known_to_be_unknown_only_if_the_bundle_was_heard_of() {
    let mut mesh = Mesh::new();
    mesh.token = by_another_key(&mesh.token);
    assert_eq!(
        mesh.with_proof(&mesh.proof()).await,
        "wimse.wit.key_unknown"
    );
    std::fs::remove_file(mesh.folder.path().join("example.com")).unwrap();
    mesh.clock.advance_secs(30);
    assert_eq!(mesh.with_proof(&mesh.proof()).await, "keys.unavailable");
}
