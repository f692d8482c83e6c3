//! Introspection (RFC 7662): what a caller is told about a token.
//!
//! Only tokens of this issuer's own records are known, found by the SHA-256 of
//! their text: whoever asks with a changed or foreign token asks about nothing.
//! `{"active":false}` alone is the answer for everything that is not valid,
//! not known, or not the caller's business; the three are not told apart
//! (RFC 7662 section 2.2).
//!
//! The binding is part of the answer (RFC 9449 section 6.2): `cnf` and
//! `token_type`, and `x5t#S256` of RFC 8705 section 3.2. Proofs are never sent here and never checked here.

use keybound_control::{LockState, TokenRecord};
use keybound_proto::time::UnixTime;
use serde::Serialize;

use super::client::Client;

/// The whole answer about any token that is not active for the caller.
pub const INACTIVE: &str = r#"{"active":false}"#;

/// What is known about the presented token.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The record of its issuance, where there is one.
    pub record: Option<&'a TokenRecord>,
    /// Whether it, its key, its identity or what it descends from is revoked or locked.
    pub locked: bool,
}

/// Answers one question of an authenticated caller.
#[must_use]
pub fn answer(caller: &Client, facts: &Facts<'_>, now: UnixTime) -> String {
    match facts.record {
        Some(record)
            if is_active(record, facts, now)
                && caller.may_see(&record.client_id, &record.audience) =>
        {
            let answer = Active::of(record).and_then(|active| serde_json::to_string(&active).ok());
            answer.unwrap_or_else(|| INACTIVE.to_owned())
        }
        _ => INACTIVE.to_owned(),
    }
}

/// Whether a token counts now.
#[must_use]
pub fn is_active(record: &TokenRecord, facts: &Facts<'_>, now: UnixTime) -> bool {
    let withheld = record.withheld.as_ref().is_some_and(|withheld| {
        withheld.state == LockState::Revoked || withheld.expires_at.is_none_or(|until| now < until)
    });
    !withheld && !facts.locked && record.issued_at <= now && now < record.expires_at
}

/// RFC 7662 section 2.2, with `cnf` of RFC 9449 section 6.2.
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    iss: &'a str,
    sub: &'a str,
    client_id: &'a str,
    aud: Audience<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    iat: u64,
    nbf: u64,
    exp: u64,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
    #[serde(flatten)]
    further: serde_json::Map<String, serde_json::Value>,
}

/// One string, or several (RFC 7519 section 4.1.3), as in the token.
#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    Many(&'a [String]),
    One(&'a str),
}

/// `cnf` as the token has it.
#[derive(Serialize)]
#[serde(untagged)]
enum Confirmation {
    Key { jkt: String },
    Recorded(serde_json::Value),
}

impl Confirmation {
    /// A record that cannot be read must not make the token look unbound.
    fn of(record: &TokenRecord) -> Option<Self> {
        match (&record.confirmation, record.jkt) {
            (Some(text), _) => Some(Self::Recorded(
                serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!({})),
            )),
            (None, Some(jkt)) => Some(Self::Key {
                jkt: jkt.to_string(),
            }),
            (None, None) => None,
        }
    }
}

impl<'a> Active<'a> {
    /// `None` for a record whose claims cannot be read: no half of them is told.
    fn of(record: &'a TokenRecord) -> Option<Self> {
        let further = record.claims.as_deref().map(serde_json::from_str);
        Some(Self {
            active: true,
            iss: &record.issuer,
            sub: &record.identity,
            client_id: &record.client_id,
            aud: match record.audience.as_slice() {
                [only] => Audience::One(only),
                several => Audience::Many(several),
            },
            scope: &record.scope,
            jti: record.token_id.as_deref(),
            iat: record.issued_at.as_secs(),
            nbf: record.issued_at.as_secs(),
            exp: record.expires_at.as_secs(),
            // RFC 8705 section 3.1: a token bound by certificate alone is sent as Bearer.
            token_type: match record.binding.as_str() {
                "mtls" | "none" => "Bearer",
                "httpsig" | "httpsig mtls" => "httpsig",
                _ => "DPoP",
            },
            cnf: Confirmation::of(record),
            further: further.transpose().ok()?.unwrap_or_default(),
        })
    }
}
