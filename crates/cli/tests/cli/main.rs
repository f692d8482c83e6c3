//! Runs the built program as a user would, in a home directory of its own.

mod config;
mod demo;
mod dev;
mod keys;
mod mtls;
mod probe;
mod program;
mod proofs;
mod serve;
mod signed_requests;
mod tls;
mod usage;
