//! `keybound probe`: strict and careless targets, bad input, safety, reports.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use keybound_probe::{Report, TargetKind, Verdict};

use crate::program::{Ended, Home, free_ports};

/// A server that gives every request the same answer, and counts them.
struct Careless {
    url: String,
    requests: Arc<AtomicU32>,
}

impl Careless {
    fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let address = listener.local_addr().expect("has an address");
        let requests = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("accepts");
                counter.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let (mut head, mut byte) = (Vec::new(), [0]);
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                        head.push(byte[0]);
                    }
                    drop(stream.write_all(answer.as_bytes()));
                });
            }
        });
        Self {
            url: format!("http://{address}/things"),
            requests,
        }
    }

    fn count(&self) -> u32 {
        self.requests.load(Ordering::SeqCst)
    }
}

const EVERYTHING: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"ok\":true}";
const ELSEWHERE: &str = "HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<h1>Welcome</h1";
const NOTHING: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A home with a key `k.pem` and a file `token`.
fn with_token() -> Home {
    let home = Home::new();
    home.run(&["key", "new", "--out", "k.pem"]).ends_with(0);
    home.write("token", "not.a-real.token\n");
    home
}

const GIVEN: [&str; 4] = ["--token", "@token", "--key", "file:k.pem"];
const FAST: [&str; 4] = ["--level", "quick", "--rate", "0"];

fn rs(home: &Home, url: &str, more: &[&str]) -> Ended {
    home.run(&[&["probe", "rs", url], &FAST[..], more].concat())
}

fn report(ended: &Ended) -> Report {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn next(ended: &Ended) -> String {
    let failure = ended.failure();
    failure["next"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_strict_gateway_is_all_enforced() {
    let home = Home::new();
    let dev = home.dev();
    let approvals = dev.url("gateway", "/approvals");
    let ended = rs(&home, &approvals, &["--json"]).ends_with(0);
    let report = report(&ended);
    assert_eq!(report.schema, keybound_probe::SCHEMA);
    assert_eq!(report.kind, TargetKind::ResourceServer);
    assert_eq!(
        (report.summary.not_enforced, report.summary.inconclusive),
        (0, 0)
    );
    assert!(report.summary.enforced > 60, "{:?}", report.summary);
    assert_eq!(report.grade, 'A');
    let decided = |id: &str| {
        report
            .findings
            .iter()
            .find(|finding| finding.id == id)
            .map(|finding| finding.verdict)
    };
    // A second token was got for a key of its own.
    assert_eq!(decided("RS-05.others-token"), Some(Verdict::Enforced));
    // The rate and the limits are said before anything is sent.
    assert!(
        ended.stderr.contains("as fast as it answers, 1000 at most"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_server_that_serves_everything_is_found_out() {
    let home = with_token();
    let careless = Careless::start(EVERYTHING);
    let ended = rs(&home, &careless.url, &GIVEN).ends_with(1);
    assert!(
        ended.stdout.contains("NOT ENFORCED    RS-01.without-proof"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("RFC 9449 section 7.2"), "{ended:?}");
    let json = rs(
        &home,
        &careless.url,
        &[&GIVEN[..], &["--json", "--only", "RS-01"]].concat(),
    )
    .ends_with(1);
    let report = report(&json);
    assert_eq!(report.grade, 'F');
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.check == "RS-01")
    );
    assert!(
        !json.stdout.contains("not.a-real.token"),
        "the token is in the report"
    );
}

#[test]
fn a_dry_run_sends_nothing() {
    let home = with_token();
    let careless = Careless::start(EVERYTHING);
    for given in [&GIVEN[..], &[]] {
        let ended = rs(
            &home,
            &careless.url,
            &[given, &["--dry-run", "--json"]].concat(),
        );
        let document = ended.ends_with(0).json();
        let cases = document["cases"].as_array().expect("a list");
        assert!(cases.iter().any(|case| case["id"] == "RS-01.without-proof"));
        assert!(
            document["requests"]
                .as_u64()
                .is_some_and(|count| count > 100)
        );
        assert!(!document.to_string().contains("not.a-real.token"));
    }
    assert_eq!(careless.count(), 0);
}

#[test]
fn signatures_are_asked_about_where_the_target_wants_them() {
    let home = with_token();
    let careless = Careless::start(EVERYTHING);
    let asked = |given: &[&str]| {
        let run = [&GIVEN[..], given, &["--dry-run", "--json"]].concat();
        let document = rs(&home, &careless.url, &run).ends_with(0).json();
        let cases = document["cases"].as_array().expect("a list").clone();
        let sent = document.to_string().contains("@target-uri");
        let of_signatures = |case: &serde_json::Value| {
            case["id"]
                .as_str()
                .is_some_and(|id| id.starts_with("SG-01."))
        };
        (
            cases.iter().filter(|case| of_signatures(case)).count(),
            sent,
        )
    };
    let (_, unsigned) = asked(&[]);
    assert!(!unsigned);
    let signed = [
        "--sign",
        "--sign-scheme",
        "DPoP",
        "--sign-components",
        "@method,@target-uri",
    ];
    let (cases, sent) = asked(&signed);
    assert!(cases > 0 && sent, "{cases} {sent}");
    // The flags that shape a signature make no sense without one.
    rs(
        &home,
        &careless.url,
        &[&GIVEN[..], &["--sign-tag", "x"]].concat(),
    )
    .ends_with(2);
}

#[test]
fn without_consent_nothing_leaves_this_machine() {
    let home = with_token();
    let careless = Careless::start(EVERYTHING);
    let asked = [
        ("https://api.example/things", &["--json"][..]),
        (careless.url.as_str(), &["--json", "--method", "POST"]),
        (
            careless.url.as_str(),
            &["--json", "--other-origin", "https://api.example"],
        ),
    ];
    for (url, more) in asked {
        let ended = rs(&home, url, &[&GIVEN[..], more].concat()).ends_with(2);
        assert!(next(&ended).contains("--target-owner-ok"), "{ended:?}");
    }
    assert_eq!(careless.count(), 0);
    let agreed = [
        &GIVEN[..],
        &["--method", "POST", "--only", "RS-01", "--target-owner-ok"],
    ]
    .concat();
    rs(&home, &careless.url, &agreed).ends_with(1);
    assert!(careless.count() > 0);
}

#[test]
fn bad_input_is_named_with_the_next_step() {
    let home = with_token();
    let (nothing, page, elsewhere) = (
        Careless::start(NOTHING).url,
        Careless::start(PAGE).url,
        Careless::start(ELSEWHERE).url,
    );
    let nobody = format!("http://127.0.0.1:{}/", free_ports(1));
    let table: [(&str, &[&str], i32, &str, &str); 8] = [
        (&nothing, &[], 3, "there is no token", "--token"),
        (&nobody, &GIVEN, 7, "no connection", "the target runs"),
        (&nobody, &[], 7, "no connection", "the server runs"),
        (&page, &[], 3, "there is no token", "--token"),
        (
            &nothing,
            &["--key", "file:k.pem"],
            2,
            "without a token",
            "--token",
        ),
        (
            &nothing,
            &["--token", "@none", "--key", "k.pem"],
            4,
            "`none`",
            "",
        ),
        ("ftp://127.0.0.1/", &GIVEN, 2, "no http or https URL", ""),
        (&elsewhere, &[], 3, "there is no token", "--token"),
    ];
    for (url, more, code, message, step) in table {
        let ended = rs(&home, url, &[more, &["--json"]].concat()).ends_with(code);
        let failure = ended.failure();
        assert!(
            failure["message"]
                .as_str()
                .is_some_and(|text| text.contains(message)),
            "{ended:?}"
        );
        assert!(next(&ended).contains(step), "{ended:?}");
    }
}

#[test]
fn a_wrong_token_is_refused_credentials() {
    let home = with_token();
    let dev = home.dev();
    let ended = rs(
        &home,
        &dev.url("gateway", "/approvals"),
        &[&GIVEN[..], &["--json"]].concat(),
    );
    let ended = ended.ends_with(3);
    assert!(next(&ended).contains("keybound token inspect"), "{ended:?}");
}

#[test]
fn an_answer_that_decides_nothing_is_inconclusive() {
    let home = with_token();
    let elsewhere = Careless::start(ELSEWHERE);
    let ended = rs(&home, &elsewhere.url, &[&GIVEN[..], &["--json"]].concat()).ends_with(6);
    let report = report(&ended);
    assert_eq!(report.grade, '?');
    let decided = |verdict| {
        report
            .findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    };
    assert_eq!(
        (decided(Verdict::Enforced), decided(Verdict::NotEnforced)),
        (0, 0)
    );
    assert!(ended.stdout.contains("https://login.example/"), "{ended:?}");
    // It is not asked again and again once nothing can be learned.
    assert!(elsewhere.count() < 10, "{}", elsewhere.count());
}

#[test]
fn a_mistyped_check_does_not_pass_for_a_clean_run() {
    let home = with_token();
    let careless = Careless::start(EVERYTHING);
    for flag in ["--only", "--skip"] {
        let ended = rs(
            &home,
            &careless.url,
            &[&GIVEN[..], &["--json", flag, "RS-6"]].concat(),
        );
        assert!(next(&ended.ends_with(2)).contains("RS-06"));
    }
    assert_eq!(careless.count(), 0);
}

#[test]
fn reports_go_into_files_beside_the_table() {
    let home = with_token();
    let careless = Careless::start(EVERYTHING);
    let more = ["--only", "RS-01", "--report", "json=probe.json"];
    let ended = rs(&home, &careless.url, &[&GIVEN[..], &more].concat()).ends_with(1);
    assert!(ended.stdout.contains("RS-01"), "{ended:?}");
    let written = std::fs::read_to_string(home.path("probe.json")).expect("is written");
    let report: Report = serde_json::from_str(&written).expect("is a report");
    assert_eq!(report.summary.not_enforced, 2);
    // A file that cannot be written is a reason not to begin.
    let before = careless.count();
    let more = ["--report", "json=none/probe.json"];
    rs(&home, &careless.url, &[&GIVEN[..], &more].concat()).ends_with(2);
    assert_eq!(careless.count(), before);
}

#[test]
fn a_baseline_makes_known_findings_no_reason_to_fail() {
    let home = with_token();
    let careless = Careless::start(EVERYTHING);
    let run = |more: &[&str]| {
        rs(
            &home,
            &careless.url,
            &[&GIVEN[..], &["--only", "RS-01"], more].concat(),
        )
    };
    run(&["--write-baseline", "known.toml"]).ends_with(1);
    let known = run(&["--baseline", "known.toml", "--json"]).ends_with(0);
    let report = report(&known);
    assert_eq!((report.summary.known, report.summary.not_enforced), (2, 0));
    assert_eq!(
        report.grade, 'F',
        "a baseline changes what is new, not what is true"
    );
    // What is not known still fails, and a file that does not hold is no permission.
    let more = [
        &GIVEN[..],
        &["--only", "RS-01,RS-02", "--baseline", "known.toml"],
    ]
    .concat();
    rs(&home, &careless.url, &more).ends_with(1);
    home.write(
        "broken.toml",
        "[[known]]\nid = \"RS-99.none\"\nreason = \"x\"\n",
    );
    let broken = run(&["--baseline", "broken.toml", "--json"]).ends_with(2);
    assert!(
        broken.failure()["message"]
            .as_str()
            .is_some_and(|text| text.contains("line 2")),
        "{broken:?}"
    );
}

#[test]
fn a_strict_issuer_is_all_enforced() {
    let home = Home::new();
    let dev = home.dev();
    let (issuer, resource) = (dev.url("issuer", ""), dev.url("gateway", "/"));
    let arguments = ["probe", "as", &issuer, "--resource", &resource, "--json"];
    let ended = home.run(&[&arguments, &FAST[..]].concat()).ends_with(0);
    let report = report(&ended);
    assert_eq!(report.kind, TargetKind::AuthorizationServer);
    assert_eq!((report.grade, report.summary.inconclusive), ('A', 0));
    assert!(report.summary.enforced > 80, "{:?}", report.summary);
}

#[test]
fn revocation_reaches_the_gate_of_a_client_that_is_named() {
    let home = Home::new();
    let dev = home.dev();
    let approvals = dev.url("gateway", "/approvals");
    let issuer = dev.url("issuer", "");
    let more = [
        "--issuer",
        &issuer,
        "--only",
        "RS-17.revoked",
        "--json",
        "--rate",
        "0",
    ];
    let ended = home
        .run(&[&["probe", "rs", &approvals], &more[..]].concat())
        .ends_with(0);
    let report = report(&ended);
    assert_eq!(report.findings[0].verdict, Verdict::Enforced, "{ended:?}");
    let latency = report
        .measures
        .iter()
        .find(|measure| measure.name == "revocation_latency");
    let milliseconds = latency
        .and_then(|latency| latency.value)
        .expect("is measured");
    assert!(milliseconds < 5000.0, "{milliseconds} ms");
    assert!(ended.stderr.contains("registered with"), "{ended:?}");
}

#[test]
fn an_issuer_or_an_archive_that_is_none_is_said_to_be_none() {
    let home = with_token();
    let (page, nobody) = (
        Careless::start(PAGE).url,
        format!("http://127.0.0.1:{}", free_ports(1)),
    );
    for (url, code) in [(page.as_str(), 4), (nobody.as_str(), 7)] {
        let ended = home.run(&["probe", "as", url, "--json"]).ends_with(code);
        assert!(!next(&ended).is_empty(), "{ended:?}");
    }
    home.run(&["probe", "har", "none.har"]).ends_with(4);
    home.run(&["probe", "har", "token"]).ends_with(2);
}

#[test]
fn a_client_is_wanted_where_an_admin_makes_them() {
    let home = Home::new();
    let listed = home
        .run(&["probe", "profiles", "--json"])
        .ends_with(0)
        .json();
    let names: Vec<&str> = listed["profiles"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|profile| profile["name"].as_str())
        .collect();
    assert_eq!(names, ["auth0", "keycloak", "okta"]);
    for (name, step) in [
        ("okta", "--client-id"),
        ("keycloak", "--registration-token"),
        ("acme", "keycloak"),
    ] {
        let issuer = "http://127.0.0.1:1";
        let ended = home
            .run(&["probe", "as", issuer, "--profile", name, "--json"])
            .ends_with(2);
        assert!(next(&ended).contains(step), "{ended:?}");
    }
}

#[test]
fn a_secret_of_the_probe_cannot_be_given_as_an_argument() {
    let home = Home::new();
    for flag in [
        "--token",
        "--client-secret",
        "--registration-token",
        "--other-token",
    ] {
        let ended = home
            .run(&["probe", "rs", "http://127.0.0.1:1/", flag, "s3cret"])
            .ends_with(2);
        assert!(ended.stderr.contains("@file"), "{ended:?}");
    }
    let twice = [
        "probe",
        "rs",
        "http://127.0.0.1:1/",
        "--token",
        "-",
        "--unbound-token",
        "-",
        "--json",
    ];
    assert!(next(&home.run(&twice).ends_with(2)).contains("@file"));
}
