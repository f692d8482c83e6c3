//! HTTP addresses as parsed values: RFC 3986 syntax and equivalence, and the
//! `htu` claim of RFC 9449 section 4.3.
//!
//! Two addresses are compared here by comparing values that are canonical by
//! construction, never by comparing the strings two parties happened to send.
//! The grammar is RFC 3986 with `http` and `https` only, without userinfo,
//! and with hosts a resolver and another parser cannot read differently:
//! DNS characters, strict dotted IPv4, or an IPv6 literal.
//!
//! Sizes: scheme, authority and path together are at most
//! [`MAX_URL_BYTES`]; query and fragment together at most
//! [`MAX_QUERY_BYTES`].
//!
//! What this module does not do: it resolves no names and no relative
//! references, converts no international host names (they arrive in their
//! ASCII form), and implements no part of the WHATWG URL standard, whose
//! repairs of malformed input are exactly what a verifier must not make.

mod error;
mod host;
mod http_url;
mod htu;
mod origin;
mod path;
pub mod request_target;
mod split;

pub use self::error::UriError;
pub use self::http_url::HttpUrl;
pub use self::htu::Htu;
pub use self::origin::{Origin, Scheme};

/// The longest accepted address in bytes, query and fragment not counted.
pub const MAX_URL_BYTES: usize = 2048;

/// The longest accepted query and fragment together, in bytes.
pub const MAX_QUERY_BYTES: usize = 8192;

#[cfg(test)]
mod tests;
