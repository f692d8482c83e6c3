//! Connections that live longer than one request: expiry, resumption, and names of hosts, with
//! `openssl s_client`.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::pki::{self, Wanted};
use super::world::{Setting, World};
use crate::program::{Home, text};

/// Another process cannot be awaited in any other way than by asking again.
const ATTEMPTS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(20);

/// One connection of `openssl s_client`.
struct Connection {
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Mutex<String>>,
}

impl Connection {
    fn open(world: &World, port: u16, certificate: &str, more: &[&str]) -> Self {
        let home = &world.home;
        let mut child = Command::new("openssl")
            .args(["s_client", "-connect", &format!("127.0.0.1:{port}")])
            .args(["-CAfile", text(&pki::file(home, "ca", "pem"))])
            .args(["-cert", text(&pki::file(home, certificate, "pem"))])
            .args(["-key", text(&pki::file(home, certificate, "key"))])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let output = Arc::new(Mutex::new(String::new()));
        let (mut stdout, seen) = (child.stdout.take().expect("piped"), Arc::clone(&output));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..read]);
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&text);
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            output,
        }
    }

    fn seen(&self) -> String {
        self.output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends a request; the status of its answer, none once the connection has ended.
    fn ask(&mut self, request: &str) -> Option<u16> {
        let before = statuses(&self.seen()).len();
        let input = self.input.as_mut().expect("is open");
        if input
            .write_all(request.as_bytes())
            .and_then(|()| input.flush())
            .is_err()
        {
            return None;
        }
        for _ in 0..ATTEMPTS {
            if let Some(status) = statuses(&self.seen()).get(before) {
                return Some(*status);
            }
            if self.child.try_wait().expect("can be asked").is_some() {
                return statuses(&self.seen()).get(before).copied();
            }
            std::thread::sleep(PAUSE);
        }
        panic!("no answer: {}", self.seen())
    }

    /// Waits until the server has ended the connection.
    fn ends(&mut self) -> bool {
        for _ in 0..ATTEMPTS {
            if self.child.try_wait().expect("can be asked").is_some() {
                return true;
            }
            std::thread::sleep(PAUSE);
        }
        false
    }

    fn has_said(&self, wanted: &str) -> bool {
        (0..ATTEMPTS).any(|_| {
            let found = self.seen().contains(wanted);
            if !found {
                std::thread::sleep(PAUSE);
            }
            found
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Every status line so far.
fn statuses(text: &str) -> Vec<u16> {
    let answers = text.split("HTTP/1.1 ").skip(1);
    answers
        .filter_map(|answer| answer.get(..3)?.parse().ok())
        .collect()
}

const CLIENT: &str = "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_subject_dn = \"CN=batch\"";

fn get(host: &str, token: &str) -> String {
    format!("GET /things HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// Whole seconds of validity: the certificate is in force when the connection is made.
#[test]
fn sc_171_the_request_after_the_certificates_end_is_refused_and_the_connection_ends() {
    let home = Home::new();
    pki::begin(&home);
    let batch = Wanted::client("/CN=batch");
    // Not the test's time limit: only what passes until the server is up must fit.
    let brief = Wanted {
        validity: ["1 day ago", "12 seconds"],
        ..batch
    };
    pki::make(&home, "batch", brief);
    let world = World::start(
        home,
        &Setting {
            clients: &[("batch", CLIENT)],
            ..Setting::default()
        },
    );
    let token = world.token("batch", "batch");
    let host = format!("localhost:{}", world.gateway_port);
    let quiet = ["-quiet", "-servername", "localhost"];
    let mut connection = Connection::open(&world, world.gateway_port, "batch", &quiet);
    assert_eq!(
        connection.ask(&get(&host, &token)),
        Some(200),
        "{}",
        connection.seen()
    );
    let mut served = 1;
    let refused = loop {
        match connection.ask(&get(&host, &token)) {
            Some(200) => served += 1,
            other => break other,
        }
        assert!(served < 2_000, "the certificate ended long ago");
        std::thread::sleep(PAUSE);
    };
    assert_eq!(refused, Some(401), "{}", connection.seen());
    // A request under way at that very moment may be refused by the gateway instead of by the
    // listener, which then ends the connection with the next one.
    if !connection.seen().contains("connection: close") {
        assert_eq!(connection.ask(&get(&host, &token)), Some(401));
    }
    assert!(connection.ends(), "{}", connection.seen());
    // Nobody gets in with it either, nor a new token.
    assert!(world.call(&token, Some("batch"), &[]).is_none());
    assert!(world.ask_token("batch", Some("batch")).is_none());
}

#[test]
fn sc_167_the_name_in_the_handshake_the_host_and_the_listener_are_one() {
    let home = Home::new();
    pki::begin(&home);
    pki::make(&home, "batch", Wanted::client("/CN=batch"));
    let world = World::start(
        home,
        &Setting {
            clients: &[("batch", CLIENT)],
            ..Setting::default()
        },
    );
    let token = world.token("batch", "batch");
    let (issuer, gateway) = (world.issuer_port, world.gateway_port);
    let own = |port: u16| format!("localhost:{port}");
    for (port, name, host) in [
        (gateway, "localhost", "elsewhere.example".to_owned()),
        (gateway, "elsewhere.example", own(gateway)),
        (gateway, "localhost", own(issuer)),
        (issuer, "localhost", own(gateway)),
        (issuer, "elsewhere.example", own(issuer)),
    ] {
        let more = ["-quiet", "-servername", name];
        let mut connection = Connection::open(&world, port, "batch", &more);
        let status = connection.ask(&get(&host, &token));
        assert_eq!(
            status,
            Some(421),
            "{name} and {host} at {port}: {}",
            connection.seen()
        );
    }
    assert!(world.upstream.heads().is_empty());
    let mut connection = Connection::open(
        &world,
        gateway,
        "batch",
        &["-quiet", "-servername", "localhost"],
    );
    assert_eq!(connection.ask(&get(&own(gateway), &token)), Some(200));
}

/// A session of one listener is none at the other, nor at the same one: each connection proves
/// its certificate.
#[test]
fn sc_166_no_session_stands_in_for_a_handshake() {
    let home = Home::new();
    pki::begin(&home);
    pki::make(&home, "batch", Wanted::client("/CN=batch"));
    pki::make(&home, "rival", Wanted::client("/CN=rival"));
    let world = World::start(
        home,
        &Setting {
            clients: &[("batch", CLIENT)],
            ..Setting::default()
        },
    );
    let token = world.token("batch", "batch");
    let host = format!("localhost:{}", world.gateway_port);
    for version in ["-tls1_2", "-tls1_3"] {
        let kept = world.home.path(&format!("session{version}"));
        let kept = text(&kept);
        for port in [world.issuer_port, world.gateway_port] {
            let more = [
                "-servername",
                "localhost",
                version,
                "-ign_eof",
                "-sess_out",
                kept,
            ];
            let mut first = Connection::open(&world, port, "batch", &more);
            assert!(first.has_said("New, TLS"), "{}", first.seen());
            // After an answer, every ticket there is has come.
            first.ask(&get(&format!("localhost:{port}"), &token));
            drop(first);
            if !std::path::Path::new(kept).exists() {
                continue;
            }
            let more = [
                "-servername",
                "localhost",
                version,
                "-ign_eof",
                "-sess_in",
                kept,
            ];
            let mut again = Connection::open(&world, world.gateway_port, "rival", &more);
            assert!(again.has_said("New, TLS"), "{}", again.seen());
            assert_eq!(
                again.ask(&get(&host, &token)),
                Some(401),
                "{}",
                again.seen()
            );
        }
    }
}
