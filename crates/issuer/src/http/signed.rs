//! Token requests that are signed as a whole (draft-richer-oauth-httpsig-03 section 3), for clients
//! that the configuration lets sign them.
//!
//! What is signed is held against the configured URL of the endpoint and the content as it came.
//! Fields other than those the signature names are not looked at here.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use keybound_proto::cause::Cause;
use keybound_proto::fields::FieldLines;
use keybound_proto::rejection::Rejection;
use keybound_proto::signature::SignedRequest;
use keybound_proto::time::UnixTime;
use keybound_proto::uri::HttpUrl;
use keybound_proto::verify::{
    SignedTokenRequest, TokenRequestKeys, UnredeemedProof, begin_signed_request,
};

use crate::entrance::Entrance;
use crate::flow::client::{Client, RequestSigning};
use crate::flow::metadata::{self, path};
use crate::state::Core;

/// A token request as it came.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) parts: &'a Parts,
    pub(super) content: &'a [u8],
}

/// The proof by a signature over the request; `None` where the client signs none, or did not and
/// may do otherwise.
///
/// # Errors
/// An `httpsig.*` or `digest.*` cause.
pub(super) fn prove(
    core: &Core,
    sent: Sent<'_>,
    client: &Client,
    now: UnixTime,
) -> Result<Option<UnredeemedProof>, Rejection> {
    let (keys, optional) = match &client.signing {
        RequestSigning::Refused => return Ok(None),
        RequestSigning::Runtime { optional } => (TokenRequestKeys::Runtime, *optional),
        RequestSigning::Preregistered { keys, optional } => {
            (TokenRequestKeys::Preregistered(&keys.keys), *optional)
        }
    };
    let fields = Lines(&sent.parts.headers);
    let endpoint = endpoint(core, sent.parts)?;
    let presented = SignedTokenRequest {
        request: SignedRequest {
            method: Method::POST.as_str(),
            origin: endpoint.origin(),
            // A query is refused before anything is read.
            request_target: endpoint.path(),
            fields: &fields,
            trailers: None,
        },
        content: sent.content,
    };
    let algorithms = core.config().profile.proof_algorithms;
    match begin_signed_request(keys, algorithms, &presented, now) {
        Ok(proof) => Ok(Some(proof)),
        Err(rejection) if optional && rejection.cause() == Cause::HttpsigAbsent => Ok(None),
        Err(rejection) => Err(rejection),
    }
}

/// The endpoint's URL at this entrance, as the metadata says it.
fn endpoint(core: &Core, parts: &Parts) -> Result<HttpUrl, Rejection> {
    let config = core.config();
    let alias = config
        .certificates
        .as_ref()
        .and_then(|certificates| certificates.alias.as_ref());
    let base = match (Entrance::of(parts), alias) {
        (Entrance::Alias, Some(alias)) => alias,
        (Entrance::Alias, None) | (Entrance::Main, _) => &config.url,
    };
    // Both were parsed at the start.
    HttpUrl::parse(&metadata::endpoint(base, path::TOKEN))
        .map_err(|_| Cause::HttpsigComponent.into())
}

/// Header fields of the `http` crate as a view.
struct Lines<'a>(&'a HeaderMap);

impl FieldLines for Lines<'_> {
    fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
        let values = self.0.get_all(name).iter();
        values.map(HeaderValue::as_bytes).collect()
    }
}
