//! The parameters of a signature (RFC 9421 section 2.3): their types, which of
//! them a policy wants, and the time they tell.

use super::algorithm::SignatureAlgorithm;
use super::rules::SignatureRules;
use crate::cause::Cause;
use crate::rejection::Rejection;
use crate::structured::{BareItem, Parameters};
use crate::time::UnixTime;

/// The longest `nonce` that is taken, in bytes.
pub const MAX_NONCE_BYTES: usize = 256;

/// The registered parameters that were there, with the types they must have.
pub(super) struct Declared {
    pub(super) created: Option<UnixTime>,
    pub(super) expires: Option<UnixTime>,
    pub(super) nonce: Option<String>,
    pub(super) algorithm: Option<SignatureAlgorithm>,
    /// `pub` of draft-richer-oauth-httpsig-03 section 4.
    pub(super) public_key: Option<Vec<u8>>,
}

impl Declared {
    pub(super) fn read(parameters: &Parameters) -> Result<Self, Rejection> {
        if parameters.is_repeated() {
            return Err(Rejection::new(Cause::HttpsigMalformed).got("a parameter twice"));
        }
        let mut declared = Self {
            created: None,
            expires: None,
            nonce: None,
            algorithm: None,
            public_key: None,
        };
        for (name, value) in parameters.iter() {
            match (name, value) {
                ("created", value) => declared.created = Some(time(name, value)?),
                ("expires", value) => declared.expires = Some(time(name, value)?),
                ("nonce", BareItem::String(nonce)) => declared.nonce = Some(checked_nonce(nonce)?),
                ("alg", BareItem::String(alg)) => declared.algorithm = Some(algorithm(alg)?),
                ("pub", BareItem::Bytes(bytes)) => declared.public_key = Some(bytes.clone()),
                ("keyid" | "tag", BareItem::String(_)) => {}
                ("nonce" | "alg" | "pub" | "keyid" | "tag", _) => {
                    return Err(Rejection::new(Cause::HttpsigParameter)
                        .expected("the registered type")
                        .got(name));
                }
                // Nobody registered it here. It is signed, and whoever knows it can ask for it.
                _ => {}
            }
        }
        Ok(declared)
    }

    pub(super) fn check_names(
        &self,
        parameters: &Parameters,
        rules: &SignatureRules<'_>,
    ) -> Result<(), Rejection> {
        if let Some(name) = rules
            .forbid
            .iter()
            .find(|name| parameters.get(name).is_some())
        {
            return Err(Rejection::new(Cause::HttpsigParameter)
                .expected(format!("no `{name}`"))
                .got(*name));
        }
        if let Some(name) = rules
            .require
            .iter()
            .find(|name| parameters.get(name).is_none())
        {
            return Err(Rejection::new(Cause::HttpsigParameter).expected(*name));
        }
        Ok(())
    }

    /// `created` within the window, `expires` not yet reached, and not too far apart. Gives the
    /// first second at which this would fail.
    pub(super) fn check_time(
        &self,
        rules: &SignatureRules<'_>,
        now: UnixTime,
    ) -> Result<Option<UnixTime>, Rejection> {
        if let Some(created) = self.created {
            check_created(created, rules, now)?;
        }
        if let Some(expires) = self.expires
            && expires <= now
        {
            return Err(Rejection::new(Cause::HttpsigExpired).clock_skew(signed(expires, now)));
        }
        if let (Some(created), Some(expires), Some(most)) =
            (self.created, self.expires, rules.max_lifetime)
            && (expires <= created || expires.seconds_since(created) > most)
        {
            return Err(Rejection::new(Cause::HttpsigLifetime)
                .expected(format!("at most {most} s"))
                .got(format!("{} s", expires.seconds_since(created))));
        }
        let window_ends = self.created.map(|created| rules.window.end(created));
        Ok(match (window_ends, self.expires) {
            (Some(end), Some(expires)) => Some(end.min(expires)),
            (end, expires) => end.or(expires),
        })
    }
}

fn check_created(
    created: UnixTime,
    rules: &SignatureRules<'_>,
    now: UnixTime,
) -> Result<(), Rejection> {
    let window = rules.window;
    if created > now.plus(window.ahead) {
        return Err(Rejection::new(Cause::HttpsigCreatedFuture)
            .expected(format!("at most {} s ahead", window.ahead))
            .clock_skew(signed(created, now)));
    }
    if now >= window.end(created) {
        return Err(Rejection::new(Cause::HttpsigCreatedPast)
            .expected(format!("at most {} s old", window.past))
            .clock_skew(signed(created, now)));
    }
    Ok(())
}

/// `a - b` in seconds, clamped.
fn signed(a: UnixTime, b: UnixTime) -> i64 {
    let clamp = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    clamp(a.seconds_since(b)).saturating_sub(clamp(b.seconds_since(a)))
}

fn time(name: &str, value: &BareItem) -> Result<UnixTime, Rejection> {
    value
        .as_integer()
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(UnixTime::from_secs)
        .ok_or_else(|| {
            Rejection::new(Cause::HttpsigParameter)
                .expected("whole seconds since 1970")
                .got(name)
        })
}

fn checked_nonce(nonce: &str) -> Result<String, Rejection> {
    if nonce.is_empty() || nonce.len() > MAX_NONCE_BYTES {
        return Err(Rejection::new(Cause::HttpsigParameter)
            .expected(format!("a nonce of 1 to {MAX_NONCE_BYTES} bytes"))
            .got(format!("{} bytes", nonce.len())));
    }
    Ok(nonce.to_owned())
}

fn algorithm(name: &str) -> Result<SignatureAlgorithm, Rejection> {
    SignatureAlgorithm::from_name(name)
        .ok_or_else(|| Rejection::new(Cause::HttpsigAlgorithm).got(name))
}
