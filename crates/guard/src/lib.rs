//! Checks that the sender of each request possesses the key its access token is
//! bound to.
//!
//! ```text
//! Guard::check : (Presented, Route) -> Verified | Rejection
//! ```
//!
//! What a request must show and in which order it is checked is decided in
//! `keybound-proto`; this crate brings what a resource server has to bring:
//! issuers' keys ([`keys`], RFC 8414 and OpenID Connect discovery), questions to
//! issuers ([`introspection`], RFC 7662 and RFC 9701), the replay
//! log ([`replay`], RFC 9449 section 11.1), a view of revocations
//! ([`revocation`]), trust domains of workloads ([`workload`]), a cache of verified tokens, metrics, events, a tower
//! [`layer`] and an [`axum`] extractor.
//!
//! It does not issue tokens, keep state on disk, or read clock and environment:
//! the clock comes in as a [`keybound_proto::time::Clock`].

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

pub use self::config::{GuardConfig, GuardConfigError, MethodScopes, NonceRule, Route};
pub use self::content::{Checked, Content, NoContent};
pub use self::guard::{Fields, Guard, HttpRequest, NONCE_LIFETIME, ReadinessCheck, RequestFacts};
pub use self::keys::IssuerConfig;
pub use self::replay::{ReplayConfig, ReplayMode};
#[cfg(any(test, feature = "test-util"))]
pub use self::sink::MemorySink;
pub use self::sink::{EventSink, NullSink};

pub mod agents;
pub mod axum;
mod config;
mod content;
pub mod fetch;
mod guard;
pub mod introspection;
pub mod keys;
pub mod layer;
pub mod metrics;
pub mod replay;
pub mod respond;
pub mod revocation;
mod sink;
pub mod status;
mod tokens;
pub mod workload;
