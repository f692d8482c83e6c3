//! The gateway: `require` against `off` and beside Apache, and `off` against a plain reverse proxy.

use std::sync::Arc;
use std::time::SystemTime;

use keybound_custody::SoftwareKey;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::UnixTime;
use keybound_testkit::{ProofDraft, sign_with};
use serde_json::json;

use crate::apache::{self, Apache};
use crate::bare::bare_verifications;
use crate::load::{KeyServer, Server, send_all, start_upstream};
use crate::roles::{NOW, ORIGIN, RESOURCE};
use crate::row::{median, print, print_missing};

const CONNECTIONS: usize = 32;
/// Used proofs that Apache remembers, as it comes.
const APACHE_ENTRIES: usize = 1_000;

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
    let ours = Target {
        issuer: &issuer,
        issuer_url: &keys.url,
        origin: ORIGIN,
        now: NOW,
    };
    let mut figures = Vec::new();
    let mut plain_cpu = Vec::new();
    let mut off_cpu = Vec::new();
    for (algorithm, name) in [(Algorithm::Es256, "ES256"), (Algorithm::EdDsa, "Ed25519")] {
        let mut require_cpu = Vec::new();
        let mut bare = Vec::new();
        for _ in 0..rounds {
            let (requests, proofs, key) = requests(&ours, algorithm, count);
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
        let times = if algorithm == Algorithm::Es256 {
            4.0
        } else {
            6.0
        };
        figures.push((name, require, times));
    }
    beside_apache(&upstream, &figures, count.min(5_000));
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

pub(crate) fn per_request(server: &Server, requests: &Arc<Vec<String>>) -> f64 {
    let before = server.cpu();
    let good = send_all(server.address, requests, CONNECTIONS);
    let spent = server.cpu() - before;
    assert_eq!(good, requests.len(), "some requests were not answered 200");
    spent * 1e6 / good as f64
}

/// Prints our figures beside Apache's: name of the algorithm, CPU per request, and how often that
/// must fit into Apache's. Both stand beside its ES256.
fn beside_apache(upstream: &str, figures: &[(&str, f64, f64)], count: usize) {
    let theirs = apache::is_installed().then(|| apache_per_request(upstream, count));
    for (name, ours, times) in figures {
        let what =
            format!("gateway `require` beside Apache with mod_oauth2, {name}, CPU per request");
        let target = format!("at most 1/{times:.0} of Apache");
        match theirs {
            None => print_missing(&what, &target, apache::INSTALL),
            Some(theirs) => {
                let baseline = ("Apache, ES256, 1,000 live proofs", theirs);
                let met = ours * times <= theirs;
                print(&what, "us", *ours, baseline, (&target, met));
            }
        }
    }
}

fn apache_per_request(upstream: &str, count: usize) -> f64 {
    let issuer = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let apache = Apache::start(upstream, &issuer);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs();
    let target = Target {
        issuer: &issuer,
        issuer_url: "https://issuer.example.com",
        origin: &apache.origin,
        now,
    };
    let (all, _, _) = requests(&target, Algorithm::Es256, 1 + APACHE_ENTRIES + count);
    let twice = Arc::new(vec![all[0].clone(); 2]);
    let taken = send_all(apache.server.address, &twice, 1);
    assert_eq!(taken, 1, "Apache does not take a proof exactly once");
    // Its cache of used proofs is full before the measured part begins.
    let (first, measured) = all[1..].split_at(APACHE_ENTRIES);
    per_request(&apache.server, &Arc::new(first.to_vec()));
    per_request(&apache.server, &Arc::new(measured.to_vec()))
}

/// Whose tokens, for whom, and when.
pub(crate) struct Target<'a> {
    pub(crate) issuer: &'a SoftwareKey,
    pub(crate) issuer_url: &'a str,
    pub(crate) origin: &'a str,
    pub(crate) now: u64,
}

pub(crate) fn requests(
    target: &Target<'_>,
    algorithm: Algorithm,
    count: usize,
) -> (Arc<Vec<String>>, Vec<String>, SoftwareKey) {
    let Target {
        issuer,
        issuer_url,
        origin,
        now,
    } = target;
    let key = SoftwareKey::generate(algorithm).expect("a key");
    let header = json!({"typ": "at+jwt", "alg": issuer.algorithm().name(), "kid": "kb-1"});
    let claims = json!({
        "iss": issuer_url, "sub": "batch", "client_id": "batch", "aud": RESOURCE, "scope": "approvals:read",
        "jti": "tok_0000000000000000000001", "iat": now, "nbf": now, "exp": now + 300,
        "cnf": {"jkt": key.public_key().thumbprint().to_string()},
    });
    let token = sign_with(issuer, &header, &claims);
    let htu = format!("{origin}/approvals");
    let host = origin.trim_start_matches("http://");
    let proofs: Vec<String> = (0..count)
        .map(|_| {
            ProofDraft::new(&key, "GET", &htu, UnixTime::from_secs(*now))
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
