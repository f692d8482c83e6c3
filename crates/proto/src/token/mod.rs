//! Access tokens and what is made around them: hashes, confirmations, minting,
//! client assertions, the gateway's own assertion, and opaque artefacts.
//!
//! Untrusted and trusted forms are different types, and only verification turns
//! one into the other. This module does not know requests or proofs; the order
//! in which a request is checked is in [`crate::verify`].

mod access;
mod actor;
pub mod artefact;
pub mod assertion;
mod claims;
mod confirmation;
mod delegation;
mod form;
mod hash;
pub mod identity;
pub mod introspection;
mod mint;
mod renewal;
pub mod status_list;

pub use self::access::{
    AccessToken, IssuerRules, Leniency, TokenQuery, TokenSource, UnverifiedToken,
};
pub(crate) use self::access::{ForThisResource, ValidNow, WorkloadClaims, WorkloadProvenBy};
pub use self::actor::{Actor, MAX_ACTORS};
pub use self::claims::KEY_STORAGE;
pub use self::confirmation::{CertificateBinding, Confirmation, KeyBinding};
pub use self::delegation::{ANCESTORS, Delegation, MAX_ANCESTORS};
pub use self::form::{OpaqueToken, PresentedToken};
pub use self::hash::TokenHash;
pub(crate) use self::mint::ProvenKey;
pub use self::mint::{
    AccessTokenClaims, Binding, CertificateRenewal, IssuanceRecorded, Minted, ProvenCertificate,
    ProvenSigner, SenderConstraint, UnsignedToken, danger,
};

pub use self::renewal::{RENEWAL, Renewal, SpiffeRenewal};

/// The JWT type of an access token (RFC 9068 section 2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// The last second of the year 9999. A time beyond it is a fault (milliseconds,
/// an overflow), never "valid for ever".
pub(crate) const MAX_TIME: u64 = 253_402_300_799;
