//! The client registry: clients registered at the issuer (RFC 7591) and those an
//! operator configured.
//!
//! Records are immutable once registered, carry a checksum, and are served from
//! a bounded cache. Secrets are here as SHA-256 only.
//!
//! Not here: what metadata is acceptable, and authenticating a client.

use std::fmt;
use std::sync::Arc;

use keybound_proto::event::{Event, EventKind};
use keybound_proto::time::UnixTime;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::Store;
use super::events::{Entry, random_id};
use super::sealing::checksum;
use super::writer::Work;
use crate::error::{Failure, StoreError};

/// The largest record, in bytes of its stored form.
const MAX_RECORD: usize = 64 * 1024;

/// A client as the issuer needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRecord {
    /// `client_id`.
    pub client_id: String,
    /// The identity (`sub`) its tokens are about.
    pub identity: String,
    /// `client_name`, for people.
    pub name: Option<String>,
    /// How it authenticates.
    pub credential: ClientCredential,
    /// Grant types it may use.
    pub grants: Vec<String>,
    /// Scopes it may ask for.
    pub scopes: Vec<String>,
    /// Resources it may have tokens for.
    pub resources: Vec<String>,
    /// Whether its tokens must be bound (`dpop_bound_access_tokens`).
    pub dpop_bound: bool,
    /// Whether its tokens must be bound to its certificate
    /// (`tls_client_certificate_bound_access_tokens`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub certificate_bound: bool,
    /// Where answers of the authorization endpoint may go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// Where it comes from.
    pub source: ClientSource,
    /// When it became known, seconds since 1970.
    pub created_at: u64,
}

/// How a client authenticates, by the registered name of the method.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCredential {
    /// `client_secret_basic`: SHA-256 of the secret, 64 hexadecimal digits.
    ClientSecretBasic {
        /// SHA-256 of the secret.
        sha256: String,
    },
    /// `private_key_jwt`: the text of a JWK Set of public keys (RFC 7517 section 5).
    PrivateKeyJwt {
        /// The JWK Set.
        jwks: String,
    },
    /// `none`: a public client.
    None,
    /// `self_signed_tls_client_auth`: the text of a JWK Set of public keys, with `x5c` where a
    /// certificate itself is registered (RFC 8705 section 2.2.2).
    SelfSignedTlsClientAuth {
        /// The JWK Set.
        jwks: String,
    },
    /// `tls_client_auth`: the one name of the client's certificate (RFC 8705 section 2.1.2).
    TlsClientAuth {
        /// The metadata member, for example `tls_client_auth_san_uri`.
        member: String,
        /// Its value.
        value: String,
    },
}

/// Where a client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientSource {
    /// An operator's configuration.
    Configured,
    /// Dynamic registration.
    Registered,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// The client id is taken. Nothing changed.
    Exists,
    /// There are as many registered clients as allowed. Nothing changed.
    LimitReached,
    /// The client is known now, durably.
    Registered,
}

impl fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientSecretBasic { .. } => "ClientSecretBasic(..)",
            Self::None => "None",
            Self::PrivateKeyJwt { .. } => "PrivateKeyJwt(..)",
            Self::SelfSignedTlsClientAuth { .. } => "SelfSignedTlsClientAuth(..)",
            Self::TlsClientAuth { .. } => "TlsClientAuth(..)",
        })
    }
}

impl Store {
    /// The client with this id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn client(&self, client_id: &str) -> Result<Option<Arc<ClientRecord>>, StoreError> {
        let generation = match self.inner.shared.clients.get(client_id) {
            Ok(record) => return Ok(Some(record)),
            Err(generation) => generation,
        };
        let id = client_id.to_owned();
        let record = self.read(move |connection| load(connection, &id)).await?;
        let record = record.map(Arc::new);
        if let Some(record) = &record {
            self.inner.shared.clients.keep(record, generation);
        }
        Ok(record)
    }

    /// Registers a client unless its id is taken or `limit` registered clients
    /// (configured ones do not count) are there already; writes the event.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] for a record over 64 KiB; [`StoreError::Full`],
    /// [`StoreError::Unavailable`]: the client is not registered.
    pub async fn register_client(
        &self,
        record: ClientRecord,
        limit: Option<u64>,
    ) -> Result<RegisterOutcome, StoreError> {
        let document = encode(&record)?;
        let entry = self.registered(&record)?;
        self.write(move |work| {
            if load(work.connection, &record.client_id)?.is_some() {
                return Ok(RegisterOutcome::Exists);
            }
            if let Some(limit) = limit
                && registered_clients(work.connection)? >= limit
            {
                return Ok(RegisterOutcome::LimitReached);
            }
            work.put_client(&record.client_id, &document)?;
            work.append(&entry)?;
            Ok(RegisterOutcome::Registered)
        })
        .await
    }

    /// Makes the stored record of a configured client equal to `record`; writes
    /// nothing when it is already.
    ///
    /// # Errors
    ///
    /// As [`Store::register_client`].
    pub async fn upsert_configured_client(&self, record: ClientRecord) -> Result<(), StoreError> {
        let document = encode(&record)?;
        let entry = self.registered(&record)?;
        self.write(move |work| {
            let before = load(work.connection, &record.client_id)?;
            let unchanged = before.as_ref().is_some_and(|before| {
                *before
                    == ClientRecord {
                        created_at: before.created_at,
                        ..record.clone()
                    }
            });
            if unchanged {
                return Ok(());
            }
            work.put_client(&record.client_id, &document)?;
            work.append(&entry)?;
            Ok(())
        })
        .await
    }

    fn registered(&self, record: &ClientRecord) -> Result<Entry, StoreError> {
        let event = Event::new(
            &random_id()?,
            self.inner.clock.now_millis(),
            &self.inner.shared.node,
            EventKind::ClientRegistered,
        )
        .with_client_id(&record.client_id)
        .with_identity(&record.identity)
        .with_scope(record.scopes.join(" "));
        Ok(Entry::own(&event))
    }
}

impl ClientRecord {
    /// When it became known.
    #[must_use]
    pub const fn created(&self) -> UnixTime {
        UnixTime::from_secs(self.created_at)
    }
}

impl Work<'_> {
    fn put_client(&mut self, client_id: &str, document: &str) -> Result<(), Failure> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO clients (client_id, source, document, seal) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                client_id,
                decode(document)?.source.as_str(),
                document,
                checksum(&[client_id, document])
            ])?;
        self.memory.client_changed(client_id);
        Ok(())
    }
}

impl ClientSource {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Registered => "registered",
        }
    }
}

fn load(connection: &Connection, client_id: &str) -> Result<Option<ClientRecord>, Failure> {
    let row: Option<(String, [u8; 8])> = connection
        .prepare_cached("SELECT document, seal FROM clients WHERE client_id = ?1")?
        .query_row([client_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((document, seal)) = row else {
        return Ok(None);
    };
    if seal != checksum(&[client_id, &document]) {
        return Err(Failure::damaged("a client does not match its checksum"));
    }
    decode(&document).map(Some)
}

/// Checks every client against its checksum; for the opening of the store.
pub(super) fn check_all(connection: &Connection) -> Result<(), Failure> {
    let mut statement = connection.prepare("SELECT client_id, document, seal FROM clients")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, document): (String, String) = (row.get(0)?, row.get(1)?);
        if row.get::<_, [u8; 8]>(2)? != checksum(&[&id, &document]) {
            return Err(Failure::damaged("a client does not match its checksum"));
        }
    }
    Ok(())
}

fn registered_clients(connection: &Connection) -> Result<u64, Failure> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM clients WHERE source = 'registered'")?
        .query_row([], |row| row.get(0))?)
}

fn encode(record: &ClientRecord) -> Result<String, StoreError> {
    let document = serde_json::to_string(record).map_err(|_| StoreError::Invalid {
        what: "a client that has no JSON form",
    })?;
    if document.len() > MAX_RECORD {
        return Err(StoreError::Invalid {
            what: "a client record over 64 KiB",
        });
    }
    Ok(document)
}

fn decode(document: &str) -> Result<ClientRecord, Failure> {
    serde_json::from_str(document).map_err(|error| Failure::damaged(format!("a client: {error}")))
}
