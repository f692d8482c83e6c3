//! How a guard and its routes are set up. Plain values; parsing them out of
//! files and the environment is the command line's business.

use std::collections::BTreeMap;
use std::fmt;

use keybound_proto::binding::BindingMethods;
use keybound_proto::cause::Cause;
use keybound_proto::verify::{Profile, ReplayUse, WorkloadPolicy};
use keybound_proto::wire::ErrorDetail;
use keybound_proto::workload::IdentityRule;

use crate::fetch::FetcherError;
use crate::keys::IssuerConfig;
use crate::replay::{OpenLogError, ReplayConfig, ReplayMode, SharedPlace};
use crate::workload::{BundleSource, TrustDomainConfig};

/// How to set up a [`Guard`](crate::Guard).
#[derive(Clone)]
pub struct GuardConfig {
    /// This node's name in events.
    pub node: String,
    /// Issuers whose tokens are accepted.
    pub issuers: Vec<IssuerConfig>,
    /// Trust domains whose workloads are known.
    pub trust_domains: Vec<TrustDomainConfig>,
    /// What is taken of workloads, whatever the route.
    pub workloads: WorkloadPolicy,
    /// What is taken in proofs and tokens.
    pub profile: Profile,
    /// Mode and limits of the replay log.
    pub replay: ReplayConfig,
    /// Where the replay log is that this node shares with others; `None`: in
    /// memory.
    pub shared_replay: Option<SharedPlace>,
    /// Secret of nonces and replay records. Nodes that share it take each
    /// other's nonces.
    pub nonce_secret: [u8; 32],
    /// Further secrets whose nonces are taken, while nodes go from one secret to
    /// another.
    pub nonce_also: Vec<[u8; 32]>,
    /// Seconds after which an unheard revocation feed refuses requests; `None`
    /// where no feed is followed.
    pub revocation_max_age: Option<u64>,
    /// How many verified tokens are remembered.
    pub token_cache: usize,
}

/// What one route demands.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name in events and metrics.
    pub name: String,
    /// The resource: must be in the token's `aud`, exactly.
    pub audience: String,
    /// Scopes by request method.
    pub scopes: MethodScopes,
    /// Who has to put a server nonce into the proof.
    pub nonce: NonceRule,
    /// Whether a good proof is used up here or by a second gate behind this one.
    pub replay: ReplayUse,
    /// How much a refusal explains to the caller.
    pub error_detail: ErrorDetail,
    /// URL of the resource's metadata (RFC 9728), for challenges.
    pub resource_metadata: Option<String>,
    /// Issuers taken on this route; `None`: every one of the guard.
    pub issuers: Option<Vec<String>>,
    /// How a token taken here may be bound.
    pub methods: BindingMethods,
    /// Whether the proof of a request with content has to cover it. What nobody can read here
    /// ([`NoContent`](crate::NoContent)) is refused then.
    pub cover_content: bool,
    /// Whether `audience` is this route's own, so that no issuer's replaces it.
    pub own_audience: bool,
    /// Workloads that may present themselves here, without an access token. Empty: nobody.
    pub identities: Vec<IdentityRule>,
}

/// Scopes by request method. Empty: every method, and no scope needed. As soon
/// as one method is listed, methods that are not are refused; `HEAD` counts as
/// `GET` unless it is listed itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodScopes {
    by_method: BTreeMap<String, Vec<String>>,
}

/// Who has to put a server nonce into the proof. A nonce that is presented is
/// always checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NonceRule {
    /// Everybody.
    Everybody,
    /// Only these OAuth clients.
    Clients(Vec<String>),
    /// Nobody.
    #[default]
    Nobody,
}

/// A guard cannot be set up like this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardConfigError {
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Client(#[from] FetcherError),
    /// A bundle endpoint over plain http beyond loopback.
    #[error("the bundle of trust domain `{0}` is fetched over plain http; use https")]
    CleartextBundle(String),
    /// An issuer over plain http beyond loopback.
    #[error("issuer `{0}` is reached over plain http; use https")]
    CleartextIssuer(String),
    /// The same issuer twice.
    #[error("issuer `{0}` is configured twice; remove one of the entries")]
    DuplicateIssuer(String),
    /// The same trust domain twice.
    #[error("trust domain `{0}` is configured twice; remove one of the entries")]
    DuplicateTrustDomain(String),
    /// No issuer at all, and no trust domain.
    #[error("no issuer is configured, so every token would be refused; add one")]
    NoIssuer,
    /// The system gives no random numbers.
    #[error("the system's random number generator failed")]
    NoRandomness,
    /// The shared replay log cannot be set up.
    #[error(transparent)]
    ReplayLog(#[from] OpenLogError),
    /// The replay log could hold nothing, or one key could fill it.
    #[error(
        "replay limits do not fit: capacity {capacity}, per key {per_sender}; capacity must be at least the limit per key, and that at least 4"
    )]
    ReplayLimits {
        /// The configured capacity.
        capacity: usize,
        /// The configured limit per key.
        per_sender: usize,
    },
}

impl GuardConfig {
    /// A guard with the default profile, a strict replay log of a million
    /// records and at most 50,000 per key, room for 10,000 tokens, and no
    /// revocation feed. `first_run` is false: assume that proofs were accepted
    /// before this start.
    #[must_use]
    pub fn new(node: &str, issuers: Vec<IssuerConfig>, nonce_secret: [u8; 32]) -> Self {
        Self {
            node: node.to_owned(),
            issuers,
            trust_domains: Vec::new(),
            workloads: WorkloadPolicy::default(),
            profile: Profile::default(),
            replay: ReplayConfig {
                mode: ReplayMode::Strict,
                capacity: 1_000_000,
                per_sender: 50_000,
                first_run: false,
            },
            shared_replay: None,
            nonce_secret,
            nonce_also: Vec::new(),
            revocation_max_age: None,
            token_cache: 10_000,
        }
    }

    pub(crate) fn check(&self) -> Result<(), GuardConfigError> {
        if self.issuers.is_empty() && self.trust_domains.is_empty() {
            return Err(GuardConfigError::NoIssuer);
        }
        for (index, issuer) in self.issuers.iter().enumerate() {
            let url = issuer.url.as_str();
            if self
                .issuers
                .iter()
                .skip(index.saturating_add(1))
                .any(|other| other.url == issuer.url)
            {
                return Err(GuardConfigError::DuplicateIssuer(url.to_owned()));
            }
            let keys_at = issuer.jwks_uri.as_ref().unwrap_or(&issuer.url);
            if !keys_at.origin().is_confidential() {
                return Err(GuardConfigError::CleartextIssuer(url.to_owned()));
            }
        }
        self.check_trust_domains()?;
        let ReplayConfig {
            capacity,
            per_sender,
            ..
        } = self.replay;
        if per_sender < 4 || capacity < per_sender {
            return Err(GuardConfigError::ReplayLimits {
                capacity,
                per_sender,
            });
        }
        Ok(())
    }
}

impl GuardConfig {
    fn check_trust_domains(&self) -> Result<(), GuardConfigError> {
        for (index, domain) in self.trust_domains.iter().enumerate() {
            let name = &domain.rules.trust_domain;
            let mut others = self.trust_domains.iter().skip(index.saturating_add(1));
            if others.any(|other| other.rules.trust_domain == *name) {
                return Err(GuardConfigError::DuplicateTrustDomain(name.to_string()));
            }
            match &domain.source {
                BundleSource::Endpoint(url) if !url.origin().is_confidential() => {
                    return Err(GuardConfigError::CleartextBundle(name.to_string()));
                }
                BundleSource::Endpoint(_)
                | BundleSource::File(_)
                | BundleSource::WorkloadApi(_) => {}
            }
        }
        Ok(())
    }
}

impl fmt::Debug for GuardConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardConfig")
            .field("node", &self.node)
            .field("issuers", &self.issuers)
            .field("trust_domains", &self.trust_domains)
            .field("profile", &self.profile)
            .field("replay", &self.replay)
            .field("revocation_max_age", &self.revocation_max_age)
            .field("token_cache", &self.token_cache)
            .finish_non_exhaustive()
    }
}

impl Route {
    /// A route for a resource, without scopes or nonces, that explains nothing
    /// beyond the standard error.
    #[must_use]
    pub fn new(name: &str, audience: &str) -> Self {
        Self {
            name: name.to_owned(),
            audience: audience.to_owned(),
            scopes: MethodScopes::default(),
            nonce: NonceRule::Nobody,
            replay: ReplayUse::Consume,
            error_detail: ErrorDetail::Minimal,
            resource_metadata: None,
            issuers: None,
            methods: BindingMethods::ALL,
            cover_content: false,
            own_audience: false,
            identities: Vec::new(),
        }
    }

    /// The audience that tokens of an issuer need here: the route's own, else
    /// the one configured for the issuer, else the route's default.
    #[must_use]
    pub fn audience_of<'a>(&'a self, issuers: Option<&'a str>) -> &'a str {
        match issuers {
            Some(audience) if !self.own_audience => audience,
            Some(_) | None => &self.audience,
        }
    }

    pub(crate) fn takes(&self, issuer: &str) -> bool {
        let listed = self.issuers.as_ref();
        listed.is_none_or(|listed| listed.iter().any(|name| name == issuer))
    }
}

impl MethodScopes {
    /// Lists a method and the scopes it needs, all of them.
    #[must_use]
    pub fn with<T: Into<String>>(
        mut self,
        method: &str,
        scopes: impl IntoIterator<Item = T>,
    ) -> Self {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.by_method.insert(method.to_owned(), scopes);
        self
    }

    /// The scopes a request with this method needs (RFC 6750 section 3.1).
    ///
    /// # Errors
    ///
    /// [`Cause::MethodNotAllowed`] for a method that is not listed while others are.
    pub fn required(&self, method: &str) -> Result<&[String], Cause> {
        if self.by_method.is_empty() {
            return Ok(&[]);
        }
        let listed = self.by_method.get(method).or_else(|| match method {
            "HEAD" => self.by_method.get("GET"),
            _ => None,
        });
        listed.map(Vec::as_slice).ok_or(Cause::MethodNotAllowed)
    }

    /// The listed methods, for the `Allow` header. Empty: every method.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.by_method.keys().map(String::as_str)
    }
}

impl NonceRule {
    pub(crate) fn is_for_everybody(&self) -> bool {
        matches!(self, Self::Everybody)
    }

    pub(crate) fn clients(&self) -> &[String] {
        match self {
            Self::Clients(clients) => clients,
            Self::Everybody | Self::Nobody => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use keybound_proto::uri::HttpUrl;

    use super::*;

    #[test]
    fn method_that_is_not_listed_is_refused() {
        let scopes = MethodScopes::default()
            .with("GET", ["read"])
            .with("POST", ["read", "write"]);
        for method in ["DELETE", "get", "OPTIONS", ""] {
            assert_eq!(
                scopes.required(method),
                Err(Cause::MethodNotAllowed),
                "{method}"
            );
        }
        assert_eq!(scopes.required("HEAD").unwrap(), ["read"]);
        assert_eq!(scopes.required("POST").unwrap(), ["read", "write"]);
        assert!(
            MethodScopes::default()
                .required("DELETE")
                .unwrap()
                .is_empty()
        );
    }

    fn config(issuers: &[&str]) -> GuardConfig {
        let issuers = issuers
            .iter()
            .map(|url| IssuerConfig::new(HttpUrl::parse(url).unwrap()));
        GuardConfig::new("node", issuers.collect(), [1; 32])
    }

    #[test]
    fn guard_without_a_usable_list_of_issuers_is_refused() {
        let (one, other) = ("https://a.example.com", "https://b.example.com");
        assert!(matches!(
            config(&[]).check(),
            Err(GuardConfigError::NoIssuer)
        ));
        assert!(matches!(
            config(&[one, other, one]).check(),
            Err(GuardConfigError::DuplicateIssuer(url)) if url == one
        ));
        assert!(matches!(
            config(&[one, "http://c.example.com"]).check(),
            Err(GuardConfigError::CleartextIssuer(url)) if url == "http://c.example.com"
        ));
        assert!(config(&[one, other, "http://127.0.0.1:1"]).check().is_ok());
    }

    #[test]
    fn replay_limits_that_one_key_could_use_up_are_refused() {
        let limits = |capacity, per_sender| {
            let mut config = config(&["https://a.example.com"]);
            config.replay.capacity = capacity;
            config.replay.per_sender = per_sender;
            config.check().is_ok()
        };
        for (capacity, per_sender) in [(100, 3), (100, 0), (3, 3), (100, 101), (4, 5)] {
            assert!(!limits(capacity, per_sender), "{capacity} {per_sender}");
        }
        for (capacity, per_sender) in [(4, 4), (100, 100), (100, 4)] {
            assert!(limits(capacity, per_sender), "{capacity} {per_sender}");
        }
    }
}
