//! `keybound init && keybound serve`.

use std::time::Duration;

use crate::program::{Home, free_ports, http};

/// Another process cannot be awaited in any other way than by asking again.
const ATTEMPTS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until a management listener answers, and until `/readyz` says `wanted`.
pub(crate) fn ready(port: u16, wanted: &str) -> String {
    let address = format!("127.0.0.1:{port}");
    let mut answer = String::new();
    for _ in 0..ATTEMPTS {
        if std::net::TcpStream::connect(&address).is_ok() {
            answer = http(&address, "GET", "/readyz?verbose", "");
        }
        if answer.starts_with(wanted) {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    answer
}

#[test]
fn a_missing_upstream_is_a_warning_and_then_502() {
    let home = Home::new();
    let base = free_ports(4);
    // A port below 1024 that no other test can be given meanwhile.
    let upstream = "http://127.0.0.1:1".to_owned();
    home.run(&[
        "init",
        "--port-base",
        &base.to_string(),
        "--upstream",
        &upstream,
    ])
    .ends_with(0);
    home.run(&["key", "new", "--out", "me.pem"]).ends_with(0);
    let set = home.run(&["key", "show", "me.pem", "--jwks"]).stdout;
    home.write("clients/me.jwks.json", &set);
    let gateway = format!("http://127.0.0.1:{}", base + 1);
    let mut toml = std::fs::read_to_string(home.path("keybound.toml")).expect("reads");
    toml.push_str(&format!(
        "\n[[issuer.client]]\nid = \"me\"\nauth = \"private_key_jwt\"\njwks = \"clients/me.jwks.json\"\nresources = [\"{gateway}/\"]\n"
    ));
    home.write("keybound.toml", &toml);
    let issuer = format!("http://127.0.0.1:{base}");
    home.write(
        "me.toml",
        &format!("issuer = \"{issuer}\"\nclient_id = \"me\"\nkey = \"file:me.pem\"\n"),
    );

    let service = home.start(&["serve"]);
    let report = ready(base + 3, "HTTP/1.1 200");
    assert!(
        report.starts_with("HTTP/1.1 200"),
        "{report}\n{}",
        service.log()
    );
    home.run(&["request", "GET", &format!("{gateway}/things")])
        .ends_with(3);
    let ended = home
        .run(&[
            "request",
            "GET",
            &format!("{gateway}/things"),
            "--profile",
            "me.toml",
        ])
        .ends_with(8);
    assert!(ended.stderr.contains("502"), "{ended:?}");
    let warned = || service.log().contains("nobody answers at the upstream");
    // The warning comes a moment after the start, which a quick machine is ahead of.
    for _ in 0..250 {
        if warned() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(warned(), "{}", service.log());
    let events = home
        .run(&[
            "events",
            "tail",
            "--no-follow",
            "--after",
            "0",
            "--profile",
            "admin.toml",
        ])
        .ends_with(0);
    assert!(events.stdout.contains("token issued"), "{events:?}");
    assert_eq!(service.stop(), 0);
}

#[test]
fn an_unreachable_issuer_lets_the_gateway_start_and_shows_in_readiness() {
    let home = Home::new();
    let base = free_ports(4);
    home.run(&["init", "--port-base", &base.to_string()])
        .ends_with(0);
    // The gateway alone, as on a machine of its own.
    let toml = std::fs::read_to_string(home.path("keybound.toml")).expect("reads");
    let gateway = toml.find("[gateway]").expect("has a gateway");
    let control = toml.find("[control]").expect("has control");
    let management = toml.find("[management]").expect("has management");
    let issuer = format!("issuer = \"http://127.0.0.1:{base}\"\n");
    let alone = toml[gateway..control].replace(
        "client_id = \"gateway-1\"\n",
        &format!("client_id = \"gateway-1\"\n{issuer}"),
    );
    home.write("keybound.toml", &format!("{alone}{}", &toml[management..]));

    let service = home.start(&["serve"]);
    let report = ready(base + 3, "HTTP/1.1 503");
    assert!(
        report.starts_with("HTTP/1.1 503"),
        "{report}\n{}",
        service.log()
    );
    assert!(
        report.contains(&format!("[-] gateway.keys http://127.0.0.1:{base}")),
        "{report}"
    );
    let answer = http(&format!("127.0.0.1:{}", base + 1), "GET", "/", "");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!(service.stop(), 0);
}

#[test]
fn an_occupied_port_ends_with_9() {
    let home = Home::new();
    let base = free_ports(4);
    home.run(&["init", "--port-base", &base.to_string()])
        .ends_with(0);
    let holder = std::net::TcpListener::bind(("127.0.0.1", base)).expect("listens");
    let ended = home.run(&["serve"]).ends_with(9);
    drop(holder);
    assert!(
        ended.stderr.contains("issuer") && ended.stderr.contains("in use"),
        "{ended:?}"
    );
}

#[test]
fn the_wrong_key_for_the_store_is_refused() {
    let home = Home::new();
    let base = free_ports(4);
    home.run(&["init", "--port-base", &base.to_string()])
        .ends_with(0);
    let service = home.start(&["serve"]);
    ready(base + 3, "HTTP/1.1 200");
    assert_eq!(service.stop(), 0);
    home.run(&["init", "elsewhere"]).ends_with(0);
    std::fs::copy(home.path("elsewhere/secrets/kek"), home.path("secrets/kek")).expect("copies");
    let ended = home.run(&["serve"]).ends_with(9);
    assert!(ended.stderr.contains("key"), "{ended:?}");
}

#[test]
fn hang_up_is_answered_and_does_not_stop_anything() {
    let home = Home::new();
    let base = free_ports(4);
    home.run(&["init", "--port-base", &base.to_string()])
        .ends_with(0);
    let service = home.start(&["serve"]);
    ready(base + 3, "HTTP/1.1 200");
    service.signal("HUP");
    for _ in 0..ATTEMPTS {
        if service.log().contains("SIGHUP") {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    assert!(
        service.log().contains("restart to apply changes"),
        "{}",
        service.log()
    );
    assert!(ready(base + 3, "HTTP/1.1 200").starts_with("HTTP/1.1 200"));
    service.signal("INT");
    assert_eq!(service.wait(), 0);
}
