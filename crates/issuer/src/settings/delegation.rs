//! The delegation rules: every name resolved. Whom a rule allows what is decided in
//! [`crate::flow::exchange`].

use super::{ConfigError, known_resources, known_scopes};
use crate::config::{DelegationConfig, GrantType, IssuerConfig};
use crate::flow::client::{Client, Credential};
use crate::flow::exchange::Rule;
use crate::flow::resource::Resource;

pub(super) fn rules(
    config: &IssuerConfig,
    clients: &[Client],
    known: &[Resource],
) -> Result<Vec<Rule>, ConfigError> {
    let mut rules: Vec<Rule> = Vec::with_capacity(config.delegations.len());
    for configured in &config.delegations {
        if configured.name.trim().is_empty() {
            return Err(ConfigError::new("delegation.name", "is empty"));
        }
        if rules.iter().any(|rule| rule.name == configured.name) {
            return Err(at(configured, "name", "is used by two rules"));
        }
        rules.push(rule(configured, clients, known)?);
    }
    Ok(rules)
}

fn rule(
    configured: &DelegationConfig,
    clients: &[Client],
    known: &[Resource],
) -> Result<Rule, ConfigError> {
    let Some(actor) = clients.iter().find(|client| client.id == configured.actor) else {
        return Err(at(configured, "actor", "is no configured client"));
    };
    if matches!(actor.credential, Credential::Public)
        || !actor.grants.contains(&GrantType::TokenExchange)
    {
        let problem = "must authenticate and have the grant of token exchange";
        return Err(at(configured, "actor", problem));
    }
    if configured.subject.is_empty() {
        return Err(at(configured, "subject", "is empty; write `*` for any"));
    }
    if configured.serves.is_empty() {
        let problem = "is empty, so no token would ever be exchanged";
        return Err(at(configured, "serves", problem));
    }
    let place = |key: &str| format!("delegation[{}].{key}", configured.name);
    known_resources(&configured.serves, known, &place("serves"))?;
    known_resources(&configured.resources, known, &place("resources"))?;
    Ok(Rule {
        name: configured.name.clone(),
        subject: (configured.subject != "*").then(|| configured.subject.clone()),
        actor: configured.actor.clone(),
        serves: configured.serves.clone(),
        resources: configured.resources.clone(),
        scopes: known_scopes(&configured.scopes, known, &place("scopes"))?,
    })
}

fn at(rule: &DelegationConfig, key: &str, problem: &str) -> ConfigError {
    ConfigError::new(format!("delegation[{}].{key}", rule.name), problem)
}
