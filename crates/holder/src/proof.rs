//! Making one DPoP proof (RFC 9449 section 4.2). Every call makes a new one
//! with 128 random bits of its own; a proof is good for one request and is
//! never kept. Which nonce and whose time to use is the caller's knowledge.

use aws_lc_rs::rand;
use http::Method;
use keybound_proto::base64url;
use keybound_proto::dpop::{ProofRequest, signing_input};
use keybound_proto::jose::Signer;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;

use crate::error::HolderError;

/// What a proof says about its request.
#[derive(Clone, Copy, Debug)]
pub struct ProofFacts<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's URL; the query does not become part of the proof.
    pub url: &'a HttpUrl,
    /// The present by the server's clock, as far as it is known.
    pub iat: UnixTime,
    /// The hash of the access token sent with the request.
    pub token: Option<&'a TokenHash>,
    /// The server's latest nonce.
    pub nonce: Option<&'a str>,
    /// The value of `Content-Digest`, where the proof is to cover the content.
    pub content_digest: Option<&'a str>,
}

/// Signs a new proof.
///
/// # Errors
/// [`HolderError::Backend`] without random numbers, [`HolderError::Signing`]
/// when the key cannot sign.
///
/// ```
/// use http::Method;
/// use keybound_custody::SoftwareKey;
/// use keybound_holder::proof::{ProofFacts, prove};
/// use keybound_proto::{jose::Algorithm, time::UnixTime, uri::HttpUrl};
///
/// let key = SoftwareKey::generate(Algorithm::Es256)?;
/// let proof = prove(&key, &ProofFacts {
///     method: &Method::POST,
///     url: &HttpUrl::parse("https://auth.example.com/token")?,
///     iat: UnixTime::from_secs(1_800_000_000),
///     token: None,
///     nonce: None,
///     content_digest: None,
/// })?;
/// assert!(proof.starts_with("eyJ"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prove(key: &dyn Signer, facts: &ProofFacts<'_>) -> Result<String, HolderError> {
    let jti = random_id()?;
    let request = ProofRequest {
        method: facts.method.as_str(),
        htu: &htu(facts.url),
        iat: facts.iat,
        jti: &jti,
        ath: facts.token,
        nonce: facts.nonce,
        content_digest: facts.content_digest,
    };
    signing_input(&request, key.public_key(), key.algorithm())
        .sign(key)
        .map_err(|source| HolderError::Signing { source })
}

/// 128 random bits in base64url: a `jti`.
pub(crate) fn random_id() -> Result<String, HolderError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| HolderError::Backend)?;
    Ok(base64url::encode(&bytes))
}

/// The URL as the request spells it, since not every server normalises. The
/// empty path goes over the wire as `/`.
fn htu(url: &HttpUrl) -> String {
    if url.path().is_empty() {
        format!("{}/", url.origin_as_given())
    } else {
        url.without_query().to_owned()
    }
}
