//! What every command is given: where to print, the environment, the clock.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keybound_proto::time::Clock;

use crate::clock::SystemClock;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::Output;

/// What every command is given.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Where to print.
    pub(crate) output: Output,
    /// The environment, as it was at start.
    pub(crate) environment: Environment,
    /// The wall clock.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Context {
    /// The context of one invocation.
    pub(crate) fn new(output: Output, environment: Environment) -> Self {
        Self {
            output,
            environment,
            clock: Arc::new(SystemClock),
        }
    }

    /// Where this user's data lives.
    pub(crate) fn data_home(&self) -> Result<PathBuf, Failure> {
        self.environment.data_home().ok_or_else(|| {
            Failure::usage("there is no home directory to keep keys in")
                .next("set HOME or XDG_DATA_HOME")
        })
    }

    /// The data of `keybound dev` when no directory is named.
    pub(crate) fn dev_directory(&self) -> Result<PathBuf, Failure> {
        self.data_home().map(|home| home.join("dev"))
    }

    /// Runs a command's work on a single-threaded runtime: enough for a client.
    pub(crate) fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().map_err(no_runtime)?;
        runtime.block_on(work)
    }

    /// Runs services on one thread per core.
    pub(crate) fn serve<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.enable_all().build().map_err(no_runtime)?;
        runtime.block_on(work)
    }
}

/// A path as messages show it: `~` for the home directory.
pub(crate) fn shown(path: &Path, environment: &Environment) -> String {
    let home = environment.path("HOME");
    match home
        .as_deref()
        .and_then(|home| path.strip_prefix(home).ok())
    {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

fn no_runtime(error: std::io::Error) -> Failure {
    Failure::internal(format!("cannot start the runtime: {error}"))
}
