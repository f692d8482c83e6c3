//! Private signing keys at rest, sealed under the key-encryption key, and the
//! store's own secrets.
//!
//! Times say when a key is published, signs, stops signing and disappears; the
//! store keeps them and decides nothing. Creating and retiring write events.
//!
//! Not here: making keys, signing, and rotation.

use std::fmt;

use aws_lc_rs::rand;
use keybound_proto::event::{Event, EventKind};
use keybound_proto::jose::Algorithm;
use keybound_proto::time::UnixTime;
use rusqlite::{Connection, OptionalExtension, Row, params};
use zeroize::Zeroizing;

use super::Store;
use super::events::{Entry, random_id};
use super::sealing::{NotOurs, Place, Sealer};
use super::writer::Work;
use crate::error::{Failure, StoreError};

/// What a signing key signs. A key is found, and opens, only under its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Security event tokens of the control plane.
    Control,
    /// `Keybound-Assertion` JWTs towards upstreams.
    GatewayAssertion,
    /// Access tokens.
    Issuer,
}

/// A signing key as stored, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// `kid`.
    pub kid: String,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// Its only algorithm.
    pub algorithm: Algorithm,
    /// The private key, PKCS#8 DER.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// When it was made.
    pub created_at: UnixTime,
    /// From when on it is in the published key set.
    pub publish_at: UnixTime,
    /// From when on it signs.
    pub active_from: UnixTime,
    /// From when on it signs no more.
    pub retire_at: UnixTime,
    /// From when on it is gone from the published key set.
    pub remove_at: UnixTime,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey")
            .field("kid", &self.kid)
            .field("purpose", &self.purpose)
            .field("algorithm", &self.algorithm)
            .field("active_from", &self.active_from)
            .field("retire_at", &self.retire_at)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// All keys of one purpose, opened, in the order they become active.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyMissing`] when there are keys and the store was opened
    /// without a key-encryption key; [`StoreError::Corrupt`] for a key that was
    /// changed or moved; [`StoreError::Unavailable`].
    pub async fn signing_keys(&self, purpose: KeyPurpose) -> Result<Vec<StoredKey>, StoreError> {
        let rows = self
            .read(move |connection| load_rows(connection, purpose))
            .await?;
        rows.into_iter().map(|row| self.open_key(row)).collect()
    }

    /// Stores a key, sealed, and writes the event. A `kid` that is taken is an error.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyMissing`]; [`StoreError::Invalid`] for a `kid` that is
    /// taken; [`StoreError::Full`], [`StoreError::Unavailable`].
    pub async fn add_signing_key(&self, key: StoredKey) -> Result<(), StoreError> {
        let sealed = self
            .sealer()?
            .seal(&place(&key), &key.pkcs8)
            .map_err(|failure| failure.at(&self.inner.shared.file))?;
        let entry = self.key_event(EventKind::SigningKeyCreated, &key.kid)?;
        self.write(move |work| {
            let taken = work
                .connection
                .prepare_cached("SELECT 1 FROM signing_keys WHERE kid = ?1")?
                .exists([&key.kid])?;
            if taken {
                let what = "a signing key whose `kid` is taken";
                return Err(StoreError::Invalid { what }.into());
            }
            insert(work, &key, &sealed)?;
            work.append(&entry)?;
            Ok(())
        })
        .await
    }

    /// Changes when a key stops signing and when it disappears; writes the event
    /// when it stops now or has stopped. Returns whether there is such a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Unavailable`].
    pub async fn retire_signing_key(
        &self,
        kid: &str,
        retire_at: UnixTime,
        remove_at: UnixTime,
    ) -> Result<bool, StoreError> {
        let entry = self.key_event(EventKind::SigningKeyRetired, kid)?;
        let kid = kid.to_owned();
        self.write(move |work| {
            let changed = work
                .connection
                .prepare_cached(
                    "UPDATE signing_keys SET retire_at = ?2, remove_at = ?3 WHERE kid = ?1",
                )?
                .execute(params![kid, retire_at.as_secs(), remove_at.as_secs()])?;
            if changed > 0 && retire_at <= work.now {
                work.append(&entry)?;
            }
            Ok(changed > 0)
        })
        .await
    }

    /// Deletes keys that have disappeared from the published set by now. Returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`], [`StoreError::Unavailable`].
    pub async fn remove_expired_signing_keys(&self) -> Result<usize, StoreError> {
        self.write(|work| {
            Ok(work
                .connection
                .prepare_cached("DELETE FROM signing_keys WHERE remove_at <= ?1")?
                .execute([work.now.as_secs()])?)
        })
        .await
    }

    /// A secret of this store: 32 random bytes that are made at the first call
    /// for `name` and stay the same for the life of the file. For keys that
    /// must survive a restart, such as the one replay records are hashed under.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyMissing`]; [`StoreError::Corrupt`] for a secret that was
    /// changed; [`StoreError::Full`], [`StoreError::Unavailable`].
    pub async fn secret(&self, name: &'static str) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        let place = Place {
            purpose: "secret",
            name,
        };
        let sealer = self.sealer()?;
        let mut fresh = Zeroizing::new([0; 32]);
        rand::fill(&mut *fresh).map_err(|_| StoreError::Invalid {
            what: "a secret: the system gives no random numbers",
        })?;
        let candidate = sealer
            .seal(&place, &*fresh)
            .map_err(|failure| failure.at(&self.inner.shared.file))?;
        let sealed = self
            .write(move |work| keep_first(work, &format!("secret:{name}"), &candidate))
            .await?;
        let opened = sealer.open(&place, &sealed);
        let opened = opened.map_err(|NotOurs| self.damaged("a secret does not open"))?;
        let bytes: [u8; 32] = opened
            .as_slice()
            .try_into()
            .map_err(|_| self.damaged("a secret has the wrong length"))?;
        Ok(Zeroizing::new(bytes))
    }

    fn open_key(&self, mut row: (StoredKey, Vec<u8>)) -> Result<StoredKey, StoreError> {
        let opened = self.sealer()?.open(&place(&row.0), &row.1);
        row.0.pkcs8 = opened.map_err(|NotOurs| self.damaged("a signing key does not open"))?;
        Ok(row.0)
    }

    fn sealer(&self) -> Result<&Sealer, StoreError> {
        self.inner
            .sealer
            .as_ref()
            .ok_or_else(|| StoreError::KeyMissing {
                file: self.inner.shared.file.clone(),
            })
    }

    fn damaged(&self, detail: &str) -> StoreError {
        Failure::damaged(detail).at(&self.inner.shared.file)
    }

    fn key_event(&self, kind: EventKind, kid: &str) -> Result<Entry, StoreError> {
        let now_ms = self.inner.clock.now_millis();
        let event = Event::new(&random_id()?, now_ms, &self.inner.shared.node, kind)
            .with_got(format!("kid {kid}"));
        Ok(Entry::own(&event))
    }
}

impl KeyPurpose {
    /// The name in rows and in the additional data of the seal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::GatewayAssertion => "gateway-assertion",
            Self::Issuer => "issuer",
        }
    }
}

/// Compares the key-encryption key with the one the store was made with; the
/// first key ever given becomes that one.
pub(super) fn check_sealer(connection: &Connection, sealer: &Sealer) -> Result<(), CheckError> {
    const PLACE: Place<'static> = Place {
        purpose: "check",
        name: "key-encryption key",
    };
    let known: Option<Vec<u8>> = connection
        .query_row(
            "SELECT value FROM meta WHERE name = 'kek_check'",
            [],
            |row| row.get(0),
        )
        .optional()
        .map_err(Failure::from)?;
    if let Some(known) = known {
        return match sealer.open(&PLACE, &known) {
            Ok(_) => Ok(()),
            Err(NotOurs) => Err(CheckError::WrongKey),
        };
    }
    let sealed = sealer.seal(&PLACE, b"keybound")?;
    connection
        .execute(
            "INSERT INTO meta (name, value) VALUES ('kek_check', ?1)",
            [sealed],
        )
        .map_err(Failure::from)?;
    Ok(())
}

/// Why [`check_sealer`] refuses.
pub(super) enum CheckError {
    Failed(Failure),
    WrongKey,
}

impl From<Failure> for CheckError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn place(key: &StoredKey) -> Place<'_> {
    Place {
        purpose: key.purpose.as_str(),
        name: &key.kid,
    }
}

fn keep_first(work: &Work<'_>, name: &str, value: &[u8]) -> Result<Vec<u8>, Failure> {
    work.connection.execute(
        "INSERT OR IGNORE INTO meta (name, value) VALUES (?1, ?2)",
        params![name, value],
    )?;
    Ok(work
        .connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
            row.get(0)
        })?)
}

fn insert(work: &Work<'_>, key: &StoredKey, sealed: &[u8]) -> Result<(), Failure> {
    work.connection.execute(
        "INSERT INTO signing_keys (kid, purpose, algorithm, sealed, created_at, publish_at, active_from,
         retire_at, remove_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            key.kid,
            key.purpose.as_str(),
            key.algorithm.name(),
            sealed,
            key.created_at.as_secs(),
            key.publish_at.as_secs(),
            key.active_from.as_secs(),
            key.retire_at.as_secs(),
            key.remove_at.as_secs()
        ],
    )?;
    Ok(())
}

fn load_rows(
    connection: &Connection,
    purpose: KeyPurpose,
) -> Result<Vec<(StoredKey, Vec<u8>)>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT kid, algorithm, sealed, created_at, publish_at, active_from, retire_at, remove_at
         FROM signing_keys WHERE purpose = ?1 ORDER BY active_from, kid",
    )?;
    let mut rows = statement.query([purpose.as_str()])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(key_of_row(row, purpose)?);
    }
    Ok(keys)
}

fn key_of_row(row: &Row<'_>, purpose: KeyPurpose) -> Result<(StoredKey, Vec<u8>), Failure> {
    let algorithm: String = row.get(1)?;
    let time = |column| row.get(column).map(UnixTime::from_secs);
    let key = StoredKey {
        kid: row.get(0)?,
        purpose,
        algorithm: Algorithm::from_name(&algorithm)
            .ok_or_else(|| Failure::damaged("a signing key has an unknown algorithm"))?,
        pkcs8: Zeroizing::default(),
        created_at: time(3)?,
        publish_at: time(4)?,
        active_from: time(5)?,
        retire_at: time(6)?,
        remove_at: time(7)?,
    };
    Ok((key, row.get(2)?))
}
