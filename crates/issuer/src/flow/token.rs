//! The token endpoint's decision for `client_credentials` (RFC 6749
//! section 4.4, resource indicators of RFC 8707): which audience and which
//! scopes an authenticated client gets.
//!
//! This module does not authenticate, does not look at proofs and does not
//! sign; [`super::mint`] does the last two.

use keybound_proto::cause::Cause;
use keybound_proto::rejection::Rejection;
use keybound_proto::token::Delegation;

use super::client::{Client, GrantType};
use super::form::Form;
use super::grant::{Grant, Holder, choose_scopes};
use super::resource::{self, Resource};

/// The grant type of a request, if the client may use it. `authorization` says whether there is
/// an authorization endpoint.
///
/// # Errors
/// [`Cause::GrantUnsupported`], [`Cause::ClientGrantRefused`].
pub fn grant_type(
    form: &Form<'_>,
    client: &Client,
    authorization: bool,
) -> Result<GrantType, Rejection> {
    let Some(name) = form.value("grant_type") else {
        return Err(Cause::GrantUnsupported.into());
    };
    let known = GrantType::from_name(name);
    let Some(grant) = known.filter(|grant| grant.is_offered(authorization)) else {
        return Err(Rejection::new(Cause::GrantUnsupported).got(name));
    };
    if !client.grants.contains(&grant) {
        return Err(Cause::ClientGrantRefused.into());
    }
    Ok(grant)
}

/// Decides one request for a token about the client itself.
///
/// # Errors
/// [`Cause::ResourceInvalid`] or [`Cause::ScopeInvalid`], in this order.
pub fn client_credentials(
    form: &Form<'_>,
    client: &Client,
    known: &[Resource],
) -> Result<Grant, Rejection> {
    let resources = resource::choose(form.values("resource"), &client.resources, known)?;
    let available = resource::scopes_of(&resources).intersection(&client.scopes);
    Ok(Grant {
        identity: client.identity.clone(),
        scopes: choose_scopes(form.value("scope"), available)?,
        audience: resource::identifiers(resources),
        details: None,
        delegation: Delegation::default(),
        not_after: None,
        holder: Holder::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::{client_credentials, grant_type};
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
        let granted = grant_type(&form, client, true)
            .and_then(|_| client_credentials(&form, client, &known()));
        granted.err().map(|rejection| rejection.cause())
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
        let grant = client_credentials(&form, &agent(), &known()).unwrap();
        assert_eq!(grant.audience, ["https://rs.example/"]);
        assert_eq!(grant.scopes.to_string(), "read");
    }
}
