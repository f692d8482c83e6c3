//! The command line as a client: who it is towards an issuer, and how it gets
//! there from nothing but a URL.
//!
//! With a profile, that says who. Without one, the resource names its issuer
//! (RFC 9728), and where that lets anyone register (RFC 7591) a fresh key is
//! made, registered, and kept under `$XDG_DATA_HOME/keybound/holder/`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use keybound_custody::KeyFileError;
use keybound_holder::discovery::{self, ProtectedResource};
use keybound_holder::registration::{self, RegisteredAuthentication, RegistrationRequest};
use keybound_holder::{
    ClientAuthentication, Holder, HolderConfig, HolderError, HttpClient, Timeouts,
    TokenRequestProof,
};
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;

use crate::commands::key;
use crate::config::secret::make_private_directory;
use crate::context::{Context, shown};
use crate::failure::{Failure, chain};
use crate::input::unwritable;
use crate::profile::{Profile, ProfileFile, TokenRequestName};

/// How a command says who it is and what token it wants.
#[derive(Debug, Clone, Args)]
pub(crate) struct Identity {
    /// Who to be: a profile file [default: KEYBOUND_PROFILE, or a client registered by itself]
    #[arg(long, value_name = "FILE", help_heading = "Identity")]
    pub(crate) profile: Option<PathBuf>,

    /// Scope to ask for, separated by spaces [default: what the issuer gives]
    #[arg(long, help_heading = "Identity")]
    pub(crate) scope: Option<String>,

    /// Resource the token is for [default: what the server says it is]
    #[arg(long, value_name = "URL", help_heading = "Identity")]
    pub(crate) resource: Option<String>,

    /// Seconds to wait for an answer
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        help_heading = "Identity"
    )]
    pub(crate) timeout: u64,
}

/// A client that can get tokens and sign requests.
#[derive(Debug)]
pub(crate) struct Client {
    /// Gets tokens and signs.
    pub(crate) holder: Holder,
    /// Who it is.
    pub(crate) profile: Profile,
    /// Whether it was registered by this program for itself.
    automatic: bool,
}

impl Client {
    /// The client for requests to `url`.
    pub(crate) async fn for_url(
        url: &HttpUrl,
        identity: &Identity,
        context: &Context,
    ) -> Result<Self, Failure> {
        let http = HttpClient::new(identity.timeouts()).map_err(failure)?;
        if let Some(profile) = Profile::named(identity.profile.as_deref(), context)? {
            // A profile without a resource asks the server what it is called;
            // one that says nothing has a name only its operator knows.
            let resource = match identity
                .resource
                .clone()
                .or_else(|| profile.file.resource.clone())
            {
                Some(resource) => Some(resource),
                None => discovery::protected_resource(&http, url)
                    .await
                    .ok()
                    .map(resource_of),
            };
            return Self::new(profile, resource, identity, context, false);
        }
        let found = discovery::protected_resource(&http, url)
            .await
            .map_err(|error| no_identity(url, error))?;
        let Some(issuer) = found.authorization_servers.first().cloned() else {
            return Err(Failure::authentication(format!(
                "`{}` names no issuer",
                found.resource.as_str()
            ))
            .next("name a profile with --profile"));
        };
        let resource = identity
            .resource
            .clone()
            .unwrap_or_else(|| resource_of(found));
        let profile = registered(&issuer, &http, context).await?;
        Self::new(profile, Some(resource), identity, context, true)
    }

    /// The client of a profile, for the resource the profile or the command
    /// names.
    pub(crate) fn of_profile(
        profile: Profile,
        identity: &Identity,
        context: &Context,
    ) -> Result<Self, Failure> {
        let resource = identity
            .resource
            .clone()
            .or_else(|| profile.file.resource.clone());
        Self::new(profile, resource, identity, context, false)
    }

    fn new(
        profile: Profile,
        resource: Option<String>,
        identity: &Identity,
        context: &Context,
        automatic: bool,
    ) -> Result<Self, Failure> {
        let kid = profile.key.public_key().thumbprint().to_string();
        let request_proof = match profile.file.token_request {
            None | Some(TokenRequestName::Dpop) => TokenRequestProof::Dpop,
            Some(TokenRequestName::Httpsig) => TokenRequestProof::Signature { keyid: None },
            Some(TokenRequestName::HttpsigRegistered) => TokenRequestProof::Signature {
                keyid: Some(kid.clone()),
            },
        };
        let config = HolderConfig {
            issuer: profile.issuer.clone(),
            client_id: profile.file.client_id.clone(),
            authentication: ClientAuthentication::PrivateKeyJwtWithKid {
                key: Arc::clone(&profile.key),
                kid,
            },
            proof_key: Arc::clone(&profile.key),
            resource,
            scope: identity
                .scope
                .clone()
                .or_else(|| profile.file.scope.clone()),
            timeouts: identity.timeouts(),
        };
        let holder = Holder::requesting(request_proof, config, Arc::clone(&context.clock))
            .map_err(failure)?;
        Ok(Self {
            holder,
            profile,
            automatic,
        })
    }

    /// Whether an error means that the issuer no longer knows a client this
    /// program had registered for itself, as after its store was removed. Then
    /// the registration is forgotten and the same key may register again.
    pub(crate) fn forgets_registration(&self, error: &HolderError) -> bool {
        let unknown =
            matches!(error, HolderError::Refused { error, .. } if error == "invalid_client");
        self.automatic && unknown && std::fs::remove_file(&self.profile.path).is_ok()
    }
}

impl Identity {
    /// The time limits of each exchange.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let total = Duration::from_secs(self.timeout.max(1));
        Timeouts {
            connect: total.min(Duration::from_secs(5)),
            total,
        }
    }
}

/// What went wrong with a holder's exchange, and whose turn it is.
pub(crate) fn failure(error: HolderError) -> Failure {
    let message = chain(&error);
    match &error {
        HolderError::Unreachable { .. } | HolderError::Interrupted => Failure::unreachable(message)
            .next("check that the server runs; `keybound dev` starts everything on loopback"),
        HolderError::Refused { status, error, .. }
            if error == "invalid_client" || *status == 401 =>
        {
            Failure::authentication(message).next("check the client id and key of the profile")
        }
        HolderError::Refused { .. } => Failure::refused(message)
            .next("the operator sees the cause with `keybound events tail`"),
        HolderError::Redirected { .. } => Failure::refused(message),
        HolderError::MetadataMissing { .. } => Failure::not_found(message),
        HolderError::NotBound { .. }
        | HolderError::IssuerMismatch { .. }
        | HolderError::ResourceMismatch { .. }
        | HolderError::Signing { .. }
        | HolderError::AlgorithmUnsupported { .. } => Failure::authentication(message),
        HolderError::InsecureUrl { .. }
        | HolderError::IssuerUnusable { .. }
        | HolderError::ReservedHeader { .. }
        | HolderError::UrlRewritten { .. } => Failure::usage(message),
        HolderError::Backend => Failure::internal(message),
        _ => Failure::server(message),
    }
}

fn resource_of(found: ProtectedResource) -> String {
    found.resource.as_str().to_owned()
}

fn no_identity(url: &HttpUrl, error: HolderError) -> Failure {
    match error {
        HolderError::MetadataMissing { .. } => Failure::authentication(format!(
            "`{}` does not say which issuer it trusts (RFC 9728), and no profile does",
            url.without_query()
        ))
        .next("name a profile with --profile or KEYBOUND_PROFILE"),
        other => failure(other),
    }
}

/// The client this program registered for itself at an issuer.
pub(crate) fn known_at(issuer: &HttpUrl, context: &Context) -> Result<Profile, Failure> {
    let path = own_directory(issuer, context)?.join(CLIENT_FILE);
    if path.exists() {
        return Profile::read(&path);
    }
    Err(Failure::authentication(format!(
        "this machine has no client at the issuer `{}`",
        issuer.as_str()
    ))
    .next("name a profile with --profile or KEYBOUND_PROFILE"))
}

/// Posts a form and reads a successful answer.
pub(crate) async fn post_form(
    endpoint: &HttpUrl,
    form: &[(&str, &str)],
    timeout: u64,
) -> Result<Vec<u8>, Failure> {
    let unreachable = |error: reqwest::Error| {
        Failure::unreachable(format!(
            "no answer from `{}`: {}",
            endpoint.as_str(),
            chain(&error)
        ))
    };
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(timeout.max(1)))
        .build()
        .map_err(|error| Failure::internal(chain(&error)))?;
    let response = http
        .post(endpoint.as_str())
        .form(form)
        .send()
        .await
        .map_err(unreachable)?;
    let status = response.status();
    let request_id = response
        .headers()
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let body = response.bytes().await.map_err(unreachable)?;
    if status.is_success() {
        return Ok(body.to_vec());
    }
    let error: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let said = |name: &str| {
        error
            .get(name)
            .and_then(serde_json::Value::as_str)
            .map(|text| format!(": {text}"))
    };
    let message = format!(
        "the issuer refused with status {status}{}{}",
        said("error").unwrap_or_default(),
        said("error_description").unwrap_or_default()
    );
    Err(Failure::of_status(status.as_u16(), message).request_id(request_id))
}

fn own_directory(issuer: &HttpUrl, context: &Context) -> Result<PathBuf, Failure> {
    Ok(context
        .data_home()?
        .join("holder")
        .join(directory_name(issuer)))
}

/// The client this program registered for itself at an issuer, or a new one.
async fn registered(
    issuer: &HttpUrl,
    http: &HttpClient,
    context: &Context,
) -> Result<Profile, Failure> {
    let directory = own_directory(issuer, context)?;
    let path = directory.join(CLIENT_FILE);
    if path.exists() {
        return Profile::read(&path);
    }
    make_private_directory(&directory).map_err(|error| unwritable(&directory, &error))?;
    let key = own_key(&directory.join("key.pem"))?;
    let server = discovery::authorization_server(http, issuer)
        .await
        .map_err(failure)?;
    let Some(endpoint) = server.registration_endpoint else {
        return Err(Failure::authentication(format!(
            "the issuer `{}` registers no clients",
            issuer.as_str()
        ))
        .next("ask its operator for a client, and name it in a profile (--profile)"));
    };
    let request = RegistrationRequest {
        client_name: Some("keybound command line".to_owned()),
        authentication: RegisteredAuthentication::PrivateKeyJwt(
            key.public_key().clone(),
            key.algorithm(),
        ),
        scope: None,
        initial_access_token: None,
    };
    let registration = registration::register(http, &endpoint, &request)
        .await
        .map_err(failure)?;
    let file = ProfileFile {
        issuer: issuer.as_str().to_owned(),
        client_id: registration.client_id,
        key: "file:key.pem".to_owned(),
        resource: None,
        scope: None,
        token_request: None,
        control: None,
    };
    file.write(&path)?;
    let (thumbprint, place) = (
        key.public_key().thumbprint(),
        shown(&directory, &context.environment),
    );
    context.output.note(format_args!(
        "registered with {} as {}",
        issuer.as_str(),
        file.client_id
    ));
    context
        .output
        .note(format_args!("the key {thumbprint} stays in {place}"));
    Profile::read(&path)
}

/// The key of a directory, made when there is none yet.
fn own_key(path: &Path) -> Result<keybound_custody::SoftwareKey, Failure> {
    if path.exists() {
        return key::load(path);
    }
    let made = key::generate(Algorithm::Es256)?;
    match made.create(path) {
        Ok(()) => Ok(made),
        // Another command was quicker; its key is as good.
        Err(KeyFileError::Exists { .. }) => key::load(path),
        Err(error) => Err(Failure::usage(chain(&error))),
    }
}

/// A directory name for an issuer: readable, and distinct for distinct issuers.
fn directory_name(issuer: &HttpUrl) -> String {
    let text = issuer.as_str();
    let readable: String = text
        .split_once("://")
        .map_or(text, |(_, rest)| rest)
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() || character == '.' {
                character
            } else {
                '_'
            }
        })
        .take(64)
        .collect();
    let hash = TokenHash::of(text.as_bytes()).to_hex();
    format!("{readable}-{}", &hash[..8])
}

const CLIENT_FILE: &str = "client.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_issuers_have_distinct_directories() {
        let name = |text: &str| directory_name(&HttpUrl::parse(text).expect("a URL"));
        assert_ne!(
            name("http://127.0.0.1:9400/a_b"),
            name("http://127.0.0.1:9400/a/b")
        );
        assert!(name("http://127.0.0.1:9400").starts_with("127.0.0.1_9400-"));
        assert!(!name("https://a.example/../..").contains('/'));
    }
}
