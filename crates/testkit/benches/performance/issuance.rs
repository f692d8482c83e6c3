//! Token issuance: DPoP and `private_key_jwt`, committed to SQLite, over HTTP; and beside it npm
//! oidc-provider, which keeps its state in memory.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use keybound_custody::SoftwareKey;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::UnixTime;
use keybound_proto::token::assertion::ASSERTION_TYPE;
use keybound_testkit::{AssertionDraft, ProofDraft};
use serde_json::{Value, json};

use crate::bare::{bare_signature, bare_verifications};
use crate::load::{Server, send_all};
use crate::roles::{ISSUER, NOW, RESOURCE};
use crate::row::{median, print, print_missing};

const CONNECTIONS: usize = 32;
/// Requests before the measured ones, so that the peer's code is compiled when they come.
const NODE_WARM_UP: usize = 1_000;
const NODE_MEASURED: usize = 2_000;

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
            let (requests, texts) = requests(&client, ISSUER, NOW, count);
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
        beside_node(&client, name, &jwks, ours);
    }
}

/// Prints our figure beside that of oidc-provider.
fn beside_node(client: &SoftwareKey, name: &str, jwks: &Path, ours: f64) {
    let times = if client.algorithm() == Algorithm::Es256 {
        4.0
    } else {
        5.0
    };
    let what = format!("token issuance beside npm oidc-provider, {name}, CPU per token");
    let target = format!("at most 1/{times:.0} of oidc-provider");
    let interop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop");
    if !interop.join("node_modules/oidc-provider").exists() {
        print_missing(&what, &target, "npm ci --prefix interop");
        return;
    }
    let mut command = Command::new("node");
    command
        .arg(interop.join("bench/oidc-provider.mjs"))
        .arg(jwks)
        .args([client.algorithm().name(), RESOURCE])
        .env("NODE_ENV", "production");
    let server = Server::announced(&mut command);
    let origin = format!("http://{}", server.address);
    // It lives in real time: requests are made now, and none of this is measured.
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs();
    let (all, _) = requests(client, &origin, now, NODE_WARM_UP + NODE_MEASURED);
    let (first, measured) = all.split_at(NODE_WARM_UP);
    send_good(&server, first);
    let before = server.cpu();
    send_good(&server, measured);
    let theirs = (server.cpu() - before) * 1e6 / measured.len() as f64;
    let baseline = ("oidc-provider, state in memory", theirs);
    print(
        &what,
        "us",
        ours,
        baseline,
        (&target, ours * times <= theirs),
    );
}

fn send_good(server: &Server, requests: &[String]) {
    let good = send_all(server.address, &Arc::new(requests.to_vec()), CONNECTIONS);
    assert_eq!(
        good,
        requests.len(),
        "some token requests were not answered 200"
    );
}

/// Token requests to `issuer`, made at `now`, and the proofs among them for the bare measure.
fn requests(
    client: &SoftwareKey,
    issuer: &str,
    now: u64,
    count: usize,
) -> (Arc<Vec<String>>, Vec<String>) {
    let now = UnixTime::from_secs(now);
    let host = issuer.trim_start_matches("http://");
    let mut proofs = Vec::with_capacity(count);
    let requests = (0..count)
        .map(|_| {
            let proof = ProofDraft::new(client, "POST", &format!("{issuer}/token"), now).sign(client);
            let assertion = AssertionDraft::new(client, "bench", issuer, now).sign(client);
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
