//! HTTP Message Signatures (RFC 9421) and digests of content (RFC 9530).
//!
//! A verifier states a policy ([`SignatureRules`]; [`profile`] has those that
//! documents define), reads the one signature it is about
//! ([`HttpSignature::read`]), and verifies it with a key it trusts
//! ([`HttpSignature::verify`]). The result, [`VerifiedSignature`], cannot be
//! made in another way. A signer builds a [`SignatureInput`] and signs it
//! wherever its key lives.
//!
//! Requests and responses are signed, with every derived component, all
//! component parameters (`sf` for fields whose type is known here), and the
//! algorithms of section 3.3. What is signed is read from the message again,
//! with authority, scheme and target URI from configuration, never from `Host`.
//!
//! What this module does not do: it fetches no keys, keeps no record of
//! nonces, buffers no content, undoes no line folding, and negotiates nothing
//! beyond writing `Accept-Signature` and `Want-Content-Digest`.

pub mod agent;
mod algorithm;
mod base;
mod component;
mod digest;
mod key;
mod message;
mod parameters;
pub mod profile;
mod query;
mod read;
mod rules;
mod sign;

pub use self::algorithm::{SharedKey, SignatureAlgorithm, SignatureAlgorithms};
pub use self::component::{Component, ComponentError};
pub use self::digest::{
    CONTENT_DIGEST, ContentIntact, DigestAlgorithm, DigestCheck, ExpectedDigest,
    WANT_CONTENT_DIGEST, content_digest, wanted_digest,
};
pub use self::key::{SIGNATURE_KEY, runtime_key, runtime_parameters, signature_key};
pub use self::message::{SignedMessage, SignedRequest, SignedResponse};
pub use self::parameters::MAX_NONCE_BYTES;
pub use self::read::{HttpSignature, VerifiedSignature};
pub use self::rules::{Cover, InlineKeySource, Select, SignatureRules};
pub use self::sign::{
    AcceptSignature, CannotCover, SignatureFields, SignatureInput, SignatureParameters,
    algorithm_of,
};
