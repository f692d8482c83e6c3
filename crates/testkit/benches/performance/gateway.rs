//! The gateway: `require` against `off`, and `off` against a plain reverse proxy.

use std::sync::Arc;

use keybound_custody::SoftwareKey;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::UnixTime;
use keybound_testkit::{ProofDraft, sign_with};
use serde_json::json;

use crate::load::{KeyServer, Server, send_all, start_upstream};
use crate::micro::bare_verifications;
use crate::roles::{NOW, ORIGIN, RESOURCE};
use crate::row::{median, print};

const CONNECTIONS: usize = 32;

pub(crate) fn run(quick: bool) {
    let (count, rounds) = if quick { (2_000, 1) } else { (20_000, 5) };
    let issuer = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let keys = KeyServer::start(&issuer);
    let upstream = format!("http://{}", start_upstream());
    let start = |role: &str, enforcement: &str| {
        let options = [
            "--upstream",
            &upstream,
            "--issuer",
            &keys.url,
            "--enforcement",
            enforcement,
        ];
        Server::start(role, &options.map(str::to_owned))
    };
    let (plain, off, require) = (
        start("plain-proxy", "off"),
        start("gateway", "off"),
        start("gateway", "require"),
    );
    let mut plain_cpu = Vec::new();
    let mut off_cpu = Vec::new();
    for (algorithm, name) in [(Algorithm::Es256, "ES256"), (Algorithm::EdDsa, "Ed25519")] {
        let mut require_cpu = Vec::new();
        let mut bare = Vec::new();
        for _ in 0..rounds {
            let (requests, proofs, key) = requests(algorithm, &issuer, &keys.url, count);
            plain_cpu.push(per_request(&plain, &requests));
            off_cpu.push(per_request(&off, &requests));
            require_cpu.push(per_request(&require, &requests));
            bare.push(bare_verifications(&key, &proofs[..proofs.len().min(2_000)]));
        }
        let (off, require, bare) = (median(off_cpu.clone()), median(require_cpu), median(bare));
        let limit = off + 1.15 * bare;
        let what = format!("gateway `require`, {name} proofs, CPU per request");
        let baseline = ("gateway `off` + 1.15 x one bare verification", limit);
        print(
            &what,
            "us",
            require,
            baseline,
            ("at most the baseline", require <= limit),
        );
    }
    let (plain, off) = (median(plain_cpu), median(off_cpu));
    let baseline = ("a plain hyper reverse proxy", plain);
    print(
        "gateway `off`, CPU per request",
        "us",
        off,
        baseline,
        ("at most 1.3 x", off <= 1.3 * plain),
    );
}

fn per_request(server: &Server, requests: &Arc<Vec<String>>) -> f64 {
    let before = server.cpu();
    let good = send_all(server.address, requests, CONNECTIONS);
    let spent = server.cpu() - before;
    assert_eq!(good, requests.len(), "some requests were not answered 200");
    spent * 1e6 / good as f64
}

fn requests(
    algorithm: Algorithm,
    issuer: &SoftwareKey,
    issuer_url: &str,
    count: usize,
) -> (Arc<Vec<String>>, Vec<String>, SoftwareKey) {
    let key = SoftwareKey::generate(algorithm).expect("a key");
    let header = json!({"typ": "at+jwt", "alg": issuer.algorithm().name(), "kid": "kb-1"});
    let claims = json!({
        "iss": issuer_url, "sub": "batch", "client_id": "batch", "aud": RESOURCE, "scope": "approvals:read",
        "jti": "tok_0000000000000000000001", "iat": NOW, "nbf": NOW, "exp": NOW + 300,
        "cnf": {"jkt": key.public_key().thumbprint().to_string()},
    });
    let token = sign_with(issuer, &header, &claims);
    let htu = format!("{ORIGIN}/approvals");
    let host = ORIGIN.trim_start_matches("http://");
    let proofs: Vec<String> = (0..count)
        .map(|_| {
            ProofDraft::new(&key, "GET", &htu, UnixTime::from_secs(NOW))
                .ath(&token)
                .sign(&key)
        })
        .collect();
    let requests = proofs
        .iter()
        .map(|proof| {
            format!("GET /approvals HTTP/1.1\r\nhost: {host}\r\nauthorization: DPoP {token}\r\ndpop: {proof}\r\n\r\n")
        })
        .collect();
    (Arc::new(requests), proofs, key)
}
