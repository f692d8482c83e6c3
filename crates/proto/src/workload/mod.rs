//! Workloads that identify themselves: WIMSE credentials and proofs, and SPIFFE.
//!
//! - [`WorkloadIdentifier`], [`SpiffeId`], [`TrustDomain`]: who (draft-ietf-wimse-identifier,
//!   SPIFFE ID), compared whole.
//! - [`WorkloadIdentityToken`]: the signed statement of a trust domain which key a workload
//!   holds (draft-ietf-wimse-workload-creds; WIT-SVID as a profile of it).
//! - [`WorkloadProof`]: one request's proof of that key (draft-ietf-wimse-wpt).
//! - [`UnverifiedJwtSvid`]: SPIFFE's bearer token, which authenticates nobody by itself.
//! - [`X509Svid`]: the identity of a client certificate.
//! - [`TrustBundle`]: the keys that may speak for a trust domain.
//! - [`WorkloadSignature`]: a signature over the request in the proof's place, and signed
//!   answers (draft-ietf-wimse-http-signature).
//! - [`IdentityRule`]: which workloads a route takes.
//!
//! The trust domain in the identifier decides which keys may speak for it; nothing is
//! ever looked up by a URL or a key that the credential itself carries.
//!
//! This module fetches no bundles, keeps no replay records and does not decide in which
//! order a request is checked; that is in [`crate::verify`].

pub mod api;
mod bundle;
mod claims;
mod identifier;
mod identities;
mod identity_token;
mod jwt_svid;
mod presented;
mod proof;
mod signature;
mod x509_svid;

use crate::uri::Htu;

pub use self::bundle::{BundleError, BundleKey, KeyUse, MAX_BUNDLE_ENTRIES, TrustBundle};
pub use self::identifier::{
    IdentifierError, MAX_IDENTIFIER_BYTES, MAX_TRUST_DOMAIN_BYTES, SPIFFE, SpiffeId, TrustDomain,
    WIMSE, WorkloadIdentifier,
};
pub use self::identities::{IdentityRule, IdentityTaken, check_identity};
pub use self::identity_token::{
    WorkloadIdentityToken, WorkloadKey, WorkloadProfile, WorkloadTokenRules,
};
pub use self::jwt_svid::{JWT_SVID_ALGORITHMS, JwtSvid, JwtSvidRules, UnverifiedJwtSvid};
pub use self::presented::WorkloadHeaders;
pub use self::proof::{
    ProofContext, WorkloadProof, WorkloadProofRequest, WorkloadProofRules, proof_signing_input,
};
pub use self::signature::{
    SIGNATURE_LABEL, WorkloadSignature, WorkloadSignatureRequest, WorkloadSignatureRules,
    sign_request, sign_response,
};
pub use self::x509_svid::X509Svid;

/// The header field of a workload identity token (draft-ietf-wimse-workload-creds).
pub const IDENTITY_TOKEN_HEADER: &str = "workload-identity-token";

/// The header field of a workload proof token (draft-ietf-wimse-wpt section 2).
pub const PROOF_TOKEN_HEADER: &str = "workload-proof-token";

/// The header field of a transaction token, which `tth` covers.
pub const TRANSACTION_TOKEN_HEADER: &str = "txn-token";

/// The JWT type of a workload identity token.
pub const IDENTITY_TOKEN_TYPE: &str = "wit+jwt";

/// The JWT type of a workload proof token.
pub const PROOF_TOKEN_TYPE: &str = "wpt+jwt";

/// Whether an audience names this server: its own URL as configured, without query and fragment,
/// or a value agreed on. What is no URL names no target; it may still have been agreed on.
fn is_named_by(target: &Htu, agreed: &[String], audience: &str) -> bool {
    let is_target = || {
        let is_whole = !audience.contains(['?', '#']);
        is_whole && target.is_named_by(audience).unwrap_or_default()
    };
    agreed.iter().any(|value| value == audience) || is_target()
}
