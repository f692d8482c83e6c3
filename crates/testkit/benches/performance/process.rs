//! The released program: cold start and idle memory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load::resident;
use crate::row::{median, print_absolute};

const PORT_BASE: u16 = 19_400;

pub(crate) fn run(program: &Path) {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    // The first start makes keys and the database; the later ones are restarts.
    drop(Running::start(program, directory.path()));
    let mut starts = Vec::new();
    let mut memory = 0.0;
    for _ in 0..5 {
        let begin = Instant::now();
        let running = Running::start(program, directory.path());
        starts.push(begin.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_secs(2));
        memory = resident(running.0.id()) / 1024.0;
    }
    let start = median(starts);
    print_absolute(
        "cold start to ready, issuer, gateway, control and demo upstream",
        "ms",
        start,
        ("under 100 ms", start < 100.0),
    );
    print_absolute(
        "idle memory, issuer, gateway, control and demo upstream",
        "MiB",
        memory,
        ("under 48 MiB", memory < 48.0),
    );
}

struct Running(Child);

impl Running {
    /// Starts `keybound dev` and waits until it says it is ready.
    fn start(program: &Path, directory: &Path) -> Self {
        let child = Command::new(program)
            .args([
                "dev",
                "--quiet",
                "--port-base",
                &PORT_BASE.to_string(),
                "--data-dir",
            ])
            .arg(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_ready() {
            assert!(
                Instant::now() < deadline,
                "the program does not become ready"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_ready() -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], PORT_BASE + 3));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) else {
        return false;
    };
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
