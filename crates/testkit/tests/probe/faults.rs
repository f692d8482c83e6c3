//! Faults that are no row of the check registry: a race, a door that was
//! forgotten, a standard that was read too strictly.
//!
//! Each stands for one case of the probe, which must find it, and no other may.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use keybound_probe::{Callback, Options, Report, ResourceServer, Silent, Verdict};
use keybound_proto::time::{Clock, ManualClock};
use keybound_proto::uri::HttpUrl;
use keybound_testkit::{Exchanged, Faulty, Lenient, World, WorldRevoker};
use serde_json::Value;
use tokio::task::JoinSet;

type Fault = Box<dyn Fn(&Exchanged<'_>) -> Faulty + Send + Sync>;

/// The case that must find the fault, and the fault.
struct Row(&'static str, fn(&World) -> Fault);

const FAULTS: &[Row] = &[
    Row("RS-05.others-token", |_| {
        // The key is compared with that of the token the connection saw first.
        let first = Mutex::new(None);
        Box::new(move |exchanged| {
            let token = exchanged.header("authorization").map(str::to_owned);
            let mut first = first.lock().expect("no test panicked here");
            let own = first.get_or_insert_with(|| token.clone());
            let other = token.is_some() && *own != token;
            served_if(other && exchanged.answer.contains("token.key_mismatch"))
        })
    }),
    Row("RS-06.after-2s", |world| repeated(world, 2, 30)),
    Row("RS-06.end-of-window", |world| repeated(world, 30, 60)),
    Row("RS-07.parallel", |_| {
        let seen: Mutex<HashMap<String, u32>> = Mutex::default();
        Box::new(move |exchanged| {
            let mut seen = seen.lock().expect("no test panicked here");
            let count = seen.entry(exchanged.request.to_owned()).or_default();
            *count += 1;
            served_if(*count > 2 && exchanged.status() == "401")
        })
    }),
    Row("RS-08.method-override", |_| {
        with_header("x-http-method-override")
    }),
    Row("RS-10.alg-absent", |_| {
        with_proof(|header, _| header.get("alg").is_none())
    }),
    Row("RS-11.alg-none", |_| unsigned("none")),
    Row("RS-11.alg-none-capital", |_| unsigned("None")),
    Row("RS-13.clock-tolerance", |world| {
        let clock = world.clock.clone();
        Box::new(move |exchanged| {
            let iat = exchanged
                .proof()
                .and_then(|(_, claims)| claims["iat"].as_u64());
            refused_if(
                exchanged,
                iat.is_some_and(|iat| iat == clock.now().plus(8).as_secs()),
            )
        })
    }),
    Row("RS-15.htu-query-ignored", |_| {
        strict_about(|_, claims| claims["htu"].as_str().is_some_and(|htu| htu.contains('?')))
    }),
    Row("RS-15.htu-case-ignored", |_| {
        strict_about(|_, claims| {
            claims["htu"]
                .as_str()
                .is_some_and(|htu| htu.starts_with("HTTP:"))
        })
    }),
    Row("RS-15.htu-unreserved-escape", |_| {
        strict_about(|_, claims| {
            claims["htu"]
                .as_str()
                .is_some_and(|htu| htu.contains("%73"))
        })
    }),
    Row("RS-15.extra-members", |_| {
        strict_about(|_, claims| claims.get("x-unknown").is_some())
    }),
    Row("RS-15.forwarded-spoofed", |_| {
        with_header("x-forwarded-host")
    }),
    Row("RS-19.head", |_| {
        Box::new(|exchanged| {
            served_if(exchanged.request.starts_with("HEAD ") && exchanged.status() == "401")
        })
    }),
    Row("RS-19.websocket", |_| {
        Box::new(|exchanged| served_if(exchanged.header("upgrade").is_some()))
    }),
    Row("RS-20.challenge", |_| {
        Box::new(|exchanged| {
            let bare = exchanged.header("authorization").is_none() && exchanged.status() == "401";
            changed_if(exchanged, bare, "www-authenticate", "x-was-challenge")
        })
    }),
    Row("RS-20.error-code", |_| {
        Box::new(|exchanged| {
            let garbled = exchanged.header("dpop") == Some("not-a-proof");
            changed_if(exchanged, garbled, "invalid_dpop_proof", "invalid_request")
        })
    }),
    Row("RS-20.metadata-agrees", |_| {
        Box::new(|exchanged| {
            let metadata = exchanged.request.contains("oauth-protected-resource");
            changed_if(exchanged, metadata, "\"ES256\"", "\"none\"")
        })
    }),
    Row("TK-01.alg-none", |_| {
        Box::new(|exchanged| {
            let token = exchanged.header("authorization").unwrap_or_default();
            served_if(token.ends_with('.') && exchanged.status() == "401")
        })
    }),
];

fn served_if(fault: bool) -> Faulty {
    if fault {
        Faulty::Served
    } else {
        Faulty::Unchanged
    }
}

fn refused_if(exchanged: &Exchanged<'_>, fault: bool) -> Faulty {
    if fault && exchanged.status() == "200" {
        Faulty::Refused
    } else {
        Faulty::Unchanged
    }
}

fn changed_if(exchanged: &Exchanged<'_>, fault: bool, from: &str, to: &str) -> Faulty {
    if fault {
        Faulty::Other(exchanged.answer.replace(from, to))
    } else {
        Faulty::Unchanged
    }
}

/// Refusals of requests with this header field are none.
fn with_header(name: &'static str) -> Fault {
    Box::new(move |exchanged| {
        served_if(exchanged.header(name).is_some() && exchanged.status() == "401")
    })
}

/// Refusals of requests with such a proof are none.
fn with_proof(such: fn(&Value, &Value) -> bool) -> Fault {
    Box::new(move |exchanged| {
        let proof = exchanged.proof();
        let fault = proof.is_some_and(|(header, claims)| such(&header, &claims));
        served_if(fault && exchanged.status() == "401")
    })
}

/// Proofs without a signature pass under this name of no algorithm.
fn unsigned(algorithm: &'static str) -> Fault {
    Box::new(move |exchanged| {
        let empty = exchanged
            .header("dpop")
            .is_some_and(|text| text.ends_with('.'));
        let named = exchanged
            .proof()
            .is_some_and(|(header, _)| header["alg"] == algorithm);
        served_if(empty && named && exchanged.status() == "401")
    })
}

/// Good requests with such a proof are refused.
fn strict_about(such: fn(&Value, &Value) -> bool) -> Fault {
    Box::new(move |exchanged| {
        let proof = exchanged.proof();
        let fault = proof.is_some_and(|(header, claims)| such(&header, &claims));
        refused_if(exchanged, fault)
    })
}

/// A memory that forgets a request between `from` and `until` seconds after it.
fn repeated(world: &World, from: u64, until: u64) -> Fault {
    let clock: ManualClock = world.clock.clone();
    let seen: Mutex<HashMap<String, u64>> = Mutex::default();
    Box::new(move |exchanged| {
        let now = clock.now().as_secs();
        let mut seen = seen.lock().expect("no test panicked here");
        let first = *seen.entry(exchanged.request.to_owned()).or_insert(now);
        let forgotten = (from..until).contains(&(now - first));
        served_if(forgotten && exchanged.status() == "401")
    })
}

async fn report(world: &Arc<World>, server: &ResourceServer, lenient: &Lenient) -> Report {
    let options = Options {
        rate: 0.0,
        connect_to: Some(lenient.address),
        ..Options::default()
    };
    server
        .probe(&options, &world.timing(), &Silent)
        .await
        .expect("a report")
}

async fn target(world: &Arc<World>) -> ResourceServer {
    let mut server = world.probed().await;
    server.revoker = Some(Arc::new(WorldRevoker(Arc::clone(world))));
    server
}

fn found(report: &Report) -> BTreeSet<&str> {
    report
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::NotEnforced)
        .map(|finding| finding.id.as_str())
        .collect()
}

async fn assess(case: &'static str, fault: fn(&World) -> Fault) {
    let world = Arc::new(World::start().await);
    let lenient = Lenient::with(&world.gateway, fault(&world)).await;
    let report = report(&world, &target(&world).await, &lenient).await;
    assert_eq!(found(&report), BTreeSet::from([case]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_found_by_its_case_alone() {
    let mut running = JoinSet::new();
    for Row(case, fault) in FAULTS {
        if running.len() == 4 {
            running
                .join_next()
                .await
                .expect("one that runs")
                .expect("no panic");
        }
        running.spawn(assess(case, *fault));
    }
    while let Some(done) = running.join_next().await {
        done.expect("no panic");
    }
}

/// Hears of the URLs somebody asked for.
#[derive(Clone, Debug, Default)]
struct Watched(Arc<Mutex<BTreeSet<String>>>);

impl Callback for Watched {
    fn url(&self, name: &str) -> HttpUrl {
        HttpUrl::parse(&format!("http://watched.example/{name}")).expect("a URL")
    }

    fn was_called(&self, name: &str) -> bool {
        let asked = self.0.lock().expect("no test panicked here");
        asked.contains(self.url(name).as_str())
    }
}

/// A verifier that looks keys up where the proof says they are. Which of the three members it
/// follows, the probe tells apart; a guard follows none.
#[tokio::test]
async fn following_the_urls_of_a_proof_is_found() {
    for followed in ["jku", "x5u", "kid", "none of them"] {
        let world = Arc::new(World::start().await);
        let watched = Watched::default();
        let asked = Arc::clone(&watched.0);
        let lenient = Lenient::with(&world.gateway, move |exchanged| {
            let url = exchanged
                .proof()
                .and_then(|(header, _)| header[followed].as_str().map(str::to_owned));
            asked.lock().expect("no test panicked here").extend(url);
            Faulty::Unchanged
        })
        .await;
        let mut server = target(&world).await;
        server.callback = Some(Arc::new(watched));
        let report = report(&world, &server, &lenient).await;
        let case = format!("RS-11.{followed}-followed");
        let expected = if followed == "none of them" {
            BTreeSet::new()
        } else {
            BTreeSet::from([case.as_str()])
        };
        assert_eq!(found(&report), expected);
    }
}

/// Two nodes that remember each for itself.
#[tokio::test]
async fn nodes_with_memories_of_their_own_are_found() {
    let world = Arc::new(World::start().await);
    let strict = Lenient::start(&world.gateway, None).await;
    let other = Lenient::start(&world.gateway, Some(keybound_proto::Cause::DpopReplayed)).await;
    let mut server = target(&world).await;
    server.nodes = vec![strict.address, other.address];
    let report = report(&world, &server, &strict).await;
    assert_eq!(found(&report), BTreeSet::from(["RS-07.addresses"]));
}

/// The API's other door has no guard.
#[tokio::test]
async fn an_open_origin_is_found() {
    let world = Arc::new(World::start().await);
    let strict = Lenient::start(&world.gateway, None).await;
    let mut server = target(&world).await;
    server.other_origins = vec![HttpUrl::parse(&world.upstream.origin).expect("a URL")];
    let options = Options {
        rate: 0.0,
        ..Options::default()
    };
    let report = server
        .probe(&options, &world.timing(), &Silent)
        .await
        .expect("a report");
    assert_eq!(found(&report), BTreeSet::from(["RS-18.other-origins"]));
    drop(strict);
}

/// A door that opens to nobody shows nothing by staying shut: the gateway knows itself under another
/// name only.
#[tokio::test]
async fn an_origin_that_serves_nobody_decides_nothing() {
    let world = Arc::new(World::start().await);
    let lenient = Lenient::start(&world.gateway, None).await;
    let mut server = target(&world).await;
    let other = format!("http://{}", lenient.address);
    server.other_origins = vec![HttpUrl::parse(&other).expect("a URL")];
    let options = Options {
        rate: 0.0,
        only: vec!["RS-18.other-origins".to_owned()],
        ..Options::default()
    };
    let report = server
        .probe(&options, &world.timing(), &Silent)
        .await
        .expect("a report");
    let verdicts: Vec<Verdict> = report
        .findings
        .iter()
        .map(|finding| finding.verdict)
        .collect();
    assert_eq!(verdicts, [Verdict::Inconclusive]);
}

/// The listener's other protocol version has no guard.
#[tokio::test]
async fn open_http2_is_found() {
    let world = Arc::new(World::start().await);
    let open = &world.upstream.origin;
    let lenient = Lenient::with_http2_at(&world.gateway, open, |_| Faulty::Unchanged).await;
    let report = report(&world, &target(&world).await, &lenient).await;
    assert_eq!(found(&report), BTreeSet::from(["RS-18.http2"]));
}
