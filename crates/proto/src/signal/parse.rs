//! Reading a SET in two steps: [`UnverifiedSignal`] can only be asked which key
//! it needs; verifying it consumes it and gives a [`SecurityEventToken`].
//! Follows RFC 8417 sections 2 and 4 and the Shared Signals framework; does
//! not fetch keys and does not remember `jti`s.

use std::fmt;

use super::{
    CREDENTIAL_CHANGE, LOCK_RELEASED, MAX_SET_BYTES, SESSION_REVOKED, SecurityEventToken,
    SignalEvent, Subject, THUMBPRINT_URI, TOKEN_HASH_ID, TYP,
};
use crate::jose::{Algorithm, AlgorithmSet, Jws, PublicKey};
use crate::json::{Object, Value};
use crate::time::UnixTime;
use crate::token::TokenHash;

/// The longest identifier inside a SET, in bytes.
const MAX_ID: usize = 2048;

/// What a receiver insists on.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverRules<'a> {
    /// The transmitter's issuer, compared exactly.
    pub issuer: &'a str,
    /// The receiver's own name; must be in `aud`.
    pub audience: &'a str,
    /// Signature algorithms the transmitter may use.
    pub algorithms: AlgorithmSet,
    /// How far ahead `iat` may be because clocks differ, seconds.
    pub skew: u64,
}

/// A SET that has its form but whose signature nobody has checked. It shows
/// which key it needs and nothing else.
pub struct UnverifiedSignal<'a> {
    jws: Jws<'a>,
    algorithm: Algorithm,
    kid: Option<String>,
}

/// Why a SET is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignalError {
    /// Signed with an algorithm the receiver does not take.
    Algorithm,
    /// `aud` does not name the receiver.
    Audience,
    /// `events` is missing or has not exactly one member.
    EventCount,
    /// The single event is of a type, or about a kind of subject, not known here.
    EventNotUnderstood,
    /// A claim that a SET must not have is present: `exp` or `sub`.
    ForbiddenClaim,
    /// `iat` is later than now.
    FromTheFuture,
    /// `iss` is not the transmitter.
    Issuer,
    /// Not one compact JWS with a JSON object, or a claim is missing or of the wrong type.
    Malformed,
    /// The signature does not verify with the transmitter's key.
    Signature,
    /// `sub_id` is missing, or of a format not known here.
    SubjectNotUnderstood,
    /// `typ` is not `secevent+jwt`.
    Type,
}

impl<'a> UnverifiedSignal<'a> {
    /// Checks the form: size, compact JWS, `typ`, a known `alg`.
    ///
    /// # Errors
    ///
    /// [`SignalError::Malformed`], [`SignalError::Type`] or [`SignalError::Algorithm`].
    pub fn parse(text: &'a [u8]) -> Result<Self, SignalError> {
        let jws = Jws::parse(text, MAX_SET_BYTES).map_err(|_| SignalError::Malformed)?;
        let (algorithm, kid) = {
            let header = jws.header().map_err(|_| SignalError::Malformed)?;
            if header.typ() != Some(TYP) {
                return Err(SignalError::Type);
            }
            let algorithm = header.alg().map_err(|_| SignalError::Algorithm)?;
            (algorithm, header.kid().map(str::to_owned))
        };
        Ok(Self {
            jws,
            algorithm,
            kid,
        })
    }

    /// The `kid` of the transmitter's key, where the header names one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Checks signature and claims: `iss`, `aud`, `iat`, `jti`, exactly one
    /// event, neither `exp` nor `sub`, and a subject that is understood.
    ///
    /// # Errors
    ///
    /// The first check that fails, as a [`SignalError`].
    pub fn verify(
        self,
        rules: &ReceiverRules<'_>,
        key: &PublicKey,
        now: UnixTime,
    ) -> Result<SecurityEventToken, SignalError> {
        if !rules.algorithms.contains(self.algorithm) {
            return Err(SignalError::Algorithm);
        }
        self.jws
            .verify(self.algorithm, key)
            .map_err(|_| SignalError::Signature)?;
        let claims = self.jws.claims().map_err(|_| SignalError::Malformed)?;
        check_claims(rules, &claims, now)
    }
}

fn check_claims(
    rules: &ReceiverRules<'_>,
    claims: &Object<'_>,
    now: UnixTime,
) -> Result<SecurityEventToken, SignalError> {
    if text(claims, "iss")? != rules.issuer {
        return Err(SignalError::Issuer);
    }
    let audience = claims.strings("aud").map_err(|_| SignalError::Malformed)?;
    if !audience.is_some_and(|names| names.contains(&rules.audience)) {
        return Err(SignalError::Audience);
    }
    if claims.get("exp").is_some() || claims.get("sub").is_some() {
        return Err(SignalError::ForbiddenClaim);
    }
    let issued_at = number(claims, "iat")?.ok_or(SignalError::Malformed)?;
    if issued_at > now.plus(rules.skew).as_secs() {
        return Err(SignalError::FromTheFuture);
    }
    let id = text(claims, "jti")?.to_owned();
    let sub_id = claims
        .object("sub_id")
        .map_err(|_| SignalError::SubjectNotUnderstood)?;
    let subject = subject(sub_id.ok_or(SignalError::SubjectNotUnderstood)?)?;
    let (event, payload) = single_event(claims, &subject)?;
    Ok(SecurityEventToken {
        issuer: rules.issuer.to_owned(),
        audience: rules.audience.to_owned(),
        id,
        issued_at: UnixTime::from_secs(issued_at),
        subject,
        event,
        expires_at: number(payload, "expires_at")?.map(UnixTime::from_secs),
        time_ms: event_time(payload, issued_at)?,
    })
}

/// The one member of `events`, if it is a type known here that fits the subject.
fn single_event<'o, 'a>(
    claims: &'o Object<'a>,
    subject: &Subject,
) -> Result<(SignalEvent, &'o Object<'a>), SignalError> {
    let events = claims
        .object("events")
        .map_err(|_| SignalError::EventCount)?;
    let mut members = events.ok_or(SignalError::EventCount)?.iter();
    let (Some((uri, payload)), None) = (members.next(), members.next()) else {
        return Err(SignalError::EventCount);
    };
    let Value::Object(payload) = payload else {
        return Err(SignalError::Malformed);
    };
    let is_key = matches!(subject, Subject::Key(_));
    match uri {
        LOCK_RELEASED => Ok((SignalEvent::Released, payload)),
        SESSION_REVOKED if !is_key => Ok((SignalEvent::Locked, payload)),
        CREDENTIAL_CHANGE if is_key && text(payload, "change_type")? == "revoke" => {
            Ok((SignalEvent::Locked, payload))
        }
        _ => Err(SignalError::EventNotUnderstood),
    }
}

/// When it happened, in milliseconds: ours, else CAEP's, else `iat`.
fn event_time(payload: &Object<'_>, issued_at: u64) -> Result<u64, SignalError> {
    if let Some(time_ms) = number(payload, "time_ms")? {
        return Ok(time_ms);
    }
    // CAEP leaves fractions open; a timestamp that is no whole number is not
    // worth losing a revocation for.
    let seconds = payload.unsigned("event_timestamp").ok().flatten();
    Ok(seconds.unwrap_or(issued_at).saturating_mul(1000))
}

pub(super) fn subject(sub_id: &Object<'_>) -> Result<Subject, SignalError> {
    const NOT_UNDERSTOOD: SignalError = SignalError::SubjectNotUnderstood;
    let member = |name: &str| text(sub_id, name).map_err(|_| NOT_UNDERSTOOD);
    match member("format")? {
        "iss_sub" => Ok(Subject::Identity {
            issuer: member("iss")?.to_owned(),
            subject: member("sub")?.to_owned(),
        }),
        "jwt_id" => Ok(Subject::Token {
            issuer: member("iss")?.to_owned(),
            token_id: member("jti")?.to_owned(),
        }),
        "uri" => {
            let jkt = member("uri")?
                .strip_prefix(THUMBPRINT_URI)
                .ok_or(NOT_UNDERSTOOD)?;
            jkt.parse().map(Subject::Key).map_err(|_| NOT_UNDERSTOOD)
        }
        "opaque" => {
            let hex = member("id")?
                .strip_prefix(TOKEN_HASH_ID)
                .ok_or(NOT_UNDERSTOOD)?;
            let hash = TokenHash::from_hex(hex).ok_or(NOT_UNDERSTOOD)?;
            Ok(Subject::TokenHash(hash))
        }
        _ => Err(NOT_UNDERSTOOD),
    }
}

/// A member that must be there, not empty and of bounded length.
fn text<'o>(object: &'o Object<'_>, name: &str) -> Result<&'o str, SignalError> {
    let text = object.string(name).map_err(|_| SignalError::Malformed)?;
    text.filter(|text| !text.is_empty() && text.len() <= MAX_ID)
        .ok_or(SignalError::Malformed)
}

/// A whole number that may be absent but not be something else.
fn number(object: &Object<'_>, name: &str) -> Result<Option<u64>, SignalError> {
    object.unsigned(name).map_err(|_| SignalError::Malformed)
}

impl SignalError {
    /// The code of RFC 8935 section 2.4 that a receiver reports to the transmitter.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Audience => "invalid_audience",
            Self::Issuer => "invalid_issuer",
            Self::Signature => "authentication_failed",
            Self::Algorithm => "invalid_key",
            Self::EventCount
            | Self::EventNotUnderstood
            | Self::ForbiddenClaim
            | Self::FromTheFuture
            | Self::Malformed
            | Self::SubjectNotUnderstood
            | Self::Type => "invalid_request",
        }
    }
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Algorithm => "the event's signature algorithm is not accepted",
            Self::Audience => "the event is meant for another receiver",
            Self::EventCount => "the token does not carry exactly one event",
            Self::EventNotUnderstood => "the event's type is not understood for its subject",
            Self::ForbiddenClaim => "the event carries `exp` or `sub`",
            Self::FromTheFuture => "the event's `iat` is in the future; check both clocks",
            Self::Issuer => "the event comes from another issuer",
            Self::Malformed => "not a well-formed security event token",
            Self::Signature => "the event's signature does not verify",
            Self::SubjectNotUnderstood => "the event's `sub_id` is missing or not understood",
            Self::Type => "the token's type is not `secevent+jwt`",
        })
    }
}

impl std::error::Error for SignalError {}

impl fmt::Debug for UnverifiedSignal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedSignal")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
