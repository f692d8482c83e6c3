use std::path::{Path, PathBuf};
use std::sync::Arc;

use keybound_proto::cause::Cause;
use keybound_proto::time::{Clock, ManualClock};
use keybound_proto::workload::{
    TrustDomain, WorkloadIdentityToken, WorkloadProfile, WorkloadTokenRules,
};
use serde_json::{Value, json};

use super::{BundleSource, Domain, TrustDomainConfig, TrustDomains};
use crate::fetch::Fetcher;

const NOW: u64 = 1_800_000_000;

/// The good identity token of the vectors and the bundle it verifies with.
fn vectors() -> (String, Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/workloads.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let vector = &file["groups"][0]["vectors"][0];
    assert_eq!(vector["id"], "wimse-ok");
    let token = vector["headers"][0][1].as_str().unwrap().to_owned();
    (token, file["server"]["trust_domains"][0]["bundle"].clone())
}

struct Place {
    folder: tempfile::TempDir,
    clock: ManualClock,
    domain: Arc<Domain>,
    token: String,
    bundle: Value,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(NOW);
        let (token, bundle) = vectors();
        let domains = domains(&folder.path().join("bundle.json"), &clock);
        Self {
            domain: Arc::clone(domains.iter().next().unwrap()),
            folder,
            clock,
            token,
            bundle,
        }
    }

    fn write(&self, bundle: &Value) {
        std::fs::write(self.file(), bundle.to_string()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("bundle.json")
    }

    async fn outcome(&self) -> &'static str {
        let token = WorkloadIdentityToken::parse(self.token.as_bytes(), 8192).unwrap();
        match self.domain.verify(&token).await {
            Ok((token, key)) => {
                assert_eq!(token.subject(), "wimse://example.com/ns/prod/pay");
                assert!(self.domain.vouches_for(&key));
                "ok"
            }
            Err(rejection) => rejection.cause().id(),
        }
    }

    fn with(&self, change: Value) -> Value {
        let mut bundle = self.bundle.clone();
        for (name, value) in change.as_object().unwrap() {
            bundle[name] = value.clone();
        }
        bundle
    }
}

fn domains(file: &Path, clock: &ManualClock) -> TrustDomains {
    let rules = WorkloadTokenRules::new(
        TrustDomain::parse("wimse://example.com").unwrap(),
        WorkloadProfile::Wimse,
    );
    let config = TrustDomainConfig {
        max_bundle_age: 900,
        ..TrustDomainConfig::new(rules, BundleSource::File(file.to_owned()))
    };
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    TrustDomains::new(vec![config], &Fetcher::new().unwrap(), &clock)
}

#[tokio::test]
async fn without_a_bundle_nobody_is_taken() {
    let place = Place::new();
    assert_eq!(place.outcome().await, "keys.unavailable");
    assert!(!place.domain.status().1);
    // During the cooldown nothing is read again.
    place.write(&place.bundle);
    assert_eq!(place.outcome().await, "keys.unavailable");
    place.clock.advance_secs(30);
    assert_eq!(place.outcome().await, "ok");
    assert!(place.domain.status().1);
}

#[tokio::test]
async fn an_empty_bundle_refuses_at_once_and_a_broken_one_leaves_the_last_in_force() {
    let place = Place::new();
    place.write(&place.bundle);
    assert_eq!(place.outcome().await, "ok");
    std::fs::write(place.file(), "{").unwrap();
    place.clock.advance_secs(300);
    place.domain.keep_fresh().await;
    assert_eq!(place.outcome().await, "ok");
    assert!(place.domain.status().2.contains("not usable"));
    place.write(&json!({"keys": []}));
    place.clock.advance_secs(300);
    place.domain.keep_fresh().await;
    assert_eq!(place.outcome().await, "wimse.wit.key_unknown");
}

#[tokio::test]
async fn sc_234_a_bundle_serves_to_its_age_and_no_longer() {
    let place = Place::new();
    place.write(&place.bundle);
    assert_eq!(place.outcome().await, "ok");
    std::fs::remove_file(place.file()).unwrap();
    place.clock.advance_secs(900);
    place.domain.keep_fresh().await;
    assert_eq!(place.outcome().await, "ok");
    place.clock.advance_secs(1);
    assert_eq!(place.outcome().await, "keys.unavailable");
    place.write(&place.bundle);
    place.clock.advance_secs(30);
    assert_eq!(place.outcome().await, "ok", "it recovers by itself");
    std::fs::remove_file(place.file()).unwrap();
    place.clock.set(NOW - 1);
    assert_eq!(
        place.outcome().await,
        "keys.unavailable",
        "a bundle from the future has no known age"
    );
}

#[tokio::test]
async fn a_sequence_that_goes_back_changes_nothing() {
    let place = Place::new();
    place.write(&place.with(json!({"spiffe_sequence": 7})));
    assert_eq!(place.outcome().await, "ok");
    for earlier in [
        json!({"keys": [], "spiffe_sequence": 6}),
        json!({"keys": []}),
    ] {
        place.write(&earlier);
        place.clock.advance_secs(300);
        place.domain.keep_fresh().await;
        assert_eq!(place.outcome().await, "ok");
        assert!(place.domain.status().2.contains("sequence went back"));
    }
    place.write(&json!({"keys": [], "spiffe_sequence": 8}));
    place.clock.advance_secs(300);
    place.domain.keep_fresh().await;
    assert_eq!(place.outcome().await, "wimse.wit.key_unknown");
}

#[tokio::test]
async fn a_bundle_says_how_often_it_is_fetched() {
    let place = Place::new();
    place.write(&place.with(json!({"spiffe_refresh_hint": 60, "spiffe_sequence": 1})));
    assert_eq!(place.outcome().await, "ok");
    place.write(&json!({"keys": [], "spiffe_sequence": 2}));
    place.clock.advance_secs(59);
    place.domain.keep_fresh().await;
    assert_eq!(place.outcome().await, "ok");
    place.clock.advance_secs(1);
    place.domain.keep_fresh().await;
    assert_eq!(place.outcome().await, "wimse.wit.key_unknown");
}

#[tokio::test]
async fn sc_178_a_domain_is_found_by_scheme_and_name() {
    let clock = ManualClock::at(NOW);
    let domains = domains(Path::new("/nonexistent"), &clock);
    let refused = |name: &str| {
        let name = TrustDomain::parse(name).unwrap();
        domains.find(&name).map(|_| ()).unwrap_err().cause()
    };
    assert_eq!(
        refused("spiffe://example.com"),
        Cause::WitTrustDomainUnknown
    );
    assert_eq!(
        refused("wimse://a.example.com"),
        Cause::WitTrustDomainUnknown
    );
    let name = TrustDomain::parse("wimse://example.com").unwrap();
    assert!(domains.find(&name).is_ok());
}
