//! Security Event Tokens (RFC 8417) as Shared Signals profiles them: how a
//! lock or a revocation travels from the control plane to every gate.
//!
//! | what happened | event | `sub_id` (RFC 9493) |
//! |---|---|---|
//! | a token is revoked or locked | CAEP `session-revoked` | `jwt_id` {`iss`, `jti`}, or `opaque` {`id`: `sha256:<hex>`} |
//! | an identity is locked | CAEP `session-revoked` | `iss_sub` {`iss`, `sub`} |
//! | a key or a certificate is locked | CAEP `credential-change`, `change_type` = `revoke` | `uri` (RFC 9278 thumbprint URI) |
//! | a lock is released | `urn:keybound:secevent:lock-released` | as the lock's |
//!
//! A SET carries exactly one event, names its receiver in `aud`, its subject in
//! a top-level `sub_id`, and neither `sub` nor `exp` (so that it can never be
//! taken for an access or ID token). The event payload holds two members of
//! our own: `expires_at` (seconds; when the subject can be forgotten) and
//! `time_ms` (milliseconds; when it happened, for measuring propagation).
//!
//! Not here: delivery (RFC 8935, RFC 8936), stream management, remembering
//! `jti`s (the receiver must apply signals idempotently), and complex subjects.

use std::fmt;

use crate::certificate::CertificateThumbprint;
use crate::jose::{Algorithm, Jkt, SigningInput};
use crate::json;
use crate::time::UnixTime;
use crate::token::TokenHash;

pub use self::parse::{ReceiverRules, SignalError, UnverifiedSignal};

mod parse;

/// The largest SET that is read, in bytes.
pub const MAX_SET_BYTES: usize = 16 * 1024;

/// CAEP: everything the subject opened is over.
pub const SESSION_REVOKED: &str =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// CAEP: a credential of the subject changed; here always `change_type` = `revoke`.
pub const CREDENTIAL_CHANGE: &str =
    "https://schemas.openid.net/secevent/caep/event-type/credential-change";

/// Ours: a lock that an earlier event announced is lifted.
pub const LOCK_RELEASED: &str = "urn:keybound:secevent:lock-released";

/// The value of `credential_type` for a DPoP key (CAEP lets parties agree on values).
pub const CREDENTIAL_TYPE_DPOP_KEY: &str = "dpop-key";

/// Prefix of the URI that names a key by its SHA-256 thumbprint (RFC 9278 section 3).
const THUMBPRINT_URI: &str = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:";

/// Prefix of the opaque id that names a token by its hash.
const TOKEN_HASH_ID: &str = "sha256:";

/// Whom or what a signal is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Every token of one identity, existing and future.
    Identity {
        /// The issuer that names the identity.
        issuer: String,
        /// The `sub` of its tokens.
        subject: String,
    },
    /// Every token bound to the key with this thumbprint, existing and future; where the value is
    /// a certificate's `x5t#S256`, every token bound to that certificate. Both are SHA-256, so
    /// nothing answers to both, and whoever locks need not know which one was found.
    Key(Jkt),
    /// One token by its handle.
    Token {
        /// The token's issuer.
        issuer: String,
        /// The token's `jti`.
        token_id: String,
    },
    /// One token by the SHA-256 of its text, for tokens without a handle.
    TokenHash(TokenHash),
}

/// What happened to the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignalEvent {
    /// Locked or revoked: refuse it everywhere.
    Locked,
    /// The lock is lifted.
    Released,
}

/// One security event, read and verified, or about to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityEventToken {
    /// `iss`: who says so.
    pub issuer: String,
    /// `aud`: the receiver it is for.
    pub audience: String,
    /// `jti`: unique per event and receiver; acknowledged by RFC 8936 polls.
    pub id: String,
    /// `iat`: when it was signed.
    pub issued_at: UnixTime,
    /// `sub_id`.
    pub subject: Subject,
    /// The single member of `events`.
    pub event: SignalEvent,
    /// When a receiver may forget the subject; `None`: never by itself.
    pub expires_at: Option<UnixTime>,
    /// When it happened, milliseconds since 1970.
    pub time_ms: u64,
}

impl Subject {
    /// One certificate, as locks and signals name it.
    #[must_use]
    pub const fn certificate(thumbprint: CertificateThumbprint) -> Self {
        Self::Key(thumbprint.as_key())
    }

    /// `sub_id` as RFC 9493 (and for `jwt_id` the Shared Signals framework) writes it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Identity { issuer, subject } => {
                serde_json::json!({"format": "iss_sub", "iss": issuer, "sub": subject})
            }
            Self::Key(jkt) => {
                serde_json::json!({"format": "uri", "uri": format!("{THUMBPRINT_URI}{jkt}")})
            }
            Self::Token { issuer, token_id } => {
                serde_json::json!({"format": "jwt_id", "iss": issuer, "jti": token_id})
            }
            Self::TokenHash(hash) => {
                serde_json::json!({"format": "opaque", "id": format!("{TOKEN_HASH_ID}{}", hash.to_hex())})
            }
        }
    }

    /// Reads a `sub_id`. Members that the format does not name are ignored, as
    /// RFC 9493 section 3 asks.
    ///
    /// # Errors
    ///
    /// [`SignalError::SubjectNotUnderstood`] for other formats and values.
    pub fn from_object(sub_id: &json::Object<'_>) -> Result<Self, SignalError> {
        parse::subject(sub_id)
    }
}

impl SignalEvent {
    /// The event type URI for a signal about `subject`.
    #[must_use]
    pub fn uri(self, subject: &Subject) -> &'static str {
        match (self, subject) {
            (Self::Released, _) => LOCK_RELEASED,
            (Self::Locked, Subject::Key(_)) => CREDENTIAL_CHANGE,
            (
                Self::Locked,
                Subject::Identity { .. } | Subject::Token { .. } | Subject::TokenHash(_),
            ) => SESSION_REVOKED,
        }
    }
}

impl SecurityEventToken {
    /// Header and claims, ready to be signed with `algorithm` and the key named `kid`.
    ///
    /// ```
    /// use keybound_proto::jose::Algorithm;
    /// use keybound_proto::signal::{SecurityEventToken, SignalEvent, Subject};
    /// use keybound_proto::time::UnixTime;
    ///
    /// let set = SecurityEventToken {
    ///     issuer: "https://control.example.com".into(),
    ///     audience: "gateway-1".into(),
    ///     id: "evt-1".into(),
    ///     issued_at: UnixTime::from_secs(1_700_000_000),
    ///     subject: Subject::Token { issuer: "https://auth.example.com".into(), token_id: "tok_1".into() },
    ///     event: SignalEvent::Locked,
    ///     expires_at: Some(UnixTime::from_secs(1_700_000_300)),
    ///     time_ms: 1_700_000_000_250,
    /// };
    /// let input = set.signing_input(Algorithm::Es256, "kb-control-1");
    /// assert!(input.bytes().starts_with(b"eyJ"));
    /// ```
    #[must_use]
    pub fn signing_input(&self, algorithm: Algorithm, kid: &str) -> SigningInput {
        let header = serde_json::json!({"typ": TYP, "alg": algorithm.name(), "kid": kid});
        let payload = serde_json::json!({
            "iss": self.issuer,
            "aud": self.audience,
            "jti": self.id,
            "iat": self.issued_at.as_secs(),
            "sub_id": self.subject.to_json(),
            "events": {(self.event.uri(&self.subject)): self.event_payload()},
        });
        SigningInput::new(&header.to_string(), &payload.to_string())
    }

    fn event_payload(&self) -> serde_json::Value {
        let mut payload = serde_json::Map::new();
        if let (SignalEvent::Locked, Subject::Key(jkt)) = (self.event, &self.subject) {
            payload.insert("credential_type".into(), CREDENTIAL_TYPE_DPOP_KEY.into());
            payload.insert("change_type".into(), "revoke".into());
            payload.insert("jkt".into(), jkt.to_string().into());
        }
        // `event_timestamp` is CAEP's own member, in seconds.
        payload.insert("event_timestamp".into(), (self.time_ms / 1000).into());
        payload.insert("time_ms".into(), self.time_ms.into());
        if let Some(expires_at) = self.expires_at {
            payload.insert("expires_at".into(), expires_at.as_secs().into());
        }
        payload.into()
    }
}

impl fmt::Display for SignalEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Locked => "locked",
            Self::Released => "released",
        })
    }
}

/// The explicit type of a SET (RFC 8417 section 2.3).
const TYP: &str = "secevent+jwt";

#[cfg(test)]
mod tests;
