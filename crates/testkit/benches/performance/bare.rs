//! What a check cannot do without: the cryptographic backend alone, over the same texts.

use std::ops::Range;
use std::time::Instant;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use keybound_custody::SoftwareKey;
use keybound_proto::base64url;
use keybound_proto::jose::{Algorithm, Signer};

use crate::row::median;

/// Operations timed together, ours and the baseline in turn. The figures are the medians of such
/// batches: short enough that most run without an interruption, and a machine that is busy for a
/// while shifts both alike.
pub(crate) const BATCH: usize = 25;

/// Operations of the backend, one for each request.
pub(crate) enum Bare {
    /// Verifications, the key given as bytes.
    Verify(UnparsedPublicKey<Vec<u8>>, Vec<(Vec<u8>, Vec<u8>)>),
    /// SHA-256.
    Hash(Vec<String>),
}

impl Bare {
    /// Verification of these texts' signatures.
    pub(crate) fn jws(key: &SoftwareKey, texts: &[String]) -> Self {
        let split = |text: &String| {
            let (input, signature) = text.rsplit_once('.').expect("a JWS");
            let signature = base64url::decode(signature.as_bytes()).expect("base64url");
            (input.as_bytes().to_vec(), signature)
        };
        Self::verify(key, texts.iter().map(split).collect())
    }

    /// Verification of signatures over these bytes.
    pub(crate) fn verify(key: &SoftwareKey, parts: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let algorithm: &'static dyn VerificationAlgorithm = match key.algorithm() {
            Algorithm::EdDsa => &ED25519,
            _ => &ECDSA_P256_SHA256_FIXED,
        };
        Self::Verify(UnparsedPublicKey::new(algorithm, raw_public(key)), parts)
    }

    /// Microseconds per operation.
    pub(crate) fn batch(&self, numbers: Range<usize>) -> f64 {
        let count = numbers.len();
        let start = Instant::now();
        match self {
            Self::Verify(key, parts) => {
                for (input, signature) in &parts[numbers] {
                    key.verify(input, signature).expect("a good signature");
                }
            }
            Self::Hash(texts) => {
                for text in &texts[numbers] {
                    std::hint::black_box(digest::digest(&digest::SHA256, text.as_bytes()));
                }
            }
        }
        per_operation(start, count)
    }
}

/// Microseconds of each of `count` operations since `start`.
pub(crate) fn per_operation(start: Instant, count: usize) -> f64 {
    start.elapsed().as_secs_f64() * 1e6 / count as f64
}

/// Microseconds per verification by the backend alone, over the same texts, key given as bytes.
pub(crate) fn bare_verifications(key: &SoftwareKey, texts: &[String]) -> f64 {
    let bare = Bare::jws(key, texts);
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
