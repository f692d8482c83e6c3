//! `keybound dev` and the commands that are used with it.

use crate::program::{Home, free_ports};

#[test]
fn a_request_needs_nothing_but_a_url() {
    let home = Home::new();
    let dev = home.dev();
    let approvals = dev.url("gateway", "/approvals");
    let get = |arguments: &[&str]| home.run(&[&["request", "GET"], arguments].concat());

    // Refused first: a resource, a method and a path that are none of ours.
    get(&[&dev.url("gateway", "/nothing")]).ends_with(4);
    home.run(&["request", "DELETE", &approvals]).ends_with(5);
    let read_only = [
        "request",
        "POST",
        &approvals,
        "id=1",
        "decision=approve",
        "--scope",
        "approvals:read",
    ];
    home.run(&read_only).ends_with(5);

    let answer = get(&[&approvals, "--json"]).ends_with(0).json();
    assert_eq!(answer["status"], 200);
    assert_eq!(answer["body"]["approvals"][0]["state"], "waiting");
    home.run(&["request", "POST", &approvals, "id=1", "decision=approve"])
        .ends_with(0);
    let answer = get(&[&approvals, "--json"]).ends_with(0).json();
    assert_eq!(answer["body"]["approvals"][0]["state"], "approved");
    get(&[&dev.url("gateway", "/reports")]).ends_with(0);
}

#[test]
fn a_stolen_token_is_refused_and_stands_in_the_event_log() {
    let home = Home::new();
    let dev = home.dev();
    let approvals = dev.url("gateway", "/approvals");
    let token = home
        .run(&["token", "get", "--raw", &approvals])
        .ends_with(0)
        .stdout;
    let token = token.trim();
    let answer = dev.http(
        "gateway",
        "GET",
        "/approvals",
        &format!("Authorization: Bearer {token}\r\n"),
    );
    assert!(
        answer.starts_with("HTTP/1.1 401") && answer.contains("token.scheme.downgrade"),
        "{answer}"
    );

    let inspected = home
        .feed(&["token", "inspect", "--json"], token)
        .ends_with(0)
        .json();
    assert_eq!(inspected["replayable"], "only_with_key");
    let handle = inspected["token_id"].as_str().expect("a handle");
    let arguments = [
        "events",
        "tail",
        "--json",
        "--limit",
        "1",
        "--kind",
        "request_refused",
        "--token-id",
        handle,
        "--after",
        "0",
    ];
    let event = home.run(&arguments).ends_with(0).json();
    assert_eq!(event["cause"], "token.scheme.downgrade");
    assert_eq!(event["token_sha256"], inspected["sha256"]);
}

#[test]
fn the_upstream_takes_requests_of_its_gateway_only() {
    let home = Home::new();
    let dev = home.dev();
    for headers in [
        "",
        "Keybound-Assertion: a.b.c\r\n",
        "Keybound-Subject: admin\r\n",
    ] {
        let answer = dev.http("upstream", "GET", "/approvals", headers);
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
}

#[test]
fn a_printed_request_works_once() {
    let home = Home::new();
    let dev = home.dev();
    let approvals = dev.url("gateway", "/approvals");
    let printed = home
        .run(&["request", "GET", &approvals, "--offline"])
        .ends_with(0)
        .stdout;
    let headers: String = printed
        .lines()
        .filter(|line| line.starts_with("Authorization:") || line.starts_with("DPoP:"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let first = dev.http("gateway", "GET", "/approvals", &headers);
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    let second = dev.http("gateway", "GET", "/approvals", &headers);
    assert!(
        second.starts_with("HTTP/1.1 401") && second.contains("dpop.replayed"),
        "{second}"
    );

    let curl = home
        .run(&[
            "request",
            "POST",
            &approvals,
            "id=it's",
            "decision=approve",
            "--curl",
        ])
        .ends_with(0);
    assert!(curl.stdout.contains(r"it'\''s"), "{curl:?}");
    assert!(curl.stderr.contains("one request"), "{curl:?}");
}

#[test]
fn a_locked_key_is_refused_until_it_is_released() {
    let home = Home::new();
    let dev = home.dev();
    let approvals = dev.url("gateway", "/approvals");
    let jkt = home
        .run(&["token", "get", "--json", &approvals])
        .ends_with(0)
        .json()["jkt"]
        .clone();
    let jkt = jkt.as_str().expect("a thumbprint");

    home.run(&["unlock", "key", jkt]).ends_with(4);
    let locked = home
        .run(&["lock", "key", jkt, "--reason", "seen in a paste", "--json"])
        .ends_with(0)
        .json();
    assert_eq!(locked["locked"], true);
    assert_eq!(locked["record"]["reason"], "seen in a paste");
    let refused = home
        .run(&["request", "GET", &approvals, "--json"])
        .ends_with(5);
    assert_eq!(refused.failure()["code"], "refused");
    home.run(&["unlock", "key", jkt]).ends_with(0);
    home.run(&["request", "GET", &approvals]).ends_with(0);
}

#[test]
fn a_token_can_be_locked_revoked_and_asked_about() {
    let home = Home::new();
    let dev = home.dev();
    let approvals = dev.url("gateway", "/approvals");
    let raw = home
        .run(&["token", "get", "--raw", &approvals])
        .ends_with(0)
        .stdout;
    home.write("token", &raw);
    let handle = home.feed(&["token", "inspect", "--json"], &raw).json()["token_id"].clone();
    let handle = handle.as_str().expect("a handle");
    let active = || {
        home.run(&["token", "introspect", "@token", "--json"])
            .ends_with(0)
            .json()["active"]
            == true
    };

    home.run(&["lock", "token", "no-such-token"]).ends_with(0);
    home.run(&["token", "introspect", "tok_none"]).ends_with(4);
    assert!(active());
    home.run(&["lock", "token", handle]).ends_with(0);
    assert!(!active());
    home.run(&["unlock", "token", handle]).ends_with(0);
    assert!(active());
    home.run(&["token", "revoke", handle]).ends_with(0);
    assert!(!active());
    let ended = home
        .run(&["unlock", "token", handle, "--json"])
        .ends_with(5);
    assert!(
        ended.failure()["message"]
            .as_str()
            .is_some_and(|text| text.contains("cannot be undone"))
    );

    let own = home
        .run(&["token", "get", "--raw", &approvals])
        .ends_with(0)
        .stdout;
    home.feed(&["token", "revoke"], &own).ends_with(0);
    let answer = home
        .feed(&["token", "introspect", "-", "--json"], &own)
        .ends_with(0)
        .json();
    assert_eq!(answer, serde_json::json!({ "active": false }));
}

#[test]
fn an_occupied_port_is_named_with_what_to_do() {
    let home = Home::new();
    let base = free_ports(5);
    let holder = std::net::TcpListener::bind(("127.0.0.1", base + 1)).expect("listens");
    let base = base.to_string();
    let ended = home
        .run(&["dev", "--port-base", &base, "--json"])
        .ends_with(9);
    drop(holder);
    let failure = ended.failure();
    assert!(
        failure["message"]
            .as_str()
            .is_some_and(|text| text.contains("gateway") && text.contains("in use")),
        "{failure}"
    );
    assert!(
        failure["next"]
            .as_str()
            .is_some_and(|text| text.contains("--port-base")),
        "{failure}"
    );
}

#[test]
fn it_stops_cleanly_and_knows_its_clients_again() {
    let home = Home::new();
    let dev = home.dev();
    home.run(&["request", "GET", &dev.url("gateway", "/approvals")])
        .ends_with(0);
    assert_eq!(dev.service.stop(), 0);

    let again = home.dev();
    let ended = home
        .run(&["request", "GET", &again.url("gateway", "/approvals")])
        .ends_with(0);
    assert!(ended.stdout.contains("approvals"), "{ended:?}");
    assert_eq!(again.service.stop(), 0);
}

#[test]
fn nobody_there_is_told_apart_from_a_refusal() {
    let home = Home::new();
    let url = format!("http://127.0.0.1:{}/", free_ports(1));
    home.run(&["request", "GET", &url]).ends_with(7);
}

#[test]
fn an_operator_without_a_profile_is_told_what_to_do() {
    let ended = Home::new()
        .run(&["lock", "key", "x", "--json"])
        .ends_with(2);
    assert!(
        ended.failure()["next"]
            .as_str()
            .is_some_and(|text| text.contains("--profile")),
        "{ended:?}"
    );
}
