//! The guard against real issuers on loopback and a clock driven by hand.

mod agents;
mod check;
mod content;
mod events;
mod introspection;
mod introspection_vectors;
mod issuers;
mod keys;
mod layer;
mod nonce;
mod race;
mod revocation;
mod signatures;
mod status_lists;
mod support;
mod workloads;
