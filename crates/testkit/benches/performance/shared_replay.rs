//! Replay logs: latency and throughput of one insert with 1, 64 and 1,024
//! concurrent callers, for the log in memory and for each shared store that is
//! installed, on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keybound_guard::replay::{
    AnyLog, ReplayConfig, ReplayLog as _, ReplayMode, ReplayStart, SharedPlace, StoreAddress,
};
use keybound_proto::time::{Clock, ManualClock};
use keybound_proto::verify::ReplayQuery;

use crate::row::{REPORTED, print, print_missing};

#[expect(
    dead_code,
    reason = "the tests that own these servers do more with them"
)]
#[path = "../../../guard/tests/shared/servers.rs"]
mod servers;

use self::servers::{POSTGRES_PASSWORD, Postgres, Redis, RedisCluster};

const CALLERS: [usize; 3] = [1, 64, 1_024];
const INSTALL: &str = "apt-get install redis-server postgresql";

pub(crate) fn run(quick: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let length = Duration::from_millis(if quick { 500 } else { 4_000 });
    let memory = runtime.block_on(rows("memory", None, length, None));
    let with = |name: &str, address: Option<String>| match address {
        Some(address) => drop(runtime.block_on(rows(name, Some(&address), length, Some(memory)))),
        None => print_missing(&format!("replay insert, {name}"), REPORTED.0, INSTALL),
    };
    let redis = Redis::start();
    with("Redis", redis.as_ref().map(Redis::address));
    let cluster = RedisCluster::start();
    with(
        "Redis, three primaries",
        cluster.as_ref().map(RedisCluster::address),
    );
    let postgres = Postgres::start();
    with(
        "PostgreSQL, logged",
        postgres.as_ref().map(Postgres::address),
    );
    let unlogged =
        |postgres: &Postgres| format!("{}?log=unlogged&name=unlogged", postgres.address());
    with("PostgreSQL, unlogged", postgres.as_ref().map(unlogged));
}

/// One row for throughput and one for latency with each number of callers.
/// Answers with the microseconds of one insert by a single caller.
async fn rows(name: &str, address: Option<&str>, length: Duration, memory: Option<f64>) -> f64 {
    let log = Arc::new(open(address));
    log.opened().await;
    let (mut alone, mut alone_rate) = (0.0, 0.0);
    for callers in CALLERS {
        let (mut times, elapsed) = load(&log, callers, length).await;
        times.sort_unstable();
        let micros = |part: usize| {
            let index = (times.len() * part / 100).min(times.len().saturating_sub(1));
            times
                .get(index)
                .map_or(0.0, |time| time.as_secs_f64() * 1e6)
        };
        let (median, late) = (micros(50), micros(99));
        let rate = times.len() as f64 / elapsed.as_secs_f64();
        if callers == 1 {
            (alone, alone_rate) = (median, rate);
        }
        let baseline = ("memory, one caller", memory.unwrap_or(alone));
        let what = format!("replay insert, {name}, {callers} callers: median");
        print(&what, "us", median, baseline, REPORTED);
        let what = format!("replay insert, {name}, {callers} callers: 99th of 100");
        print(&what, "us", late, baseline, REPORTED);
        let what = format!("replay insert, {name}, {callers} callers: throughput");
        let baseline = ("the same with one caller", alone_rate);
        print(&what, "1/s", rate, baseline, REPORTED);
    }
    alone
}

fn open(address: Option<&str>) -> AnyLog {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now.as_secs()));
    let config = ReplayConfig {
        mode: ReplayMode::BestEffort,
        capacity: 100_000_000,
        per_sender: 100_000_000,
        first_run: true,
    };
    let start = ReplayStart {
        now: clock.now(),
        window: 71,
        ahead: 10,
        random: 7,
    };
    let place = address.map(|address| {
        let parsed = StoreAddress::parse(address).expect("an address");
        let is_postgres = address.starts_with("postgres");
        SharedPlace {
            address: if is_postgres {
                parsed.with_password(POSTGRES_PASSWORD)
            } else {
                parsed
            },
            timeout: Duration::from_secs(5),
        }
    });
    AnyLog::open(place.as_ref(), &config, start, &clock).expect("a log")
}

/// Every caller inserts one proof after the other. Answers with the time of each.
async fn load(log: &Arc<AnyLog>, callers: usize, length: Duration) -> (Vec<Duration>, Duration) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let begin = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let log = Arc::clone(log);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while begin.elapsed() < length {
                    let id = NEXT.fetch_add(1, Ordering::Relaxed);
                    let at = Instant::now();
                    insert(&log, id).await;
                    times.push(at.elapsed());
                    if id.is_multiple_of(64) {
                        // The log in memory never waits, so it would keep the others from running.
                        tokio::task::yield_now().await;
                    }
                }
                times
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("no panic"));
    }
    (all, begin.elapsed())
}

async fn insert(log: &AnyLog, id: u64) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    let now = keybound_proto::time::UnixTime::from_secs(now.as_secs());
    let spread = u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let query = ReplayQuery::for_tests(spread, id % 5_000, now, now.plus(61));
    log.insert(query, 0, now).await.expect("a new proof");
}
