//! Where a shared replay log is: one URL, without any secret in it.
//!
//! ```text
//! redis://[USER@]HOST[:PORT][/DATABASE]          rediss:// with TLS
//! redis-cluster://HOST:PORT,HOST:PORT            rediss-cluster:// with TLS
//! postgres://USER@HOST[:PORT]/DATABASE           TLS off loopback
//! ```
//!
//! `valkey` may be written for `redis`, `postgresql` for `postgres`. Options
//! follow a `?`, see [`StoreAddress::parse`]. Cleartext beyond loopback is
//! refused unless the address says `unsafe_cleartext=true`.
//!
//! Reads no file: whoever configures reads `password_file` and `ca_file`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The kind of a shared store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// One Redis or Valkey server.
    Redis,
    /// A Redis or Valkey cluster.
    RedisCluster,
    /// PostgreSQL.
    Postgres,
}

/// A parsed address. `Debug` and `Display` show no password.
#[derive(Clone)]
pub struct StoreAddress {
    pub(crate) kind: StoreKind,
    pub(crate) tls: bool,
    /// Never empty.
    pub(crate) hosts: Vec<(String, u16)>,
    pub(crate) user: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) options: Options,
    pub(crate) password: Option<Arc<str>>,
    /// PEM of the authorities that may sign the server's certificate.
    pub(crate) authorities: Option<Arc<[u8]>>,
}

/// What stands after the `?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) password_file: Option<String>,
    pub(crate) ca_file: Option<String>,
    pub(crate) unlogged: bool,
    pub(crate) name: Option<String>,
    pub(crate) connections: Option<u8>,
    cluster: bool,
    cleartext: bool,
    tls: bool,
}

/// An address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not one of the known schemes.
    #[error(
        "`{0}` is no replay log; write `memory`, `redis://…`, `rediss://…`, `redis-cluster://…` or `postgres://…`"
    )]
    Scheme(String),
    /// A password in the address.
    #[error(
        "the replay log's address holds a password; put it into a file and write `?password_file=PATH`"
    )]
    Password,
    /// No host, or a port that is none.
    #[error("`{0}` is not `HOST:PORT`")]
    Host(String),
    /// An option nobody knows.
    #[error(
        "`{0}` is no option of a replay log; known are password_file, ca_file, tls, sslmode, unsafe_cleartext, cluster, log, connections, name"
    )]
    Option(String),
    /// A value an option does not take.
    #[error("`{name}` takes {takes}, not `{given}`")]
    Value {
        /// The option.
        name: &'static str,
        /// What it takes.
        takes: &'static str,
        /// What it was given.
        given: String,
    },
    /// PostgreSQL needs to know user and database.
    #[error("a PostgreSQL address names user and database: `postgres://USER@HOST/DATABASE`")]
    Incomplete,
    /// Cleartext beyond loopback.
    #[error(
        "the replay log at `{0}` would be reached without TLS; write `{1}`, or `unsafe_cleartext=true` where the network is yours alone"
    )]
    Cleartext(String, &'static str),
}

impl StoreAddress {
    /// Parses an address. Options:
    ///
    /// | option | of | meaning |
    /// |---|---|---|
    /// | `password_file` | all | a file that holds the password |
    /// | `ca_file` | TLS | PEM file of the authorities to trust instead of the system's |
    /// | `tls=true`, `sslmode=verify-full` | PostgreSQL | TLS also on loopback |
    /// | `unsafe_cleartext=true` | all | no TLS beyond loopback |
    /// | `cluster=true` | Redis | the same as `redis-cluster://` |
    /// | `log=logged`, `log=unlogged` | PostgreSQL | which kind of table; `logged` unless said otherwise |
    /// | `connections` | all | connections to each server, 1 to 16 |
    /// | `name` | all | prefix of keys and tables, `keybound_replay` unless said otherwise |
    ///
    /// # Errors
    ///
    /// [`AddressError`]; it repeats no password.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| AddressError::Scheme(clipped(text)))?;
        let (mut kind, tls) = match scheme {
            "redis" | "valkey" => (StoreKind::Redis, false),
            "rediss" | "valkeys" => (StoreKind::Redis, true),
            "redis-cluster" | "valkey-cluster" => (StoreKind::RedisCluster, false),
            "rediss-cluster" | "valkeys-cluster" => (StoreKind::RedisCluster, true),
            "postgres" | "postgresql" => (StoreKind::Postgres, false),
            other => return Err(AddressError::Scheme(clipped(other))),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(AddressError::Password),
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        let options = options(query, kind)?;
        if options.cluster {
            kind = StoreKind::RedisCluster;
        }
        let default_port = if kind == StoreKind::Postgres {
            5432
        } else {
            6379
        };
        let hosts: Result<Vec<_>, _> = hosts
            .split(',')
            .map(|host| host_and_port(host, default_port))
            .collect();
        let mut address = Self {
            kind,
            tls: tls || options.tls,
            hosts: hosts?,
            user: some(user.unwrap_or_default()),
            database: some(path),
            options,
            password: None,
            authorities: None,
        };
        address.check_completeness()?;
        address.check_cleartext()?;
        Ok(address)
    }

    /// What kind of store it is.
    #[must_use]
    pub const fn kind(&self) -> StoreKind {
        self.kind
    }

    /// The file that holds the password.
    #[must_use]
    pub fn password_file(&self) -> Option<&str> {
        self.options.password_file.as_deref()
    }

    /// The file with the authorities to trust.
    #[must_use]
    pub fn ca_file(&self) -> Option<&str> {
        self.options.ca_file.as_deref()
    }

    /// The same address with its password, as read from the file.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.password = Some(Arc::from(password));
        self
    }

    /// The same address with the authorities' certificates (PEM), as read from the file.
    #[must_use]
    pub fn with_authorities(mut self, pem: &[u8]) -> Self {
        self.authorities = Some(Arc::from(pem));
        self
    }

    fn check_completeness(&self) -> Result<(), AddressError> {
        match self.kind {
            StoreKind::Postgres if self.user.is_none() || self.database.is_none() => {
                Err(AddressError::Incomplete)
            }
            StoreKind::Redis if self.hosts.len() > 1 => Err(AddressError::Value {
                name: "redis://",
                takes: "one host; several are a cluster, `redis-cluster://`",
                given: self.place(),
            }),
            StoreKind::Postgres | StoreKind::Redis | StoreKind::RedisCluster => Ok(()),
        }
    }

    /// PostgreSQL asks for TLS by itself beyond loopback; Redis has a scheme for it.
    fn check_cleartext(&mut self) -> Result<(), AddressError> {
        if self.tls
            || self.options.cleartext
            || self.hosts.iter().all(|(host, _)| is_loopback(host))
        {
            return Ok(());
        }
        match self.kind {
            StoreKind::Postgres => {
                self.tls = true;
                Ok(())
            }
            StoreKind::Redis => Err(AddressError::Cleartext(self.place(), "rediss://")),
            StoreKind::RedisCluster => {
                Err(AddressError::Cleartext(self.place(), "rediss-cluster://"))
            }
        }
    }

    fn place(&self) -> String {
        let hosts = self
            .hosts
            .iter()
            .map(|(host, port)| format!("{host}:{port}"));
        hosts.collect::<Vec<_>>().join(",")
    }
}

/// Scheme and hosts, nothing else.
impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.kind, self.tls) {
            (StoreKind::Redis, false) => "redis",
            (StoreKind::Redis, true) => "rediss",
            (StoreKind::RedisCluster, false) => "redis-cluster",
            (StoreKind::RedisCluster, true) => "rediss-cluster",
            (StoreKind::Postgres, _) => "postgres",
        };
        write!(f, "{scheme}://{}", self.place())
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreAddress({self})")
    }
}

fn options(query: &str, kind: StoreKind) -> Result<Options, AddressError> {
    let mut options = Options::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_postgres = kind == StoreKind::Postgres;
        match name {
            "password" => return Err(AddressError::Password),
            "password_file" => options.password_file = some(value),
            "ca_file" => options.ca_file = some(value),
            "unsafe_cleartext" => options.cleartext = boolean("unsafe_cleartext", value)?,
            "sslmode" if is_postgres => options.tls = verify_full(value)?,
            "tls" if is_postgres => options.tls = boolean("tls", value)?,
            "cluster" if !is_postgres => options.cluster = boolean("cluster", value)?,
            "log" if is_postgres => options.unlogged = unlogged(value)?,
            "connections" => options.connections = Some(connections(value)?),
            "name" => options.name = Some(table_name(value)?),
            other => return Err(AddressError::Option(clipped(other))),
        }
    }
    Ok(options)
}

fn boolean(name: &'static str, value: &str) -> Result<bool, AddressError> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(AddressError::Value {
            name,
            takes: "`true` or `false`",
            given: clipped(other),
        }),
    }
}

/// The one mode of libpq that says what is done here.
fn verify_full(value: &str) -> Result<bool, AddressError> {
    if value == "verify-full" {
        return Ok(true);
    }
    Err(AddressError::Value {
        name: "sslmode",
        takes: "`verify-full`; every weaker mode trusts whoever answers",
        given: clipped(value),
    })
}

fn unlogged(value: &str) -> Result<bool, AddressError> {
    match value {
        "logged" => Ok(false),
        "unlogged" => Ok(true),
        other => Err(AddressError::Value {
            name: "log",
            takes: "`logged` or `unlogged`",
            given: clipped(other),
        }),
    }
}

fn connections(value: &str) -> Result<u8, AddressError> {
    let number = value
        .parse()
        .ok()
        .filter(|number| (1..=16).contains(number));
    number.ok_or_else(|| AddressError::Value {
        name: "connections",
        takes: "1 to 16",
        given: clipped(value),
    })
}

/// Stands in statements and keys, so it is letters, digits and `_` only.
fn table_name(value: &str) -> Result<String, AddressError> {
    let is_plain = value
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let begins_well = value.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if is_plain && begins_well && value.len() <= 32 {
        return Ok(value.to_owned());
    }
    Err(AddressError::Value {
        name: "name",
        takes: "up to 32 lower-case letters, digits and `_`, beginning with a letter",
        given: clipped(value),
    })
}

fn host_and_port(text: &str, default_port: u16) -> Result<(String, u16), AddressError> {
    let wrong = || AddressError::Host(clipped(text));
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an address in brackets are not the port's.
        Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (text, default_port),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_fine = match bare {
        Some(address) => address.parse::<IpAddr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    if is_fine && port != 0 {
        Ok((host.to_owned(), port))
    } else {
        Err(wrong())
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A piece of an address for an error message, short and without what may be a password.
fn clipped(text: &str) -> String {
    let end = text.find('@').map_or(0, |at| at.saturating_add(1));
    let shown = text.get(end..).unwrap_or_default();
    shown.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> AddressError {
        StoreAddress::parse(text).expect_err(text)
    }

    #[test]
    fn addresses_that_cannot_be_meant_are_refused() {
        for text in [
            "",
            "memory",
            "http://127.0.0.1",
            "sqlite:/x",
            "redis:/127.0.0.1",
        ] {
            assert!(matches!(error(text), AddressError::Scheme(_)), "{text}");
        }
        for text in [
            "redis://",
            "redis://127.0.0.1:",
            "redis://127.0.0.1:0",
            "redis://127.0.0.1:70000",
            "redis://a b",
            "redis-cluster://127.0.0.1:1,,127.0.0.1:2",
        ] {
            assert!(matches!(error(text), AddressError::Host(_)), "{text}");
        }
        for text in [
            "redis://127.0.0.1?pool=3",
            "redis://127.0.0.1?log=logged",
            "postgres://u@127.0.0.1/d?cluster=true",
        ] {
            assert!(matches!(error(text), AddressError::Option(_)), "{text}");
        }
        for text in [
            "redis://127.0.0.1?cluster=yes",
            "redis://127.0.0.1,127.0.0.2",
            "redis://127.0.0.1?connections=0",
            "redis://127.0.0.1?name=x;drop",
            "postgres://u@127.0.0.1/d?log=fast",
        ] {
            assert!(matches!(error(text), AddressError::Value { .. }), "{text}");
        }
        for text in ["postgres://127.0.0.1/d", "postgres://u@127.0.0.1"] {
            assert_eq!(error(text), AddressError::Incomplete, "{text}");
        }
    }

    #[test]
    fn password_in_the_address_is_refused_and_not_repeated() {
        for text in [
            "redis://:hunter2@127.0.0.1",
            "postgres://u:hunter2@127.0.0.1/d",
            "redis://127.0.0.1?password=hunter2",
            "redis:hunter2@127.0.0.1",
        ] {
            assert!(!error(text).to_string().contains("hunter2"), "{text}");
        }
        let address = StoreAddress::parse("redis://kb@127.0.0.1?password_file=/p").unwrap();
        let shown = format!("{:?}", address.with_password("hunter2"));
        assert_eq!(shown, "StoreAddress(redis://127.0.0.1:6379)");
    }

    #[test]
    fn cleartext_beyond_loopback_is_refused() {
        for text in [
            "redis://10.0.0.1",
            "redis-cluster://127.0.0.1:1,cache.example.com:2",
        ] {
            assert!(matches!(error(text), AddressError::Cleartext(..)), "{text}");
        }
        for text in [
            "redis://localhost",
            "redis://[::1]:7000",
            "rediss://cache.example.com",
            "redis://10.0.0.1?unsafe_cleartext=true",
        ] {
            assert!(StoreAddress::parse(text).is_ok(), "{text}");
        }
        let remote = StoreAddress::parse("postgres://u@db.example.com/d").unwrap();
        assert!(remote.tls, "TLS is not an option beyond loopback");
    }

    #[test]
    fn parts_are_read() {
        let address = StoreAddress::parse(
            "rediss-cluster://kb@a.example.com:7000,b.example.com/?ca_file=/ca",
        )
        .unwrap();
        assert_eq!(address.kind(), StoreKind::RedisCluster);
        assert_eq!(
            address.to_string(),
            "rediss-cluster://a.example.com:7000,b.example.com:6379"
        );
        assert_eq!(
            (address.user.as_deref(), address.ca_file()),
            (Some("kb"), Some("/ca"))
        );
        let address = StoreAddress::parse("valkey://127.0.0.1/3?cluster=true").unwrap();
        assert_eq!(address.kind(), StoreKind::RedisCluster);
        let address =
            StoreAddress::parse("postgresql://kb@127.0.0.1/replay?log=unlogged&password_file=/p")
                .unwrap();
        assert_eq!(address.database.as_deref(), Some("replay"));
        assert!(address.options.unlogged);
        assert_eq!(address.password_file(), Some("/p"));
    }
}
