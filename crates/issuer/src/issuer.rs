//! Starting an issuer: the configuration is checked as a whole, keys are made or
//! loaded, and what endpoints share is put together once.
//!
//! This module opens no socket and starts no task: the caller serves
//! [`Issuer::router`] and calls [`Issuer::rotate_if_due`] now and then.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use axum::Router;
use keybound_control::{EventFilter, Store, StoreError};
use keybound_proto::dpop::{NonceKey, NonceRole};
use keybound_proto::event::EventKind;
use keybound_proto::time::{Clock, UnixTime};
use keybound_proto::uri::{HttpUrl, Htu};
use keybound_proto::verify::ReplayHashKey;
use zeroize::Zeroizing;

use crate::clients::Clients;
use crate::config::{IssuerConfig, RegistrationMode};
use crate::entrance::Entrance;
use crate::flow::client::{Client, Credential};
use crate::flow::metadata::{self, Facts, path};
use crate::flow::scope::Scopes;
use crate::http;
use crate::keyring::{KeyRing, KeyRingError, Policy, Rotated};
use crate::metrics::Metrics;
use crate::settings::{self, ConfigError, Settings};
use crate::state::{Core, Endpoints};

/// The name of the store's secret under which proofs and assertions are hashed.
const REPLAY_SECRET: &str = "issuer-replay";
/// How many of the last events are looked at for the latest issuance.
const RECENT_EVENTS: u64 = 1000;

/// An authorization server. Cheap to clone; clones are the same issuer.
#[derive(Clone, Debug)]
pub struct Issuer {
    core: Arc<Core>,
}

/// Why an issuer did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerStartError {
    /// The configuration contradicts itself or asks for what does not exist.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The signing keys.
    #[error("the issuer has no usable signing keys")]
    Keys(#[source] KeyRingError),
    /// The store.
    #[error("the issuer cannot use its store")]
    Store(#[source] StoreError),
}

/// One line of a readiness report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessCheck {
    /// What was checked.
    pub name: &'static str,
    /// Whether it is as it must be to serve.
    pub ok: bool,
    /// What was found, without secrets.
    pub detail: String,
}

impl Issuer {
    /// Starts an issuer on `store`: checks the configuration, records configured
    /// clients, and makes the first signing key where there is none.
    ///
    /// # Errors
    /// [`IssuerStartError::Config`] before anything is written;
    /// [`IssuerStartError::Store`] also where the store has no key-encryption key;
    /// [`IssuerStartError::Keys`].
    pub async fn start(
        config: IssuerConfig,
        store: Store,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, IssuerStartError> {
        let settings = settings::check(&config)?;
        let now = clock.now();
        for record in settings::records(&config, &settings.clients, now) {
            let stored = store.upsert_configured_client(record).await;
            stored.map_err(IssuerStartError::Store)?;
        }
        let secret = store
            .secret(REPLAY_SECRET)
            .await
            .map_err(IssuerStartError::Store)?;
        let policy = Policy {
            rotation: config.rotation,
            access_ttl: config.access_ttl,
            algorithm: config.signing_algorithm,
        };
        let keys = KeyRing::open(store.clone(), policy, now)
            .await
            .map_err(IssuerStartError::Keys)?;
        let latest = latest_issuance(&store)
            .await
            .map_err(IssuerStartError::Store)?;
        let core = Core {
            latest: AtomicU64::new(latest.max(keys.newest()).as_secs()),
            nonces: ArcSwap::from_pointee(nonce_key(
                &config.nonce.secret,
                &config.nonce.also,
                config.nonce.lifetime,
            )),
            replay_key: ReplayHashKey::new(&secret),
            endpoints: endpoints(&config.url)?,
            alias_endpoints: config
                .certificates
                .as_ref()
                .and_then(|certificates| certificates.alias.as_ref())
                .map(endpoints)
                .transpose()?,
            metadata: document(&config, &settings).into(),
            clients: Clients::new(
                settings.clients,
                store.clone(),
                config.assertion_algorithms,
                config.registration.client_anchors.clone(),
            ),
            resources: settings.resources,
            delegations: settings.delegations,
            registration_scopes: settings.registration_scopes,
            metrics: Metrics::new(),
            keys,
            store,
            clock,
            config,
        };
        Ok(Self {
            core: Arc::new(core),
        })
    }

    /// Every endpoint of the issuer, at its paths from the root of the host.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.core))
    }

    /// The same endpoints, for the address of `mtls_endpoint_aliases`. Its listener puts the
    /// [`PeerCertificate`](keybound_proto::certificate::PeerCertificate) of the connection into
    /// the extensions of each request.
    pub fn alias_router(&self) -> Router {
        self.router().layer(axum::Extension(Entrance::Alias))
    }

    /// Makes, publishes and removes signing keys as the schedule has it. Cheap
    /// when nothing is due; call it every minute or so.
    ///
    /// # Errors
    /// [`KeyRingError`]: the present keys stay in use until they retire.
    pub async fn rotate_if_due(&self) -> Result<Rotated, KeyRingError> {
        self.core.keys.rotate(self.core.now()).await
    }

    /// Makes nonces with `current` from now on, and takes those made with any of `also` as well.
    /// Nodes that share secrets agree at every moment if a new one is first added everywhere, then
    /// made the current one, and the old one taken away when its last nonces have ended.
    pub fn set_nonce_secrets(&self, current: &[u8; 32], also: &[Zeroizing<[u8; 32]>]) {
        let lifetime = self.core.config.nonce.lifetime;
        let key = nonce_key(current, also, lifetime);
        self.core.nonces.store(Arc::new(key));
    }

    /// The issuer's counters in the Prometheus text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.core.metrics.render()
    }

    /// Whether the issuer can issue: its clock, its signing key, its store.
    pub async fn readiness(&self) -> Vec<ReadinessCheck> {
        let core = &self.core;
        let clock = core.trusted_now();
        let kid = core.keys.signing_kid(core.now());
        let store = core.store.ping().await;
        vec![
            ReadinessCheck {
                name: "issuer.clock",
                ok: clock.is_ok(),
                detail: clock.map_or_else(
                    |rejection| rejection.to_string(),
                    |_| "not behind its records".to_owned(),
                ),
            },
            ReadinessCheck {
                name: "issuer.signing_key",
                ok: kid.is_some(),
                detail: kid.unwrap_or_else(|| "no key may sign now".to_owned()),
            },
            ReadinessCheck {
                name: "issuer.store",
                ok: store.is_ok(),
                detail: store
                    .map_or_else(|error| error.to_string(), |()| "takes writes".to_owned()),
            },
        ]
    }
}

fn nonce_key(current: &[u8; 32], also: &[Zeroizing<[u8; 32]>], lifetime: u64) -> NonceKey {
    let role = NonceRole::AuthorizationServer;
    let also = also.iter().map(|secret| &**secret);
    NonceKey::new(current, role, 0, lifetime).also_taking(also)
}

fn endpoints(base: &HttpUrl) -> Result<Endpoints, ConfigError> {
    let target = |path: &str| {
        let url = metadata::endpoint(base, path);
        Htu::parse(&url).map_err(|error| ConfigError::new("url", error.to_string()))
    };
    Ok(Endpoints {
        pushed: target(path::PUSHED)?,
        revocation: target(path::REVOKE)?,
        token: target(path::TOKEN)?,
    })
}

fn document(config: &IssuerConfig, settings: &Settings) -> String {
    let scopes = settings
        .resources
        .iter()
        .fold(Scopes::default(), |all, resource| {
            all.union(&resource.scopes)
        });
    metadata::document(&Facts {
        issuer: &config.url,
        signing_algorithm: config.signing_algorithm,
        proof_algorithms: config.profile.proof_algorithms,
        assertion_algorithms: config.assertion_algorithms,
        scopes: &scopes,
        registration: !matches!(config.registration.mode, RegistrationMode::Closed),
        certificates: config.certificates.as_ref(),
        authorization: config.authorization.as_ref(),
        public_clients: has_public_clients(config, settings),
    })
}

/// Whether there are public clients, or may be some day.
fn has_public_clients(config: &IssuerConfig, settings: &Settings) -> bool {
    let registers = !matches!(config.registration.mode, RegistrationMode::Closed);
    let is_public = |client: &Client| matches!(client.credential, Credential::Public);
    config.authorization.is_some() && (registers || settings.clients.iter().any(is_public))
}

/// When a token was last issued, by the recent events.
async fn latest_issuance(store: &Store) -> Result<UnixTime, StoreError> {
    let filter = EventFilter {
        kind: Some(EventKind::TokenIssued),
        ..EventFilter::default()
    };
    let after = store.last_event().saturating_sub(RECENT_EVENTS);
    let recent = store.events(after, 1000, filter).await?;
    let latest = recent.iter().map(|(_, event)| event.time_ms / 1000).max();
    Ok(UnixTime::from_secs(latest.unwrap_or(0)))
}
