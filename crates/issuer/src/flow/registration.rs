//! Dynamic client registration (RFC 7591): which metadata is acceptable and
//! what the new client gets.
//!
//! Strict where acceptance would weaken the client: keys come inline as `jwks`
//! and are public; every URL that somebody would follow is refused, so nothing is
//! ever fetched for a stranger; redirect URIs are HTTPS or on the loopback host. What has no
//! effect here
//! (`contacts`, `software_id`, a software statement) is ignored, as RFC 7591
//! section 2 has it. Every registered client is bound: by its certificate if it
//! asks for that (RFC 8705 section 3.4), and else the answer says
//! `dpop_bound_access_tokens: true` whatever was asked.
//!
//! This module neither stores the client nor makes random bytes; both are the
//! caller's. It knows no management protocol (RFC 7592).

use std::collections::BTreeMap;
use std::fmt;

use keybound_control::{ClientCredential, ClientRecord, ClientSource};
use keybound_proto::base64url;
use keybound_proto::cause::Cause;
use keybound_proto::certificate::{ClientName, RegisteredCertificates};
use keybound_proto::jose::{Algorithm, AlgorithmSet};
use keybound_proto::json::{Object, Value};
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::artefact;
use serde::Serialize;
use zeroize::Zeroizing;

use super::client::GrantType;
use super::keys::ClientKeys;
use super::redirect;
use super::scope::Scopes;
use super::secret::SecretDigest;

/// The largest registration request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024;
/// The most redirect URIs of one client.
const MAX_REDIRECT_URIS: usize = 8;
/// The longest `client_name`, in characters.
const MAX_NAME_CHARACTERS: usize = 128;

/// How a client is to authenticate.
#[derive(Clone, Debug)]
pub enum Method {
    /// `client_secret_basic`: the issuer makes the secret.
    ClientSecretBasic,
    /// `none`: a public client.
    Public,
    /// `private_key_jwt` with these keys.
    PrivateKeyJwt(ClientKeys),
    /// `self_signed_tls_client_auth` with these certificates or keys.
    SelfSigned(RegisteredCertificates),
    /// `tls_client_auth` with this name.
    Certificate(ClientName),
}

/// What the issuer offers to those who register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Client certificates.
    pub certificates: CertificateOffer,
    /// There is an authorization endpoint.
    pub authorization: bool,
}

/// What the issuer offers to clients with certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertificateOffer {
    /// A listener asks for certificates.
    pub asked_for: bool,
    /// There are authorities that may vouch for registered clients.
    pub has_anchors: bool,
}

impl Method {
    /// The registered name (RFC 7591 section 2).
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::Public => "none",
            Self::PrivateKeyJwt(_) => "private_key_jwt",
            Self::SelfSigned(_) => "self_signed_tls_client_auth",
            Self::Certificate(_) => "tls_client_auth",
        }
    }
}

/// How a registered client's tokens are bound: never not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundBy {
    /// `dpop_bound_access_tokens`
    pub dpop: bool,
    /// `tls_client_certificate_bound_access_tokens`
    pub certificate: bool,
}

/// Metadata that was found acceptable.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// How the client authenticates.
    pub method: Method,
    /// How its tokens are bound.
    pub bound_by: BoundBy,
    /// `use_mtls_endpoint_aliases` (FAPI 2.0), given back as it came.
    pub uses_aliases: Option<bool>,
    /// What it may ask for: all defaults, or the subset it wanted.
    pub scopes: Scopes,
    /// A name for people.
    pub name: Option<String>,
    /// The grants it may use.
    pub grants: Vec<GrantType>,
    /// Where answers of the authorization endpoint may go.
    pub redirect_uris: Vec<String>,
}

/// Judges a registration request.
///
/// # Errors
/// [`Cause::RegistrationMetadata`], with the name of the member at fault and
/// never its value where that could be a key.
pub fn judge(
    body: &[u8],
    defaults: &Scopes,
    algorithms: AlgorithmSet,
    offer: Offer,
) -> Result<Metadata, Rejection> {
    let request = Object::parse(body).map_err(|_| refuse("body", "one strict JSON object"))?;
    refuse_urls(&request)?;
    let method = method(&request, algorithms, offer)?;
    let grants = grants(&request, &method, offer)?;
    Ok(Metadata {
        redirect_uris: redirect_uris(&request, &grants)?,
        bound_by: bound_by(&request, offer.certificates)?,
        method,
        grants,
        uses_aliases: flag(&request, "use_mtls_endpoint_aliases")?,
        scopes: scopes(&request, defaults)?,
        name: name(&request)?,
    })
}

/// A client about to be stored, and its secret, which is shown once.
pub struct NewClient {
    record: ClientRecord,
    metadata: Metadata,
    secret: Option<Zeroizing<String>>,
}

impl NewClient {
    /// Gives acceptable metadata an id and, where it is to have one, a secret.
    ///
    /// `id` and `secret` are random bytes that never repeat.
    #[must_use]
    pub fn make(
        metadata: Metadata,
        resources: &[String],
        id: &[u8; 16],
        secret: &[u8; 32],
        now: UnixTime,
    ) -> Self {
        let client_id = format!("client-{}", base64url::encode(id));
        let (credential, secret) = match &metadata.method {
            Method::ClientSecretBasic => {
                let secret = artefact::generate(artefact::Kind::ClientSecret, secret);
                let sha256 = SecretDigest::of(secret.as_bytes()).to_hex();
                (
                    ClientCredential::ClientSecretBasic { sha256 },
                    Some(Zeroizing::new(secret)),
                )
            }
            Method::Public => (ClientCredential::None, None),
            Method::PrivateKeyJwt(keys) => (
                ClientCredential::PrivateKeyJwt {
                    jwks: keys.to_jwks(),
                },
                None,
            ),
            Method::SelfSigned(registered) => (
                ClientCredential::SelfSignedTlsClientAuth {
                    jwks: registered.to_jwks(),
                },
                None,
            ),
            Method::Certificate(name) => (
                ClientCredential::TlsClientAuth {
                    member: name.member().to_owned(),
                    value: name.value(),
                },
                None,
            ),
        };
        let record = ClientRecord {
            identity: client_id.clone(),
            client_id,
            name: metadata.name.clone(),
            credential,
            grants: metadata
                .grants
                .iter()
                .map(|grant| grant.name().to_owned())
                .collect(),
            redirect_uris: metadata.redirect_uris.clone(),
            scopes: metadata.scopes.iter().map(ToOwned::to_owned).collect(),
            resources: resources.to_vec(),
            dpop_bound: metadata.bound_by.dpop,
            certificate_bound: metadata.bound_by.certificate,
            source: ClientSource::Registered,
            created_at: now.as_secs(),
        };
        Self {
            record,
            metadata,
            secret,
        }
    }

    /// The answer's body (RFC 7591 section 3.2.1): what was registered, as it was
    /// registered. The only text that ever holds the secret.
    #[must_use]
    pub fn answer(&self) -> String {
        let jwks = match &self.metadata.method {
            Method::ClientSecretBasic | Method::Public | Method::Certificate(_) => None,
            Method::PrivateKeyJwt(keys) => serde_json::from_str(&keys.to_jwks()).ok(),
            Method::SelfSigned(registered) => serde_json::from_str(&registered.to_jwks()).ok(),
        };
        let name = match &self.metadata.method {
            Method::Certificate(name) => Some((name.member().to_owned(), name.value())),
            _ => None,
        };
        let scope = self.metadata.scopes.to_string();
        let answer = Answer {
            client_id: &self.record.client_id,
            client_id_issued_at: self.record.created_at,
            client_secret: self.secret.as_ref().map(|secret| secret.as_str()),
            client_secret_expires_at: self.secret.as_ref().map(|_| 0),
            client_name: self.metadata.name.as_deref(),
            token_endpoint_auth_method: self.metadata.method.name(),
            jwks,
            grant_types: &self.record.grants,
            response_types: self.response_types(),
            redirect_uris: &self.record.redirect_uris,
            scope: (!scope.is_empty()).then_some(&scope),
            dpop_bound_access_tokens: self.record.dpop_bound,
            tls_client_certificate_bound_access_tokens: self.record.certificate_bound,
            use_mtls_endpoint_aliases: self.metadata.uses_aliases,
            name: name.into_iter().collect(),
        };
        serde_json::to_string(&answer).unwrap_or_default()
    }

    fn response_types(&self) -> &'static [&'static str] {
        if self.metadata.grants.contains(&GrantType::AuthorizationCode) {
            &["code"]
        } else {
            &[]
        }
    }

    /// What is stored: without the secret.
    #[must_use]
    pub fn into_record(self) -> ClientRecord {
        self.record
    }
}

impl fmt::Debug for NewClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewClient")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

/// RFC 7591 section 3.2.1.
#[derive(Serialize)]
struct Answer<'a> {
    client_id: &'a str,
    client_id_issued_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    /// 0: never. Required beside a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    token_endpoint_auth_method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<serde_json::Value>,
    grant_types: &'a [String],
    response_types: &'static [&'static str],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    redirect_uris: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a String>,
    dpop_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_mtls_endpoint_aliases: Option<bool>,
    /// The one member of RFC 8705 section 2.1.2.
    #[serde(flatten)]
    name: BTreeMap<String, String>,
}

/// Pages for people, which this issuer neither fetches nor shows (RFC 7591 section 2).
const PAGES: [&str; 4] = ["client_uri", "logo_uri", "policy_uri", "tos_uri"];

/// Every member that would make the issuer follow a URL.
fn refuse_urls(request: &Object<'_>) -> Result<(), Rejection> {
    for (name, value) in request.iter() {
        // `tls_client_auth_san_uri` is a name to compare; nobody follows it.
        let names_urls = (name.ends_with("_uri") || name.ends_with("_uris"))
            && name != "redirect_uris"
            && !PAGES.contains(&name)
            && !ClientName::MEMBERS.contains(&name);
        let empty = match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if names_urls && !empty {
            return Err(refuse(name, "no URLs; send keys inline as `jwks`"));
        }
    }
    Ok(())
}

/// The grants: those asked for, or what fits the way the client authenticates. RFC 7591
/// section 2 has `authorization_code` as the default; a client without redirect URIs cannot mean
/// that.
fn grants(
    request: &Object<'_>,
    method: &Method,
    offer: Offer,
) -> Result<Vec<GrantType>, Rejection> {
    const MEMBER: &str = "grant_types";
    let public = matches!(method, Method::Public);
    let redirects =
        matches!(request.get("redirect_uris"), Some(Value::Array(uris)) if !uris.is_empty());
    let asked = request
        .strings(MEMBER)
        .map_err(|_| refuse(MEMBER, "an array of strings"))?;
    let grants = match asked {
        None if redirects || public => vec![GrantType::AuthorizationCode],
        None => vec![GrantType::ClientCredentials],
        Some(names) => names
            .into_iter()
            .map(|name| {
                GrantType::from_name(name).filter(|grant| grant.is_offered(offer.authorization))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| refuse(MEMBER, "grants the metadata names"))?,
    };
    let codes = grants.contains(&GrantType::AuthorizationCode);
    if codes && !offer.authorization {
        return Err(refuse(MEMBER, "client_credentials only"));
    }
    if public && grants.contains(&GrantType::ClientCredentials) {
        return Err(refuse(MEMBER, "no client_credentials for a public client"));
    }
    let responses = request
        .strings("response_types")
        .map_err(|_| refuse("response_types", "an array of strings"))?
        .unwrap_or_default();
    let fits = responses.iter().all(|name| codes && *name == "code");
    if !fits {
        return Err(refuse("response_types", "code, and only with its grant"));
    }
    Ok(grants)
}

/// The redirect URIs, which whoever uses codes needs and nobody else has.
fn redirect_uris(request: &Object<'_>, grants: &[GrantType]) -> Result<Vec<String>, Rejection> {
    const MEMBER: &str = "redirect_uris";
    let not_strings = || refuse(MEMBER, "an array of strings");
    let uris = match request.get(MEMBER) {
        None | Some(Value::Array(_)) => request.strings(MEMBER).map_err(|_| not_strings())?,
        Some(_) => return Err(not_strings()),
    };
    let uris = uris.unwrap_or_default();
    let wanted = grants.contains(&GrantType::AuthorizationCode);
    if wanted == uris.is_empty() || uris.len() > MAX_REDIRECT_URIS {
        return Err(refuse(MEMBER, "1 to 8, for the grant authorization_code"));
    }
    if !uris.iter().all(|uri| redirect::is_acceptable(uri)) {
        return Err(refuse(MEMBER, "https, or http on the loopback host"));
    }
    Ok(uris.into_iter().map(str::to_owned).collect())
}

/// By its certificate if the client asks for that, else by DPoP whatever it asks for.
fn bound_by(request: &Object<'_>, offer: CertificateOffer) -> Result<BoundBy, Rejection> {
    const MTLS: &str = "tls_client_certificate_bound_access_tokens";
    let certificate = flag(request, MTLS)?.unwrap_or(false);
    if certificate && !offer.asked_for {
        return Err(refuse(MTLS, "absent or false: tokens are bound by DPoP"));
    }
    let dpop = flag(request, "dpop_bound_access_tokens")?.unwrap_or(false);
    Ok(BoundBy {
        dpop: dpop || !certificate,
        certificate,
    })
}

fn flag(request: &Object<'_>, name: &str) -> Result<Option<bool>, Rejection> {
    match request.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(refuse(name, "true or false")),
    }
}

fn method(
    request: &Object<'_>,
    algorithms: AlgorithmSet,
    offer: Offer,
) -> Result<Method, Rejection> {
    const MEMBER: &str = "token_endpoint_auth_method";
    let jwks = request
        .object("jwks")
        .map_err(|_| refuse("jwks", "a JWK Set object"))?;
    let name = client_name(request)?;
    // RFC 7591 section 2: the default is client_secret_basic.
    let method = text(request, MEMBER)?.unwrap_or("client_secret_basic");
    if let (Some(name), true) = (&name, method != "tls_client_auth") {
        return Err(refuse(
            name.member(),
            "absent: it belongs to tls_client_auth",
        ));
    }
    match (method, jwks) {
        ("client_secret_basic", None) => Ok(Method::ClientSecretBasic),
        ("none", None) if offer.authorization => Ok(Method::Public),
        // A client that brings a key must not silently end up with a secret.
        ("client_secret_basic", Some(_)) => {
            Err(refuse(MEMBER, "private_key_jwt, since `jwks` was sent"))
        }
        ("private_key_jwt", Some(jwks)) => {
            let keys = ClientKeys::read(jwks, algorithms)?;
            limit(keys, request).map(Method::PrivateKeyJwt)
        }
        ("private_key_jwt" | "self_signed_tls_client_auth", None) => {
            Err(refuse("jwks", "the client's public keys, inline"))
        }
        ("self_signed_tls_client_auth", Some(jwks)) if offer.certificates.asked_for => {
            RegisteredCertificates::read(jwks)
                .map(Method::SelfSigned)
                .map_err(|error| refuse("jwks", &error.to_string()))
        }
        ("tls_client_auth", _)
            if offer.certificates.asked_for && offer.certificates.has_anchors =>
        {
            name.map(Method::Certificate).ok_or_else(|| {
                refuse(
                    MEMBER,
                    "exactly one of the tls_client_auth_… members beside it",
                )
            })
        }
        _ => Err(refuse(
            MEMBER,
            "a method the metadata names, for which this issuer is set up",
        )),
    }
}

/// The one name of RFC 8705 section 2.1.2. Two are refused: which of them counts would be a guess.
fn client_name(request: &Object<'_>) -> Result<Option<ClientName>, Rejection> {
    let mut found = None;
    for member in ClientName::MEMBERS {
        let Some(value) = text(request, member)? else {
            continue;
        };
        if found.is_some() {
            return Err(refuse(member, "exactly one of the five names"));
        }
        let name = ClientName::read(member, value);
        found = Some(name.map_err(|error| refuse(member, &error.to_string()))?);
    }
    Ok(found)
}

/// Holds a client to the algorithm it names for its assertions.
fn limit(keys: ClientKeys, request: &Object<'_>) -> Result<ClientKeys, Rejection> {
    const MEMBER: &str = "token_endpoint_auth_signing_alg";
    let Some(name) = text(request, MEMBER)? else {
        return Ok(keys);
    };
    Algorithm::from_name(name)
        .and_then(|algorithm| keys.limited_to(algorithm))
        .ok_or_else(|| refuse(MEMBER, "a supported algorithm that fits a key in `jwks`"))
}

fn scopes(request: &Object<'_>, defaults: &Scopes) -> Result<Scopes, Rejection> {
    let Some(asked) = text(request, "scope")? else {
        return Ok(defaults.clone());
    };
    let asked = Scopes::parse(asked).map_err(|_| refuse("scope", "a well-formed scope list"))?;
    if asked.first_outside(defaults).is_some() {
        return Err(refuse("scope", &defaults.to_string()));
    }
    Ok(asked)
}

fn name(request: &Object<'_>) -> Result<Option<String>, Rejection> {
    let Some(name) = text(request, "client_name")? else {
        return Ok(None);
    };
    let presentable =
        name.chars().count() <= MAX_NAME_CHARACTERS && !name.chars().any(char::is_control);
    if !presentable {
        return Err(refuse(
            "client_name",
            "at most 128 characters, none of them control characters",
        ));
    }
    Ok(Some(name.to_owned()))
}

fn text<'r>(request: &'r Object<'_>, name: &str) -> Result<Option<&'r str>, Rejection> {
    match request.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_ref())),
        Some(_) => Err(refuse(name, "a string")),
    }
}

fn refuse(member: &str, expected: &str) -> Rejection {
    Rejection::new(Cause::RegistrationMetadata).expected(format!("{member}: {expected}"))
}
