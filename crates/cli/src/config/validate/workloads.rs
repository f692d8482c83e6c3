//! Trust domains and the identities routes take.

use keybound_guard::workload::{BundleSource, TrustDomainConfig};
use keybound_proto::verify::WorkloadPolicy;
use keybound_proto::workload::{
    IdentityRule, TrustBundle, TrustDomain, WorkloadProfile, WorkloadTokenRules,
};

use super::checker::Checker;
use crate::config::model::{
    GatewaySection, RouteBinding, RouteSection, TrustDomainSection, WorkloadProfileName,
    WorkloadSection,
};

pub(super) fn policy(
    checker: &mut Checker<'_>,
    section: &WorkloadSection,
) -> Option<WorkloadPolicy> {
    let key = "gateway.workload.max_lifetime";
    let max_lifetime = checker.duration(key, &section.max_lifetime, 1..=900);
    for (position, name) in section.other_tokens.iter().enumerate() {
        let is_field = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_field {
            let key = format!("gateway.workload.other_tokens[{position}]");
            let message =
                format!("`{key}` takes the name of a header field in lower case, not `{name}`");
            checker.problem(&key, message, None);
            return None;
        }
    }
    Some(WorkloadPolicy {
        audiences: section.audiences.clone(),
        other_tokens: section.other_tokens.clone(),
        max_lifetime: max_lifetime?,
    })
}

pub(super) fn trust_domains(
    checker: &mut Checker<'_>,
    section: &GatewaySection,
) -> Option<Vec<TrustDomainConfig>> {
    let checked: Vec<_> = section
        .trust_domain
        .iter()
        .enumerate()
        .map(|(position, domain)| {
            trust_domain(
                checker,
                &format!("gateway.trust_domain[{position}]"),
                domain,
            )
        })
        .collect();
    checked.into_iter().collect()
}

fn trust_domain(
    checker: &mut Checker<'_>,
    key: &str,
    section: &TrustDomainSection,
) -> Option<TrustDomainConfig> {
    let profile = match section.profile {
        WorkloadProfileName::Spiffe => WorkloadProfile::Spiffe,
        WorkloadProfileName::Wimse => WorkloadProfile::Wimse,
    };
    let parsed = if section.name.contains("://") {
        TrustDomain::parse(&section.name)
    } else {
        TrustDomain::new(profile.scheme(), &section.name)
    };
    let name = match parsed {
        Ok(name) => Some(name),
        Err(error) => {
            let key = format!("{key}.name");
            let message = format!("`{key}` is not a trust domain: {error}");
            checker.problem(&key, message, Some("write it like `example.org`"));
            None
        }
    };
    let source = source(checker, key, section, profile);
    let lifetime = checker.duration(
        &format!("{key}.max_lifetime"),
        &section.max_lifetime,
        60..=2_592_000,
    );
    let age = checker.duration(
        &format!("{key}.max_bundle_age"),
        &section.max_bundle_age,
        60..=2_592_000,
    );
    let rules = WorkloadTokenRules {
        issuers: section.issuers.clone(),
        max_lifetime: lifetime?,
        ..WorkloadTokenRules::new(name?, profile)
    };
    Some(TrustDomainConfig {
        max_bundle_age: age?,
        ..TrustDomainConfig::new(rules, source?)
    })
}

/// Exactly one place for the bundle. A file must be there and usable at start.
fn source(
    checker: &mut Checker<'_>,
    key: &str,
    section: &TrustDomainSection,
    profile: WorkloadProfile,
) -> Option<BundleSource> {
    let places = (
        &section.bundle_file,
        &section.bundle_endpoint,
        &section.workload_api,
    );
    match places {
        (Some(file), None, None) => {
            let key = format!("{key}.bundle_file");
            let text = checker.text(&key, file)?;
            if let Err(error) = TrustBundle::parse(text.as_bytes(), profile) {
                checker.problem(&key, format!("`{file}` is no trust bundle: {error}"), None);
                return None;
            }
            Some(BundleSource::File(checker.loaded().resolve(file)))
        }
        (None, Some(url), None) => checker
            .url(&format!("{key}.bundle_endpoint"), url)
            .map(BundleSource::Endpoint),
        (None, None, Some(socket)) => {
            let path = socket.strip_prefix("unix:").map(|path| {
                // `unix:///run/x` is the form of `SPIFFE_ENDPOINT_SOCKET`.
                path.strip_prefix("//").unwrap_or(path)
            });
            let Some(path) = path.filter(|path| path.starts_with('/')) else {
                let key = format!("{key}.workload_api");
                let message = format!("`{key}` takes `unix:` and an absolute path, not `{socket}`");
                checker.problem(&key, message, None);
                return None;
            };
            Some(BundleSource::WorkloadApi(path.into()))
        }
        _ => {
            let message = format!("`{key}` needs exactly one place for its bundle");
            let help = "set one of `bundle_file`, `bundle_endpoint` and `workload_api`";
            checker.problem(key, message, Some(help));
            None
        }
    }
}

/// The workloads a route takes. Each is of a trust domain that is configured.
pub(super) fn identities(
    checker: &mut Checker<'_>,
    key: &str,
    section: &RouteSection,
    domains: &[TrustDomainConfig],
) -> Option<Vec<IdentityRule>> {
    let taken = section.binding_methods.contains(&RouteBinding::Wimse);
    let key = format!("{key}.identities");
    if taken && section.identities.is_empty() {
        let message = format!("`{key}` is empty, so the route takes no workload");
        let help = "list the workloads, for example `spiffe://example.org/ns/prod/*`";
        checker.problem(&key, message, Some(help));
        return None;
    }
    let mut rules = Vec::new();
    for text in &section.identities {
        let rule = match IdentityRule::parse(text) {
            Ok(rule) => rule,
            Err(error) => {
                let message = format!("`{key}` has `{text}`, which names no workload: {error}");
                let help = "write a whole identifier, or one followed by `/*`";
                checker.problem(&key, message, Some(help));
                return None;
            }
        };
        let known = domains.iter().any(|domain| {
            let name = domain.rules.trust_domain.as_str();
            text.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('/'))
        });
        if !known {
            let message = format!("`{text}` is of a trust domain that is not configured");
            checker.problem(&key, message, Some("add `[[gateway.trust_domain]]`"));
            return None;
        }
        rules.push(rule);
    }
    Some(rules)
}
