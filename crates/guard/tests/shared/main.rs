//! Replay logs that several gateways share, against real servers.

mod failures;
mod gates;
mod moves;
mod races;
mod servers;
mod suite;
mod support;
mod tls;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../guard/support.rs"]
mod world;
