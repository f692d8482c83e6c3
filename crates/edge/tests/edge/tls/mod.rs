//! TLS listeners: files, handshakes, client certificates over their life, and the same policy
//! as without TLS.

mod certificates;
mod files;
mod pki;
mod policy;
mod programs;
mod resumption;
mod world;
