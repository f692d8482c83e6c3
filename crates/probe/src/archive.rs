//! HTTP archives: what recorded traffic says about tokens and proofs.

use keybound_proto::time::UnixTime;

use crate::error::ProbeError;
use crate::report::Report;

/// Assesses recorded traffic in an HTTP archive (HAR 1.2). Nothing is sent. `name` is what the
/// report calls it.
///
/// # Errors
/// [`ProbeError::Input`] when the bytes are no archive, saying what is wrong with them.
pub fn assess_archive(name: &str, _bytes: &[u8], _now: UnixTime) -> Result<Report, ProbeError> {
    Err(ProbeError::Input(format!("`{name}`: not built yet")))
}
