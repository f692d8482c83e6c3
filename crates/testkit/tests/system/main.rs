//! Published failures of other systems as black-box tests over HTTP, one per row of the
//! attack tables, by id. Refusals come before what must be accepted.

mod client_authentication;
mod downgrade;
mod exchange;
mod expect;
mod introspection;
mod keys_and_fetches;
mod leakage;
mod proof_syntax;
mod replay_and_nonce;
mod request_binding;
mod revocation;
mod scenarios;
mod workload_api;
