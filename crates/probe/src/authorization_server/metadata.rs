//! What an authorization server says about itself: RFC 8414, OpenID Connect
//! Discovery 1.0.
//!
//! A probe looks at wrong documents too, so the document is kept as it came
//! and nothing is demanded of it but a token endpoint that may be given
//! credentials. `signed_metadata` is not read, and no URL of the document is
//! fetched but the endpoints the probe asks.

use http::{Method, StatusCode};
use keybound_proto::uri::{HttpUrl, Scheme};
use serde_json::{Map, Value, json};

use super::reply::answered;
use crate::draft::{Draft, printable};
use crate::error::ProbeError;
use crate::session::{Expect, Session};
use crate::transport::Answer;

/// The document, and what every request needs of it.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    /// Where the document was found.
    pub(crate) url: String,
    /// As it came.
    pub(crate) document: Map<String, Value>,
    /// Where tokens come from.
    pub(crate) token_endpoint: HttpUrl,
    /// The identifier it was looked up for.
    pub(crate) issuer: HttpUrl,
}

impl Metadata {
    /// Looks for the document: the RFC 8414 place, then the OpenID Connect ones.
    ///
    /// # Errors
    /// [`ProbeError::Document`] when no place has a usable one; [`ProbeError::NoAnswer`] when
    /// nobody answers.
    pub(crate) async fn fetch(
        session: &mut Session<'_>,
        issuer: &HttpUrl,
    ) -> Result<Self, ProbeError> {
        let mut worst: Option<Problem> = None;
        for url in places(issuer) {
            let mut draft = Draft::new(Method::GET, &url);
            draft.header("accept", "application/json");
            let attempt = session.send(&draft, &[], Expect::Served).await;
            let Some(answer) = answered(attempt)? else {
                return Ok(Self::assumed(issuer, &url));
            };
            match read(&answer) {
                Ok(document) => return Self::of(issuer, &url, document),
                Err(reason) => {
                    let missing = answer.status == StatusCode::NOT_FOUND;
                    // "Not found" is expected of all places but one; anything else tells more.
                    if worst.as_ref().is_none_or(|worst| worst.missing && !missing) {
                        worst = Some(Problem {
                            url: url.without_query().to_owned(),
                            reason,
                            missing,
                        });
                    }
                }
            }
        }
        let (url, reason) = worst.map_or_else(
            || (issuer.as_str().to_owned(), "it is no issuer".to_owned()),
            |worst| (worst.url, worst.reason),
        );
        Err(ProbeError::Document {
            url,
            reason,
            next: "check the issuer identifier: the URL that tokens have as `iss`".to_owned(),
        })
    }

    fn of(
        issuer: &HttpUrl,
        url: &HttpUrl,
        document: Map<String, Value>,
    ) -> Result<Self, ProbeError> {
        let unusable = |reason: String| ProbeError::Document {
            url: url.without_query().to_owned(),
            reason,
            next: "correct `token_endpoint` in the metadata".to_owned(),
        };
        let named = document.get("token_endpoint").and_then(Value::as_str);
        let named = named.ok_or_else(|| unusable("it names no `token_endpoint`".to_owned()))?;
        let shown = printable(named.as_bytes());
        let token_endpoint = HttpUrl::parse(named)
            .map_err(|error| unusable(format!("`token_endpoint` `{shown}`: {error}")))?;
        if !may_have_credentials(issuer, &token_endpoint) {
            return Err(unusable(format!(
                "its `token_endpoint` `{shown}` would take credentials out of TLS"
            )));
        }
        Ok(Self {
            url: url.without_query().to_owned(),
            document,
            token_endpoint,
            issuer: issuer.clone(),
        })
    }

    /// What a dry run shows requests for: it fetches nothing, so it knows no endpoints.
    fn assumed(issuer: &HttpUrl, url: &HttpUrl) -> Self {
        let base = issuer.without_query().trim_end_matches('/');
        let at = |path: &str| format!("{base}/{path}");
        let document = json!({
            "issuer": issuer.as_str(),
            "token_endpoint": at("token"),
            "registration_endpoint": at("register"),
            "introspection_endpoint": at("introspect"),
            "revocation_endpoint": at("revoke"),
            "dpop_signing_alg_values_supported": ["ES256"],
        });
        Self {
            url: url.without_query().to_owned(),
            document: document.as_object().cloned().unwrap_or_default(),
            token_endpoint: HttpUrl::parse(&at("token")).unwrap_or_else(|_| issuer.clone()),
            issuer: issuer.clone(),
        }
    }

    /// An endpoint, where the document names one that may be given credentials.
    pub(crate) fn endpoint(&self, member: &str) -> Option<HttpUrl> {
        let url = HttpUrl::parse(self.text(member)?).ok()?;
        may_have_credentials(&self.issuer, &url).then_some(url)
    }

    /// A member that is a text.
    pub(crate) fn text(&self, member: &str) -> Option<&str> {
        self.document.get(member)?.as_str()
    }

    /// A member that is a list of texts; nothing where there is no such member.
    pub(crate) fn list(&self, member: &str) -> Option<Vec<&str>> {
        let items = self.document.get(member)?.as_array()?;
        Some(items.iter().filter_map(Value::as_str).collect())
    }

    /// Whether the list has this text. A list that is not there says nothing.
    pub(crate) fn lists(&self, member: &str, value: &str) -> Option<bool> {
        Some(self.list(member)?.contains(&value))
    }
}

/// Why a place has no usable document.
struct Problem {
    url: String,
    reason: String,
    missing: bool,
}

/// Credentials never leave TLS, and without TLS never leave the issuer's own origin.
pub(crate) fn may_have_credentials(issuer: &HttpUrl, endpoint: &HttpUrl) -> bool {
    endpoint.origin() == issuer.origin()
        || (issuer.origin().scheme() == Scheme::Https
            && endpoint.origin().scheme() == Scheme::Https)
}

/// Where the document may be (RFC 8414 sections 3.1 and 5).
fn places(issuer: &HttpUrl) -> Vec<HttpUrl> {
    let origin = issuer.origin_as_given();
    let path = issuer.path().trim_end_matches('/');
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ];
    if !path.is_empty() {
        places.push(format!("{origin}/.well-known/openid-configuration{path}"));
    }
    places
        .iter()
        .filter_map(|place| HttpUrl::parse(place).ok())
        .collect()
}

fn read(answer: &Answer) -> Result<Map<String, Value>, String> {
    if !answer.status.is_success() {
        return Err(format!("there is no metadata ({})", answer.shown()));
    }
    if answer.is_html() {
        return Err("it is HTML, probably a log-in or error page, and no JSON".to_owned());
    }
    match answer.json() {
        Some(Value::Object(document)) => Ok(document),
        Some(_) => Err("it is JSON and no object".to_owned()),
        None => Err("it is no JSON".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_within_tls_or_the_origin() {
        let allowed = |issuer: &str, endpoint: &str| {
            may_have_credentials(
                &HttpUrl::parse(issuer).expect("a URL"),
                &HttpUrl::parse(endpoint).expect("a URL"),
            )
        };
        assert!(!allowed("https://a.example", "http://a.example/token"));
        assert!(!allowed("http://127.0.0.1:1", "http://127.0.0.1:2/token"));
        assert!(!allowed("http://127.0.0.1:1", "https://b.example/token"));
        assert!(allowed("https://a.example", "https://b.example/token"));
        assert!(allowed("http://127.0.0.1:1", "http://127.0.0.1:1/token"));
    }

    #[test]
    fn the_well_known_part_goes_before_the_path_first() {
        let issuer = HttpUrl::parse("https://a.example/tenant/").expect("a URL");
        let places: Vec<_> = places(&issuer)
            .iter()
            .map(|url| url.as_str().to_owned())
            .collect();
        assert_eq!(
            places,
            [
                "https://a.example/.well-known/oauth-authorization-server/tenant",
                "https://a.example/tenant/.well-known/openid-configuration",
                "https://a.example/.well-known/openid-configuration/tenant",
            ]
        );
    }
}
