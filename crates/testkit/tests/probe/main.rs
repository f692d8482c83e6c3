//! The probe against worlds with and without their checks.
//!
//! What a strict server is asked, it enforces; a server without one check is
//! found by exactly the cases that stand for it.

#![expect(
    clippy::expect_used,
    reason = "a test stops when its own footing is wrong"
)]

mod authorization_server;
mod certificates;
mod faults;
mod hostile;
mod issuer_access;
mod issuer_faults;
mod mcp;
mod outputs;
mod resource_server;
mod signatures;
