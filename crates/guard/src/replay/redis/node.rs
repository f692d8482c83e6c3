//! One connection to one Redis server, which never becomes a connection to another.

use std::fmt;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, RedisError, ServerErrorKind, Value,
};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::super::address::StoreAddress;
use super::super::tls;
use crate::replay::shared::store::StoreError;

/// How to reach any of the servers.
#[derive(Clone)]
pub(super) struct Dialler {
    info: RedisConnectionInfo,
    tls: Option<Arc<ClientConfig>>,
}

/// A connection that many callers share. Dropping it closes it.
pub(super) struct Node {
    connection: MultiplexedConnection,
    closed: watch::Receiver<bool>,
    driver: AbortHandle,
    /// What the server said of itself when the connection was made.
    pub(super) about: About,
}

/// What matters of a server's `INFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    run_id: String,
    replication_id: String,
    is_master: bool,
    pub(super) is_cluster: bool,
    has_or_had_replicas: bool,
    evicts: bool,
}

impl Dialler {
    pub(super) fn new(address: &StoreAddress) -> Result<Self, String> {
        let database = address.database.as_deref().unwrap_or("0");
        let database = database
            .parse()
            .map_err(|_| format!("`{database}` is no number of a Redis database"))?;
        let mut info = RedisConnectionInfo::default()
            .set_db(database)
            .set_skip_set_lib_name();
        if let Some(user) = &address.user {
            info = info.set_username(user);
        }
        if let Some(password) = &address.password {
            info = info.set_password(password);
        }
        Ok(Self {
            info,
            tls: tls::config(address)?,
        })
    }

    /// Connects to one server and asks what it is.
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<Node, StoreError> {
        let lost = |error| StoreError::Lost(format!("{host}:{port}: {error}"));
        let stream = TcpStream::connect((host, port)).await.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let mut node = match &self.tls {
            Some(config) => {
                self.drive(tls::connect(config, host, stream).await?)
                    .await?
            }
            None => self.drive(stream).await?,
        };
        node.about = node.ask_about().await?;
        Ok(node)
    }

    async fn drive<C>(&self, stream: C) -> Result<Node, StoreError>
    where
        C: Unpin + AsyncRead + AsyncWrite + Send + 'static,
    {
        // The log has a time limit of its own for whole answers.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&self.info, stream, config).await;
        let (connection, driver) = made.map_err(|error| refused(&error))?;
        let (ended, closed) = watch::channel(false);
        let driver = tokio::spawn(async move {
            driver.await;
            ended.send_replace(true);
        });
        Ok(Node {
            connection,
            closed,
            driver: driver.abort_handle(),
            about: About::default(),
        })
    }
}

impl Node {
    /// Sends commands at once, in this order, and waits for all answers.
    pub(super) async fn ask(&self, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let count = commands.len();
        let answers = self
            .connection
            .clone()
            .send_packed_commands(commands, 0, count)
            .await;
        let answers = answers.map_err(|error| refused(&error))?;
        for answer in &answers {
            if let Value::ServerError(error) = answer {
                return Err(error_of(error.kind(), error.code()));
            }
        }
        Ok(answers)
    }

    /// One command.
    pub(super) async fn ask_one(&self, command: Cmd) -> Result<Value, StoreError> {
        let mut commands = Pipeline::with_capacity(1);
        commands.add_command(command);
        let mut answers = self.ask(&commands).await?;
        answers.pop().ok_or_else(unexpected)
    }

    /// Ends when the connection has.
    pub(super) async fn closed(&self) {
        // The sender going away means the same.
        let _ = self.closed.clone().wait_for(|closed| *closed).await;
    }

    pub(super) async fn ask_about(&self) -> Result<About, StoreError> {
        let mut commands = Pipeline::with_capacity(4);
        for section in ["server", "replication", "memory", "cluster"] {
            commands.cmd("INFO").arg(section);
        }
        let answers = self.ask(&commands).await?;
        let texts: Vec<String> = answers.into_iter().filter_map(text).collect();
        Ok(About::read(&texts.concat()))
    }
}

impl About {
    fn read(info: &str) -> Self {
        let field = |name: &str| {
            let lines = info
                .lines()
                .filter_map(|line| line.trim_end().split_once(':'));
            let mut values = lines
                .filter(|(field, _)| *field == name)
                .map(|(_, value)| value);
            values.next().unwrap_or_default()
        };
        // A server that was a replica once remembers whose, and one that had
        // replicas keeps a backlog for them.
        let was_replica = field("master_replid2").bytes().any(|digit| digit != b'0');
        let is_set = |name| !matches!(field(name), "" | "0");
        Self {
            run_id: field("run_id").to_owned(),
            replication_id: field("master_replid").to_owned(),
            is_master: field("role") == "master",
            is_cluster: is_set("cluster_enabled"),
            has_or_had_replicas: is_set("connected_slaves")
                || is_set("repl_backlog_active")
                || was_replica,
            evicts: is_set("maxmemory") && field("maxmemory_policy") != "noeviction",
        }
    }

    /// Names the run of the server: its process, and the history it replicates.
    pub(super) fn run(&self) -> String {
        format!("{}.{}", self.run_id, self.replication_id)
    }

    /// Whether what the server acknowledged may be forgotten by a fail-over.
    pub(super) const fn is_replicated(&self) -> bool {
        self.is_cluster || self.has_or_had_replicas
    }

    /// A server whose records could go away unnoticed is not used.
    pub(super) fn check_fitness(&self, strict: bool) -> Result<(), StoreError> {
        if !self.is_master {
            return Err(StoreError::Lost(String::from(
                "it is a replica, not the primary",
            )));
        }
        if self.evicts && strict {
            return Err(StoreError::Unfit(String::from(
                "it may evict records; set `maxmemory-policy noeviction`, or `replay_mode = \"best-effort\"`",
            )));
        }
        if self.run_id.is_empty() || self.replication_id.is_empty() {
            return Err(StoreError::Unfit(String::from(
                "its INFO names no run; the user needs the command INFO",
            )));
        }
        Ok(())
    }
}

/// An answer as text.
pub(super) fn text(value: Value) -> Option<String> {
    if let Value::BulkString(bytes) = value {
        return String::from_utf8(bytes).ok();
    }
    if let Value::SimpleString(text) | Value::VerbatimString { text, .. } = value {
        return Some(text);
    }
    None
}

/// The answer to `TIME`, in seconds.
pub(super) fn seconds(value: Value) -> Result<u64, StoreError> {
    let Value::Array(parts) = value else {
        return Err(unexpected());
    };
    let first = parts.into_iter().next().and_then(text);
    first
        .and_then(|text| text.parse().ok())
        .ok_or_else(unexpected)
}

pub(super) fn unexpected() -> StoreError {
    StoreError::Lost(String::from(
        "it gives answers this release does not understand",
    ))
}

fn refused(error: &RedisError) -> StoreError {
    let kind = error.kind();
    if kind == redis::ErrorKind::AuthenticationFailed {
        return StoreError::Lost(String::from("it refuses the user or the password"));
    }
    if kind == redis::ErrorKind::Io {
        return StoreError::Lost(String::from("the connection was lost"));
    }
    let kind = if let redis::ErrorKind::Server(kind) = kind {
        Some(kind)
    } else {
        None
    };
    error_of(kind, error.code().unwrap_or_default())
}

/// Never repeats the server's sentence, which may quote what it was sent.
fn error_of(kind: Option<ServerErrorKind>, code: &str) -> StoreError {
    match (kind, code) {
        (Some(ServerErrorKind::Moved | ServerErrorKind::ReadOnly), _) => StoreError::Epoch,
        (_, "OOM") => StoreError::Full,
        (_, "NOAUTH" | "WRONGPASS") => {
            StoreError::Lost(String::from("it refuses the user or the password"))
        }
        (_, "") => StoreError::Lost(String::from("it answers with an error")),
        (_, code) => StoreError::Lost(format!("it answers with the error `{code}`")),
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(lines: &[&str]) -> About {
        About::read(&lines.join("\r\n"))
    }

    const ALONE: &[&str] = &[
        "# Server",
        "run_id:aaa",
        "role:master",
        "connected_slaves:0",
        "master_replid:bbb",
        "master_replid2:0000000000000000000000000000000000000000",
        "repl_backlog_active:0",
        "maxmemory:0",
        "maxmemory_policy:allkeys-lru",
        "cluster_enabled:0",
    ];

    #[test]
    fn unfit_servers_are_refused() {
        let with = |line: &'static str| info(&[&[line], ALONE].concat());
        assert!(with("role:slave").check_fitness(false).is_err());
        assert!(with("maxmemory:1000").check_fitness(true).is_err());
        assert!(with("maxmemory:1000").check_fitness(false).is_ok());
        assert!(info(&["role:master"]).check_fitness(false).is_err());
        assert!(info(ALONE).check_fitness(true).is_ok());
    }

    #[test]
    fn every_trace_of_replication_counts() {
        for line in [
            "connected_slaves:1",
            "repl_backlog_active:1",
            "master_replid2:c000000000000000000000000000000000000000",
            "cluster_enabled:1",
        ] {
            assert!(info(&[&[line], ALONE].concat()).is_replicated(), "{line}");
        }
        assert!(!info(ALONE).is_replicated());
    }

    #[test]
    fn run_is_process_and_history() {
        assert_eq!(info(ALONE).run(), "aaa.bbb");
    }
}
