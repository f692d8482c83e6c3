//! The token endpoint's decision for `client_credentials` (RFC 6749
//! section 4.4, resource indicators of RFC 8707): which audience and which
//! scopes an authenticated client gets.
//!
//! This module does not authenticate, does not look at proofs and does not
//! sign; [`super::mint`] does the last two.

use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;

use super::client::{Client, GrantType};
use super::form::Form;
use super::resource::{self, Resource};
use super::scope::Scopes;

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `aud`: one resource, or several in the order asked.
    pub audience: Vec<String>,
    /// `scope`; may be empty.
    pub scopes: Scopes,
}

/// Decides one token request.
///
/// # Errors
/// [`Cause::GrantUnsupported`], [`Cause::ClientGrantRefused`],
/// [`Cause::ResourceInvalid`] or [`Cause::ScopeInvalid`], in this order.
pub fn decide(form: &Form<'_>, client: &Client, known: &[Resource]) -> Result<Grant, Rejection> {
    check_grant_type(form, client)?;
    let resources = resource::choose(form.values("resource"), &client.resources, known)?;
    let available = resources
        .iter()
        .map(|resource| resource.scopes.intersection(&client.scopes))
        .reduce(|scopes, more| scopes.union(&more))
        .unwrap_or_default();
    Ok(Grant {
        scopes: choose_scopes(form.value("scope"), available)?,
        audience: resources
            .into_iter()
            .map(|resource| resource.identifier.clone())
            .collect(),
    })
}

fn check_grant_type(form: &Form<'_>, client: &Client) -> Result<(), Rejection> {
    let grant = match form.value("grant_type") {
        Some("client_credentials") => GrantType::ClientCredentials,
        Some(other) => return Err(Rejection::new(Cause::GrantUnsupported).got(other)),
        None => return Err(Cause::GrantUnsupported.into()),
    };
    if !client.grants.contains(&grant) {
        return Err(Cause::ClientGrantRefused.into());
    }
    Ok(())
}

/// Everything available where nothing is asked (RFC 6749 section 3.3), else
/// exactly what is asked: a request that exceeds it is refused, not narrowed.
fn choose_scopes(asked: Option<&str>, available: Scopes) -> Result<Scopes, Rejection> {
    let Some(asked) = asked else {
        return Ok(available);
    };
    let asked = Scopes::parse(asked)?;
    match asked.first_outside(&available) {
        Some(outside) => Err(Rejection::new(Cause::ScopeInvalid)
            .expected(available.to_string())
            .got(outside)),
        None => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::decide;
    use crate::flow::client::tests::client;
    use crate::flow::client::{Client, GrantType};
    use crate::flow::form::Form;
    use crate::flow::resource::Resource;
    use crate::flow::scope::Scopes;
    use keybound_proto::cause::Cause;

    fn known() -> Vec<Resource> {
        [
            ("https://rs.example/", "read write"),
            ("https://rs.example/reports", "report"),
        ]
        .map(|(identifier, scopes)| Resource {
            identifier: identifier.to_owned(),
            scopes: Scopes::parse(scopes).unwrap(),
        })
        .to_vec()
    }

    fn agent() -> Client {
        Client {
            scopes: Scopes::parse("read report").unwrap(),
            resources: known()
                .into_iter()
                .map(|resource| resource.identifier)
                .collect(),
            grants: vec![GrantType::ClientCredentials],
            ..client()
        }
    }

    fn refusal(body: &str, client: &Client) -> Option<Cause> {
        let form = Form::parse(body.as_bytes()).unwrap();
        decide(&form, client, &known())
            .err()
            .map(|rejection| rejection.cause())
    }

    const MAIN: &str = "grant_type=client_credentials&resource=https://rs.example/";

    #[test]
    fn other_grants_and_clients_without_the_grant_are_refused() {
        assert_eq!(refusal("", &agent()), Some(Cause::GrantUnsupported));
        assert_eq!(
            refusal("grant_type=password", &agent()),
            Some(Cause::GrantUnsupported)
        );
        let none = Client {
            grants: Vec::new(),
            ..agent()
        };
        assert_eq!(refusal(MAIN, &none), Some(Cause::ClientGrantRefused));
    }

    #[test]
    fn scopes_of_the_client_and_of_the_resource_both_limit() {
        let asking = |scope: &str| refusal(&format!("{MAIN}&scope={scope}"), &agent());
        assert_eq!(asking("write"), Some(Cause::ScopeInvalid));
        assert_eq!(asking("report"), Some(Cause::ScopeInvalid));
        assert_eq!(asking("read+write"), Some(Cause::ScopeInvalid));
        assert_eq!(asking("read++read"), Some(Cause::ScopeInvalid));
        assert_eq!(asking("read"), None);
    }

    #[test]
    fn no_scope_means_all_there_is() {
        let form = Form::parse(MAIN.as_bytes()).unwrap();
        let grant = decide(&form, &agent(), &known()).unwrap();
        assert_eq!(grant.audience, ["https://rs.example/"]);
        assert_eq!(grant.scopes.to_string(), "read");
    }
}
