//! The gateway with a million live `jti` beside the same gateway with a thousand. They come as
//! requests do, each with a signature of its own, so nothing about the log is assumed.

use keybound_custody::SoftwareKey;
use keybound_proto::jose::Algorithm;

use crate::gateway::{Target, per_request, requests};
use crate::load::{KeyServer, Server, start_upstream};
use crate::roles::{NOW, ORIGIN};
use crate::row::{median, print};

const FEW: usize = 1_000;
/// Requests that are made and sent together while a log is filled, all of one key.
const CHUNK: usize = 50_000;

pub(crate) fn run(quick: bool) {
    let (many, count, rounds) = if quick {
        (20_000, 2_000, 1)
    } else {
        (1_000_000, 20_000, 7)
    };
    let issuer = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let keys = KeyServer::start(&issuer);
    let upstream = format!("http://{}", start_upstream());
    let options = [
        "--upstream",
        &upstream,
        "--issuer",
        &keys.url,
        "--enforcement",
        "require",
    ];
    let start = || Server::start("gateway", &options.map(str::to_owned));
    let full = start();
    let target = Target {
        issuer: &issuer,
        issuer_url: &keys.url,
        origin: ORIGIN,
        now: NOW,
    };
    fill(&full, &target, many);
    for (algorithm, name) in [(Algorithm::Es256, "ES256"), (Algorithm::EdDsa, "Ed25519")] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let few = start();
            fill(&few, &target, FEW);
            let (requests, _, _) = requests(&target, algorithm, count);
            for (server, times) in [&few, &full].into_iter().zip(&mut times) {
                times.push(per_request(server, &requests));
            }
        }
        let [few, full] = times.map(median);
        let what = format!("gateway `require`, {name} proofs, {many} live `jti`, CPU per request");
        let baseline = ("the same gateway, 1,000 live `jti` at first", few);
        print(
            &what,
            "us",
            full,
            baseline,
            ("no slower: at most 1.05 x", full <= few * 1.05),
        );
    }
}

fn fill(server: &Server, target: &Target<'_>, count: usize) {
    let mut left = count;
    while left > 0 {
        let chunk = left.min(CHUNK);
        let (requests, _, _) = requests(target, Algorithm::EdDsa, chunk);
        per_request(server, &requests);
        left -= chunk;
    }
}
