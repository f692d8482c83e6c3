//! Signing whole requests, and verifying signed answers (RFC 9421, RFC 9530).
//!
//! A request under the scheme `HTTPSig` carries a signature over method, URL,
//! token and, with a body, its digest and type
//! (draft-richer-oauth-httpsig-03 section 6). The token names its key by
//! thumbprint, so the key comes along in `Signature-Key`, covered.
//!
//! Which answers must be signed, by whom, and under which policy is the
//! caller's knowledge. This module sends nothing.

use std::fmt;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use keybound_proto::Rejection;
use keybound_proto::fields::FieldLines;
use keybound_proto::jose::{Algorithm, PublicKey, SignError, Signer};
use keybound_proto::signature::profile::{HTTPSIG_SCHEME, PRESENTATION_TAG};
use keybound_proto::signature::{
    CONTENT_DIGEST, Component, ContentIntact, DigestAlgorithm, HttpSignature, SIGNATURE_KEY,
    SignatureInput, SignatureParameters, SignatureRules, SignedRequest, SignedResponse,
    VerifiedSignature, content_digest, signature_key,
};
use keybound_proto::time::UnixTime;

use crate::acquire::sensitive;
use crate::error::HolderError;
use crate::holder::{Request, Response};
use crate::proof::random_id;
use crate::token::BoundToken;

/// How a holder shows that a token is its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presentation {
    /// A DPoP proof per request (RFC 9449).
    #[default]
    Dpop,
    /// A DPoP proof per request that covers the body too, by the claim `content_digest` with the
    /// value of a `Content-Digest` field (RFC 9530). A request without a body has no such claim.
    DpopWithContent,
    /// A signature over each request and its body (RFC 9421), scheme `HTTPSig`.
    HttpSignature,
}

/// The label of our signatures. It means nothing to a verifier.
pub(crate) const LABEL: &str = "sig1";

pub(crate) const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// The fields that only the holder may set when it signs requests.
pub(crate) const RESERVED: [(&str, &str); 4] = [
    (CONTENT_DIGEST, "Content-Digest"),
    ("signature", "Signature"),
    ("signature-input", "Signature-Input"),
    (SIGNATURE_KEY, "Signature-Key"),
];

/// Header fields of the `http` crate as a view.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a>(pub(crate) &'a HeaderMap);

impl FieldLines for Lines<'_> {
    fn lines<'s>(&'s self, name: &str) -> Vec<&'s [u8]> {
        let values = self.0.get_all(name).iter();
        values.map(HeaderValue::as_bytes).collect()
    }
}

/// The request's fields with everything added that makes it an authorized one, good for one
/// request within about a minute.
///
/// # Errors
/// [`HolderError::Backend`], [`HolderError::Signing`], [`HolderError::Uncoverable`].
pub(crate) fn sign_request(
    request: &Request,
    token: &BoundToken,
    key: &dyn Signer,
    now: UnixTime,
) -> Result<HeaderMap, HolderError> {
    if !matches!(
        key.algorithm(),
        Algorithm::EdDsa | Algorithm::Es256 | Algorithm::Es384
    ) {
        // An RSA key in `Signature-Key` does not say which of its algorithms it is for.
        let source = SignError::new("HTTP signatures are made with elliptic-curve keys");
        return Err(HolderError::Signing { source });
    }
    let mut headers = request.headers.clone();
    let authorization = format!("{HTTPSIG_SCHEME} {}", token.expose());
    headers.insert(AUTHORIZATION, sensitive(&authorization)?);
    headers.insert(
        HeaderName::from_static(SIGNATURE_KEY),
        value(&signature_key(LABEL, key.public_key()))?,
    );
    let mut names = vec!["@method", "@target-uri", "authorization", SIGNATURE_KEY];
    if !request.body.is_empty() {
        let digest = content_digest(DigestAlgorithm::Sha256, &request.body);
        headers.insert(HeaderName::from_static(CONTENT_DIGEST), value(&digest)?);
        names.push(CONTENT_DIGEST);
    }
    if headers.contains_key(CONTENT_TYPE) {
        names.push("content-type");
    }
    let covered: Vec<Component> = names
        .into_iter()
        .filter_map(|name| Component::new(name).ok())
        .collect();
    let nonce = random_id()?;
    let parameters = SignatureParameters {
        created: Some(now),
        nonce: Some(&nonce),
        tag: Some(PRESENTATION_TAG),
        ..SignatureParameters::default()
    };
    let input = {
        let target = target(request);
        let lines = Lines(&headers);
        SignatureInput::new(view(request, &target, &lines), &covered, parameters).map_err(
            |error| HolderError::Uncoverable {
                component: error.component.name().to_owned(),
            },
        )?
    };
    let fields = input
        .sign(LABEL, key)
        .map_err(|source| HolderError::Signing { source })?;
    headers.insert(SIGNATURE_INPUT, value(&fields.signature_input)?);
    headers.insert(SIGNATURE, sensitive(&fields.signature)?);
    Ok(headers)
}

/// An answer whose signature and content were checked.
#[derive(Debug)]
pub struct VerifiedResponse {
    /// The signature.
    pub signature: VerifiedSignature,
    /// Whether the signature covers the content, which then is intact.
    pub content: Option<ContentIntact>,
}

impl Response {
    /// Verifies the answer's signature under a policy, with a key the caller trusts; what it
    /// covers of `request` as well as the content's digest. The policy decides whether the
    /// content must be covered.
    ///
    /// `request` must be as it was sent: [`Response::sent`] has the fields that were added.
    ///
    /// # Errors
    /// A [`Rejection`] with an `httpsig.*` or `digest.*` cause. The answer must not be used then.
    pub fn verify(
        &self,
        request: &Request,
        rules: &SignatureRules<'_>,
        key: &PublicKey,
        now: UnixTime,
    ) -> Result<VerifiedResponse, Rejection> {
        let target = target(request);
        let asked = Lines(&self.sent);
        let lines = Lines(&self.headers);
        let response = SignedResponse {
            status: self.status.as_u16(),
            fields: &lines,
            trailers: None,
            request: Some(view(request, &target, &asked)),
        };
        let signature = HttpSignature::read(rules, response, now)?.verify(key)?;
        let content = match signature.signature().content_digest() {
            Some(digest) => Some(digest.check(&self.body)?),
            None => None,
        };
        Ok(VerifiedResponse { signature, content })
    }
}

/// Path and query as they go over the wire: the empty path is `/`.
fn target(request: &Request) -> String {
    let path = match request.url.path() {
        "" => "/",
        path => path,
    };
    match request.url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

fn view<'a>(request: &'a Request, target: &'a str, fields: &'a Lines<'a>) -> SignedRequest<'a> {
    SignedRequest {
        method: request.method.as_str(),
        origin: request.url.origin(),
        request_target: target,
        fields,
        trailers: None,
    }
}

fn value(text: &str) -> Result<HeaderValue, HolderError> {
    HeaderValue::from_str(text).map_err(|_| HolderError::Uncoverable {
        component: "signature-input".to_owned(),
    })
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}
