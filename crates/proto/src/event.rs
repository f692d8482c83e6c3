//! What happened, as one durable record: the shape in which gateways report
//! to the control plane, in which the control plane stores, and in which
//! `keybound events tail --json` prints (one JSON object per line, absent
//! members omitted).
//!
//! The member names follow the standards they come from (`jkt` RFC 7638 and
//! RFC 9449 section 6.1, `client_id` RFC 6749, `scope` RFC 6749 section 3.3).
//! Reading is strict because `POST /v1/events` reads what other machines send:
//! unknown and repeated members are refused and every text and list is bounded
//! while it is read. The setters cut to the same bounds, so an event that was
//! built here can always be read again.
//!
//! Not here: a sequence number (the store gives one), the signature chain over
//! stored events, and any secret. An event never holds a token or a proof,
//! only the SHA-256 of the token, its non-secret handle and the key's
//! thumbprint.

use std::fmt;

use serde::{Deserialize, Serialize};

use self::build::clip;

mod build;
mod read;

/// The longest short text: identifiers, names, cause ids (bytes).
pub const MAX_SHORT_TEXT: usize = 256;

/// The longest long text: scopes, paths, expected and received values (bytes).
pub const MAX_LONG_TEXT: usize = 2048;

/// The most members of `audience`, and of `actors`.
pub const MAX_AUDIENCES: usize = 16;

/// One thing that happened.
///
/// Times are milliseconds (`time_ms`, `propagation_ms`) or seconds
/// (`expires_at`, `clock_skew`) as named; `expires_at` is a NumericDate of RFC
/// 7519 section 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Unique id, `evt_` and 32 hexadecimal digits; ingest is idempotent by it.
    #[serde(deserialize_with = "read::short")]
    pub id: String,
    /// When it happened, milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: u64,
    /// Which machine saw it, for example `gateway-1`.
    #[serde(deserialize_with = "read::short")]
    pub node: String,
    /// What kind of thing happened.
    pub kind: EventKind,
    /// The check registry's id of the refusal, for example `dpop.replayed`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub cause: Option<String>,
    /// Which sign of theft it is, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<TheftSignal>,
    /// SHA-256 of the token's text, 64 lower-case hexadecimal digits.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub token_sha256: Option<String>,
    /// The token's non-secret handle (`jti`), for example `tok_…`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub token_id: Option<String>,
    /// Thumbprint (RFC 7638, SHA-256, base64url) of the key that is bound or locked.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub jkt: Option<String>,
    /// How the token is bound: `dpop`, `mtls`, `httpsig`, `wimse` or `none`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub binding: Option<String>,
    /// Thumbprint of the certificate that is bound or was proven (`x5t#S256`, RFC 8705).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub certificate: Option<String>,
    /// Why a certificate was taken for the token's: `thumbprint`, `public_key` or `spiffe_id`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub certificate_rule: Option<String>,
    /// Where the key is kept, as the issuer said in the token.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub key_storage: Option<String>,
    /// Who acts for the identity, the current actor first (RFC 8693 section 4.1).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "read::audience"
    )]
    pub actors: Vec<String>,
    /// Thumbprint of the key or certificate that the token is bound to that this one was exchanged
    /// for.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub subject_key: Option<String>,
    /// The configured rule that allowed a delegation, by name.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub delegation_rule: Option<String>,
    /// Issuer identifier of the token or identity.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::long_option"
    )]
    pub issuer: Option<String>,
    /// The token's subject (`sub`).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub identity: Option<String>,
    /// The OAuth client.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub client_id: Option<String>,
    /// Resources the token is for.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "read::audience"
    )]
    pub audience: Vec<String>,
    /// Scopes, separated by spaces.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::long_option"
    )]
    pub scope: Option<String>,
    /// When the token or lock ends, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Name of the gateway's route.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub route: Option<String>,
    /// Request method.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub method: Option<String>,
    /// Request path, without the query (a query may hold secrets).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::long_option"
    )]
    pub path: Option<String>,
    /// Network address of the sender.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub peer: Option<String>,
    /// The request's id, also in the answer's `x-request-id`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub request_id: Option<String>,
    /// What the failed check wanted to see.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::long_option"
    )]
    pub expected: Option<String>,
    /// What the failed check saw.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::long_option"
    )]
    pub got: Option<String>,
    /// The sender's clock minus ours, seconds, where a time check failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew: Option<i64>,
    /// How many occurrences this record stands for.
    #[serde(default = "one")]
    pub count: u64,
    /// Why somebody did it, in their words.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::long_option"
    )]
    pub reason: Option<String>,
    /// Who did it: the subject of an administrative call.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read::short_option"
    )]
    pub by: Option<String>,
    /// From the lock's time to its effect at this node, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation_ms: Option<u64>,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Certificate fields came from peers that are no TLS terminators and were removed unread
    /// (`count`, and the last `peer`).
    CertificateHeaderIgnored,
    /// A client was registered (RFC 7591).
    ClientRegistered,
    /// A gateway began to follow the control plane.
    GatewayConnected,
    /// A lock or its release took effect at a gateway (`propagation_ms`).
    LockApplied,
    /// A token, key or identity was locked.
    Locked,
    /// Refusals that involve no genuine token, summed per cause (`count`).
    RefusalsAggregated,
    /// A gateway could not ask its shared replay log any more; it refuses what needs it.
    ReplayLogLost,
    /// A gateway can ask its shared replay log again.
    ReplayLogRestored,
    /// A request with a genuine token was refused.
    RequestRefused,
    /// The issuer made a signing key.
    SigningKeyCreated,
    /// The issuer stopped signing with a key.
    SigningKeyRetired,
    /// The issuer minted a token.
    TokenIssued,
    /// The issuer refused a token to an authenticated client.
    TokenRefused,
    /// A token was revoked (RFC 7009 or by an operator).
    TokenRevoked,
    /// A lock was lifted.
    Unlocked,
}

/// What a refused request with a genuine token says about theft. The names are
/// the values of the metric label `kind` and of the event member `signal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TheftSignal {
    /// The bound token came as `Bearer`, or without a proof (RFC 9449 section 7.2).
    BearerDowngrade,
    /// Used from a place, machine or time that policy does not expect.
    ContextMismatch,
    /// A code or refresh token that was used before came again (RFC 9700 section 4.14.2).
    GrantReuse,
    /// A proof that was accepted before came again (RFC 9449 section 11.1).
    JtiReuse,
    /// The proof was made with another key than the token's (RFC 9449 section 6.1).
    KeyMismatch,
    /// The token, key or identity is revoked or locked.
    Revoked,
    /// A proof from outside the time window (RFC 9449 section 11.1).
    StaleProof,
    /// A proof made for another method, URI or token (RFC 9449 section 4.3).
    WrongTarget,
}

impl Event {
    /// A record with its mandatory members and nothing else.
    ///
    /// `random` makes the id; 16 bytes that never repeat (see
    /// [`Event::id_from`]). Texts longer than their bound are cut.
    ///
    /// ```
    /// use keybound_proto::event::{Event, EventKind, TheftSignal};
    /// let event = Event::new(&[7; 16], 1_700_000_000_000, "gateway-1", EventKind::RequestRefused)
    ///     .with_cause("dpop.replayed")
    ///     .with_signal(TheftSignal::JtiReuse);
    /// assert_eq!(event.to_json_line(), concat!(
    ///     r#"{"id":"evt_07070707070707070707070707070707","time_ms":1700000000000,"#,
    ///     r#""node":"gateway-1","kind":"request_refused","cause":"dpop.replayed","#,
    ///     r#""signal":"jti_reuse","count":1}"#,
    /// ));
    /// ```
    #[must_use]
    pub fn new(random: &[u8; 16], time_ms: u64, node: &str, kind: EventKind) -> Self {
        Self {
            id: Self::id_from(random),
            time_ms,
            node: clip(node, MAX_SHORT_TEXT),
            kind,
            cause: None,
            signal: None,
            token_sha256: None,
            token_id: None,
            jkt: None,
            binding: None,
            certificate: None,
            certificate_rule: None,
            key_storage: None,
            actors: Vec::new(),
            subject_key: None,
            delegation_rule: None,
            issuer: None,
            identity: None,
            client_id: None,
            audience: Vec::new(),
            scope: None,
            expires_at: None,
            route: None,
            method: None,
            path: None,
            peer: None,
            request_id: None,
            expected: None,
            got: None,
            clock_skew: None,
            count: 1,
            reason: None,
            by: None,
            propagation_ms: None,
        }
    }

    /// The id made of 16 random bytes: `evt_` and 32 hexadecimal digits.
    #[must_use]
    pub fn id_from(random: &[u8; 16]) -> String {
        use fmt::Write as _;
        let mut id = String::with_capacity(36);
        id.push_str("evt_");
        for byte in random {
            // Writing to a String cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        id
    }

    /// The event as one line of JSON, without a line end.
    #[must_use]
    pub fn to_json_line(&self) -> String {
        // Every member is text, a number or a list of texts, for which the
        // serializer has no error; an empty object would be refused on reading.
        serde_json::to_string(self).unwrap_or_else(|_| String::from("{}"))
    }

    /// Reads one event, strictly: unknown members, repeated members, texts and
    /// lists over their bounds and control characters are errors.
    ///
    /// # Errors
    ///
    /// [`EventError`] names the place; it never repeats the input.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EventError> {
        serde_json::from_slice(bytes).map_err(|error| EventError {
            line: error.line(),
            column: error.column(),
        })
    }
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::CertificateHeaderIgnored,
        Self::ClientRegistered,
        Self::GatewayConnected,
        Self::LockApplied,
        Self::Locked,
        Self::RefusalsAggregated,
        Self::ReplayLogLost,
        Self::ReplayLogRestored,
        Self::RequestRefused,
        Self::SigningKeyCreated,
        Self::SigningKeyRetired,
        Self::TokenIssued,
        Self::TokenRefused,
        Self::TokenRevoked,
        Self::Unlocked,
    ];

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CertificateHeaderIgnored => "certificate_header_ignored",
            Self::ClientRegistered => "client_registered",
            Self::GatewayConnected => "gateway_connected",
            Self::LockApplied => "lock_applied",
            Self::Locked => "locked",
            Self::RefusalsAggregated => "refusals_aggregated",
            Self::ReplayLogLost => "replay_log_lost",
            Self::ReplayLogRestored => "replay_log_restored",
            Self::RequestRefused => "request_refused",
            Self::SigningKeyCreated => "signing_key_created",
            Self::SigningKeyRetired => "signing_key_retired",
            Self::TokenIssued => "token_issued",
            Self::TokenRefused => "token_refused",
            Self::TokenRevoked => "token_revoked",
            Self::Unlocked => "unlocked",
        }
    }

    /// The kind with this JSON name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl TheftSignal {
    /// Every signal.
    pub const ALL: [Self; 7] = [
        Self::BearerDowngrade,
        Self::ContextMismatch,
        Self::JtiReuse,
        Self::KeyMismatch,
        Self::Revoked,
        Self::StaleProof,
        Self::WrongTarget,
    ];

    /// The name in JSON and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BearerDowngrade => "bearer_downgrade",
            Self::ContextMismatch => "context_mismatch",
            Self::GrantReuse => "grant_reuse",
            Self::JtiReuse => "jti_reuse",
            Self::KeyMismatch => "key_mismatch",
            Self::Revoked => "revoked",
            Self::StaleProof => "stale_proof",
            Self::WrongTarget => "wrong_target",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for TheftSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The bytes are not one event. The input itself is not kept, because it may
/// come from anybody and end up in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventError {
    line: usize,
    column: usize,
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not an event: wrong, unknown, repeated or oversized member near line {} column {}",
            self.line, self.column
        )
    }
}

impl std::error::Error for EventError {}

const fn one() -> u64 {
    1
}

#[cfg(test)]
mod tests;
