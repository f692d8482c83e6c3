//! `keybound serve` with an issuer and a gateway that ask for client certificates, and an upstream.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::pki;
use crate::program::{Ended, Home, Service, free_ports, text};
use crate::serve::ready;

pub(crate) struct World {
    pub(crate) home: Home,
    pub(crate) service: Service,
    pub(crate) issuer_port: u16,
    pub(crate) gateway_port: u16,
    pub(crate) upstream: Upstream,
}

/// What is changed of the usual world.
#[derive(Default)]
pub(crate) struct Setting<'a> {
    /// `[[issuer.client]]` tables without id, auth, scopes and resources.
    pub(crate) clients: &'a [(&'a str, &'a str)],
    /// Lines of `[issuer.tls]` and of `[gateway.tls]`.
    pub(crate) tls: &'a str,
    /// Further tables.
    pub(crate) tables: &'a str,
}

/// An API that takes everything and remembers the heads of requests.
#[derive(Clone, Default)]
pub(crate) struct Upstream(Arc<Mutex<Vec<String>>>);

/// What a client was told.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl World {
    /// Starts everything with the PKI that is in `home`.
    pub(crate) fn start(home: Home, setting: &Setting<'_>) -> Self {
        let base = free_ports(6);
        let (issuer_port, gateway_port) = (base + 4, base + 5);
        let upstream = Upstream::default();
        let origin = upstream.listen();
        let arguments = [
            "init",
            "--upstream",
            &origin,
            "--port-base",
            &base.to_string(),
        ];
        home.run(&arguments).ends_with(0);
        let toml = std::fs::read_to_string(home.path("keybound.toml")).expect("reads");
        let toml = toml
            .replacen(
                "[issuer]\n",
                &format!("[issuer]\nmtls_url = \"https://localhost:{issuer_port}\"\n"),
                1,
            )
            .replacen(
                &format!("url = \"http://127.0.0.1:{}\"", base + 1),
                &format!("url = \"https://localhost:{gateway_port}\""),
                1,
            )
            .replacen(
                "enforcement = \"require\"",
                "enforcement = \"require\"\nbinding_methods = [\"mtls\"]",
                1,
            );
        let tls = |part: &str, port: u16| {
            let files = "certificate = \"pki/server.pem\"\nkey = \"pki/server.key\"";
            format!(
                "[{part}.tls]\nlisten = \"127.0.0.1:{port}\"\n{files}\nclient_certificates = \"optional\"\n{}\n",
                setting.tls
            )
        };
        let clients: String = setting.clients.iter().map(|(id, lines)| {
            format!("[[issuer.client]]\nid = \"{id}\"\nresources = [\"https://localhost:{gateway_port}/\"]\ntls_client_certificate_bound_access_tokens = true\n{lines}\n")
        }).collect();
        let tables = [
            tls("issuer", issuer_port),
            tls("gateway", gateway_port),
            clients,
        ]
        .concat();
        let more = setting.tables;
        home.write("keybound.toml", &format!("{toml}\n{tables}\n{more}\n"));
        let service = home.start(&["serve"]);
        let report = ready(base + 3, "HTTP/1.1 200");
        assert!(
            report.starts_with("HTTP/1.1 200"),
            "{report}\n{}",
            service.log()
        );
        Self {
            home,
            service,
            issuer_port,
            gateway_port,
            upstream,
        }
    }

    /// A token request of a client on a connection with this certificate; none if the handshake
    /// fails.
    pub(crate) fn ask_token(&self, client: &str, certificate: Option<&str>) -> Option<Answer> {
        let url = format!("https://localhost:{}/token", self.issuer_port);
        let form = [
            "--data",
            "grant_type=client_credentials",
            "--data",
            &format!("client_id={client}"),
        ];
        self.curl(&url, certificate, &form)
    }

    /// The token of a client that must get one.
    #[track_caller]
    pub(crate) fn token(&self, client: &str, certificate: &str) -> String {
        let answer = self.ask_token(client, Some(certificate));
        let answer = answer.unwrap_or_else(|| panic!("no handshake\n{}", self.service.log()));
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.service.log());
        assert_eq!(answer.body["token_type"], "Bearer");
        answer.body["access_token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }

    /// A request at the gateway; none if the handshake fails.
    pub(crate) fn call(
        &self,
        token: &str,
        certificate: Option<&str>,
        more: &[&str],
    ) -> Option<Answer> {
        let url = format!("https://localhost:{}/things", self.gateway_port);
        let authorization = format!("Authorization: Bearer {token}");
        self.curl(
            &url,
            certificate,
            &[&["--header", &authorization], more].concat(),
        )
    }

    /// One request by `curl`; none if there was no answer, as when the handshake fails.
    pub(crate) fn curl(
        &self,
        url: &str,
        certificate: Option<&str>,
        more: &[&str],
    ) -> Option<Answer> {
        let mut command = Command::new("curl");
        command
            .args([
                "--silent",
                "--show-error",
                "--noproxy",
                "*",
                "--max-time",
                "20",
                "--include",
                "--http1.1",
            ])
            .args([
                "--resolve",
                &format!("localhost:{}:127.0.0.1", self.issuer_port),
            ])
            .args([
                "--resolve",
                &format!("localhost:{}:127.0.0.1", self.gateway_port),
            ])
            .args(["--cacert", text(&pki::file(&self.home, "ca", "pem"))]);
        if let Some(name) = certificate {
            let key = self.key_of(name);
            command.args([
                "--cert",
                text(&pki::file(&self.home, name, "pem")),
                "--key",
                text(&pki::file(&self.home, key, "key")),
            ]);
        }
        let output = command
            .args(more)
            .arg(url)
            .output()
            .expect("curl is installed");
        if !output.status.success() {
            return None;
        }
        let all = String::from_utf8_lossy(&output.stdout).into_owned();
        let (head, body) = all.split_once("\r\n\r\n").expect("has a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Some(Answer {
            status: status.expect("has a status"),
            head: head.to_ascii_lowercase(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        })
    }

    /// `NAME` or, for a certificate with another's key, what is before its first dot.
    fn key_of<'n>(&self, name: &'n str) -> &'n str {
        if pki::file(&self.home, name, "key").exists() {
            return name;
        }
        name.split('.').next().unwrap_or(name)
    }

    /// A command of the operator.
    pub(crate) fn operator(&self, arguments: &[&str]) -> Ended {
        self.home
            .run(&[arguments, &["--profile", "admin.toml"]].concat())
    }

    /// The stored events of a kind that fit, once there are any.
    pub(crate) fn events(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        for _ in 0..500 {
            let tail = [
                "events",
                "tail",
                "--no-follow",
                "--after",
                "0",
                "--json",
                "--kind",
                kind,
            ];
            let ended = self.operator(&tail).ends_with(0);
            let events = ended.stdout.lines();
            let events = events.map(|line| serde_json::from_str(line).expect("JSON"));
            let found: Vec<Value> = events.filter(&fits).collect();
            if !found.is_empty() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Vec::new()
    }
}

impl Answer {
    /// Refused in the words of a resource server.
    #[track_caller]
    pub(crate) fn is_refused_at_the_gateway(&self) {
        assert_eq!(self.status, 401, "{self:?}");
        assert!(
            self.head
                .contains("www-authenticate: bearer error=\"invalid_token\""),
            "{self:?}"
        );
    }
}

impl Upstream {
    fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("has an address"));
        let heads = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                heads.serve(stream);
            }
        });
        origin
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(read) => head.extend_from_slice(&buffer[..read]),
            }
        }
        self.lock()
            .push(String::from_utf8_lossy(&head).into_owned());
        drop(stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"ok\":true}",
        ));
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
