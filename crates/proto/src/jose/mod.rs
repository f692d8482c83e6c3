//! JSON Web Signatures and Keys, cut down to what sender-constrained tokens
//! need: compact JWS (RFC 7515 section 7.1), public JWKs (RFC 7517, RFC 7518
//! section 6, RFC 8037), SHA-256 thumbprints (RFC 7638), and the algorithms
//! ES256, ES384, RS256, PS256 (RFC 7518) and EdDSA over Ed25519 (RFC 8037).
//!
//! Each signed text has one accepted byte form, and each key one accepted
//! description: canonical base64url, coordinates of fixed length, no duplicate
//! members. So a thumbprint names one key, and a token has one hash.
//!
//! Signing happens in two phases ([`SigningInput`], [`Signer`]), so that the
//! private key may live in hardware.
//!
//! There is no JWE, no MAC, no `none`, no JSON serialization, no detached
//! payload, no `crit`, and no look-up of keys by `jku`, `x5u` or `x5c`. Which
//! algorithms, types and claims are acceptable is the caller's decision.

mod algorithm;
mod ed25519;
mod jwk;
mod jws;
mod key;
mod rsa;
mod sign;
mod thumbprint;

pub use algorithm::{Algorithm, AlgorithmSet};
pub use jwk::JwkError;
pub use jws::{AlgorithmFault, Header, Jws, JwsError, MAX_KID_BYTES};
pub use key::{BadSignature, Curve, PublicKey, SignatureValid};
pub use sign::{SignError, Signer, SigningInput};
pub use thumbprint::{Jkt, JktError};

#[cfg(test)]
mod tests;
