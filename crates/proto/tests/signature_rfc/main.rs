//! What the standards print about HTTP message signatures: RFC 9421 appendix B, byte for byte;
//! draft-richer-oauth-httpsig; Web Bot Auth; WIMSE.

mod drafts;
mod printed;
mod rfc_9421;
