//! Random bytes for handles, client ids and secrets, from the cryptographic
//! backend. Nothing else in this crate makes any.

use aws_lc_rs::rand;
use keybound_proto::base64url;
use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;

/// `N` random bytes.
///
/// # Errors
/// [`Cause::KeysUnavailable`] when the system has no entropy to give: nothing
/// is minted then.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Rejection> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| {
        Rejection::new(Cause::KeysUnavailable).expected("random bytes of the system")
    })?;
    Ok(bytes)
}

/// A request id: 128 random bits as text. Only names the request in logs, so
/// without entropy it is a constant.
pub(crate) fn request_id() -> String {
    format!(
        "req_{}",
        base64url::encode(&bytes::<16>().unwrap_or_default())
    )
}
