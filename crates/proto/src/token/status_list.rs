//! Token Status List (draft-ietf-oauth-status-list-21): one bit, or a few, per token, published
//! by the issuer for everybody.
//!
//! [`StatusClaim`] is what a token says about its place in a list. [`UnverifiedStatusList`] is a
//! list as it came; [`StatusList`] exists only after type, issuer's signature, `sub`, times and
//! the compressed list itself were checked (section 8.3). The list is inflated to at most
//! [`MAX_LIST_BYTES`], whatever a few bytes of it promise (SC-221).
//!
//! Does not fetch or keep lists, reads no lists in CBOR, and no lists from before.

use std::fmt;
use std::io::Read as _;

use flate2::bufread::ZlibDecoder;

use super::MAX_TIME;
use super::access::{IssuerRules, TokenQuery};
use crate::base64url;
use crate::jose::{Jws, JwsError, PublicKey};
use crate::json::Object;
use crate::time::UnixTime;

/// The JWT type of a list (section 5.1).
pub const LIST_TYPE: &str = "statuslist+jwt";

/// The largest list that is read, as a JWT, in bytes.
pub const MAX_TEXT_BYTES: usize = 2 * 1024 * 1024;

/// The largest list that is kept, inflated, in bytes: 32 million tokens at one bit.
pub const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// Seconds for which a list without `exp` counts.
const MAX_AGE: u64 = 86_400;

/// Seconds for which a list without `ttl` is used before it is fetched again.
const DEFAULT_TTL: u64 = 300;

/// The most seconds for which a list is used before it is fetched again.
const MAX_TTL: u64 = 3_600;

/// The longest `uri` of a list, in bytes.
const MAX_URI_BYTES: usize = 2048;

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

/// What a list says about a token (section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 0: the token counts.
    Valid,
    /// 1: the token was revoked.
    Invalid,
    /// 2: the token does not count for now.
    Suspended,
    /// Anything else means what the issuer and its clients agreed on.
    Other(u8),
}

/// Why a list is not acceptable. Holds nothing of it but names and times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListFault {
    /// Not one well-formed JWT.
    Form(JwsError),
    /// Another kind of JWT.
    Type,
    /// The algorithm is not one of the issuer's.
    Algorithm,
    /// In another issuer's name.
    Issuer,
    /// Not signed by the key.
    Signature,
    /// `sub` is not where the list was fetched from.
    Subject,
    /// A claim is missing or of the wrong type.
    Claim(&'static str),
    /// Expired, too old, or from the future.
    Time,
    /// `lst` does not inflate to a list, or to one that is too large.
    Inflate,
}

/// A list in the right form. Nothing in it is trusted.
pub struct UnverifiedStatusList<'a> {
    jws: Jws<'a>,
    query: TokenQuery,
}

/// A list its issuer signed.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusList {
    bits: u8,
    bytes: Vec<u8>,
    expires_at: UnixTime,
    ttl: u64,
}

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

impl<'a> UnverifiedStatusList<'a> {
    /// Checks the form: size, three canonical base64url segments, strict JSON, `typ`, `alg`; and
    /// that it can be one of this issuer's.
    ///
    /// # Errors
    /// [`ListFault`].
    pub fn parse(text: &'a [u8], rules: &IssuerRules) -> Result<Self, ListFault> {
        let jws = Jws::parse(text, MAX_TEXT_BYTES).map_err(ListFault::Form)?;
        let header = jws.header().map_err(ListFault::Form)?;
        let typ = header.typ().unwrap_or_default();
        let bare = typ.strip_prefix("application/").unwrap_or(typ);
        if !bare.eq_ignore_ascii_case(LIST_TYPE) {
            return Err(ListFault::Type);
        }
        let algorithm = header.alg().map_err(ListFault::Form)?;
        if !rules.algorithms.contains(algorithm) {
            return Err(ListFault::Algorithm);
        }
        let kid = header.kid().map(str::to_owned);
        let claims = jws.claims().map_err(ListFault::Form)?;
        match claims.string("iss") {
            Ok(None) => {}
            Ok(Some(issuer)) if issuer == rules.issuer => {}
            Ok(Some(_)) => return Err(ListFault::Issuer),
            Err(_) => return Err(ListFault::Claim("iss")),
        }
        let query = TokenQuery {
            issuer: rules.issuer.clone(),
            kid,
            algorithm,
        };
        drop(header);
        drop(claims);
        Ok(Self { jws, query })
    }

    /// Where to look for the key.
    #[must_use]
    pub const fn query(&self) -> &TokenQuery {
        &self.query
    }

    /// Checks signature, `sub` and times, then inflates the list.
    ///
    /// # Errors
    /// [`ListFault`].
    pub fn verify(
        &self,
        uri: &str,
        ahead: u64,
        key: &PublicKey,
        now: UnixTime,
    ) -> Result<StatusList, ListFault> {
        self.jws
            .verify(self.query.algorithm, key)
            .map_err(|_| ListFault::Signature)?;
        let claims = self.jws.claims().map_err(ListFault::Form)?;
        if claims.string("sub") != Ok(Some(uri)) {
            return Err(ListFault::Subject);
        }
        let issued_at = time(&claims, "iat")?.ok_or(ListFault::Claim("iat"))?;
        let expires_at = time(&claims, "exp")?.unwrap_or_else(|| issued_at.plus(MAX_AGE));
        if issued_at > now.plus(ahead) || now >= expires_at {
            return Err(ListFault::Time);
        }
        let ttl = match claims.unsigned("ttl") {
            Ok(None) => DEFAULT_TTL,
            Ok(Some(0)) | Err(_) => return Err(ListFault::Claim("ttl")),
            Ok(Some(seconds)) => seconds.min(MAX_TTL),
        };
        let list = claims.object("status_list").ok().flatten();
        let list = list.ok_or(ListFault::Claim("status_list"))?;
        let bits = match list.unsigned("bits") {
            Ok(Some(1)) => 1,
            Ok(Some(2)) => 2,
            Ok(Some(4)) => 4,
            Ok(Some(8)) => 8,
            _ => return Err(ListFault::Claim("bits")),
        };
        let compressed = list.string("lst").ok().flatten();
        let bytes = inflate(compressed.ok_or(ListFault::Claim("lst"))?)?;
        Ok(StatusList {
            bits,
            bytes,
            expires_at,
            ttl,
        })
    }
}

impl StatusList {
    /// The status of the token at this place; `None` if the list has no such place.
    #[must_use]
    pub fn status(&self, index: u64) -> Option<Status> {
        let per_byte = 8_u64.checked_div(self.bits.into())?;
        let byte = usize::try_from(index.checked_div(per_byte)?).ok()?;
        let place = u32::try_from(index.checked_rem(per_byte)?).ok()?;
        let shift = place.checked_mul(self.bits.into())?;
        let mask = u8::MAX.checked_shr(8_u32.checked_sub(self.bits.into())?)?;
        let value = self.bytes.get(byte)?.checked_shr(shift)? & mask;
        Some(match value {
            0 => Status::Valid,
            1 => Status::Invalid,
            2 => Status::Suspended,
            other => Status::Other(other),
        })
    }

    /// Until when the list is used without being fetched again: `ttl` and `exp` count, not what
    /// HTTP says about caching (section 8.4).
    #[must_use]
    pub fn usable_until(&self, fetched_at: UnixTime) -> UnixTime {
        fetched_at.plus(self.ttl).min(self.expires_at)
    }
}

/// Inflates a list (zlib, RFC 1950), and no more than is kept of any.
fn inflate(text: &str) -> Result<Vec<u8>, ListFault> {
    let compressed = base64url::decode(text.as_bytes()).map_err(|_| ListFault::Inflate)?;
    let mut decoder = ZlibDecoder::new(compressed.as_slice());
    let mut bytes = Vec::new();
    let one_more = u64::try_from(MAX_LIST_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    decoder
        .by_ref()
        .take(one_more)
        .read_to_end(&mut bytes)
        .map_err(|_| ListFault::Inflate)?;
    if bytes.len() > MAX_LIST_BYTES || !decoder.into_inner().is_empty() {
        return Err(ListFault::Inflate);
    }
    Ok(bytes)
}

fn time(claims: &Object<'_>, name: &'static str) -> Result<Option<UnixTime>, ListFault> {
    match claims.unsigned(name) {
        Ok(Some(seconds)) if seconds <= MAX_TIME => Ok(Some(UnixTime::from_secs(seconds))),
        Ok(None) => Ok(None),
        _ => Err(ListFault::Claim(name)),
    }
}

impl fmt::Debug for UnverifiedStatusList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedStatusList")
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StatusList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusList")
            .field("bits", &self.bits)
            .field("bytes", &self.bytes.len())
            .field("expires_at", &self.expires_at)
            .field("ttl", &self.ttl)
            .finish()
    }
}

impl fmt::Display for ListFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => write!(f, "the status list is not acceptable: {error}"),
            Self::Type => write!(f, "the document is no `{LIST_TYPE}`"),
            Self::Algorithm => f.write_str("the status list's `alg` is not one of the issuer's"),
            Self::Issuer => f.write_str("the status list is another issuer's"),
            Self::Signature => f.write_str("the status list does not verify with the issuer's key"),
            Self::Subject => f.write_str("the status list's `sub` is not the address of the list"),
            Self::Claim(name) => write!(f, "the status list has no acceptable `{name}`"),
            Self::Time => f.write_str("the status list has expired or is from the future"),
            Self::Inflate => f.write_str("the status list does not inflate, or is too large"),
        }
    }
}

impl std::error::Error for ListFault {}

#[cfg(test)]
mod tests;
