//! Reading single claims of access tokens, strictly: a claim that is there has its type.
//!
//! What the claims mean is decided where they are asked for.

use super::MAX_TIME;
use crate::cause::Cause;
use crate::json;
use crate::rejection::Rejection;
use crate::time::UnixTime;

/// The claim in which an issuer says where the bound key is kept, for example `tpm`. Its name is
/// our own (RFC 7519 section 4.2); nothing is permitted because of it here.
pub const KEY_STORAGE: &str = "urn:keybound:key_storage";

pub(super) fn key_storage(claims: &json::Object<'_>) -> Result<Option<String>, Rejection> {
    let storage = claims.string(KEY_STORAGE);
    let storage = storage.map_err(|_| missing(KEY_STORAGE))?;
    Ok(storage.map(str::to_owned))
}

pub(super) fn missing(name: &str) -> Rejection {
    Rejection::new(Cause::TokenClaimInvalid).expected(format!("a valid {name}"))
}

pub(super) fn text_claim<'c>(
    claims: &'c json::Object<'_>,
    name: &str,
) -> Result<&'c str, Rejection> {
    claims
        .string(name)
        .ok()
        .flatten()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| missing(name))
}

pub(super) fn optional_text(
    claims: &json::Object<'_>,
    name: &str,
    may_lack: bool,
) -> Result<Option<String>, Rejection> {
    if may_lack && claims.get(name).is_none() {
        return Ok(None);
    }
    text_claim(claims, name).map(|text| Some(text.to_owned()))
}

pub(super) fn time_claim(claims: &json::Object<'_>, name: &str) -> Result<UnixTime, Rejection> {
    optional_time(claims, name)?.ok_or_else(|| missing(name))
}

pub(super) fn optional_time(
    claims: &json::Object<'_>,
    name: &str,
) -> Result<Option<UnixTime>, Rejection> {
    match claims.unsigned(name) {
        Ok(Some(seconds)) if seconds <= MAX_TIME => Ok(Some(UnixTime::from_secs(seconds))),
        Ok(None) => Ok(None),
        _ => Err(missing(name)),
    }
}

pub(super) fn audience(claims: &json::Object<'_>) -> Result<Vec<String>, Rejection> {
    let audience = claims
        .strings("aud")
        .ok()
        .flatten()
        .filter(|audience| !audience.is_empty())
        .ok_or_else(|| missing("aud"))?;
    Ok(audience.into_iter().map(str::to_owned).collect())
}

/// The scopes as one string. An array (RFC 8693 has none, some issuers do) must hold names, so
/// that none of them becomes two.
pub(super) fn scope(claims: &json::Object<'_>, name: &str) -> Result<String, Rejection> {
    let Ok(Some(scopes)) = claims.strings(name) else {
        return match claims.get(name) {
            None => Ok(String::new()),
            Some(_) => Err(missing(name)),
        };
    };
    let is_array = matches!(claims.get(name), Some(json::Value::Array(_)));
    if is_array
        && scopes
            .iter()
            .any(|scope| scope.is_empty() || scope.contains(' '))
    {
        return Err(missing(name));
    }
    Ok(scopes.join(" "))
}
