//! Real servers on loopback, in directories of their own, without privileges.
//!
//! A program that is not installed makes `start` answer `None`; tests say then
//! that they were skipped. `cargo xtask test` installs what is missing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A child that ends with the test, whatever happens.
pub(crate) struct Server {
    child: Option<Child>,
    program: PathBuf,
    arguments: Vec<String>,
    user: Option<&'static str>,
    log: PathBuf,
}

impl Server {
    fn new(
        program: PathBuf,
        arguments: Vec<String>,
        user: Option<&'static str>,
        log: PathBuf,
    ) -> Self {
        Self {
            child: None,
            program,
            arguments,
            user,
            log,
        }
    }

    fn spawn(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("a log file");
        let mut command = as_user(&self.program, self.user);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log);
        self.child = Some(command.spawn().expect("an installed program starts"));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self, signal: &str) {
        self.signal(signal);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("a running server");
        let status = Command::new("kill")
            .args([format!("-{signal}"), child.id().to_string()])
            .status();
        assert!(status.expect("kill is installed").success());
    }

    /// Signals the server and its children.
    pub(crate) fn signal_all(&self, signal: &str) {
        self.signal(signal);
        let parent = self.child.as_ref().expect("a running server").id();
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = children.expect("a running server has an entry");
        for child in children.split_whitespace() {
            let mut kill = Command::new("kill");
            kill.args([&format!("-{signal}"), child])
                .stderr(Stdio::null());
            // A child may have ended meanwhile.
            let _ = kill.status().expect("kill is installed");
        }
    }

    fn exited(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()))
    }

    fn wait_until(&mut self, what: &str, ready: impl Fn() -> bool) {
        let begin = Instant::now();
        while !ready() {
            if self.exited() {
                // Takes its time to give up what a killed one held.
                thread::sleep(Duration::from_millis(50));
                self.spawn();
            }
            if begin.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                panic!("{what} does not answer:\n{log}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            // A stopped process does not even notice that it is killed, politely.
            self.signal("CONT");
        }
        self.kill();
    }
}

/// A Redis or Valkey server.
pub(crate) struct Redis {
    pub(crate) server: Server,
    pub(crate) port: u16,
    _directory: TempDir,
}

impl Redis {
    /// Without persistence: a restart loses everything.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    pub(crate) fn with(options: &[&str]) -> Option<Self> {
        let program = find(&[
            "/usr/bin/valkey-server",
            "/usr/bin/redis-server",
            "/usr/local/bin/redis-server",
        ])?;
        let directory = open_directory();
        let user = unprivileged("nobody", directory.path());
        let port = free_port();
        let text = |text: &str| text.to_owned();
        let mut arguments = vec![
            text("--port"),
            port.to_string(),
            text("--bind"),
            text("127.0.0.1"),
            text("--dir"),
            directory.path().display().to_string(),
            text("--daemonize"),
            text("no"),
        ];
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        let log = directory.path().join("log");
        let mut redis = Self {
            server: Server::new(program, arguments, user, log),
            port,
            _directory: directory,
        };
        redis.restart();
        Some(redis)
    }

    /// Starts it (again) and waits until it answers.
    pub(crate) fn restart(&mut self) {
        self.server.spawn();
        let port = self.port;
        self.server.wait_until("redis", || answers(port));
    }

    pub(crate) fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn ask(&self, command: &str) -> String {
        ask(self.port, command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}

/// Three primaries, and a replica of the first.
pub(crate) struct RedisCluster {
    /// The first three are primaries at first.
    pub(crate) nodes: Vec<Redis>,
}

impl RedisCluster {
    pub(crate) fn start() -> Option<Self> {
        let options = [
            "--save",
            "",
            "--appendonly",
            "no",
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1000",
            "--cluster-replica-validity-factor",
            "0",
            "--repl-diskless-sync-delay",
            "0",
        ];
        let nodes: Option<Vec<_>> = (0..4)
            .map(|_| {
                let bus = free_port().to_string();
                Redis::with(&[&options[..], &["--cluster-port", &bus]].concat())
                    .map(|node| (node, bus))
            })
            .collect();
        let nodes = nodes?;
        let first = (nodes[0].0.port, nodes[0].1.clone());
        for (index, (node, _)) in nodes.iter().enumerate() {
            let epoch = index + 1;
            node.ask(&format!("CLUSTER SET-CONFIG-EPOCH {epoch}"));
            if index > 0 {
                node.ask(&format!("CLUSTER MEET 127.0.0.1 {} {}", first.0, first.1));
            }
        }
        for (index, range) in [(0, 5460), (5461, 10922), (10923, 16383)]
            .iter()
            .enumerate()
        {
            nodes[index]
                .0
                .ask(&format!("CLUSTER ADDSLOTSRANGE {} {}", range.0, range.1));
        }
        let cluster = Self {
            nodes: nodes.into_iter().map(|(node, _)| node).collect(),
        };
        let known = |node: &Redis| node.ask("CLUSTER INFO").contains("cluster_known_nodes:4");
        wait("the cluster's nodes know each other", || {
            cluster.nodes.iter().all(known)
        });
        let primary = cluster.nodes[0].ask("CLUSTER MYID");
        cluster.nodes[3].ask(&format!("CLUSTER REPLICATE {}", primary.trim()));
        let whole = |node: &Redis| node.ask("CLUSTER INFO").contains("cluster_state:ok");
        wait("the cluster is whole", || cluster.nodes.iter().all(whole));
        wait("the replica follows", || {
            cluster.nodes[3]
                .ask("INFO replication")
                .contains("master_link_status:up")
        });
        Some(cluster)
    }

    pub(crate) fn address(&self) -> String {
        let hosts = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port));
        format!("redis-cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }
}

/// A PostgreSQL server with the user and database `keybound`.
pub(crate) struct Postgres {
    pub(crate) server: Server,
    pub(crate) port: u16,
    bin: PathBuf,
    _directory: TempDir,
}

pub(crate) const POSTGRES_PASSWORD: &str = "not-a-secret-of-anybody";

impl Postgres {
    pub(crate) fn start() -> Option<Self> {
        Self::with(&[])
    }

    pub(crate) fn with(settings: &[&str]) -> Option<Self> {
        let bin = postgres_programs()?;
        let directory = open_directory();
        // It refuses to run as root.
        let user = unprivileged("postgres", directory.path());
        let password = directory.path().join("password");
        std::fs::write(&password, POSTGRES_PASSWORD).expect("a file");
        let mut initdb = as_user(&bin.join("initdb"), user);
        let made = initdb
            .args([
                "--username=keybound",
                "--auth=scram-sha-256",
                "--no-sync",
                "--no-locale",
                "--encoding=UTF8",
            ])
            .arg(format!("--pwfile={}", password.display()))
            .arg(directory.path().join("data"))
            .stdin(Stdio::null())
            .output()
            .expect("initdb starts");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = free_port();
        let mut arguments = vec![
            "-D".to_owned(),
            directory.path().join("data").display().to_string(),
            "-p".to_owned(),
            port.to_string(),
        ];
        let defaults = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=60",
        ];
        for setting in defaults.iter().chain(settings) {
            arguments.extend(["-c".to_owned(), (*setting).to_owned()]);
        }
        let log = directory.path().join("log");
        let mut postgres = Self {
            server: Server::new(bin.join("postgres"), arguments, user, log),
            port,
            bin,
            _directory: directory,
        };
        postgres.restart();
        Some(postgres)
    }

    /// Starts it (again) and waits until it takes statements.
    pub(crate) fn restart(&mut self) {
        self.server.spawn();
        let (bin, port) = (self.bin.clone(), self.port.to_string());
        self.server.wait_until("postgres", || {
            let mut ready = Command::new(bin.join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port, "-d", "postgres"]);
            ready.status().is_ok_and(|status| status.success())
        });
    }

    pub(crate) fn address(&self) -> String {
        format!("postgres://keybound@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn ask(&self, sql: &str) -> String {
        let output = Command::new(self.bin.join("psql"))
            .env("PGPASSWORD", POSTGRES_PASSWORD)
            .args([
                "-X",
                "-A",
                "-t",
                "-h",
                "127.0.0.1",
                "-U",
                "keybound",
                "-d",
                "postgres",
            ])
            .args(["-p", &self.port.to_string(), "-c", sql])
            .output()
            .expect("psql starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Postgres {
    /// An asynchronous standby of this server, as Debian's tools make one, that follows it.
    pub(crate) fn standby(&self) -> Self {
        let directory = open_directory();
        let user = unprivileged("postgres", directory.path());
        let data = directory.path().join("data");
        let mut backup = as_user(&self.bin.join("pg_basebackup"), user);
        let made = backup
            .env("PGPASSWORD", POSTGRES_PASSWORD)
            .args(["-h", "127.0.0.1", "-U", "keybound", "-X", "stream", "-R"])
            .args([
                "-c",
                "fast",
                "--no-sync",
                "-p",
                &self.port.to_string(),
                "-D",
            ])
            .arg(&data)
            .stdin(Stdio::null())
            .output()
            .expect("pg_basebackup starts");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = free_port();
        let mut arguments = self.server.arguments.clone();
        arguments[1] = data.display().to_string();
        arguments[3] = port.to_string();
        let log = directory.path().join("log");
        let mut standby = Self {
            server: Server::new(self.bin.join("postgres"), arguments, user, log),
            port,
            bin: self.bin.clone(),
            _directory: directory,
        };
        standby.restart();
        standby
    }

    /// Starts it at another port.
    pub(crate) fn restart_at(&mut self, port: u16) {
        self.server.stop("INT");
        self.port = port;
        self.server.arguments[3] = port.to_string();
        self.restart();
    }
}

/// A certificate for 127.0.0.1 by an authority of its own, made with OpenSSL.
pub(crate) struct Pki {
    directory: TempDir,
}

impl Pki {
    /// The key can be read by the one who runs the server, and nobody else.
    pub(crate) fn make(user: &'static str) -> Option<Self> {
        find(&["/usr/bin/openssl", "/usr/local/bin/openssl"])?;
        let pki = Self {
            directory: open_directory(),
        };
        let new_key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ];
        std::fs::write(pki.path("names"), "subjectAltName=IP:127.0.0.1").expect("a file");
        pki.openssl(
            &[
                &["req", "-x509", "-subj", "/CN=authority", "-days", "2"],
                &new_key[..],
                &["-keyout", "ca.key", "-out", "ca.pem"],
            ]
            .concat(),
        );
        pki.openssl(
            &[
                &["req", "-subj", "/CN=store"],
                &new_key[..],
                &["-keyout", "server.key", "-out", "server.csr"],
            ]
            .concat(),
        );
        pki.openssl(&[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "server.pem",
        ]);
        let key = pki.path("server.key");
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("owned");
        unprivileged(user, Path::new(&key));
        Some(pki)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    pub(crate) fn authority(&self) -> Vec<u8> {
        std::fs::read(self.path("ca.pem")).expect("made just now")
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut openssl = Command::new("openssl");
        openssl.args(arguments).current_dir(self.directory.path());
        let output = openssl
            .stdin(Stdio::null())
            .output()
            .expect("openssl starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// A port nobody listens at.
pub(crate) fn unused_port() -> u16 {
    free_port()
}

/// Waits for something that another process does.
pub(crate) fn wait(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Says that a test did nothing, and why.
#[expect(
    clippy::print_stderr,
    reason = "the only reader is whoever runs the tests"
)]
pub(crate) fn skipped(test: &str, program: &str) {
    eprintln!("{test}: skipped, {program} is not installed");
}

fn answers(port: u16) -> bool {
    match ask(port, "PING") {
        Ok(answer) => answer == "PONG",
        // It is there, and asks who is.
        Err(error) => error.to_string().contains("NOAUTH"),
    }
}

/// One command without spaces in its arguments, and its answer as text.
fn ask(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    if let Some(count) = line.strip_prefix('*') {
        // Elements with their lengths: what is no length is an element.
        let lines = reader.lines().take(2 * count.parse().unwrap_or(0));
        let lines: std::io::Result<Vec<_>> = lines.collect();
        let elements = lines?.into_iter().skip(1).step_by(2);
        return Ok(elements.collect::<Vec<_>>().join("\n"));
    }
    let Some(length) = line.strip_prefix('$') else {
        if line.starts_with('-') {
            return Err(std::io::Error::other(line.to_owned()));
        }
        return Ok(line.get(1..).unwrap_or_default().to_owned());
    };
    let length = length.parse().unwrap_or(0_usize);
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(PathBuf::from).find(|path| path.exists())
}

/// The newest of Debian's versions.
fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
        .collect();
    found.sort();
    found.pop()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn open_directory() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("owned");
    directory
}

/// The user a server runs as where the tests run as root, who then owns the directory.
fn unprivileged(user: &'static str, directory: &Path) -> Option<&'static str> {
    if std::fs::metadata(directory).expect("made just now").uid() != 0 {
        return None;
    }
    let output = Command::new("chown").arg(user).arg(directory).status();
    assert!(output.expect("chown is installed").success());
    Some(user)
}

/// Starts a program as this user, and ends it when the test's thread ends.
fn as_user(program: &Path, user: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(user) = user {
        command.args(["--reuid", user, "--clear-groups", "--no-new-privs"]);
    }
    command.arg(program);
    // Where it may be started from is not its business.
    command.current_dir("/");
    command
}
