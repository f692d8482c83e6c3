//! By which of its addresses a request reached the issuer.
//!
//! The router knows, because each address has a router of its own; no header says it. `htu` of
//! a proof is compared with the endpoint's URL at that address (RFC 9449 section 4.3, RFC 8705
//! section 5).

use axum::http::request::Parts;

/// An address of the issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// The issuer's own URL.
    #[default]
    Main,
    /// The URL of `mtls_endpoint_aliases`.
    Alias,
}

impl Entrance {
    /// The entrance of a request.
    pub(crate) fn of(parts: &Parts) -> Self {
        parts.extensions.get().copied().unwrap_or_default()
    }
}
