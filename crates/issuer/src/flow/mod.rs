//! Every decision of the authorization server, as pure functions: a request and
//! what is known go in, a reply or a refusal comes out, `now` is an argument.
//!
//! Nothing here waits, reads a clock, or touches the store; the HTTP layer
//! gathers what a decision needs, asks, and carries out what it says.

pub mod authorization;
pub mod client;
pub mod code;
pub mod credentials;
pub mod exchange;
pub mod form;
pub mod grant;
pub mod introspection;
pub mod keys;
pub mod metadata;
pub mod mint;
pub mod page;
pub mod redirect;
pub mod refresh;
pub mod registration;
pub mod resource;
pub mod revocation;
pub mod rotation;
pub mod scope;
pub mod secret;
pub mod token;
