//! Following the control plane: locks and revocations in, by Shared Signals with long polling
//! (RFC 8936, RFC 8417), and the gateway's events out, from the [`crate::spool`].
//!
//! One task polls control with a bound token of the gateway's own. A signal is verified with
//! control's published key, applied to the guard's view at once, kept on disk, and only then
//! acknowledged; so after a crash on either side it comes again, and applying it again changes
//! nothing. The stream at control is the cursor; on disk are its id and the view.
//!
//! When control has forgotten the stream, a new one is made. It begins with everything that is
//! locked; until that is complete the old view stays in force, then the new one replaces it.
//!
//! Each lock that takes effect is recorded as `lock_applied` with the time since control
//! recorded it. When control is silent, polls go on with growing, jittered pauses; what that
//! means for requests is the guard's maximum age to decide (fail closed).
//!
//! Not here: push delivery (RFC 8935), and the decision what a lock refuses.

mod documents;
mod follow;
mod state;
mod transport;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keybound_guard::{EventSink, Guard};
use keybound_holder::Holder;
use keybound_proto::jose::AlgorithmSet;
use keybound_proto::time::Clock;
use keybound_proto::uri::Origin;
use parking_lot::Mutex;

use self::follow::Session;
use self::state::StateFile;
pub use self::transport::{ControlTransport, TransportError, deliver_events};
use crate::backoff::Backoff;
use crate::management::Check;
use crate::shutdown::Shutdown;

/// What a follower is told.
#[derive(Debug, Clone)]
pub struct FollowConfig {
    /// Origin of the control plane; also the issuer of its signals.
    pub control: Origin,
    /// Directory for the cursor and the view; made with mode 0700.
    pub state_dir: PathBuf,
    /// Name of this node in events.
    pub node: String,
    /// Signature algorithms accepted from control.
    pub algorithms: AlgorithmSet,
    /// How far control's clock may be ahead, in seconds.
    pub skew: u64,
}

impl FollowConfig {
    /// ES256 and EdDSA, clocks 10 s apart at most.
    #[must_use]
    pub fn new(control: Origin, state_dir: PathBuf, node: impl Into<String>) -> Self {
        Self {
            control,
            state_dir,
            node: node.into(),
            algorithms: AlgorithmSet::TOKEN_DEFAULT,
            skew: 10,
        }
    }
}

/// Why a follower does not start.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The state directory cannot be used.
    #[error(
        "cannot use `{path}` for the revocation view; make it writable for this user or set `state_dir` in `[gateway]`"
    )]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The kept view cannot be read. Starting without it could forget locks, so it is not done.
    #[error(
        "the kept revocation view `{path}` is damaged; restore it, or delete it to have control send everything anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl FollowError {
    fn directory(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Directory {
            path: path.to_owned(),
            source,
        }
    }
}

/// Follows control and keeps a guard's revocation view current.
#[derive(Debug)]
pub struct Follower<T = Holder> {
    config: FollowConfig,
    transport: T,
    guard: Guard,
    sink: Arc<dyn EventSink>,
    clock: Arc<dyn Clock>,
    state: StateFile,
    status: Arc<Mutex<Status>>,
}

/// How following goes, for readiness and metrics.
#[derive(Debug, Default)]
struct Status {
    is_connected: bool,
    last_error: Option<String>,
}

/// Reads how a follower is doing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FollowStatus {
    status: Arc<Mutex<Status>>,
    control: String,
}

impl<T: ControlTransport> Follower<T> {
    /// Reads what an earlier run kept and restores the view from it.
    ///
    /// # Errors
    ///
    /// [`FollowError`].
    pub fn open(
        config: FollowConfig,
        transport: T,
        guard: Guard,
        sink: Arc<dyn EventSink>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FollowError> {
        let state = StateFile::open(&config.state_dir, guard.revocations())?;
        Ok(Self {
            config,
            transport,
            guard,
            sink,
            clock,
            state,
            status: Arc::default(),
        })
    }

    /// Tells how following goes.
    #[must_use]
    pub fn status(&self) -> FollowStatus {
        FollowStatus {
            status: Arc::clone(&self.status),
            control: self.config.control.to_string(),
        }
    }

    /// Follows until the shutdown begins.
    pub async fn run(mut self, mut shutdown: Shutdown) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let error = tokio::select! {
                error = self.follow_once(&mut backoff) => error,
                _ = shutdown.begun() => return,
            };
            tracing::warn!(control = %self.config.control, %error, "lost control; trying again");
            {
                let mut status = self.status.lock();
                status.is_connected = false;
                status.last_error = Some(error.to_string());
            }
            tokio::select! {
                () = backoff.wait() => {}
                _ = shutdown.begun() => return,
            }
        }
    }

    /// Connects and polls until something fails.
    async fn follow_once(&mut self, backoff: &mut Backoff) -> TransportError {
        let mut session = match Session::begin(self).await {
            Ok(session) => session,
            Err(error) => return error,
        };
        loop {
            if let Err(error) = session.poll(self).await {
                return error;
            }
            backoff.reset();
        }
    }
}

impl FollowStatus {
    /// A readiness check. Passes while control answers; the guard's own check says whether the
    /// view is too old to be used.
    #[must_use]
    pub fn check(&self) -> Check {
        let status = self.status.lock();
        let detail = match (&status.last_error, status.is_connected) {
            (_, true) => format!("following `{}`", self.control),
            (Some(error), false) => format!("not following `{}`: {error}", self.control),
            (None, false) => format!("has not reached `{}` yet", self.control),
        };
        Check {
            name: "gateway.control".to_owned(),
            ok: status.is_connected,
            detail,
        }
    }

    /// Metrics in the Prometheus text format. How long locks took is among the guard's.
    #[must_use]
    pub fn metrics(&self) -> String {
        format!(
            "# HELP keybound_control_connected Whether control answers.\n\
             # TYPE keybound_control_connected gauge\n\
             keybound_control_connected {}\n",
            u8::from(self.status.lock().is_connected),
        )
    }
}

#[cfg(test)]
mod tests;
