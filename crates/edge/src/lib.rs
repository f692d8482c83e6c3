//! The data plane of Keybound: listeners with strict HTTP framing, the gateway, the
//! receiver of signals, the event spool, health endpoints and graceful drain.

mod backoff;
pub mod body;
pub mod framing;
pub mod listener;
pub mod management;
mod refusal;
mod shutdown;
pub mod spool;

pub use shutdown::{Drained, Shutdown, ShutdownTrigger};
mod gateway;
