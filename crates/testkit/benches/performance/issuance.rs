//! Token issuance: DPoP and `private_key_jwt`, committed to SQLite, over HTTP.

use std::sync::Arc;

use keybound_custody::SoftwareKey;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::UnixTime;
use keybound_proto::token::assertion::ASSERTION_TYPE;
use keybound_testkit::{AssertionDraft, ProofDraft};
use serde_json::{Value, json};

use crate::load::{Server, send_all};
use crate::micro::{bare_signature, bare_verifications};
use crate::roles::{ISSUER, NOW, RESOURCE};
use crate::row::{median, print};

const CONNECTIONS: usize = 32;

pub(crate) fn run(quick: bool) {
    let (count, rounds) = if quick { (500, 1) } else { (5_000, 5) };
    for (algorithm, name) in [(Algorithm::Es256, "ES256"), (Algorithm::EdDsa, "EdDSA")] {
        let client = SoftwareKey::generate(algorithm).expect("a key");
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let jwks = directory.path().join("jwks.json");
        let jwk: Value = serde_json::from_str(&client.public_key().to_jwk()).expect("a JWK");
        std::fs::write(&jwks, json!({"keys": [jwk]}).to_string()).expect("a writable directory");
        let options = [
            "--jwks",
            jwks.to_str().expect("text"),
            "--algorithm",
            algorithm.name(),
        ];
        let server = Server::start("issuer", &options.map(str::to_owned));
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (requests, texts) = requests(&client, count);
            let before = server.cpu();
            let good = send_all(server.address, &requests, CONNECTIONS);
            assert_eq!(good, count, "some token requests were not answered 200");
            ours.push((server.cpu() - before) * 1e6 / good as f64);
            let verify = bare_verifications(&client, &texts[..texts.len().min(1_000)]);
            bare.push(2.0 * verify + bare_signature(&client));
        }
        let (ours, bare) = (median(ours), median(bare));
        let what = format!("token issuance with {name}, HTTP and SQLite included, CPU per token");
        let baseline = ("two bare verifications and one signature", bare);
        print(
            &what,
            "us",
            ours,
            baseline,
            ("at most 1.4 x", ours <= 1.4 * bare),
        );
    }
}

/// Token requests, and the proofs among them for the bare measure.
fn requests(client: &SoftwareKey, count: usize) -> (Arc<Vec<String>>, Vec<String>) {
    let now = UnixTime::from_secs(NOW);
    let host = ISSUER.trim_start_matches("http://");
    let mut proofs = Vec::with_capacity(count);
    let requests = (0..count)
        .map(|_| {
            let proof = ProofDraft::new(client, "POST", &format!("{ISSUER}/token"), now).sign(client);
            let assertion = AssertionDraft::new(client, "bench", ISSUER, now).sign(client);
            let body = format!(
                "grant_type=client_credentials&resource={}&client_assertion_type={}&client_assertion={assertion}",
                RESOURCE.replace(':', "%3A").replace('/', "%2F"),
                ASSERTION_TYPE.replace(':', "%3A"),
            );
            let request = format!(
                "POST /token HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                 dpop: {proof}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            proofs.push(proof);
            request
        })
        .collect();
    (Arc::new(requests), proofs)
}
