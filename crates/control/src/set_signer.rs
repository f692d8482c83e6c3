//! The key that signs security event tokens (RFC 8417): ES256, made at the first
//! start, sealed in the store, published at `/jwks`.
//!
//! Not here: rotation on a schedule. A key signs for ten years unless an
//! operator retires it; every key that is still published is listed, so that
//! receivers accept what either signed.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use keybound_proto::jose::{Algorithm, Curve, PublicKey};
use keybound_proto::signal::SecurityEventToken;
use keybound_proto::time::UnixTime;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::store::Store;
use crate::store::signing_keys::{KeyPurpose, StoredKey};

/// Seconds a key signs.
const LIFE: u64 = 10 * 365 * 24 * 3600;

/// Seconds a key stays published after it has stopped signing.
const AFTERLIFE: u64 = 30 * 24 * 3600;

/// Signs signals. Cheap to clone; prints no key.
#[derive(Clone)]
pub struct SetSigner {
    inner: Arc<Inner>,
}

struct Inner {
    key: EcdsaKeyPair,
    kid: String,
    /// Every published key as JWK.
    jwks: Vec<String>,
}

/// A signal could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the control plane's key could not sign")]
pub(crate) struct CannotSign;

impl SetSigner {
    /// The signer with the store's key for the control plane, which is made if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyMissing`] without a key-encryption key;
    /// [`StoreError::Corrupt`], [`StoreError::Full`], [`StoreError::Unavailable`].
    pub async fn from_store(store: &Store, now: UnixTime) -> Result<Self, StoreError> {
        let keys = store.signing_keys(KeyPurpose::Control).await?;
        let signs = |key: &&StoredKey| key.active_from <= now && now < key.retire_at;
        if let Some(key) = keys.iter().rfind(signs) {
            return Self::new(key, &keys, now);
        }
        let key = generate(now)?;
        store.add_signing_key(key.clone()).await?;
        let keys = [keys, vec![key.clone()]].concat();
        Self::new(&key, &keys, now)
    }

    /// The SET as compact JWS.
    pub(crate) fn sign(&self, set: &SecurityEventToken) -> Result<String, CannotSign> {
        let input = set.signing_input(Algorithm::Es256, &self.inner.kid);
        let signature = self
            .inner
            .key
            .sign(&SystemRandom::new(), input.bytes())
            .map_err(|_| CannotSign)?;
        Ok(input.attach(signature.as_ref()))
    }

    /// Every published key, as the text of a JWK.
    pub(crate) fn jwks(&self) -> impl Iterator<Item = &str> {
        self.inner.jwks.iter().map(String::as_str)
    }

    fn new(key: &StoredKey, all: &[StoredKey], now: UnixTime) -> Result<Self, StoreError> {
        let published = |key: &&StoredKey| key.publish_at <= now && now < key.remove_at;
        let jwks: Result<_, StoreError> = all.iter().filter(published).map(jwk).collect();
        Ok(Self {
            inner: Arc::new(Inner {
                key: key_pair(&key.pkcs8)?,
                kid: key.kid.clone(),
                jwks: jwks?,
            }),
        })
    }
}

impl fmt::Debug for SetSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetSigner")
            .field("kid", &self.inner.kid)
            .finish_non_exhaustive()
    }
}

fn generate(now: UnixTime) -> Result<StoredKey, StoreError> {
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| invalid())?;
    let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
    let thumbprint = public_key(&key_pair(&pkcs8)?)?.thumbprint().to_string();
    Ok(StoredKey {
        kid: format!("kb-{thumbprint}"),
        purpose: KeyPurpose::Control,
        algorithm: Algorithm::Es256,
        pkcs8,
        created_at: now,
        publish_at: now,
        active_from: now,
        retire_at: now.plus(LIFE),
        remove_at: now.plus(LIFE).plus(AFTERLIFE),
    })
}

fn jwk(key: &StoredKey) -> Result<String, StoreError> {
    let public = public_key(&key_pair(&key.pkcs8)?)?;
    Ok(public.to_jwk_with(&key.kid, Algorithm::Es256))
}

fn key_pair(pkcs8: &[u8]) -> Result<EcdsaKeyPair, StoreError> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| invalid())
}

fn public_key(key: &EcdsaKeyPair) -> Result<PublicKey, StoreError> {
    PublicKey::from_ec_point(Curve::P256, key.public_key().as_ref()).map_err(|_| invalid())
}

fn invalid() -> StoreError {
    StoreError::Invalid {
        what: "the control plane's signing key, which is not a P-256 key",
    }
}
