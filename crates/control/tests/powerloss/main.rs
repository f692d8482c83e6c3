//! What survives: power loss at random operations, `kill -9` under load, a full
//! device, a failing disk.
//!
//! One program in two parts. Called plainly it is the test: it starts itself
//! again as the *driver*, which opens a store, issues, revokes, locks and
//! unlocks as fast as it can and says on its standard output what was confirmed
//! to it. When the driver has died, the test opens the store and asks for every
//! confirmed change. For power loss the driver runs on `powerloss.c`, a disk
//! that forgets what was not synced.
//!
//! ```text
//! cargo test -p keybound-control --test powerloss [-- power_loss --points 100 --seed 7]
//! ```

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

mod driver;
mod kill;
mod ledger;
mod power;
mod trouble;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Reports on the terminal, as any test harness does.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug)]
struct Plan {
    points: u64,
    kills: u64,
    seed: u64,
}

type Test = fn(&Plan) -> Result<String, Failure>;

const TESTS: [(&str, Test); 5] = [
    ("device_full", trouble::full),
    ("disk_failing", trouble::failing),
    ("kill_minus_nine", kill::run),
    ("power_loss", power::run),
    ("the_disk_forgets", power::self_check),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "driver") {
        return report(
            "driver",
            driver::run(&arguments[1..]).map(|()| String::new()),
        );
    }
    let number = |name: &str, default| {
        let at = arguments.iter().position(|argument| argument == name);
        let value = at.and_then(|at| arguments.get(at + 1));
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let plan = Plan {
        points: number("--points", 1000),
        kills: number("--kills", 100),
        seed: number("--seed", u64::from(std::process::id())),
    };
    let wanted = arguments.first().filter(|first| !first.starts_with('-'));
    let mut worst = ExitCode::SUCCESS;
    for (name, test) in TESTS {
        if wanted.is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        let result = test(&plan);
        if result.is_err() {
            worst = ExitCode::FAILURE;
        }
        report(name, result);
    }
    worst
}

fn report(name: &str, result: Result<String, Failure>) -> ExitCode {
    match result {
        Ok(summary) if summary.is_empty() => ExitCode::SUCCESS,
        Ok(summary) => {
            say!("test {name} ... ok: {summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            say!("test {name} ... FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The driver on a store, not started yet.
fn driver(store: &Path, run: u64) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("driver").arg(store).arg(run.to_string());
    Ok(command)
}

/// Builds the forgetful disk.
fn disk() -> Result<PathBuf, Failure> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/powerloss/powerloss.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("powerloss.so");
    let built = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-O1",
            "-shared",
            "-fPIC",
            "-o",
        ])
        .args([&library, &source])
        .args(["-ldl", "-lpthread"])
        .status()?;
    if !built.success() {
        return Err("the C compiler does not build `powerloss.c`".into());
    }
    Ok(library)
}

/// Numbers that only have to be scattered and repeatable (xorshift).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 1 to `most`, each order of magnitude as likely as the others.
    fn log_uniform(&mut self, most: f64) -> u64 {
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        most.powf(share).ceil() as u64
    }
}
