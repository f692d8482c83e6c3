//! RFC 8705 from end to end: `keybound serve` with TLS listeners for issuer and gateway, a PKI
//! made by the `openssl` program, and `curl` and `openssl s_client` as clients.
//!
//! What a listener does with one handshake is tested with the listeners; what is tested here is
//! that issuer, gateway, configuration and store make one whole of it. The ids are those under
//! which the attacks are known in the other suites.

mod chains;
mod gateway;
mod issuer;
mod live;
mod locks;
mod names;
mod pki;
mod renewal;
mod world;
