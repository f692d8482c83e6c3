//! The issuer's signing keys: loaded from the store, made and removed on the
//! schedule of [`crate::flow::rotation`], published as a JWK Set.
//!
//! Private keys are opened once per load and kept for as long as they sign or
//! are published; the store holds them sealed. Who calls [`KeyRing::rotate`],
//! and how often, is the caller's business.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use keybound_control::{KeyPurpose, Store, StoreError, StoredKey};
use keybound_custody::{ExportKeyError, GenerateKeyError, ParseKeyError, SoftwareKey};
use keybound_proto::cause::Cause;
use keybound_proto::jose::{Algorithm, Signer};
use keybound_proto::rejection::Rejection;
use keybound_proto::time::UnixTime;
use keybound_proto::token::Minted;

use crate::flow::mint::Minting;
use crate::flow::rotation::{self, KeyTimes, Rotation};

/// How long verifiers may cache the JWK Set, in seconds.
pub const JWKS_MAX_AGE: u64 = 300;

/// How many base64url characters of the thumbprint a `kid` carries: 96 bits.
const KID_CHARACTERS: usize = 16;

/// Why the signing keys could not be loaded or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// A stored key is no key.
    #[error("the stored signing key `{kid}` cannot be read; restore the store from a backup")]
    Damaged {
        /// Its name.
        kid: String,
        /// What is wrong with it.
        source: ParseKeyError,
    },
    /// A new key could not be written out for the store.
    #[error("a new signing key could not be exported")]
    Export(#[source] ExportKeyError),
    /// A new key could not be made.
    #[error("a new signing key could not be made; use ES256 or EdDSA as signing_alg")]
    Generate(#[from] GenerateKeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a rotation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// The key that was made, already published.
    pub created: Option<String>,
    /// How many keys were deleted because no token of theirs can live.
    pub removed: usize,
}

/// How keys are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) rotation: Rotation,
    pub(crate) access_ttl: u64,
    pub(crate) algorithm: Algorithm,
}

/// All keys that sign or are published.
pub(crate) struct KeyRing {
    policy: Policy,
    store: Store,
    loaded: ArcSwap<Loaded>,
}

struct Loaded {
    keys: Vec<Key>,
    jwks: Bytes,
}

struct Key {
    kid: String,
    times: KeyTimes,
    created_at: UnixTime,
    signer: SoftwareKey,
}

impl KeyRing {
    /// Loads the keys and makes the first one where there is none that signs.
    pub(crate) async fn open(
        store: Store,
        policy: Policy,
        now: UnixTime,
    ) -> Result<Self, KeyRingError> {
        let ring = Self {
            policy,
            loaded: ArcSwap::from_pointee(load(&store, now).await?),
            store,
        };
        ring.rotate(now).await?;
        Ok(ring)
    }

    /// Makes the next key when its time has come, deletes keys that are due, and
    /// publishes the result.
    pub(crate) async fn rotate(&self, now: UnixTime) -> Result<Rotated, KeyRingError> {
        let known: Vec<(Algorithm, KeyTimes)> = self
            .loaded
            .load()
            .keys
            .iter()
            .map(|key| (key.signer.algorithm(), key.times))
            .collect();
        let Policy {
            rotation,
            access_ttl,
            algorithm,
        } = self.policy;
        let created = match rotation::successor(rotation, access_ttl, algorithm, &known, now) {
            Some(times) => Some(self.create(times, now).await?),
            None => None,
        };
        let due = known.iter().any(|(_, times)| times.remove_at <= now);
        let removed = if due {
            self.store.remove_expired_signing_keys().await?
        } else {
            0
        };
        // Loaded also when nothing changed here: another handle may have changed the store.
        self.loaded.store(Arc::new(load(&self.store, now).await?));
        Ok(Rotated { created, removed })
    }

    /// Signs a token with the key whose turn it is.
    ///
    /// # Errors
    /// [`Cause::KeysUnavailable`] when no key may sign at `now`, or the key cannot.
    pub(crate) fn sign(&self, minting: &Minting<'_>, now: UnixTime) -> Result<Minted, Rejection> {
        let loaded = self.loaded.load();
        let key = rotation::signing(&loaded.keys, |key| key.times, now).ok_or_else(|| {
            Rejection::new(Cause::KeysUnavailable).expected("a signing key in its time")
        })?;
        let unsigned = minting.unsigned(&key.kid, key.signer.algorithm());
        let signature = key
            .signer
            .sign(unsigned.bytes())
            .map_err(|error| Rejection::new(Cause::KeysUnavailable).got(error.to_string()))?;
        Ok(unsigned.attach(&signature))
    }

    /// The `kid` of the key that signs at `now`.
    pub(crate) fn signing_kid(&self, now: UnixTime) -> Option<String> {
        let loaded = self.loaded.load();
        rotation::signing(&loaded.keys, |key| key.times, now).map(|key| key.kid.clone())
    }

    /// The published JWK Set.
    pub(crate) fn jwks(&self) -> Bytes {
        self.loaded.load().jwks.clone()
    }

    /// When the newest key was made: a time the clock must have reached.
    pub(crate) fn newest(&self) -> UnixTime {
        let loaded = self.loaded.load();
        let newest = loaded.keys.iter().map(|key| key.created_at).max();
        newest.unwrap_or_default()
    }

    async fn create(&self, times: KeyTimes, now: UnixTime) -> Result<String, KeyRingError> {
        let key = SoftwareKey::generate(self.policy.algorithm)?;
        let mut kid = format!("kb-{}", key.public_key().thumbprint());
        kid.truncate("kb-".len() + KID_CHARACTERS);
        let stored = StoredKey {
            kid: kid.clone(),
            purpose: KeyPurpose::Issuer,
            algorithm: self.policy.algorithm,
            pkcs8: key.to_pkcs8_der().map_err(KeyRingError::Export)?,
            created_at: now,
            publish_at: times.publish_at,
            active_from: times.active_from,
            retire_at: times.retire_at,
            remove_at: times.remove_at,
        };
        self.store.add_signing_key(stored).await?;
        tracing::info!(
            kid,
            active_from = times.active_from.as_secs(),
            "signing key made"
        );
        Ok(kid)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("policy", &self.policy)
            .field("keys", &self.loaded.load().keys.len())
            .finish_non_exhaustive()
    }
}

async fn load(store: &Store, now: UnixTime) -> Result<Loaded, KeyRingError> {
    let stored = store.signing_keys(KeyPurpose::Issuer).await?;
    let keys = stored
        .into_iter()
        .map(open)
        .collect::<Result<Vec<_>, _>>()?;
    let jwks: Vec<String> = keys
        .iter()
        .filter(|key| key.times.is_published(now))
        .map(|key| {
            key.signer
                .public_key()
                .to_jwk_with(&key.kid, key.signer.algorithm())
        })
        .collect();
    Ok(Loaded {
        jwks: format!("{{\"keys\":[{}]}}", jwks.join(",")).into(),
        keys,
    })
}

fn open(stored: StoredKey) -> Result<Key, KeyRingError> {
    let signer =
        SoftwareKey::from_pkcs8_der(&stored.pkcs8).map_err(|source| KeyRingError::Damaged {
            kid: stored.kid.clone(),
            source,
        })?;
    Ok(Key {
        times: KeyTimes {
            publish_at: stored.publish_at,
            active_from: stored.active_from,
            retire_at: stored.retire_at,
            remove_at: stored.remove_at,
        },
        created_at: stored.created_at,
        kid: stored.kid,
        signer,
    })
}
