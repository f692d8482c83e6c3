//! Faults of an authorization server that are no row of the check registry,
//! and what it means when it answers nothing that can be judged.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use keybound_custody::SoftwareKey;
use keybound_holder::Secret;
use keybound_probe::{AuthorizationServer, Client, Options, ProbeError, Report, Silent, Verdict};
use keybound_proto::base64url;
use keybound_proto::jose::{Algorithm, PublicKey};
use keybound_proto::time::{Clock, ManualClock};
use keybound_proto::uri::HttpUrl;
use keybound_testkit::{Exchanged, Faulty, Lenient, World, WorldOptions};
use serde_json::{Value, json};
use tokio::task::JoinSet;

type Fault = Box<dyn Fn(&Exchanged<'_>) -> Faulty + Send + Sync>;

/// The cases that must find the fault, and the fault.
struct Row(&'static [&'static str], fn(&World) -> Fault);

const FAULTS: &[Row] = &[
    Row(&["AS-11.silently-unbound"], |_| {
        at("/token", |answer| {
            let unbound = json!({"access_token": "opaque", "token_type": "Bearer"});
            with_body(answer, &unbound)
        })
    }),
    Row(&["AS-03.token-type"], |_| {
        at("/token", |answer| {
            answer.replace("\"token_type\":\"DPoP\"", "\"token_type\":\"Bearer\"")
        })
    }),
    Row(&["AS-03.confirmation"], |_| {
        at("/token", |answer| {
            with_token(answer, &mut |claims| {
                claims["cnf"] = Value::Null;
            })
        })
    }),
    Row(&["AS-12.other-proof-key", "AS-12.client-key"], |_| {
        let first = Mutex::new(None);
        at("/token", move |answer| {
            with_token(answer, &mut |claims| {
                let mut first = first.lock().expect("no test panicked here");
                claims["cnf"] = first.get_or_insert_with(|| claims["cnf"].clone()).clone();
            })
        })
    }),
    Row(&["AS-04.parallel"], |_| {
        raced(|exchanged| {
            exchanged
                .proof()
                .map(|(_, claims)| claims["jti"].to_string())
        })
    }),
    Row(&["AS-10.parallel"], |_| {
        raced(|exchanged| assertion(exchanged).map(|claims| claims["jti"].to_string()))
    }),
    Row(&["AS-04.after-2s"], |world| forgotten(world, 2, 30)),
    Row(&["AS-04.end-of-window"], |world| forgotten(world, 30, 60)),
    Row(&["AS-04.htu-query-ignored"], |_| {
        refusing(|exchanged| {
            let htu = exchanged
                .proof()
                .map(|(_, claims)| claims["htu"].to_string());
            htu.is_some_and(|htu| htu.contains('?'))
        })
    }),
    Row(&["AS-04.extra-members"], |_| {
        refusing(|exchanged| {
            let proof = exchanged.proof();
            proof.is_some_and(|(_, claims)| claims.get("x-unknown").is_some())
        })
    }),
    Row(&["AS-04.forwarded-spoofed"], |_| {
        Box::new(|exchanged| {
            let forwarded = exchanged.header("x-forwarded-host").is_some();
            if forwarded && exchanged.answer.contains("dpop.htu.mismatch") {
                Faulty::Served
            } else {
                Faulty::Unchanged
            }
        })
    }),
    Row(&["AS-04.clock-tolerance"], |world| {
        let clock = world.clock.clone();
        refusing(move |exchanged| {
            let iat = exchanged
                .proof()
                .and_then(|(_, claims)| claims["iat"].as_u64());
            iat == Some(clock.now().plus(8).as_secs())
        })
    }),
    Row(&["AS-08.cnf"], |_| {
        at("/introspect", |answer| {
            answer.replace("\"cnf\"", "\"x-cnf\"")
        })
    }),
    Row(&["AS-08.token-type"], |_| {
        at("/introspect", |answer| {
            answer.replace("\"token_type\":\"DPoP\"", "\"token_type\":\"Bearer\"")
        })
    }),
    Row(&["AS-08.changed-token"], |_| {
        // The token is found by its beginning.
        remembering(|token, known| token != known && token.starts_with(known))
    }),
    Row(&["AS-08.without-authentication"], |_| {
        Box::new(|exchanged| {
            let introspection = exchanged.request.starts_with("POST /introspect");
            let nobody = !exchanged.request.contains("client_assertion");
            if introspection && nobody && exchanged.status() == "401" {
                Faulty::Served
            } else {
                Faulty::Unchanged
            }
        })
    }),
    Row(&["AS-09.own-token"], |_| {
        // What was active once is said to be for ever.
        remembering(|token, known| token == known)
    }),
    Row(&["AS-09.others-token"], |_| {
        let revoked = Mutex::new(BTreeSet::new());
        Box::new(move |exchanged| {
            let mut revoked = revoked.lock().expect("no test panicked here");
            let token = parameter(exchanged, "token").unwrap_or_default();
            if exchanged.request.starts_with("POST /revoke") {
                revoked.insert(token);
            } else if exchanged.request.starts_with("POST /introspect") && revoked.contains(&token)
            {
                return Faulty::Other(with_body(exchanged.answer, &json!({"active": false})));
            }
            Faulty::Unchanged
        })
    }),
    Row(&["AS-01.issuer"], |_| {
        at("/.well-known/", |answer| {
            answer.replacen("{\"issuer\":\"http", "{\"issuer\":\"https", 1)
        })
    }),
    Row(&["AS-01.proof-algorithms"], |_| {
        named("dpop_signing_alg_values_supported", "none")
    }),
    Row(&["AS-01.assertion-algorithms"], |_| {
        named("token_endpoint_auth_signing_alg_values_supported", "none")
    }),
    Row(&["AS-01.algorithms-accepted"], |_| {
        named("dpop_signing_alg_values_supported", "ES384")
    }),
    Row(&["AS-01.endpoints"], |_| {
        at("/.well-known/", |answer| {
            answer.replace("\"jwks_uri\":\"http:", "\"jwks_uri\":\"nowhere:")
        })
    }),
    Row(&[], |_| more_grants("")),
    Row(&["AS-05.without-proof"], |_| {
        more_grants("AS-05.without-proof")
    }),
    Row(&["AS-05.other-key"], |_| more_grants("AS-05.other-key")),
    Row(&["AS-05.without-client"], |_| {
        more_grants("AS-05.without-client")
    }),
    Row(&["AS-06.pushed-other-key"], |_| {
        more_grants("AS-06.pushed-other-key")
    }),
    Row(&["AS-07.token-exchange"], |_| {
        more_grants("AS-07.token-exchange")
    }),
    Row(&["AS-07.jwt-bearer"], |_| more_grants("AS-07.jwt-bearer")),
];

/// Successful answers at this path are changed.
fn at(path: &'static str, change: impl Fn(&str) -> String + Send + Sync + 'static) -> Fault {
    Box::new(move |exchanged| {
        let asked = exchanged.request.split(' ').nth(1).unwrap_or_default();
        if asked.starts_with(path) && exchanged.status() == "200" {
            Faulty::Other(change(exchanged.answer))
        } else {
            Faulty::Unchanged
        }
    })
}

/// The metadata names one more value in this list.
fn named(member: &'static str, value: &'static str) -> Fault {
    at("/.well-known/", move |answer| {
        let list = format!("\"{member}\":[");
        answer.replace(&list, &format!("{list}\"{value}\","))
    })
}

/// Good requests like this are refused.
fn refusing(such: impl Fn(&Exchanged<'_>) -> bool + Send + Sync + 'static) -> Fault {
    Box::new(move |exchanged| {
        if exchanged.request.starts_with("POST /token")
            && exchanged.status() == "200"
            && such(exchanged)
        {
            Faulty::Refused
        } else {
            Faulty::Unchanged
        }
    })
}

/// What is told apart by this name passes again from the third time on.
fn raced(name: fn(&Exchanged<'_>) -> Option<String>) -> Fault {
    let seen: Mutex<HashMap<String, u32>> = Mutex::default();
    Box::new(move |exchanged| {
        let mut seen = seen.lock().expect("no test panicked here");
        let Some(name) = name(exchanged) else {
            return Faulty::Unchanged;
        };
        let count = seen.entry(name).or_default();
        *count += 1;
        let replayed = exchanged.answer.contains(".replayed\"");
        if *count > 2 && replayed {
            Faulty::Served
        } else {
            Faulty::Unchanged
        }
    })
}

/// A memory that forgets a proof between `from` and `until` seconds after it.
fn forgotten(world: &World, from: u64, until: u64) -> Fault {
    let clock: ManualClock = world.clock.clone();
    let seen: Mutex<HashMap<String, u64>> = Mutex::default();
    Box::new(move |exchanged| {
        let now = clock.now().as_secs();
        let jti = exchanged
            .proof()
            .map(|(_, claims)| claims["jti"].to_string());
        let mut seen = seen.lock().expect("no test panicked here");
        let first = *seen.entry(jti.unwrap_or_default()).or_insert(now);
        let replayed = exchanged.answer.contains("dpop.replayed");
        if replayed && (from..until).contains(&(now - first)) {
            Faulty::Served
        } else {
            Faulty::Unchanged
        }
    })
}

/// Inactive tokens that are like one that was active are said to be active.
fn remembering(like: fn(&str, &str) -> bool) -> Fault {
    let active: Mutex<Vec<(String, String)>> = Mutex::default();
    Box::new(move |exchanged| {
        let Some(token) = parameter(exchanged, "token") else {
            return Faulty::Unchanged;
        };
        let mut active = active.lock().expect("no test panicked here");
        if exchanged.answer.contains("\"active\":true") {
            active.push((token, exchanged.answer.to_owned()));
            return Faulty::Unchanged;
        }
        let known = active.iter().find(|(known, _)| like(&token, known));
        match known {
            Some((_, answer)) if exchanged.answer.contains("\"active\":false") => {
                Faulty::Other(answer.clone())
            }
            _ => Faulty::Unchanged,
        }
    })
}

/// An issuer with refresh tokens, pushed requests and two more grants, each strict but for the
/// fault with this name.
fn more_grants(fault: &'static str) -> Fault {
    let first: Mutex<Option<String>> = Mutex::default();
    Box::new(move |exchanged| {
        let asked = exchanged.request.split(' ').nth(1).unwrap_or_default();
        let key = jkt(exchanged);
        if asked.starts_with("/.well-known/") {
            return Faulty::Other(metadata_of_more_grants(exchanged.answer));
        }
        if asked == "/par" {
            let named = parameter(exchanged, "dpop_jkt");
            let taken = named == key || fault == "AS-06.pushed-other-key";
            return answer_if(taken, &json!({"request_uri": "urn:x", "expires_in": 60}));
        }
        let grant = parameter(exchanged, "grant_type").unwrap_or_default();
        let known = assertion(exchanged).is_some();
        let (name, needs_client) = match grant.as_str() {
            "refresh_token" => ("AS-05.without-proof", fault != "AS-05.without-client"),
            "urn:ietf:params:oauth:grant-type:token-exchange" => ("AS-07.token-exchange", true),
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => ("AS-07.jwt-bearer", true),
            _ => return Faulty::Unchanged,
        };
        let mut first = first.lock().expect("no test panicked here");
        let own = first.get_or_insert_with(|| key.clone().unwrap_or_default());
        let bound_to = if fault == "AS-05.other-key" {
            key.map(|_| own.clone())
        } else {
            key
        };
        let taken = (known || !needs_client) && (bound_to.is_some() || fault == name);
        let claims = json!({"cnf": bound_to.map(|jkt| json!({"jkt": jkt}))});
        answer_if(
            taken,
            &json!({"access_token": token_of(&claims), "token_type": "DPoP"}),
        )
    })
}

fn metadata_of_more_grants(answer: &str) -> String {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let mut document: Value = serde_json::from_str(body).expect("metadata");
    let endpoint = document["token_endpoint"].as_str().expect("an endpoint");
    document["pushed_authorization_request_endpoint"] = json!(endpoint.replace("/token", "/par"));
    document["grant_types_supported"] = json!([
        "client_credentials",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    ]);
    with_body(answer, &document)
}

fn answer_if(taken: bool, body: &Value) -> Faulty {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    let refusal = "HTTP/1.1 400 Bad Request\r\n\r\n{\"error\":\"invalid_request\"}";
    Faulty::Other(if taken {
        format!("{head}{body}")
    } else {
        refusal.to_owned()
    })
}

fn with_body(answer: &str, body: &Value) -> String {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    format!("{head}\r\n\r\n{body}")
}

/// The answer with other claims in its token, whose signature nobody checks here.
fn with_token(answer: &str, change: &mut dyn FnMut(&mut Value)) -> String {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let mut body: Value = serde_json::from_str(body).expect("a token answer");
    let mut claims = claims(body["access_token"].as_str().expect("a token")).expect("a JWT");
    change(&mut claims);
    body["access_token"] = json!(token_of(&claims));
    with_body(answer, &body)
}

fn token_of(claims: &Value) -> String {
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    format!("{}.{}.AAAA", part(&json!({"typ": "at+jwt"})), part(claims))
}

fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&base64url::decode(payload.as_bytes()).ok()?).ok()
}

/// The claims of the client assertion of a request.
fn assertion(exchanged: &Exchanged<'_>) -> Option<Value> {
    claims(&parameter(exchanged, "client_assertion")?)
}

/// A parameter of the form; the probe's values need no more decoding than this.
fn parameter(exchanged: &Exchanged<'_>, name: &str) -> Option<String> {
    let (_, form) = exchanged.request.split_once("\r\n\r\n")?;
    let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(known, _)| *known == name)?;
    Some(value.replace("%3A", ":"))
}

/// The thumbprint of the proof's key.
fn jkt(exchanged: &Exchanged<'_>) -> Option<String> {
    let (header, _) = exchanged.proof()?;
    let key = PublicKey::from_jwk(header["jwk"].to_string().as_bytes()).ok()?;
    Some(key.thumbprint().to_string())
}

fn probed(world: &World, client: Client) -> AuthorizationServer {
    let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let issuer = HttpUrl::parse(&world.issuer).expect("a URL");
    let mut server = AuthorizationServer::new(issuer, client, Arc::new(key));
    server.resource = Some(format!("{}/", world.gateway));
    server.refresh_token = Some(Secret::new("refresh"));
    server.redirect_uri = Some("https://client.example/callback".to_owned());
    server
}

async fn outcome(world: &World, client: Client, fault: Fault) -> Result<Report, ProbeError> {
    let lenient = Lenient::with(&world.issuer, fault).await;
    let options = Options {
        rate: 0.0,
        connect_to: Some(lenient.address),
        ..Options::default()
    };
    let server = probed(world, client);
    server.probe(&options, &world.timing(), &Silent).await
}

fn ids(report: &Report, verdict: Verdict) -> BTreeSet<&str> {
    report
        .findings
        .iter()
        .filter(|finding| finding.verdict == verdict)
        .map(|finding| finding.id.as_str())
        .collect()
}

async fn assess(cases: &'static [&'static str], fault: fn(&World) -> Fault) {
    let world = World::start().await;
    let report = outcome(&world, Client::Register(None), fault(&world))
        .await
        .expect("a report");
    let expected: BTreeSet<&str> = cases.iter().copied().collect();
    assert_eq!(ids(&report, Verdict::NotEnforced), expected);
    let undecided = ids(&report, Verdict::Inconclusive);
    assert_eq!(undecided, BTreeSet::new(), "{expected:?}");
    if expected.is_empty() {
        let decided = ids(&report, Verdict::Enforced);
        for check in ["AS-05.", "AS-06.", "AS-07."] {
            assert!(decided.iter().any(|id| id.starts_with(check)), "{check}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_an_issuer_is_found_by_its_case_alone() {
    let mut running = JoinSet::new();
    let mut failures = Vec::new();
    for Row(cases, fault) in FAULTS {
        if running.len() == 4 {
            failures.extend(running.join_next().await.and_then(Result::err));
        }
        running.spawn(assess(cases, *fault));
    }
    while let Some(done) = running.join_next().await {
        failures.extend(done.err());
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Whatever a server does beside serving and refusing proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_endpoint_that_neither_serves_nor_refuses_decides_nothing() {
    const ANSWERS: [&str; 5] = [
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: https://login.example/\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>log in</html>",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}",
    ];
    for answer in ANSWERS {
        let world = World::start().await;
        let fault: Fault = Box::new(move |exchanged| {
            if exchanged.request.contains(" /token") {
                Faulty::Other(answer.to_owned())
            } else {
                Faulty::Unchanged
            }
        });
        let report = outcome(&world, Client::Register(None), fault)
            .await
            .expect("a report");
        assert_eq!(
            ids(&report, Verdict::NotEnforced),
            BTreeSet::new(),
            "{answer}"
        );
        for id in ids(&report, Verdict::Enforced) {
            // The metadata needs no token endpoint.
            assert!(id.starts_with("AS-01."), "{answer}: {id}");
        }
        assert_eq!(report.grade, '?', "{answer}");
    }
}

fn metadata_is(answer: &'static str) -> Fault {
    Box::new(move |exchanged| {
        if exchanged.request.contains(" /.well-known/") {
            Faulty::Other(answer.to_owned())
        } else {
            Faulty::Unchanged
        }
    })
}

#[tokio::test]
async fn metadata_that_is_none_is_said_plainly() {
    let world = World::start().await;
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html></html>",
            "HTML",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"issuer\":",
            "no JSON",
        ),
        ("HTTP/1.1 200 OK\r\n\r\n[]", "no object"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", "404"),
        (
            "HTTP/1.1 200 OK\r\n\r\n{\"issuer\":\"x\"}",
            "token_endpoint",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n{\"token_endpoint\":\"http://other.example/token\"}",
            "out of TLS",
        ),
    ] {
        let failed = outcome(&world, Client::Register(None), metadata_is(answer)).await;
        let error = failed.expect_err("no report");
        assert!(matches!(error, ProbeError::Document { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.next_step().is_empty());
    }
}

#[tokio::test]
async fn a_probe_that_cannot_become_a_client_says_why() {
    let unchanged = || -> Fault { Box::new(|_| Faulty::Unchanged) };
    for (registration, initial) in [("closed", None), ("token", None), ("token", Some("wrong"))] {
        let world = World::with(WorldOptions {
            registration: registration.to_owned(),
            ..WorldOptions::default()
        })
        .await;
        let client = Client::Register(initial.map(Secret::new));
        let failed = outcome(&world, client, unchanged()).await;
        let refused = matches!(
            failed,
            Err(ProbeError::Document { .. } | ProbeError::CredentialsRefused { .. })
        );
        assert!(refused, "{registration}: {:?}", failed.err());
    }
    let world = World::start().await;
    let stranger = SoftwareKey::generate(Algorithm::EdDsa).expect("a key");
    let client = Client::PrivateKeyJwt("agent".to_owned(), Arc::new(stranger));
    let failed = outcome(&world, client, unchanged()).await;
    let refused = matches!(failed, Err(ProbeError::CredentialsRefused { .. }));
    assert!(refused, "{:?}", failed.err());
}

/// What is left out costs nothing: no second client, no token to introspect.
#[tokio::test]
async fn one_check_costs_few_requests() {
    let world = World::start().await;
    let options = Options {
        rate: 0.0,
        only: vec!["AS-02".to_owned()],
        ..Options::default()
    };
    let report = probed(&world, Client::Register(None))
        .probe(&options, &world.timing(), &Silent)
        .await
        .expect("a report");
    assert_eq!(
        ids(&report, Verdict::Enforced),
        BTreeSet::from(["AS-02.without-proof"])
    );
    // Metadata, registration, a good request, the bad one, a good one.
    assert_eq!(report.requests, 5);
    assert_eq!(report.findings.len(), 1);
}

/// A dry run says what it would send, and sends nothing: nobody listens here.
#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let world = World::start().await;
    let key = SoftwareKey::generate(Algorithm::Es256).expect("a key");
    let issuer = HttpUrl::parse("http://127.0.0.1:1").expect("a URL");
    let server = AuthorizationServer::new(issuer, Client::Register(None), Arc::new(key));
    let options = Options {
        dry_run: true,
        ..Options::default()
    };
    let report = server
        .probe(&options, &world.timing(), &Silent)
        .await
        .expect("a report");
    assert!(report.requests > 100, "{}", report.requests);
    let statuses = report
        .findings
        .iter()
        .flat_map(|finding| &finding.evidence)
        .filter(|exchange| exchange.status.is_some());
    assert_eq!(statuses.count(), 0);
}
