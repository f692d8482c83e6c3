//! Opening a session: which servers there are, whether they are fit, in which
//! run each of them is, and under which secret records are hashed.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use aws_lc_rs::digest;
use futures_util::future::try_join_all;
use redis::{Pipeline, Value};

use super::layout::{CLUSTER_PARTITIONS, mark, mark_time, slot};
use super::node::{Node, seconds, text, unexpected};
use super::{RedisSession, RedisStore, ServerClock};
use crate::replay::shared::store::{Facts, Opening, StoreError};

/// How long the mark of a run outlives the last node that looked at it.
pub(super) const MARK_SECONDS: u64 = 86_400;

/// Slots of a cluster and the address of the primary that holds them.
struct Range {
    first: i64,
    last: i64,
    primary: (String, u16),
}

pub(super) async fn open(
    store: &RedisStore,
    opening: &Opening,
) -> Result<(RedisSession, Facts), StoreError> {
    let seed = seed(store).await?;
    let (servers, owners) = if store.is_cluster {
        cluster(store, &seed).await?
    } else {
        if seed.about.is_cluster {
            return Err(StoreError::Unfit(String::from(
                "it is part of a cluster; write `redis-cluster://`",
            )));
        }
        (vec![connections(store, seed).await?], vec![0])
    };
    for node in servers.iter().flatten() {
        node.about.check_fitness(opening.strict)?;
    }
    let mut session = RedisSession {
        servers,
        owners,
        marks: Vec::new(),
        keys: store.keys.clone(),
        next: AtomicUsize::new(0),
        clock: ServerClock::new(0),
        is_over: AtomicBool::new(false),
    };
    let facts = session.learn(opening).await?;
    session.clock = ServerClock::new(facts.now);
    Ok((session, facts))
}

/// A connection to any server of the address that can be reached.
async fn seed(store: &RedisStore) -> Result<Node, StoreError> {
    let mut error = unexpected();
    for (host, port) in &store.seeds {
        match store.dialler.dial(host, *port).await {
            Ok(node) => return Ok(node),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

/// Further connections to the server of the first.
async fn connections(store: &RedisStore, first: Node) -> Result<Vec<Node>, StoreError> {
    let mut nodes = vec![first];
    for (host, port) in store
        .seeds
        .iter()
        .cycle()
        .take(store.connections.saturating_sub(1))
    {
        nodes.push(store.dialler.dial(host, *port).await?);
    }
    same_process(nodes)
}

/// A name may lead to several servers; a session is about one.
fn same_process(nodes: Vec<Node>) -> Result<Vec<Node>, StoreError> {
    let first = nodes.first().map(|node| node.about.clone());
    if nodes.iter().all(|node| Some(&node.about) == first.as_ref()) {
        return Ok(nodes);
    }
    Err(StoreError::Unfit(String::from(
        "its name leads to several servers; name one, or a cluster",
    )))
}

/// Connections to every primary, and which of them holds which partition.
async fn cluster(
    store: &RedisStore,
    seed: &Node,
) -> Result<(Vec<Vec<Node>>, Vec<usize>), StoreError> {
    if !seed.about.is_cluster {
        return Err(StoreError::Unfit(String::from(
            "it is no cluster; write `redis://`",
        )));
    }
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    let ranges = ranges(seed.ask_one(command).await?)?;
    let mut primaries: Vec<&(String, u16)> = Vec::new();
    let mut owners = Vec::with_capacity(CLUSTER_PARTITIONS);
    for partition in 0..CLUSTER_PARTITIONS {
        let slot = i64::from(slot(partition));
        let mut holding = ranges
            .iter()
            .filter(|range| (range.first..=range.last).contains(&slot));
        let primary = &holding.next().ok_or_else(incomplete)?.primary;
        let known = primaries.iter().position(|known| *known == primary);
        owners.push(known.unwrap_or_else(|| {
            primaries.push(primary);
            primaries.len().saturating_sub(1)
        }));
    }
    let servers = primaries.into_iter().map(|(host, port)| async move {
        let dials = (0..store.connections.max(1)).map(|_| store.dialler.dial(host, *port));
        same_process(try_join_all(dials).await?)
    });
    Ok((try_join_all(servers).await?, owners))
}

fn incomplete() -> StoreError {
    StoreError::Lost(String::from("the cluster has slots that no server holds"))
}

/// Reads the answer to `CLUSTER SLOTS`.
fn ranges(answer: Value) -> Result<Vec<Range>, StoreError> {
    let Value::Array(entries) = answer else {
        return Err(unexpected());
    };
    let range = |entry| {
        let Value::Array(parts) = entry else {
            return Err(unexpected());
        };
        let mut parts = parts.into_iter();
        let (Some(Value::Int(first)), Some(Value::Int(last)), Some(Value::Array(primary))) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(unexpected());
        };
        let mut primary = primary.into_iter();
        let host = primary
            .next()
            .and_then(text)
            .filter(|host| !host.is_empty());
        let Some(Value::Int(port)) = primary.next() else {
            return Err(unexpected());
        };
        let port = u16::try_from(port).map_err(|_| unexpected())?;
        let primary = (host.ok_or_else(incomplete)?, port);
        Ok(Range {
            first,
            last,
            primary,
        })
    };
    entries.into_iter().map(range).collect()
}

impl RedisSession {
    /// Learns, or begins, the run of every partition.
    async fn learn(&mut self, opening: &Opening) -> Result<Facts, StoreError> {
        let now = self
            .first()?
            .ask_one(redis::cmd("TIME"))
            .await
            .and_then(seconds)?;
        let secret = self.learn_secret(&opening.secret).await?;
        let replicated = self.learn_replication().await?;
        let mut facts = Facts {
            epoch: 0,
            began: 0,
            replicated,
            secret,
            now,
        };
        if opening.strict {
            let marks = (0..self.owners.len()).map(|partition| self.learn_mark(partition, opening));
            self.marks = try_join_all(marks).await?;
            facts.epoch = epoch(&self.marks);
            for (_, mark) in &self.marks {
                facts.began = facts.began.max(mark_time(mark)?);
            }
        }
        Ok(facts)
    }

    async fn learn_secret(&self, proposed: &[u8; 32]) -> Result<[u8; 32], StoreError> {
        let key = self.keys.secret();
        let mut commands = Pipeline::with_capacity(2);
        commands.cmd("SET").arg(&key).arg(&proposed[..]).arg("NX");
        commands.cmd("GET").arg(&key);
        match self.first()?.ask(&commands).await?.pop() {
            Some(Value::BulkString(secret)) => secret.try_into().map_err(|_| foreign()),
            _ => Err(unexpected()),
        }
    }

    /// Whether there are replicas, or ever were: a primary that was cut off from
    /// its replicas looks like one that has none.
    async fn learn_replication(&self) -> Result<bool, StoreError> {
        let key = self.keys.replicated();
        let is_replicated = self
            .servers
            .iter()
            .flatten()
            .any(|node| node.about.is_replicated());
        let mut command = redis::cmd(if is_replicated { "SET" } else { "EXISTS" });
        command.arg(&key);
        if is_replicated {
            command.arg("1");
        }
        let answer = self.first()?.ask_one(command).await?;
        Ok(is_replicated || answer != Value::Int(0))
    }

    /// The mark of the run that a partition's server is in.
    async fn learn_mark(
        &self,
        partition: usize,
        opening: &Opening,
    ) -> Result<(String, Vec<u8>), StoreError> {
        let node = self.node(partition)?;
        let key = self.keys.run(partition, &node.about.run());
        // The mark is made after its time was read, so it says a little later.
        let now = node.ask_one(redis::cmd("TIME")).await.and_then(seconds)?;
        let mut commands = Pipeline::with_capacity(2);
        let made = mark(now.saturating_add(opening.slack), &opening.random);
        commands
            .cmd("SET")
            .arg(&key)
            .arg(made)
            .arg("NX")
            .arg("EX")
            .arg(MARK_SECONDS);
        commands.cmd("GET").arg(&key);
        match node.ask(&commands).await?.pop() {
            Some(Value::BulkString(mark)) => Ok((key, mark)),
            _ => Err(unexpected()),
        }
    }
}

fn foreign() -> StoreError {
    StoreError::Unfit(String::from("somebody else writes under this log's name"))
}

/// Names all the runs together.
fn epoch(marks: &[(String, Vec<u8>)]) -> u64 {
    let mut context = digest::Context::new(&digest::SHA256);
    for (key, mark) in marks {
        context.update(key.as_bytes());
        context.update(b"\0");
        context.update(mark);
        context.update(b"\0");
    }
    let digest = context.finish();
    let first = digest.as_ref().first_chunk();
    // 0 means that runs do not matter.
    first.map_or(1, |bytes| u64::from_be_bytes(*bytes)).max(1)
}
