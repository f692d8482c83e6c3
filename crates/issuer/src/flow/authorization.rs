//! The authorization request (RFC 6749 section 4.1.1) as OAuth 2.1 and FAPI 2.0 leave it: `code`
//! alone, PKCE with S256 always (RFC 7636), resource indicators, and `dpop_jkt` (RFC 9449
//! section 10).
//!
//! The order matters. Client and redirect URI come first, because everything after them is
//! answered by a redirect to the client, and nobody is redirected to a URI that is not known to
//! be the client's. What a person is asked, and who that is, is decided elsewhere.

use keybound_proto::base64url;
use keybound_proto::cause::Cause;
use keybound_proto::jose::Jkt;
use keybound_proto::rejection::Rejection;
use serde::{Deserialize, Serialize};

use super::client::{Client, GrantType};
use super::form::Form;
use super::grant::{Entitlement, Holder, choose_scopes};
use super::redirect;
use super::resource::{self, Resource};

/// The longest `state`, in bytes.
const MAX_STATE: usize = 2048;

/// An authorization request that may be put before a person. Kept while it is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// The client.
    pub client_id: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// Whether the request named it, so that the token request has to name it as well.
    pub redirect_uri_sent: bool,
    /// The client's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Base64url of SHA-256 of the verifier.
    pub code_challenge: String,
    /// The resources asked for.
    pub audience: Vec<String>,
    /// The scopes asked for, as text.
    pub scope: String,
    /// `authorization_details`, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// The key the code will be bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_jkt: Option<String>,
}

impl AuthorizationRequest {
    /// What the person gives who allows all of it.
    #[must_use]
    pub fn entitlement(&self, identity: &str) -> Entitlement {
        Entitlement {
            identity: identity.to_owned(),
            audience: self.audience.clone(),
            scope: self.scope.clone(),
            details: self.details.clone(),
            holder: self
                .dpop_jkt
                .as_deref()
                .map(Holder::of_key)
                .unwrap_or_default(),
        }
    }
}

/// The redirect URI of a request: known to be the client's, so answers may go there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    uri: String,
    sent: bool,
}

impl Redirect {
    /// Finds it.
    ///
    /// # Errors
    /// [`Cause::AuthorizationRedirect`]; [`Cause::ClientGrantRefused`] for a client that uses no
    /// codes. Neither may be answered by a redirect.
    pub fn find(form: &Form<'_>, client: &Client) -> Result<Self, Rejection> {
        if !client.grants.contains(&GrantType::AuthorizationCode) {
            return Err(Cause::ClientGrantRefused.into());
        }
        match (form.value("redirect_uri"), client.redirect_uris.as_slice()) {
            (Some(uri), known) if redirect::is_registered(uri, known) => Ok(Self {
                uri: uri.to_owned(),
                sent: true,
            }),
            (None, [only]) => Ok(Self {
                uri: only.clone(),
                sent: false,
            }),
            _ => Err(Cause::AuthorizationRedirect.into()),
        }
    }

    /// The URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

/// Judges a request whose redirect URI is the client's. `proven` is the key of a proof that came
/// with it (RFC 9449 section 10.1).
///
/// # Errors
/// [`Cause::AuthorizationResponseType`], [`Cause::ParameterInvalid`] for PKCE, `response_mode`
/// and `state`, [`Cause::AuthorizationKey`], [`Cause::ResourceInvalid`], [`Cause::ScopeInvalid`],
/// [`Cause::AuthorizationDetails`].
pub fn judge(
    form: &Form<'_>,
    client: &Client,
    redirect: Redirect,
    known: &[Resource],
    proven: Option<Jkt>,
) -> Result<AuthorizationRequest, Rejection> {
    if form.value("response_type") != Some("code") {
        return Err(Rejection::new(Cause::AuthorizationResponseType).expected("code"));
    }
    if form
        .value("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        return Err(parameter("response_mode", "query, or none"));
    }
    let state = form.value("state");
    if state.is_some_and(|state| state.len() > MAX_STATE) {
        return Err(parameter("state", "at most 2,048 bytes"));
    }
    let resources = resource::choose(form.values("resource"), &client.resources, known)?;
    let available = resource::scopes_of(&resources).intersection(&client.scopes);
    if form.value("authorization_details").is_some() {
        return Err(Rejection::new(Cause::AuthorizationDetails).expected("none: no type is known"));
    }
    Ok(AuthorizationRequest {
        client_id: client.id.clone(),
        redirect_uri: redirect.uri,
        redirect_uri_sent: redirect.sent,
        state: state.map(str::to_owned),
        code_challenge: challenge(form)?,
        scope: choose_scopes(form.value("scope"), available)?.to_string(),
        audience: resource::identifiers(resources),
        details: None,
        dpop_jkt: key(form, proven)?,
    })
}

/// PKCE is required of every client, and `plain` of none (RFC 9700 section 2.1.1).
fn challenge(form: &Form<'_>) -> Result<String, Rejection> {
    if form.value("code_challenge_method") != Some("S256") {
        return Err(parameter("code_challenge_method", "S256"));
    }
    let challenge = form.value("code_challenge").unwrap_or_default();
    if base64url::decode_exact::<32>(challenge.as_bytes()).is_err() {
        return Err(parameter(
            "code_challenge",
            "base64url of the SHA-256 of the verifier",
        ));
    }
    Ok(challenge.to_owned())
}

fn key(form: &Form<'_>, proven: Option<Jkt>) -> Result<Option<String>, Rejection> {
    let proven = proven.map(|jkt| jkt.to_string());
    match (form.value("dpop_jkt"), proven) {
        (None, proven) => Ok(proven),
        (Some(named), None) if named.parse::<Jkt>().is_ok() => Ok(Some(named.to_owned())),
        (Some(_), None) => Err(parameter("dpop_jkt", "a SHA-256 JWK thumbprint")),
        (Some(named), Some(proven)) if named == proven => Ok(Some(proven)),
        (Some(named), Some(proven)) => Err(Rejection::new(Cause::AuthorizationKey)
            .expected(proven)
            .got(named)),
    }
}

fn parameter(name: &str, expected: &str) -> Rejection {
    Rejection::new(Cause::ParameterInvalid).expected(format!("{name}: {expected}"))
}
