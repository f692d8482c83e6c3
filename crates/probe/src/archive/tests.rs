//! Archives made of real proofs: a good one, and one defect each.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use keybound_custody::SoftwareKey;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::HttpUrl;
use serde_json::{Value, json};

use super::assess_archive;
use crate::draft::Draft;
use crate::error::ProbeError;
use crate::jwt::{JwtDraft, Signature};
use crate::report::Report;
use crate::verdict::Verdict;

/// 2027-01-15T08:00:00Z.
const NOW: u64 = 1_800_000_000;
const API: &str = "https://api.example/items";

fn key() -> Arc<dyn Signer> {
    Arc::new(SoftwareKey::generate(Algorithm::Es256).expect("a key"))
}

/// A token bound to the key; to nothing when there is none.
fn token(key: Option<&Arc<dyn Signer>>) -> String {
    let mut token = JwtDraft::new("at+jwt", &self::key());
    token.claim("sub", crate::draft::unique());
    if let Some(key) = key {
        let jkt = key.public_key().thumbprint().to_string();
        token.claim("cnf", json!({ "jkt": jkt }));
    }
    token.seal().expect("a token")
}

fn proof(key: &Arc<dyn Signer>, token: &str, change: impl FnOnce(&mut JwtDraft)) -> String {
    let url = HttpUrl::parse(API).expect("a URL");
    let mut draft = Draft::new(Method::GET, &url);
    draft.prove(key, UnixTime::from_secs(NOW));
    draft.present("DPoP", token);
    draft.on_proof(change);
    let proof = draft.proof.expect("a proof");
    proof.seal().expect("a signature")
}

/// An entry with these header fields, answered like this.
fn entry(url: &str, fields: &[(&str, &str)], status: u16) -> Value {
    let headers: Vec<Value> = fields
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    json!({
        "startedDateTime": "2027-01-15T09:00:00.000+01:00",
        "request": {"method": "GET", "url": url, "headers": headers},
        "response": {"status": status, "headers": [], "content": {}},
    })
}

fn archive(entries: &[Value]) -> Vec<u8> {
    json!({"log": {"version": "1.2", "entries": entries}})
        .to_string()
        .into_bytes()
}

fn assess(entries: &[Value]) -> Report {
    assess_archive("traffic.har", &archive(entries), UnixTime::from_secs(NOW)).expect("a report")
}

/// One key, one token and what is sent with them.
struct Client {
    key: Arc<dyn Signer>,
    token: String,
}

impl Client {
    fn new() -> Self {
        let key = key();
        let token = token(Some(&key));
        Self { key, token }
    }

    fn proof(&self, change: impl FnOnce(&mut JwtDraft)) -> String {
        proof(&self.key, &self.token, change)
    }

    fn call(&self, proof: &str, status: u16) -> Value {
        let authorization = format!("DPoP {}", self.token);
        let fields = [("Authorization", authorization.as_str()), ("DPoP", proof)];
        entry(API, &fields, status)
    }
}

fn found(report: &Report) -> BTreeSet<&str> {
    let open = report
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::NotEnforced);
    open.map(|finding| finding.id.as_str()).collect()
}

#[test]
fn good_traffic_has_no_finding_and_a_good_grade() {
    let client = Client::new();
    let (first, second) = (client.proof(|_| {}), client.proof(|_| {}));
    let report = assess(&[client.call(&first, 200), client.call(&second, 200)]);
    assert_eq!(found(&report), BTreeSet::new());
    assert_eq!(report.summary.inconclusive, 0, "{:#?}", report.findings);
    assert_eq!(report.grade, 'A');
    assert_eq!(report.requests, 0);
    let measure = |name: &str| {
        let mut measures = report.measures.iter();
        measures.find(|measure| measure.name == name)?.value
    };
    assert_eq!(measure("bound_share"), Some(1.0));
    assert_eq!(measure("bound_share https://api.example"), Some(1.0));
    assert_eq!(measure("iat_drift_median"), Some(0.0));
}

#[test]
fn each_defect_of_a_proof_is_found_alone_when_it_was_served() {
    type Change = fn(&mut JwtDraft);
    let client = Client::new();
    let defects: [(&str, Change); 9] = [
        ("HA-03.form", |proof| proof.member("typ", "JWT")),
        ("HA-03.form", |proof| proof.without_claim("jti")),
        ("HA-03.signature", |proof| {
            proof.signature = Signature::Flipped;
        }),
        ("HA-04.htm", |proof| proof.claim("htm", "POST")),
        ("HA-04.htu", |proof| {
            proof.claim("htu", "https://other.example/items");
        }),
        ("HA-05.ath", |proof| proof.without_claim("ath")),
        ("HA-05.ath", |proof| proof.claim("ath", "AAAA")),
        ("HA-06.key", |proof| proof.of_key(&key())),
        ("HA-08.iat", |proof| proof.claim("iat", NOW - 3600)),
    ];
    for (id, change) in defects {
        let report = assess(&[client.call(&client.proof(change), 200)]);
        assert_eq!(found(&report), BTreeSet::from([id]));
        let report = assess(&[client.call(&client.proof(change), 401)]);
        assert_eq!(found(&report), BTreeSet::new(), "{id} was refused");
        let report = assess(&[client.call(&client.proof(change), 500)]);
        let of_case = report.findings.iter().find(|finding| finding.id == id);
        assert_eq!(of_case.expect("a finding").verdict, Verdict::Inconclusive);
    }
}

#[test]
fn a_downgrade_and_a_missing_proof() {
    let client = Client::new();
    let bearer = format!("Bearer {}", client.token);
    let report = assess(&[entry(API, &[("authorization", &bearer)], 200)]);
    assert_eq!(
        found(&report),
        BTreeSet::from(["CL-02.scheme", "HA-01.accepted"])
    );
    assert_eq!(report.grade, 'F');
    let report = assess(&[entry(API, &[("authorization", &bearer)], 401)]);
    assert_eq!(found(&report), BTreeSet::from(["CL-02.scheme"]));
    let bare = format!("DPoP {}", client.token);
    let report = assess(&[entry(API, &[("authorization", &bare)], 200)]);
    assert_eq!(found(&report), BTreeSet::from(["HA-02.accepted"]));
}

#[test]
fn a_proof_used_twice() {
    let client = Client::new();
    let proof = client.proof(|_| {});
    let report = assess(&[client.call(&proof, 200), client.call(&proof, 200)]);
    assert_eq!(
        found(&report),
        BTreeSet::from(["CL-01.fresh-jti", "HA-07.replay"])
    );
    let report = assess(&[client.call(&proof, 200), client.call(&proof, 401)]);
    assert_eq!(found(&report), BTreeSet::from(["CL-01.fresh-jti"]));
}

#[test]
fn unbound_and_opaque_tokens() {
    let bearer = format!("Bearer {}", token(None));
    let report = assess(&[entry(API, &[("authorization", &bearer)], 200)]);
    assert_eq!(found(&report), BTreeSet::from(["HA-12.used"]));
    let report = assess(&[entry(API, &[("authorization", "Bearer opaque-token")], 200)]);
    assert_eq!(found(&report), BTreeSet::new());
    assert_eq!(
        report.grade, '?',
        "what an opaque token is bound to is not known"
    );
}

#[test]
fn a_token_endpoint_that_binds_nothing() {
    let key = key();
    let url = HttpUrl::parse("https://as.example/token").expect("a URL");
    let mut draft = Draft::new(Method::POST, &url);
    draft.prove(&key, UnixTime::from_secs(NOW));
    let proof = draft.proof.expect("a proof").seal().expect("a signature");
    let mut request = entry(url.as_str(), &[("dpop", &proof)], 200);
    request["request"]["method"] = json!("POST");
    request["request"]["postData"] = json!({"mimeType": "application/x-www-form-urlencoded",
        "params": [{"name": "grant_type", "value": "client_credentials"}]});
    let mut answered = |kind: &str, token: &str| {
        let text = json!({"access_token": token, "token_type": kind}).to_string();
        let packed = STANDARD.encode(text);
        request["response"]["content"] = json!({"text": packed, "encoding": "base64"});
        assess(std::slice::from_ref(&request))
    };
    let bound = token(Some(&key));
    assert_eq!(found(&answered("DPoP", &bound)), BTreeSet::new());
    assert_eq!(
        found(&answered("Bearer", &bound)),
        BTreeSet::from(["HA-12.issued"])
    );
    assert_eq!(
        found(&answered("DPoP", &token(None))),
        BTreeSet::from(["HA-12.issued"])
    );
}

#[test]
fn tokens_in_urls_and_bodies() {
    let client = Client::new();
    let good = || client.call(&client.proof(|_| {}), 200);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut entry = good();
        change(&mut entry);
        assess(&[entry])
    };
    let query = format!("{API}?access_token={}", client.token);
    let report = changed(&|entry| entry["request"]["url"] = json!(query));
    assert_eq!(found(&report), BTreeSet::from(["HA-09.query"]));
    let any_name = format!("{API}?t={}", client.token);
    let report = changed(&|entry| entry["request"]["url"] = json!(any_name));
    assert_eq!(found(&report), BTreeSet::from(["HA-09.query"]));
    let report = changed(&|entry| {
        let location = "https://app.example/#access_token=abc&token_type=DPoP";
        entry["response"]["redirectURL"] = json!(location);
    });
    assert_eq!(found(&report), BTreeSet::from(["HA-09.fragment"]));
    let report = changed(&|entry| {
        let fields = entry["request"]["headers"].as_array_mut().expect("a list");
        fields.push(json!({"name": "REFERER", "value": query}));
    });
    assert_eq!(found(&report), BTreeSet::from(["HA-09.referer"]));
    let report = changed(&|entry| {
        let text = format!("access_token={}", client.token);
        entry["request"]["postData"] = json!({ "text": text });
    });
    assert_eq!(found(&report), BTreeSet::from(["HA-10.request"]));
    let report = changed(&|entry| {
        let text = format!("token={}", client.token);
        entry["request"]["postData"] = json!({ "text": text });
    });
    assert_eq!(
        found(&report),
        BTreeSet::new(),
        "introspection takes tokens"
    );
    let report = changed(&|entry| {
        let text = format!("{{\"seen\": \"{}\"}}", client.token);
        entry["response"]["content"] = json!({ "text": text });
    });
    assert_eq!(found(&report), BTreeSet::from(["HA-10.answer"]));
}

#[test]
fn one_token_for_two_origins_and_after_a_redirect() {
    let client = Client::new();
    let authorization = format!("DPoP {}", client.token);
    let proof = client.proof(|proof| proof.claim("htu", "https://evil.example/items"));
    let fields = [("authorization", authorization.as_str()), ("dpop", &proof)];
    let elsewhere = entry("https://evil.example/items", &fields, 200);
    let good = client.call(&client.proof(|_| {}), 200);
    let report = assess(&[good, elsewhere.clone()]);
    assert_eq!(found(&report), BTreeSet::from(["HA-11.origins"]));
    let mut redirect = client.call(&client.proof(|_| {}), 307);
    redirect["response"]["headers"] =
        json!([{"name": "Location", "value": "https://evil.example/items"}]);
    let report = assess(&[redirect.clone(), elsewhere]);
    assert_eq!(
        found(&report),
        BTreeSet::from(["CL-04.redirect", "HA-11.origins"])
    );
    let without = entry("https://evil.example/items", &[], 200);
    let report = assess(&[redirect, without]);
    assert_eq!(found(&report), BTreeSet::new());
}

#[test]
fn a_nonce_challenge_answered_and_not() {
    let client = Client::new();
    let mut challenge = client.call(&client.proof(|_| {}), 401);
    challenge["response"]["headers"] = json!([
        {"name": "WWW-Authenticate", "value": "DPoP error=\"use_dpop_nonce\""},
        {"name": "DPoP-Nonce", "value": "fresh"},
    ]);
    let answer = client.call(&client.proof(|proof| proof.claim("nonce", "fresh")), 200);
    let report = assess(&[challenge.clone(), answer]);
    assert_eq!(found(&report), BTreeSet::new());
    let deaf = client.call(&client.proof(|_| {}), 401);
    let report = assess(&[challenge, deaf]);
    assert_eq!(found(&report), BTreeSet::from(["CL-03.nonce"]));
}

#[test]
fn private_keys_in_messages() {
    let client = Client::new();
    let proof = client.proof(|proof| proof.jwk_member("d", "secret-scalar"));
    let report = assess(&[client.call(&proof, 200)]);
    assert_eq!(
        found(&report),
        BTreeSet::from(["CL-05.private-key", "HA-03.form"])
    );
    let mut upload = client.call(&client.proof(|_| {}), 200);
    upload["request"]["postData"] = json!({"mimeType": "application/json", "text": "{\"kty\": \"EC\", \"d\": \"secret-scalar\"}"});
    let report = assess(&[upload]);
    assert_eq!(found(&report), BTreeSet::from(["CL-05.private-key"]));
}

#[test]
fn nothing_secret_is_in_the_report() {
    let client = Client::new();
    let proof = client.proof(|proof| proof.claim("htm", "POST"));
    let mut call = client.call(&proof, 200);
    call["request"]["url"] = json!(format!("{API}/{0}?access_token={0}", client.token));
    call["request"]["headers"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"name": "Cookie", "value": "session=cookie-secret"}));
    let report = assess(&[call]);
    assert!(!found(&report).is_empty());
    let text = serde_json::to_string(&report).expect("JSON");
    let part = client.token.rsplit('.').next().expect("a signature");
    for secret in [client.token.as_str(), part, proof.as_str(), "cookie-secret"] {
        assert!(!text.contains(secret), "`{secret}` is in {text}");
    }
    let warnings = report.warnings.join("; ");
    assert!(warnings.contains("1 access tokens"), "{warnings}");
    assert!(warnings.contains("treat them as exposed"), "{warnings}");
}

#[test]
fn the_ways_of_recorders_are_understood() {
    let client = Client::new();
    let proof = client.proof(|_| {});
    // Upper-case names, pseudo header fields, a byte order mark, extensions, no answer, other schemes.
    let mut call = client.call(&proof, 200);
    call["request"]["headers"] = json!([
        {"name": ":authority", "value": "api.example"},
        {"name": ":method", "value": "GET"},
        {"name": "AUTHORIZATION", "value": format!("dpop {}", client.token)},
        {"name": "Dpop", "value": proof, "comment": ""},
    ]);
    call["_resourceType"] = json!("fetch");
    let mut aborted = entry(API, &[], 0);
    aborted["response"] = json!({"status": 0, "_error": "net::ERR_ABORTED"});
    let socket = entry("wss://api.example/live", &[], 101);
    let mut bytes = b"\xef\xbb\xbf".to_vec();
    bytes.extend(archive(&[call, aborted, socket]));
    let report = assess_archive("x", &bytes, UnixTime::from_secs(NOW)).expect("a report");
    assert_eq!(found(&report), BTreeSet::new());
    assert_eq!(report.grade, 'A');
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.starts_with("1 entries have no URL"))
    );
}

#[test]
fn what_is_no_archive_is_named() {
    let assess = |bytes: &[u8]| match assess_archive("x", bytes, UnixTime::from_secs(NOW)) {
        Err(ProbeError::Input(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(assess(b"").contains("it is empty"));
    assert!(assess(b"<html>").contains("no JSON document"));
    assert!(assess(b"{}").contains("no `log`"));
    assert!(assess(b"{\"log\": {}}").contains("`log.entries` is no list"));
    assert!(assess(b"{\"info\": {}, \"item\": []}").contains("collection of requests"));
    assert!(assess(b"\x1f\x8b\x08").contains("gzip"));
    assert!(assess(&archive(&[json!({})])).contains("`log.entries[0]` has no `request`"));
    let mut bad = entry(API, &[], 200);
    bad["request"]["url"] = json!(7);
    let good = entry(API, &[], 200);
    let told = assess(&archive(&[good, bad]));
    assert!(
        told.contains("`log.entries[1].request.url` is no text"),
        "{told}"
    );
    let mut bad = entry(API, &[], 200);
    bad["response"]["headers"] = json!("x");
    assert!(assess(&archive(&[bad])).contains(".response.headers` is no list"));
    let long = vec![b' '; super::har::MAX_BYTES + 1];
    assert!(assess(&long).contains("64 MiB"));
}

#[test]
fn an_archive_without_credentials_decides_nothing_and_says_why() {
    let report = assess(&[entry(API, &[], 200)]);
    assert_eq!(found(&report), BTreeSet::new());
    assert!(report.warnings.join("; ").contains("sensitive data"));
}
