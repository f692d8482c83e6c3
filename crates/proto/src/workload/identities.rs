//! Which workloads a route takes: exact identifiers, or everything below a segment.
//!
//! `spiffe://example.org/pay` takes that workload alone, `spiffe://example.org/ns/*`
//! every workload with at least one more segment, `spiffe://example.org/*` the
//! whole trust domain. There is no other wildcard: `/service/pay` never takes
//! `/service/payroll`.

use std::{fmt, str::FromStr};

use super::{IdentifierError, TrustDomain, WorkloadIdentifier};
use crate::cause::Cause;
use crate::rejection::Rejection;

/// One entry of a list of identities.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdentityRule {
    /// INVARIANT: an identifier, or what stands before the `*` of a rule, `/` included.
    text: String,
    below: bool,
}

impl IdentityRule {
    /// Parses an identifier, or a trust domain or identifier followed by `/*`.
    ///
    /// # Errors
    /// [`IdentifierError`]; `NoPath` for a trust domain without `/*`.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let Some(above) = text.strip_suffix("/*") else {
            return WorkloadIdentifier::parse(text).map(|id| Self {
                text: id.as_str().to_owned(),
                below: false,
            });
        };
        match TrustDomain::parse(above) {
            Ok(_) => {}
            Err(IdentifierError::Path) => {
                WorkloadIdentifier::parse(above)?;
            }
            Err(error) => return Err(error),
        }
        Ok(Self {
            text: format!("{above}/"),
            below: true,
        })
    }

    /// Whether the rule takes this workload.
    #[must_use]
    pub fn takes(&self, id: &WorkloadIdentifier) -> bool {
        if self.below {
            id.as_str().starts_with(&self.text)
        } else {
            id.as_str() == self.text
        }
    }
}

impl fmt::Display for IdentityRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_str(if self.below { "*" } else { "" })
    }
}

impl fmt::Debug for IdentityRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityRule({self})")
    }
}

impl FromStr for IdentityRule {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        Self::parse(text)
    }
}

/// Says that a route takes this workload. Made only by [`check_identity`].
#[derive(Debug)]
pub struct IdentityTaken(());

/// Refuses a workload that none of the rules takes. An empty list takes nobody.
///
/// # Errors
/// `workload.identity`
pub fn check_identity(
    id: &WorkloadIdentifier,
    rules: &[IdentityRule],
) -> Result<IdentityTaken, Rejection> {
    if rules.iter().any(|rule| rule.takes(id)) {
        return Ok(IdentityTaken(()));
    }
    Err(Rejection::new(Cause::WorkloadIdentityRefused).got(id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::{IdentityRule, check_identity};
    use crate::cause::Cause;
    use crate::workload::{IdentifierError, WorkloadIdentifier};

    fn id(text: &str) -> WorkloadIdentifier {
        WorkloadIdentifier::parse(text).unwrap()
    }

    fn rule(text: &str) -> IdentityRule {
        IdentityRule::parse(text).unwrap()
    }

    #[test]
    fn sc_178_a_longer_name_is_another_workload() {
        let exact = rule("wimse://example.org/service/pay");
        let below = rule("wimse://example.org/service/pay/*");
        let payroll = id("wimse://example.org/service/payroll");
        assert!(!exact.takes(&payroll));
        assert!(!below.takes(&payroll));
        assert!(!exact.takes(&id("wimse://example.org/service/pay/a")));
        assert!(!below.takes(&id("wimse://example.org/service/pay")));
        assert!(!rule("spiffe://example.org/*").takes(&payroll));
        assert!(!rule("wimse://example.or/*").takes(&payroll));
        let other = id("wimse://example.org.evil.com/service/pay");
        assert!(!rule("wimse://example.org/*").takes(&other));
        assert!(!rule("wimse://example.org/*").takes(&id("wimse://a.example.org/x")));
    }

    #[test]
    fn an_empty_list_takes_nobody() {
        let pay = id("wimse://example.org/service/pay");
        let refused = |rules: &[IdentityRule]| check_identity(&pay, rules).unwrap_err().cause();
        assert_eq!(refused(&[]), Cause::WorkloadIdentityRefused);
        assert_eq!(
            refused(&[rule("wimse://example.org/x")]),
            Cause::WorkloadIdentityRefused
        );
        for taken in [
            "wimse://example.org/*",
            "wimse://example.org/service/*",
            "wimse://example.org/service/pay",
        ] {
            assert!(check_identity(&pay, &[rule(taken)]).is_ok(), "{taken}");
        }
    }

    #[test]
    fn other_wildcards_are_no_rules() {
        for (text, error) in [
            ("wimse://example.org", IdentifierError::NoPath),
            ("wimse://*.example.org/a", IdentifierError::Authority),
            ("wimse://*/*", IdentifierError::Authority),
            ("*", IdentifierError::Scheme),
            ("wimse://example.org//*", IdentifierError::EmptySegment),
            ("spiffe://example.org/a*", IdentifierError::PathCharacter),
            ("spiffe://example.org/*/b", IdentifierError::PathCharacter),
        ] {
            assert_eq!(IdentityRule::parse(text), Err(error), "{text}");
        }
        assert_eq!(
            rule("spiffe://example.org/ns/*").to_string(),
            "spiffe://example.org/ns/*"
        );
    }
}
