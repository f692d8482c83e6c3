//! F-01: `kill -9` in a loop under load.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::ledger::Ledger;
use crate::{Dice, Failure, Plan, driver};

/// Runs on one store before a fresh one is made.
const RUNS_PER_STORE: u64 = 10;

/// Confirmed changes after which the driver is killed at the latest.
const MOST_LINES: f64 = 2000.0;

/// Kills the driver after a random number of confirmations, `plan.kills` times.
pub(crate) fn run(plan: &Plan) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let mut dice = Dice::new(plan.seed);
    let (mut confirmed, mut kills) = (0, 0);
    while kills < plan.kills {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let file = folder.path().join("a.db");
        let mut ledger = Ledger::default();
        for run in 0..RUNS_PER_STORE.min(plan.kills - kills) {
            let lines = dice.log_uniform(MOST_LINES);
            let mut child = driver(&file, run)?.stdout(Stdio::piped()).spawn()?;
            let killed = kill_after(&mut child, lines, &mut ledger);
            child.kill()?;
            child.wait()?;
            killed?;
            let verified = runtime.block_on(ledger.verify(&file));
            verified.map_err(|error| format!("kill {kills} (seed {}): {error}", plan.seed))?;
            kills += 1;
        }
        confirmed += ledger.len();
    }
    Ok(format!(
        "{kills} kills, {confirmed} confirmed changes, none lost (seed {})",
        plan.seed
    ))
}

fn kill_after(child: &mut Child, lines: u64, ledger: &mut Ledger) -> Result<(), Failure> {
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        if output.read_line(&mut line)? == 0 {
            return Err("the driver ended by itself".into());
        }
        ledger.take(line.trim_end())?;
    }
    // SIGKILL on Unix; what was said before it counts.
    child.kill()?;
    loop {
        line.clear();
        if output.read_line(&mut line)? == 0 {
            return Ok(());
        }
        ledger.take(line.trim_end())?;
    }
}
