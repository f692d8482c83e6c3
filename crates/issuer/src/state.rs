//! What all endpoints of one issuer share: configuration in parsed form, the
//! store, the clock, keys, clients and nonces.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use keybound_control::{Store, StoreError};
use keybound_proto::cause::Cause;
use keybound_proto::dpop::NonceKey;
use keybound_proto::event::{Event, EventKind};
use keybound_proto::rejection::Rejection;
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::uri::Htu;
use keybound_proto::verify::ReplayHashKey;

use crate::clients::Clients;
use crate::config::{AuthorizationConfig, IssuerConfig};
use crate::entrance::Entrance;
use crate::flow::client::Client;
use crate::flow::exchange::Rule;
use crate::flow::resource::Resource;
use crate::flow::scope::Scopes;
use crate::keyring::KeyRing;
use crate::metrics::Metrics;
use crate::random;

/// What proofs for the endpoints that take one name as `htu`.
pub(crate) struct Endpoints {
    pub(crate) pushed: Htu,
    pub(crate) revocation: Htu,
    pub(crate) token: Htu,
}

/// One issuer.
pub(crate) struct Core {
    pub(crate) config: IssuerConfig,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: KeyRing,
    pub(crate) clients: Clients,
    pub(crate) resources: Vec<Resource>,
    /// Who may act for whom without the holder's proof.
    pub(crate) delegations: Vec<Rule>,
    /// The scopes a registered client gets.
    pub(crate) registration_scopes: Scopes,
    pub(crate) nonces: ArcSwap<NonceKey>,
    pub(crate) replay_key: ReplayHashKey,
    pub(crate) endpoints: Endpoints,
    /// Those of `mtls_endpoint_aliases`.
    pub(crate) alias_endpoints: Option<Endpoints>,
    pub(crate) metadata: Bytes,
    pub(crate) metrics: Metrics,
    /// The latest second something was issued in, as far as the store tells.
    pub(crate) latest: AtomicU64,
}

impl Core {
    pub(crate) const fn config(&self) -> &IssuerConfig {
        &self.config
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) const fn keys(&self) -> &KeyRing {
        &self.keys
    }

    pub(crate) const fn clients(&self) -> &Clients {
        &self.clients
    }

    pub(crate) fn resources(&self) -> &[Resource] {
        &self.resources
    }

    pub(crate) const fn registration_scopes(&self) -> &Scopes {
        &self.registration_scopes
    }

    /// What nonces are made and checked with now.
    pub(crate) fn nonces(&self) -> Arc<NonceKey> {
        self.nonces.load_full()
    }

    pub(crate) const fn replay_key(&self) -> &ReplayHashKey {
        &self.replay_key
    }

    /// The endpoints at this entrance, from the configured URLs alone.
    pub(crate) fn endpoints(&self, entrance: Entrance) -> &Endpoints {
        match entrance {
            Entrance::Main => &self.endpoints,
            Entrance::Alias => self.alias_endpoints.as_ref().unwrap_or(&self.endpoints),
        }
    }

    /// The authorization endpoint's settings, if there is one.
    pub(crate) const fn authorization(&self) -> Option<&AuthorizationConfig> {
        self.config.authorization.as_ref()
    }

    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn metadata(&self) -> Bytes {
        self.metadata.clone()
    }

    /// The present.
    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// The present, if the clock has not gone back behind what was issued: a
    /// token dated before its own records would outlive its revocation's memory.
    ///
    /// # Errors
    /// [`Cause::IssuerClock`].
    pub(crate) fn trusted_now(&self) -> Result<UnixTime, Rejection> {
        let now = self.clock.now();
        let latest = UnixTime::from_secs(self.latest.load(Ordering::Relaxed));
        if now < latest {
            return Err(Rejection::new(Cause::IssuerClock)
                .expected(format!("a time not before {latest}"))
                .got(now.to_string()));
        }
        Ok(now)
    }

    /// Remembers that something was issued at `at`.
    pub(crate) fn issued_at(&self, at: UnixTime) {
        self.latest.fetch_max(at.as_secs(), Ordering::Relaxed);
    }

    /// Whether proofs of this client need a server nonce: a matter of
    /// configuration alone, never of what the proof carries.
    pub(crate) const fn needs_nonce(&self, client: &Client) -> bool {
        self.config.nonce.required || client.nonce_required
    }

    /// The nonce an answer offers: where one is required, and always where its
    /// lack is the refusal.
    pub(crate) fn offered_nonce(
        &self,
        cause: Option<Cause>,
        client: Option<&Client>,
    ) -> Option<String> {
        let asked_for = matches!(cause, Some(Cause::DpopNonceAbsent | Cause::DpopNonceStale));
        let required = client.is_some_and(|client| self.needs_nonce(client));
        (asked_for || required).then(|| self.nonces().issue(self.now()))
    }

    /// A new event of this node about this issuer.
    pub(crate) fn event(&self, kind: EventKind) -> Event {
        // An event without a random id is still worth having; nothing is minted
        // while the system has no entropy.
        let id = random::bytes().unwrap_or_default();
        Event::new(&id, self.clock.now_millis(), &self.config.node, kind)
            .with_issuer(self.config.url.as_str())
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("url", &self.config.url)
            .field("keys", &self.keys)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}

/// A store that cannot answer is a reason to refuse, whatever was asked.
pub(crate) fn unavailable(error: &StoreError) -> Rejection {
    tracing::error!(%error, "the store failed");
    Cause::StoreUnavailable.into()
}
