//! Token Status List (draft-ietf-oauth-status-list-21): one bit, or a few, per token, published
//! by the issuer for everybody.
//!
//! Does not fetch or cache lists.

use crate::json::Object;

/// What a token says about its status (section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusClaim {
    /// No `status`.
    Absent,
    /// A place in a status list.
    List(StatusReference),
    /// A `status` that names no place in a status list in the form this crate reads.
    Unreadable,
}

/// A place in a status list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReference {
    /// `uri`: where the list is; also its `sub`.
    pub uri: String,
    /// `idx`: the place.
    pub index: u64,
}

/// The longest `uri` of a list, in bytes.
const MAX_URI_BYTES: usize = 2048;

impl StatusClaim {
    /// Reads the claim. What cannot be read is no error here: whether the status matters is the
    /// verifier's rule.
    pub(super) fn read(claims: &Object<'_>) -> Self {
        if !claims.contains("status") {
            return Self::Absent;
        }
        Self::list(claims).map_or(Self::Unreadable, Self::List)
    }

    fn list(claims: &Object<'_>) -> Option<StatusReference> {
        let list = claims
            .object("status")
            .ok()??
            .object("status_list")
            .ok()??;
        let uri = list.string("uri").ok()??;
        let index = list.unsigned("idx").ok()??;
        (!uri.is_empty() && uri.len() <= MAX_URI_BYTES).then(|| StatusReference {
            uri: uri.to_owned(),
            index,
        })
    }
}
