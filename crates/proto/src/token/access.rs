//! JWT access tokens (RFC 9068): from untrusted text to a verified token.
//!
//! [`UnverifiedToken`] is text in the right form. Its issuer and key id are only
//! hints for finding a key. [`AccessToken`] exists only after signature and
//! claims were checked. Audience and expiry are checked again for each route and
//! request, because a verified token is kept and reused.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::actor::Actor;
use super::claims::{
    audience, key_storage, missing, optional_text, optional_time, scope, text_claim, time_claim,
};
use super::delegation::Delegation;
use super::status_list::StatusClaim;
use super::{ACCESS_TOKEN_TYPE, Confirmation, KeyBinding, TokenHash};
use crate::binding::BindingMethod;
use crate::cause::Cause;
use crate::certificate::CertificateThumbprint;
use crate::dpop::proof::KnownHeader;
use crate::jose::{Algorithm, AlgorithmSet, Jws, JwsError, PublicKey, SignatureValid};
use crate::json;
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::workload::WorkloadKey;

/// What a resource server demands of one issuer's tokens.
#[derive(Clone, Debug)]
pub struct IssuerRules {
    /// The issuer identifier, compared exactly with `iss`.
    pub issuer: String,
    /// Algorithms its tokens may be signed with.
    pub algorithms: AlgorithmSet,
    /// What its tokens may lack.
    pub leniency: Leniency,
    /// Seconds `iat` and `nbf` may be ahead of our clock.
    pub ahead: u64,
    /// The claim that holds the scopes: `scope` by RFC 9068, `scp` at some issuers. One string
    /// of names separated by spaces, or an array of names.
    pub scope_claim: Cow<'static, str>,
}

/// Claims and header members the standards require and some issuers leave out.
/// The default demands them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one independent switch for each thing that may be lacking"
)]
pub struct Leniency {
    /// Answers of introspection may lack `aud`: what the issuer says is active for the caller
    /// that asked counts as meant for it. JWTs never lack it.
    pub missing_audience: bool,
    /// The issuer's tokens may lack `client_id`.
    pub missing_client_id: bool,
    /// Answers of introspection may lack `exp`: they are believed for as long as they may be
    /// kept, then asked for again. JWTs never lack it.
    pub missing_expiry: bool,
    /// The issuer's tokens may lack `jti`.
    pub missing_jti: bool,
    /// The issuer's tokens may lack `kid`.
    pub missing_kid: bool,
    /// Answers of introspection may lack `sub`: the identity is then the client. JWTs never
    /// lack it.
    pub missing_subject: bool,
    /// The issuer's tokens may be of the type `JWT`, or of none (RFC 9068 section 4 wants
    /// `at+jwt`). Tokens that show themselves to be something else are refused all the same.
    pub missing_type: bool,
}

impl IssuerRules {
    /// The rules of RFC 9068 for one issuer: no leniency, `iat` and `nbf` at most 10 s ahead.
    #[must_use]
    pub fn new(issuer: impl Into<String>, algorithms: AlgorithmSet) -> Self {
        Self {
            issuer: issuer.into(),
            algorithms,
            leniency: Leniency::default(),
            ahead: 10,
            scope_claim: Cow::Borrowed("scope"),
        }
    }
}

/// Text that has the form of a signed access token. Nothing in it is trusted.
pub struct UnverifiedToken<'a> {
    jws: Jws<'a>,
    hash: TokenHash,
    query: TokenQuery,
    named_type: NamedType,
}

/// What `typ` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamedType {
    /// `at+jwt`.
    AccessToken,
    /// `JWT`, or nothing.
    Unspecific,
}

/// Where to look for the key of a token that is not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenQuery {
    /// `iss`, as the token claims it.
    pub issuer: String,
    /// `kid`, as the token claims it.
    pub kid: Option<String>,
    /// `alg`, as the token claims it.
    pub algorithm: Algorithm,
}

impl<'a> UnverifiedToken<'a> {
    /// Checks the form: size, three canonical base64url segments, strict JSON, `typ`, `alg`.
    ///
    /// # Errors
    /// A [`Rejection`] with a `token.*` cause.
    pub fn parse(text: &'a [u8], max_bytes: usize) -> Result<Self, Rejection> {
        Self::parse_with_hash(text, TokenHash::of(text), max_bytes)
    }

    pub(crate) fn parse_with_hash(
        text: &'a [u8],
        hash: TokenHash,
        max_bytes: usize,
    ) -> Result<Self, Rejection> {
        let jws = Jws::parse(text, max_bytes).map_err(malformed)?;
        let header = jws.header().map_err(malformed)?;
        let named_type = named_type(header.typ())?;
        let algorithm = header.alg().map_err(malformed)?;
        let kid = header.kid().map(str::to_owned);
        let claims = jws.claims().map_err(malformed)?;
        let issuer = text_claim(&claims, "iss")?.to_owned();
        drop(header);
        drop(claims);
        Ok(Self {
            jws,
            hash,
            query: TokenQuery {
                issuer,
                kid,
                algorithm,
            },
            named_type,
        })
    }

    /// The hash of the token's text.
    #[must_use]
    pub const fn hash(&self) -> TokenHash {
        self.hash
    }

    /// The text, which is a secret.
    #[must_use]
    pub const fn text(&self) -> &'a [u8] {
        self.jws.text()
    }

    /// Where to look for the key.
    #[must_use]
    pub const fn query(&self) -> &TokenQuery {
        &self.query
    }

    /// Checks everything that does not depend on the route: issuer, algorithm, signature,
    /// then the claims (RFC 9068 section 4).
    ///
    /// # Errors
    /// A [`Rejection`] with a `token.*` cause.
    pub fn verify(
        &self,
        rules: &IssuerRules,
        key: &PublicKey,
        now: UnixTime,
    ) -> Result<AccessToken, Rejection> {
        let within_rules = self.check_rules(rules)?;
        let signature = self
            .jws
            .verify(self.query.algorithm, key)
            .map_err(|_| Rejection::new(Cause::TokenSignatureInvalid))?;
        let claims = self.jws.claims().map_err(malformed)?;
        let token = self.read_claims(&claims, rules, (&within_rules, &signature))?;
        token.check_time(rules.ahead, now).map(|ValidNow(())| token)
    }

    /// Whether the rules could accept the token at all, going by its header and `iss`: asked
    /// before a key is looked for.
    ///
    /// # Errors
    /// A [`Rejection`] with a `token.*` cause.
    pub fn acceptable(&self, rules: &IssuerRules) -> Result<(), Rejection> {
        self.check_rules(rules).map(|WithinRules(())| ())
    }

    fn check_rules(&self, rules: &IssuerRules) -> Result<WithinRules, Rejection> {
        if self.query.issuer != rules.issuer {
            return Err(Rejection::new(Cause::TokenIssuerUnknown)
                .expected(&rules.issuer)
                .got(&self.query.issuer));
        }
        if !rules.algorithms.contains(self.query.algorithm) {
            return Err(Rejection::new(Cause::TokenAlgUnacceptable)
                .expected(rules.algorithms.to_string())
                .got(self.query.algorithm.name()));
        }
        if self.query.kid.is_none() && !rules.leniency.missing_kid {
            return Err(missing("kid"));
        }
        if self.named_type == NamedType::Unspecific && !rules.leniency.missing_type {
            return Err(Rejection::new(Cause::TokenTyp)
                .expected(ACCESS_TOKEN_TYPE)
                .got("JWT or no typ"));
        }
        Ok(WithinRules(()))
    }

    /// Reads the claims of a token whose issuer is known and whose signature is good.
    fn read_claims(
        &self,
        claims: &json::Object<'_>,
        rules: &IssuerRules,
        _checked: (&WithinRules, &SignatureValid),
    ) -> Result<AccessToken, Rejection> {
        if self.named_type == NamedType::Unspecific {
            check_is_no_other_token(claims)?;
        }
        let lenient = rules.leniency;
        Ok(AccessToken {
            hash: self.hash,
            issuer: self.query.issuer.clone(),
            subject: text_claim(claims, "sub")?.to_owned(),
            client_id: optional_text(claims, "client_id", lenient.missing_client_id)?,
            audience: audience(claims)?,
            scope: scope(claims, &rules.scope_claim)?,
            token_id: optional_text(claims, "jti", lenient.missing_jti)?,
            issued_at: time_claim(claims, "iat")?,
            expires_at: time_claim(claims, "exp")?,
            not_before: optional_time(claims, "nbf")?,
            confirmation: Confirmation::read(claims)?,
            kid: self.query.kid.clone(),
            workload_key: None,
            proof_header: OnceLock::new(),
            source: TokenSource::Signature,
            delegation: Delegation::read(claims)?,
            key_storage: key_storage(claims)?,
            status: StatusClaim::read(claims),
        })
    }
}

impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken")
            .field("hash", &self.hash)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

/// An access token that its issuer vouched for, by a signature or by an answer, and whose claims
/// were checked. Holds no token text.
#[derive(Clone, Debug)]
pub struct AccessToken {
    pub(super) hash: TokenHash,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) client_id: Option<String>,
    pub(super) audience: Vec<String>,
    pub(super) scope: String,
    pub(super) token_id: Option<String>,
    pub(super) issued_at: UnixTime,
    pub(super) expires_at: UnixTime,
    pub(super) not_before: Option<UnixTime>,
    pub(super) confirmation: Confirmation,
    pub(super) kid: Option<String>,
    pub(super) source: TokenSource,
    pub(super) delegation: Delegation,
    pub(super) key_storage: Option<String>,
    pub(super) status: StatusClaim,
    pub(super) workload_key: Option<Arc<WorkloadKey>>,
    /// The header of the first good DPoP proof that came with the token.
    pub(super) proof_header: OnceLock<KnownHeader>,
}

/// How the issuer vouched for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// By its answer to a question about the token (RFC 7662, RFC 9701).
    Introspection,
    /// By its signature on the token (RFC 9068).
    Signature,
}

/// What a verified workload identity token says.
pub(crate) struct WorkloadClaims {
    pub(crate) hash: TokenHash,
    /// The trust domain as a URI.
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) token_id: Option<String>,
    pub(crate) issued_at: UnixTime,
    pub(crate) expires_at: UnixTime,
    pub(crate) not_before: Option<UnixTime>,
    pub(crate) kid: Option<String>,
    pub(crate) proven_by: WorkloadProvenBy,
}

/// What a workload shows possession of.
pub(crate) enum WorkloadProvenBy {
    /// The key an identity token names.
    Key(Arc<WorkloadKey>),
    /// The certificate that is its credential.
    Certificate(CertificateThumbprint),
}

impl AccessToken {
    /// A workload's credential like others: issued by its trust domain, for no audience and no
    /// scope, bound to the workload's key or certificate.
    pub(crate) fn of_workload(claims: WorkloadClaims) -> Self {
        let (confirmation, workload_key) = match claims.proven_by {
            WorkloadProvenBy::Key(key) => (Confirmation::to_key(key.key().clone()), Some(key)),
            WorkloadProvenBy::Certificate(thumbprint) => {
                (Confirmation::to_certificate(thumbprint), None)
            }
        };
        Self {
            hash: claims.hash,
            issuer: claims.issuer,
            subject: claims.subject,
            client_id: None,
            audience: Vec::new(),
            scope: String::new(),
            token_id: claims.token_id,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            not_before: claims.not_before,
            confirmation,
            kid: claims.kid,
            source: TokenSource::Signature,
            delegation: Delegation::default(),
            key_storage: None,
            status: StatusClaim::Absent,
            workload_key,
            proof_header: OnceLock::new(),
        }
    }

    /// The workload's key, if this is a workload identity token: what its proofs are signed
    /// with. Such a token is taken only where one is presented as such, never as an access
    /// token.
    #[must_use]
    pub fn workload_key(&self) -> Option<&WorkloadKey> {
        self.workload_key.as_deref()
    }

    /// The header of a proof that was good with this token, if there was one.
    pub(crate) fn proof_header(&self) -> Option<&KnownHeader> {
        self.proof_header.get()
    }

    /// Keeps the header of the first proof by the key the token is bound to. Nobody else can
    /// fill it, so it costs a token one header at most.
    pub(crate) fn keep_proof_header(&self, header: impl FnOnce() -> KnownHeader) {
        self.proof_header.get_or_init(header);
    }

    /// SHA-256 of the token's text.
    #[must_use]
    pub const fn hash(&self) -> TokenHash {
        self.hash
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub`: the identity.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `client_id`; absent only where the issuer's rules allow it.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// `aud`, as a list.
    #[must_use]
    pub fn audience(&self) -> &[String] {
        &self.audience
    }

    /// `scope`, as the token has it: names separated by spaces.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Whether `scope` contains this name.
    #[must_use]
    pub fn has_scope(&self, name: &str) -> bool {
        self.scope.split(' ').any(|scope| scope == name)
    }

    /// `jti`, the token's non-secret handle; absent only where the issuer's rules allow it.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// `iat`.
    #[must_use]
    pub const fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// `exp`: the first second at which the token is no longer valid.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// `cnf`.
    #[must_use]
    pub const fn confirmation(&self) -> &Confirmation {
        &self.confirmation
    }

    /// The `kid` of the issuer key that signed the token.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// How the issuer vouched for the token.
    #[must_use]
    pub const fn source(&self) -> TokenSource {
        self.source
    }

    /// How the token is bound, as its `cnf` says; `None` if to nothing. A token bound to a key
    /// and to a certificate counts by its key.
    #[must_use]
    pub const fn binding_method(&self) -> Option<BindingMethod> {
        if self.workload_key.is_some() {
            return Some(BindingMethod::Wimse);
        }
        match (self.confirmation.key(), self.confirmation.certificate()) {
            (Some(KeyBinding::Thumbprint(_)), _) => Some(BindingMethod::Dpop),
            (Some(KeyBinding::Key(_)), _) => Some(BindingMethod::HttpSignature),
            (None, Some(_)) => Some(BindingMethod::Mtls),
            (None, None) => None,
        }
    }

    /// Where the bound key is kept, if the issuer said so ([`KEY_STORAGE`](super::KEY_STORAGE)).
    #[must_use]
    pub fn key_storage(&self) -> Option<&str> {
        self.key_storage.as_deref()
    }

    /// `act`: who acts for the subject, the current actor first (RFC 8693 section 4.1). Empty
    /// where nobody does.
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.delegation.actors
    }

    /// Handles of the tokens and grants this one descends from, the root first. Whoever refuses
    /// one of them refuses this token.
    #[must_use]
    pub fn ancestors(&self) -> &[String] {
        &self.delegation.ancestors
    }

    /// How the token came about.
    #[must_use]
    pub const fn delegation(&self) -> &Delegation {
        &self.delegation
    }

    /// `status`: the place in a status list that says whether the token still counts. Looked up
    /// only where the issuer's rules ask for it.
    #[must_use]
    pub const fn status(&self) -> &StatusClaim {
        &self.status
    }

    /// `exp`, `nbf`, `iat` against now (RFC 9068 section 4, RFC 7519 section 4.1). `exp` has
    /// no leeway: a token is never used beyond it.
    pub(crate) fn check_time(&self, ahead: u64, now: UnixTime) -> Result<ValidNow, Rejection> {
        if now >= self.expires_at {
            return Err(Rejection::new(Cause::TokenExpired)
                .expected(format!("before {}", self.expires_at.as_secs()))
                .got(now.as_secs().to_string()));
        }
        let latest = now.plus(ahead);
        if self.issued_at > latest
            || self
                .not_before
                .is_some_and(|not_before| not_before > latest)
        {
            return Err(Rejection::new(Cause::TokenNotYetValid));
        }
        Ok(ValidNow(()))
    }

    /// Exact comparison with each member of `aud` (RFC 9068 section 4).
    pub(crate) fn check_audience(&self, resource: &str) -> Result<ForThisResource, Rejection> {
        if self.audience.iter().any(|audience| audience == resource) {
            return Ok(ForThisResource(()));
        }
        Err(Rejection::new(Cause::TokenAudienceMismatch)
            .expected(resource)
            .got(self.audience.join(" ")))
    }
}

/// Says that issuer, algorithm, `kid` and `typ` are as the rules want them.
struct WithinRules(());

/// Says that the token was valid at the moment of the check.
#[derive(Debug)]
pub(crate) struct ValidNow(());

/// Says that the token is meant for the resource of the route.
#[derive(Debug)]
pub(crate) struct ForThisResource(());

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other fault of the form has the one cause for malformed tokens"
)]
fn malformed(error: JwsError) -> Rejection {
    let cause = match error {
        JwsError::Critical | JwsError::UnencodedPayload => Cause::TokenCritical,
        JwsError::Algorithm(_) => Cause::TokenAlgUnacceptable,
        JwsError::TooLarge => Cause::TokenSize,
        _ => Cause::TokenMalformed,
    };
    Rejection::new(cause).got(error.to_string())
}

/// RFC 9068 section 4: `at+jwt` or `application/at+jwt`. `JWT` and nothing at all are what some
/// issuers write instead, which their rules have to allow; anything else is another kind of
/// token. Media types compare without regard to case.
fn named_type(typ: Option<&str>) -> Result<NamedType, Rejection> {
    let Some(typ) = typ else {
        return Ok(NamedType::Unspecific);
    };
    let bare = match typ.split_once('/') {
        Some((kind, rest)) if kind.eq_ignore_ascii_case("application") => rest,
        _ => typ,
    };
    if bare.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE) {
        return Ok(NamedType::AccessToken);
    }
    if bare.eq_ignore_ascii_case("JWT") {
        return Ok(NamedType::Unspecific);
    }
    Err(Rejection::new(Cause::TokenTyp)
        .expected(ACCESS_TOKEN_TYPE)
        .got(typ))
}

/// A token whose header does not say what it is may say so in its claims: ID tokens carry
/// hashes of what they came with (OpenID Connect Core sections 3.1.3.6 and 3.3.2.11), and
/// issuers that sign everything as `JWT` name the kind in `typ` or `token_use`.
fn check_is_no_other_token(claims: &json::Object<'_>) -> Result<(), Rejection> {
    let other = |kind: &str| {
        Err(Rejection::new(Cause::TokenTyp)
            .expected(ACCESS_TOKEN_TYPE)
            .got(kind))
    };
    for member in ["at_hash", "c_hash", "s_hash", "events"] {
        if claims.contains(member) {
            return other(member);
        }
    }
    for (member, own) in [("typ", &["bearer", "dpop"][..]), ("token_use", &["access"])] {
        let named = claims.string(member).map_err(|_| missing(member))?;
        if let Some(kind) = named
            && !own.iter().any(|own| kind.eq_ignore_ascii_case(own))
        {
            return other(kind);
        }
    }
    Ok(())
}
