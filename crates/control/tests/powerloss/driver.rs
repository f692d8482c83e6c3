//! The part that dies: writes as fast as it can, and says what was confirmed.
//!
//! One line on standard output per confirmed change (`issued 7`, `revoked 7`,
//! `locked 7`, `unlocked 7`), and `unlocking 7` before an unlock, from where on
//! either answer is right.

use std::io::Write as _;
use std::path::Path;

use keybound_control::{
    IssuanceOutcome, LockOutcome, RevokeOutcome, Store, TokenRef, UnlockOutcome,
};

use crate::Failure;
use crate::ledger::{hash, issuance, key, open};
use crate::trouble::drive;

/// Concurrent callers.
const TASKS: u64 = 8;

/// Numbers per run, so that no two runs on one store use the same.
const PER_RUN: u64 = 1_000_000;

/// Arguments: the file and the number of the run; file, flag and trouble, see
/// `trouble`; or `careless` and a file.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let (file, run) = match arguments {
        [careless, file] if careless == "careless" => return be_careless(Path::new(file)),
        [file, run] => (file, run),
        [file, flag, trouble] => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?;
            return runtime.block_on(drive(Path::new(file), Path::new(flag), trouble));
        }
        _ => return Err("driver FILE RUN".into()),
    };
    let first: u64 = run.parse::<u64>()? * PER_RUN;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let store = open(Path::new(file))?;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(work(store.clone(), first + task)))
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    })
}

/// Confirms records of 100 bytes that it syncs only now and then.
fn be_careless(file: &Path) -> Result<(), Failure> {
    let mut file = std::fs::File::create(file)?;
    for number in 1.. {
        file.write_all(&[b'x'; 100])?;
        say("issued", number)?;
        if number % 10 == 0 {
            file.sync_all()?;
        }
    }
    Ok(())
}

/// Every number of one task, until the process dies.
async fn work(store: Store, first: u64) -> Result<(), Failure> {
    for number in (first..first + PER_RUN - TASKS).step_by(TASKS as usize) {
        match store.record_issuance(issuance(number)).await? {
            IssuanceOutcome::Recorded(_) => say("issued", number)?,
            other => return Err(format!("not issued: {other:?}").into()),
        }
        if number % 3 == 0 {
            match store
                .revoke_token(TokenRef::Hash(hash(number)), "driver", None)
                .await?
            {
                RevokeOutcome::Revoked(_) => say("revoked", number)?,
                other => return Err(format!("not revoked: {other:?}").into()),
            }
        }
        if number % 5 == 0 {
            lock(&store, number).await?;
        }
    }
    Ok(())
}

async fn lock(store: &Store, number: u64) -> Result<(), Failure> {
    match store
        .lock(key(number), "driver", Some("a reason"), None)
        .await?
    {
        LockOutcome::Locked(_) => say("locked", number)?,
        other => return Err(format!("not locked: {other:?}").into()),
    }
    if number.is_multiple_of(2) {
        say("unlocking", number)?;
        match store.unlock(key(number), "driver").await? {
            UnlockOutcome::Released(_) => say("unlocked", number)?,
            other => return Err(format!("not unlocked: {other:?}").into()),
        }
    }
    Ok(())
}

/// One line in one write, so that death never leaves half of one.
fn say(what: &str, number: u64) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{what} {number}\n").as_bytes())?;
    Ok(out.flush()?)
}
