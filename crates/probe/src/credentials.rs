//! What the probe may present.

use std::fmt;
use std::sync::Arc;

use keybound_holder::Secret;
use keybound_proto::jose::Signer;
use keybound_proto::time::UnixTime;

use crate::error::ProbeError;
use crate::jwt::JwtDraft;

/// A token and the key it is bound to.
#[derive(Clone)]
pub struct BoundToken {
    /// The access token.
    pub token: Secret,
    /// The key in its `cnf`.
    pub key: Arc<dyn Signer>,
}

impl fmt::Debug for BoundToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundToken").finish_non_exhaustive()
    }
}

/// A key the target trusts as an issuer's, so that the probe can make tokens of every kind.
/// For test environments: whoever has this key can make any token.
#[derive(Clone)]
pub struct TokenIssuer {
    /// `iss` of the tokens.
    pub issuer: String,
    /// `aud` of the tokens: the target's resource identifier.
    pub audience: String,
    /// `kid` of the key, if the target needs one.
    pub kid: Option<String>,
    /// The scope the target asks for; empty for none.
    pub scope: String,
    /// Signs.
    pub key: Arc<dyn Signer>,
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl TokenIssuer {
    /// A good access token bound to `key`, for as long as a run may take.
    ///
    /// # Errors
    /// [`ProbeError::Input`] when the key does not sign.
    pub fn issue(&self, key: &dyn Signer, now: UnixTime) -> Result<Secret, ProbeError> {
        let mut token = self.token(key, now);
        token.claim("exp", now.plus(3600).as_secs());
        token.seal().map(Secret::new).map_err(ProbeError::Input)
    }

    /// A good access token (RFC 9068) bound to `key`.
    pub(crate) fn token(&self, key: &dyn Signer, now: UnixTime) -> JwtDraft {
        let mut token = JwtDraft::new("at+jwt", &self.key);
        if let Some(kid) = &self.kid {
            token.member("kid", kid.as_str());
        }
        let jkt = key.public_key().thumbprint().to_string();
        token.claim("iss", self.issuer.as_str());
        token.claim("sub", "keybound-probe");
        token.claim("client_id", "keybound-probe");
        token.claim("aud", self.audience.as_str());
        token.claim("iat", now.as_secs());
        token.claim("exp", now.plus(300).as_secs());
        token.claim("jti", crate::draft::unique());
        token.claim("cnf", serde_json::json!({"jkt": jkt}));
        if !self.scope.is_empty() {
            token.claim("scope", self.scope.as_str());
        }
        token
    }
}

/// What the probe may present at a resource server. The more there is, the more is decided.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Good for the target.
    pub bound: BoundToken,
    /// Good for the target and bound to another key: another client's.
    pub other: Option<BoundToken>,
    /// Bound to the same key, for another audience.
    pub other_audience: Option<Secret>,
    /// Good for the target but for being bound to nothing.
    pub unbound: Option<Secret>,
    /// Bound to the same key, with less scope than the target asks for.
    pub lesser_scope: Option<Secret>,
    /// Bound to the same key, expired.
    pub expired: Option<Secret>,
    /// A key the target trusts as an issuer's.
    pub issuer: Option<TokenIssuer>,
}

impl Credentials {
    /// One token and its key.
    #[must_use]
    pub const fn new(bound: BoundToken) -> Self {
        Self {
            bound,
            other: None,
            other_audience: None,
            unbound: None,
            lesser_scope: None,
            expired: None,
            issuer: None,
        }
    }
}
