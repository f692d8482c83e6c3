//! Workload identity tokens (draft-ietf-wimse-workload-creds) and WIT-SVIDs (SPIFFE):
//! a trust domain's statement which key a workload holds.
//!
//! [`WorkloadIdentityToken`] is text in the right form; its subject says which trust
//! domain's keys to ask. Verifying it gives an [`AccessToken`], so that caches, locks,
//! revocations and records treat it like every other credential. That token has no
//! audience, so no path that takes ordinary access tokens takes it, and it is bound to
//! the key in `cnf.jwk`: it is worth nothing without a proof by that key.
//!
//! This module does not know requests. It reads `iss` only to compare it with a list,
//! never to find keys.

use std::fmt;
use std::sync::Arc;

use super::IDENTITY_TOKEN_TYPE;
use super::claims::{FormCauses, algorithm_name};
use super::identifier::{SpiffeId, TrustDomain, WorkloadIdentifier};
use crate::cause::Cause;
use crate::jose::{Algorithm, AlgorithmSet, Jws, PublicKey, SignatureValid};
use crate::json;
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::token::{AccessToken, TokenHash, WorkloadClaims, WorkloadProvenBy};

/// Whose rules a trust domain's credentials follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkloadProfile {
    /// WIT-SVID (SPIFFE): a SPIFFE ID as subject, `kid` required, no `aud`, no EdDSA, no
    /// `iss` that could be an OpenID issuer.
    Spiffe,
    /// WIMSE workload credentials.
    #[default]
    Wimse,
}

impl WorkloadProfile {
    /// The algorithms this profile lets tokens and keys be of, as far as this crate has them.
    #[must_use]
    pub const fn algorithms(self) -> AlgorithmSet {
        match self {
            Self::Spiffe => AlgorithmSet::of(&[
                Algorithm::Es256,
                Algorithm::Es384,
                Algorithm::Ps256,
                Algorithm::Rs256,
            ]),
            Self::Wimse => AlgorithmSet::of(&[
                Algorithm::Es256,
                Algorithm::EdDsa,
                Algorithm::Es384,
                Algorithm::Ps256,
            ]),
        }
    }

    /// The scheme of this profile's trust domains where none is named.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Spiffe => super::SPIFFE,
            Self::Wimse => super::WIMSE,
        }
    }
}

/// What a server demands of one trust domain's identity tokens.
#[derive(Clone, Debug)]
pub struct WorkloadTokenRules {
    /// The trust domain, with its scheme.
    pub trust_domain: TrustDomain,
    /// Whose rules the tokens follow.
    pub profile: WorkloadProfile,
    /// Algorithms tokens are signed with and keys are for.
    pub algorithms: AlgorithmSet,
    /// Values of `iss` that are taken. Empty: `iss` says nothing here. Otherwise it must be
    /// there and one of these.
    pub issuers: Vec<String>,
    /// The most seconds between now and `exp`.
    pub max_lifetime: u64,
    /// Seconds `iat` and `nbf` may be ahead of our clock.
    pub ahead: u64,
}

impl WorkloadTokenRules {
    /// The profile's algorithms, no list of issuers, at most a day, 10 s ahead.
    #[must_use]
    pub const fn new(trust_domain: TrustDomain, profile: WorkloadProfile) -> Self {
        Self {
            trust_domain,
            profile,
            algorithms: profile.algorithms(),
            issuers: Vec::new(),
            max_lifetime: 86_400,
            ahead: 10,
        }
    }
}

/// The key a workload proved to its trust domain: what its proofs must be signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadKey {
    key: PublicKey,
    algorithm: Algorithm,
    name: &'static str,
}

impl WorkloadKey {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The one algorithm the key is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `alg` of `cnf.jwk`, as it was written: a proof names exactly the same.
    #[must_use]
    pub const fn algorithm_name(&self) -> &'static str {
        self.name
    }
}

const FORM: FormCauses = FormCauses {
    malformed: Cause::WitMalformed,
    critical: Cause::WitCritical,
    algorithm: Cause::WitAlgUnacceptable,
    size: Cause::WitSize,
    typ: Cause::WitTyp,
    claim: Cause::WitClaimInvalid,
};

/// Text that has the form of a workload identity token. Nothing in it is trusted.
pub struct WorkloadIdentityToken<'a> {
    jws: Jws<'a>,
    hash: TokenHash,
    algorithm: Algorithm,
    kid: Option<String>,
    subject: WorkloadIdentifier,
}

impl<'a> WorkloadIdentityToken<'a> {
    /// Checks the form: size, three canonical base64url segments, strict JSON, `typ`, `alg`,
    /// and a subject that is one strict identifier.
    ///
    /// # Errors
    /// A [`Rejection`] with a `wimse.wit.*` cause.
    pub fn parse(text: &'a [u8], max_bytes: usize) -> Result<Self, Rejection> {
        let jws = Jws::parse(text, max_bytes).map_err(|error| FORM.of(error))?;
        let header = jws.header().map_err(|error| FORM.of(error))?;
        FORM.check_type(header.typ(), IDENTITY_TOKEN_TYPE)?;
        let algorithm = header.alg().map_err(|error| FORM.of(error))?;
        let kid = header.kid().map(str::to_owned);
        let claims = jws.claims().map_err(|error| FORM.of(error))?;
        let subject = subject(&claims)?;
        drop(header);
        drop(claims);
        Ok(Self {
            jws,
            hash: TokenHash::of(text),
            algorithm,
            kid,
            subject,
        })
    }

    /// The hash of the token's text: what `wth` in a proof must be.
    #[must_use]
    pub const fn hash(&self) -> TokenHash {
        self.hash
    }

    /// The trust domain whose keys must have signed, as the token claims it.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        self.subject.trust_domain()
    }

    /// Who the token claims to be about.
    #[must_use]
    pub const fn subject(&self) -> &WorkloadIdentifier {
        &self.subject
    }

    /// `kid`, as the token claims it: a hint for choosing among the trust domain's keys.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// `alg`, as the token claims it.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Checks everything that does not depend on the route: trust domain, algorithm, signature,
    /// then the claims. `key` is one of the trust domain's, found by [`Self::kid`].
    ///
    /// # Errors
    /// A [`Rejection`] with a `wimse.wit.*` cause.
    pub fn verify(
        &self,
        rules: &WorkloadTokenRules,
        key: &PublicKey,
        now: UnixTime,
    ) -> Result<AccessToken, Rejection> {
        let within = self.check_rules(rules)?;
        let signature = self
            .jws
            .verify(self.algorithm, key)
            .map_err(|_| Rejection::new(Cause::WitSignatureInvalid))?;
        let claims = self.jws.claims().map_err(|error| FORM.of(error))?;
        self.read_claims(rules, &claims, now, (within, signature))
    }

    pub(super) fn check_rules(&self, rules: &WorkloadTokenRules) -> Result<WithinRules, Rejection> {
        if !self.subject.is_in(&rules.trust_domain) {
            return Err(Rejection::new(Cause::WitTrustDomainUnknown)
                .expected(rules.trust_domain.as_str())
                .got(self.subject.origin()));
        }
        if !rules.algorithms.contains(self.algorithm) {
            return Err(Rejection::new(Cause::WitAlgUnacceptable)
                .expected(rules.algorithms.to_string())
                .got(self.algorithm.name()));
        }
        if rules.profile == WorkloadProfile::Spiffe {
            SpiffeId::try_from(self.subject.clone())
                .map_err(|error| Rejection::new(Cause::WitSubjectInvalid).got(error.to_string()))?;
            if self.kid.is_none() {
                return Err(FORM.missing("kid"));
            }
        }
        Ok(WithinRules(()))
    }

    fn read_claims(
        &self,
        rules: &WorkloadTokenRules,
        claims: &json::Object<'_>,
        now: UnixTime,
        _trusted: (WithinRules, SignatureValid),
    ) -> Result<AccessToken, Rejection> {
        check_issuer(rules, FORM.text(claims, "iss")?)?;
        if rules.profile == WorkloadProfile::Spiffe && claims.contains("aud") {
            return Err(Rejection::new(Cause::WitClaimInvalid).expected("no aud"));
        }
        let issued_at = FORM.time(claims, "iat")?;
        let not_before = FORM.time(claims, "nbf")?;
        let expires_at = FORM
            .time(claims, "exp")?
            .ok_or_else(|| FORM.missing("exp"))?;
        check_time(rules, (issued_at, not_before), expires_at, now)?;
        let key = confirmed_key(rules, claims)?;
        Ok(AccessToken::of_workload(WorkloadClaims {
            hash: self.hash,
            issuer: self.subject.origin().to_owned(),
            subject: self.subject.as_str().to_owned(),
            token_id: FORM.text(claims, "jti")?.map(str::to_owned),
            // A token that does not say when it was issued may be as old as time: what was
            // issued before a revocation is revoked.
            issued_at: issued_at.unwrap_or_default(),
            expires_at,
            not_before,
            kid: self.kid.clone(),
            proven_by: WorkloadProvenBy::Key(Arc::new(key)),
        }))
    }
}

impl fmt::Debug for WorkloadIdentityToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadIdentityToken")
            .field("hash", &self.hash)
            .field("subject", &self.subject)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// Says that trust domain and algorithm are the rules', and the form the profile's.
pub(super) struct WithinRules(());

fn subject(claims: &json::Object<'_>) -> Result<WorkloadIdentifier, Rejection> {
    let invalid = || Rejection::new(Cause::WitSubjectInvalid);
    let text = claims.string("sub").ok().flatten().ok_or_else(invalid)?;
    WorkloadIdentifier::parse(text).map_err(|error| invalid().expected(error.to_string()).got(text))
}

/// `iss` finds no keys. Where the operator listed issuers it must be one of them; a WIT-SVID's
/// must not be one whose tokens could also be taken for ID tokens.
fn check_issuer(rules: &WorkloadTokenRules, issuer: Option<&str>) -> Result<(), Rejection> {
    let listed = issuer.is_some_and(|issuer| rules.issuers.iter().any(|known| known == issuer));
    if listed {
        return Ok(());
    }
    let web = issuer.is_some_and(|issuer| issuer.starts_with("https://"));
    if rules.issuers.is_empty() && !(rules.profile == WorkloadProfile::Spiffe && web) {
        return Ok(());
    }
    Err(Rejection::new(Cause::WitIssuerRefused).got(issuer.unwrap_or("no iss")))
}

fn check_time(
    rules: &WorkloadTokenRules,
    (issued_at, not_before): (Option<UnixTime>, Option<UnixTime>),
    expires_at: UnixTime,
    now: UnixTime,
) -> Result<(), Rejection> {
    if now >= expires_at {
        return Err(Rejection::new(Cause::WitExpired)
            .expected(format!("before {expires_at}"))
            .got(now.to_string()));
    }
    if expires_at > now.plus(rules.max_lifetime) {
        return Err(Rejection::new(Cause::WitLifetime)
            .expected(format!("at most {} s", rules.max_lifetime))
            .got(format!("{} s", expires_at.seconds_since(now))));
    }
    let latest = now.plus(rules.ahead);
    if issued_at > Some(latest) || not_before > Some(latest) {
        return Err(Rejection::new(Cause::WitNotYetValid));
    }
    Ok(())
}

/// `cnf` with exactly one member that names a key, `jwk`, whose `alg` is inside it and fits it.
fn confirmed_key(
    rules: &WorkloadTokenRules,
    claims: &json::Object<'_>,
) -> Result<WorkloadKey, Rejection> {
    let invalid = |expected: &str| Rejection::new(Cause::WitConfirmationInvalid).expected(expected);
    let cnf = claims.object("cnf").ok().flatten();
    let cnf = cnf.ok_or_else(|| invalid("an object cnf"))?;
    if OTHER_KEYS.iter().any(|member| cnf.contains(member)) {
        return Err(invalid("jwk alone in cnf"));
    }
    let jwk = cnf.object("jwk").ok().flatten();
    let jwk = jwk.ok_or_else(|| invalid("an object jwk in cnf"))?;
    let named = jwk.string("alg").ok().flatten().and_then(algorithm_name);
    let (algorithm, name) = named.ok_or_else(|| invalid("a known alg in cnf.jwk"))?;
    if !rules.algorithms.contains(algorithm) {
        return Err(invalid("an allowed alg in cnf.jwk").got(name));
    }
    let key = PublicKey::from_jwk_object(jwk)
        .map_err(|error| invalid("an acceptable public key").got(error.to_string()))?;
    if !key.supports(algorithm) {
        return Err(invalid("a key that fits its alg").got(name));
    }
    Ok(WorkloadKey {
        key,
        algorithm,
        name,
    })
}

/// Members of `cnf` that would name a key beside `jwk` (RFC 7800 section 3.1 allows one).
const OTHER_KEYS: [&str; 7] = ["htsk", "jkt", "jku", "jwe", "kid", "osc", "x5t#S256"];
