//! What is fuzzed: for each parser of outside bytes one ordinary function.
//!
//! A target says whether it accepted its input, and panics when the parser does
//! or when something that must hold for every accepted input does not. The
//! executables in `fuzz_targets/` explore with libFuzzer; the test
//! `crates/proto/tests/fuzz_corpus.rs` includes this file and replays every
//! corpus file on the ordinary compiler.
//!
//! Random bytes never carry a valid signature. So where what follows the
//! signature is worth exploring, an input of several lines is taken as JSON
//! texts, which the target signs with a published test key.
//!
//! Time stands still at [`NOW`]. Nothing here reads a file or a clock.

#![forbid(unsafe_code)]

use std::sync::LazyLock;

use aws_lc_rs::signature::Ed25519KeyPair;
use keybound_proto::{
    base64url,
    jose::PublicKey,
    time::UnixTime,
    uri::{Htu, Origin},
};

mod addresses;
mod jose;
mod records;
mod requests;
mod signatures;
mod tokens;
mod workloads;

/// Reads the bytes as a peer would have sent them; says whether they were accepted.
pub type Target = fn(&[u8]) -> bool;

/// The parsers that one executable explores together. They read the same kind of text, so what is
/// learned from one of them is worth trying on the others.
pub struct Family {
    /// Also the name of the executable.
    pub name: &'static str,
    /// Each target by its name, which is also the name of its corpus folder.
    pub targets: &'static [(&'static str, Target)],
}

/// Everything there is to explore.
pub const FAMILIES: [Family; 7] = [
    Family {
        name: "addresses",
        targets: &[
            ("http_url", addresses::http_url),
            ("htu", addresses::htu),
            ("origin", addresses::origin),
            ("request_target", addresses::request_target),
        ],
    },
    Family {
        name: "jose",
        targets: &[
            ("encodings", jose::encodings),
            ("json", jose::json),
            ("jwk", jose::jwk),
            ("jws", jose::jws),
        ],
    },
    Family {
        name: "records",
        targets: &[
            ("artefact", records::artefact),
            ("event", records::event),
            ("subject", records::subject),
        ],
    },
    Family {
        name: "requests",
        targets: &[
            ("authorization", requests::authorization),
            ("nonce", requests::nonce),
            ("proof", requests::proof),
            ("request", requests::request),
        ],
    },
    Family {
        name: "signatures",
        targets: &[
            ("content_digest", signatures::digest),
            ("directory", signatures::directory),
            ("signature_input", signatures::signature_input),
            ("signature_key", signatures::signature_key_field),
            ("structured_field", signatures::structured),
        ],
    },
    Family {
        name: "tokens",
        targets: &[
            ("access_token", tokens::access_token),
            ("client_assertion", tokens::client_assertion),
            ("keybound_assertion", tokens::keybound_assertion),
            ("signal", tokens::signal),
        ],
    },
    Family {
        name: "workloads",
        targets: &[
            ("trust_bundle", workloads::trust_bundle),
            ("workload_api", workloads::workload_api),
            ("workload_id", workloads::workload_id),
            ("workload_proof", workloads::workload_proof),
            ("workload_token", workloads::workload_token),
        ],
    },
];

/// Gives one input to every target of a family.
///
/// # Panics
/// When there is no such family, and when a target finds a fault.
pub fn explore(family: &str, input: &[u8]) {
    let family = FAMILIES.iter().find(|known| known.name == family);
    for (_, target) in family.expect("a family of the table").targets {
        target(input);
    }
}

/// When every target happens: 2027-01-15T08:00:00Z.
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// The server that the requests are for.
const METHOD: &str = "POST";
static TARGET: LazyLock<Htu> = LazyLock::new(|| {
    let origin = Origin::parse("https://api.example.com").expect("a valid origin");
    Htu::for_request(&origin, "/approvals").expect("a valid path")
});

/// The Ed25519 key of RFC 8037 appendix A.1; whoever it signs for is not trusted by anybody.
static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| {
    let seed: [u8; 32] = base64url::decode_exact(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .expect("a seed of 32 bytes");
    Ed25519KeyPair::from_seed_unchecked(&seed).expect("a valid seed")
});
static PUBLIC_KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    PublicKey::from_jwk(jwk.as_bytes()).expect("a valid key")
});

/// A compact JWS over a header and a payload as they are, valid JSON or not.
fn sign(header: &[u8], payload: &[u8]) -> String {
    let input = format!(
        "{}.{}",
        base64url::encode(header),
        base64url::encode(payload)
    );
    let signature = KEY.sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(signature.as_ref()))
}

/// One line is the text of a JWS; two lines are header and payload, to be signed.
fn text_or_signed(input: &[u8]) -> Vec<u8> {
    match input.iter().position(|byte| *byte == b'\n') {
        None => input.to_vec(),
        Some(end) => sign(&input[..end], &input[end + 1..]).into_bytes(),
    }
}
