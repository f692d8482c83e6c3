//! What stands in a minted token (RFC 9068) and in the answer that carries it
//! (RFC 6749 section 5.1, RFC 9449 section 5).
//!
//! Binding cannot be left out: it is an argument whose usual form only a
//! verified proof makes. This module does not sign and does not record.

use keybound_proto::jose::Algorithm;
use keybound_proto::time::UnixTime;
use keybound_proto::token::{AccessTokenClaims, Binding, UnsignedToken};
use serde::Serialize;

use super::client::Client;
use super::grant::Grant;

/// Everything one token is made from.
#[derive(Clone, Copy, Debug)]
pub struct Minting<'a> {
    /// Issuer identifier.
    pub issuer: &'a str,
    /// The client, authenticated.
    pub client: &'a Client,
    /// What it gets.
    pub grant: &'a Grant,
    /// `scope` of the grant as text.
    pub scope: &'a str,
    /// Whom the token is bound to.
    pub binding: &'a Binding,
    /// The handle, `tok_…`.
    pub token_id: &'a str,
    /// Now.
    pub issued_at: UnixTime,
    /// When the token ends.
    pub expires_at: UnixTime,
}

impl Minting<'_> {
    /// Header and claims, to be signed by the key named `kid`.
    #[must_use]
    pub fn unsigned(&self, kid: &str, algorithm: Algorithm) -> UnsignedToken {
        let claims = AccessTokenClaims {
            issuer: self.issuer,
            subject: &self.grant.identity,
            client_id: &self.client.id,
            audience: &self.grant.audience,
            scope: self.scope,
            token_id: self.token_id,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            delegation: &self.grant.delegation,
        };
        UnsignedToken::new(&claims, self.binding, kid, algorithm)
    }

    /// Claims beyond the registered columns of the record, as members of a JSON object: what an
    /// introspection answer repeats.
    #[must_use]
    pub fn further_claims(&self) -> Option<String> {
        self.grant.delegation.act()
    }

    /// The answer's body, around a token that was released. `issued_token_type` stands in answers
    /// to exchanges only.
    #[must_use]
    pub fn answer(
        &self,
        access_token: &str,
        refresh_token: Option<&str>,
        issued_token_type: Option<&str>,
    ) -> String {
        let answer = Answer {
            access_token,
            token_type: self.binding.token_type(),
            expires_in: self.expires_at.seconds_since(self.issued_at),
            refresh_token,
            issued_token_type,
            scope: (!self.scope.is_empty()).then_some(self.scope),
        };
        serde_json::to_string(&answer).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    /// RFC 8693 section 2.2.1; for exchanged tokens only.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}
