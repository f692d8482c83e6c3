//! When to stop: SIGTERM and SIGINT drain, a second one ends at once. SIGHUP
//! reads the files of TLS listeners again; the configuration itself is read at
//! start only.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;
use crate::output::Output;

/// The signals that are listened to.
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl StopSignals {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::internal(format!("cannot listen to signals: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the first signal to stop. From then on another one ends the
    /// process at once, with 128 and the signal's number.
    /// `on_hang_up` says whether there was anything to read again.
    pub(crate) async fn first(mut self, output: Output, on_hang_up: impl Fn() -> bool) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hang_up.recv() => {
                    output.warning(if on_hang_up() {
                        "SIGHUP reads TLS files again; the configuration is read at start: restart to apply changes of it"
                    } else {
                        "SIGHUP changes nothing: the configuration is read at start; restart to apply changes"
                    });
                }
            }
        }
        output.note("stopping; requests in flight are answered first (again to stop at once)");
        tokio::spawn(async move {
            let code = tokio::select! {
                _ = self.terminate.recv() => 128 + 15,
                _ = self.interrupt.recv() => 128 + 2,
            };
            std::process::exit(code);
        });
    }
}
