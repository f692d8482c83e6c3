//! Limits of a run. Every one has a safe default.

use std::net::SocketAddr;
use std::time::Duration;

use crate::transport::TlsOptions;

/// How much is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Without series that take minutes: late replays, revocation latency.
    Quick,
    /// Everything.
    #[default]
    Full,
}

/// Limits of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much is asked. Default: everything.
    pub level: Level,
    /// Requests a second at most; 0 for as fast as the target answers. Default 10.
    pub rate: f64,
    /// Requests in all. Default 1,000.
    pub max_requests: u32,
    /// Until an answer counts as not coming. Default 10 s.
    pub timeout: Duration,
    /// The longest wait a `Retry-After` may ask for. Default 15 s.
    pub longest_wait: Duration,
    /// The longest run, without the pauses that the rate asks for; what is not asked by then is
    /// inconclusive. Default one hour.
    pub longest_run: Duration,
    /// Ids of checks or cases to run; empty for all. `RS-06` names all its cases.
    pub only: Vec<String>,
    /// Ids of checks or cases to leave out.
    pub skip: Vec<String>,
    /// Send nothing: only say what would be sent to a strict target.
    pub dry_run: bool,
    /// Connect to this address instead of those the target's name resolves to: one node of many.
    pub connect_to: Option<SocketAddr>,
    /// How TLS is spoken.
    pub tls: TlsOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            level: Level::Full,
            rate: 10.0,
            max_requests: 1000,
            timeout: Duration::from_secs(10),
            longest_wait: Duration::from_secs(15),
            longest_run: Duration::from_secs(3600),
            only: Vec::new(),
            skip: Vec::new(),
            dry_run: false,
            connect_to: None,
            tls: TlsOptions::default(),
        }
    }
}

impl Options {
    /// The time between two requests.
    pub(crate) fn interval(&self) -> Option<Duration> {
        (self.rate > 0.0).then(|| Duration::from_secs_f64(1.0 / self.rate))
    }

    /// Whether the user left this case out.
    pub(crate) fn excludes(&self, id: &str) -> bool {
        let named = |list: &[String]| {
            list.iter().any(|name| {
                id == name
                    || id
                        .strip_prefix(name.as_str())
                        .is_some_and(|rest| rest.starts_with('.'))
            })
        };
        named(&self.skip) || (!self.only.is_empty() && !named(&self.only))
    }
}
