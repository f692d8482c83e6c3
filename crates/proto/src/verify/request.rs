//! The states of one request at a resource server. See the module above for the order.

use std::fmt;
use std::sync::Arc;

use super::Profile;
use super::presented::{Presented, Scheme, credentials, proof_text};
use super::replay::{Recorded, ReplayHashKey, ReplayQuery};
use crate::cause::Cause;
use crate::dpop::proof::{Ath, ProofRules};
use crate::dpop::{NoncePolicy, Proof, ProofWindow};
use crate::jose::{Jkt, SignatureValid};
use crate::rejection::Rejection;
use crate::time::UnixTime;
use crate::token::{
    AccessToken, ForThisResource, ProvenKey, SenderConstraint, TokenHash, UnverifiedToken, ValidNow,
};

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
    pub fn bare_token(&self, profile: &Profile) -> Result<UnverifiedToken<'a>, Rejection> {
        UnverifiedToken::parse_with_hash(self.token, self.hash, profile.max_token_bytes)
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
        self.begin_unnamed(profile, known.is_some(), nonces, now)
            .map_err(about)
    }

    fn begin_unnamed(
        self,
        profile: &Profile,
        known: bool,
        nonces: &NoncePolicy<'_>,
        now: UnixTime,
    ) -> Result<Unkeyed<'a>, Rejection> {
        let proof = match self.scheme {
            Scheme::Bearer => None,
            Scheme::Dpop => Some(proof_text(self.presented.proof, profile.max_proof_bytes)?),
        };
        let unverified = if known {
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
        };
        let proof = proof
            .map(|text| Proof::read(text, &rules, now))
            .transpose()?;
        Ok(Unkeyed {
            hash: self.hash,
            unverified,
            proof,
            window: profile.window,
        })
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
    unverified: Option<UnverifiedToken<'a>>,
    proof: Option<Proof<'a>>,
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
}

impl<'a> Unkeyed<'a> {
    /// The token that is to be verified; `None` if it was known.
    #[must_use]
    pub const fn unverified(&self) -> Option<&UnverifiedToken<'a>> {
        self.unverified.as_ref()
    }

    /// Checks the token for this route, then `ath`, then that the proof's key is the token's,
    /// then the proof's signature (RFC 9449 section 7.1).
    ///
    /// # Errors
    /// A [`Rejection`] about this token.
    pub fn with_token<'r>(
        self,
        token: Arc<AccessToken>,
        requirements: &Requirements<'r>,
        now: UnixTime,
    ) -> Result<Unjudged<'r>, Rejection> {
        let window = self.window;
        match self.prove(&token, requirements, now) {
            Ok((proof, checked)) => Ok(Unjudged {
                token,
                proof,
                window,
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
    ) -> Result<(ProvenProof, Checked), Rejection> {
        if token.hash() != self.hash {
            // Another token's verification says nothing about this one.
            return Err(Cause::TokenSignatureInvalid.into());
        }
        let taken_here = check_issuer(token, requirements.issuers)?;
        let valid_now = token.check_time(self.window.ahead, now)?;
        let for_this_resource = token.check_audience(requirements.audience)?;
        let bound_to = token.confirmation().jkt();
        let proof = match (self.proof, bound_to) {
            (None, Some(_)) => return Err(Cause::TokenSchemeDowngrade.into()),
            (_, None) => return Err(Cause::TokenUnbound.into()),
            (Some(proof), Some(_)) => proof,
        };
        let nonce_held = check_client_nonce(token, &proof, requirements.nonce_clients)?;
        let made_for_token = check_ath(&proof, self.hash)?;
        let same_key = check_key(&proof, bound_to)?;
        let signature = proof.verify_signature()?;
        let proven = ProvenProof {
            jkt: proof.jkt(),
            jti: proof.jti,
            iat: proof.iat,
            recent_nonce: proof.nonce.is_some(),
        };
        let checked = Checked {
            _taken_here: taken_here,
            _nonce_held: nonce_held,
            _valid_now: valid_now,
            _for_this_resource: for_this_resource,
            _made_for_token: made_for_token,
            _same_key: same_key,
            _signature: signature,
        };
        Ok((proven, checked))
    }
}

/// What remains of a proof whose signature was verified.
#[derive(Debug)]
struct ProvenProof {
    jkt: Jkt,
    jti: String,
    iat: UnixTime,
    recent_nonce: bool,
}

impl ProvenProof {
    /// The keyed hash is the dear part, so this is asked once a request.
    fn replay_query(&self, window: ProofWindow, key: &ReplayHashKey) -> ReplayQuery {
        key.query_for_proof(
            self.jkt,
            &self.jti,
            (self.iat, window.end(self.iat)),
            self.recent_nonce,
        )
    }
}

/// One value per check; a check that is left out leaves a field empty, and that does not compile.
#[derive(Debug)]
struct Checked {
    _taken_here: IssuerTaken,
    _nonce_held: NonceHeld,
    _valid_now: ValidNow,
    _for_this_resource: ForThisResource,
    _made_for_token: MadeForToken,
    _same_key: SameKey,
    _signature: SignatureValid,
}

/// Says that the route takes tokens of this issuer.
#[derive(Debug)]
struct IssuerTaken(());

/// Says that a client which must use nonces did.
#[derive(Debug)]
struct NonceHeld(());

#[derive(Debug)]
struct MadeForToken(());

#[derive(Debug)]
struct SameKey(());

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

fn check_client_nonce(
    token: &AccessToken,
    proof: &Proof<'_>,
    clients: &[String],
) -> Result<NonceHeld, Rejection> {
    let demanded = token
        .client_id()
        .is_some_and(|client| clients.iter().any(|named| named == client));
    if demanded && proof.nonce.is_none() {
        return Err(Cause::DpopNonceAbsent.into());
    }
    Ok(NonceHeld(()))
}

/// RFC 9449 section 4.3 (12), first half.
fn check_ath(proof: &Proof<'_>, token: TokenHash) -> Result<MadeForToken, Rejection> {
    match proof.ath {
        Ath::Absent => Err(Cause::DpopAthAbsent.into()),
        Ath::Hash(hash) if hash == token => Ok(MadeForToken(())),
        Ath::Hash(_) | Ath::Malformed => {
            Err(Rejection::new(Cause::DpopAthMismatch).expected(token.to_ath()))
        }
    }
}

/// RFC 9449 section 4.3 (12), second half.
fn check_key(proof: &Proof<'_>, bound_to: Option<Jkt>) -> Result<SameKey, Rejection> {
    match bound_to {
        Some(jkt) if jkt == proof.jkt() => Ok(SameKey(())),
        Some(jkt) => Err(Rejection::new(Cause::TokenKeyMismatch)
            .expected(jkt.to_string())
            .got(proof.jkt().to_string())),
        None => Err(Cause::TokenUnbound.into()),
    }
}

/// Possession is proven. Wants to know of no revocation, then checks the scope.
#[derive(Debug)]
pub struct Unjudged<'r> {
    token: Arc<AccessToken>,
    proof: ProvenProof,
    window: ProofWindow,
    scopes: &'r [String],
    checked: Checked,
}

/// What a view of revocations is asked: every name the token can be refused by.
#[derive(Clone, Debug)]
pub struct RevocationQuery {
    /// The verified token: issuer, handle, hash, identity.
    pub token: Arc<AccessToken>,
    /// The proven key.
    pub jkt: Jkt,
}

/// The answer "not revoked and not locked" to one [`RevocationQuery`].
#[derive(Debug)]
pub struct NotRevoked {
    token: TokenHash,
    jkt: Jkt,
}

impl NotRevoked {
    /// For revocation views only: nothing the query names is revoked or locked, and the view
    /// is as fresh as it promises to be.
    #[must_use]
    pub fn assertion(query: &RevocationQuery) -> Self {
        Self {
            token: query.token.hash(),
            jkt: query.jkt,
        }
    }
}

impl Unjudged<'_> {
    /// What to ask the view of revocations.
    #[must_use]
    pub fn revocation_query(&self) -> RevocationQuery {
        RevocationQuery {
            token: Arc::clone(&self.token),
            jkt: self.proof.jkt,
        }
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
        if not_revoked.token != self.token.hash() || not_revoked.jkt != self.proof.jkt {
            return Err(Rejection::new(Cause::TokenRevoked).about(self.token));
        }
        match check_scope(&self.token, self.scopes) {
            Ok(in_scope) => Ok(Unredeemed {
                query: self.proof.replay_query(self.window, key),
                jkt: self.proof.jkt,
                token: self.token,
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

/// Everything holds. Wants the record that this proof was not used before.
#[derive(Debug)]
pub struct Unredeemed {
    token: Arc<AccessToken>,
    jkt: Jkt,
    query: ReplayQuery,
    checked: Checked,
    in_scope: InScope,
}

impl Unredeemed {
    /// The record to insert.
    #[must_use]
    pub const fn replay_query(&self) -> ReplayQuery {
        self.query
    }

    /// The verified token, for refusals that happen between two steps.
    #[must_use]
    pub const fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }

    /// Takes the log's answer. A record of another proof is refused.
    ///
    /// # Errors
    /// `dpop.replayed` if the record is not this proof's.
    pub fn redeem(self, recorded: Recorded) -> Result<Verified, Rejection> {
        if *recorded.query() != self.query {
            return Err(Rejection::new(Cause::DpopReplayed).about(self.token));
        }
        Ok(Verified {
            constraint: SenderConstraint::Dpop(ProvenKey::assertion(self.jkt)),
            token: self.token,
            _checked: self.checked,
            _in_scope: self.in_scope,
            _recorded: recorded,
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
///     let recorded = Recorded::assertion(unredeemed.replay_query());
///     unredeemed.redeem(recorded).ok()
/// }
/// ```
#[derive(Debug)]
pub struct Verified {
    token: Arc<AccessToken>,
    constraint: SenderConstraint,
    _checked: Checked,
    _in_scope: InScope,
    _recorded: Recorded,
}

impl Verified {
    /// The caller's token.
    #[must_use]
    pub const fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }

    /// The key whose possession was proven for this request.
    #[must_use]
    pub const fn jkt(&self) -> Jkt {
        self.constraint.jkt()
    }

    /// The witness that possession was proven.
    #[must_use]
    pub const fn constraint(&self) -> &SenderConstraint {
        &self.constraint
    }

    /// The same names a revocation is looked up by: long answers ask again while they run.
    #[must_use]
    pub fn revocation_query(&self) -> RevocationQuery {
        RevocationQuery {
            token: Arc::clone(&self.token),
            jkt: self.jkt(),
        }
    }
}
