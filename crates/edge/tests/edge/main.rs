//! The data plane over real loopback sockets: raw clients, a recording upstream, an issuer's key
//! set, listeners and gateway between them. Test names begin with the id of the attack or
//! fault they are about.

mod certificate_hash;
mod client;
mod drain;
mod faults;
mod framing;
mod gateway;
mod http2;
mod listener;
mod passage;
mod signatures;
mod streams;
mod tls;
mod upstream;
mod workloads;
mod world;
