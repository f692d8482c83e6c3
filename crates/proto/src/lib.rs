//! What two parties must agree on when a token is bound to a key, and every
//! decision about it: parsing, the order of the checks, refusals, and the
//! messages a refusal becomes.
//!
//! This crate is sans-IO. It reads no clock, opens no socket or file, reads no
//! environment, starts no task and holds no random-number generator: time,
//! randomness, keys and replay answers come in as arguments.

#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used,
        clippy::wildcard_enum_match_arm,
    )
)]

pub mod base64url;
pub mod binding;
pub mod cause;
pub mod certificate;
pub mod decision;
pub mod dpop;
pub mod event;
pub mod fields;
pub mod jose;
pub mod json;
mod json_text;
pub mod manual;
pub mod rejection;
pub mod signal;
pub mod signature;
pub mod structured;
pub mod time;
pub mod token;
pub mod uri;
pub mod verify;
pub mod wire;
pub mod workload;

pub use self::cause::Cause;
pub use self::rejection::Rejection;
