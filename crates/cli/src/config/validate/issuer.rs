//! The section `[issuer]`.

use std::path::PathBuf;

use keybound_issuer::config::{
    CertificatesConfig, ClientAuthentication, ClientConfig, ErrorDetail, Exemption, GrantType,
    IssuerConfig, NonceConfig, RegistrationConfig, RegistrationMode, RequestSigningConfig,
    ResourceConfig, Rotation, SecretDigest, Sight,
};
use keybound_proto::jose::Algorithm;

use super::checker::Checker;
use super::{authorization, client_certificate, delegation, front};
use crate::config::model::{
    ClientAuth, ClientBinding, ClientCertificatesName, ClientSection, Grant, IssuerSection,
    RegistrationModeName, RegistrationSection, SigningAlg,
};
use crate::config::secret::random32;
use crate::config::settings::IssuerSettings;
use crate::config::source;

/// Scopes of the admin API and of gateways' own traffic with control.
pub(crate) const CONTROL_SCOPES: [&str; 3] =
    ["keybound:read", "keybound:respond", "keybound:gateway"];

pub(super) fn check(checker: &mut Checker<'_>, section: &IssuerSection) -> Option<IssuerSettings> {
    let url = checker.url("issuer.url", &section.url);
    let front = front::check(
        checker,
        "issuer",
        &front::Sections {
            listen: &section.listen,
            unsafe_plain_off_loopback: section.unsafe_plain_off_loopback,
            tls: section.tls.as_ref(),
            certificate_header: section.certificate_header.as_ref(),
        },
    );
    let certificates = certificates(checker, section);
    let access_ttl = checker.duration(
        "issuer.tokens.access_ttl",
        &section.tokens.access_ttl,
        30..=3_600,
    );
    let profile = checker.profile("issuer.proof", &section.proof);
    let refresh = authorization::refresh(checker, &section.tokens);
    let authorization = authorization::check(checker, section);
    let rotation = rotation(checker, section);
    let nonce = nonce(checker, section);
    let registration = registration(checker, &section.registration);
    let resources = resources(checker, section);
    let clients = clients(checker, section);
    let delegations = delegation::check(checker, section);
    let cors_origins = checker.origins("issuer.cors_origins", &section.cors_origins);
    let (nonce, nonce_secret_file) = nonce?;
    Some(IssuerSettings {
        front: front?,
        config: IssuerConfig {
            url: url?,
            node: "issuer-1".to_owned(),
            access_ttl: access_ttl?,
            signing_algorithm: match section.tokens.signing_alg {
                SigningAlg::Es256 => Algorithm::Es256,
                SigningAlg::EdDsa => Algorithm::EdDsa,
            },
            refresh: refresh?,
            authorization: authorization?,
            rotation: rotation?,
            clients: clients?,
            resources: resources?,
            delegations: delegations?,
            registration: registration?,
            certificates: certificates?,
            profile: profile?,
            assertion_algorithms: IssuerConfig::DEFAULT_ASSERTION_ALGORITHMS,
            nonce,
            error_detail: ErrorDetail::Minimal,
            cors_origins: cors_origins
                .iter()
                .flatten()
                .map(ToString::to_string)
                .collect(),
        },
        cors_origins: cors_origins?,
        nonce_secret_file,
    })
}

/// Whether clients can come with a certificate, and where; `Some(None)` where they cannot.
#[expect(
    clippy::option_option,
    reason = "the outer level is a problem that was noted, the inner one that there are no certificates"
)]
fn certificates(
    checker: &mut Checker<'_>,
    section: &IssuerSection,
) -> Option<Option<CertificatesConfig>> {
    let asks = section
        .tls
        .as_ref()
        .is_some_and(|tls| tls.client_certificates != ClientCertificatesName::None);
    let alias = match &section.mtls_url {
        None => None,
        Some(url) => Some(checker.url("issuer.mtls_url", url)?),
    };
    if alias.is_some() && !asks {
        let message = "`issuer.mtls_url` is served by nobody who asks for certificates";
        let help = "add `[issuer.tls]` with `client_certificates = \"optional\"` or `\"required\"`";
        checker.problem("issuer.mtls_url", message, Some(help));
        return None;
    }
    let taken = asks || section.certificate_header.is_some();
    Some(taken.then_some(CertificatesConfig { alias }))
}

fn rotation(checker: &mut Checker<'_>, section: &IssuerSection) -> Option<Rotation> {
    const TEN_YEARS: u64 = 3_650 * 86_400;
    let every = checker.duration(
        "issuer.rotation.every",
        &section.rotation.every,
        3_600..=TEN_YEARS,
    );
    let overlap = checker.duration(
        "issuer.rotation.overlap",
        &section.rotation.overlap,
        300..=TEN_YEARS,
    );
    let (every, overlap) = (every?, overlap?);
    if overlap >= every {
        let message = "`issuer.rotation.overlap` has to be shorter than `issuer.rotation.every`";
        checker.problem("issuer.rotation.overlap", message, None);
        return None;
    }
    Some(Rotation { every, overlap })
}

/// The nonces, and the file whose secrets are followed, unless a variable gives the secret.
fn nonce(
    checker: &mut Checker<'_>,
    section: &IssuerSection,
) -> Option<(NonceConfig, Option<PathBuf>)> {
    let variable = checker.loaded().secrets.issuer_nonce_secret.as_ref();
    let file = section.nonce_secret_file.as_deref();
    let (secret, also) = checker.secrets32(
        "issuer.nonce_secret_file",
        variable,
        source::ISSUER_NONCE_SECRET,
        file,
    )?;
    let followed = match variable {
        Some(_) => None,
        None => file.map(|file| checker.loaded().resolve(file)),
    };
    let config = NonceConfig {
        secret: secret.map_or_else(random32, Some)?,
        also,
        lifetime: 300,
        required: section.nonce,
    };
    Some((config, followed))
}

fn registration(
    checker: &mut Checker<'_>,
    section: &RegistrationSection,
) -> Option<RegistrationConfig> {
    let mode = match section.mode {
        RegistrationModeName::Closed => RegistrationMode::Closed,
        RegistrationModeName::Open => RegistrationMode::Open,
        RegistrationModeName::Token => {
            RegistrationMode::Token(registration_token(checker, section)?)
        }
    };
    let resources = section
        .resources
        .iter()
        .enumerate()
        .map(|(position, resource)| {
            checker.resource(
                &format!("issuer.registration.resources[{position}]"),
                resource,
            )
        })
        .collect::<Option<Vec<_>>>()?;
    Some(RegistrationConfig {
        mode,
        resources,
        scopes: section.scopes.clone(),
        client_anchors: match &section.client_ca {
            Some(file) => Some(client_certificate::anchors(
                checker,
                "issuer.registration.client_ca",
                file,
            )?),
            None => None,
        },
        max_clients: section.max_clients.into(),
    })
}

fn registration_token(
    checker: &mut Checker<'_>,
    section: &RegistrationSection,
) -> Option<SecretDigest> {
    if let Some(text) = &checker.loaded().secrets.registration_token {
        return Some(SecretDigest::of(text.as_bytes()));
    }
    let Some(file) = &section.token_file else {
        let help = "name its file with `token_file`, or set KEYBOUND_ISSUER__REGISTRATION__TOKEN";
        let message = "`mode = \"token\"` needs an initial access token";
        checker.problem("issuer.registration.mode", message, Some(help));
        return None;
    };
    let text = checker.private_text("issuer.registration.token_file", file)?;
    Some(SecretDigest::of(text.as_bytes()))
}

/// The listed resources, and those of gateway and control in the same file.
fn resources(checker: &mut Checker<'_>, section: &IssuerSection) -> Option<Vec<ResourceConfig>> {
    let mut known: Vec<ResourceConfig> = Vec::new();
    for (position, resource) in section.resource.iter().enumerate() {
        let identifier =
            checker.resource(&format!("issuer.resource[{position}].url"), &resource.url)?;
        known.push(ResourceConfig {
            identifier,
            scopes: resource.scopes.clone(),
        });
    }
    let file = &checker.loaded().file;
    if let Some(gateway) = &file.gateway {
        let own = gateway.resource.clone().unwrap_or_default();
        for route in &gateway.route {
            let identifier = route.resource.clone().unwrap_or_else(|| own.clone());
            add(&mut known, identifier, route.scopes.values().flatten());
        }
        add(&mut known, own, [].iter());
    }
    if let Some(url) = file
        .control
        .as_ref()
        .and_then(|control| control.url.as_ref())
    {
        let scopes = CONTROL_SCOPES.map(str::to_owned);
        add(
            &mut known,
            format!("{}/", url.trim_end_matches('/')),
            scopes.iter(),
        );
    }
    Some(known)
}

fn add<'a>(
    known: &mut Vec<ResourceConfig>,
    identifier: String,
    scopes: impl Iterator<Item = &'a String>,
) {
    let position = known
        .iter()
        .position(|resource| resource.identifier == identifier);
    let position = position.unwrap_or_else(|| {
        known.push(ResourceConfig {
            identifier,
            scopes: Vec::new(),
        });
        known.len() - 1
    });
    for scope in scopes {
        if !known[position].scopes.contains(scope) {
            known[position].scopes.push(scope.clone());
        }
    }
}

fn clients(checker: &mut Checker<'_>, section: &IssuerSection) -> Option<Vec<ClientConfig>> {
    let mut clients: Vec<Option<ClientConfig>> = Vec::new();
    for (position, client) in section.client.iter().enumerate() {
        let key = format!("issuer.client[{position}]");
        if section.client[..position]
            .iter()
            .any(|other| other.id == client.id)
        {
            let message = format!("there are two clients with the id `{}`", client.id);
            checker.problem(&format!("{key}.id"), message, None);
        }
        clients.push(self::client(checker, &key, client));
    }
    clients.into_iter().collect()
}

fn client(checker: &mut Checker<'_>, key: &str, section: &ClientSection) -> Option<ClientConfig> {
    if section.id.is_empty() {
        checker.problem(&format!("{key}.id"), format!("`{key}.id` is empty"), None);
        return None;
    }
    let authentication = authentication(checker, key, section);
    let certificate = client_certificate::usage(checker, key, section);
    let unconstrained = binding(checker, key, section);
    let signing = signing(checker, key, section);
    Some(ClientConfig {
        id: section.id.clone(),
        identity: section.identity.clone(),
        authentication: authentication?,
        grants: section
            .grants
            .iter()
            .map(|grant| self::grant(*grant))
            .collect(),
        scopes: section.scopes.clone(),
        resources: section.resources.clone(),
        unconstrained: unconstrained?,
        certificate: certificate?,
        signing: signing?,
        nonce: section.nonce,
        sight: sight(&section.introspects),
        redirect_uris: section.redirect_uris.clone(),
        pushed_only: section.require_pushed_authorization_requests,
        may_act: section.may_act.clone(),
    })
}

/// How the client may sign its token requests.
fn signing(
    checker: &mut Checker<'_>,
    key: &str,
    section: &ClientSection,
) -> Option<RequestSigningConfig> {
    let methods = section.binding_methods.as_deref().unwrap_or_default();
    let place = format!("{key}.httpsig_jwks");
    if !methods.contains(&ClientBinding::Httpsig) {
        if section.httpsig_jwks.is_some() {
            let message = format!("`{place}` belongs to `binding_methods = [\"httpsig\"]`");
            checker.problem(&place, message, None);
            return None;
        }
        return Some(RequestSigningConfig::Refused);
    }
    let jwks = match &section.httpsig_jwks {
        None => None,
        Some(file) => Some(checker.text(&place, file)?),
    };
    Some(RequestSigningConfig::Taken {
        jwks,
        optional: methods.len() > 1,
    })
}

const fn grant(name: Grant) -> GrantType {
    match name {
        Grant::AuthorizationCode => GrantType::AuthorizationCode,
        Grant::ClientCredentials => GrantType::ClientCredentials,
        Grant::RefreshToken => GrantType::RefreshToken,
        Grant::TokenExchange => GrantType::TokenExchange,
    }
}

fn authentication(
    checker: &mut Checker<'_>,
    key: &str,
    section: &ClientSection,
) -> Option<ClientAuthentication> {
    client_certificate::check_stray(checker, key, section);
    match (section.auth, &section.jwks, &section.secret_file) {
        (ClientAuth::TlsClientAuth, None, None) => {
            client_certificate::by_name(checker, key, section)
        }
        (ClientAuth::SelfSignedTlsClientAuth, Some(file), None) => {
            let jwks = checker.text(&format!("{key}.jwks"), file)?;
            Some(ClientAuthentication::SelfSignedTlsClientAuth { jwks })
        }
        (ClientAuth::TlsClientAuth, ..) => {
            let message = format!(
                "`{key}` authenticates with tls_client_auth, which takes `client_ca` and no `jwks` or `secret_file`"
            );
            checker.problem(&format!("{key}.auth"), message, None);
            None
        }
        (ClientAuth::SelfSignedTlsClientAuth, ..) => {
            let message = format!(
                "`{key}` authenticates with self_signed_tls_client_auth, which takes `jwks` and no `secret_file`"
            );
            checker.problem(&format!("{key}.auth"), message, None);
            None
        }
        (ClientAuth::PrivateKeyJwt, Some(file), None) => {
            let jwks = checker.text(&format!("{key}.jwks"), file)?;
            Some(ClientAuthentication::PrivateKeyJwt { jwks })
        }
        (ClientAuth::ClientSecretBasic, None, Some(file)) => {
            let secret = checker.private_text(&format!("{key}.secret_file"), file)?;
            Some(ClientAuthentication::ClientSecretBasic(SecretDigest::of(
                secret.as_bytes(),
            )))
        }
        (ClientAuth::None, None, None) => Some(ClientAuthentication::Public),
        (ClientAuth::None, ..) => {
            let message =
                format!("`{key}` does not authenticate, and takes no `jwks` and no `secret_file`");
            checker.problem(&format!("{key}.auth"), message, None);
            None
        }
        (ClientAuth::PrivateKeyJwt, ..) => {
            let message = format!(
                "`{key}` authenticates with private_key_jwt, which takes `jwks` and no `secret_file`"
            );
            checker.problem(&format!("{key}.auth"), message, None);
            None
        }
        (ClientAuth::ClientSecretBasic, ..) => {
            let message = format!(
                "`{key}` authenticates with client_secret_basic, which takes `secret_file` and no `jwks`"
            );
            checker.problem(&format!("{key}.auth"), message, None);
            None
        }
    }
}

/// The exemption of a client from binding: `Some(None)` for a bound one.
#[expect(
    clippy::option_option,
    reason = "the outer level is a problem that was noted, the inner one the client's exemption"
)]
fn binding(
    checker: &mut Checker<'_>,
    key: &str,
    section: &ClientSection,
) -> Option<Option<Exemption>> {
    if !section.unconstrained {
        if section.binding_methods.as_ref().is_some_and(Vec::is_empty) {
            let message = format!("`{key}` has no way to bind its tokens");
            let help = "write `binding_methods = [\"dpop\"]`";
            checker.problem(&format!("{key}.binding_methods"), message, Some(help));
            return None;
        }
        return Some(None);
    }
    let Some(reason) = section
        .unconstrained_reason
        .clone()
        .filter(|reason| !reason.trim().is_empty())
    else {
        let message = format!("`{key}` is unconstrained without `unconstrained_reason`");
        let help = "say why; the reason is recorded with every unbound token";
        checker.problem(&format!("{key}.unconstrained"), message, Some(help));
        return None;
    };
    let message = format!(
        "tokens of `{}` are bound to no key: whoever copies one can use it",
        section.id
    );
    checker.warning(
        &format!("{key}.unconstrained"),
        message,
        "bind them: remove `unconstrained`",
    );
    Some(Some(Exemption { reason }))
}

fn sight(introspects: &[String]) -> Sight {
    match introspects {
        [] => Sight::Own,
        list if list.iter().any(|entry| entry == "*") => Sight::Everything,
        list => Sight::Audiences(list.to_vec()),
    }
}
