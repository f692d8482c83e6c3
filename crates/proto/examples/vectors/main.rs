//! Writes the test vectors of this project: `cargo run -p keybound-proto --example vectors -- DIRECTORY`.
//!
//! Everything is signed with Ed25519 keys over fixed seeds, so the same vectors come out
//! every time and the committed files can be compared with what this program writes.

mod assertions;
mod certificate_headers;
mod certificates;
mod introspection;
mod make;
mod proofs;
mod signatures;
mod status_lists;
mod tokens;
mod workloads;

use std::error::Error;
use std::path::Path;

use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: vectors DIRECTORY")?;
    let directory = Path::new(&directory);
    write(directory, "keys.json", &make::keys())?;
    write(directory, "requests.json", &requests())?;
    write(directory, "assertions.json", &assertions::file())?;
    write(directory, "signatures.json", &signatures::file())?;
    write(directory, "introspection.json", &introspection::file())?;
    write(directory, "status_lists.json", &status_lists::file())?;
    write(directory, "workloads.json", &workloads::file())?;
    write(directory, "certificates.json", &certificates::file())?;
    write(
        directory,
        "certificate_headers.json",
        &certificate_headers::file(),
    )?;
    Ok(())
}

fn requests() -> Value {
    json!({
        "about": "Requests to a resource server. `expect` is a cause id of the check registry, or `ok`. \
                  A vector is independent of the others: each meets an empty replay log.",
        "flags": {
            "positive": "must be accepted",
            "binding": "the token is genuine; somebody without its key presents it",
            "form": "malformed or ambiguous input",
            "freshness": "made too early, too late or without a required nonce",
            "target": "made for another request",
            "token": "a fault of the access token itself",
        },
        "server": make::server(),
        "groups": [proofs::form(), proofs::key(), proofs::target(), proofs::freshness(),
                   proofs::binding(), proofs::content(), tokens::form(), tokens::claim_rules(), tokens::confirmation(),
                   tokens::certificates()],
    })
}

fn write(directory: &Path, name: &str, value: &Value) -> Result<(), Box<dyn Error>> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    std::fs::write(directory.join(name), text)?;
    Ok(())
}
