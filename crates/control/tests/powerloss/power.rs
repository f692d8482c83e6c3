//! Power loss at random operations, and whether the forgetful disk forgets.

use std::path::Path;
use std::process::Command;

use crate::ledger::Ledger;
use crate::{Dice, Failure, Plan, disk, driver};

/// The status the forgetful disk ends a process with.
const CUT: i32 = 99;

/// Runs on one store before a fresh one is made, so that creation is hit too.
const RUNS_PER_STORE: u64 = 25;

/// Operations after which power goes at the latest.
const MOST_OPERATIONS: f64 = 4000.0;

/// Cuts power at `plan.points` random operations; after each, everything that
/// was confirmed is asked for.
pub(crate) fn run(plan: &Plan) -> Result<String, Failure> {
    let library = disk()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let mut dice = Dice::new(plan.seed);
    let (mut confirmed, mut point) = (0, 0);
    while point < plan.points {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let file = folder.path().join("a.db");
        let mut ledger = Ledger::default();
        for run in 0..RUNS_PER_STORE.min(plan.points - point) {
            let after = dice.log_uniform(MOST_OPERATIONS);
            let seed = dice.next();
            let context = |error: Failure| -> Failure {
                format!(
                    "point {point} (seed {}, operation {after}): {error}",
                    plan.seed
                )
                .into()
            };
            let mut command = on_disk(driver(&file, run)?, &library, folder.path());
            command
                .env("POWERLOSS_AFTER", after.to_string())
                .env("POWERLOSS_SEED", seed.to_string());
            cut(&mut command, &mut ledger).map_err(context)?;
            runtime.block_on(ledger.verify(&file)).map_err(context)?;
            point += 1;
        }
        confirmed += ledger.len();
    }
    Ok(format!(
        "{point} power losses, {confirmed} confirmed changes, none lost (seed {})",
        plan.seed
    ))
}

/// A disk that loses nothing would make the test above worthless: a program that
/// confirms before it syncs must be caught.
pub(crate) fn self_check(plan: &Plan) -> Result<String, Failure> {
    let library = disk()?;
    let mut dice = Dice::new(plan.seed);
    let mut lost = 0;
    for _ in 0..30 {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let file = folder.path().join("log");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["driver", "careless"]).arg(&file);
        let mut command = on_disk(command, &library, folder.path());
        let after = 20 + dice.next() % 200;
        command
            .env("POWERLOSS_AFTER", after.to_string())
            .env("POWERLOSS_SEED", dice.next().to_string());
        let output = command.output()?;
        if output.status.code() != Some(CUT) {
            return Err(format!("the disk did not stop the program: {}", output.status).into());
        }
        let confirmed = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        let stored = std::fs::metadata(&file).map_or(0, |status| status.len());
        let whole = usize::try_from(stored / 100)?;
        if whole < confirmed {
            lost += 1;
        }
        if whole > confirmed + 1 {
            return Err("the disk holds more than was written".into());
        }
    }
    if lost < 15 {
        return Err(format!("of 30 careless programs only {lost} lost something").into());
    }
    Ok(format!(
        "{lost} of 30 careless programs lost what they had confirmed"
    ))
}

/// The command on the forgetful disk.
pub(crate) fn on_disk(mut command: Command, library: &Path, directory: &Path) -> Command {
    command
        .env("LD_PRELOAD", library)
        .env("POWERLOSS_DIR", directory);
    command
}

fn cut(command: &mut Command, ledger: &mut Ledger) -> Result<(), Failure> {
    let output = command.output()?;
    for line in String::from_utf8(output.stdout)?.lines() {
        ledger.take(line)?;
    }
    match output.status.code() {
        Some(CUT) => Ok(()),
        _ => Err(format!("the driver ended by itself: {}", output.status).into()),
    }
}
