//! How should issuances be written to SQLite: through sqlx and its pool, one
//! transaction each, or through one thread that commits what has gathered?
//!
//! Both write the same four rows per issuance (two one-time values with unique
//! keys, the token, the event) with WAL and `synchronous = FULL`, and answer
//! after the commit. Each line is one run on a fresh file:
//!
//! ```text
//! cargo run --release -- [SECONDS] [DIRECTORY]
//! ```

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

mod pool;
mod writer;

const TASKS: [usize; 4] = [1, 16, 64, 256];

const SCHEMA: &str = "
    CREATE TABLE spent (key BLOB PRIMARY KEY, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE tokens (
        number INTEGER PRIMARY KEY, token_hash BLOB NOT NULL, token_id TEXT NOT NULL,
        client_id TEXT NOT NULL, identity TEXT NOT NULL, jkt BLOB NOT NULL, audience TEXT NOT NULL,
        scope TEXT NOT NULL, issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) STRICT;
    CREATE INDEX tokens_by_hash ON tokens (token_hash);
    CREATE TABLE events (sequence INTEGER PRIMARY KEY, json TEXT NOT NULL, chain BLOB NOT NULL) STRICT;";

const SPEND: &str = "INSERT INTO spent (key, expires_at) VALUES (?1, ?2)";
const TOKEN: &str = "INSERT INTO tokens (token_hash, token_id, client_id, identity, jkt, audience, scope,
                     issued_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const EVENT: &str = "INSERT INTO events (json, chain) VALUES (?1, ?2)";

/// What is written for one token.
struct Issuance {
    proof: [u8; 16],
    assertion: [u8; 16],
    hash: [u8; 32],
    token_id: String,
    json: String,
}

impl Issuance {
    fn number(number: u64) -> Self {
        let scattered = |salt: u64| {
            // Keys that fall anywhere in an index, as hashes do.
            let mixed = (number ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        let wide = |salt| [scattered(salt).to_be_bytes(), number.to_be_bytes()].concat();
        let hash = [wide(3), wide(4)].concat();
        Self {
            proof: wide(1).try_into().expect("16 bytes"),
            assertion: wide(2).try_into().expect("16 bytes"),
            hash: hash.try_into().expect("32 bytes"),
            token_id: format!("tok_{number:022}"),
            json: format!(r#"{{"id":"evt_{number:032x}","kind":"token_issued","padding":"{:0>300}"}}"#, 0),
        }
    }
}

/// Writes one issuance; returns after the commit.
trait Writes: Send + Sync + 'static {
    fn record(&self, issuance: Issuance) -> impl Future<Output = ()> + Send;
}

struct Measured {
    per_second: f64,
    cpu_us: f64,
    p50: Duration,
    p99: Duration,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(5);
    let directory = arguments.next().unwrap_or_else(|| ".".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!("| tasks | writer | issuances/s | CPU µs each | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|---|");
    for tasks in TASKS {
        let run = |name: &str, measured: Measured| {
            println!(
                "| {tasks} | {name} | {:.0} | {:.0} | {:.2} | {:.2} |",
                measured.per_second,
                measured.cpu_us,
                measured.p50.as_secs_f64() * 1e3,
                measured.p99.as_secs_f64() * 1e3,
            );
        };
        let duration = Duration::from_secs(seconds);
        runtime.block_on(async {
            let folder = tempfile::tempdir_in(&directory).expect("a directory");
            let file = folder.path().join("a.db");
            run("sqlx pool", measure(pool::Pool::open(&file).await, tasks, duration).await);
            let folder = tempfile::tempdir_in(&directory).expect("a directory");
            let file = folder.path().join("a.db");
            run("one rusqlite thread", measure(writer::Writer::open(&file), tasks, duration).await);
        });
    }
}

async fn measure(writes: impl Writes, tasks: usize, duration: Duration) -> Measured {
    let writes = Arc::new(writes);
    let counter = Arc::new(AtomicU64::new(0));
    let (started, cpu) = (Instant::now(), cpu_time());
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            let (writes, counter) = (Arc::clone(&writes), Arc::clone(&counter));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while started.elapsed() < duration {
                    let issuance = Issuance::number(counter.fetch_add(1, Ordering::Relaxed));
                    let begun = Instant::now();
                    writes.record(issuance).await;
                    times.push(begun.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for handle in handles {
        times.extend(handle.await.expect("no panic"));
    }
    let (elapsed, cpu) = (started.elapsed(), cpu_time() - cpu);
    times.sort_unstable();
    let count = times.len() as f64;
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    Measured {
        per_second: count / elapsed.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / count,
        p50: at(50),
        p99: at(99),
    }
}

/// User and system time of this process, at the kernel's 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("procfs");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(ticks * 10)
}

fn url(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}
