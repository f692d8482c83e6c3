//! How fast the store records issuances, and what one costs.
//!
//! ```text
//! cargo run --release -p keybound-control --example issuance_rate -- DIRECTORY [SECONDS]
//! ```
//!
//! Prints one line per number of concurrent tasks: issuances per second and
//! processor time of the whole process per issuance. The file is made in
//! DIRECTORY and removed; every record is synced before it counts.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use keybound_control::{Issuance, IssuanceOutcome, Lineage, OneTimeUse, Store, StoreOptions};
use keybound_proto::jose::Jkt;
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::token::TokenHash;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TASKS: [usize; 4] = [1, 16, 64, 256];

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    fn now_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("name a directory")?);
    let seconds = arguments.next().map_or(Ok(5), |text| text.parse())?;
    println!("| tasks | issuances/s | CPU µs each |\n|---|---|---|");
    for tasks in TASKS {
        let folder = tempfile::tempdir_in(&directory)?;
        let store = open(&folder.path().join("a.db"))?;
        let (rate, cpu) = measure(&store, tasks, Duration::from_secs(seconds)).await?;
        println!("| {tasks} | {rate:.0} | {cpu:.1} |");
    }
    Ok(())
}

fn open(file: &Path) -> Result<Store, Failure> {
    let options = StoreOptions {
        kek: None,
        node: "issuer".to_owned(),
        clock: Arc::new(WallClock),
    };
    Ok(Store::open(file, options)?)
}

async fn measure(store: &Store, tasks: usize, duration: Duration) -> Result<(f64, f64), Failure> {
    let counter = Arc::new(AtomicU64::new(0));
    let (started, cpu) = (Instant::now(), cpu_time()?);
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            let (store, counter) = (store.clone(), Arc::clone(&counter));
            tokio::spawn(async move {
                while started.elapsed() < duration {
                    let issuance = issuance(counter.fetch_add(1, Ordering::Relaxed));
                    match store.record_issuance(issuance).await? {
                        IssuanceOutcome::Recorded(_) => {}
                        other => return Err(format!("not recorded: {other:?}").into()),
                    }
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for handle in handles {
        handle.await??;
    }
    let count = counter.load(Ordering::Relaxed) as f64;
    let cpu = cpu_time()? - cpu;
    Ok((
        count / started.elapsed().as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count,
    ))
}

fn issuance(number: u64) -> Issuance {
    let now = WallClock.now();
    let hash = TokenHash::of(&number.to_be_bytes());
    let once = |salt: u8| OneTimeUse {
        key: hash
            .as_bytes()
            .first_chunk()
            .map_or(0, |bytes| u128::from_be_bytes(*bytes) ^ u128::from(salt)),
        sender: number % 8,
        expires_at: now.plus(61),
    };
    Issuance {
        token_hash: hash,
        token_id: Some(format!("tok_{}", &hash.to_hex()[..22])),
        issuer: "https://auth.example.com".to_owned(),
        client_id: "payments-batch".to_owned(),
        identity: "payments-batch".to_owned(),
        jkt: Some(Jkt::from_bytes([7; 32])),
        certificate: None,
        confirmation: None,
        binding: "dpop",
        audience: vec!["https://api.example.com/".to_owned()],
        scope: "approvals:read approvals:write".to_owned(),
        issued_at: now,
        expires_at: UnixTime::from_secs(now.as_secs() + 300),
        proof: Some(once(1)),
        assertion: Some(once(2)),
        lineage: Lineage::default(),
        request_id: Some("req_00112233445566778899aabbccddeeff".to_owned()),
    }
}

/// User and system time of this process, at the kernel's 10 ms.
fn cpu_time() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no process name")?;
    let mut ticks = 0;
    for field in fields.split_whitespace().skip(11).take(2) {
        ticks += field.parse::<u64>()?;
    }
    Ok(Duration::from_millis(ticks * 10))
}
