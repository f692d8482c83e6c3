//! Token exchange (RFC 8693) as a client: a token for another one, narrower or for another holder.
//! How a bound token is exchanged is a profile of Keybound's issuer.
//!
//! Not here: caching. What comes of an exchange is handed to the caller and forgotten.

use std::fmt;

use keybound_proto::dpop::{self, ProofRequest};
use keybound_proto::jose::Jkt;
use keybound_proto::token::TokenHash;

use crate::acquire::Ask;
use crate::error::HolderError;
use crate::holder::Holder;
use crate::proof;
use crate::token::BoundToken;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A token, and what entitles the client to exchange it.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// The token.
    pub subject_token: &'a str,
    /// The proof by which its holder lent it to this client ([`Holder::lend`]). Without one the
    /// client holds the token itself, or the issuer has a rule for it.
    pub lent_by: Option<&'a str>,
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("lent", &self.lent_by.is_some())
            .finish_non_exhaustive()
    }
}

impl<'a> Exchange<'a> {
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let lent = self.lent_by.map(|proof| ("subject_token_proof", proof));
        let fixed = [
            ("grant_type", GRANT),
            ("subject_token", self.subject_token),
            ("subject_token_type", ACCESS_TOKEN),
        ];
        fixed.into_iter().chain(lent)
    }

    /// What the proof of the request is made for.
    pub(crate) fn own_token(&self) -> Option<TokenHash> {
        let own = self.lent_by.is_none();
        own.then(|| TokenHash::of(self.subject_token.as_bytes()))
    }
}

impl Holder {
    /// A token for another one, bound to this holder's key, with the resource and scope the holder
    /// was configured with.
    ///
    /// # Errors
    /// As [`Holder::token`].
    pub async fn exchange(&self, exchange: &Exchange<'_>) -> Result<BoundToken, HolderError> {
        self.inner.acquirer.get(Ask::Exchange(exchange)).await
    }

    /// A proof that lends a token of this holder's to the holder of another key, once and within
    /// about a minute. It is of no use to anybody else.
    ///
    /// # Errors
    /// As [`Holder::authorization_server`]; [`HolderError::Signing`] when the key cannot sign.
    pub async fn lend(&self, token: &str, to: Jkt) -> Result<String, HolderError> {
        let acquirer = &self.inner.acquirer;
        let server = acquirer.server().await?;
        let endpoint = &server.token_endpoint;
        let now = acquirer.clock.now();
        let request = ProofRequest {
            method: "POST",
            htu: endpoint.without_query(),
            iat: acquirer.servers.server_time(endpoint.origin(), now),
            jti: &proof::random_id()?,
            ath: Some(&TokenHash::of(token.as_bytes())),
            nonce: None,
            content_digest: None,
        };
        let key = &acquirer.proof_key;
        let input = dpop::lending_input(&request, to, key.public_key(), key.algorithm());
        let signed = input.sign(&**key);
        signed.map_err(|source| HolderError::Signing { source })
    }
}
