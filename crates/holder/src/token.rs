//! A token bound to the holder's key, and the judgement of a token
//! endpoint's answer (RFC 6749 section 5, RFC 9449 section 5). The token is
//! opaque here: its claims are for the resource server to read.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use keybound_proto::jose::Jkt;
use keybound_proto::json::Object;
use keybound_proto::time::UnixTime;
use keybound_proto::token::TokenHash;
use keybound_proto::uri::HttpUrl;
use zeroize::Zeroizing;

use crate::error::{HolderError, printable};
use crate::http_client::Incoming;

/// Seconds a token is used for when the issuer does not say (`expires_in` is
/// only RECOMMENDED): short, so that a guess does little harm.
const ASSUMED_LIFETIME: u64 = 60;
/// The longest token kept, in bytes; it has to fit into a header field.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// An access token that is of use only together with the holder's key.
/// Cheap to clone; shows itself in logs by hash and thumbprint only.
#[derive(Clone)]
pub struct BoundToken {
    inner: Arc<Inner>,
}

struct Inner {
    text: Zeroizing<String>,
    hash: TokenHash,
    jkt: Jkt,
    token_type: &'static str,
    obtained_at: UnixTime,
    expires_at: UnixTime,
    scope: Option<String>,
}

impl BoundToken {
    /// The token itself, for the `Authorization` field.
    pub fn expose(&self) -> &str {
        &self.inner.text
    }

    /// SHA-256 of the token.
    pub fn hash(&self) -> &TokenHash {
        &self.inner.hash
    }

    /// The thumbprint of the key it was requested with.
    pub fn jkt(&self) -> Jkt {
        self.inner.jkt
    }

    /// `DPoP` or `httpsig`.
    pub fn token_type(&self) -> &'static str {
        self.inner.token_type
    }

    /// When its use began, by this machine's clock.
    pub fn obtained_at(&self) -> UnixTime {
        self.inner.obtained_at
    }

    /// The first second in which it is no longer used, by this machine's clock.
    pub fn expires_at(&self) -> UnixTime {
        self.inner.expires_at
    }

    /// The scopes granted, if the issuer said.
    pub fn scope(&self) -> Option<&str> {
        self.inner.scope.as_deref()
    }
}

impl fmt::Debug for BoundToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundToken")
            .field("hash", &self.inner.hash)
            .field("jkt", &self.inner.jkt)
            .field("expires_at", &self.inner.expires_at)
            .field("scope", &self.inner.scope)
            .finish_non_exhaustive()
    }
}

/// What a token endpoint's answer amounts to.
#[derive(Debug)]
pub(crate) enum Judgement {
    Token(BoundToken),
    /// `use_dpop_nonce`: the server wants its nonce in the proof.
    WantsNonce,
}

/// The request an answer belongs to.
pub(crate) struct Asked<'a> {
    pub(crate) endpoint: &'a HttpUrl,
    pub(crate) jkt: Jkt,
    /// The type the token must be of.
    pub(crate) token_type: &'static str,
    /// Taken before the request went out, so that the expiry errs on the
    /// early side.
    pub(crate) at: UnixTime,
}

/// Judges a token endpoint's answer.
pub(crate) fn judge(asked: &Asked<'_>, answer: &Incoming) -> Result<Judgement, HolderError> {
    answer.refuse_unavailable(asked.endpoint)?;
    if answer.status == StatusCode::OK {
        return granted(asked, answer).map(Judgement::Token);
    }
    let refusal = Refusal::read(&answer.body);
    if answer.status.is_client_error() && refusal.error == "use_dpop_nonce" {
        return Ok(Judgement::WantsNonce);
    }
    Err(refusal.into_error(asked.endpoint, answer.status))
}

fn granted(asked: &Asked<'_>, answer: &Incoming) -> Result<BoundToken, HolderError> {
    let unusable = |reason: &str| HolderError::ResponseInvalid {
        url: asked.endpoint.without_query().to_owned(),
        reason: reason.to_owned(),
    };
    let object = Object::parse(&answer.body).map_err(|e| unusable(&e.to_string()))?;
    let string = |name: &str| object.string(name).map_err(|e| unusable(&e.to_string()));
    let required =
        |name: &str| string(name)?.ok_or_else(|| unusable(&format!("it has no `{name}`")));

    // SECURITY: what is not bound never becomes a value that could be sent.
    let token_type = required("token_type")?;
    if !token_type.eq_ignore_ascii_case(asked.token_type) {
        return Err(HolderError::NotBound {
            token_type: printable(token_type),
        });
    }
    let text = required("access_token")?;
    if !is_token68(text) || text.len() > MAX_TOKEN_BYTES {
        return Err(unusable("its `access_token` does not fit a header field"));
    }
    let lifetime = object
        .unsigned("expires_in")
        .map_err(|e| unusable(&e.to_string()))?
        .unwrap_or(ASSUMED_LIFETIME);
    if lifetime == 0 {
        return Err(unusable("its token has expired already"));
    }
    Ok(BoundToken {
        inner: Arc::new(Inner {
            hash: TokenHash::of(text.as_bytes()),
            text: Zeroizing::new(text.to_owned()),
            jkt: asked.jkt,
            token_type: asked.token_type,
            obtained_at: asked.at,
            expires_at: asked.at.plus(lifetime),
            scope: string("scope")?.map(str::to_owned),
        }),
    })
}

/// `token68` (RFC 9110 section 11.2), the form in which the token is sent.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    !body.is_empty() && body.bytes().all(allowed)
}

/// An OAuth error answer (RFC 6749 section 5.2), read as far as it goes.
pub(crate) struct Refusal {
    pub(crate) error: String,
    description: Option<String>,
}

impl Refusal {
    pub(crate) fn read(body: &[u8]) -> Self {
        let object = Object::parse(body).ok();
        let member = |name: &str| {
            let value = object.as_ref()?.string(name).ok()??;
            Some(printable(value))
        };
        Self {
            error: member("error").unwrap_or_else(|| "no error code".to_owned()),
            description: member("error_description"),
        }
    }

    pub(crate) fn into_error(self, endpoint: &HttpUrl, status: StatusCode) -> HolderError {
        HolderError::Refused {
            url: endpoint.without_query().to_owned(),
            status: status.as_u16(),
            error: self.error,
            description: self
                .description
                .map_or_else(String::new, |text| format!(", {text}")),
        }
    }
}

#[cfg(test)]
mod tests;
