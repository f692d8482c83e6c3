//! Introspection: an issuer's answer about a token (RFC 7662 section 2.2, RFC 9701 section 5).
//!
//! [`ActiveRules::read`] turns a JSON answer into an [`AccessToken`] for the token that was
//! asked about; [`SignedAnswer`] does the same for an answer that is a JWT, after its type,
//! issuer, audience, age and signature were checked. Whose fault a bad answer is shows in the
//! cause: `token.inactive` and other `token.*` causes are about the token,
//! `introspection.invalid` about the issuer, which said something that cannot be relied on.
//!
//! - `token_type` and `cnf` must tell the same story: `DPoP` without a key to prove would be a
//!   binding that was lost on the way (SC-210).
//! - The handle of a token that is not a JWT is never taken from the answer if it could be the
//!   token's own text, which some issuers put into `jti`.
//!
//! This module sends nothing, keeps nothing, and reads no encrypted answers.

use std::fmt;
use std::sync::OnceLock;

use super::access::{TokenQuery, TokenSource, ValidNow};
use super::claims::{
    audience, key_storage, missing, optional_text, optional_time, scope, text_claim,
};
use super::status_list::StatusClaim;
use super::{
    AccessToken, Confirmation, IssuerRules, KeyBinding, MAX_TIME, TokenHash, artefact,
    delegation::Delegation,
};
use crate::cause::Cause;
use crate::jose::{Algorithm, Jws, JwsError, PublicKey};
use crate::json::Object;
use crate::rejection::Rejection;
use crate::time::UnixTime;

/// The media type of a signed answer, without `application/` (RFC 9701 section 5).
pub const SIGNED_TYPE: &str = "token-introspection+jwt";

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The longest a signed answer may have been under way, in seconds.
const MAX_AGE: u64 = 60;

/// What an answer is read by.
#[derive(Clone, Copy, Debug)]
pub struct ActiveRules<'a> {
    /// Whose answer it is, and what its tokens may lack.
    pub issuer: &'a IssuerRules,
    /// The resource the request is for: stands in for `aud` where the issuer may leave it out.
    pub resource: &'a str,
    /// Seconds for which an answer without `exp` is believed, where the issuer may leave it out.
    pub lifetime: u64,
}

/// The token an answer is about. Its text is needed once more, to keep it out of records.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    text: &'a [u8],
    hash: TokenHash,
    is_jwt: bool,
}

impl<'a> Asked<'a> {
    /// The token that was sent to the endpoint. `is_jwt`: it was read as a JWT, whose `jti` is
    /// no secret.
    #[must_use]
    pub fn new(text: &'a [u8], is_jwt: bool) -> Self {
        Self {
            text,
            hash: TokenHash::of(text),
            is_jwt,
        }
    }

    /// SHA-256 of the token's text.
    #[must_use]
    pub const fn hash(&self) -> TokenHash {
        self.hash
    }

    /// The handle to know the token by: `jti`, unless it could be the token itself; an own
    /// handle, made from the hash, for opaque tokens without a usable one.
    fn handle(&self, jti: Option<String>) -> Option<String> {
        if self.is_jwt {
            return jti;
        }
        jti.filter(|jti| !self.discloses(jti)).or_else(|| {
            let half = self.hash.as_bytes().first_chunk::<16>();
            half.map(artefact::token_id)
        })
    }

    fn discloses(&self, jti: &str) -> bool {
        let within = |short: &[u8], long: &[u8]| {
            short.is_empty() || long.windows(short.len()).any(|window| window == short)
        };
        within(jti.as_bytes(), self.text) || within(self.text, jti.as_bytes())
    }
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("hash", &self.hash)
            .field("is_jwt", &self.is_jwt)
            .finish_non_exhaustive()
    }
}

impl ActiveRules<'_> {
    /// Reads a JSON answer (RFC 7662 section 2.2).
    ///
    /// # Errors
    /// `token.inactive`, `token.expired` and other `token.*` causes about the token;
    /// `introspection.invalid` if the answer itself is not acceptable.
    pub fn read(
        &self,
        answer: &[u8],
        asked: &Asked<'_>,
        now: UnixTime,
    ) -> Result<AccessToken, Rejection> {
        if answer.len() > MAX_ANSWER_BYTES {
            return Err(invalid("an answer of at most 65536 bytes", "more"));
        }
        let answer = Object::parse(answer)
            .map_err(|error| invalid("one strict JSON object", &error.to_string()))?;
        self.read_members(&answer, asked, now)
    }

    fn read_members(
        &self,
        answer: &Object<'_>,
        asked: &Asked<'_>,
        now: UnixTime,
    ) -> Result<AccessToken, Rejection> {
        match answer.boolean("active") {
            Ok(Some(true)) => {}
            Ok(Some(false)) => return Err(Cause::TokenInactive.into()),
            Ok(None) => return Err(invalid("a member `active`", "none")),
            Err(error) => return Err(invalid("true or false", &error.to_string())),
        }
        let token = self.active(answer, asked, now)?;
        let _valid: ValidNow = token.check_time(self.issuer.ahead, now)?;
        Ok(token)
    }

    fn active(
        &self,
        answer: &Object<'_>,
        asked: &Asked<'_>,
        now: UnixTime,
    ) -> Result<AccessToken, Rejection> {
        let lenient = self.issuer.leniency;
        self.check_issuer(answer)?;
        let confirmation = confirmation(answer)?;
        let client_id = optional_text(answer, "client_id", lenient.missing_client_id)?;
        let audience = if lenient.missing_audience && !answer.contains("aud") {
            vec![self.resource.to_owned()]
        } else {
            audience(answer)?
        };
        let expires_at = match optional_time(answer, "exp")? {
            Some(at) => at,
            None if lenient.missing_expiry => now.plus(self.lifetime),
            None => return Err(missing("exp")),
        };
        let not_before = optional_time(answer, "nbf")?;
        // Optional in an answer, and only looked at to find clocks that differ.
        let issued_at = optional_time(answer, "iat")?.or(not_before).unwrap_or(now);
        // Opaque tokens have a handle of their own, so nothing is lost without `jti`.
        let may_lack_jti = lenient.missing_jti || !asked.is_jwt;
        Ok(AccessToken {
            hash: asked.hash,
            issuer: self.issuer.issuer.clone(),
            subject: subject(answer, lenient.missing_subject, client_id.as_deref())?,
            client_id,
            audience,
            scope: scope(answer, &self.issuer.scope_claim)?,
            token_id: asked.handle(optional_text(answer, "jti", may_lack_jti)?),
            issued_at,
            expires_at,
            not_before,
            confirmation,
            kid: None,
            source: TokenSource::Introspection,
            delegation: Delegation::read(answer)?,
            key_storage: key_storage(answer)?,
            status: StatusClaim::read(answer),
            workload_key: None,
            proof_header: OnceLock::new(),
        })
    }

    /// `iss` may be left out, because the endpoint is the issuer's own; another issuer's name
    /// is never taken from it.
    fn check_issuer(&self, answer: &Object<'_>) -> Result<(), Rejection> {
        match answer.string("iss") {
            Ok(None) => Ok(()),
            Ok(Some(issuer)) if issuer == self.issuer.issuer => Ok(()),
            Ok(Some(other)) => Err(invalid(&self.issuer.issuer, other)),
            Err(error) => Err(invalid("iss", &error.to_string())),
        }
    }
}

/// Reads `cnf` and holds `token_type` against it. `token_type` may be left out; it must not
/// contradict: `DPoP` is a token bound by `jkt` and a token bound by `jkt` is `DPoP`.
fn confirmation(answer: &Object<'_>) -> Result<Confirmation, Rejection> {
    let confirmation = Confirmation::read(answer).map_err(|rejection| {
        if rejection.cause() == Cause::TokenCnfInvalid {
            invalid("a well-formed cnf", "another")
        } else {
            rejection
        }
    })?;
    let named = answer
        .string("token_type")
        .map_err(|error| invalid("token_type", &error.to_string()))?;
    let by_key = confirmation
        .key()
        .and_then(KeyBinding::thumbprint)
        .is_some();
    match named {
        None => Ok(confirmation),
        Some(named) if named.eq_ignore_ascii_case("DPoP") && !by_key => {
            Err(invalid("cnf.jkt beside token_type DPoP", "none"))
        }
        Some(named) if named.eq_ignore_ascii_case("Bearer") && by_key => {
            Err(invalid("token_type DPoP beside cnf.jkt", named))
        }
        Some(_) => Ok(confirmation),
    }
}

/// The identity. Where `sub` may be left out it is the client's own token.
fn subject(
    answer: &Object<'_>,
    may_lack: bool,
    client_id: Option<&str>,
) -> Result<String, Rejection> {
    if may_lack && !answer.contains("sub") {
        return client_id
            .map(str::to_owned)
            .ok_or_else(|| missing("sub or client_id"));
    }
    text_claim(answer, "sub").map(str::to_owned)
}

/// An answer in the form of a JWT (RFC 9701 section 5). Nothing in it is trusted.
pub struct SignedAnswer<'a> {
    jws: Jws<'a>,
    query: TokenQuery,
}

impl<'a> SignedAnswer<'a> {
    /// Checks the form: size, three canonical base64url segments, strict JSON, `typ`, `alg`.
    ///
    /// # Errors
    /// `introspection.invalid`.
    pub fn parse(text: &'a [u8]) -> Result<Self, Rejection> {
        let jws = Jws::parse(text, MAX_ANSWER_BYTES).map_err(malformed)?;
        let header = jws.header().map_err(malformed)?;
        let typ = header.typ().unwrap_or("no typ");
        let bare = typ.strip_prefix("application/").unwrap_or(typ);
        if !bare.eq_ignore_ascii_case(SIGNED_TYPE) {
            // An access token, an ID token or an assertion of this issuer is no answer.
            return Err(invalid(SIGNED_TYPE, typ));
        }
        let algorithm = header.alg().map_err(malformed)?;
        let kid = header.kid().map(str::to_owned);
        let claims = jws.claims().map_err(malformed)?;
        let issuer = claims.string("iss").ok().flatten().unwrap_or_default();
        let query = TokenQuery {
            issuer: issuer.to_owned(),
            kid,
            algorithm,
        };
        drop(header);
        drop(claims);
        Ok(Self { jws, query })
    }

    /// Where to look for the key, after checking that it can only be one of this issuer's.
    ///
    /// # Errors
    /// `introspection.invalid` if issuer or algorithm are not what the rules want.
    pub fn query(&self, rules: &IssuerRules) -> Result<&TokenQuery, Rejection> {
        if self.query.issuer != rules.issuer {
            return Err(invalid(&rules.issuer, &self.query.issuer));
        }
        if !rules.algorithms.contains(self.query.algorithm) {
            return Err(invalid(
                &rules.algorithms.to_string(),
                self.query.algorithm.name(),
            ));
        }
        Ok(&self.query)
    }

    /// Checks signature, `aud` (`recipient`: the name under which this resource server is known
    /// to the issuer) and `iat`, then reads the answer inside.
    ///
    /// # Errors
    /// As [`ActiveRules::read`].
    pub fn verify(
        &self,
        rules: &ActiveRules<'_>,
        recipient: &str,
        key: &PublicKey,
        (asked, now): (&Asked<'_>, UnixTime),
    ) -> Result<AccessToken, Rejection> {
        let algorithm: Algorithm = self.query(rules.issuer)?.algorithm;
        self.jws
            .verify(algorithm, key)
            .map_err(|_| invalid("a signature by the issuer", "another"))?;
        let claims = self.jws.claims().map_err(malformed)?;
        let audience = claims.strings("aud").ok().flatten().unwrap_or_default();
        if !audience.contains(&recipient) {
            return Err(invalid(recipient, &audience.join(" ")));
        }
        check_age(&claims, rules.issuer.ahead, now)?;
        let answer = claims.object("token_introspection").ok().flatten();
        let answer = answer.ok_or_else(|| invalid("an object token_introspection", "none"))?;
        rules.read_members(answer, asked, now)
    }
}

impl fmt::Debug for SignedAnswer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedAnswer")
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

/// An answer is made for the question that was just asked: one from before, even a genuine one,
/// says nothing about now.
fn check_age(claims: &Object<'_>, ahead: u64, now: UnixTime) -> Result<(), Rejection> {
    let issued_at = claims.unsigned("iat").ok().flatten();
    let issued_at = issued_at
        .filter(|seconds| *seconds <= MAX_TIME)
        .map(UnixTime::from_secs)
        .ok_or_else(|| invalid("iat", "none"))?;
    if issued_at > now.plus(ahead) || now.seconds_since(issued_at) > MAX_AGE {
        return Err(invalid(
            &format!("iat of the last {MAX_AGE} s"),
            &issued_at.as_secs().to_string(),
        ));
    }
    Ok(())
}

fn malformed(error: JwsError) -> Rejection {
    invalid("a signed answer", &error.to_string())
}

fn invalid(expected: &str, got: &str) -> Rejection {
    Rejection::new(Cause::IntrospectionInvalid)
        .expected(expected)
        .got(got)
}

#[cfg(test)]
mod tests;
