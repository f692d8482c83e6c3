//! Replay logs that several gateways share, against real servers.

mod failures;
mod races;
mod servers;
mod suite;
mod support;
