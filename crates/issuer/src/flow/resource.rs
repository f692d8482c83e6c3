//! Resource indicators (RFC 8707): which resources a token is asked for, and
//! which of them the client may have.
//!
//! Resources are compared as exact strings, as the guard compares audiences.
//! This module fetches nothing and knows only configured resources.

use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;

use super::scope::Scopes;

/// The most resources one token may be meant for.
pub const MAX_RESOURCES: usize = 4;

/// A resource the issuer mints tokens for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The audience, compared exactly: an absolute URI without fragment.
    pub identifier: String,
    /// The scopes that mean something there.
    pub scopes: Scopes,
}

/// Chooses the resources of one token request, in the order asked, without
/// repetition.
///
/// With no `resource` parameter, a client that may use exactly one resource
/// gets that one; any other client has to say.
///
/// # Errors
/// [`Cause::ResourceInvalid`] for a resource that does not exist or that the
/// client may not have (the two are not told apart), for too many, and for
/// none where none is implied.
pub fn choose<'k, 'r>(
    asked: impl Iterator<Item = &'r str>,
    allowed: &[String],
    known: &'k [Resource],
) -> Result<Vec<&'k Resource>, Rejection> {
    let mut chosen: Vec<&Resource> = Vec::with_capacity(1);
    for identifier in asked {
        let resource = find(identifier, allowed, known)?;
        if chosen
            .iter()
            .any(|already| already.identifier == identifier)
        {
            continue;
        }
        if chosen.len() == MAX_RESOURCES {
            return Err(Rejection::new(Cause::ResourceInvalid).expected("at most 4 resources"));
        }
        chosen.push(resource);
    }
    if chosen.is_empty() {
        chosen.push(implied(allowed, known)?);
    }
    Ok(chosen)
}

/// Every scope that means something at one of the resources.
#[must_use]
pub fn scopes_of(resources: &[&Resource]) -> Scopes {
    resources.iter().fold(Scopes::default(), |all, resource| {
        all.union(&resource.scopes)
    })
}

/// The audience: the identifiers in order.
#[must_use]
pub fn identifiers(resources: Vec<&Resource>) -> Vec<String> {
    resources
        .into_iter()
        .map(|resource| resource.identifier.clone())
        .collect()
}

fn find<'k>(
    identifier: &str,
    allowed: &[String],
    known: &'k [Resource],
) -> Result<&'k Resource, Rejection> {
    known
        .iter()
        .find(|resource| resource.identifier == identifier)
        .filter(|_| allowed.iter().any(|permitted| permitted == identifier))
        .ok_or_else(|| Rejection::new(Cause::ResourceInvalid).got(identifier))
}

fn implied<'k>(allowed: &[String], known: &'k [Resource]) -> Result<&'k Resource, Rejection> {
    match allowed {
        [only] => find(only, allowed, known),
        _ => Err(Rejection::new(Cause::ResourceInvalid)
            .expected("a `resource` parameter, since the client may use several")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Resource, choose};
    use crate::flow::scope::Scopes;

    fn known() -> Vec<Resource> {
        ["https://a.example/", "https://b.example/"]
            .map(|identifier| Resource {
                identifier: identifier.to_owned(),
                scopes: Scopes::default(),
            })
            .to_vec()
    }

    fn chosen(asked: &[&str], allowed: &[&str]) -> Option<Vec<String>> {
        let allowed: Vec<_> = allowed.iter().map(|text| (*text).to_owned()).collect();
        let known = known();
        let chosen = choose(asked.iter().copied(), &allowed, &known).ok()?;
        Some(
            chosen
                .into_iter()
                .map(|resource| resource.identifier.clone())
                .collect(),
        )
    }

    #[test]
    fn unknown_foreign_and_nearly_equal_resources_are_refused() {
        assert_eq!(
            chosen(&["https://c.example/"], &["https://c.example/"]),
            None
        );
        assert_eq!(
            chosen(&["https://b.example/"], &["https://a.example/"]),
            None
        );
        assert_eq!(
            chosen(&["https://a.example"], &["https://a.example/"]),
            None
        );
        assert_eq!(
            chosen(&["https://A.example/"], &["https://a.example/"]),
            None
        );
        assert_eq!(
            chosen(
                &["https://a.example/", "https://c.example/"],
                &["https://a.example/"]
            ),
            None
        );
    }

    #[test]
    fn none_asked_is_only_enough_when_one_is_allowed() {
        assert_eq!(
            chosen(&[], &["https://a.example/", "https://b.example/"]),
            None
        );
        assert_eq!(chosen(&[], &[]), None);
        assert_eq!(
            chosen(&[], &["https://b.example/"]).unwrap(),
            ["https://b.example/"]
        );
    }

    #[test]
    fn repetition_is_one_audience() {
        let both = ["https://a.example/", "https://b.example/"];
        assert_eq!(
            chosen(&[both[1], both[0], both[1]], &both).unwrap(),
            [both[1], both[0]]
        );
    }
}
