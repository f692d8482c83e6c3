//! Identity for the upstream: the signed `Keybound-Assertion`, or plain fields.
//!
//! Both are made from a [`Verified`] request and from nothing else, so a claim that nobody
//! verified cannot become a field (attacks like SC-266 do not compile). What the assertion
//! says is [`keybound_proto::token::identity`]'s; here it is signed, reused for the same token
//! and upstream while it is fresh, and put on the request.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use keybound_proto::cause::Cause;
use keybound_proto::jose::{SignError, Signer};
use keybound_proto::rejection::Rejection;
use keybound_proto::signature::agent::VerifiedAgent;
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::token::TokenHash;
use keybound_proto::token::identity::{HEADER, IdentityRequest, signing_input};
use keybound_proto::uri::Origin;
use keybound_proto::verify::{Possession, Verified};
use quick_cache::sync::Cache;

use super::config::IdentityForm;
use super::metadata::assertion_kid;

/// Most assertions kept for reuse.
const CACHED: usize = 10_000;
/// An assertion is not reused in its last seconds, so that it arrives unexpired.
const SPARE_SECONDS: u64 = 5;

const ASSERTION: HeaderName = HeaderName::from_static(HEADER);
const SUBJECT: HeaderName = HeaderName::from_static("keybound-subject");
const CLIENT_ID: HeaderName = HeaderName::from_static("keybound-client-id");
const SCOPE: HeaderName = HeaderName::from_static("keybound-scope");
const TOKEN_ID: HeaderName = HeaderName::from_static("keybound-token-id");
const JKT: HeaderName = HeaderName::from_static("keybound-jkt");

/// Signs assertions and keeps them for reuse.
pub(super) struct Assertions {
    key: Arc<dyn Signer>,
    kid: String,
    gateway: String,
    clock: Arc<dyn Clock>,
    cache: Cache<CacheKey, Cached>,
}

/// An assertion is for one token, proven in one way, and one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct CacheKey {
    token: TokenHash,
    possession: Possession,
    upstream: usize,
}

#[derive(Clone)]
struct Cached {
    value: HeaderValue,
    made_at: UnixTime,
    expires_at: UnixTime,
}

/// An upstream as assertions name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audience<'a> {
    pub(super) origin: &'a Origin,
    /// A number that differs between upstreams.
    pub(super) number: usize,
}

impl Assertions {
    pub(super) fn new(key: Arc<dyn Signer>, gateway: &Origin, clock: Arc<dyn Clock>) -> Self {
        let kid = assertion_kid(key.as_ref());
        Self {
            key,
            kid,
            gateway: gateway.to_string(),
            clock,
            cache: Cache::new(CACHED),
        }
    }

    /// The assertion for this caller at this upstream, made now or at most 55 s ago.
    fn reusable(
        &self,
        caller: &Verified,
        audience: Audience<'_>,
    ) -> Result<HeaderValue, SignError> {
        let key = CacheKey {
            token: caller.token().hash(),
            possession: caller.possession(),
            upstream: audience.number,
        };
        let now = self.clock.now();
        if let Some(cached) = self.cache.get(&key) {
            // A clock that was set back makes the assertion look made in the future.
            if now >= cached.made_at && now.plus(SPARE_SECONDS) < cached.expires_at {
                return Ok(cached.value);
            }
        }
        let (value, expires_at) = self.sign(caller, audience, None, now)?;
        self.cache.insert(
            key,
            Cached {
                value: value.clone(),
                made_at: now,
                expires_at,
            },
        );
        Ok(value)
    }

    fn sign(
        &self,
        caller: &Verified,
        audience: Audience<'_>,
        request: Option<(&str, &str)>,
        now: UnixTime,
    ) -> Result<(HeaderValue, UnixTime), SignError> {
        let request = IdentityRequest {
            gateway: &self.gateway,
            upstream: audience.origin.as_str(),
            kid: &self.kid,
            now,
            request,
        };
        let (input, expires_at) = signing_input(&request, caller, self.key.algorithm());
        let text = input.sign(self.key.as_ref())?;
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| SignError::new("the assertion does not fit into a field"))?;
        value.set_sensitive(true);
        Ok((value, expires_at))
    }
}

/// The request as a per-request assertion names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) method: &'a str,
    pub(super) htu: &'a str,
}

/// Tells the upstream who calls. `headers` has been stripped of what clients claim.
pub(super) fn set_identity(
    headers: &mut HeaderMap,
    form: IdentityForm,
    assertions: Option<&Assertions>,
    caller: &Verified,
    (audience, target): (Audience<'_>, Target<'_>),
) -> Result<(), SignError> {
    let signer = || assertions.ok_or_else(|| SignError::new("the gateway has no assertion key"));
    let value = match form {
        IdentityForm::Assertion => signer()?.reusable(caller, audience)?,
        IdentityForm::AssertionPerRequest => {
            let signer = signer()?;
            let request = Some((target.method, target.htu));
            signer
                .sign(caller, audience, request, signer.clock.now())?
                .0
        }
        IdentityForm::Headers => {
            set_plain(headers, caller);
            return Ok(());
        }
        IdentityForm::None => return Ok(()),
    };
    headers.insert(ASSERTION, value);
    Ok(())
}

/// Says which agent, in a plain field: an agent's signature is no assertion about a caller of
/// ours, so none is signed.
pub(super) fn set_agent(headers: &mut HeaderMap, agent: &VerifiedAgent) -> Result<(), Rejection> {
    let value = HeaderValue::try_from(agent.agent().as_str())
        .map_err(|_| Rejection::new(Cause::HttpsigKey).got("an origin that is no field value"))?;
    headers.insert(HeaderName::from_static("keybound-agent"), value);
    Ok(())
}

/// Plain fields. A value that cannot stand in a field is left out rather than altered.
fn set_plain(headers: &mut HeaderMap, caller: &Verified) {
    let token = caller.token();
    let mut set = |name: HeaderName, text: &str| {
        let is_printable = text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        match HeaderValue::from_str(text) {
            Ok(value) if is_printable => drop(headers.insert(name, value)),
            _ => tracing::warn!(
                field = name.as_str(),
                "identity value does not fit into a field"
            ),
        }
    };
    set(SUBJECT, token.subject());
    set(SCOPE, token.scope());
    if let Some(jkt) = caller.jkt() {
        set(JKT, &jkt.to_string());
    }
    if let Some(client_id) = token.client_id() {
        set(CLIENT_ID, client_id);
    }
    if let Some(token_id) = token.token_id() {
        set(TOKEN_ID, token_id);
    }
}

impl std::fmt::Debug for Assertions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assertions")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
