//! The client the probe is: registered by itself (RFC 7591) or known before.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use keybound_custody::SoftwareKey;
use keybound_holder::Secret;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::time::UnixTime;
use keybound_proto::token::assertion::ASSERTION_TYPE;
use keybound_proto::uri::HttpUrl;
use serde_json::{Value, json};

use super::Client;
use super::metadata::Metadata;
use super::reply::answered;
use crate::draft::{Credential, Draft, Form, form_encoded, unique};
use crate::error::ProbeError;
use crate::jwt::{JwtDraft, public_jwk};
use crate::session::{Expect, Session};

/// Seconds a client assertion lives.
const ASSERTION_LIFETIME: u64 = 60;

/// A client the server knows.
#[derive(Clone)]
pub(crate) struct Known {
    /// `client_id`.
    pub(crate) id: String,
    pub(crate) authentication: Authentication,
    /// What the server said about `dpop_bound_access_tokens` when it registered the client.
    pub(crate) said_bound: Option<bool>,
}

/// How a client authenticates.
#[derive(Clone)]
pub(crate) enum Authentication {
    /// `private_key_jwt`, and the `kid` of the key where the probe registered it.
    Key(Arc<dyn Signer>, Option<String>),
    /// `client_secret_basic`.
    Secret(Secret),
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Known {
    /// The client as given, registered where it is to be.
    ///
    /// # Errors
    /// [`ProbeError`] when it cannot be registered.
    pub(crate) async fn resolve(
        client: &Client,
        metadata: &Metadata,
        scope: Option<&str>,
        session: &mut Session<'_>,
    ) -> Result<Self, ProbeError> {
        match client {
            Client::Register(initial) => {
                let wanted = Wanted::of(metadata);
                register(session, metadata, initial.as_ref(), wanted, scope).await
            }
            Client::PrivateKeyJwt(..) | Client::Secret(..) => Self::given(client)
                .ok_or_else(|| ProbeError::Input("the client is not known".to_owned())),
        }
    }

    /// The client as given; nothing for one that has to be registered.
    pub(crate) fn given(client: &Client) -> Option<Self> {
        let (id, authentication) = match client {
            Client::Register(_) => return None,
            Client::PrivateKeyJwt(id, key) => (id, Authentication::Key(Arc::clone(key), None)),
            Client::Secret(id, secret) => (id, Authentication::Secret(secret.clone())),
        };
        Some(Self {
            id: id.clone(),
            authentication,
            said_bound: None,
        })
    }

    /// Adds the authentication of this client to a form.
    pub(crate) fn authenticate(&self, draft: &mut Draft, audience: &str, now: UnixTime) {
        match &self.authentication {
            Authentication::Key(key, kid) => {
                let mut assertion = assertion(&self.id, key, audience, now);
                if let Some(kid) = kid {
                    assertion.member("kid", kid.as_str());
                }
                let form = draft.form.get_or_insert_default();
                form.set("client_assertion_type", ASSERTION_TYPE);
                form.assertion = Some(assertion);
            }
            Authentication::Secret(secret) => {
                draft.credentials = vec![basic(&self.id, secret.expose())];
            }
        }
    }

    /// The key of its assertions, where it has one.
    pub(crate) const fn key(&self) -> Option<&Arc<dyn Signer>> {
        match &self.authentication {
            Authentication::Key(key, _) => Some(key),
            Authentication::Secret(_) => None,
        }
    }

    /// A form for an endpoint other than the token endpoint, authenticated.
    pub(crate) fn form(&self, endpoint: &HttpUrl, audience: &str, now: UnixTime) -> Draft {
        let mut draft = Draft::new(Method::POST, endpoint);
        draft.form = Some(Form::default());
        draft.header("accept", "application/json");
        self.authenticate(&mut draft, audience, now);
        draft
    }
}

/// How a client that registers wants to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Key,
    Secret,
}

impl Wanted {
    /// A key, unless the server says that it takes none.
    fn of(metadata: &Metadata) -> Self {
        let takes = metadata.lists("token_endpoint_auth_methods_supported", "private_key_jwt");
        if takes == Some(false) {
            Self::Secret
        } else {
            Self::Key
        }
    }
}

/// Registers a client (RFC 7591 section 3) that is to have bound tokens only.
///
/// # Errors
/// [`ProbeError::Document`] where there is no registration endpoint,
/// [`ProbeError::CredentialsRefused`] where it refuses.
pub(crate) async fn register(
    session: &mut Session<'_>,
    metadata: &Metadata,
    initial: Option<&Secret>,
    wanted: Wanted,
    scope: Option<&str>,
) -> Result<Known, ProbeError> {
    let endpoint =
        metadata
            .endpoint("registration_endpoint")
            .ok_or_else(|| ProbeError::Document {
                url: metadata.url.clone(),
                reason: "it names no `registration_endpoint`, so the probe cannot register itself"
                    .to_owned(),
                next: "register a client by hand, and give its id with its key or secret"
                    .to_owned(),
            })?;
    let key = match wanted {
        Wanted::Key => Some(client_key(metadata)?),
        Wanted::Secret => None,
    };
    let request = registration(&endpoint, initial, &document(key.as_ref(), scope));
    let attempt = session.send(&request, &[], Expect::Served).await;
    let got = attempt.got();
    let Some(answer) = answered(attempt)? else {
        return Ok(rehearsed(key));
    };
    let body = answer.json().unwrap_or_default();
    let text = |member: &str| body.get(member).and_then(Value::as_str);
    let authentication = match (key, text("client_secret")) {
        (Some(key), _) => {
            let kid = key.public_key().thumbprint().to_string();
            Some(Authentication::Key(key, Some(kid)))
        }
        (None, Some(secret)) => Some(Authentication::Secret(Secret::new(secret))),
        (None, None) => None,
    };
    match (
        answer.status.is_success(),
        text("client_id"),
        authentication,
    ) {
        (true, Some(id), Some(authentication)) => Ok(Known {
            id: id.to_owned(),
            authentication,
            said_bound: body
                .get("dpop_bound_access_tokens")
                .and_then(Value::as_bool),
        }),
        _ => Err(ProbeError::CredentialsRefused {
            url: endpoint.without_query().to_owned(),
            got,
            next: "give an initial access token, or the id and key of a registered client"
                .to_owned(),
        }),
    }
}

/// A registration request with this document.
pub(crate) fn registration(
    endpoint: &HttpUrl,
    initial: Option<&Secret>,
    document: &Value,
) -> Draft {
    let mut draft = Draft::new(Method::POST, endpoint);
    draft.header("content-type", "application/json");
    draft.header("accept", "application/json");
    draft.body = document.to_string().into();
    if let Some(token) = initial {
        draft.credentials = vec![Credential {
            scheme: "Bearer".to_owned(),
            token: token.expose().to_owned(),
        }];
    }
    draft
}

/// Client metadata (RFC 7591 section 2).
pub(crate) fn document(key: Option<&Arc<dyn Signer>>, scope: Option<&str>) -> Value {
    let mut document = json!({
        "client_name": "keybound probe",
        "dpop_bound_access_tokens": true,
        "grant_types": ["client_credentials"],
        "response_types": [],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let members = document.as_object_mut();
    if let (Some(members), Some(key)) = (members, key) {
        let algorithm = key.algorithm().name();
        members.insert(
            "token_endpoint_auth_method".to_owned(),
            json!("private_key_jwt"),
        );
        members.insert(
            "token_endpoint_auth_signing_alg".to_owned(),
            json!(algorithm),
        );
        members.insert("jwks".to_owned(), json!({"keys": [registered_jwk(key)]}));
    }
    if let (Some(members), Some(scope)) = (document.as_object_mut(), scope) {
        members.insert("scope".to_owned(), json!(scope));
    }
    document
}

fn registered_jwk(key: &Arc<dyn Signer>) -> Value {
    let mut jwk = public_jwk(key.as_ref());
    if let Some(members) = jwk.as_object_mut() {
        let kid = key.public_key().thumbprint().to_string();
        members.insert("kid".to_owned(), json!(kid));
        members.insert("alg".to_owned(), json!(key.algorithm().name()));
        members.insert("use".to_owned(), json!("sig"));
    }
    jwk
}

/// A client key of the first algorithm the server says it takes.
pub(crate) fn client_key(metadata: &Metadata) -> Result<Arc<dyn Signer>, ProbeError> {
    const MEMBER: &str = "token_endpoint_auth_signing_alg_values_supported";
    let algorithm = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Es384]
        .into_iter()
        .find(|algorithm| metadata.lists(MEMBER, algorithm.name()) == Some(true))
        .unwrap_or(Algorithm::Es256);
    new_key(algorithm)
}

/// A fresh key.
pub(crate) fn new_key(algorithm: Algorithm) -> Result<Arc<dyn Signer>, ProbeError> {
    let key = SoftwareKey::generate(algorithm);
    let key = key.map_err(|error| ProbeError::Input(error.to_string()))?;
    Ok(Arc::new(key))
}

/// A client of a dry run.
fn rehearsed(key: Option<Arc<dyn Signer>>) -> Known {
    Known {
        id: "the-client-that-would-be-registered".to_owned(),
        authentication: key.map_or_else(
            || Authentication::Secret(Secret::new("its-secret")),
            |key| Authentication::Key(key, None),
        ),
        said_bound: None,
    }
}

/// A good client assertion (RFC 7523 section 3).
fn assertion(id: &str, key: &Arc<dyn Signer>, audience: &str, now: UnixTime) -> JwtDraft {
    let mut assertion = JwtDraft::new("JWT", key);
    assertion.claim("iss", id);
    assertion.claim("sub", id);
    assertion.claim("aud", audience);
    assertion.claim("jti", unique());
    assertion.claim("iat", now.as_secs());
    assertion.claim("exp", now.plus(ASSERTION_LIFETIME).as_secs());
    assertion
}

/// `client_secret_basic`: both halves form-encoded first (RFC 6749 section 2.3.1).
pub(crate) fn basic(id: &str, secret: &str) -> Credential {
    let pair = format!("{}:{}", form_encoded(id), form_encoded(secret));
    Credential {
        scheme: "Basic".to_owned(),
        token: STANDARD.encode(pair),
    }
}
