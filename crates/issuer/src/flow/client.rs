//! A client as the flows see it: how it authenticates, what it may have, and
//! whether its tokens are bound (all are, unless an operator exempted it).
//!
//! Where clients come from (configuration or registration) and how they are
//! cached is the shell's business.

use std::sync::Arc;

use keybound_proto::certificate::{ClientName, RegisteredCertificates, TrustAnchors};
use keybound_proto::token::CertificateRenewal;

use super::keys::ClientKeys;
use super::scope::Scopes;
use super::secret::SecretDigest;

/// A known client.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// The identity its tokens are about.
    pub identity: String,
    /// How it authenticates.
    pub credential: Credential,
    /// The grants it may use; none for a client that only introspects.
    pub grants: Vec<GrantType>,
    /// What it may ask for at most.
    pub scopes: Scopes,
    /// The resources it may have tokens for.
    pub resources: Vec<String>,
    /// Whether its tokens must be bound.
    pub binding: Binding,
    /// What a certificate means for its tokens.
    pub certificate: CertificateUse,
    /// How it may sign its token requests.
    pub signing: RequestSigning,
    /// Whether its proofs need a server nonce.
    pub nonce_required: bool,
    /// Whose tokens it may introspect.
    pub sight: Sight,
    /// Where answers of the authorization endpoint may go, exactly.
    pub redirect_uris: Vec<String>,
    /// Whether it has to push its authorization requests (RFC 9126 section 6).
    pub pushed_only: bool,
    /// What it is called, for people.
    pub name: Option<String>,
    /// Whether nobody configured it: its name is what it calls itself.
    pub registered_itself: bool,
    /// The identity that may become the actor of its tokens, and no other (`may_act`).
    pub may_act: Option<String>,
}

/// A grant this issuer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantType {
    /// `authorization_code` (RFC 6749 section 4.1).
    AuthorizationCode,
    /// `client_credentials` (RFC 6749 section 4.4).
    ClientCredentials,
    /// `refresh_token` (RFC 6749 section 6).
    RefreshToken,
    /// `urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693).
    TokenExchange,
}

impl GrantType {
    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }

    /// Every grant this issuer knows, in the order of the metadata.
    pub const ALL: [Self; 4] = [
        Self::ClientCredentials,
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::TokenExchange,
    ];

    /// Whether an issuer has it: one without an authorization endpoint gives no codes.
    #[must_use]
    pub const fn is_offered(self, authorization: bool) -> bool {
        match self {
            Self::ClientCredentials | Self::TokenExchange => true,
            Self::AuthorizationCode | Self::RefreshToken => authorization,
        }
    }

    /// The grant of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }
}

/// How a client proves who it is: exactly one method per client.
#[derive(Clone, Debug)]
pub enum Credential {
    /// `private_key_jwt`.
    Keys(ClientKeys),
    /// `client_secret_basic`.
    Secret(SecretDigest),
    /// `none`: a public client, which proves nothing but its key.
    Public,
    /// `self_signed_tls_client_auth`.
    SelfSigned(RegisteredCertificates),
    /// `tls_client_auth`.
    Certificate {
        /// The one name the client is known by.
        name: ClientName,
        /// The authorities that may vouch for it.
        anchors: Arc<TrustAnchors>,
    },
}

impl Credential {
    /// The registered name of the method.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Keys(_) => "private_key_jwt",
            Self::Public => "none",
            Self::Secret(_) => "client_secret_basic",
            Self::SelfSigned(_) => "self_signed_tls_client_auth",
            Self::Certificate { .. } => "tls_client_auth",
        }
    }
}

/// What the certificate of a client's connection means for its tokens (RFC 8705 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertificateUse {
    /// `tls_client_certificate_bound_access_tokens`: every token is bound to it, and without one
    /// there is none.
    pub required: bool,
    /// Whether the certificate is enough, so that no proof by another key is needed.
    pub sufficient: bool,
    /// Which renewed certificates may stand in for it.
    pub renewal: CertificateRenewal,
}

/// How a client may sign its token requests, so that its tokens are bound to the key
/// (draft-richer-oauth-httpsig-03).
#[derive(Clone, Debug, Default)]
pub enum RequestSigning {
    /// With registered keys only.
    Preregistered {
        /// The keys, each with a `kid`.
        keys: ClientKeys,
        /// Whether another proof of possession is as good.
        optional: bool,
    },
    /// Not at all.
    #[default]
    Refused,
    /// With any key, which the request brings.
    Runtime {
        /// Whether another proof of possession is as good.
        optional: bool,
    },
}

/// Whether a client's tokens are bound to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A proof of possession is required (RFC 9449 section 5.2,
    /// `dpop_bound_access_tokens`).
    Required,
    /// An operator allowed tokens without one. A proof that is sent still binds.
    Exempt(Exemption),
}

/// An operator's written permission to hold unbound tokens, as it will stand in
/// the log of every such token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    /// Why, in the operator's words.
    pub reason: String,
}

/// Whose tokens a client may introspect (RFC 7662 section 2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// Those of any client, for these audiences: a resource server.
    Audiences(Vec<String>),
    /// Every token of this issuer.
    Everything,
    /// Its own only.
    #[default]
    Own,
}

impl Client {
    /// Whether this client may learn about a token of `client_id` that is meant
    /// for `audience`.
    #[must_use]
    pub fn may_see(&self, client_id: &str, audience: &[String]) -> bool {
        if self.id == client_id {
            return true;
        }
        match &self.sight {
            Sight::Audiences(own) => audience.iter().any(|meant| own.contains(meant)),
            Sight::Everything => true,
            Sight::Own => false,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{
        Binding, CertificateUse, Client, Credential, RequestSigning, Scopes, SecretDigest, Sight,
    };

    /// A client without any right.
    pub(crate) fn client() -> Client {
        Client {
            id: "a".to_owned(),
            identity: "a".to_owned(),
            credential: Credential::Secret(SecretDigest::of(b"s")),
            grants: Vec::new(),
            scopes: Scopes::default(),
            resources: Vec::new(),
            binding: Binding::Required,
            certificate: CertificateUse::default(),
            signing: RequestSigning::Refused,
            nonce_required: false,
            sight: Sight::Own,
            redirect_uris: Vec::new(),
            pushed_only: false,
            name: None,
            registered_itself: false,
            may_act: None,
        }
    }

    fn seeing(sight: Sight) -> Client {
        Client { sight, ..client() }
    }

    #[test]
    fn sc_213_sight_is_own_tokens_unless_granted() {
        let audience = ["https://rs.example/".to_owned()];
        assert!(!seeing(Sight::Own).may_see("b", &audience));
        let elsewhere = Sight::Audiences(vec!["https://other.example/".to_owned()]);
        assert!(!seeing(elsewhere).may_see("b", &audience));
        assert!(seeing(Sight::Own).may_see("a", &audience));
        assert!(seeing(Sight::Audiences(audience.to_vec())).may_see("b", &audience));
        assert!(seeing(Sight::Everything).may_see("b", &audience));
    }
}
