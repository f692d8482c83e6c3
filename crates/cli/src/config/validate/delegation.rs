//! The rules `[[issuer.delegation]]`. Whether their names exist is checked by the issuer.

use keybound_issuer::config::DelegationConfig;

use super::checker::Checker;
use crate::config::model::{DelegationSection, IssuerSection};

pub(super) fn check(
    checker: &mut Checker<'_>,
    section: &IssuerSection,
) -> Option<Vec<DelegationConfig>> {
    let rules: Vec<Option<DelegationConfig>> = section
        .delegation
        .iter()
        .enumerate()
        .map(|(position, rule)| self::rule(checker, position, rule))
        .collect();
    rules.into_iter().collect()
}

fn rule(
    checker: &mut Checker<'_>,
    position: usize,
    section: &DelegationSection,
) -> Option<DelegationConfig> {
    let key = format!("issuer.delegation[{position}]");
    let serves = resources(checker, &format!("{key}.serves"), &section.serves);
    let resources = resources(checker, &format!("{key}.resources"), &section.resources);
    if section.subject == "*" {
        checker.warning(
            &format!("{key}.subject"),
            format!(
                "`{}` may act for everybody whose token comes to it",
                section.actor
            ),
            "name one identity, where it serves one",
        );
    }
    Some(DelegationConfig {
        name: section.name.clone(),
        subject: section.subject.clone(),
        actor: section.actor.clone(),
        serves: serves?,
        resources: resources?,
        scopes: section.scopes.clone(),
    })
}

fn resources(checker: &mut Checker<'_>, key: &str, texts: &[String]) -> Option<Vec<String>> {
    let read: Vec<Option<String>> = texts
        .iter()
        .enumerate()
        .map(|(position, text)| checker.resource(&format!("{key}[{position}]"), text))
        .collect();
    read.into_iter().collect()
}
