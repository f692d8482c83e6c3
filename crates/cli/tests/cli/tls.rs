//! TLS listeners and certificate headers as configured: what is refused before the start, and
//! a real client against `keybound serve`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use crate::program::{Ended, Home, free_ports, http, text};
use crate::serve::ready;

/// A home with `keybound init` done, certificates, and the file changed.
fn home(port: u16, change: impl FnOnce(String) -> String) -> Home {
    let home = Home::new();
    home.run(&["init", "--port-base", &port.to_string()])
        .ends_with(0);
    for (name, signed_by, extension) in [
        ("ca", None, "basicConstraints=critical,CA:true"),
        (
            "server",
            Some("ca"),
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ),
        ("client", Some("ca"), "extendedKeyUsage=clientAuth"),
        ("other-ca", None, "basicConstraints=critical,CA:true"),
        ("stranger", Some("other-ca"), "extendedKeyUsage=clientAuth"),
    ] {
        certificate(&home, name, signed_by, extension);
    }
    let toml = fs::read_to_string(home.path("keybound.toml")).expect("reads");
    home.write("keybound.toml", &change(toml));
    home
}

fn certificate(home: &Home, name: &str, signed_by: Option<&str>, extension: &str) {
    let mut command = Command::new("openssl");
    command
        .current_dir(home.path("."))
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-noenc", "-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", extension])
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ]);
    if let Some(ca) = signed_by {
        command.args(["-CA", &format!("{ca}.pem"), "-CAkey", &format!("{ca}.key")]);
        // Otherwise `req -x509` makes an authority of every certificate.
        command.args(["-addext", "basicConstraints=critical,CA:false"]);
    }
    let output = command.output().expect("openssl is installed");
    assert!(output.status.success(), "{output:?}");
}

/// Adds lines to the table `[gateway]`.
fn in_gateway(toml: &str, lines: &str) -> String {
    toml.replacen("[gateway]\n", &format!("[gateway]\n{lines}\n"), 1)
}

/// Adds tables at the end.
fn with(toml: String, tables: &str) -> String {
    format!("{toml}\n{tables}\n")
}

const TLS: &str = "[gateway.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";

fn curl(home: &Home, port: u16, path: &str, more: &[&str]) -> Ended {
    let url = format!("https://localhost:{port}{path}");
    let ca = home.path("ca.pem");
    let output = Command::new("curl")
        .current_dir(home.path("."))
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
        ])
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .args(["--cacert", text(&ca)])
        .args(more)
        .arg(url)
        .output()
        .expect("curl is installed");
    Ended {
        code: output.status.code().expect("ends by itself"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn sc_168_what_would_trust_nobody_or_everybody_is_refused_before_the_start() {
    let asks = |more: &str| format!("{TLS}client_certificates = \"required\"\n{more}");
    for (tables, key, says) in [
        (asks("client_ca = \"missing.pem\""), "gateway.tls.client_ca", "cannot read"),
        (asks("client_ca = \"server.key\""), "gateway.tls.client_ca", "holds no certificate"),
        (asks("client_ca = \"ca.pem\"\nclient_crl = [\"other-ca.pem\"]"), "gateway.tls.client_crl", "revocation list"),
        (asks("client_crl = [\"x.crl\"]"), "gateway.tls.client_crl", "add `client_ca`"),
        (format!("{TLS}client_ca = \"ca.pem\""), "gateway.tls", "does not ask for"),
        (TLS.replace("server.key", "client.key"), "gateway.tls.key", "is not the key of"),
        (TLS.replace("server.pem", "missing.pem"), "gateway.tls.certificate", "cannot read"),
        ("[gateway.certificate_header]\nprofile = \"nginx\"\npeers = []".to_owned(), "gateway.certificate_header.peers", "is empty"),
        ("[gateway.certificate_header]\nprofile = \"nginx\"\npeers = [\"10.0.0.1/8\"]".to_owned(), "gateway.certificate_header.peers[0]", "behind its prefix"),
        ("[gateway.certificate_header]\nprofile = \"nginx\"\npeers = [\"localhost\"]".to_owned(), "gateway.certificate_header.peers[0]", "not an address"),
        ("[gateway.certificate_header]\nprofile = \"aws-alb-passthrough\"\npeers = [\"10.0.0.0/8\"]".to_owned(), "aws-alb-passthrough", "nobody has verified"),
    ] {
        let home = home(20_000, |toml| with(toml, &tables));
        for command in [["config", "validate"].as_slice(), &["serve"]] {
            let ended = home.run(command).ends_with(2);
            assert!(ended.stderr.contains(key) && ended.stderr.contains(says), "{ended:?}");
        }
    }
    let exposed = home(20_000, |toml| with(toml, TLS));
    let mode = fs::Permissions::from_mode(0o644);
    fs::set_permissions(exposed.path("server.key"), mode).expect("mode");
    let ended = exposed.run(&["config", "validate"]).ends_with(2);
    assert!(
        ended.stderr.contains("gateway.tls.key") && ended.stderr.contains("0644"),
        "{ended:?}"
    );
}

#[test]
fn off_loopback_needs_tls_or_a_word_that_says_unsafe() {
    for (lines, tables, key) in [
        ("listen = \"0.0.0.0:0\"", "", Some("gateway.listen")),
        ("listen = \"none\"", "", Some("would listen nowhere")),
        ("listen = \"0.0.0.0:0\"", TLS, Some("gateway.listen")),
        ("listen = \"none\"", TLS, None),
        (
            "unsafe_plain_off_loopback = true\nlisten = \"0.0.0.0:0\"",
            "",
            None,
        ),
    ] {
        let home = home(20_000, |toml| {
            let start = toml.find("[gateway]").expect("has a gateway");
            let (before, after) = toml.split_at(start);
            let after: Vec<&str> = after.lines().collect();
            let mut listens = 0;
            let kept: Vec<&str> = after
                .into_iter()
                .filter(|line| {
                    listens += u8::from(line.starts_with("listen ="));
                    !(line.starts_with("listen =") && listens == 1)
                })
                .collect();
            with(
                format!("{before}{}", in_gateway(&kept.join("\n"), lines)),
                tables,
            )
        });
        let ended = home.run(&["config", "validate"]);
        match key {
            Some(key) => {
                let ended = ended.ends_with(2);
                assert!(ended.stderr.contains(key), "{lines}: {ended:?}");
            }
            None => {
                ended.ends_with(0);
            }
        }
    }
}

#[test]
fn clients_come_in_with_their_certificate_and_the_authorities_can_be_changed() {
    let base = free_ports(6);
    let port = base + 5;
    let home = home(base, |toml| {
        let url = format!("url = \"http://127.0.0.1:{}\"", base + 1);
        let toml = toml.replacen(&url, &format!("url = \"https://localhost:{port}\""), 1);
        let tls = format!(
            "{TLS}listen = \"127.0.0.1:{port}\"\nclient_certificates = \"required\"\nclient_ca = \"trusted.pem\"\n"
        );
        with(toml, &tls)
    });
    fs::copy(home.path("ca.pem"), home.path("trusted.pem")).expect("copies");
    let service = home.start(&["serve"]);
    let report = ready(base + 3, "HTTP/1.1 200");
    assert!(
        report.contains("gateway.tls"),
        "{report}\n{}",
        service.log()
    );
    let path = "/.well-known/oauth-protected-resource";
    let as_client = ["--cert", "client.pem", "--key", "client.key"];
    let as_stranger = ["--cert", "stranger.pem", "--key", "stranger.key"];
    assert_ne!(curl(&home, port, path, &[]).code, 0);
    assert_ne!(curl(&home, port, path, &as_stranger).code, 0);
    let served = curl(&home, port, path, &as_client).ends_with(0);
    assert!(
        served.stdout.contains("authorization_servers"),
        "{served:?}"
    );

    fs::copy(home.path("other-ca.pem"), home.path("trusted.pem")).expect("copies");
    service.signal("HUP");
    // The signal is on its way.
    let mut stranger = curl(&home, port, path, &as_stranger);
    for _ in 0..100 {
        if stranger.code == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        stranger = curl(&home, port, path, &as_stranger);
    }
    assert_eq!(stranger.code, 0, "{stranger:?}\n{}", service.log());
    assert_ne!(curl(&home, port, path, &as_client).code, 0);
    assert_eq!(service.stop(), 0);
}

#[test]
fn certificate_fields_of_strangers_become_an_event() {
    let base = free_ports(4);
    let home = home(base, |toml| {
        with(
            toml,
            "[gateway.certificate_header]\nprofile = \"nginx\"\npeers = [\"10.9.8.0/24\"]",
        )
    });
    let service = home.start(&["serve"]);
    let report = ready(base + 3, "HTTP/1.1 200");
    assert!(
        report.starts_with("HTTP/1.1 200"),
        "{report}\n{}",
        service.log()
    );
    let gateway = format!("127.0.0.1:{}", base + 1);
    let forged = "X-Ssl-Client-Verify: SUCCESS\r\nX-Ssl-Client-Escaped-Cert: evil\r\n";
    for _ in 0..3 {
        let answer = http(&gateway, "GET", "/things", forged);
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    let tail = [
        "events",
        "tail",
        "--no-follow",
        "--after",
        "0",
        "--json",
        "--profile",
        "admin.toml",
    ];
    let mut seen = home.run(&tail).ends_with(0).stdout;
    for _ in 0..600 {
        if seen.contains("certificate_header_ignored") {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        seen = home.run(&tail).ends_with(0).stdout;
    }
    let line = seen
        .lines()
        .find(|line| line.contains("certificate_header_ignored"))
        .unwrap_or_else(|| panic!("{seen}\n{}", service.log()));
    assert!(line.contains("\"peer\":\"127.0.0.1:"), "{line}");
    assert_eq!(service.stop(), 0);
}
