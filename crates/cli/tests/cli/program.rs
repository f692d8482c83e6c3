//! Running `keybound`: a home directory per test, free ports, answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A user's machine: nothing of the real one is seen or touched.
pub(crate) struct Home {
    directory: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A `keybound dev` or `keybound serve` that runs until dropped.
pub(crate) struct Service {
    child: Child,
    stderr: PathBuf,
}

/// A `keybound dev` that is ready.
pub(crate) struct Dev {
    pub(crate) addresses: Value,
    pub(crate) service: Service,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("writes a file");
        path
    }

    /// A command with nothing of this machine's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keybound"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.directory.path())
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        ended(&self.command(arguments).output().expect("runs"))
    }

    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command(arguments);
        ended(
            &command
                .envs(variables.iter().copied())
                .output()
                .expect("runs"),
        )
    }

    /// Runs with text on standard input.
    pub(crate) fn feed(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("has a standard input");
        stdin.write_all(input.as_bytes()).expect("takes the input");
        drop(stdin);
        ended(&child.wait_with_output().expect("ends"))
    }

    /// Starts a service with its stderr in a file.
    pub(crate) fn start(&self, arguments: &[&str]) -> Service {
        let stderr = self.path("service.log");
        let log = std::fs::File::create(&stderr).expect("makes a log file");
        let child = self
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("starts");
        Service { child, stderr }
    }

    /// Starts `keybound dev` on free ports and waits until it is ready.
    pub(crate) fn dev(&self) -> Dev {
        let base = free_ports(5).to_string();
        let mut service = self.start(&["dev", "--json", "--port-base", &base]);
        let addresses = service.first_document();
        Dev { addresses, service }
    }
}

impl Service {
    /// The JSON document that the service prints when it is ready.
    pub(crate) fn first_document(&mut self) -> Value {
        let stdout = self.child.stdout.take().expect("has a standard output");
        let mut text = String::new();
        for line in BufReader::new(stdout).lines() {
            let line = line.expect("is text");
            text.push_str(&line);
            if line == "}" {
                return serde_json::from_str(&text).expect("is JSON");
            }
        }
        panic!("the service ended before it was ready: {}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.expect("runs kill").success());
    }

    /// Asks to stop and waits; the exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal("TERM");
        let status = self.child.wait().expect("ends");
        status.code().expect("ends by itself")
    }

    /// Waits for the end; the exit code.
    pub(crate) fn wait(mut self) -> i32 {
        self.child
            .wait()
            .expect("ends")
            .code()
            .expect("ends by itself")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Dev {
    /// An address below one of the parts.
    pub(crate) fn url(&self, part: &str, path: &str) -> String {
        format!(
            "{}{path}",
            self.addresses[part].as_str().expect("is in the document")
        )
    }

    /// Plain HTTP to one of the parts: status line, headers and body.
    pub(crate) fn http(&self, part: &str, method: &str, path: &str, headers: &str) -> String {
        let origin = self.addresses[part].as_str().expect("is in the document");
        http(origin.trim_start_matches("http://"), method, path, headers)
    }
}

impl Ended {
    /// The one JSON document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The failure on stderr, in JSON mode.
    pub(crate) fn failure(&self) -> Value {
        let last = self.stderr.lines().last().unwrap_or_default();
        let document: Value =
            serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        document["error"].clone()
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// The first of `count` neighbouring ports that nobody listens on now.
pub(crate) fn free_ports(count: u16) -> u16 {
    // Ports the system gives out are spread; the ones above are likely free,
    // and are tried before they are used.
    for _ in 0..100 {
        let any = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = any.local_addr().expect("has an address").port();
        drop(any);
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if base < 65_000 && (base..base + count).all(free) {
            return base;
        }
    }
    panic!("no {count} neighbouring ports are free");
}

/// One plain HTTP/1.1 exchange on a connection of its own.
pub(crate) fn http(address: &str, method: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("takes a limit");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    answer
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("is text")
}

fn ended(output: &Output) -> Ended {
    Ended {
        code: output.status.code().expect("ends by itself"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
