//! `Keybound-Assertion`: how a gateway tells an upstream who calls.
//!
//! The client's token and proof stop at the gateway. What goes on is a JWT signed by
//! the gateway for one upstream: caller, token handle, how it was bound. It is made
//! only from a token whose possession was proven for a request, and lives for at
//! most 60 seconds. It is not sender-constrained itself: the hop it crosses is the
//! operator's own, and `aud` keeps it from working at another upstream.

use std::fmt;
use std::str::FromStr;

use super::actor::{self, Actor};
use super::{AccessToken, MAX_TIME};
use crate::certificate::CertificateThumbprint;
use crate::jose::{Algorithm, AlgorithmSet, Jkt, Jws, PublicKey, SigningInput};
use crate::json;
use crate::json_text::ObjectText;
use crate::time::UnixTime;
use crate::verify::{Possession, Verified};

/// The request header that carries the assertion.
pub const HEADER: &str = "keybound-assertion";

/// The JWT type of the assertion.
pub const TYPE: &str = "keybound-assertion+jwt";

/// The most seconds one assertion is used.
pub const MAX_LIFETIME: u64 = 60;

/// The longest assertion an upstream should take, in bytes.
const MAX_BYTES: usize = 16_384;

/// What an assertion says beside the caller.
#[derive(Clone, Copy, Debug)]
pub struct IdentityRequest<'a> {
    /// `iss`: the gateway's public URL.
    pub gateway: &'a str,
    /// `aud`: the upstream's origin.
    pub upstream: &'a str,
    /// The gateway key's `kid`.
    pub kid: &'a str,
    /// Now.
    pub now: UnixTime,
    /// `htm` and `htu`, where a route asks for one assertion per request.
    pub request: Option<(&'a str, &'a str)>,
}

/// The bytes to sign, and when the assertion ends: 60 seconds from now, never beyond the
/// token's own end.
#[must_use]
pub fn signing_input(
    request: &IdentityRequest<'_>,
    caller: &Verified,
    algorithm: Algorithm,
) -> (SigningInput, UnixTime) {
    let token: &AccessToken = caller.token();
    let expires_at = request.now.plus(MAX_LIFETIME).min(token.expires_at());
    let header = ObjectText::new()
        .string("typ", TYPE)
        .string("alg", algorithm.name())
        .string("kid", request.kid)
        .finish();
    let possession = caller.possession();
    let claims = ObjectText::new()
        .string("iss", request.gateway)
        .string("aud", request.upstream)
        .string("sub", token.subject())
        .optional_string("client_id", token.client_id())
        .string("scope", token.scope())
        .string("token_issuer", token.issuer())
        .optional_string("token_id", token.token_id())
        .string("binding", possession.method().name())
        .optional_string("certificate_rule", possession.certificate_rule().name())
        .optional_string("key_storage", token.key_storage())
        .raw("cnf", &confirmation(possession))
        .unsigned("iat", request.now.as_secs())
        .unsigned("exp", expires_at.as_secs());
    let claims = match actor::chain(token.actors()) {
        Some(act) => claims.raw("act", &act),
        None => claims,
    };
    let claims = match request.request {
        Some((method, url)) => claims.string("htm", method).string("htu", url),
        None => claims,
    };
    (SigningInput::new(&header, &claims.finish()), expires_at)
}

/// What was proven: the key, the certificate, or both.
fn confirmation(possession: Possession) -> String {
    let jkt = possession.jkt().map(|jkt| jkt.to_string());
    let certificate = possession.certificate().map(|thumb| thumb.to_string());
    ObjectText::new()
        .optional_string("jkt", jkt.as_deref())
        .optional_string("x5t#S256", certificate.as_deref())
        .finish()
}

/// What an upstream learns from a verified assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `sub` of the caller's token.
    pub subject: String,
    /// `client_id` of the caller's token, if it had one.
    pub client_id: Option<String>,
    /// `scope` of the caller's token.
    pub scope: String,
    /// The handle of the caller's token, if it had one.
    pub token_id: Option<String>,
    /// How the caller proved possession: `dpop`, `mtls`, `httpsig`, `wimse`.
    pub binding: String,
    /// The key the caller proved.
    pub jkt: Option<Jkt>,
    /// The certificate the caller proved (`x5t#S256`).
    pub certificate: Option<CertificateThumbprint>,
    /// Who acts for the subject, the current actor first (RFC 8693 section 4.1).
    pub actors: Vec<Actor>,
}

/// Why an upstream must not believe an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// Meant for another upstream, or made by another gateway.
    Addressee,
    /// A claim is missing or of the wrong type.
    Claim,
    /// Not a well-formed JWT of the right type.
    Malformed,
    /// The signature does not verify.
    Signature,
    /// Expired, or not valid yet.
    Time,
}

impl Identity {
    /// Verifies an assertion as the upstream at `upstream` must: type, signature by the
    /// gateway's key, issuer, audience, time.
    ///
    /// # Errors
    /// [`IdentityError`]; the request must then be refused.
    pub fn verify(
        text: &str,
        gateway: &str,
        upstream: &str,
        key: &PublicKey,
        now: UnixTime,
    ) -> Result<Self, IdentityError> {
        let jws = Jws::parse(text.as_bytes(), MAX_BYTES).map_err(|_| IdentityError::Malformed)?;
        let header = jws.header().map_err(|_| IdentityError::Malformed)?;
        let algorithm = header.alg().map_err(|_| IdentityError::Malformed)?;
        if header.typ() != Some(TYPE) || !AlgorithmSet::TOKEN_DEFAULT.contains(algorithm) {
            return Err(IdentityError::Malformed);
        }
        jws.verify(algorithm, key)
            .map_err(|_| IdentityError::Signature)?;
        let claims = jws.claims().map_err(|_| IdentityError::Malformed)?;
        let text = |name: &str| claims.string(name).map_err(|_| IdentityError::Claim);
        let needed = |name: &str| text(name)?.ok_or(IdentityError::Claim);
        if needed("iss")? != gateway || needed("aud")? != upstream {
            return Err(IdentityError::Addressee);
        }
        let expires_at = claims
            .unsigned("exp")
            .ok()
            .flatten()
            .ok_or(IdentityError::Claim)?;
        if expires_at > MAX_TIME || now.as_secs() >= expires_at {
            return Err(IdentityError::Time);
        }
        let cnf = claims
            .object("cnf")
            .ok()
            .flatten()
            .ok_or(IdentityError::Claim)?;
        let jkt = member(cnf, "jkt")?;
        let certificate = member(cnf, "x5t#S256")?;
        if jkt.is_none() && certificate.is_none() {
            return Err(IdentityError::Claim);
        }
        Ok(Self {
            binding: needed("binding")?.to_owned(),
            actors: actor::read(&claims).map_err(|_| IdentityError::Claim)?,
            certificate,
            subject: needed("sub")?.to_owned(),
            client_id: text("client_id")?.map(str::to_owned),
            scope: needed("scope")?.to_owned(),
            token_id: text("token_id")?.map(str::to_owned),
            jkt,
        })
    }
}

/// A member of `cnf`, if it is there.
fn member<T: FromStr>(cnf: &json::Object<'_>, name: &str) -> Result<Option<T>, IdentityError> {
    let text = cnf.string(name).map_err(|_| IdentityError::Claim)?;
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|_| IdentityError::Claim)
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Addressee => "the assertion was made by another gateway or for another upstream",
            Self::Claim => "the assertion lacks a claim",
            Self::Malformed => "not a well-formed Keybound assertion",
            Self::Signature => "the assertion does not verify with the gateway's key",
            Self::Time => "the assertion has expired",
        })
    }
}

impl std::error::Error for IdentityError {}
