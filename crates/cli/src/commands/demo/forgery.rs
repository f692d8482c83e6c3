//! What a thief does to a captured JWT: change its payload and keep the
//! signature.

use keybound_proto::base64url;
use serde_json::Value;

use crate::failure::Failure;

/// The JWT with an edited payload and its old signature.
pub(super) fn edited(jwt: &str, edit: impl FnOnce(&mut Value)) -> Result<String, Failure> {
    let parts: Vec<&str> = jwt.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        return Err(Failure::internal("the captured text is no JWT"));
    };
    let unreadable = || Failure::internal("the captured JWT has no JSON payload");
    let bytes = base64url::decode(payload.as_bytes()).map_err(|_| unreadable())?;
    let mut claims: Value = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    edit(&mut claims);
    let payload = base64url::encode(claims.to_string().as_bytes());
    Ok(format!("{header}.{payload}.{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_payload_changes() {
        let payload = base64url::encode(br#"{"a":1}"#);
        let changed =
            edited(&format!("h.{payload}.s"), |claims| claims["a"] = 2.into()).expect("edits");
        let parts: Vec<&str> = changed.split('.').collect();
        assert_eq!((parts[0], parts[2]), ("h", "s"));
        assert_eq!(
            base64url::decode(parts[1].as_bytes()).expect("base64url"),
            br#"{"a":2}"#
        );
    }
}
