//! Cross-origin resource sharing (Fetch standard, section 3.2) for browser clients.
//!
//! RFC 9449 section 7.1 and 9: a page sees the challenge and the nonce only when they are
//! exposed. A preflight from a configured origin is answered here, because it cannot carry
//! credentials; every other request, `OPTIONS` included, is checked like any.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    AUTHORIZATION, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response, StatusCode};

use super::config::CorsConfig;

/// Prepared CORS answers.
#[derive(Debug)]
pub(super) struct Cors {
    origins: Vec<String>,
    request_fields: HeaderValue,
    max_age: HeaderValue,
}

const EXPOSED: HeaderValue = HeaderValue::from_static("WWW-Authenticate, DPoP-Nonce");

impl Cors {
    pub(super) fn new(config: &CorsConfig) -> Self {
        let mut fields = "authorization, dpop, content-type".to_owned();
        for name in &config.request_fields {
            fields.push_str(", ");
            fields.push_str(name.as_str());
        }
        Self {
            origins: config.origins.iter().map(ToString::to_string).collect(),
            request_fields: HeaderValue::try_from(fields)
                .unwrap_or_else(|_| HeaderValue::from_static("authorization, dpop, content-type")),
            max_age: HeaderValue::from(config.max_age.as_secs()),
        }
    }

    /// The origin of a request, when it is one of those configured.
    pub(super) fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut values = headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (values.next(), values.next()) else {
            return None;
        };
        self.origins
            .iter()
            .any(|ours| ours.as_bytes() == origin.as_bytes())
            .then(|| origin.clone())
    }

    /// The answer to a preflight without credentials from a configured origin.
    pub(super) fn preflight(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<Response<Bytes>> {
        let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let has_credentials = headers.contains_key(AUTHORIZATION) || headers.contains_key("dpop");
        if *method != Method::OPTIONS || has_credentials {
            return None;
        }
        let origin = self.origin(headers)?;
        // The method is echoed; whether it may be used, the request itself will show.
        Method::from_bytes(asked.as_bytes()).ok()?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, asked.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.request_fields.clone());
        answer.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        answer.insert(
            VARY,
            HeaderValue::from_static("origin, access-control-request-method"),
        );
        Some(response)
    }

    /// Lets the page at `origin` read an answer and its challenge.
    pub(super) fn expose(origin: &HeaderValue, headers: &mut HeaderMap) {
        if !headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}
