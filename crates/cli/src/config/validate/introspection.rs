//! `[gateway.issuer.introspection]`, and which issuers a route can ask.

use keybound_guard::introspection::{
    AnswerForm, IntrospectionClient, IntrospectionConfig, IntrospectionCredential,
};

use super::checker::Checker;
use crate::config::model::{
    AnswerFormName, EnforcementMode, GatewaySection, IntrospectionMode, IntrospectionSection,
    OptionalClaim, RouteSection,
};

/// Reads one issuer's section.
pub(super) fn check(
    checker: &mut Checker<'_>,
    key: &str,
    section: &IntrospectionSection,
) -> Option<IntrospectionConfig> {
    let endpoint = match &section.endpoint {
        Some(text) => Some(checker.url(&format!("{key}.endpoint"), text)?),
        None => None,
    };
    let credential = credential(checker, key, section);
    let cache_ttl = checker.duration(&format!("{key}.cache_ttl"), &section.cache_ttl, 0..=600);
    if !(1..=1000).contains(&section.max_at_once) {
        let message = format!("`{key}.max_at_once` takes 1 to 1000");
        checker.problem(&format!("{key}.max_at_once"), message, None);
        return None;
    }
    let prefix = section.token_prefix.as_deref();
    if prefix.is_some_and(|prefix| prefix.is_empty() || !prefix.bytes().all(is_token_byte)) {
        let message = format!("`{key}.token_prefix` is nothing that a token could begin with");
        checker.problem(&format!("{key}.token_prefix"), message, None);
        return None;
    }
    let mut config = IntrospectionConfig::new(IntrospectionClient {
        id: section.client_id.clone(),
        credential: credential?,
    });
    config.endpoint = endpoint;
    config.jwts = section.mode == IntrospectionMode::Always;
    if section.answers == AnswerFormName::Signed {
        let audience = section.answer_audience.as_ref();
        config.form = AnswerForm::Signed {
            audience: audience.unwrap_or(&section.client_id).clone(),
        };
    }
    config.token_prefix.clone_from(&section.token_prefix);
    config.cache_ttl = cache_ttl?;
    config.at_once = section.max_at_once.into();
    Some(config)
}

fn credential(
    checker: &mut Checker<'_>,
    key: &str,
    section: &IntrospectionSection,
) -> Option<IntrospectionCredential> {
    match (&section.client_secret_file, &section.key) {
        (Some(file), None) => {
            let secret = checker.private_text(&format!("{key}.client_secret_file"), file)?;
            Some(IntrospectionCredential::SecretBasic(secret))
        }
        (None, Some(uri)) => {
            let signer = checker.signer(&format!("{key}.key"), uri)?;
            let thumbprint = signer.public_key().thumbprint().to_string();
            let kid = Some(section.key_id.clone().unwrap_or(thumbprint));
            Some(IntrospectionCredential::PrivateKeyJwt { key: signer, kid })
        }
        (None, None) | (Some(_), Some(_)) => {
            let message = format!("`{key}` needs either `client_secret_file` or `key`");
            let help = "an issuer tells nobody about tokens who does not authenticate";
            checker.problem(key, message, Some(help));
            None
        }
    }
}

/// What the issuers of a gateway mean for its routes.
pub(super) fn check_routes(checker: &mut Checker<'_>, section: &GatewaySection) {
    for (position, route) in section.route.iter().enumerate() {
        let key = format!("gateway.route[{position}]");
        known_issuers(checker, &key, section, route);
        if route.enforcement != EnforcementMode::Off {
            one_to_ask(checker, &key, section, route);
        }
    }
    for (position, issuer) in section.issuer.iter().enumerate() {
        let key = format!("gateway.issuer[{position}]");
        if issuer.jwks_uri.is_some() && issuer.jwks_file.is_some() {
            let message = format!("`{key}` takes `jwks_uri` or `jwks_file`, not both");
            checker.problem(&key, message, None);
        }
        let may_lack = |claim| issuer.may_lack.contains(&claim);
        if issuer.introspection.is_some() && may_lack(OptionalClaim::Aud) {
            let message = format!(
                "active tokens of `{}` without `aud` count for every resource of this gateway",
                issuer.url
            );
            let help =
                "have the issuer name the audience in its answers, or use it for one route only";
            checker.warning(&format!("{key}.may_lack"), message, help);
        }
        let answers_only = [OptionalClaim::Aud, OptionalClaim::Exp, OptionalClaim::Sub];
        if issuer.introspection.is_none() && answers_only.into_iter().any(may_lack) {
            let message = format!("`{key}.may_lack`: a JWT never lacks `aud`, `exp` or `sub`");
            let help = "only answers of `introspection` may lack them";
            checker.problem(&format!("{key}.may_lack"), message, Some(help));
        }
    }
}

fn known_issuers(
    checker: &mut Checker<'_>,
    key: &str,
    section: &GatewaySection,
    route: &RouteSection,
) {
    for (position, name) in route.issuers.iter().enumerate() {
        if !section.issuer.iter().any(|issuer| issuer.url == *name) {
            let key = format!("{key}.issuers[{position}]");
            let message = format!("`{key}` names `{name}`, which is no `[[gateway.issuer]]`");
            let help = "write the `url` of an issuer, exactly";
            checker.problem(&key, message, Some(help));
        }
    }
}

/// An opaque token names nobody: who is asked must follow from its beginning or from the route.
fn one_to_ask(
    checker: &mut Checker<'_>,
    key: &str,
    section: &GatewaySection,
    route: &RouteSection,
) {
    let taken = section
        .issuer
        .iter()
        .filter(|issuer| route.issuers.is_empty() || route.issuers.contains(&issuer.url));
    let asked: Vec<_> = taken
        .filter_map(|issuer| Some((&issuer.url, issuer.introspection.as_ref()?)))
        .collect();
    for (position, (url, introspection)) in asked.iter().enumerate() {
        let same = asked
            .iter()
            .skip(position + 1)
            .find(|(_, other)| other.token_prefix == introspection.token_prefix);
        if let Some((other, _)) = same {
            let message = format!(
                "`{key}` could ask `{url}` and `{other}` about the same opaque token, and shows it to neither"
            );
            let help = "give each a `token_prefix` in `[gateway.issuer.introspection]`, or list one of them in the route's `issuers`";
            checker.problem(key, message, Some(help));
            return;
        }
    }
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}
