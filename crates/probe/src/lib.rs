//! Assesses by behaviour, not by label: does an API, an authorization server
//! or an MCP server really enforce binding?
//!
//! A run sends a good request, then the same request with one defect, then a
//! good one again. What the target does decides, not what its metadata says;
//! both stand side by side in the [`Report`]. The check list and its ids are
//! those of `docs/reference/probe.md`.
//!
//! Nothing is guessed: a target that limits the rate, redirects, fails or
//! hangs gets "inconclusive" with the reason. Requests are few, bounded and
//! paced, use the method the user named (`GET` by default) and go to the
//! target alone.
//!
//! What this crate does not do: it does not know Keybound's guard or issuer,
//! looks for no weaknesses beside those of binding, replay and the handling
//! of tokens, opens no listener, and prints nothing.

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

mod answer;
mod archive;
mod authorization_server;
pub mod baseline;
mod calendar;
mod cases;
mod check;
mod credentials;
mod draft;
mod error;
mod issuer_access;
mod jwt;
mod mcp;
mod options;
pub mod output;
mod proof_cases;
mod report;
mod resource_server;
mod session;
mod signatures;
mod timing;
mod transport;
mod verdict;

pub use self::archive::assess_archive;
pub use self::authorization_server::{AuthorizationServer, Client, ResourceParameter};
pub use self::cases::{case_ids, is_id, nearest_id};
pub use self::credentials::{BoundToken, Credentials, TokenIssuer};
pub use self::error::ProbeError;
pub use self::issuer_access::IssuerAccess;
pub use self::mcp::McpServer;
pub use self::options::{Level, Options};
pub use self::report::{Exchange, Finding, Label, Measure, Report, SCHEMA, Summary, TargetKind};
pub use self::resource_server::{Binding, Callback, OtherCertificates, ResourceServer, Revoker};
pub use self::signatures::SignatureProfile;
pub use self::timing::Timing;
pub use self::transport::{CertificateFault, ClientIdentity, NoAnswer, TlsOptions};
pub use self::verdict::{Severity, Verdict};

/// Hears of a run's progress.
pub trait Progress {
    /// A request goes out (in a dry run: would go out), the `count`th of the run.
    fn sending(&self, count: u32, request: &Exchange);
    /// A case is decided.
    fn concluded(&self, finding: &Finding);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn sending(&self, _count: u32, _request: &Exchange) {}
    fn concluded(&self, _finding: &Finding) {}
}
