//! The guard for requests as the `http` crate describes them.

use std::fmt;

use ::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use keybound_proto::Rejection;
use keybound_proto::cause::Cause;
use keybound_proto::certificate::{CertificateThumbprint, PeerCertificate};
use keybound_proto::fields::FieldLines;
use keybound_proto::uri::request_target::{self, AmbiguousTarget};
use keybound_proto::uri::{Htu, Origin, UriError};
use keybound_proto::verify::{HeaderField, Message, Presented, Verified};

use super::{Guard, RequestFacts};
use crate::config::Route;

/// The header that carries the proof (RFC 9449 section 4.1).
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The parts of an HTTP request that the guard looks at.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// The method that will be acted on.
    pub method: &'a ::http::Method,
    /// Path and query as received, in origin form.
    pub path_and_query: &'a str,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// Whether the request has content, or may have. Nobody reads it here, so a route that wants
    /// content covered refuses every request that has some.
    pub has_content: bool,
    /// The client certificate of the connection, if it has one.
    pub certificate: Option<&'a PeerCertificate>,
    /// Its hash, where a trusted terminator handed on nothing else.
    pub certificate_hash: Option<CertificateThumbprint>,
}

/// Header fields as the `http` crate keeps them, as verification reads them.
#[derive(Clone, Copy)]
pub struct Fields<'a>(pub &'a HeaderMap);

impl FieldLines for Fields<'_> {
    fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
        let values = self.0.get_all(name).into_iter();
        values.map(AsRef::as_ref).collect()
    }
}

impl fmt::Debug for Fields<'_> {
    /// Values of fields may be credentials and are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fields({})", self.0.len())
    }
}

impl Guard {
    /// As [`Guard::check_with`], with the request's URL built from the
    /// configured public `origin` and the received path. Headers such as `Host`
    /// and `Forwarded` are not looked at (RFC 9449 section 4.3 (9)).
    ///
    /// # Errors
    ///
    /// `http.target_ambiguous` for a path that can be read in more than one
    /// way, else the [`Rejection`] of the first check that fails.
    pub async fn check_http(
        &self,
        request: &HttpRequest<'_>,
        origin: &Origin,
        route: &Route,
        facts: &RequestFacts<'_>,
    ) -> Result<Verified, Rejection> {
        let target = match target(origin, request.path_and_query) {
            Ok(target) => target,
            Err(cause) => {
                self.count_stranger(route, cause);
                return Err(cause.into());
            }
        };
        let field = |name: &HeaderName| {
            HeaderField::of(request.headers.get_all(name).iter().map(AsRef::as_ref))
        };
        let presented = Presented {
            method: request.method.as_str(),
            target: &target,
            authorization: field(&AUTHORIZATION),
            proof: field(&DPOP),
            message: Message {
                certificate: request.certificate,
                certificate_hash: request.certificate_hash,
                origin: Some(origin),
                request_target: request.path_and_query,
                fields: &Fields(request.headers),
                has_content: request.has_content,
            },
        };
        self.check_with(&presented, route, facts).await
    }
}

fn target(origin: &Origin, path_and_query: &str) -> Result<Htu, Cause> {
    request_target::check(path_and_query).map_err(|error| {
        if error == AmbiguousTarget::TooLong {
            Cause::TargetTooLong
        } else {
            Cause::TargetAmbiguous
        }
    })?;
    Htu::for_request(origin, path_and_query).map_err(UriError::target_cause)
}
