//! The data plane of Keybound: listeners with strict HTTP framing, the gateway, the
//! receiver of signals, the event spool, health endpoints and graceful drain.

mod alarm;
mod backoff;
pub mod body;
pub mod forwarded_certificate;
pub mod framing;
pub mod gateway;
pub mod listener;
pub mod management;
mod refusal;
mod shutdown;
pub mod signals;
pub mod spool;

pub use shutdown::{Drained, Shutdown, ShutdownTrigger};
