//! The authorization server for machines and agents (RFC 6749 section 4.4),
//! whose every token carries a sender constraint (RFC 9449) or says in the log
//! why not.
//!
//! Start at [`Issuer::start`]; serve [`Issuer::router`]. Endpoints: metadata
//! (RFC 8414, both well-known forms), `/jwks`, `/token` (`client_credentials`;
//! `private_key_jwt` and `client_secret_basic`; resource indicators of RFC 8707),
//! `/register` (RFC 7591), `/introspect` (RFC 7662), `/revoke` (RFC 7009).
//!
//! Decisions are pure functions in [`flow`]; what the answers depend on
//! (clients, records, locks, keys) is in the store of `keybound-control`, and a
//! client hears of a token only after its record is durable.
//!
//! This crate opens no socket, starts no task, and reads no clock, file or
//! environment of its own. It has no authorization endpoint, no refresh tokens
//! and no users.

#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub mod config;
pub mod flow;

mod clients;
mod entrance;
mod http;
mod issuer;
mod keyring;
mod metrics;
mod random;
mod settings;
mod state;

pub use self::config::IssuerConfig;
pub use self::issuer::{Issuer, IssuerStartError, ReadinessCheck};
pub use self::keyring::{JWKS_MAX_AGE, KeyRingError, Rotated};
pub use self::settings::ConfigError;
