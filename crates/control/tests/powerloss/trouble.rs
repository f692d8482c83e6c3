//! F-03, F-04: a device without space and a disk whose syncs fail. The store says
//! so, confirms nothing it did not keep, and recovers by itself.
//!
//! Here the driver is this process's own child too: the library must be loaded
//! before it starts.

use std::path::Path;
use std::process::Command;

use keybound_control::{IssuanceOutcome, Store, StoreError, TokenRef};

use crate::ledger::{Ledger, hash, issuance, open};
use crate::power::on_disk;
use crate::{Failure, Plan, disk};

pub(crate) fn full(_: &Plan) -> Result<String, Failure> {
    run("POWERLOSS_FULL")
}

pub(crate) fn failing(_: &Plan) -> Result<String, Failure> {
    run("POWERLOSS_EIO")
}

fn run(trouble: &str) -> Result<String, Failure> {
    let library = disk()?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let file = folder.path().join("a.db");
    let flag = folder.path().with_extension("flag");
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("driver").args([&file, &flag]).arg(trouble);
    let status = on_disk(command, &library, folder.path())
        .env(trouble, &flag)
        .status()?;
    let _ = std::fs::remove_file(&flag);
    if !status.success() {
        return Err(format!("the store did not come through: {status}").into());
    }
    let mut ledger = Ledger::default();
    for line in ["issued 1", "issued 2", "revoked 1"] {
        ledger.take(line)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(ledger.verify(&file))?;
    Ok("refused while it lasted, recovered without a restart".to_owned())
}

/// Works, meets the trouble, sees it end, works again.
pub(crate) async fn drive(file: &Path, flag: &Path, trouble: &str) -> Result<(), Failure> {
    let store = open(file)?;
    issue(&store, 1).await?;
    std::fs::write(flag, "")?;
    let refused = store.record_issuance(issuance(2)).await;
    expect(trouble, refused.map(|outcome| format!("{outcome:?}")))?;
    let refused = store
        .revoke_token(TokenRef::Hash(hash(1)), "driver", None)
        .await;
    expect(trouble, refused.map(|outcome| format!("{outcome:?}")))?;
    if store
        .token(TokenRef::Hash(hash(1)))
        .await?
        .is_none_or(|token| token.withheld.is_some())
    {
        return Err("what was refused has had an effect".into());
    }
    std::fs::remove_file(flag)?;
    // The same proof as in the attempt that failed: it was not spent.
    issue(&store, 2).await?;
    store
        .revoke_token(TokenRef::Hash(hash(1)), "driver", None)
        .await?;
    Ok(())
}

async fn issue(store: &Store, number: u64) -> Result<(), Failure> {
    match store.record_issuance(issuance(number)).await? {
        IssuanceOutcome::Recorded(_) => Ok(()),
        other => Err(format!("not issued: {other:?}").into()),
    }
}

fn expect(trouble: &str, result: Result<String, StoreError>) -> Result<(), Failure> {
    match result {
        Err(StoreError::Full { .. }) if trouble == "POWERLOSS_FULL" => Ok(()),
        Err(StoreError::Unavailable { .. }) if trouble == "POWERLOSS_EIO" => Ok(()),
        other => Err(format!("with {trouble} the store says {other:?}").into()),
    }
}
