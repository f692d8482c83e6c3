//! The client side of sender-constrained tokens: gets and renews an access
//! token bound to a key, and signs each request with that key (RFC 9449).
//!
//! [`Holder`] does the whole of it from an issuer's URL, a client's
//! credentials and a key: discovery (RFC 8414), `client_credentials` with
//! `private_key_jwt` (RFC 7523) or `client_secret_basic` (RFC 6749), renewal
//! before expiry, one fresh proof per attempt, and one retry per nonce
//! challenge. [`Holder::presenting`] signs requests and their bodies with HTTP message
//! signatures (RFC 9421) instead, and [`Response::verify`] verifies signed answers. The
//! modules below it can be used on their own.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{HeaderMap, Method};
//! use keybound_holder::{ClientAuthentication, Holder, HolderConfig, Request, Timeouts};
//! use keybound_proto::{time::Clock, uri::HttpUrl};
//!
//! # async fn run(clock: Arc<dyn Clock>) -> Result<(), Box<dyn std::error::Error>> {
//! let key = keybound_custody::open("file:/etc/keybound/batch.pem")?;
//! let holder = Holder::new(
//!     HolderConfig {
//!         issuer: HttpUrl::parse("https://auth.example.com")?,
//!         client_id: "payments-batch".to_owned(),
//!         authentication: ClientAuthentication::PrivateKeyJwt(Arc::clone(&key)),
//!         proof_key: key,
//!         resource: Some("https://api.example.com/".to_owned()),
//!         scope: Some("approvals:read".to_owned()),
//!         timeouts: Timeouts::default(),
//!     },
//!     clock,
//! )?;
//! let response = holder
//!     .send(Request {
//!         method: Method::GET,
//!         url: HttpUrl::parse("https://api.example.com/approvals")?,
//!         headers: HeaderMap::new(),
//!         body: Bytes::new(),
//!     })
//!     .await?;
//! assert_eq!(response.status, 200);
//! # Ok(())
//! # }
//! ```
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
pub mod date;
pub mod discovery;
mod error;
mod exchange;
mod flight;
mod holder;
mod http_client;
mod message;
pub mod proof;
pub mod registration;
mod request_signature;
mod secret;
mod server_memory;
mod token;
pub mod workload;

pub use self::acquire::ClientAuthentication;
pub use self::error::{Failure, HolderError};
pub use self::exchange::Exchange;
pub use self::holder::{Holder, HolderConfig, Request, Response, SignedHeaders};
pub use self::http_client::{HttpClient, Timeouts};
pub use self::message::{Presentation, VerifiedResponse};
pub use self::request_signature::TokenRequestProof;
pub use self::secret::Secret;
pub use self::token::BoundToken;
