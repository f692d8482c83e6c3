//! Authorization codes (RFC 6749 section 4.1.3): what one stands for, and who may use it.
//!
//! A code is 256 random bits, works once, for one client, for a minute, with the verifier of its
//! challenge (RFC 7636) and, where the request named a key, with proof of that key (RFC 9449
//! section 10). A second use says that somebody has a copy.

use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::token::TokenHash;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::form::Form;
use super::grant::Entitlement;

/// The shortest and the longest verifier, in bytes (RFC 7636 section 4.1).
const VERIFIER_BYTES: std::ops::RangeInclusive<usize> = 43..=128;

/// What a code stands for, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The client it was given to.
    pub client_id: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// Whether the token request has to name that.
    pub redirect_uri_sent: bool,
    /// Base64url of SHA-256 of the verifier.
    pub code_challenge: String,
    /// What the person allowed.
    pub entitlement: Entitlement,
    /// The handle of the grant that its use begins.
    pub grant_id: String,
    /// Whether it was used.
    #[serde(default)]
    pub used: bool,
}

/// That a token request may use a code. Only [`Code::check`] makes it.
#[derive(Debug)]
pub struct CodeChecked(());

impl Code {
    /// Checks the request against the code, apart from the key.
    ///
    /// # Errors
    /// [`Cause::GrantInvalid`] for another client's code or another redirect URI,
    /// [`Cause::GrantReused`], [`Cause::GrantVerifier`].
    pub fn check(&self, form: &Form<'_>, client: &Client) -> Result<CodeChecked, Rejection> {
        if self.client_id != client.id {
            return Err(Rejection::new(Cause::GrantInvalid).got("a code of another client"));
        }
        if self.used {
            return Err(Cause::GrantReused.into());
        }
        let named = form.value("redirect_uri");
        let must_be_named = self.redirect_uri_sent || named.is_some();
        if must_be_named && named != Some(&self.redirect_uri) {
            return Err(Rejection::new(Cause::GrantInvalid).expected("the same redirect_uri"));
        }
        let verifier = form.value("code_verifier").unwrap_or_default();
        // Base64url of SHA-256 is what `code_challenge` is (RFC 7636 section 4.2).
        let challenge = TokenHash::of(verifier.as_bytes()).to_ath();
        if !VERIFIER_BYTES.contains(&verifier.len()) || challenge != self.code_challenge {
            return Err(Cause::GrantVerifier.into());
        }
        Ok(CodeChecked(()))
    }

    /// The same code, used.
    #[must_use]
    pub fn into_used(self) -> Self {
        Self { used: true, ..self }
    }
}
