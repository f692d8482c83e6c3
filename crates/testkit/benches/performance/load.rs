//! Load over loopback, a server of keys, and CPU time of other processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keybound_custody::SoftwareKey;
use keybound_proto::jose::Signer;
use serde_json::{Value, json};

/// Serves an issuer's metadata and keys. Lives as long as the program.
pub(crate) struct KeyServer {
    pub(crate) url: String,
}

impl KeyServer {
    pub(crate) fn start(key: &SoftwareKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut jwk: Value = serde_json::from_str(&key.public_key().to_jwk()).expect("a JWK");
        jwk["kid"] = json!("kb-1");
        let keys = json!({"keys": [jwk]}).to_string();
        let metadata = json!({"issuer": url, "jwks_uri": format!("{url}/jwks"), "token_endpoint": format!("{url}/token")});
        let metadata = metadata.to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let body = if request_line(&stream).contains("/jwks") {
                    &keys
                } else {
                    &metadata
                };
                answer(stream, body);
            }
        });
        Self { url }
    }
}

/// Answers every request with a short body, one thread a connection.
pub(crate) fn start_upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve_upstream(stream));
        }
    });
    address
}

fn serve_upstream(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("a TCP socket");
    let mut buffer = vec![0; 16_384];
    let mut held = 0;
    while let Ok(length) = stream.read(&mut buffer[held..]) {
        if length == 0 {
            return;
        }
        held += length;
        if buffer[..held].ends_with(b"\r\n\r\n") {
            held = 0;
            let reply =
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok";
            if stream.write_all(reply).is_err() {
                return;
            }
        }
    }
}

fn request_line(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    let _ = reader.read_line(&mut first);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    first
}

fn answer(mut stream: TcpStream, body: &str) {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body.as_bytes());
}

/// This program again, in another role, as a process of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(role: &str, arguments: &[String]) -> Self {
        let program = std::env::current_exe().expect("this program");
        Self::announced(Command::new(program).args(["--role", role]).args(arguments))
    }

    /// A program that prints its address as the first line.
    pub(crate) fn announced(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("an address");
        let address = line.trim().parse().expect("an address");
        Self { child, address }
    }

    /// A program that is running already and will listen at this address.
    pub(crate) const fn of(child: Child, address: SocketAddr) -> Self {
        Self { child, address }
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// User and system time so far, in seconds, of the process and its children.
    pub(crate) fn cpu(&self) -> f64 {
        let own = self.child.id();
        let children = children_of(own);
        cpu_of(own) + children.into_iter().map(cpu_of).sum::<f64>()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server with workers ends them itself when it is asked to end; killed, it would leave them.
        let children = children_of(self.child.id());
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        for child in children {
            let _ = Command::new("kill")
                .args(["-9", &child.to_string()])
                .status();
        }
    }
}

/// Resident memory of a process, KiB.
pub(crate) fn resident(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a live process");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a resident size");
    line.split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("a number")
}

/// User and system time of a process, in seconds: fields 14 and 15 of its stat line, in ticks of
/// 1/100 s as Linux reports them to programs.
pub(crate) fn cpu_of(id: u32) -> f64 {
    let fields = stat_of(id).expect("a live process");
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

/// The fields of a process's stat line after its name, which may hold anything.
fn stat_of(id: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let after_name = text.rsplit_once(')')?.1;
    Some(after_name.split_whitespace().map(str::to_owned).collect())
}

fn children_of(parent: u32) -> Vec<u32> {
    let parent = parent.to_string();
    let is_child = |id: u32| stat_of(id).is_some_and(|fields| fields.get(1) == Some(&parent));
    std::fs::read_dir("/proc")
        .expect("Linux")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| is_child(*id))
        .collect()
}

/// Sends each request once over `connections` kept connections and checks every status.
/// Returns how many were answered 200.
pub(crate) fn send_all(
    address: SocketAddr,
    requests: &Arc<Vec<String>>,
    connections: usize,
) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let good = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let (requests, next, good) =
                (Arc::clone(requests), Arc::clone(&next), Arc::clone(&good));
            std::thread::spawn(move || worker(address, &requests, &next, &good))
        })
        .collect();
    for worker in workers {
        worker.join().expect("a worker finishes");
    }
    good.load(Ordering::SeqCst)
}

fn worker(address: SocketAddr, requests: &[String], next: &AtomicUsize, good: &AtomicUsize) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a TCP socket");
    let mut buffer = vec![0; 65_536];
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        stream
            .write_all(request.as_bytes())
            .expect("the server reads");
        let mut held = 0;
        loop {
            let length = stream.read(&mut buffer[held..]).expect("an answer");
            assert!(length > 0, "the server closed");
            held += length;
            if is_whole(&buffer[..held]) {
                break;
            }
        }
        if buffer.starts_with(b"HTTP/1.1 200") {
            good.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether the head and as many bytes as it announces are there.
pub(crate) fn is_whole(text: &[u8]) -> bool {
    let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&text[..end]).to_ascii_lowercase();
    let length = head
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse::<usize>().ok());
    match length {
        Some(length) => text.len() >= end + 4 + length,
        None => text.ends_with(b"0\r\n\r\n"),
    }
}
