//! Reading what an issuer publishes: its metadata (RFC 8414 section 2, OpenID
//! Connect Discovery 1.0 section 3) and its key set (RFC 7517 section 5).
//!
//! Both are read with the strict JSON reader: one object, no repeated members.
//! Keys this product cannot use are left out; a key id that names two usable
//! keys makes the whole set unusable, because which of them is meant would be
//! a guess. Fetches nothing.

use std::collections::HashMap;

use keybound_proto::jose::{Algorithm, JwkError, MAX_KID_BYTES, PublicKey};
use keybound_proto::json::{Object, Value};
use keybound_proto::token::TokenQuery;
use keybound_proto::uri::{HttpUrl, Origin};

/// The most usable keys of one set.
pub const MAX_KEYS: usize = 64;

/// One key of an issuer.
#[derive(Clone, Debug)]
pub struct IssuerKey {
    key: PublicKey,
    /// `alg`, where the set restricts the key to it.
    algorithm: Option<Algorithm>,
}

/// The usable keys of an issuer.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    named: HashMap<String, IssuerKey>,
    unnamed: Vec<IssuerKey>,
}

/// Why a document is not usable. Holds nothing of the document but URLs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// An endpoint is missing or no acceptable URL.
    #[error("the metadata has no acceptable `{0}`; configure it")]
    Endpoint(&'static str),
    /// An endpoint points to an origin that was not configured.
    #[error("`{member}` points to `{origin}`; configure the endpoint itself if it is meant")]
    EndpointForeign {
        /// The member.
        member: &'static str,
        /// Where it points.
        origin: String,
    },
    /// Two usable keys have the same `kid`.
    #[error("two keys of the set have the same `kid`")]
    DuplicateKeyId,
    /// The metadata names another issuer (RFC 8414 section 3.3).
    #[error(
        "the metadata is that of issuer `{got}`, expected `{expected}`; they must match exactly"
    )]
    IssuerMismatch {
        /// The configured issuer.
        expected: String,
        /// The document's `issuer`.
        got: String,
    },
    /// `jwks_uri` is missing or no acceptable URL.
    #[error("the metadata has no acceptable `jwks_uri`")]
    JwksUri,
    /// `jwks_uri` points to an origin that was not configured.
    #[error("`jwks_uri` points to `{0}`; list that origin if it is meant to hold the keys")]
    JwksUriForeign(String),
    /// Not one strict JSON object, or without the expected members.
    #[error("not a strict JSON document of the expected shape")]
    Malformed,
    /// More than [`MAX_KEYS`] usable keys.
    #[error("the set holds more than {MAX_KEYS} usable keys")]
    TooManyKeys,
}

impl IssuerKey {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|only| only == algorithm) && self.key.supports(algorithm)
    }
}

impl KeySet {
    /// Reads a key set.
    ///
    /// Left out are keys with `use` other than `sig`, with `key_ops` that lack
    /// `verify`, with an `alg` or key type that is not supported, weak keys, and
    /// keys that disclose a private member.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Malformed`], [`DocumentError::DuplicateKeyId`] or
    /// [`DocumentError::TooManyKeys`].
    pub fn parse(document: &[u8]) -> Result<Self, DocumentError> {
        let document = Object::parse(document).map_err(|_| DocumentError::Malformed)?;
        let keys = document
            .array("keys")
            .map_err(|_| DocumentError::Malformed)?;
        let mut set = Self::default();
        for jwk in keys.ok_or(DocumentError::Malformed)? {
            let jwk = jwk.as_object().ok_or(DocumentError::Malformed)?;
            set.add(jwk)?;
        }
        Ok(set)
    }

    /// The keys that may have signed a token with this header: the one it names,
    /// or, for a token without `kid`, every key that fits its algorithm.
    #[must_use]
    pub fn candidates(&self, query: &TokenQuery) -> Vec<PublicKey> {
        let fitting = |key: &&IssuerKey| key.fits(query.algorithm);
        match &query.kid {
            Some(kid) => {
                let named = self.named.get(kid.as_str()).filter(fitting);
                named.map(|key| key.key.clone()).into_iter().collect()
            }
            None => {
                let all = self.named.values().chain(&self.unnamed);
                all.filter(fitting).map(|key| key.key.clone()).collect()
            }
        }
    }

    /// Whether this very key is (still) in the set.
    #[must_use]
    pub fn contains(&self, key: &PublicKey) -> bool {
        let mut all = self.named.values().chain(&self.unnamed);
        all.any(|known| known.key == *key)
    }

    /// How many usable keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.named.len().saturating_add(self.unnamed.len())
    }

    /// Whether there is no usable key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&mut self, jwk: &Object<'_>) -> Result<(), DocumentError> {
        let Some(key) = usable(jwk) else {
            return Ok(());
        };
        if self.len() >= MAX_KEYS {
            return Err(DocumentError::TooManyKeys);
        }
        match jwk.get("kid") {
            None => self.unnamed.push(key),
            Some(Value::String(kid)) if !kid.is_empty() && kid.len() <= MAX_KID_BYTES => {
                if self.named.insert(kid.clone().into_owned(), key).is_some() {
                    return Err(DocumentError::DuplicateKeyId);
                }
            }
            Some(_) => {}
        }
        Ok(())
    }
}

/// The key, if it is one for verifying signatures and of a kind known here.
fn usable(jwk: &Object<'_>) -> Option<IssuerKey> {
    let for_signatures = jwk
        .string("use")
        .ok()?
        .is_none_or(|purpose| purpose == "sig");
    let operations = jwk.array("key_ops").ok()?;
    let may_verify =
        operations.is_none_or(|all| all.iter().any(|one| one.as_str() == Some("verify")));
    if !for_signatures || !may_verify {
        return None;
    }
    let algorithm = match jwk.string("alg").ok()? {
        Some(name) => Some(Algorithm::from_name(name)?),
        None => None,
    };
    match PublicKey::from_jwk_object(jwk) {
        Ok(key) => Some(IssuerKey { key, algorithm }),
        Err(error) => {
            if error == JwkError::PrivateMember {
                tracing::warn!("an issuer publishes a private key; the key is not used");
            }
            None
        }
    }
}

/// The `jwks_uri` of an issuer's metadata, after checking that the document is
/// the issuer's own and the URL is where it may be.
///
/// # Errors
///
/// [`DocumentError`].
pub fn jwks_uri(
    document: &[u8],
    issuer: &HttpUrl,
    listed: &[Origin],
) -> Result<HttpUrl, DocumentError> {
    let document = own_metadata(document, issuer)?;
    let text = document
        .string("jwks_uri")
        .map_err(|_| DocumentError::Malformed)?;
    let url = HttpUrl::parse(text.ok_or(DocumentError::JwksUri)?);
    let url = url.map_err(|_| DocumentError::JwksUri)?;
    let allowed = url.origin() == issuer.origin() || listed.contains(url.origin());
    if !allowed {
        return Err(DocumentError::JwksUriForeign(url.origin().to_string()));
    }
    Ok(url)
}

/// The endpoint `member` of an issuer's metadata, which must be at the issuer's
/// own origin: what is sent there are tokens.
///
/// # Errors
///
/// [`DocumentError`].
pub fn endpoint(
    document: &[u8],
    issuer: &HttpUrl,
    member: &'static str,
) -> Result<HttpUrl, DocumentError> {
    let document = own_metadata(document, issuer)?;
    let text = document
        .string(member)
        .map_err(|_| DocumentError::Malformed)?;
    let url = HttpUrl::parse(text.ok_or(DocumentError::Endpoint(member))?);
    let url = url.map_err(|_| DocumentError::Endpoint(member))?;
    if url.origin() != issuer.origin() {
        let origin = url.origin().to_string();
        return Err(DocumentError::EndpointForeign { member, origin });
    }
    Ok(url)
}

/// The document, if it is the issuer's own (RFC 8414 section 3.3).
fn own_metadata<'d>(document: &'d [u8], issuer: &HttpUrl) -> Result<Object<'d>, DocumentError> {
    let document = Object::parse(document).map_err(|_| DocumentError::Malformed)?;
    let named = document
        .string("issuer")
        .map_err(|_| DocumentError::Malformed)?;
    if named != Some(issuer.as_str()) {
        return Err(DocumentError::IssuerMismatch {
            expected: issuer.as_str().to_owned(),
            got: named.unwrap_or("none").chars().take(256).collect(),
        });
    }
    Ok(document)
}

/// Where an issuer's metadata may be: RFC 8414 section 3.1 inserts the
/// well-known part before the issuer's path, OpenID Connect appends it.
#[must_use]
pub fn metadata_urls(issuer: &HttpUrl) -> Vec<HttpUrl> {
    let origin = issuer.origin_as_given();
    let path = issuer.path().trim_end_matches('/');
    let inserted = format!("{origin}/.well-known/oauth-authorization-server{path}");
    let appended = format!("{origin}{path}/.well-known/openid-configuration");
    [inserted, appended]
        .iter()
        .filter_map(|url| HttpUrl::parse(url).ok())
        .collect()
}

#[cfg(test)]
mod tests;
