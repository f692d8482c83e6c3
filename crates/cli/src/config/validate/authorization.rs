//! The section `[issuer.authorization]`, and refresh tokens.

use keybound_issuer::config::{Approval, AuthorizationConfig, RefreshConfig};

use super::checker::Checker;
use crate::config::model::{IssuerSection, TokensSection};

pub(super) fn refresh(checker: &mut Checker<'_>, section: &TokensSection) -> Option<RefreshConfig> {
    const YEAR: u64 = 365 * 86_400;
    let key = "issuer.tokens.refresh_ttl";
    let ttl = checker.duration(key, &section.refresh_ttl, 60..=YEAR);
    let key = "issuer.tokens.refresh_overlap";
    let overlap = checker.duration(key, &section.refresh_overlap, 0..=600);
    Some(RefreshConfig {
        ttl: ttl?,
        overlap: overlap?,
        rotates: section.refresh_rotation,
    })
}

#[expect(
    clippy::option_option,
    reason = "the outer level is a problem that was noted, the inner one that there is no endpoint"
)]
pub(super) fn check(
    checker: &mut Checker<'_>,
    section: &IssuerSection,
) -> Option<Option<AuthorizationConfig>> {
    let Some(section) = &section.authorization else {
        return Some(None);
    };
    let key = "issuer.authorization.code_ttl";
    let code_ttl = checker.duration(key, &section.code_ttl, 1..=60);
    let key = "issuer.authorization.request_ttl";
    let request_ttl = checker.duration(key, &section.request_ttl, 1..=599);
    let approval = match &section.unsafe_approve_as {
        None => Approval::Person,
        Some(identity) => {
            checker.warning(
                "issuer.authorization.unsafe_approve_as",
                format!(
                    "every authorization request is allowed in the name of `{identity}`, unasked"
                ),
                "remove it where people are meant to decide",
            );
            Approval::Automatic {
                identity: identity.clone(),
            }
        }
    };
    Some(Some(AuthorizationConfig {
        code_ttl: code_ttl?,
        request_ttl: request_ttl?,
        pushed_only: section.require_pushed,
        approval,
    }))
}
