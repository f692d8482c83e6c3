//! The client side of sender-constrained tokens: gets and renews an access
//! token bound to a key, and signs each request with that key (RFC 9449).
//!
//! [`Holder`] does the whole of it from an issuer's URL, a client's
//! credentials and a key: discovery (RFC 8414), `client_credentials` with
//! `private_key_jwt` (RFC 7523) or `client_secret_basic` (RFC 6749), renewal
//! before expiry, one fresh proof per attempt, and one retry per nonce
//! challenge. The modules below it can be used on their own.
//!
//! What this crate does not do: it follows no redirects, never sends a token
//! as `Bearer`, never falls back to a weaker grant or client authentication,
//! uses no proxy from the environment, and keeps tokens in memory only. It
//! does not read tokens, which are opaque to clients (RFC 9068 section 6).

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

mod acquire;
mod challenge;
mod date;
pub mod discovery;
mod error;
mod flight;
mod holder;
mod http_client;
pub mod proof;
pub mod registration;
mod secret;
mod server_memory;
mod token;

pub use self::acquire::ClientAuthentication;
pub use self::error::{Failure, HolderError};
pub use self::holder::{Holder, HolderConfig, Request, Response, SignedHeaders};
pub use self::http_client::{HttpClient, Timeouts};
pub use self::secret::Secret;
pub use self::token::BoundToken;
