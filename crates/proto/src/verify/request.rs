//! The states of one request at a resource server. See the module above for the order.

use std::fmt;
use std::sync::Arc;

use super::Profile;
use super::possession::{Certificate, Possession, Proven, Sent, Shown, prove};
use super::presented::{Presented, Scheme, credentials, proof_text};
use super::replay::{Recorded, ReplayHashKey, ReplayQuery};
use crate::binding::BindingMethods;
use crate::cause::Cause;
use crate::certificate::CertificateThumbprint;
use crate::dpop::proof::ProofRules;
use crate::dpop::{NoncePolicy, Proof, ProofWindow};
use crate::jose::Jkt;
use crate::rejection::Rejection;
use crate::signature::profile::presentation;
use crate::signature::{ContentIntact, ExpectedDigest, HttpSignature, SignatureAlgorithms};
use crate::time::UnixTime;
use crate::token::{
    AccessToken, CertificateBinding, ForThisResource, PresentedToken, TokenHash, ValidNow,
};
use crate::workload::{IdentityTaken, X509Svid};

/// Headers whose form was checked. Wants the answer to "is this token known?", then
/// [`Received::begin`].
pub struct Received<'a> {
    presented: Presented<'a>,
    scheme: Scheme,
    token: &'a [u8],
    hash: TokenHash,
}

impl<'a> Received<'a> {
    /// Reads the `Authorization` header (RFC 9449 section 7.1, RFC 6750 section 2.1).
    ///
    /// # Errors
    /// A [`Rejection`] with an `authorization.*` cause or `token.size`.
    pub fn read(profile: &Profile, presented: Presented<'a>) -> Result<Self, Rejection> {
        let (scheme, token) = credentials(presented.authorization, profile.max_token_bytes)?;
        Ok(Self {
            presented,
            scheme,
            token,
            hash: TokenHash::of(token),
        })
    }

    /// SHA-256 of the presented token: the key of a cache of verified tokens.
    #[must_use]
    pub const fn token_hash(&self) -> TokenHash {
        self.hash
    }

    /// The token alone, in case a refusal of this request should say whether the token was
    /// genuine. Verifying it permits nothing.
    ///
    /// # Errors
    /// A [`Rejection`] with a `token.*` cause if it does not even have the form.
    pub fn bare_token(&self, profile: &Profile) -> Result<PresentedToken<'a>, Rejection> {
        let limits = (profile.max_token_bytes, profile.opaque_tokens);
        PresentedToken::parse_with_hash(self.token, self.hash, limits)
    }

    /// Checks the forms of token and proof, then the proof's claims against the request
    /// (RFC 9449 section 4.3). A token that is `known`, that is: was verified before, has the
    /// right form and is not parsed again.
    ///
    /// # Errors
    /// A [`Rejection`] with a `dpop.*` or `token.*` cause, about the known token if there is one.
    pub fn begin(
        self,
        profile: &Profile,
        known: Option<&Arc<AccessToken>>,
        nonces: &NoncePolicy<'_>,
        now: UnixTime,
    ) -> Result<Unkeyed<'a>, Rejection> {
        let known = known.filter(|token| token.hash() == self.hash);
        let about = |rejection: Rejection| match known {
            Some(token) => rejection.about(Arc::clone(token)),
            None => rejection,
        };
        self.begin_unnamed(profile, known.map(AsRef::as_ref), nonces, now)
            .map_err(about)
    }

    fn begin_unnamed(
        self,
        profile: &Profile,
        known: Option<&AccessToken>,
        nonces: &NoncePolicy<'_>,
        now: UnixTime,
    ) -> Result<Unkeyed<'a>, Rejection> {
        let proof = match self.scheme {
            Scheme::Bearer | Scheme::HttpSignature => None,
            Scheme::Dpop => Some(proof_text(self.presented.proof, profile.max_proof_bytes)?),
        };
        let unverified = if known.is_some() {
            None
        } else {
            Some(self.bare_token(profile)?)
        };
        let rules = ProofRules {
            method: self.presented.method,
            target: self.presented.target,
            algorithms: profile.proof_algorithms,
            window: profile.window,
            max_bytes: profile.max_proof_bytes,
            nonces: *nonces,
            known_header: known.and_then(AccessToken::proof_header),
        };
        let shown = match (proof, self.scheme) {
            (Some(text), _) => Shown::Dpop(Proof::read(text, &rules, now)?),
            (None, Scheme::HttpSignature) => {
                Shown::HttpSignature(Box::new(self.read_signature(profile, now)?))
            }
            (None, Scheme::Bearer | Scheme::Dpop) => Shown::Nothing,
        };
        Ok(Unkeyed {
            hash: self.hash,
            unverified,
            sent: Sent {
                shown,
                certificate: Certificate::of(&self.presented.message),
                svid: None,
                has_content: self.presented.message.has_content,
            },
            window: profile.window,
        })
    }
}

impl Received<'_> {
    /// The signature that presents the token (draft-richer-oauth-httpsig section 7).
    fn read_signature(&self, profile: &Profile, now: UnixTime) -> Result<HttpSignature, Rejection> {
        let request = self.presented.message.signed_request(self.presented.method);
        let algorithms = SignatureAlgorithms::from_jose(profile.proof_algorithms);
        let rules = presentation(profile.window, algorithms);
        HttpSignature::read(&rules, request.ok_or(Cause::HttpsigAbsent)?, now)
    }
}

impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("scheme", &self.scheme)
            .field("token", &self.hash)
            .finish_non_exhaustive()
    }
}

/// Forms and proof claims are in order. Wants the verified token.
#[derive(Debug)]
pub struct Unkeyed<'a> {
    hash: TokenHash,
    unverified: Option<PresentedToken<'a>>,
    sent: Sent<'a>,
    window: ProofWindow,
}

/// What a route demands of the token.
#[derive(Clone, Copy, Debug)]
pub struct Requirements<'a> {
    /// The route's resource; must be in `aud`, exactly.
    pub audience: &'a str,
    /// Issuers taken on this route; `None` takes every one the verifier knows.
    pub issuers: Option<&'a [String]>,
    /// Scopes this request needs, all of them.
    pub scopes: &'a [String],
    /// Clients that must use a nonce although the route does not demand one of all.
    pub nonce_clients: &'a [String],
    /// How a token taken here may be bound.
    pub methods: BindingMethods,
    /// Whether the proof of a request with content has to cover it: an HTTP signature by
    /// `content-digest`, a DPoP proof by the claim `content_digest` with the same value.
    pub cover_content: bool,
}

impl<'a> Unkeyed<'a> {
    /// The token that is to be verified; `None` if it was known.
    #[must_use]
    pub const fn unverified(&self) -> Option<&PresentedToken<'a>> {
        self.unverified.as_ref()
    }

    /// Adds what a trust domain says of the connection's certificate: a token may let it stand in
    /// for the one it was issued for ([`crate::token::RENEWAL`]).
    #[must_use]
    pub fn with_svid(self, svid: X509Svid) -> Self {
        let sent = Sent {
            svid: Some(svid),
            ..self.sent
        };
        Self { sent, ..self }
    }

    /// Checks the token for this route, then possession of everything its `cnf` names: that the
    /// proof was made for this token (`ath`), that its key is the token's, the proof's signature
    /// (RFC 9449 section 7.1), and the connection's certificate (RFC 8705 section 3).
    ///
    /// # Errors
    /// A [`Rejection`] about this token.
    pub fn with_token<'r>(
        self,
        token: Arc<AccessToken>,
        requirements: &Requirements<'r>,
        now: UnixTime,
    ) -> Result<Unjudged<'r>, Rejection> {
        match self.prove(&token, requirements, now) {
            Ok((proven, checked)) => Ok(Unjudged {
                token,
                proven,
                scopes: requirements.scopes,
                checked,
            }),
            Err(rejection) => Err(rejection.about(token)),
        }
    }

    fn prove(
        self,
        token: &AccessToken,
        requirements: &Requirements<'_>,
        now: UnixTime,
    ) -> Result<(Proven, Checked), Rejection> {
        if token.hash() != self.hash {
            // Another token's verification says nothing about this one.
            return Err(Cause::TokenSignatureInvalid.into());
        }
        let checked = Checked::token(
            check_issuer(token, requirements.issuers)?,
            token.check_time(self.window.ahead, now)?,
            token.check_audience(requirements.audience)?,
        );
        let times = (self.window, now);
        let proven = prove(self.sent, token, requirements, times)?;
        Ok((proven, checked))
    }
}

/// Made of one value per check; a check that is left out leaves an argument empty, and that does
/// not compile.
#[derive(Debug)]
pub(super) struct Checked(());

impl Checked {
    /// Of an access token.
    const fn token(_: IssuerTaken, _: ValidNow, _: ForThisResource) -> Self {
        Self(())
    }

    /// Of a workload that presents itself.
    pub(super) const fn workload(_: ValidNow, _: IdentityTaken) -> Self {
        Self(())
    }
}

/// Says that the route takes tokens of this issuer.
#[derive(Debug)]
pub(super) struct IssuerTaken(());

#[derive(Debug)]
struct InScope(());

fn check_issuer(token: &AccessToken, issuers: Option<&[String]>) -> Result<IssuerTaken, Rejection> {
    match issuers {
        Some(issuers) if !issuers.iter().any(|issuer| issuer == token.issuer()) => {
            Err(Rejection::new(Cause::TokenIssuerUnknown).got(token.issuer()))
        }
        Some(_) | None => Ok(IssuerTaken(())),
    }
}

/// Possession is proven. Wants to know of no revocation, then checks the scope.
#[derive(Debug)]
pub struct Unjudged<'r> {
    token: Arc<AccessToken>,
    proven: Proven,
    scopes: &'r [String],
    checked: Checked,
}

/// What a view of revocations is asked: every name the token can be refused by.
#[derive(Clone, Debug)]
pub struct RevocationQuery {
    /// The verified token: issuer, handle, hash, identity.
    pub token: Arc<AccessToken>,
    /// The proven key: the one that signed, else the certificate's.
    pub jkt: Option<Jkt>,
    /// The proven certificate.
    pub certificate: Option<CertificateThumbprint>,
}

impl RevocationQuery {
    fn new(token: &Arc<AccessToken>, possession: Possession) -> Self {
        Self {
            token: Arc::clone(token),
            jkt: possession.jkt(),
            certificate: possession.certificate(),
        }
    }

    /// Every thumbprint a lock on a key or a certificate may have: of the proven and of the bound
    /// key, of the proven and of the bound certificate. Some may be the same.
    pub fn keys(&self) -> impl Iterator<Item = Jkt> {
        let cnf = self.token.confirmation();
        let bound_certificate = cnf.certificate().map(CertificateBinding::thumbprint);
        let certificates = [self.certificate, bound_certificate];
        let certificates = certificates.map(|found| found.map(|found| found.as_key()));
        [self.jkt, cnf.jkt()]
            .into_iter()
            .chain(certificates)
            .flatten()
    }
}

/// The answer "not revoked and not locked" to one [`RevocationQuery`].
#[derive(Debug)]
pub struct NotRevoked {
    token: TokenHash,
    jkt: Option<Jkt>,
    certificate: Option<CertificateThumbprint>,
}

impl NotRevoked {
    /// For revocation views only: nothing the query names is revoked or locked, and the view
    /// is as fresh as it promises to be.
    #[must_use]
    pub fn assertion(query: &RevocationQuery) -> Self {
        Self {
            token: query.token.hash(),
            jkt: query.jkt,
            certificate: query.certificate,
        }
    }

    fn is_about(&self, token: &AccessToken, possession: Possession) -> bool {
        self.token == token.hash()
            && self.jkt == possession.jkt()
            && self.certificate == possession.certificate()
    }
}

impl<'r> Unjudged<'r> {
    pub(super) const fn new(
        token: Arc<AccessToken>,
        proven: Proven,
        scopes: &'r [String],
        checked: Checked,
    ) -> Self {
        Self {
            token,
            proven,
            scopes,
            checked,
        }
    }
}

impl Unjudged<'_> {
    /// What to ask the view of revocations.
    #[must_use]
    pub fn revocation_query(&self) -> RevocationQuery {
        RevocationQuery::new(&self.token, self.proven.possession)
    }

    /// The verified token, for refusals that happen between two steps.
    #[must_use]
    pub const fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }

    /// Takes the view's answer, then checks the scope (RFC 6750 section 3.1). What is left to
    /// ask is the replay log; its question is made here, under the log's `key`, and kept, so
    /// that its answer can be held against it.
    ///
    /// # Errors
    /// `scope.insufficient`; `token.revoked` if the answer is about another token.
    pub fn judge(
        self,
        not_revoked: &NotRevoked,
        key: &ReplayHashKey,
    ) -> Result<Unredeemed, Rejection> {
        if !not_revoked.is_about(&self.token, self.proven.possession) {
            return Err(Rejection::new(Cause::TokenRevoked).about(self.token));
        }
        match check_scope(&self.token, self.scopes) {
            Ok(in_scope) => Ok(Unredeemed {
                // The keyed hash is the dear part, so this is asked once a request.
                query: self.proven.replay_query(key),
                token: self.token,
                proven: self.proven,
                checked: self.checked,
                in_scope,
            }),
            Err(rejection) => Err(rejection.about(self.token)),
        }
    }
}

fn check_scope(token: &AccessToken, needed: &[String]) -> Result<InScope, Rejection> {
    match needed.iter().find(|scope| !token.has_scope(scope)) {
        None => Ok(InScope(())),
        Some(scope) => Err(Rejection::new(Cause::ScopeInsufficient)
            .expected(scope)
            .got(token.scope())),
    }
}

/// Everything holds. Wants the record that this proof was not used before, where there is a
/// proof that could be used again.
#[derive(Debug)]
pub struct Unredeemed {
    token: Arc<AccessToken>,
    proven: Proven,
    query: Option<ReplayQuery>,
    checked: Checked,
    in_scope: InScope,
}

impl Unredeemed {
    /// The record to insert. `None` where possession was proven by the connection alone: a TLS
    /// handshake cannot be replayed.
    #[must_use]
    pub const fn replay_query(&self) -> Option<ReplayQuery> {
        self.query
    }

    /// The verified token, for refusals that happen between two steps.
    #[must_use]
    pub const fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }

    /// What the request's content must hash to, where the signature covers a digest: to be
    /// checked before the record is made and before anybody sees a byte of it.
    #[must_use]
    pub const fn expected_content(&self) -> Option<&ExpectedDigest> {
        self.proven.content.as_ref()
    }

    /// The refusal where the log has the record already, or cannot know whether it had: each kind
    /// of proof has its own.
    #[must_use]
    pub fn refusal_of(&self, refused: Cause) -> Cause {
        self.proven.refusal_of(refused)
    }

    /// Takes the log's answer to [`Unredeemed::replay_query`]. No answer where there was a
    /// question, or a record of another proof, is refused. So is content nobody checked, where
    /// it had to be.
    ///
    /// # Errors
    /// `dpop.replayed` and its kin if the record is not this proof's; `digest.mismatch`.
    pub fn redeem(
        self,
        recorded: Option<Recorded>,
        content: Option<ContentIntact>,
    ) -> Result<Verified, Rejection> {
        if self.expected_content().is_some() && content.is_none() {
            return Err(Rejection::new(Cause::DigestMismatch).about(self.token));
        }
        if recorded.as_ref().map(Recorded::query) != self.query.as_ref() {
            let cause = self.refusal_of(Cause::DpopReplayed);
            return Err(Rejection::new(cause).about(self.token));
        }
        Ok(Verified {
            token: self.token,
            proven: self.proven,
            _checked: self.checked,
            _in_scope: self.in_scope,
            _recorded: recorded,
            _content: content,
        })
    }
}

/// A request whose every check succeeded. Nobody else can make one:
///
/// ```compile_fail
/// use keybound_proto::verify::Verified;
/// fn forge(token: std::sync::Arc<keybound_proto::token::AccessToken>) -> Verified {
///     Verified { token }
/// }
/// ```
///
/// ```compile_fail
/// use keybound_proto::verify::{Unredeemed, Verified};
/// fn skip_the_replay_log(unredeemed: Unredeemed) -> Verified {
///     unredeemed.redeem()
/// }
/// ```
///
/// The paved path compiles:
///
/// ```
/// use keybound_proto::verify::{Recorded, Unredeemed, Verified};
/// fn redeem(unredeemed: Unredeemed) -> Option<Verified> {
///     let recorded = unredeemed.replay_query().map(Recorded::assertion);
///     // There is no content to be checked here; where there is, this refuses.
///     unredeemed.redeem(recorded, None).ok()
/// }
/// ```
#[derive(Debug)]
pub struct Verified {
    token: Arc<AccessToken>,
    proven: Proven,
    _checked: Checked,
    _in_scope: InScope,
    _recorded: Option<Recorded>,
    _content: Option<ContentIntact>,
}

impl Verified {
    /// The caller's token.
    #[must_use]
    pub const fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }

    /// How possession was proven for this request.
    #[must_use]
    pub const fn possession(&self) -> Possession {
        self.proven.possession
    }

    /// The key whose possession was proven for this request; see [`Possession::jkt`].
    #[must_use]
    pub const fn jkt(&self) -> Option<Jkt> {
        self.possession().jkt()
    }

    /// The same names a revocation is looked up by: long answers ask again while they run.
    #[must_use]
    pub fn revocation_query(&self) -> RevocationQuery {
        RevocationQuery::new(&self.token, self.possession())
    }
}
