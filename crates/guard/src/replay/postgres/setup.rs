//! Tables, runs and partitions.
//!
//! ```text
//! NAME             records, partitioned by generation: NAME_G is generation G
//! NAME_run         the run: gone when the records are gone
//! NAME_meta        one row: the secret records are hashed under, the length of
//!                  a generation, the kind of table, whether standbys were seen
//! ```
//!
//! Everything is made under one advisory lock, so several nodes may start at once.

use aws_lc_rs::digest;
use tokio_postgres::Row;

use super::connection::{Connection, refused};
use super::{PostgresStore, Run, batch};
use crate::replay::shared::store::{Facts, Opening, StoreError};

/// The shortest generation, seconds.
const SHORTEST_GENERATION: u64 = 300;

/// What a probe sees.
pub(super) struct Seen {
    pub(super) now: u64,
    pub(super) id: String,
    pub(super) random: Vec<u8>,
    pub(super) is_replicated: bool,
}

/// Makes what is missing, and learns or begins the run.
pub(super) async fn set_up(
    store: &PostgresStore,
    connection: &Connection,
    opening: &Opening,
) -> Result<(Run, Facts), StoreError> {
    let name = &store.name;
    let kind = kind(store.unlogged);
    let generation = SHORTEST_GENERATION.max(opening.longest.saturating_mul(2));
    let sql = format!(
        "SET client_min_messages = warning;
         SET lock_timeout = '2s';
         BEGIN;
         SELECT pg_advisory_xact_lock(hashtextextended('{name}', 0));
         CREATE TABLE IF NOT EXISTS {name}_meta (
           alone boolean PRIMARY KEY DEFAULT true CHECK (alone),
           secret bytea NOT NULL, generation int8 NOT NULL,
           unlogged boolean NOT NULL, replicated boolean NOT NULL DEFAULT false);
         CREATE {kind} TABLE IF NOT EXISTS {name}_run (
           id text PRIMARY KEY, random bytea NOT NULL, began int8 NOT NULL);
         CREATE TABLE IF NOT EXISTS {name} (
           generation int8 NOT NULL, key uuid NOT NULL, PRIMARY KEY (generation, key)
         ) PARTITION BY LIST (generation);
         COMMIT;"
    );
    connection
        .client
        .batch_execute(&sql)
        .await
        .map_err(|error| refused(&error))?;
    let meta = format!(
        "INSERT INTO {name}_meta (secret, generation, unlogged) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING"
    );
    let proposed = i64::try_from(generation).unwrap_or(i64::MAX);
    execute(
        connection,
        &meta,
        &[&&opening.secret[..], &proposed, &store.unlogged],
    )
    .await?;
    let meta = format!("SELECT secret, generation, unlogged FROM {name}_meta");
    let meta = one(connection, &meta, &[]).await?;
    let generation: i64 = get(&meta, 1)?;
    check_kind(store, get(&meta, 2)?)?;
    if i64::try_from(opening.longest).unwrap_or(i64::MAX) > generation {
        return Err(StoreError::Unfit(String::from(
            "its generations are shorter than this node's window; choose another `name`",
        )));
    }
    begin_run(connection, name, opening).await?;
    let seen = probe(connection, name, store.unlogged).await?;
    let began = began(connection, name, &seen).await?;
    let secret: Vec<u8> = get(&meta, 0)?;
    let facts = Facts {
        epoch: if opening.strict { epoch(&seen) } else { 0 },
        began,
        replicated: seen.is_replicated,
        secret: secret.try_into().map_err(|_| batch::gone())?,
        now: seen.now,
    };
    let run = Run {
        id: seen.id,
        random: seen.random,
        generation,
        replicated: seen.is_replicated,
    };
    Ok((run, facts))
}

fn check_kind(store: &PostgresStore, unlogged: bool) -> Result<(), StoreError> {
    if unlogged == store.unlogged {
        return Ok(());
    }
    let made = kind_name(unlogged);
    Err(StoreError::Unfit(format!(
        "its tables were made with `log={made}`; write that, or choose another `name`"
    )))
}

/// Names the run. A standby cannot be asked; the timeline is the one that is
/// being written now. Without `fsync` a crash of the machine may lose commits, so
/// every start of the server is a run of its own.
const RUN_ID: &str = "(SELECT system_identifier FROM pg_control_system())::text
    || '.' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
    || CASE WHEN current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' THEN ''
       ELSE '.' || extract(epoch FROM pg_postmaster_start_time())::text END";

/// Whether a standby is connected that may lack what was acknowledged. Who may not
/// see a standby's state sees NULL.
const HAS_STANDBY: &str = "EXISTS (SELECT FROM pg_stat_replication
    WHERE sync_state IS NULL OR sync_state NOT IN ('sync', 'quorum'))";

async fn begin_run(
    connection: &Connection,
    name: &str,
    opening: &Opening,
) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO {name}_run (id, random, began)
         VALUES ({RUN_ID}, $1, ceil(extract(epoch FROM clock_timestamp()))::int8)
         ON CONFLICT DO NOTHING"
    );
    execute(connection, &sql, &[&&opening.random[..]]).await?;
    let sql =
        format!("UPDATE {name}_meta SET replicated = true WHERE NOT replicated AND {HAS_STANDBY}");
    execute(connection, &sql, &[]).await
}

async fn began(connection: &Connection, name: &str, seen: &Seen) -> Result<u64, StoreError> {
    let sql = format!("SELECT began FROM {name}_run WHERE id = $1");
    let row = one(connection, &sql, &[&seen.id]).await?;
    let began: i64 = get(&row, 0)?;
    Ok(u64::try_from(began).unwrap_or(u64::MAX))
}

/// What the server says of itself now.
pub(super) async fn probe(
    connection: &Connection,
    name: &str,
    unlogged: bool,
) -> Result<Seen, StoreError> {
    let sql = format!(
        "SELECT floor(extract(epoch FROM clock_timestamp()))::int8, run.id, run.random,
                meta.replicated OR {HAS_STANDBY}
         FROM {name}_meta AS meta, {name}_run AS run
         WHERE run.id = {RUN_ID} AND meta.unlogged = $1"
    );
    let rows = connection.client.query(&sql, &[&unlogged]).await;
    let rows = rows.map_err(|error| refused(&error))?;
    // Without its row the run is over: the tables were emptied.
    let row = rows.first().ok_or(StoreError::Epoch)?;
    let now: i64 = get(row, 0)?;
    Ok(Seen {
        now: u64::try_from(now).unwrap_or_default(),
        id: get(row, 1)?,
        random: get(row, 2)?,
        is_replicated: get(row, 3)?,
    })
}

/// Makes the partitions of this generation and the two after it, and drops those
/// that ended before the last one.
pub(super) async fn tend(
    connection: &Connection,
    name: &str,
    unlogged: bool,
    generation: i64,
) -> Result<(), StoreError> {
    let kind = kind(unlogged);
    let sql = format!(
        "DO $do$
         DECLARE ended regclass;
         BEGIN
           PERFORM pg_advisory_xact_lock(hashtextextended('{name}', 0));
           FOR g IN {generation}..{generation} + 2 LOOP
             EXECUTE format('CREATE {kind} TABLE IF NOT EXISTS {name}_%s PARTITION OF {name} FOR VALUES IN (%s)', g, g);
           END LOOP;
           FOR ended IN
             SELECT inhrelid::regclass FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
             WHERE inhparent = '{name}'::regclass
               AND substr(relname, length('{name}_') + 1)::int8 < {generation} - 1
           LOOP
             EXECUTE format('DROP TABLE %s', ended);
           END LOOP;
         END $do$"
    );
    connection
        .client
        .batch_execute(&sql)
        .await
        .map_err(|error| refused(&error))
}

/// Names the run in nonces. 0 means that runs do not matter.
fn epoch(seen: &Seen) -> u64 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(seen.id.as_bytes());
    context.update(b"\0");
    context.update(&seen.random);
    let digest = context.finish();
    let first = digest.as_ref().first_chunk();
    first.map_or(1, |bytes| u64::from_be_bytes(*bytes)).max(1)
}

const fn kind(unlogged: bool) -> &'static str {
    if unlogged { "UNLOGGED" } else { "" }
}

const fn kind_name(unlogged: bool) -> &'static str {
    if unlogged { "unlogged" } else { "logged" }
}

type Parameters<'a> = &'a [&'a (dyn tokio_postgres::types::ToSql + Sync)];

async fn execute(
    connection: &Connection,
    sql: &str,
    with: Parameters<'_>,
) -> Result<(), StoreError> {
    let done = connection.client.execute(sql, with).await;
    done.map(drop).map_err(|error| refused(&error))
}

async fn one(connection: &Connection, sql: &str, with: Parameters<'_>) -> Result<Row, StoreError> {
    let row = connection.client.query_one(sql, with).await;
    row.map_err(|error| refused(&error))
}

fn get<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    index: usize,
) -> Result<T, StoreError> {
    row.try_get(index).map_err(|_| batch::gone())
}
