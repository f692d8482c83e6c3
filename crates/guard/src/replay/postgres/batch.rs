//! Gathers callers into one statement for each connection.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_postgres::Statement;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::Run;
use super::connection::{Connection, refused};
use crate::replay::shared::store::{Answer, StoreError};

/// More callers than this are not put into one statement.
const LARGEST: usize = 256;

/// One caller's question.
pub(super) struct Ask {
    pub(super) key: u128,
    pub(super) what: What,
    pub(super) reply: oneshot::Sender<Result<Answer, StoreError>>,
}

#[derive(Clone, Copy)]
pub(super) enum What {
    /// Record it for so many seconds.
    Insert(i32),
    /// Say whether it is recorded.
    Look,
}

/// A connection and the task that asks over it.
pub(super) struct Batcher {
    asks: mpsc::Sender<Ask>,
    connection: Arc<Connection>,
    task: AbortHandle,
}

/// A record's key as the type `uuid`, PostgreSQL's name for 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key(u128);

/// The statements of one connection.
struct Statements {
    insert: Statement,
    look: Statement,
    run: Vec<u8>,
}

impl Batcher {
    pub(super) async fn start(
        connection: Connection,
        name: &str,
        run: &Run,
    ) -> Result<Self, StoreError> {
        let generation = run.generation;
        let prepare = async |sql: String| connection.client.prepare(&sql).await;
        let insert = prepare(insert(name, generation)).await;
        let look = prepare(look(name, generation)).await;
        let statements = Statements {
            insert: insert.map_err(|error| refused(&error))?,
            look: look.map_err(|error| refused(&error))?,
            run: run.random.clone(),
        };
        let connection = Arc::new(connection);
        let (asks, receiver) = mpsc::channel(LARGEST * 4);
        let task = tokio::spawn(work(Arc::clone(&connection), statements, receiver));
        Ok(Self {
            asks,
            connection,
            task: task.abort_handle(),
        })
    }

    pub(super) async fn ask(&self, ask: Ask) -> Result<(), StoreError> {
        self.asks.send(ask).await.map_err(|_| gone())
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn gone() -> StoreError {
    StoreError::Lost(String::from("the connection was lost"))
}

/// Rows sorted, so that statements that meet wait for each other in one order.
fn insert(name: &str, generation: i64) -> String {
    format!(
        "WITH moment AS MATERIALIZED (
           SELECT floor(extract(epoch FROM clock_timestamp()))::int8 AS now,
                  EXISTS (SELECT FROM {name}_run WHERE random = $3) AS same_run
         ), rows AS MATERIALIZED (
           SELECT g AS generation, key
           FROM moment, unnest($1::uuid[], $2::int4[]) AS asked(key, lifetime),
                generate_series(now / {generation}, (now + lifetime) / {generation}) AS g
           WHERE same_run
         ), inserted AS (
           INSERT INTO {name} (generation, key)
           SELECT generation, key FROM rows ORDER BY generation, key
           ON CONFLICT DO NOTHING
           RETURNING key
         )
         SELECT now, same_run, ARRAY(
           SELECT key FROM (SELECT key, count(*) FROM inserted GROUP BY key) AS made
           JOIN (SELECT key, count(*) FROM rows GROUP BY key) AS wanted USING (key, count))
         FROM moment"
    )
}

fn look(name: &str, generation: i64) -> String {
    format!(
        "WITH moment AS MATERIALIZED (
           SELECT floor(extract(epoch FROM clock_timestamp()))::int8 AS now
         )
         SELECT now, EXISTS (SELECT FROM {name}_run WHERE random = $2),
                ARRAY(SELECT key FROM {name}
                      WHERE generation = now / {generation} AND key = ANY ($1::uuid[]))
         FROM moment"
    )
}

async fn work(connection: Arc<Connection>, statements: Statements, mut asks: mpsc::Receiver<Ask>) {
    let mut batch = Vec::with_capacity(LARGEST);
    while asks.recv_many(&mut batch, LARGEST).await > 0 {
        // Who has given up is not recorded for.
        batch.retain(|ask: &Ask| !ask.reply.is_closed());
        let (inserts, looks): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .partition(|ask| matches!(ask.what, What::Insert(_)));
        if !inserts.is_empty() {
            insert_all(&connection, &statements, inserts).await;
        }
        if !looks.is_empty() {
            look_all(&connection, &statements, looks).await;
        }
    }
}

async fn insert_all(connection: &Connection, statements: &Statements, asks: Vec<Ask>) {
    // One row for each key: of several callers with the same proof one can win,
    // and its record lives for the longest of their times.
    let mut lifetimes: HashMap<Key, i32> = HashMap::with_capacity(asks.len());
    for ask in &asks {
        if let What::Insert(lifetime) = ask.what {
            let longest = lifetimes.entry(Key(ask.key)).or_insert(lifetime);
            *longest = lifetime.max(*longest);
        }
    }
    let (keys, times): (Vec<Key>, Vec<i32>) = lifetimes.into_iter().unzip();
    let parameters: [&(dyn ToSql + Sync); 3] = [&keys, &times, &statements.run];
    let found = query(connection, &statements.insert, &parameters).await;
    match found {
        Ok((now, mut new)) => {
            for ask in asks {
                let new = new.remove(&Key(ask.key)).is_some();
                let _ = ask.reply.send(Ok(Answer { new, now }));
            }
        }
        Err(error) => refuse(asks, &error),
    }
}

async fn look_all(connection: &Connection, statements: &Statements, asks: Vec<Ask>) {
    let keys: Vec<Key> = asks.iter().map(|ask| Key(ask.key)).collect();
    let parameters: [&(dyn ToSql + Sync); 2] = [&keys, &statements.run];
    match query(connection, &statements.look, &parameters).await {
        Ok((now, seen)) => {
            for ask in asks {
                let new = !seen.contains_key(&Key(ask.key));
                let _ = ask.reply.send(Ok(Answer { new, now }));
            }
        }
        Err(error) => refuse(asks, &error),
    }
}

fn refuse(asks: Vec<Ask>, error: &StoreError) {
    for ask in asks {
        let _ = ask.reply.send(Err(error.clone()));
    }
}

/// The server's clock and the keys it names, if it is still in the same run.
async fn query(
    connection: &Connection,
    statement: &Statement,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(u64, HashMap<Key, ()>), StoreError> {
    let row = connection.client.query_one(statement, parameters).await;
    let row = row.map_err(|error| refused(&error))?;
    let odd = |_| gone();
    let now: i64 = row.try_get(0).map_err(odd)?;
    let same_run: bool = row.try_get(1).map_err(odd)?;
    let keys: Vec<Key> = row.try_get(2).map_err(odd)?;
    if !same_run {
        return Err(StoreError::Epoch);
    }
    let keys = keys.into_iter().map(|key| (key, ())).collect();
    Ok((u64::try_from(now).unwrap_or_default(), keys))
}

impl ToSql for Key {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_u128(self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Key {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(u128::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }
}

impl std::fmt::Debug for Statements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statements").finish_non_exhaustive()
    }
}
