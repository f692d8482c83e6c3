//! Token requests signed as a whole in place of a DPoP proof (draft-richer-oauth-httpsig-03
//! section 3): method, URL, content and the client's authentication.
//!
//! Which of the two ways to name the key is right is a matter of the client's registration. This
//! module sends nothing.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use keybound_proto::jose::{SignError, Signer};
use keybound_proto::signature::profile::TOKEN_REQUEST_TAG;
use keybound_proto::signature::{
    CONTENT_DIGEST, Component, DigestAlgorithm, SignatureInput, SignatureParameters, SignedRequest,
    content_digest, runtime_parameters,
};
use keybound_proto::structured::BareItem;
use keybound_proto::time::UnixTime;
use keybound_proto::uri::HttpUrl;

use crate::acquire::sensitive;
use crate::error::HolderError;
use crate::message::{LABEL, Lines, SIGNATURE, SIGNATURE_INPUT};
use crate::proof::random_id;

/// How a token request shows possession of the key that the token shall be bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenRequestProof {
    /// By a DPoP proof (RFC 9449 section 5).
    #[default]
    Dpop,
    /// By a signature over the request. Tokens are then presented with signatures too.
    Signature {
        /// The registered key's identifier; none where the request brings the key.
        keyid: Option<String>,
    },
}

impl TokenRequestProof {
    /// The type of token that has to come back.
    pub(crate) const fn token_type(&self) -> &'static str {
        match self {
            Self::Dpop => "DPoP",
            Self::Signature { .. } => "httpsig",
        }
    }
}

/// Adds digest and signature to a token request that is complete otherwise.
pub(crate) fn sign(
    headers: &mut HeaderMap,
    (endpoint, body): (&HttpUrl, &[u8]),
    (key, keyid): (&dyn Signer, Option<&str>),
    now: UnixTime,
) -> Result<(), HolderError> {
    let cannot = |reason: &'static str| HolderError::Signing {
        source: SignError::new(reason),
    };
    let digest = content_digest(DigestAlgorithm::Sha256, body);
    let digest = HeaderValue::try_from(digest).map_err(|_| HolderError::Backend)?;
    headers.insert(HeaderName::from_static(CONTENT_DIGEST), digest);
    let mut names = vec!["@method", "@target-uri", CONTENT_DIGEST];
    if headers.contains_key(AUTHORIZATION) {
        names.push("authorization");
    }
    let covered: Vec<_> = names
        .into_iter()
        .filter_map(|name| Component::new(name).ok())
        .collect();
    let (algorithm, point) = runtime_parameters(key.public_key())
        .ok_or_else(|| cannot("token requests are signed with elliptic-curve keys"))?;
    let brought = [("pub", BareItem::Bytes(point))];
    let nonce = random_id()?;
    let parameters = SignatureParameters {
        created: Some(now),
        nonce: Some(&nonce),
        tag: Some(TOKEN_REQUEST_TAG),
        keyid,
        algorithm: keyid.is_none().then_some(algorithm),
        more: if keyid.is_none() { &brought } else { &[] },
        ..SignatureParameters::default()
    };
    let input = {
        let lines = Lines(headers);
        let request = SignedRequest {
            method: "POST",
            origin: endpoint.origin(),
            request_target: endpoint.path(),
            fields: &lines,
            trailers: None,
        };
        SignatureInput::new(request, &covered, parameters).map_err(|error| {
            HolderError::Uncoverable {
                component: error.component.name().to_owned(),
            }
        })?
    };
    let fields = input
        .sign(LABEL, key)
        .map_err(|source| HolderError::Signing { source })?;
    headers.insert(SIGNATURE_INPUT, sensitive(&fields.signature_input)?);
    headers.insert(SIGNATURE, sensitive(&fields.signature)?);
    Ok(())
}
