//! Workload proof tokens (draft-ietf-wimse-wpt): one request's proof that the sender
//! holds the key its identity token names.
//!
//! A proof names its target (`aud`), the identity token (`wth`) and every other token
//! of the request (`ath`, `tth`, `oth`) by hash. Each of them must be named if it is
//! there, and must be there if it is named. Reading checks form, target and time; the
//! hashes and, last, the signature need the identity token's key.
//!
//! This module keeps no replay records. It does not verify the identity token or the
//! other tokens; it only holds their hashes against the proof.

use std::fmt;

use super::claims::{FormCauses, algorithm_name};
use super::identity_token::WorkloadKey;
use super::{PROOF_TOKEN_TYPE, TRANSACTION_TOKEN_HEADER, is_named_by};
use crate::cause::Cause;
use crate::dpop::MAX_JTI_BYTES;
use crate::fields::FieldLines;
use crate::jose::{AlgorithmSet, Jws, SignatureValid, SigningInput};
use crate::json;
use crate::json_text::ObjectText;
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::token::TokenHash;
use crate::uri::Htu;

/// What a server demands of a proof.
#[derive(Clone, Copy, Debug)]
pub struct WorkloadProofRules<'a> {
    /// The request's URL, made of configured origin and request path: `aud` names it, without
    /// query and fragment.
    pub target: &'a Htu,
    /// Other values of `aud` this deployment agreed on, compared exactly.
    pub audiences: &'a [String],
    /// Algorithms taken in proofs.
    pub algorithms: AlgorithmSet,
    /// The largest proof, in bytes.
    pub max_bytes: usize,
    /// The most seconds between now and `exp`.
    pub max_lifetime: u64,
    /// Seconds `iat` and `nbf` may be ahead of our clock.
    pub ahead: u64,
    /// Lower-case names of header fields with tokens that `oth` may name. A proof that names
    /// another is refused, because what it covers is not understood; a request that has one of
    /// them must have it covered.
    pub other_tokens: &'a [String],
}

/// The other tokens of the request.
#[derive(Clone, Copy)]
pub struct ProofContext<'a> {
    /// The hash of the identity token.
    pub identity_token: TokenHash,
    /// The hash of the OAuth access token in `Authorization`, if there is one.
    pub access_token: Option<TokenHash>,
    /// The request's header fields: `txn-token` and those `oth` names are looked up here.
    pub fields: &'a dyn FieldLines,
}

impl fmt::Debug for ProofContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofContext")
            .field("identity_token", &self.identity_token)
            .field("access_token", &self.access_token)
            .finish_non_exhaustive()
    }
}

/// A proof whose form, target and time are in order. Its hashes and signature are not checked
/// yet.
pub struct WorkloadProof<'a> {
    jws: Jws<'a>,
    algorithm_name: &'static str,
    jti: String,
    made_at: UnixTime,
    expires_at: UnixTime,
    identity_token: TokenHash,
    access_token: Option<TokenHash>,
    transaction_token: Option<TokenHash>,
    other_tokens: Vec<(String, TokenHash)>,
    understood: &'a [String],
    _target: MadeForTarget,
}

/// Says that `aud` names this server's own URL or value.
struct MadeForTarget(());

const FORM: FormCauses = FormCauses {
    malformed: Cause::WptMalformed,
    critical: Cause::WptCritical,
    algorithm: Cause::WptAlgUnacceptable,
    size: Cause::WptSize,
    typ: Cause::WptTyp,
    claim: Cause::WptClaimInvalid,
};

impl<'a> WorkloadProof<'a> {
    /// Form first, then `aud` and time.
    ///
    /// # Errors
    /// A [`Rejection`] with a `wimse.wpt.*` cause.
    pub fn read(
        text: &'a [u8],
        rules: &WorkloadProofRules<'a>,
        now: UnixTime,
    ) -> Result<Self, Rejection> {
        let jws = Jws::parse(text, rules.max_bytes).map_err(|error| FORM.of(error))?;
        let algorithm_name = check_header(&jws, rules)?;
        let claims = jws.claims().map_err(|error| FORM.of(error))?;
        let jti = jti(&claims)?.to_owned();
        let target = check_audience(&claims, rules)?;
        let (made_at, expires_at) = check_time(&claims, rules, now)?;
        let identity_token = hash(&claims, "wth", Cause::WptWth)?.ok_or(Cause::WptWth)?;
        let access_token = hash(&claims, "ath", Cause::WptAth)?;
        let transaction_token = hash(&claims, "tth", Cause::WptTth)?;
        let other_tokens = other_tokens(&claims, rules.other_tokens)?;
        drop(claims);
        Ok(Self {
            jws,
            algorithm_name,
            jti,
            made_at,
            expires_at,
            identity_token,
            access_token,
            transaction_token,
            other_tokens,
            understood: rules.other_tokens,
            _target: target,
        })
    }

    /// `jti`: with the key, the name under which the proof is recorded as used.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// The earliest second at which the proof can have been made: `iat`, or, for a proof that
    /// does not say, as long before `exp` as a proof may live at most.
    #[must_use]
    pub const fn made_at(&self) -> UnixTime {
        self.made_at
    }

    /// `exp`: the first second at which the proof is no longer taken.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// Checks the algorithm against the key's, then every hash, then the signature.
    ///
    /// # Errors
    /// A [`Rejection`] with a `wimse.wpt.*` cause.
    pub fn verify(
        &self,
        key: &WorkloadKey,
        context: &ProofContext<'_>,
    ) -> Result<SignatureValid, Rejection> {
        if self.algorithm_name != key.algorithm_name() {
            return Err(Rejection::new(Cause::WptAlgMismatch)
                .expected(key.algorithm_name())
                .got(self.algorithm_name));
        }
        same(
            Some(self.identity_token),
            Some(context.identity_token),
            Cause::WptWth,
        )?;
        same(self.access_token, context.access_token, Cause::WptAth)?;
        let transaction_token = one_line(context.fields, TRANSACTION_TOKEN_HEADER, Cause::WptTth)?;
        same(self.transaction_token, transaction_token, Cause::WptTth)?;
        self.check_other_tokens(context.fields)?;
        self.jws
            .verify(key.algorithm(), key.key())
            .map_err(|_| Rejection::new(Cause::WptSignatureInvalid))
    }

    fn check_other_tokens(&self, fields: &dyn FieldLines) -> Result<(), Rejection> {
        for name in self.understood {
            let named = self.other_tokens.iter().find(|(field, _)| field == name);
            let there = one_line(fields, name, Cause::WptOth)?;
            same(named.map(|(_, hash)| *hash), there, Cause::WptOth)?;
        }
        Ok(())
    }
}

impl fmt::Debug for WorkloadProof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadProof")
            .field("algorithm", &self.algorithm_name)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What a new proof says. The caller signs; see [`proof_signing_input`].
#[derive(Clone, Copy, Debug)]
pub struct WorkloadProofRequest<'a> {
    /// The URL that is called, without query and fragment, or the value agreed on.
    pub audience: &'a str,
    /// At least 128 random bits as text.
    pub jti: &'a str,
    /// The sender's idea of now, corrected by what it knows of the server's clock.
    pub made_at: UnixTime,
    /// Seconds the proof may be used.
    pub lifetime: u64,
    /// The hash of the identity token sent along.
    pub identity_token: &'a TokenHash,
    /// The hash of the access token sent along, if one is.
    pub access_token: Option<&'a TokenHash>,
    /// The hash of the transaction token sent along, if one is.
    pub transaction_token: Option<&'a TokenHash>,
}

/// The bytes to sign for a new proof. `algorithm_name` is `alg` of `cnf.jwk` in the identity
/// token, letter by letter.
#[must_use]
pub fn proof_signing_input(
    request: &WorkloadProofRequest<'_>,
    algorithm_name: &str,
) -> SigningInput {
    let header = ObjectText::new()
        .string("typ", PROOF_TOKEN_TYPE)
        .string("alg", algorithm_name)
        .finish();
    let ath = request.access_token.map(TokenHash::to_ath);
    let tth = request.transaction_token.map(TokenHash::to_ath);
    let claims = ObjectText::new()
        .string("aud", request.audience)
        .unsigned("iat", request.made_at.as_secs())
        .unsigned("exp", request.made_at.plus(request.lifetime).as_secs())
        .string("jti", request.jti)
        .string("wth", &request.identity_token.to_ath())
        .optional_string("ath", ath.as_deref())
        .optional_string("tth", tth.as_deref())
        .finish();
    SigningInput::new(&header, &claims)
}

/// `typ` and an `alg` that is allowed; the name as it is written.
fn check_header(jws: &Jws<'_>, rules: &WorkloadProofRules<'_>) -> Result<&'static str, Rejection> {
    let header = jws.header().map_err(|error| FORM.of(error))?;
    FORM.check_type(header.typ(), PROOF_TOKEN_TYPE)?;
    let algorithm = header.alg().map_err(|error| FORM.of(error))?;
    if !rules.algorithms.contains(algorithm) {
        return Err(Rejection::new(Cause::WptAlgUnacceptable)
            .expected(rules.algorithms.to_string())
            .got(algorithm.name()));
    }
    let members = jws.header_object().map_err(|error| FORM.of(error))?;
    let written = members.string("alg").ok().flatten();
    written
        .and_then(algorithm_name)
        .map(|(_, name)| name)
        .ok_or_else(|| Cause::WptAlgUnacceptable.into())
}

fn jti<'c>(claims: &'c json::Object<'_>) -> Result<&'c str, Rejection> {
    FORM.text(claims, "jti")?
        .filter(|jti| jti.len() <= MAX_JTI_BYTES)
        .ok_or_else(|| FORM.missing("jti"))
}

/// One value that names this server: its own URL as configured, or a value agreed on. A list
/// would be a proof for several servers at once and is refused.
fn check_audience(
    claims: &json::Object<'_>,
    rules: &WorkloadProofRules<'_>,
) -> Result<MadeForTarget, Rejection> {
    let audience = claims.string("aud").ok().flatten();
    let audience = audience.ok_or_else(|| FORM.missing("aud"))?;
    if is_named_by(rules.target, rules.audiences, audience) {
        return Ok(MadeForTarget(()));
    }
    Err(Rejection::new(Cause::WptAudience)
        .expected(rules.target.as_str())
        .got(audience))
}

/// When the proof was made at the earliest, and when it ends.
fn check_time(
    claims: &json::Object<'_>,
    rules: &WorkloadProofRules<'_>,
    now: UnixTime,
) -> Result<(UnixTime, UnixTime), Rejection> {
    let expires_at = FORM
        .time(claims, "exp")?
        .ok_or_else(|| FORM.missing("exp"))?;
    let issued_at = FORM.time(claims, "iat")?;
    let not_before = FORM.time(claims, "nbf")?;
    if now >= expires_at {
        return Err(Rejection::new(Cause::WptExpired)
            .expected(format!("before {expires_at}"))
            .got(now.to_string()));
    }
    // The sender's clock may be ahead by as much as `iat` may.
    let latest = now.plus(rules.ahead);
    if expires_at > latest.plus(rules.max_lifetime) {
        return Err(Rejection::new(Cause::WptLifetime)
            .expected(format!("at most {} s", rules.max_lifetime))
            .got(format!("{} s", expires_at.seconds_since(now))));
    }
    if issued_at > Some(latest) || not_before > Some(latest) {
        return Err(Rejection::new(Cause::WptNotYetValid));
    }
    let made_at =
        issued_at.unwrap_or_else(|| expires_at.minus(rules.max_lifetime).minus(rules.ahead));
    Ok((made_at, expires_at))
}

fn hash(
    claims: &json::Object<'_>,
    name: &str,
    cause: Cause,
) -> Result<Option<TokenHash>, Rejection> {
    match claims.string(name) {
        Ok(None) => Ok(None),
        Ok(Some(text)) => TokenHash::from_ath(text)
            .map(Some)
            .ok_or_else(|| cause.into()),
        Err(_) => Err(cause.into()),
    }
}

/// `oth`: every entry must be of a field that is understood here.
fn other_tokens(
    claims: &json::Object<'_>,
    understood: &[String],
) -> Result<Vec<(String, TokenHash)>, Rejection> {
    let entries = claims.object("oth").map_err(|_| Cause::WptOth)?;
    let Some(entries) = entries else {
        return Ok(Vec::new());
    };
    entries
        .iter()
        .map(|(name, value)| {
            if !understood.iter().any(|field| field == name) {
                return Err(Rejection::new(Cause::WptOth)
                    .expected(understood.join(" "))
                    .got(name));
            }
            let hash = value.as_str().and_then(TokenHash::from_ath);
            Ok((name.to_owned(), hash.ok_or(Cause::WptOth)?))
        })
        .collect()
}

/// The hash of a field's only line, without the white space around it.
fn one_line(
    fields: &dyn FieldLines,
    name: &str,
    cause: Cause,
) -> Result<Option<TokenHash>, Rejection> {
    match fields.lines(name).as_slice() {
        [] => Ok(None),
        [line] => Ok(Some(TokenHash::of(line.trim_ascii()))),
        _ => Err(Rejection::new(cause).expected(format!("one {name} field"))),
    }
}

/// A token must be named if it is there, be there if it is named, and be the one that is named.
fn same(named: Option<TokenHash>, there: Option<TokenHash>, cause: Cause) -> Result<(), Rejection> {
    if named == there {
        return Ok(());
    }
    let rejection = Rejection::new(cause);
    Err(match (named, there) {
        (None, _) => rejection.expected("a hash of the token that is sent"),
        (_, None) => rejection.expected("the token that is named"),
        (_, Some(hash)) => rejection.expected(hash.to_ath()),
    })
}
