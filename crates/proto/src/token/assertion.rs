//! Client assertions: `private_key_jwt` (RFC 7523 sections 2.2 and 3).
//!
//! `aud` must be the issuer identifier as one string, nothing else: an array or an
//! endpoint URL lets an assertion made for one server work at another (audience
//! injection). Each assertion is taken once, until it expires; this module hands
//! out the key for that record and does not keep it. It does not know clients.

use std::fmt;

use super::MAX_TIME;
use crate::cause::Cause;
use crate::jose::{Algorithm, AlgorithmSet, Jws, JwsError, PublicKey, SigningInput};
use crate::json;
use crate::json_text::ObjectText;
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::verify::{ReplayHashKey, ReplayQuery};

/// The value of `client_assertion_type` (RFC 7523 section 2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The longest assertion taken, in bytes.
pub const MAX_ASSERTION_BYTES: usize = 8192;

/// The longest `jti` taken, in bytes.
const MAX_JTI_BYTES: usize = 256;

/// A key a client registered.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// `kid`, if the client gave one.
    pub kid: Option<String>,
    /// The public key.
    pub key: PublicKey,
}

/// What the authorization server demands of assertions.
#[derive(Clone, Copy, Debug)]
pub struct AssertionRules<'a> {
    /// The issuer identifier: the only `aud` taken.
    pub issuer: &'a str,
    /// Algorithms taken.
    pub algorithms: AlgorithmSet,
    /// The most seconds `exp` may lie ahead.
    pub max_lifetime: u64,
    /// Seconds `iat` and `nbf` may be ahead of our clock.
    pub ahead: u64,
}

/// An assertion in the right form. Nothing in it is trusted.
pub struct UnverifiedAssertion<'a> {
    jws: Jws<'a>,
    algorithm: Algorithm,
    kid: Option<String>,
    client_id: String,
}

impl<'a> UnverifiedAssertion<'a> {
    /// Checks the form, and that `iss` and `sub` are one and the same.
    ///
    /// # Errors
    /// A [`Rejection`] with an `assertion.*` cause.
    pub fn parse(text: &'a str) -> Result<Self, Rejection> {
        let jws = Jws::parse(text.as_bytes(), MAX_ASSERTION_BYTES).map_err(malformed)?;
        let header = jws.header().map_err(malformed)?;
        let algorithm = header.alg().map_err(malformed)?;
        check_type(header.typ())?;
        let kid = header.kid().map(str::to_owned);
        let claims = jws.claims().map_err(malformed)?;
        let issuer = text_claim(&claims, "iss")?;
        let subject = text_claim(&claims, "sub")?;
        if issuer != subject {
            return Err(missing("sub equal to iss"));
        }
        let client_id = subject.to_owned();
        drop(header);
        drop(claims);
        Ok(Self {
            jws,
            algorithm,
            kid,
            client_id,
        })
    }

    /// The client the assertion claims to be from: whose keys to verify with.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Checks algorithm, signature with one of the client's keys, then the claims.
    ///
    /// # Errors
    /// A [`Rejection`] with an `assertion.*` cause.
    pub fn verify(
        &self,
        keys: &[ClientKey],
        rules: &AssertionRules<'_>,
        now: UnixTime,
    ) -> Result<VerifiedAssertion, Rejection> {
        if !rules.algorithms.contains(self.algorithm) {
            return Err(Rejection::new(Cause::AssertionMalformed)
                .expected(rules.algorithms.to_string())
                .got(self.algorithm.name()));
        }
        let key = self.signed_by(keys)?;
        let claims = self.jws.claims().map_err(malformed)?;
        let ForThisIssuer(()) = check_audience(&claims, rules.issuer)?;
        let expires_at = check_times(&claims, rules, now)?;
        let jti = text_claim(&claims, "jti")?;
        if jti.len() > MAX_JTI_BYTES {
            return Err(missing("jti of at most 256 bytes"));
        }
        Ok(VerifiedAssertion {
            client_id: self.client_id.clone(),
            jti: jti.to_owned(),
            expires_at,
            key: key.clone(),
        })
    }

    fn signed_by<'k>(&self, keys: &'k [ClientKey]) -> Result<&'k PublicKey, Rejection> {
        let named = |key: &&ClientKey| match (&self.kid, &key.kid) {
            (Some(wanted), Some(kid)) => wanted == kid,
            _ => true,
        };
        keys.iter()
            .filter(named)
            .map(|key| &key.key)
            .filter(|key| key.supports(self.algorithm))
            .find(|key| self.jws.verify(self.algorithm, key).is_ok())
            .ok_or_else(|| Cause::AssertionSignature.into())
    }
}

impl fmt::Debug for UnverifiedAssertion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedAssertion")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// An assertion whose signature and claims were verified; not yet known to be unused.
#[derive(Clone, Debug)]
pub struct VerifiedAssertion {
    client_id: String,
    jti: String,
    expires_at: UnixTime,
    key: PublicKey,
}

impl VerifiedAssertion {
    /// The authenticated client, provided the assertion was not used before.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The key that signed.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What to record so that the assertion is taken once. Kept until it expires.
    #[must_use]
    pub fn replay_query(&self, key: &ReplayHashKey) -> ReplayQuery {
        key.query_for_assertion(&self.client_id, &self.jti, self.expires_at.plus(1))
    }
}

/// What a new assertion says.
#[derive(Clone, Copy, Debug)]
pub struct AssertionRequest<'a> {
    /// The client's id: `iss` and `sub`.
    pub client_id: &'a str,
    /// The issuer identifier: `aud`.
    pub issuer: &'a str,
    /// At least 96 random bits as text.
    pub jti: &'a str,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `exp`.
    pub expires_at: UnixTime,
    /// The key's `kid`, if it was registered with one.
    pub kid: Option<&'a str>,
}

/// The bytes to sign for a new assertion.
#[must_use]
pub fn signing_input(request: &AssertionRequest<'_>, algorithm: Algorithm) -> SigningInput {
    let header = ObjectText::new()
        .string("typ", "JWT")
        .string("alg", algorithm.name())
        .optional_string("kid", request.kid)
        .finish();
    let claims = ObjectText::new()
        .string("iss", request.client_id)
        .string("sub", request.client_id)
        .string("aud", request.issuer)
        .string("jti", request.jti)
        .unsigned("iat", request.issued_at.as_secs())
        .unsigned("exp", request.expires_at.as_secs())
        .finish();
    SigningInput::new(&header, &claims)
}

fn malformed(error: JwsError) -> Rejection {
    Rejection::new(Cause::AssertionMalformed).got(error.to_string())
}

/// Assertions are `JWT`, `client-authentication+jwt` or untyped. Every other type belongs to
/// another kind of JWT and is refused (RFC 8725 section 3.11).
fn check_type(typ: Option<&str>) -> Result<(), Rejection> {
    match typ {
        None => Ok(()),
        Some(typ)
            if typ.eq_ignore_ascii_case("JWT")
                || typ.eq_ignore_ascii_case("client-authentication+jwt") =>
        {
            Ok(())
        }
        Some(typ) => Err(Rejection::new(Cause::AssertionMalformed)
            .expected("typ JWT")
            .got(typ)),
    }
}

/// Says that `aud` is this issuer and nobody else.
struct ForThisIssuer(());

fn check_audience(claims: &json::Object<'_>, issuer: &str) -> Result<ForThisIssuer, Rejection> {
    match claims.string("aud") {
        Ok(Some(audience)) if audience == issuer => Ok(ForThisIssuer(())),
        Ok(audience) => Err(Rejection::new(Cause::AssertionAudience)
            .expected(issuer)
            .got(audience.unwrap_or("no aud"))),
        Err(_) => Err(Rejection::new(Cause::AssertionAudience)
            .expected(issuer)
            .got("not one string")),
    }
}

fn check_times(
    claims: &json::Object<'_>,
    rules: &AssertionRules<'_>,
    now: UnixTime,
) -> Result<UnixTime, Rejection> {
    let expires_at = time(claims, "exp")?.ok_or_else(|| missing("exp"))?;
    if now >= expires_at || expires_at > now.plus(rules.max_lifetime) {
        return Err(Rejection::new(Cause::AssertionExpired)
            .expected(format!("exp at most {} s ahead", rules.max_lifetime))
            .got(expires_at.as_secs().to_string()));
    }
    for name in ["iat", "nbf"] {
        if time(claims, name)?.is_some_and(|at| at > now.plus(rules.ahead)) {
            return Err(Rejection::new(Cause::AssertionNotYetValid).got(name));
        }
    }
    Ok(expires_at)
}

fn time(claims: &json::Object<'_>, name: &str) -> Result<Option<UnixTime>, Rejection> {
    match claims.unsigned(name) {
        Ok(Some(seconds)) if seconds <= MAX_TIME => Ok(Some(UnixTime::from_secs(seconds))),
        Ok(None) => Ok(None),
        _ => Err(missing(name)),
    }
}

fn text_claim<'c>(claims: &'c json::Object<'_>, name: &str) -> Result<&'c str, Rejection> {
    claims
        .string(name)
        .ok()
        .flatten()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| missing(name))
}

fn missing(what: &str) -> Rejection {
    Rejection::new(Cause::AssertionClaim).expected(format!("a valid {what}"))
}
