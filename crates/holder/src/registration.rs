//! Dynamic client registration (RFC 7591) of a client that uses bound tokens
//! (`dpop_bound_access_tokens`, RFC 9449 section 5.2) and the
//! `client_credentials` grant. Software statements and the management of a
//! registration (RFC 7592) are not covered.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use keybound_proto::jose::{Algorithm, PublicKey};
use keybound_proto::json::Object;
use keybound_proto::uri::HttpUrl;
use serde::Serialize;

use crate::error::HolderError;
use crate::http_client::{HttpClient, Incoming, Outgoing, check_confidential};
use crate::secret::Secret;
use crate::token::Refusal;

/// Larger answers are refused, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// How the new client will authenticate.
#[derive(Clone, Debug)]
pub enum RegisteredAuthentication {
    /// `private_key_jwt` with this public key; its `kid` is its thumbprint.
    PrivateKeyJwt(PublicKey, Algorithm),
    /// `client_secret_basic` with a secret the server makes.
    ClientSecretBasic,
}

/// What to register.
#[derive(Clone, Debug)]
pub struct RegistrationRequest {
    /// A name for people.
    pub client_name: Option<String>,
    /// How the client will authenticate.
    pub authentication: RegisteredAuthentication,
    /// Scopes to ask for, separated by spaces.
    pub scope: Option<String>,
    /// The initial access token of a server that does not let everybody
    /// register. It is a bearer credential by definition (RFC 7591 section 3).
    pub initial_access_token: Option<Secret>,
}

/// A client as it was registered.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The new client's identifier.
    pub client_id: String,
    /// The secret, for `client_secret_basic`.
    pub client_secret: Option<Secret>,
    /// When the secret expires, in seconds since 1970; `None` for never.
    pub client_secret_expires_at: Option<u64>,
    /// Whether the server confirmed that it will refuse to issue this client
    /// unbound tokens.
    pub dpop_bound_access_tokens: bool,
    /// The scopes granted to the client, if the server said.
    pub scope: Option<String>,
}

/// Registers a client.
///
/// # Errors
/// [`HolderError::Refused`] when the server says no; [`HolderError::InsecureUrl`]
/// before anything is sent in clear; and whatever the exchange fails with.
pub async fn register(
    http: &HttpClient,
    endpoint: &HttpUrl,
    request: &RegistrationRequest,
) -> Result<Registration, HolderError> {
    check_confidential(endpoint)?;
    let outgoing = Outgoing {
        method: Method::POST,
        url: endpoint,
        headers: headers(request)?,
        body: body(request)?.into(),
        max_body: MAX_ANSWER_BYTES,
        timeout: None,
    };
    let answer = http.exchange(outgoing).await?;
    answer.refuse_unavailable(endpoint)?;
    // 201 is the standard's answer, 200 that of some servers.
    if !matches!(answer.status, StatusCode::CREATED | StatusCode::OK) {
        return Err(Refusal::read(&answer.body).into_error(endpoint, answer.status));
    }
    read(endpoint, &answer)
}

fn headers(request: &RegistrationRequest) -> Result<HeaderMap, HolderError> {
    let json = HeaderValue::from_static("application/json");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, json.clone());
    headers.insert(ACCEPT, json);
    if let Some(token) = &request.initial_access_token {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
                HolderError::ReservedHeader {
                    name: "authorization",
                }
            })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Client metadata (RFC 7591 section 2) as it is sent.
#[derive(Serialize)]
struct ClientMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    dpop_bound_access_tokens: bool,
    grant_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<KeySet>,
    response_types: [&'static str; 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    token_endpoint_auth_method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg: Option<&'static str>,
}

#[derive(Serialize)]
struct KeySet {
    keys: [serde_json::Value; 1],
}

fn body(request: &RegistrationRequest) -> Result<Vec<u8>, HolderError> {
    let (method, key) = match &request.authentication {
        RegisteredAuthentication::PrivateKeyJwt(key, algorithm) => {
            ("private_key_jwt", Some((key, *algorithm)))
        }
        RegisteredAuthentication::ClientSecretBasic => ("client_secret_basic", None),
    };
    let metadata = ClientMetadata {
        client_name: request.client_name.as_deref(),
        dpop_bound_access_tokens: true,
        grant_types: ["client_credentials"],
        jwks: key
            .map(|(key, algorithm)| key_set(key, algorithm))
            .transpose()?,
        response_types: [],
        scope: request.scope.as_deref(),
        token_endpoint_auth_method: method,
        token_endpoint_auth_signing_alg: key.map(|(_, algorithm)| algorithm.name()),
    };
    serde_json::to_vec(&metadata).map_err(|_| HolderError::Backend)
}

fn key_set(key: &PublicKey, algorithm: Algorithm) -> Result<KeySet, HolderError> {
    let kid = key.thumbprint().to_string();
    let jwk = serde_json::from_str(&key.to_jwk_with(&kid, algorithm));
    let jwk = jwk.map_err(|_| HolderError::Backend)?;
    Ok(KeySet { keys: [jwk] })
}

fn read(endpoint: &HttpUrl, answer: &Incoming) -> Result<Registration, HolderError> {
    let invalid = |reason: String| HolderError::ResponseInvalid {
        url: endpoint.without_query().to_owned(),
        reason,
    };
    let object = Object::parse(&answer.body).map_err(|e| invalid(e.to_string()))?;
    let string = |name: &str| object.string(name).map_err(|e| invalid(e.to_string()));
    let client_id = string("client_id")?.filter(|id| !id.is_empty());
    let client_id = client_id.ok_or_else(|| invalid("it has no `client_id`".to_owned()))?;
    let expires = object
        .unsigned("client_secret_expires_at")
        .map_err(|e| invalid(e.to_string()))?;
    let bound = object
        .boolean("dpop_bound_access_tokens")
        .map_err(|e| invalid(e.to_string()))?;
    Ok(Registration {
        client_id: client_id.to_owned(),
        client_secret: string("client_secret")?.map(Secret::new),
        client_secret_expires_at: expires.filter(|seconds| *seconds != 0),
        dpop_bound_access_tokens: bound.unwrap_or(false),
        scope: string("scope")?.map(str::to_owned),
    })
}
