//! The issuer through its real router, with a store and a hand-driven clock.
//! Tests carry the ids of the attacks they stand for.

mod authentication;
mod binding;
mod certificates;
mod configuration;
mod exchange;
mod faults;
mod grants;
mod grants_by_binding;
mod introspection;
mod keys;
mod leakage;
mod metadata;
mod nonces;
mod people;
mod properties;
mod registration;
mod requests;
mod revocation;
mod signed_requests;
mod token;
mod walks;
mod world;
