//! From configuration to settings that can be relied on: every name resolved,
//! every key parsed, every contradiction refused with the place it stands at.

use std::sync::Arc;

use keybound_control::{ClientCredential, ClientRecord, ClientSource};
use keybound_proto::certificate::RegisteredCertificates;
use keybound_proto::jose::Algorithm;
use keybound_proto::json::Object;
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;

use crate::config::{
    CertificateUse, ClientAuthentication, ClientConfig, GrantType, IssuerConfig,
    RequestSigningConfig,
};
use crate::flow::client::{Binding, Client, Credential, RequestSigning};
use crate::flow::exchange::Rule;
use crate::flow::keys::ClientKeys;
use crate::flow::redirect;
use crate::flow::resource::Resource;
use crate::flow::scope::Scopes;
use crate::keyring::JWKS_MAX_AGE;

mod delegation;

/// The longest life of an access token, in seconds: a day.
const MAX_ACCESS_TTL: u64 = 86_400;
/// The longest client id, in bytes.
const MAX_CLIENT_ID: usize = 256;

/// A setting the issuer cannot work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`issuer.{place}` {problem}")]
pub struct ConfigError {
    place: String,
    problem: String,
}

impl ConfigError {
    pub(crate) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            problem: problem.into(),
        }
    }

    /// The key of the configuration, below `issuer`.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

/// What the configuration comes to.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) resources: Vec<Resource>,
    pub(crate) clients: Vec<Client>,
    pub(crate) registration_scopes: Scopes,
    pub(crate) delegations: Vec<Rule>,
}

/// Checks a configuration as a whole.
pub(crate) fn check(config: &IssuerConfig) -> Result<Settings, ConfigError> {
    check_url(config)?;
    check_tokens(config)?;
    check_proofs(config)?;
    check_authorization(config)?;
    let resources = resources(config)?;
    let mut clients: Vec<Client> = Vec::with_capacity(config.clients.len());
    for client in &config.clients {
        if clients.iter().any(|known| known.id == client.id) {
            return Err(at_client(client, "id", "is used by two clients"));
        }
        clients.push(self::client(client, config, &resources)?);
    }
    let registration_scopes = known_scopes(
        &config.registration.scopes,
        &resources,
        "registration.scopes",
    )?;
    known_resources(
        &config.registration.resources,
        &resources,
        "registration.resources",
    )?;
    let delegations = delegation::rules(config, &clients, &resources)?;
    Ok(Settings {
        resources,
        delegations,
        clients,
        registration_scopes,
    })
}

/// The records of configured clients, for whoever lists clients.
pub(crate) fn records<'a>(
    config: &'a IssuerConfig,
    clients: &'a [Client],
    now: UnixTime,
) -> impl Iterator<Item = ClientRecord> + use<'a> {
    let owned = |names: &[String]| names.to_vec();
    config
        .clients
        .iter()
        .zip(clients)
        .map(move |(configured, client)| ClientRecord {
            client_id: client.id.clone(),
            identity: client.identity.clone(),
            name: None,
            credential: match &client.credential {
                Credential::Keys(keys) => ClientCredential::PrivateKeyJwt {
                    jwks: keys.to_jwks(),
                },
                Credential::Public => ClientCredential::None,
                Credential::Secret(digest) => ClientCredential::ClientSecretBasic {
                    sha256: digest.to_hex(),
                },
                Credential::SelfSigned(registered) => ClientCredential::SelfSignedTlsClientAuth {
                    jwks: registered.to_jwks(),
                },
                Credential::Certificate { name, .. } => ClientCredential::TlsClientAuth {
                    member: name.member().to_owned(),
                    value: name.value(),
                },
            },
            grants: client
                .grants
                .iter()
                .map(|grant| grant.name().to_owned())
                .collect(),
            scopes: owned(&configured.scopes),
            resources: owned(&configured.resources),
            dpop_bound: client.binding == Binding::Required && !client.certificate.sufficient,
            certificate_bound: client.certificate.required,
            redirect_uris: owned(&configured.redirect_uris),
            source: ClientSource::Configured,
            created_at: now.as_secs(),
        })
}

fn check_url(config: &IssuerConfig) -> Result<(), ConfigError> {
    if config.url.query().is_some() {
        return Err(ConfigError::new(
            "url",
            "has a query; an issuer identifier has none (RFC 8414 section 2)",
        ));
    }
    for origin in &config.cors_origins {
        let canonical = Origin::parse(origin).map_err(|error| {
            ConfigError::new("cors_origins", format!("has `{origin}`: {error}"))
        })?;
        if canonical.as_str() != origin {
            let problem = format!("has `{origin}`; browsers send `{canonical}`");
            return Err(ConfigError::new("cors_origins", problem));
        }
    }
    Ok(())
}

fn check_tokens(config: &IssuerConfig) -> Result<(), ConfigError> {
    if !matches!(
        config.signing_algorithm,
        Algorithm::Es256 | Algorithm::EdDsa
    ) {
        return Err(ConfigError::new(
            "tokens.signing_alg",
            "must be ES256 or EdDSA",
        ));
    }
    if !(1..=MAX_ACCESS_TTL).contains(&config.access_ttl) {
        return Err(ConfigError::new(
            "tokens.access_ttl",
            "must be from 1 s to 24 h",
        ));
    }
    let rotation = config.rotation;
    if rotation.overlap < JWKS_MAX_AGE {
        let problem =
            format!("must be at least {JWKS_MAX_AGE} s: verifiers cache the keys that long");
        return Err(ConfigError::new("rotation.overlap", problem));
    }
    if rotation.every <= rotation.overlap {
        return Err(ConfigError::new(
            "rotation.every",
            "must be longer than `rotation.overlap`",
        ));
    }
    Ok(())
}

fn check_proofs(config: &IssuerConfig) -> Result<(), ConfigError> {
    if config.profile.proof_algorithms.is_empty() {
        return Err(ConfigError::new(
            "proof.algorithms",
            "is empty; allow at least ES256",
        ));
    }
    if config.assertion_algorithms.is_empty() {
        return Err(ConfigError::new(
            "assertion.algorithms",
            "is empty; allow at least ES256",
        ));
    }
    if config.nonce.lifetime == 0 {
        return Err(ConfigError::new(
            "nonce.lifetime",
            "is 0, so no nonce would ever be accepted",
        ));
    }
    Ok(())
}

fn resources(config: &IssuerConfig) -> Result<Vec<Resource>, ConfigError> {
    let mut resources: Vec<Resource> = Vec::with_capacity(config.resources.len());
    for resource in &config.resources {
        let identifier = &resource.identifier;
        let absolute = identifier.split_once(':').is_some_and(|(scheme, rest)| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && !rest.is_empty()
        });
        if !absolute
            || identifier.contains(|c: char| c == '#' || c.is_whitespace() || c.is_control())
        {
            let problem =
                format!("has `{identifier}`; a resource is an absolute URI without fragment");
            return Err(ConfigError::new("resource", problem));
        }
        if resources
            .iter()
            .any(|known| known.identifier == *identifier)
        {
            return Err(ConfigError::new(
                "resource",
                format!("has `{identifier}` twice"),
            ));
        }
        let scopes = resource.scopes.iter().map(String::as_str);
        resources.push(Resource {
            scopes: Scopes::from_tokens(scopes).map_err(|error| {
                ConfigError::new("resource", format!("`{identifier}`: {error}"))
            })?,
            identifier: identifier.clone(),
        });
    }
    Ok(resources)
}

fn client(
    configured: &ClientConfig,
    config: &IssuerConfig,
    known: &[Resource],
) -> Result<Client, ConfigError> {
    let printable = configured
        .id
        .bytes()
        .all(|byte| (0x20..0x7f).contains(&byte));
    if configured.id.is_empty() || configured.id.len() > MAX_CLIENT_ID || !printable {
        return Err(at_client(
            configured,
            "id",
            "must be 1 to 256 printable ASCII characters",
        ));
    }
    let place = |key: &str| format!("client[{}].{key}", configured.id);
    known_resources(&configured.resources, known, &place("resources"))?;
    let binding = match &configured.unconstrained {
        None => Binding::Required,
        Some(exemption) if exemption.reason.trim().is_empty() => {
            return Err(at_client(
                configured,
                "unconstrained",
                "needs a reason, which every token's log line will show",
            ));
        }
        Some(exemption) => Binding::Exempt(exemption.clone()),
    };
    Ok(Client {
        identity: configured
            .identity
            .clone()
            .unwrap_or_else(|| configured.id.clone()),
        credential: credential(configured, config)?,
        grants: configured.grants.clone(),
        scopes: known_scopes(&configured.scopes, known, &place("scopes"))?,
        resources: configured.resources.clone(),
        binding,
        certificate: certificate(configured, config)?,
        signing: signing(configured, config)?,
        nonce_required: configured.nonce,
        redirect_uris: redirect_uris(configured)?,
        pushed_only: configured.pushed_only,
        name: None,
        registered_itself: false,
        may_act: configured.may_act.clone(),
        sight: configured.sight.clone(),
        id: configured.id.clone(),
    })
}

fn signing(client: &ClientConfig, config: &IssuerConfig) -> Result<RequestSigning, ConfigError> {
    let (jwks, optional) = match &client.signing {
        RequestSigningConfig::Refused => return Ok(RequestSigning::Refused),
        RequestSigningConfig::Taken { jwks, optional } => (jwks, *optional),
    };
    let Some(jwks) = jwks else {
        return Ok(RequestSigning::Runtime { optional });
    };
    let at = |problem: &str| at_client(client, "httpsig_jwks", problem);
    let set = Object::parse(jwks.as_bytes())
        .map_err(|error| at(&format!("is not a JWK Set: {error}")))?;
    let keys = ClientKeys::read(&set, config.profile.proof_algorithms)
        .map_err(|rejection| at(&rejection.detail().expected.unwrap_or_default()))?;
    if keys.keys.iter().any(|key| key.kid.is_none()) {
        return Err(at("has a key without `kid`, which no signature can name"));
    }
    Ok(RequestSigning::Preregistered { keys, optional })
}

fn credential(client: &ClientConfig, config: &IssuerConfig) -> Result<Credential, ConfigError> {
    match &client.authentication {
        ClientAuthentication::ClientSecretBasic(digest) => Ok(Credential::Secret(*digest)),
        ClientAuthentication::Public => public(client),
        ClientAuthentication::PrivateKeyJwt { jwks } => {
            let set = Object::parse(jwks.as_bytes()).map_err(|error| {
                at_client(client, "jwks", &format!("is not a JWK Set: {error}"))
            })?;
            let keys =
                ClientKeys::read(&set, config.assertion_algorithms).map_err(|rejection| {
                    at_client(
                        client,
                        "jwks",
                        &rejection.detail().expected.unwrap_or_default(),
                    )
                })?;
            Ok(Credential::Keys(keys))
        }
        ClientAuthentication::SelfSignedTlsClientAuth { jwks } => {
            let set = Object::parse(jwks.as_bytes()).map_err(|error| {
                at_client(client, "jwks", &format!("is not a JWK Set: {error}"))
            })?;
            let registered = RegisteredCertificates::read(&set)
                .map_err(|error| at_client(client, "jwks", &format!("is unusable: {error}")))?;
            asks_for_certificates(client, config)?;
            Ok(Credential::SelfSigned(registered))
        }
        ClientAuthentication::TlsClientAuth { name, anchors } => {
            asks_for_certificates(client, config)?;
            Ok(Credential::Certificate {
                name: name.clone(),
                anchors: Arc::clone(anchors),
            })
        }
    }
}

/// A public client proves possession of a key and nothing else, so it can act for nobody by
/// itself, and cannot be exempted from the proof.
fn public(client: &ClientConfig) -> Result<Credential, ConfigError> {
    if client.grants.contains(&GrantType::ClientCredentials) {
        let problem = "has `client_credentials`, which needs a client that authenticates";
        return Err(at_client(client, "grants", problem));
    }
    if client.unconstrained.is_some() {
        let problem = "cannot be: nothing would tell a public client from a thief";
        return Err(at_client(client, "unconstrained", problem));
    }
    Ok(Credential::Public)
}

fn redirect_uris(client: &ClientConfig) -> Result<Vec<String>, ConfigError> {
    let uris = &client.redirect_uris;
    if let Some(uri) = uris.iter().find(|uri| !redirect::is_acceptable(uri)) {
        let problem = format!("has `{uri}`; use https, or http on the loopback host");
        return Err(at_client(client, "redirect_uris", &problem));
    }
    if uris.is_empty() && client.grants.contains(&GrantType::AuthorizationCode) {
        let problem = "is empty, and the grant `authorization_code` needs one";
        return Err(at_client(client, "redirect_uris", problem));
    }
    Ok(uris.clone())
}

fn check_authorization(config: &IssuerConfig) -> Result<(), ConfigError> {
    let Some(authorization) = &config.authorization else {
        return Ok(());
    };
    if !(1..=60).contains(&authorization.code_ttl) {
        let problem = "must be from 1 s to 60 s (FAPI 2.0 section 5.3.2.1)";
        return Err(ConfigError::new("authorization.code_ttl", problem));
    }
    if !(1..600).contains(&authorization.request_ttl) {
        let problem = "must be from 1 s to below 600 s (FAPI 2.0 section 5.3.2.2)";
        return Err(ConfigError::new("authorization.request_ttl", problem));
    }
    Ok(())
}

fn certificate(
    client: &ClientConfig,
    config: &IssuerConfig,
) -> Result<CertificateUse, ConfigError> {
    let wanted = client.certificate;
    if wanted.required || wanted.sufficient {
        asks_for_certificates(client, config)?;
    }
    Ok(wanted)
}

/// A client that needs a certificate and no listener that asks for one: it would never get in.
fn asks_for_certificates(client: &ClientConfig, config: &IssuerConfig) -> Result<(), ConfigError> {
    match config.certificates {
        Some(_) => Ok(()),
        None => Err(at_client(
            client,
            "auth",
            "needs a client certificate, and no listener of the issuer asks for one",
        )),
    }
}

/// Scopes that at least one resource knows.
fn known_scopes(names: &[String], known: &[Resource], place: &str) -> Result<Scopes, ConfigError> {
    let scopes = Scopes::from_tokens(names.iter().map(String::as_str))
        .map_err(|error| ConfigError::new(place, error.to_string()))?;
    let all = known.iter().fold(Scopes::default(), |all, resource| {
        all.union(&resource.scopes)
    });
    match scopes.first_outside(&all) {
        Some(unknown) => Err(ConfigError::new(
            place,
            format!("has `{unknown}`, which no resource knows"),
        )),
        None => Ok(scopes),
    }
}

fn known_resources(names: &[String], known: &[Resource], place: &str) -> Result<(), ConfigError> {
    let unknown = names
        .iter()
        .find(|name| !known.iter().any(|resource| resource.identifier == **name));
    match unknown {
        Some(unknown) => Err(ConfigError::new(
            place,
            format!("has `{unknown}`, which is no configured resource"),
        )),
        None => Ok(()),
    }
}

fn at_client(client: &ClientConfig, key: &str, problem: &str) -> ConfigError {
    ConfigError::new(format!("client[{}].{key}", client.id), problem)
}
