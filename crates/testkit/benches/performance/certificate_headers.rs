//! The cost of a client certificate that a TLS terminator hands on, for each profile.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use keybound_edge::forwarded_certificate::{
    CertificateHeaderConfig, CertificateHeaders, CertificateProfile, ForwardedCertificate,
    PeerNetwork,
};
use keybound_proto::certificate::PeerCertificate;
use keybound_proto::time::ManualClock;
use serde_json::Value;

use crate::bare::{BATCH, per_operation};
use crate::roles::NOW;
use crate::row::{REPORTED, median, print};

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
/// What else a request usually has.
const OTHERS: [(&str, &str); 6] = [
    ("host", "api.example.com"),
    ("user-agent", "bench"),
    ("accept", "application/json"),
    ("authorization", "Bearer token"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-request-id", "0123456789"),
];

pub(crate) fn run(quick: bool) {
    let rounds = if quick { 20 } else { 400 };
    let vectors = vectors();
    let der = whole(&vectors);
    for profile in CertificateProfile::ALL {
        let headers = fields(&vectors, profile);
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let (unseen, seen) = round(profile, &headers);
            times[0].push(unseen);
            times[1].push(seen);
            times[2].push(read_der(&der));
        }
        let [unseen, seen, bare] = times.map(median);
        let baseline = ("reading such a certificate from DER", bare);
        let name = profile.name();
        let what = format!("certificate header, profile `{name}`, certificate not seen before");
        print(&what, "us", unseen, baseline, REPORTED);
        let what = format!("certificate header, profile `{name}`, certificate seen before");
        print(&what, "us", seen, baseline, REPORTED);
    }
}

/// Microseconds for the fields of one request, the first time and the second.
fn round(profile: CertificateProfile, headers: &HeaderMap) -> (f64, f64) {
    let policies: Vec<_> = (0..BATCH).map(|_| policy(profile)).collect();
    let time = || {
        let mut requests = vec![headers.clone(); BATCH];
        let start = Instant::now();
        for (policy, headers) in policies.iter().zip(&mut requests) {
            let found = policy.take(headers, PEER).expect("good fields");
            assert!(matches!(found, Some(found) if found != ForwardedCertificate::Absent));
        }
        per_operation(start, BATCH)
    };
    (time(), time())
}

/// Microseconds to read a certificate as the handshake of a TLS connection delivers it.
fn read_der(der: &[u8]) -> f64 {
    let start = Instant::now();
    for _ in 0..BATCH {
        let read = PeerCertificate::from_der(der, Vec::new());
        std::hint::black_box(read.expect("a certificate"));
    }
    per_operation(start, BATCH)
}

fn policy(profile: CertificateProfile) -> CertificateHeaders {
    let config = CertificateHeaderConfig {
        profile,
        peers: vec!["127.0.0.0/8".parse::<PeerNetwork>().expect("a network")],
        unverified: profile.never_verifies(),
    };
    CertificateHeaders::new(config, Arc::new(ManualClock::at(NOW)))
}

fn vectors() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/certificate_headers.json");
    let text = std::fs::read(path).expect("a readable file");
    let mut file: Value = serde_json::from_slice(&text).expect("JSON");
    match file["vectors"].take() {
        Value::Array(vectors) => vectors,
        _ => panic!("no vectors"),
    }
}

/// The first good vector of a profile that shows a certificate, among other fields.
fn fields(vectors: &[Value], profile: CertificateProfile) -> HeaderMap {
    let is_good = |vector: &&Value| {
        vector["profile"] == profile.name()
            && vector["expect"] == "ok"
            && vector["certificate"] != "absent"
    };
    let vector = vectors
        .iter()
        .find(is_good)
        .expect("a vector of each profile");
    let mut headers = HeaderMap::new();
    let mut set = |name: &str, value: &str| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.insert(name, HeaderValue::from_str(value).expect("a value"));
    };
    for (name, value) in OTHERS {
        set(name, value);
    }
    for line in vector["fields"].as_array().expect("fields") {
        set(text(&line[0]), text(&line[1]));
    }
    headers
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// The certificate that the fields show.
fn whole(vectors: &[Value]) -> Vec<u8> {
    let mut headers = fields(vectors, CertificateProfile::Rfc9440);
    let found = policy(CertificateProfile::Rfc9440).take(&mut headers, PEER);
    match found.expect("good fields") {
        Some(ForwardedCertificate::Whole(certificate)) => certificate.der().to_vec(),
        _ => panic!("no certificate"),
    }
}
