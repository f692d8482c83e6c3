//! One DPoP check in the guard against the bare verifications it cannot do without.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use keybound_custody::SoftwareKey;
use keybound_guard::keys::IssuerConfig;
use keybound_guard::{Guard, GuardConfig, NullSink, Route};
use keybound_proto::base64url;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::{ManualClock, UnixTime};
use keybound_proto::uri::{HttpUrl, Htu};
use keybound_proto::verify::{HeaderField, Message, Presented};
use keybound_testkit::{ProofDraft, sign_with};
use serde_json::json;

use crate::load::KeyServer;
use crate::row::{median, print};

const NOW: u64 = 1_800_000_000;
const URL: &str = "https://api.example.com/approvals";
/// Operations timed together, ours and the baseline in turn. The figures are the medians of such
/// batches: short enough that most run without an interruption, and a machine that is busy for a
/// while shifts both alike.
const BATCH: usize = 25;

/// Requests that differ in `jti`, and in the token if asked for.
struct Requests {
    key: SoftwareKey,
    tokens: Vec<String>,
    proofs: Vec<String>,
}

pub(crate) fn run(quick: bool) {
    let count = if quick { 200 } else { 1_000 };
    let samples = if quick { 3 } else { 15 };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let issuer = SoftwareKey::generate(Algorithm::Es256).expect("a key");
        let server = KeyServer::start(&issuer);
        let guard = guard(&server.url);
        for (seen, name) in [
            (true, "token seen before"),
            (false, "token not seen before"),
        ] {
            let mut ours = Vec::new();
            let mut bare = Vec::new();
            for _ in 0..samples {
                let requests = requests(algorithm, &issuer, &server.url, count, seen);
                warm(&runtime, &guard, &requests);
                let mut bares = vec![Bare::new(&requests.key, &requests.proofs)];
                if !seen {
                    bares.push(Bare::new(&issuer, &requests.tokens));
                }
                let times = per_check(&runtime, &guard, &requests, &bares);
                ours.extend(times.iter().map(|(ours, _)| ours));
                bare.extend(times.iter().map(|(_, bare)| bare));
            }
            let (limit, target, baseline) = if seen {
                (1.10, "at most 1.10 x", "one bare verification")
            } else {
                (
                    1.08,
                    "at most 1.08 x",
                    "bare verifications of token and proof",
                )
            };
            let (ours, bare) = (median(ours), median(bare));
            let what = format!("one DPoP check in the guard, {}, {name}", algorithm.name());
            print(
                &what,
                "us",
                ours,
                (baseline, bare),
                (target, ours / bare <= limit),
            );
        }
    }
}

fn guard(issuer: &str) -> Guard {
    let mut config = GuardConfig::new(
        "bench",
        vec![IssuerConfig::new(HttpUrl::parse(issuer).expect("a URL"))],
        [1; 32],
    );
    config.replay.first_run = true;
    config.replay.capacity = 4_000_000;
    config.replay.per_sender = 1_000_000;
    Guard::new(config, Arc::new(ManualClock::at(NOW)), Arc::new(NullSink)).expect("a guard")
}

fn requests(
    algorithm: Algorithm,
    issuer: &SoftwareKey,
    issuer_url: &str,
    count: usize,
    one_token: bool,
) -> Requests {
    let key = SoftwareKey::generate(algorithm).expect("a key");
    let tokens: Vec<String> = (0..if one_token { 1 } else { count })
        .map(|number| token(issuer, issuer_url, &key, number))
        .collect();
    let now = UnixTime::from_secs(NOW);
    let proofs = (0..count)
        .map(|number| {
            let token = tokens
                .get(number)
                .or_else(|| tokens.first())
                .expect("a token");
            ProofDraft::new(&key, "GET", URL, now).ath(token).sign(&key)
        })
        .collect();
    Requests {
        key,
        tokens,
        proofs,
    }
}

/// A token as our issuer makes them.
pub(crate) fn token(
    issuer: &SoftwareKey,
    issuer_url: &str,
    holder: &SoftwareKey,
    number: usize,
) -> String {
    let header = json!({"typ": "at+jwt", "alg": issuer.algorithm().name(), "kid": "kb-1"});
    let claims = json!({
        "iss": issuer_url, "sub": "payments-batch", "client_id": "payments-batch",
        "aud": "https://api.example.com/", "scope": "approvals:read approvals:write",
        "jti": format!("tok_{number:022}"), "iat": NOW, "nbf": NOW, "exp": NOW + 300,
        "cnf": {"jkt": holder.public_key().thumbprint().to_string()},
    });
    sign_with(issuer, &header, &claims)
}

/// One request beforehand, so that the issuer's keys and, where wanted, the token are known.
fn warm(runtime: &tokio::runtime::Runtime, guard: &Guard, requests: &Requests) {
    let token = &requests.tokens[0];
    let proof = ProofDraft::new(&requests.key, "GET", URL, UnixTime::from_secs(NOW))
        .ath(token)
        .sign(&requests.key);
    check(runtime, guard, token, &proof);
}

fn check(runtime: &tokio::runtime::Runtime, guard: &Guard, token: &str, proof: &str) {
    let target = Htu::parse(URL).expect("a URL");
    let authorization = format!("DPoP {token}");
    let presented = Presented {
        method: "GET",
        target: &target,
        authorization: HeaderField::One(authorization.as_bytes()),
        proof: HeaderField::One(proof.as_bytes()),
        message: Message::default(),
    };
    let route = Route::new("bench", "https://api.example.com/");
    runtime
        .block_on(guard.check(&presented, &route))
        .expect("a good request");
}

/// Microseconds per check and per bare verification of the same texts, batch by batch.
fn per_check(
    runtime: &tokio::runtime::Runtime,
    guard: &Guard,
    requests: &Requests,
    bares: &[Bare<'_>],
) -> Vec<(f64, f64)> {
    let target = Htu::parse(URL).expect("a URL");
    let route = Route::new("bench", "https://api.example.com/");
    let authorizations: Vec<String> = requests
        .tokens
        .iter()
        .map(|token| format!("DPoP {token}"))
        .collect();
    let batch = async |numbers: Range<usize>| {
        let start = Instant::now();
        for number in numbers.clone() {
            let authorization = authorizations.get(number).unwrap_or(&authorizations[0]);
            let presented = Presented {
                method: "GET",
                target: &target,
                authorization: HeaderField::One(authorization.as_bytes()),
                proof: HeaderField::One(requests.proofs[number].as_bytes()),
                message: Message::default(),
            };
            guard
                .check(&presented, &route)
                .await
                .expect("a good request");
        }
        per_operation(start, numbers.len())
    };
    // The first batch has the token that the warm-up has seen.
    let starts = (BATCH..requests.proofs.len()).step_by(BATCH);
    let numbers = starts.map(|start| start..(start + BATCH).min(requests.proofs.len()));
    numbers
        .map(|numbers| {
            let ours = runtime.block_on(batch(numbers.clone()));
            let bare = bares.iter().map(|bare| bare.batch(numbers.clone())).sum();
            (ours, bare)
        })
        .collect()
}

/// Microseconds of each of `count` operations since `start`.
fn per_operation(start: Instant, count: usize) -> f64 {
    start.elapsed().as_secs_f64() * 1e6 / count as f64
}

/// Texts to verify by the backend alone, key given as bytes.
struct Bare<'a> {
    key: UnparsedPublicKey<Vec<u8>>,
    parts: Vec<(&'a str, Vec<u8>)>,
}

impl<'a> Bare<'a> {
    fn new(key: &SoftwareKey, texts: &'a [String]) -> Self {
        let algorithm: &'static dyn VerificationAlgorithm = match key.algorithm() {
            Algorithm::EdDsa => &ED25519,
            _ => &ECDSA_P256_SHA256_FIXED,
        };
        let split = |text: &'a String| {
            let (input, signature) = text.rsplit_once('.').expect("a JWS");
            let signature = base64url::decode(signature.as_bytes()).expect("base64url");
            (input, signature)
        };
        Self {
            key: UnparsedPublicKey::new(algorithm, raw_public(key)),
            parts: texts.iter().map(split).collect(),
        }
    }

    /// Microseconds per verification.
    fn batch(&self, numbers: Range<usize>) -> f64 {
        let start = Instant::now();
        for (input, signature) in &self.parts[numbers.clone()] {
            self.key
                .verify(input.as_bytes(), signature)
                .expect("a good signature");
        }
        per_operation(start, numbers.len())
    }
}

/// Microseconds per verification by the backend alone, over the same texts, key given as bytes.
pub(crate) fn bare_verifications(key: &SoftwareKey, texts: &[String]) -> f64 {
    let bare = Bare::new(key, texts);
    let starts = (0..texts.len()).step_by(BATCH);
    let times = starts.map(|start| bare.batch(start..(start + BATCH).min(texts.len())));
    median(times.collect())
}

/// The public key as the backend takes it: an uncompressed point, or 32 bytes.
fn raw_public(key: &SoftwareKey) -> Vec<u8> {
    let jwk: serde_json::Value = serde_json::from_str(&key.public_key().to_jwk()).expect("a JWK");
    let member = |name: &str| {
        base64url::decode(jwk[name].as_str().expect("text").as_bytes()).expect("base64url")
    };
    match key.algorithm() {
        Algorithm::EdDsa => member("x"),
        _ => [vec![4], member("x"), member("y")].concat(),
    }
}

/// Microseconds per signature by the backend alone.
pub(crate) fn bare_signature(key: &SoftwareKey) -> f64 {
    let message = [7; 450];
    let times = (0..20).map(|_| {
        let start = Instant::now();
        for _ in 0..BATCH {
            key.sign(&message).expect("a software key signs");
        }
        per_operation(start, BATCH)
    });
    median(times.collect())
}
