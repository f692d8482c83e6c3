//! Redis and Valkey as the store of a shared replay log, alone or as a cluster.
//!
//! A record is `SET key "" NX EX`, which is atomic on the server. In strict mode
//! the same pipeline reads the mark of the run after it: a mark disappears with
//! the records beside it and never comes back, so when it is still there, no
//! record was lost before. `TIME` at the end tells the server's clock. Callers
//! share one connection to each server; their commands are pipelined.
//!
//! No connection is ever repeated under a session: what answers is the process
//! that was asked for its run. After a lost connection, a moved slot or a
//! primary that is one no more, everything is learned anew.
//!
//! Not done: sentinels (name the primary's address), following `ASK` while a
//! slot is being moved (the proofs of that slot are refused meanwhile), and
//! waiting for replicas (`WAIT` makes a lost record less likely, not impossible).

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{select_all, try_join_all};
use redis::{Pipeline, Value};
use tokio::time::Instant;

use self::layout::{CLUSTER_PARTITIONS, Keys};
use self::node::{Dialler, Node, seconds, unexpected};
use super::address::{StoreAddress, StoreKind};
use super::shared::store::{Answer, Facts, Opening, Session, Store, StoreError};

mod layout;
mod node;
mod open;

/// A Redis or Valkey server, or a cluster of them.
pub struct RedisStore {
    seeds: Vec<(String, u16)>,
    dialler: Dialler,
    keys: Keys,
    is_cluster: bool,
    connections: usize,
}

/// Connections to every server that holds records.
pub struct RedisSession {
    /// Each server with its connections.
    servers: Vec<Vec<Node>>,
    /// By partition: the server that holds it.
    owners: Vec<usize>,
    /// By partition: key and value of the mark of its run. Empty if runs do not matter.
    marks: Vec<(String, Vec<u8>)>,
    keys: Keys,
    next: AtomicUsize,
    clock: ServerClock,
    /// Whether a server said that something is not its business any more.
    is_over: AtomicBool,
}

/// The server's clock as it should be now, by this process's monotonic one.
struct ServerClock {
    read: u64,
    at: Instant,
}

impl RedisStore {
    /// Reads the address; connects later.
    ///
    /// # Errors
    ///
    /// What is wrong with database number or certificates, in words.
    pub fn new(address: &StoreAddress) -> Result<Self, String> {
        Ok(Self {
            seeds: address.hosts.clone(),
            dialler: Dialler::new(address)?,
            keys: Keys::new(address.options.name.as_deref().unwrap_or("keybound_replay")),
            is_cluster: address.kind() == StoreKind::RedisCluster,
            connections: address.options.connections.unwrap_or(1).into(),
        })
    }
}

impl Store for RedisStore {
    type Session = RedisSession;

    async fn open(&self, opening: &Opening) -> Result<(RedisSession, Facts), StoreError> {
        open::open(self, opening).await
    }
}

impl Session for RedisSession {
    async fn insert(&self, key: u128, lifetime: u64) -> Result<Answer, StoreError> {
        let (partition, record) = self.place(key);
        let mut commands = Pipeline::with_capacity(3);
        commands
            .cmd("SET")
            .arg(record)
            .arg("")
            .arg("NX")
            .arg("EX")
            .arg(lifetime);
        let answer = self.ask(partition, commands).await?;
        Ok(Answer {
            new: answer.0 != Value::Nil,
            now: answer.1,
        })
    }

    async fn look(&self, key: u128) -> Result<Answer, StoreError> {
        let (partition, record) = self.place(key);
        let mut commands = Pipeline::with_capacity(3);
        commands.cmd("EXISTS").arg(record);
        let answer = self.ask(partition, commands).await?;
        Ok(Answer {
            new: answer.0 == Value::Int(0),
            now: answer.1,
        })
    }

    async fn probe(&self) -> Result<u64, StoreError> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(StoreError::Epoch);
        }
        let nodes = self.servers.iter().flatten();
        let now_about = try_join_all(nodes.map(|node| async move {
            let about = node.ask_about().await?;
            if about == node.about {
                Ok(())
            } else {
                Err(StoreError::Epoch)
            }
        }));
        now_about.await?;
        let now = self
            .first()?
            .ask_one(redis::cmd("TIME"))
            .await
            .and_then(seconds)?;
        // Records end by the server's clock. If that jumped, some may have ended
        // early, so this run is over for everybody.
        if self.clock.has_jumped(now) {
            self.end_run().await?;
            return Err(StoreError::Epoch);
        }
        self.keep_marks().await?;
        Ok(now)
    }

    async fn closed(&self) {
        let nodes = self.servers.iter().flatten();
        let closed: Vec<_> = nodes.map(|node| Box::pin(node.closed())).collect();
        if !closed.is_empty() {
            select_all(closed).await;
        }
    }
}

impl RedisSession {
    fn place(&self, key: u128) -> (usize, String) {
        let partition = layout::partition(key, self.owners.len());
        (partition, self.keys.record(partition, key))
    }

    /// The first command's answer and the server's clock, from the server of the
    /// partition, if its run has not ended.
    async fn ask(
        &self,
        partition: usize,
        mut commands: Pipeline,
    ) -> Result<(Value, u64), StoreError> {
        let mark = self.marks.get(partition);
        if let Some((key, _)) = mark {
            commands.cmd("GET").arg(key);
        }
        commands.cmd("TIME");
        let answered = self.node(partition)?.ask(&commands).await;
        if answered == Err(StoreError::Epoch) {
            // A slot that moved: who holds it now is learned with the next session.
            self.is_over.store(true, Ordering::Relaxed);
        }
        let mut answers = answered?;
        let now = answers.pop().ok_or_else(unexpected).and_then(seconds)?;
        if let Some((_, expected)) = mark {
            match answers.pop() {
                Some(Value::BulkString(found)) if found == *expected => {}
                _ => return Err(StoreError::Epoch),
            }
        }
        let first = answers.pop().ok_or_else(unexpected)?;
        Ok((first, now))
    }

    /// One of the connections to the server of a partition, in turn.
    fn node(&self, partition: usize) -> Result<&Node, StoreError> {
        let owner = self
            .owners
            .get(partition)
            .and_then(|owner| self.servers.get(*owner));
        let nodes = owner.ok_or_else(unexpected)?;
        let turn = match nodes.len() {
            1 => 0,
            _ => self.next.fetch_add(1, Ordering::Relaxed),
        };
        let index = turn.checked_rem(nodes.len()).unwrap_or_default();
        nodes.get(index).ok_or_else(unexpected)
    }

    fn first(&self) -> Result<&Node, StoreError> {
        self.node(0)
    }

    async fn keep_marks(&self) -> Result<(), StoreError> {
        for (partition, (key, _)) in self.marks.iter().enumerate() {
            let mut command = redis::cmd("EXPIRE");
            command.arg(key).arg(open::MARK_SECONDS);
            let kept = self.node(partition)?.ask_one(command).await?;
            if kept == Value::Int(0) {
                return Err(StoreError::Epoch);
            }
        }
        Ok(())
    }

    async fn end_run(&self) -> Result<(), StoreError> {
        for (partition, (key, _)) in self.marks.iter().enumerate() {
            let mut command = redis::cmd("DEL");
            command.arg(key);
            self.node(partition)?.ask_one(command).await?;
        }
        Ok(())
    }
}

impl ServerClock {
    /// How far the server's clock may wander from this process's before it counts
    /// as a jump.
    const TOLERANCE: Duration = Duration::from_secs(5);

    fn new(read: u64) -> Self {
        Self {
            read,
            at: Instant::now(),
        }
    }

    fn has_jumped(&self, now: u64) -> bool {
        let expected = self.read.saturating_add(self.at.elapsed().as_secs());
        now.abs_diff(expected) > Self::TOLERANCE.as_secs()
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("seeds", &self.seeds)
            .field("is_cluster", &self.is_cluster)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSession")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

const _: () = assert!(CLUSTER_PARTITIONS.is_power_of_two());
