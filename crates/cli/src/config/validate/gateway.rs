//! The section `[gateway]`.

mod replay;

use keybound_guard::keys::KeySet;
use keybound_guard::status::{StatusConfig, StatusRule};
use keybound_guard::workload::TrustDomainConfig;
use keybound_proto::binding::{BindingMethod, BindingMethods};
use keybound_proto::uri::request_target;

use super::checker::Checker;
use super::{front, introspection, workloads};
use crate::config::model::{
    EnforcementMode, GatewayControlSection, GatewayIssuerSection, GatewaySection, RouteBinding,
    RouteSection, StatusListName,
};
use crate::config::secret::random32;
use crate::config::settings::{
    GatewayControlSettings, GatewayIssuerSettings, GatewaySettings, RouteSettings,
};
use crate::config::source;

pub(super) fn check(
    checker: &mut Checker<'_>,
    section: &GatewaySection,
) -> Option<GatewaySettings> {
    let url = checker.origin("gateway.url", &section.url);
    let front = front::check(
        checker,
        "gateway",
        &front::Sections {
            listen: &section.listen,
            unsafe_plain_off_loopback: section.unsafe_plain_off_loopback,
            tls: section.tls.as_ref(),
            certificate_header: section.certificate_header.as_ref(),
        },
    );
    let resource = checker.resource(
        "gateway.resource",
        section.resource.as_deref().unwrap_or_default(),
    );
    let profile = checker.profile("gateway.proof", &section.proof);
    let variable = checker.loaded().secrets.gateway_nonce_secret.as_ref();
    let secret_file = section.nonce_secret_file.as_deref();
    let nonce_secrets = checker.secrets32(
        "gateway.nonce_secret_file",
        variable,
        source::GATEWAY_NONCE_SECRET,
        secret_file,
    );
    let assertion_key = match &section.assertion_key {
        Some(uri) => Some(checker.signer("gateway.assertion_key", uri)?),
        None => None,
    };
    let control = control(checker, section.control.as_ref());
    let issuers = issuers(checker, section);
    let workloads = workloads::policy(checker, &section.workload);
    let trust_domains = workloads::trust_domains(checker, section);
    let routes = routes(
        checker,
        section,
        trust_domains.as_deref().unwrap_or_default(),
    );
    introspection::check_routes(checker, section);
    let cors_origins = checker.origins("gateway.cors_origins", &section.cors_origins);
    let upstream_timeout = checker.duration(
        "gateway.upstream_timeout",
        &section.upstream_timeout,
        1..=3_600,
    );
    capacity(checker, section);
    let shared_replay = replay::place(checker, section);
    let nonce_secret_file = match variable {
        Some(_) => None,
        None => secret_file.map(|file| checker.loaded().resolve(file)),
    };
    let (nonce_secret, nonce_also) = nonce_secrets?;
    if nonce_secret.is_none() {
        replay::refuse_secret_of_its_own(checker, section);
    }
    Some(GatewaySettings {
        url: url?,
        front: front?,
        resource: resource?,
        replay_mode: section.replay_mode,
        replay_capacity: usize::try_from(section.replay_capacity).ok()?,
        replay_per_key: usize::try_from(section.replay_per_key).ok()?,
        nonce_secret: nonce_secret.map_or_else(random32, Some)?,
        nonce_also,
        nonce_secret_file,
        shared_replay: shared_replay?,
        state_dir: checker.loaded().resolve(&section.state_dir),
        max_body_bytes: section.max_body_bytes.into(),
        upstream_timeout: upstream_timeout?,
        cors_origins: cors_origins?,
        assertion_key,
        profile: profile?,
        control: control?,
        issuers: issuers?,
        trust_domains: trust_domains?,
        workloads: workloads?,
        routes: routes?,
    })
}

fn capacity(checker: &mut Checker<'_>, section: &GatewaySection) {
    if section.replay_capacity < 1_000 {
        let message =
            "`gateway.replay_capacity` is below 1000, so honest callers would be turned away";
        checker.problem("gateway.replay_capacity", message, None);
    }
    if section.replay_per_key == 0 || section.replay_per_key > section.replay_capacity {
        let message = "`gateway.replay_per_key` takes 1 to `gateway.replay_capacity`";
        checker.problem("gateway.replay_per_key", message, None);
    }
}

/// The connection to control; `Some(None)` where the gateway has none.
#[expect(
    clippy::option_option,
    reason = "the outer level is a problem that was noted, the inner one an absent section"
)]
fn control(
    checker: &mut Checker<'_>,
    section: Option<&GatewayControlSection>,
) -> Option<Option<GatewayControlSettings>> {
    let Some(section) = section else {
        let message =
            "this gateway follows no control plane: a locked token is accepted until it expires";
        checker.warning("gateway", message, "add `[gateway.control]`");
        return Some(None);
    };
    let url = checker.origin("gateway.control.url", &section.url);
    let key = checker.signer("gateway.control.key", &section.key);
    let max_age = checker.duration("gateway.control.max_age", &section.max_age, 30..=86_400);
    let Some(issuer) = section.issuer.as_deref() else {
        let help = "add `issuer` to `[gateway.control]`: where the gateway gets its own token";
        let message = "`gateway.control` does not know its issuer";
        checker.problem("gateway.control", message, Some(help));
        return None;
    };
    let issuer = checker.url("gateway.control.issuer", issuer);
    Some(Some(GatewayControlSettings {
        url: url?,
        client_id: section.client_id.clone(),
        key: key?,
        issuer: issuer?,
        max_age: max_age?,
    }))
}

fn issuers(
    checker: &mut Checker<'_>,
    section: &GatewaySection,
) -> Option<Vec<GatewayIssuerSettings>> {
    let required = section
        .route
        .iter()
        .any(|route| route.enforcement == EnforcementMode::Require);
    if section.issuer.is_empty() && section.trust_domain.is_empty() && required {
        let help = "add `[[gateway.issuer]]` with `url`";
        checker.problem(
            "gateway",
            "`[gateway]` accepts the tokens of no issuer",
            Some(help),
        );
        return None;
    }
    let checked: Vec<_> = section
        .issuer
        .iter()
        .enumerate()
        .map(|(position, issuer)| {
            self::issuer(checker, &format!("gateway.issuer[{position}]"), issuer)
        })
        .collect();
    checked.into_iter().collect()
}

fn issuer(
    checker: &mut Checker<'_>,
    key: &str,
    section: &GatewayIssuerSection,
) -> Option<GatewayIssuerSettings> {
    let url = checker.url(&format!("{key}.url"), &section.url);
    let algorithms = checker.algorithms(&format!("{key}.algorithms"), &section.algorithms);
    let jwks_uri = match &section.jwks_uri {
        Some(text) => Some(checker.url(&format!("{key}.jwks_uri"), text)?),
        None => None,
    };
    let origins = checker.origins(&format!("{key}.jwks_origins"), &section.jwks_origins);
    let status_origins = checker.origins(
        &format!("{key}.status_list_origins"),
        &section.status_list_origins,
    );
    let status = StatusConfig {
        rule: match section.status_list {
            StatusListName::Off => StatusRule::Ignore,
            StatusListName::Check => StatusRule::Check,
            StatusListName::Require => StatusRule::Require,
        },
        origins: status_origins?,
    };
    let jwks = match &section.jwks_file {
        Some(file) => Some(key_set(checker, &format!("{key}.jwks_file"), file)?),
        None => None,
    };
    let introspection = match &section.introspection {
        Some(section) => Some(introspection::check(
            checker,
            &format!("{key}.introspection"),
            section,
        )?),
        None => None,
    };
    Some(GatewayIssuerSettings {
        url: url?,
        algorithms: algorithms?,
        binding_methods: match section.binding_methods.as_slice() {
            [] => BindingMethods::ALL,
            names => binding_methods(names),
        },
        audience: section.audience.clone(),
        jwks,
        scope_claim: section.scope_claim.clone(),
        status,
        introspection,
        jwks_uri,
        jwks_origins: origins?,
        may_lack: section.may_lack.clone(),
    })
}

fn key_set(checker: &mut Checker<'_>, key: &str, file: &str) -> Option<KeySet> {
    let text = checker.text(key, file)?;
    let problem = match KeySet::parse(text.as_bytes()) {
        Ok(set) if !set.is_empty() => return Some(set),
        Ok(_) => "no key in it can verify a token".to_owned(),
        Err(error) => error.to_string(),
    };
    let help = "write the issuer's public keys as `{\"keys\": [...]}` (RFC 7517)";
    checker.problem(key, format!("`{key}`: {problem}"), Some(help));
    None
}

fn routes(
    checker: &mut Checker<'_>,
    section: &GatewaySection,
    domains: &[TrustDomainConfig],
) -> Option<Vec<RouteSettings>> {
    if section.route.is_empty() {
        let help = "add `[[gateway.route]]` with `path`, `upstream`, `enforcement`";
        checker.problem(
            "gateway",
            "`[gateway]` has no route, so it would forward nothing",
            Some(help),
        );
        return None;
    }
    let mut checked = Vec::new();
    for (position, route) in section.route.iter().enumerate() {
        let key = format!("gateway.route[{position}]");
        if section.route[..position]
            .iter()
            .any(|other| other.path == route.path)
        {
            let message = format!("there are two routes for `{}`", route.path);
            checker.problem(&format!("{key}.path"), message, None);
        }
        let gateway = section.resource.as_deref().unwrap_or_default();
        checked.push(self::route(checker, &key, route, (gateway, domains)));
    }
    checked.into_iter().collect()
}

fn route(
    checker: &mut Checker<'_>,
    key: &str,
    section: &RouteSection,
    (gateway, domains): (&str, &[TrustDomainConfig]),
) -> Option<RouteSettings> {
    let upstream = checker.upstream(&format!("{key}.upstream"), &section.upstream);
    let resource = section.resource.as_deref().unwrap_or(gateway);
    let resource = checker.resource(&format!("{key}.resource"), resource);
    let agents = checker.origins(&format!("{key}.agents"), &section.agents);
    path(checker, key, &section.path);
    let identities = workloads::identities(checker, key, section, domains);
    for method in section.scopes.keys() {
        if method.is_empty()
            || !method
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
        {
            let message =
                format!("`{key}.scopes` has the method `{method}`; methods are upper case");
            checker.problem(&format!("{key}.scopes.{method}"), message, None);
        }
    }
    if section.enforcement == EnforcementMode::Require && section.binding_methods.is_empty() {
        let message = format!("`{key}` accepts no way of binding");
        let help = "write `binding_methods = [\"dpop\"]`";
        checker.problem(&format!("{key}.binding_methods"), message, Some(help));
    }
    if section.enforcement == EnforcementMode::Off {
        let message = format!("`{}` forwards without reading credentials", section.path);
        checker.warning(
            &format!("{key}.enforcement"),
            message,
            "write `enforcement = \"require\"`",
        );
    }
    Some(RouteSettings {
        path: section.path.clone(),
        upstream: upstream?,
        enforcement: section.enforcement,
        resource: resource?,
        own_resource: section.resource.is_some(),
        issuers: section.issuers.clone(),
        binding_methods: binding_methods(&section.binding_methods),
        scopes: section.scopes.clone(),
        nonce: section.nonce,
        replay: section.replay,
        identity: section.identity,
        agents: agents?,
        cover_content: section.cover_content,
        max_signed_body_bytes: section.max_signed_body_bytes.into(),
        identities: identities?,
    })
}

fn binding_methods(names: &[RouteBinding]) -> BindingMethods {
    let methods: Vec<_> = names
        .iter()
        .map(|name| match name {
            RouteBinding::Dpop => BindingMethod::Dpop,
            RouteBinding::Mtls => BindingMethod::Mtls,
            RouteBinding::Httpsig => BindingMethod::HttpSignature,
            RouteBinding::Wimse => BindingMethod::Wimse,
        })
        .collect();
    BindingMethods::of(&methods)
}

fn path(checker: &mut Checker<'_>, key: &str, path: &str) {
    let key = format!("{key}.path");
    if !path.starts_with('/') || path.contains(['?', '*']) {
        let message = format!("`{key}` takes a path prefix that begins with `/`, not `{path}`");
        checker.problem(
            &key,
            message,
            Some("`/approvals` covers `/approvals` and everything beneath"),
        );
    } else if let Err(error) = request_target::check(path) {
        checker.problem(&key, format!("`{key}` can never match: {error}"), None);
    }
}
