//! Metadata of authorization servers (RFC 8414, OpenID Connect Discovery 1.0)
//! and of protected resources (RFC 9728).
//!
//! A document counts only if it speaks for exactly the identifier it was
//! looked up for. An issuer's endpoints may lie on another origin only when
//! issuer and endpoint are both https: the document came over the issuer's
//! own TLS, so it says where the issuer wants its clients to go, and it can
//! never move credentials from TLS to clear text or from this machine's
//! loopback to elsewhere.
//!
//! `signed_metadata` is not read, and nothing is fetched from URLs found in
//! a document.

use http::{HeaderMap, Method, StatusCode};
use keybound_proto::json::Object;
use keybound_proto::uri::{HttpUrl, Scheme};

use crate::error::{HolderError, printable};
use crate::http_client::{HttpClient, Incoming, Outgoing, check_confidential};

/// Larger metadata is refused, in bytes.
const MAX_METADATA_BYTES: usize = 512 * 1024;

/// What an authorization server says about itself. Lists are `None` where
/// the document has no such member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// The issuer identifier, equal to the one asked for.
    pub issuer: HttpUrl,
    /// Where tokens come from.
    pub token_endpoint: HttpUrl,
    /// Where clients register (RFC 7591).
    pub registration_endpoint: Option<HttpUrl>,
    /// Where tokens are examined (RFC 7662).
    pub introspection_endpoint: Option<HttpUrl>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<HttpUrl>,
    /// The issuer's keys. A plain URL: fetching it is the caller's business.
    pub jwks_uri: Option<HttpUrl>,
    /// The algorithms taken for proofs (RFC 9449 section 5.1).
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// How clients may authenticate at the token endpoint.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// What a protected resource says about itself (RFC 9728 section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedResource {
    /// The resource identifier: the audience of tokens for it.
    pub resource: HttpUrl,
    /// Issuers whose tokens it takes.
    pub authorization_servers: Vec<HttpUrl>,
    /// Scopes it knows.
    pub scopes_supported: Option<Vec<String>>,
    /// Whether it takes bound tokens only.
    pub dpop_bound_access_tokens_required: bool,
    /// The algorithms taken for proofs.
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
}

/// A metadata document as it was fetched.
pub(crate) struct Document {
    url: HttpUrl,
    answer: Incoming,
}

/// Looks an issuer up: first the RFC 8414 place, then the OpenID Connect one.
///
/// # Errors
/// [`HolderError::IssuerMismatch`] when a document speaks for another issuer
/// (the search stops there), [`HolderError::MetadataMissing`] when there is
/// none, and whatever the exchange fails with.
pub async fn authorization_server(
    http: &HttpClient,
    issuer: &HttpUrl,
) -> Result<AuthorizationServer, HolderError> {
    let places = issuer_places(issuer)?;
    let document = first_document(http, &places).await?;
    read_authorization_server(&document, issuer)
}

/// Looks a resource up at the well-known place of `url` and, where that has
/// no document and `url` has a path, at that of its origin.
///
/// # Errors
/// [`HolderError::ResourceMismatch`] unless the document's `resource` is the
/// identifier its place belongs to (RFC 9728 section 3.3).
pub async fn protected_resource(
    http: &HttpClient,
    url: &HttpUrl,
) -> Result<ProtectedResource, HolderError> {
    check_confidential(url)?;
    let origin = parse(url.origin_as_given())?;
    let mut places = vec![resource_place(url)?];
    if !matches!(url.path(), "" | "/") {
        places.push(resource_place(&origin)?);
    }
    let document = first_document(http, &places).await?;
    let found = read_protected_resource(&document)?;
    if resource_place(&found.resource)? != document.url || !covers(&found.resource, url) {
        return Err(resource_mismatch(&document.url, url, &found.resource));
    }
    Ok(found)
}

/// Reads the document that a challenge's `resource_metadata` names, for a
/// request to `requested`.
///
/// # Errors
/// [`HolderError::ResourceMismatch`] when the document lies on another origin
/// or its `resource` neither is `requested` nor a path above it. The RFC
/// wants equality; gateways that serve many paths as one resource are why
/// the path above is taken as well.
pub async fn protected_resource_at(
    http: &HttpClient,
    metadata: &HttpUrl,
    requested: &HttpUrl,
) -> Result<ProtectedResource, HolderError> {
    check_confidential(metadata)?;
    if metadata.origin() != requested.origin() {
        return Err(resource_mismatch(metadata, requested, metadata));
    }
    let document = first_document(http, std::slice::from_ref(metadata)).await?;
    let found = read_protected_resource(&document)?;
    if !covers(&found.resource, requested) {
        return Err(resource_mismatch(metadata, requested, &found.resource));
    }
    Ok(found)
}

/// Where an issuer's metadata may be, in the order of looking.
pub(crate) fn issuer_places(issuer: &HttpUrl) -> Result<Vec<HttpUrl>, HolderError> {
    if !issuer.origin().is_confidential() || issuer.query().is_some() {
        return Err(HolderError::IssuerUnusable {
            issuer: issuer.without_query().to_owned(),
        });
    }
    let origin = issuer.origin_as_given();
    let path = without_final_slash(issuer.path());
    let places = [
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ];
    places.iter().map(|place| parse(place)).collect()
}

/// RFC 9728 section 3.1: inserted between host and path.
fn resource_place(resource: &HttpUrl) -> Result<HttpUrl, HolderError> {
    let path = without_final_slash(resource.path());
    parse(&format!(
        "{}/.well-known/oauth-protected-resource{path}",
        resource.origin_as_given()
    ))
}

/// A well-known part is inserted before, or appended to, a path that has lost
/// its final slash (RFC 8414 section 3.1, RFC 9728 section 3.1).
fn without_final_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Whether `resource` is `url` or lies above it on the same origin.
fn covers(resource: &HttpUrl, url: &HttpUrl) -> bool {
    if resource.origin() != url.origin() {
        return false;
    }
    match url.path().strip_prefix(resource.path()) {
        Some("") => true,
        Some(rest) => resource.path().ends_with('/') || rest.starts_with('/'),
        None => resource.path() == "/" && url.path().is_empty(),
    }
}

async fn first_document(http: &HttpClient, places: &[HttpUrl]) -> Result<Document, HolderError> {
    for url in places {
        let outgoing = Outgoing {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            max_body: MAX_METADATA_BYTES,
            timeout: None,
        };
        let answer = http.exchange(outgoing).await?;
        answer.refuse_unavailable(url)?;
        // Some servers answer unknown paths with a page instead of a 404.
        let is_object = answer.body.trim_ascii_start().starts_with(b"{");
        if answer.status == StatusCode::OK && is_object {
            return Ok(Document {
                url: url.clone(),
                answer,
            });
        }
    }
    let tried: Vec<_> = places.iter().map(|url| format!("`{url}`")).collect();
    Err(HolderError::MetadataMissing {
        origin: places
            .first()
            .map_or_else(String::new, |url| url.origin().to_string()),
        tried: tried.join(" or "),
    })
}

impl Document {
    /// The headers the document came with, which tell the server's time.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.answer.headers
    }

    fn invalid(&self, reason: impl ToString) -> HolderError {
        HolderError::ResponseInvalid {
            url: self.url.to_string(),
            reason: reason.to_string(),
        }
    }

    fn object(&self) -> Result<Object<'_>, HolderError> {
        Object::parse(&self.answer.body).map_err(|e| self.invalid(e))
    }

    fn text<'o>(&self, object: &'o Object<'_>, name: &str) -> Result<&'o str, HolderError> {
        let value = object.string(name).map_err(|e| self.invalid(e))?;
        value.ok_or_else(|| self.invalid(format!("it has no `{name}`")))
    }

    fn url(&self, name: &str, text: &str) -> Result<HttpUrl, HolderError> {
        HttpUrl::parse(text).map_err(|e| self.invalid(format!("`{name}` is no usable URL: {e}")))
    }

    fn list(&self, object: &Object<'_>, name: &str) -> Result<Option<Vec<String>>, HolderError> {
        let list = object.strings(name).map_err(|e| self.invalid(e))?;
        Ok(list.map(|items| items.into_iter().map(printable).collect()))
    }
}

/// Fetches an issuer's document without judging it.
pub(crate) async fn issuer_document(
    http: &HttpClient,
    issuer: &HttpUrl,
) -> Result<Document, HolderError> {
    first_document(http, &issuer_places(issuer)?).await
}

pub(crate) fn read_authorization_server(
    document: &Document,
    issuer: &HttpUrl,
) -> Result<AuthorizationServer, HolderError> {
    let object = document.object()?;
    // SECURITY: before anything else is read, so that nothing of a document
    // for another issuer is ever used (RFC 8414 section 3.3).
    let got = document.text(&object, "issuer")?;
    if got != issuer.as_str() {
        return Err(HolderError::IssuerMismatch {
            url: document.url.to_string(),
            expected: issuer.to_string(),
            got: printable(got),
        });
    }
    let optional = |name: &str| match object.string(name).map_err(|e| document.invalid(e))? {
        Some(text) => endpoint(document, issuer, name, text).map(Some),
        None => Ok(None),
    };
    let jwks_uri = match object.string("jwks_uri").map_err(|e| document.invalid(e))? {
        Some(text) => Some(document.url("jwks_uri", text)?),
        None => None,
    };
    let token_endpoint = document.text(&object, "token_endpoint")?;
    Ok(AuthorizationServer {
        issuer: issuer.clone(),
        token_endpoint: endpoint(document, issuer, "token_endpoint", token_endpoint)?,
        registration_endpoint: optional("registration_endpoint")?,
        introspection_endpoint: optional("introspection_endpoint")?,
        revocation_endpoint: optional("revocation_endpoint")?,
        jwks_uri,
        dpop_signing_alg_values_supported: document
            .list(&object, "dpop_signing_alg_values_supported")?,
        token_endpoint_auth_methods_supported: document
            .list(&object, "token_endpoint_auth_methods_supported")?,
    })
}

/// An endpoint that credentials may be sent to, see the module's words.
fn endpoint(
    document: &Document,
    issuer: &HttpUrl,
    name: &str,
    text: &str,
) -> Result<HttpUrl, HolderError> {
    let url = document.url(name, text)?;
    let both_https =
        issuer.origin().scheme() == Scheme::Https && url.origin().scheme() == Scheme::Https;
    if url.origin() == issuer.origin() || both_https {
        return Ok(url);
    }
    Err(HolderError::EndpointRefused {
        issuer: issuer.to_string(),
        endpoint: url.without_query().to_owned(),
    })
}

fn read_protected_resource(document: &Document) -> Result<ProtectedResource, HolderError> {
    let object = document.object()?;
    let servers = document.list(&object, "authorization_servers")?;
    let servers = servers.unwrap_or_default();
    let required = object
        .boolean("dpop_bound_access_tokens_required")
        .map_err(|e| document.invalid(e))?;
    Ok(ProtectedResource {
        resource: document.url("resource", document.text(&object, "resource")?)?,
        authorization_servers: servers
            .iter()
            .map(|text| document.url("authorization_servers", text))
            .collect::<Result<_, _>>()?,
        scopes_supported: document.list(&object, "scopes_supported")?,
        dpop_bound_access_tokens_required: required.unwrap_or(false),
        dpop_signing_alg_values_supported: document
            .list(&object, "dpop_signing_alg_values_supported")?,
    })
}

fn resource_mismatch(place: &HttpUrl, expected: &HttpUrl, got: &HttpUrl) -> HolderError {
    HolderError::ResourceMismatch {
        url: place.to_string(),
        expected: expected.without_query().to_owned(),
        got: got.to_string(),
    }
}

/// For texts put together from parsed URLs, which parse unless too long.
fn parse(text: &str) -> Result<HttpUrl, HolderError> {
    HttpUrl::parse(text).map_err(|e| HolderError::ResponseInvalid {
        url: text.chars().take(200).collect(),
        reason: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> HttpUrl {
        HttpUrl::parse(text).expect(text)
    }

    #[test]
    fn an_issuer_in_clear_text_or_with_a_query_is_refused() {
        for issuer in [
            "http://auth.example",
            "https://auth.example?x",
            "http://10.0.0.1/",
        ] {
            let error = issuer_places(&url(issuer)).expect_err(issuer);
            assert!(matches!(error, HolderError::IssuerUnusable { .. }));
        }
    }

    #[test]
    fn well_known_places_of_issuers() {
        for (issuer, rfc_8414, oidc) in [
            (
                "https://a.example",
                "https://a.example/.well-known/oauth-authorization-server",
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "https://a.example/",
                "https://a.example/.well-known/oauth-authorization-server",
                "https://a.example/.well-known/openid-configuration",
            ),
            (
                "http://localhost:9400/t/one",
                "http://localhost:9400/.well-known/oauth-authorization-server/t/one",
                "http://localhost:9400/t/one/.well-known/openid-configuration",
            ),
        ] {
            let places = issuer_places(&url(issuer)).expect(issuer);
            assert_eq!(places, [url(rfc_8414), url(oidc)]);
        }
    }

    #[test]
    fn a_resource_covers_itself_and_what_lies_below() {
        for (resource, requested, covered) in [
            ("https://a.example/x", "https://a.example/xy", false),
            ("https://a.example/x", "https://a.example/", false),
            ("https://a.example/x", "https://b.example/x", false),
            ("https://a.example/x", "http://a.example/x", false),
            ("https://a.example/x/", "https://a.example/x", false),
            ("https://a.example/x", "https://a.example/x", true),
            ("https://a.example/x", "https://a.example/x/y?q", true),
            ("https://a.example/x/", "https://a.example/x/y", true),
            ("https://a.example/", "https://a.example", true),
            ("https://a.example", "https://a.example/x", true),
            ("https://A.example:443/", "https://a.example/x", true),
        ] {
            assert_eq!(
                covers(&url(resource), &url(requested)),
                covered,
                "{resource} {requested}"
            );
        }
    }
}
